/*
 * purlin rules: explain says why, test runs cases, list shows who may; and what they say is what the engine answers over HTTP.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { startAs } from "../support/as.mjs";
import { environment, root, runPurlin, startPurlin, temporaryFolder, writeContracts } from "../support/purlin.mjs";

const contracts = {
  users: `resource: users
fields: { name: { type: string, max: 50, required: true }, secret: { type: string, max: 50, writeonly: true } }
rules: { read: true, create: '"admin" in @roles', update: "id == @user", delete: false }
`,
  follows: `resource: follows
fields: { follower: { ref: users, required: true }, followee: { ref: users, required: true } }
rules: { read: true, create: true, update: true, delete: true }
`,
  posts: `resource: posts
fields:
  author:     { ref: users, default: "@user", immutable: true, optional: true }
  title:      { type: string, max: 300 }
  visibility: { enum: [public, followers, private], default: public }
  locked:     { type: boolean, default: false }
  likes:      { type: integer, default: 0, readonly: true }
rules:
  read: visibility == "public" || author == @user || "moderator" in @roles || (visibility == "followers" && exists(follows, follower == @user && followee == author))
  create: "@user != null && author == @user"
  update: (author == @user && !locked) || can("posts:update")
  delete: author == @user || "moderator" in @roles
`,
};
const rows = {
  users: { ann: { name: "Ann" }, bob: { name: "Bob" } },
  follows: { one: { follower: "bob", followee: "ann" } },
  posts: {
    open: { author: "ann", title: "o" },
    followers: { author: "ann", title: "f", visibility: "followers" },
    private: { author: "ann", title: "p", visibility: "private" },
    locked: { author: "ann", title: "l", locked: true },
    orphan: { author: null, title: "n", visibility: "private" },
  },
};
const callers = { anonymous: {}, ann: { user: "ann" }, bob: { user: "bob" }, moderator: { user: "bob", roles: ["moderator"] }, admin: { roles: ["admin"] } };
/* As the engine answers; whether they are right, tests/api/rules.test.mjs knows. */
const everybody = Object.keys(callers);

function folderOf(t, config) {
  const folder = temporaryFolder(t);
  const target = writeContracts(folder, contracts);
  const file = path.join(folder, "purlin.yaml");
  writeFileSync(file, config ?? "roles: { moderator: {} }\n");
  const run = (...args) => runPurlin(["rules", ...args, "--config", file], { env: environment(folder, target) });
  const cases = (value) => writeFileSync(path.join(target, "rules.test.yaml"), typeof value === "string" ? value : JSON.stringify(value, null, 1));
  return { folder, target, run, cases };
}

