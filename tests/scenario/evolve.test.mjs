/* Contracts that change under data: each step written by `migrate diff`, applied, undone, applied again; served and checked after each. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { environment, runPurlin, startPurlin, temporaryFolder, writeContracts } from "../support/purlin.mjs";

const rules = "rules: { read: true, create: true, update: true, delete: true }";
const users = (fields = "", rest = "") => `
resource: users
fields:
  name: { type: string, max: 50, required: true }
  posts_in_all: { count: posts.author }
${fields}
${rest}
${rules}
`;
const posts = (fields, rest = "") => `
resource: posts
fields:
${fields}
${rest}
${rules}
`;
const base = `
  author: { ref: users, on_delete: set_null }
  parent: { ref: posts, on_delete: cascade }
  title:  { type: string, max: 100 }
  score:  { type: integer, default: 0 }
  tags:   { type: list, of: string, max_items: 5 }
  replies: { count: posts.parent }`;
const extras = `search: [title]\nindexes: [ { on: [tags], kind: contains }, [author, -score] ]`;

/* Name, contracts, and what migrate needs to be told. */
const steps = [
  ["begin", { users: users(), posts: posts(base, extras) }],
  ["fields that may be null", { users: users("  bio: { type: text }\n  paid: { type: money }"), posts: posts(base, extras) }],
  ["a default, search, lists and indexes of another kind", { users: users("  bio: { type: text }\n  paid: { type: money }\n  level: { enum: [low, high], default: low }", "search: [name]"), posts: posts(base, "search: [title, tags]\nindexes: [ [score] ]") }],
  ["constraints that the data keeps", { users: users("", "unique: [ [name] ]"), posts: posts(base.replace("max: 100", "max: 40").replace("default: 0", "default: 0, min: -1000"), extras) }, "--allow-destructive"],
  ["a renamed field", { users: users(), posts: posts(base.replace("title:", "headline:"), extras.replace("title", "headline")) }, "--rename=posts.title=posts.headline"],
  ["and back, a count with a condition, soft deletion", { users: users("  good: { count: posts.author, where: score > 2 }"), posts: posts(base, extras + "\nsoft_delete: true") }, "--rename=posts.headline=posts.title"],
  ["a ref that goes along", { users: users("  good: { count: posts.author, where: score > 2 }"), posts: posts(base.replace("set_null", "cascade"), extras + "\nsoft_delete: true") }],
  ["another resource, one less field", { users: users(), posts: posts(base.replace(/  score:.*\n/, ""), extras.replace(", [author, -score]", "") + "\nsoft_delete: true"), likes: `\nresource: likes\nfields:\n  post: { ref: posts, required: true, on_delete: cascade }\n${rules}\n` }, "--allow-destructive"],
  ["all as in the beginning", { users: users(), posts: posts(base, extras) }, "--allow-destructive"],
];

function ask(folder, statement) {
  const run = spawnSync("python3", ["-c", "import sqlite3, sys, json\nprint(json.dumps(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall()))", path.join(folder, "purlin.db"), statement], { encoding: "utf8" });
  assert.equal(run.status, 0, run.stderr);
  return JSON.parse(run.stdout);
}

async function fill(server) {
  const operations = [];
  for (let u = 0; u < 5; u++) operations.push({ method: "POST", path: "/users", ref: `u${u}`, body: { name: `user ${u}` } });
  for (let p = 0; p < 40; p++)
    operations.push({ method: "POST", path: "/posts", ref: `p${p}`, body: { author: `$u${p % 4}.id`, title: `word${p} shared`, score: p % 6, tags: [`t${p % 3}`, "all"], ...(p % 4 ? { parent: `$p${p - 1}.id` } : {}) } });
  const answer = await server.post("/api/v1/batch", { body: { operations } });
  assert.equal(answer.status, 200, answer.text);
}