test("the cases of the community's contracts hold", (t) => {
  const folder = temporaryFolder(t);
  const { code, stdout, stderr } = runPurlin(["rules", "test"], { env: environment(folder, path.join(root, "contracts")) });
  assert.equal(code, 0, stderr + stdout.split("\n").filter((line) => !line.startsWith("ok")).join("\n"));
  assert.match(stdout, /^TAP version 13\nok 1 - posts\/public: anonymous read is allowed\n/);
  assert.match(stdout, /\n1\.\.(\d+)\n# pass \1\n# fail 0\n$/);
});

test("what the verb decides is what the engine answers", async (t) => {
  const { run, cases } = folderOf(t);
  const api = await startAs(t, contracts);
  const ids = {};
  const fill = (fields) => Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, ["author", "follower", "followee"].includes(key) && value ? ids[value] : value]));
  const as = (name) => ({ user: callers[name].user && ids[callers[name].user], roles: callers[name].roles?.join() });
  for (const [name, fields] of Object.entries(rows.users)) ids[name] = (await api.post("/api/v1/users", fields, { roles: "admin" })).body.id;
  for (const fields of Object.values(rows.follows)) assert.equal((await api.post("/api/v1/follows", fill(fields), {})).status, 201);
  /* A post of its own for each try; one without an author loses them with their account, which nobody may end here. */
  const fresh = async (fields) => (await api.post("/api/v1/posts", fill({ ...fields, locked: fields.locked ?? false }), { user: ids[fields.author] })).body.id;
  const expected = [], asked = [];
  for (const [name, fields] of Object.entries(rows.posts).filter(([, fields]) => fields.author))
    for (const [action, changes] of [["read"], ["update", { title: "z" }], ["update", { visibility: "private", locked: true }], ["delete"]]) {
      const allowed = [];
      for (const caller of everybody) {
        const at = `/api/v1/posts/${await fresh(fields)}`;
        const answer = action === "read" ? await api.get(at, as(caller)) : action === "delete" ? await api.delete(at, as(caller)) : await api.patch(at, changes, as(caller));
        assert.ok([200, 204, 401, 403, 404].includes(answer.status), `${action} ${name} by ${caller}: ${answer.status}`);
        if (answer.status < 300) allowed.push(caller);
        asked.push(`posts/${name}: ${caller} ${action}`);
      }
      expected.push({ row: `posts/${name}`, ...(changes ? { with: changes } : {}), [action]: allowed });
    }
  for (const body of [{ author: "ann", title: "x" }, { author: null, title: "x" }, { title: "x" }]) {
    const allowed = [];
    for (const caller of everybody) if ((await api.post("/api/v1/posts", fill(body), as(caller))).status === 201) allowed.push(caller);
    expected.push({ create: "posts", with: body, allow: allowed });
  }
  cases({ rows, callers, cases: expected });
  const { code, stdout, stderr } = run("test");
  assert.equal(code, 0, stderr + stdout.split("\n").filter((line) => !line.startsWith("ok")).join("\n"));
  assert.equal(Number(/# pass (\d+)/.exec(stdout)[1]), asked.length + 3 * everybody.length);
  assert.ok(expected.some((one) => one.update?.length === 1) && expected.some((one) => one.read?.length === 3), "they differ");
});