/* The rows are there, and what is kept beside them is true. */
async function check(server, name) {
  const get = async (target) => {
    const answer = await server.get(target);
    assert.equal(answer.status, 200, `${name}: ${target} ${answer.text}`);
    return answer.body;
  };
  const all = (await get("/api/v1/users?limit=100&count=exact"));
  assert.equal(all.page.total, 5, name);
  const rows = (await server.get("/api/v1/posts/export")).text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  assert.equal(rows.length, 40, name);
  for (const user of all.data) {
    assert.equal(user.posts_in_all, rows.filter((row) => row.author === user.id).length, `${name}: count of ${user.name}`);
    if ("good" in user) assert.equal(user.good, rows.filter((row) => row.author === user.id && row.score > 2).length, name);
  }
  for (const row of rows) assert.equal(row.replies, rows.filter((other) => other.parent === row.id).length, name);
  assert.equal((await get("/api/v1/posts?q=shared&count=exact")).page.total, 40, name);
  assert.equal((await get("/api/v1/posts?q=word7&count=exact")).page.total, 1, name);
  assert.equal((await get("/api/v1/posts?tags=t1&count=exact")).page.total, rows.filter((row) => row.tags.includes("t1")).length, name);
  /* And they follow a change. */
  const row = rows[7];
  const field = "headline" in row ? "headline" : "title";
  for (const [text, total] of [["changed zebra", 1], [row[field], 0]]) {
    assert.equal((await server.patch(`/api/v1/posts/${row.id}`, { body: { [field]: text } })).status, 200, name);
    assert.equal((await get("/api/v1/posts?q=zebra&count=exact")).page.total, total, name);
  }
  const made = await server.post("/api/v1/posts", { body: { author: all.data[0].id, parent: row.id, tags: ["t1"] } });
  assert.equal(made.status, 201, made.text);
  assert.equal((await get(`/api/v1/posts/${row.id}`)).replies, row.replies + 1, name);
}

/* Added columns are written after the rest, on the same line: space says nothing. */
const schema = (folder) => ask(folder, "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'purlin%' AND sql IS NOT NULL ORDER BY type, name").map((row) => row.map((text) => text.replace(/\s+/g, "")));

test("contracts change under data, forward, back and forward again", { timeout: 120_000 }, async (t) => {
  const folder = temporaryFolder(t);
  const contracts = path.join(folder, "contracts");
  const env = environment(folder, contracts, { PURLIN_ENV: "development", PURLIN_AUTO_MIGRATE: "off", LOG_LEVEL: "warn" });
  const migrate = (...args) => {
    const run = runPurlin(["migrate", ...args], { env });
    assert.equal(run.code, 0, `migrate ${args.join(" ")}: ${run.stderr}${run.stdout}`);
    return run.stdout;
  };
  let filled = false;
  for (const [name, texts, flag] of steps) {
    writeContracts(folder, texts);
    const before = filled ? schema(folder) : null;
    const rename = flag?.startsWith("--rename") ? ["--rename", flag.slice("--rename=".length)] : [];
    const destructive = flag === "--allow-destructive" ? [flag] : [];
    migrate("diff", "--name", name.replace(/\W+/g, "_"), ...rename);
    if (destructive.length) {
      const refused = runPurlin(["migrate", "up"], { env });
      assert.equal(refused.code, 1, `${name}: ${refused.stdout}`);
      assert.deepEqual(schema(folder), before, name);
    }
    migrate("up", ...destructive);
    const after = schema(folder);
    assert.deepEqual(ask(folder, "PRAGMA foreign_key_check"), []);
    assert.deepEqual(ask(folder, "PRAGMA integrity_check"), [["ok"]]);
    if (before) {
      migrate("down", "--allow-destructive");
      assert.deepEqual(schema(folder), before, `${name}: down`);
      migrate("up", ...destructive);
      assert.deepEqual(schema(folder), after, `${name}: up again`);
    }
    const files = readdirSync(path.join(folder, "migrations")).length;
    migrate("diff");
    assert.equal(readdirSync(path.join(folder, "migrations")).length, files, `${name}: there is nothing left to do`);
    const server = await startPurlin(t, { contracts, folder, env: { PURLIN_AUTO_MIGRATE: "off" } });
    if (!filled) await fill(server);
    filled = true;
    if (name.includes("less field")) {
      /* A field is gone with its data: the last step has it empty. */
      await server.stop();
      continue;
    }
    await check(server, name);
    const last = (await server.get("/api/v1/posts?limit=1")).body.data[0];
    assert.equal((await server.delete(`/api/v1/posts/${last.id}`)).status, 204);
    assert.deepEqual((await server.stop()).code, 0);
    /* What was softly deleted would be back where deletion is not kept. */
    spawnSync("python3", ["-c", "import sqlite3, sys\nd = sqlite3.connect(sys.argv[1])\nd.execute('PRAGMA foreign_keys = on')\nd.execute('DELETE FROM posts WHERE title IS NULL' if 'title' in [c[1] for c in d.execute('PRAGMA table_info(posts)')] else 'DELETE FROM posts WHERE headline IS NULL')\nd.commit()", path.join(folder, "purlin.db")]);
  }
});