test("a case that fails says where, and why", (t) => {
  const { run, cases, target } = folderOf(t);
  cases(`rows:
  users: { ann: { name: Ann }, bob: { name: Bob } }
  posts: { one: { author: ann, title: x, visibility: followers } }
callers:
  bob: { user: bob }
  reader: { user: ann, scopes: ["users:*"] }
cases:
  - row: posts/one
    read: [bob]
    with: { locked: true }
    update: [reader]
`);
  const { code, stdout } = run("test");
  assert.equal(code, 1);
  assert.match(stdout, /\nnot ok 1 - posts\/one: bob read is allowed\n/);
  assert.ok(stdout.includes(`# ${target}/rules.test.yaml:9:11: it came out otherwise\n#   denied: The rule does not hold.\n#   read, ${target}/posts.yaml:9:9\n#     no   visibility`), stdout);
  assert.match(stdout, /#     no\s+author == @user\s+\(author = [0-9a-f-]{36}, @user = [0-9a-f-]{36}\)\n/);
  assert.match(stdout, /#     no\s+visibility == "public"\s+\(visibility = "followers"\)\n/);
  assert.match(stdout, /#     no\s+exists\(follows, follower == @user && followee == author\)\n/);
  assert.match(stdout, /\nok 2 - posts\/one: reader read is denied\n/);
  assert.match(stdout, /not ok 4 - posts\/one: reader update with changes is allowed\n[^]*#\s+denied: The caller's scopes do not cover reading it\.\n[^]*no\s+scopes cover posts:read\n/);
  assert.match(stdout, /1\.\.4\n# pass 2\n# fail 2\n$/);
});

test("a file that says nothing true is refused with its lines", (t) => {
  const { run, cases } = folderOf(t);
  const head = "rows: { users: { ann: { name: Ann } }, posts: { one: { title: x, author: ann } } }\ncallers: { ann: { user: ann } }\n";
  for (const [text, words] of [
    ["rows: {}\n", /needs `callers` and `cases`/],
    [head.replace("users:", "user:") + "cases: [{ row: posts/one, read: all }]\n", /:1:9: rows: is no resource\. Did you mean `users`\?/],
    [head.replace("author: ann", "author: bob") + "cases: [{ row: posts/one, read: all }]\n", /rows: is no row of this file that it could refer to/],
    [head.replace("user: ann", "user: eve") + "cases: [{ row: posts/one, read: all }]\n", /:2:25: callers: is no row of users in this file/],
    [head.replace("user: ann", "roles: [moderater]") + "cases: [{ row: posts/one, read: all }]\n", /callers: is no role\. Did you mean `moderator`\?/],
    [head.replace("user: ann", "scopes: [posts:reed]") + "cases: [{ row: posts/one, read: all }]\n", /callers: is no permission\. Did you mean `posts:read`\?/],
    [head.replace("user: ann", "usr: ann") + "cases: [{ row: posts/one, read: all }]\n", /a caller has `user` and lists `roles` and `scopes`\. Did you mean `user`\?/],
    [head + "cases: [{ row: posts/two, read: all }]\n", /:3:16: cases: is no row of this file/],
    [head + "cases: [{ row: posts/one, reads: all }]\n", /:3:27: cases: a row is asked about/],
    [head + "cases: [{ row: posts/one, read: [anm] }]\n", /cases: is no caller of this file\. Did you mean `ann`\?/],
    [head + "cases: [{ row: posts/one, read: some }]\n", /cases: must be all, none, or a list of callers/],
    [head + "cases: [{ create: posts, allow: all }]\n", /a create has `create` with a resource, `with` its fields, and `allow`/],
    [head + "cases: [{ read: all }]\n", /a case has `row`, or `create`/],
    [head + "case: []\n", /the file has `rows`, `callers` and `cases`\. Did you mean `cases`\?/],
    ["- 1\n", /the file has `rows`, `callers` and `cases`/],
  ]) {
    cases(text);
    const { code, stderr } = run("test");
    assert.equal(code, 2, text);
    assert.match(stderr, words);
  }
  cases(head.replace("name: Ann", "nme: Ann") + "cases: [{ row: posts/one, read: all }]\n");
  const { code, stderr } = run("test");
  assert.equal(code, 2);
  assert.match(stderr, /the row users\/ann cannot be made[^]*name/);
  cases(head + "cases: [{ row: posts/one, with: { title: 5 }, update: [ann] }]\n");
  const wrong = run("test");
  assert.equal(wrong.code, 1);
  assert.match(wrong.stdout, /not ok 1[^]*\/title: /);
  assert.equal(run("test", "/nowhere.yaml").code, 2);
  assert.equal(run("test", "a", "b").code, 2);
});

test("explain says who may, which conditions decide, and exits by it", async (t) => {
  const config = 'roles: { moderator: { permissions: ["posts:update"] } }\n';
  const server = await startPurlin(t, { contracts, config, env: { PURLIN_SECRET: "a-secret-of-the-tests-0123456789" } });
  const env = environment(server.folder, server.contractsFolder, { PURLIN_SECRET: "a-secret-of-the-tests-0123456789" });
  const tool = (...args) => runPurlin([...args, "--config", path.join(server.folder, "purlin.yaml")], { env });
  const explain = (...args) => tool("rules", "explain", ...args);
  const made = (email, ...args) => JSON.parse(tool("user", "create", email, "--profile", '{"name":"X"}', "--json", ...args).stdout).id;
  const ann = made("ann@example.org"), mod = made("mod@example.org", "--role", "moderator");
  const key = JSON.parse(tool("key", "create", "--name", "k", "--user", mod, "--scope", "posts:read", "--json").stdout);
  const password = tool("user", "password", "ann@example.org").stdout.trim().split(": ").pop();
  const { access_token } = await (await fetch(`${server.url}/auth/login`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ email: "ann@example.org", password }) })).json();
  const headers = { Authorization: `Bearer ${access_token}`, "content-type": "application/json" };
  const create = async (body) => (await (await fetch(`${server.url}/api/v1/posts`, { method: "POST", headers, body: JSON.stringify(body) })).json()).id;
  const id = await create({ title: "x", visibility: "private" }), locked = await create({ title: "y", locked: true });

  const yes = explain(`posts/${id}`, "read", "--as", "ann@example.org");
  assert.equal(yes.code, 0, yes.stderr);
  assert.match(yes.stdout, /^allowed: The rule holds\.\nread, [^\n]*posts\.yaml:9:9\n\s+yes\s+visibility == "public" \|\| author == @user/);
  assert.match(yes.stdout, new RegExp(`\\n\\s+yes\\s+author == @user\\s+\\(author = ${ann}, @user = ${ann}\\)\\n`));
  const no = explain(`posts/${id}`, "read", "--anonymous");
  assert.equal(no.code, 1);
  assert.match(no.stdout, /^denied: The rule does not hold\.\n[^]*author == @user\s+\(author = [^,]*, @user = null\)/);
  assert.equal(explain(`posts/${locked}`, "update", "--as", ann).code, 1);
  assert.match(explain(`posts/${locked}`, "update", "--as", ann).stdout, /no\s+author == @user && !locked[^]*yes\s+author[^]*no\s+!locked[^]*no\s+can\("posts:update"\)\nreadonly fields: [^\n]*likes[^\n]*\nimmutable fields: [^\n]*author[^\n]*\n/);
  assert.equal(explain(`posts/${locked}`, "update", "--as", "mod@example.org").code, 0);
  const scoped = explain(`posts/${locked}`, "update", "--as", mod, "--scopes", "posts:read");
  assert.equal(scoped.code, 1);
  assert.match(scoped.stdout, /^denied: The caller's scopes do not cover it\.\n[^]*no\s+scopes cover posts:update\n/);
  assert.equal(explain(`posts/${locked}`, "read", "--key", key.id).code, 0);
  assert.equal(explain(`posts/${locked}`, "update", "--key", key.secret.slice(0, 17)).code, 1);
  assert.match(explain(`posts/${locked}`, "update", "--key", key.id).stdout, /scopes do not cover/);
  const change = explain(`posts/${id}`, "update", "--as", ann, "--body", '{"locked":true}');
  assert.equal(change.code, 1);
  assert.match(change.stdout, /as it would become[^]*no\s+!locked\n\s+yes\s+locked\s+\(locked = true\)/);
  assert.equal(explain("posts", "create", "--as", ann, "--body", '{"title":"t"}').code, 0);
  const depends = explain("posts", "update", "--as", ann);
  assert.deepEqual([depends.code, depends.stdout.split("\n")[0]], [1, "depends on the row: It depends on the row."]);
  const json = JSON.parse(explain(`posts/${id}`, "delete", "--roles", "moderator", "--json").stdout);
  assert.deepEqual([json.allowed, json.read.answer, json.rule.answer, json.rule.line], [true, "yes", "yes", 12]);
  assert.deepEqual(json.rule.conditions.map((c) => [c.depth, c.text, c.answer]), [
    [0, 'author == @user || "moderator" in @roles', "yes"], [1, "author == @user", "no"], [1, '"moderator" in @roles', "yes"]]);
  assert.match(explain("posts/01890a5d-ac96-774b-bcce-b302099a8057", "read", "--anonymous").stdout, /no such row/);
  for (const args of [
    ["posts"], ["posts", "read"], ["post", "read", "--anonymous"], ["posts/1", "read", "--anonymous"], ["posts", "write", "--anonymous"], ["posts", "read", "--anonymous", "--as", ann],
    ["posts", "read", "--as", "nobody@example.org"], ["posts", "read", "--roles", "moderater"], ["posts", "read", "--as", ann, "--scopes", "posts:reed"], ["posts", "create", "--as", ann, "--body", "{"],
    [`posts/${id}`, "create", "--as", ann], ["posts", "update", "--as", ann, "--body", "{}"], ["posts", "read", "--key", "purlin_key_none"], ["posts", "create", "--as", ann, "--body", '{"titl":1}'],
  ])
    assert.equal(explain(...args).code, 2, args.join(" "));
  assert.equal(tool("rules").code, 2);

  const list = tool("rules", "list", "posts");
  assert.match(list.stdout, /anonymous\s+anybody\s+moderator\s+admin\nposts:read +row +row +yes +row *\nposts:create +no +row +row +row *\nposts:update +no +row +yes +yes *\n/);
  assert.equal(tool("rules", "list", "nothing").code, 2);
});
