/*
 * Rights: roles and their permissions for people, keys and programs; the document says of every operation what it needs, and that is
 * what is asked for; nobody gives themselves a role.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it, test } from "node:test";
import { auth, bearer, get, password, people, signUp } from "../support/auth.mjs";
import { basic, Browser, otherSecret, post, redirect, request, serviceSecret, webSecret } from "../support/oauth.mjs";
import { environment, runPurlin, startPurlin, temporaryFolder, writeContracts } from "../support/purlin.mjs";

const contracts = {
  ...people,
  posts: `resource: posts
fields:
  author: { ref: users, default: "@user", immutable: true, on_delete: set_null }
  title: { type: string, max: 100, required: true }
rules:
  read: true
  create: "@user != null || can('posts:create')"
  update: author == @user || can("posts:update")
  delete: can("posts:delete") && !("frozen" in @roles)
`,
  shelves: `resource: shelves
fields: { name: { type: string, max: 100, required: true } }
rules: { read: '"shelf.list" in @scopes || can("shelves:read")', create: can("shops:stock"), update: '"keeper" in @roles', delete: false }
`,
};
const config = `
permissions: { shops:stock: Stock the shelves }
roles:
  reader: { permissions: ["*:read"] }
  keeper: { permissions: [shops:stock, "shelves:*"], includes: [reader] }
  moderator: { description: Keeps order, permissions: ["posts:update", "posts:delete"] }
  auditor: { permissions: [purlin:audit] }
  host: { permissions: [purlin:invite] }
  frozen: {}
oauth:
  scopes:
    tidy: { description: Tidy up, permissions: ["posts:delete"] }
    moderate: { description: Moderate for you, roles: [moderator] }
    shelf.list: { permissions: ["shelves:read"] }
  clients:
    - { id: web, name: Web, secret: ${webSecret}, redirect_uris: ["${redirect}"], scopes: [openid, tidy, moderate, shelf.list, "posts:update"] }
    - { id: service, secret: "${serviceSecret}", grants: [client_credentials], scopes: [tidy, "shelves:read", "shops:stock", moderate] }
    - { id: other, secret: ${otherSecret}, redirect_uris: ["${redirect}"], scopes: [openid] }
`;
const env = { PURLIN_SECRET: "a-secret-of-the-tests-0123456789", PURLIN_AUTH_PASSWORD_MEMORY: "8MiB", PURLIN_AUTH_PASSWORD_PASSES: "1", PURLIN_METRICS: "admin" };

describe("rights", () => {
  let server;
  const cleanups = [];
  const run = (...args) => runPurlin([...args, "--config", path.join(server.folder, "purlin.yaml")], { env: environment(server.folder, server.contractsFolder, env) });
  const key = (...args) => {
    const result = run("key", "create", "--name", "k", ...args, "--json");
    assert.equal(result.code, 0, result.stderr);
    return { "x-api-key": JSON.parse(result.stdout).secret };
  };
  const role = (person, ...args) => {
    const result = run("user", "role", person.email, ...args);
    assert.equal(result.code, 0, result.stderr);
  };
  const on = (method, target, headers, body) => server.request(method, target, { headers, body });
  const fresh = async () => (await on("POST", "/api/v1/posts", { "x-api-key": "test-admin-key-0123456789" }, { title: "x" })).body.id;
  const status = async (...args) => (await on(...args)).status;
  const tokens = async (person, scope) => {
    const asked = request({ scope, redirect_uri: redirect });
    const location = await new Browser(server).through(asked.query, person.email);
    const answer = await post(server, "/oauth/token", {
      grant_type: "authorization_code", code: location.searchParams.get("code"), redirect_uri: redirect, code_verifier: asked.verifier,
      client_id: "web", client_secret: webSecret,
    });
    assert.equal(answer.status, 200, answer.text);
    return bearer(answer.body);
  };
  before(async () => {
    server = await startPurlin({ after: (fn) => cleanups.push(fn) }, { contracts, config, env });
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  it("of people come from their roles, from the next request on", async () => {
    const person = await signUp(server), me = bearer(person), id = await fresh();
    const change = () => status("PATCH", `/api/v1/posts/${id}`, { ...me, "content-type": "application/merge-patch+json" }, { title: "y" });
    assert.equal(await change(), 403);
    assert.equal(await status("POST", "/api/v1/posts", me, { title: "mine" }), 201);
    role(person, "--role", "moderator");
    const end = Date.now() + 30_000;
    while ((await change()) !== 200) assert.ok(Date.now() < end, "the role never held");
    role(person, "--role", "frozen");
    while ((await status("DELETE", `/api/v1/posts/${await fresh()}`, me)) !== 403) assert.ok(Date.now() < end, "the role never held");
    assert.equal(await status("GET", "/api/v1/audit", me), 403);
  });

  it("of keys are those of their roles, no more than their scopes say", async () => {
    const id = await fresh();
    const at = `/api/v1/posts/${id}`, patch = { title: "z" };
    const moderator = key("--role", "moderator"), narrow = key("--role", "moderator", "--scope", "posts:delete"), wide = key("--role", "admin", "--scope", "posts:update", "--scope", "posts:read");
    const merge = { "content-type": "application/merge-patch+json" };
    assert.equal(await status("PATCH", at, { ...moderator, ...merge }, patch), 200);
    assert.equal(await status("PATCH", at, { ...narrow, ...merge }, patch), 404); // may not even read
    assert.equal(await status("PATCH", at, { ...wide, ...merge }, patch), 200);
    assert.equal(await status("DELETE", at, wide), 403);
    assert.equal(await status("GET", "/api/v1/audit", wide), 403);
    assert.equal(await status("DELETE", at, moderator), 204);
    assert.equal(await status("POST", "/api/v1/shelves", key("--role", "keeper"), { name: "a" }), 201);
    assert.equal(await status("POST", "/api/v1/shelves", key("--role", "keeper", "--scope", "shelves:*"), { name: "a" }), 403); // the rule asks for another
    assert.equal(await status("GET", "/api/v1/shelves", key("--role", "reader")), 200);
    assert.equal(await status("GET", "/api/v1/shelves", key("--role", "moderator")), 403);
  });

  it("of programs are what the person may and the scope names", async () => {
    const person = await signUp(server), id = await fresh(), at = `/api/v1/posts/${id}`;
    const merge = { "content-type": "application/merge-patch+json" };
    role(person, "--role", "moderator", "--role", "auditor", "--role", "keeper");
    const update = await tokens(person, "openid posts:update");
    assert.equal(await status("PATCH", at, { ...update, ...merge }, { title: "p" }), 404); // no posts:read
    const moderate = await tokens(person, "moderate");
    assert.equal(await status("DELETE", at, moderate), 404);
    const list = await tokens(person, "shelf.list");
    assert.equal(await status("GET", "/api/v1/shelves", list), 200); // by its name in @scopes
    assert.equal(await status("POST", "/api/v1/shelves", list, { name: "s" }), 403);
    assert.equal(await status("GET", "/api/v1/audit", list), 403);
    const nothing = await tokens(person, "openid");
    assert.equal(await status("GET", "/api/v1/audit", nothing), 401); // nobody, to the API
    const own = async (scope) => bearer((await post(server, "/oauth/token", { grant_type: "client_credentials", ...(scope ? { scope } : {}) }, basic("service", serviceSecret))).body);
    assert.equal(await status("POST", "/api/v1/shelves", await own("shops:stock"), { name: "s" }), 403); // shelves:create is not in scope
    assert.equal(await status("GET", "/api/v1/shelves", await own("shelves:read")), 200);
    assert.equal(await status("GET", "/api/v1/shelves", await own("tidy")), 403);
    assert.equal(await status("GET", "/api/v1/shelves", await own()), 200);
  });

  it("are asked of the person too: a scope gives nobody what they have not", async () => {
    const person = await signUp(server), plain = await tokens(person, "tidy shelf.list");
    assert.equal(await status("GET", "/api/v1/shelves", plain), 200); // the rule takes the scope's name for enough
    const reading = key("--role", "moderator", "--scope", "shelves:read");
    assert.equal(await status("GET", "/api/v1/shelves", reading), 403);
  });

  it("show on the consent page in words", async () => {
    const person = await signUp(server), browser = new Browser(server);
    const page = await browser.signIn(await browser.authorize(request({ scope: "openid posts:update tidy", redirect_uri: redirect }).query), person.email);
    assert.match(page.text, /<li>Change what is in posts<\/li>/);
    assert.match(page.text, /<li>Tidy up<\/li>/);
  });

  it("are told of every operation as they are asked for", async () => {
    const { paths } = (await server.get("/openapi.json")).body;
    const operations = Object.entries(paths).flatMap(([at, item]) => Object.entries(item).filter(([method]) => method !== "parameters").map(([method, operation]) => [method.toUpperCase(), at, operation]));
    const id = "01890a5d-ac96-774b-bcce-b302099a8057";
    const person = bearer(await signUp(server)), outsider = key("--role", "frozen");
    const patterns = new Set(operations.flatMap(([, , operation]) => operation["x-permissions"]));
    const keys = new Map([...patterns].map((pattern) => [pattern, key("--role", "admin", "--scope", pattern)]));
    const ask = (method, at, headers) =>
      status(method, at.replace(/\{\w+\}/g, id), { ...headers, ...(method === "POST" || method === "PATCH" || method === "PUT" ? { "content-type": at.includes("batch") || method !== "PATCH" ? "application/json" : "application/merge-patch+json" } : {}) },
        method === "GET" || method === "DELETE" ? undefined : "{}");
    let closed = 0, permissions = 0;
    for (const [method, at, operation] of operations) {
      const what = `${method} ${at}`, needs = operation["x-permissions"];
      assert.ok(Array.isArray(needs) && needs.length <= 1, what);
      const isOpen = operation.security.some((one) => Object.keys(one).length === 0);
      if (at === "/oauth/userinfo" || operation.operationId === "logout") continue; // by their own words
      const anonymous = await ask(method, at, {});
      if (!isOpen) assert.equal(anonymous, operation["x-purlin-rules"] === "false" ? 403 : 401, `${what} asks who it is`); // false: whoever it is
      else assert.notEqual(anonymous === 401 && !/login|signup|mfa|refresh|restore|confirm|verify|token|revoke|introspect|accept|authorize/i.test(at) && !at.startsWith("/api/v1/"), true, `${what} is open`);
      closed += !isOpen;
      if (needs.length === 0) continue;
      permissions++;
      const isRoute = !operation["x-purlin-rules"];
      const wrong = [...keys].find(([pattern]) => pattern !== needs[0])[1];
      const refused = await ask(method, at, wrong);
      if (isRoute) {
        assert.equal(refused, 403, `${what} is refused without ${needs[0]}`);
        assert.equal(await ask(method, at, outsider), 403, `${what} is refused to another role`);
        assert.equal(await ask(method, at, person), 403, `${what} is refused to people without it`);
        if (operation.operationId === "impersonate") continue; // asks for a person besides: tests/api/impersonate.test.mjs
        assert.ok(![401, 403].includes(await ask(method, at, keys.get(needs[0]))), `${what} is answered with ${needs[0]}`);
      } else {
        assert.ok([403, 404, ...(method === "PUT" ? [422] : [])].includes(refused), `${what} is refused without ${needs[0]}: ${refused}`);
        const never = operation["x-purlin-rules"] === "false" || /@user|@scopes|shops:stock|keeper/.test(operation["x-purlin-rules"]);
        if (!never) assert.notEqual(await ask(method, at, keys.get(needs[0])), 403, `${what} is answered with ${needs[0]}`);
      }
    }
    assert.ok(closed > 20 && permissions > 15, `${closed} ${permissions}`);
  });

  it("nobody gives themselves a role", async () => {
    const grab = { roles: ["admin"], role: "admin", permissions: ["*"], scopes: ["*"], is_scoped: false };
    const refused = await auth(server, "signup", { email: "grab@example.org", password, profile: { display_name: "G", roles: ["admin"] } });
    assert.equal(refused.status, 422);
    const { status: made, body } = await auth(server, "signup", { email: "grab@example.org", password, ...grab, profile: { display_name: "G" } });
    const me = made === 201 ? body : await signUp(server);
    const roles = async () => (await get(server, "/auth/me", bearer(me))).body.roles;
    const routes = [
      ["POST", "/auth/password", { current: password, password, ...grab }], ["POST", "/auth/step-up", { password, ...grab }],
      ["POST", "/auth/email", { email: "other@example.org", ...grab }], ["POST", "/auth/invitations", { email: "x@example.org", ...grab }],
      ["PATCH", `/api/v1/users/${me.user_id}`, { display_name: "G", ...grab }], ["PUT", `/api/v1/users/${me.user_id}`, { display_name: "G", ...grab }],
      ["POST", "/api/v1/posts", { title: "x", ...grab }], ["POST", "/auth/refresh", { refresh_token: me.refresh_token, ...grab }],
      ["POST", "/auth/account/restore", grab], ["POST", "/auth/mfa/totp", grab], ["POST", "/auth/verify/resend", { email: "grab@example.org", ...grab }],
    ];
    for (const [method, target, given] of routes) {
      await on(method, target, { ...bearer(me), "content-type": method === "PATCH" ? "application/merge-patch+json" : "application/json" }, JSON.stringify(given));
      assert.deepEqual(await roles(), [], `${method} ${target}`);
    }
    assert.equal(await status("GET", "/api/v1/audit", bearer(me)), 403);
  });

  it("are not given on by who has not got them", async () => {
    const host = await signUp(server);
    role(host, "--role", "host", "--role", "moderator");
    const invite = (headers, roles) => on("POST", "/auth/invitations", headers, { email: "guest@example.org", roles });
    const until = Date.now() + 30_000;
    while ((await invite(bearer(host), ["admin"])).status === 403) assert.ok(Date.now() < until, "the role never held");
    const refused = await invite(bearer(host), ["moderator", "admin", "nobody"]);
    assert.equal(refused.status, 422);
    assert.deepEqual(refused.body.errors.map((e) => [e.pointer, e.code]), [["/roles/1", "denied"], ["/roles/2", "enum"]]);
    assert.equal((await invite(key("--role", "admin", "--scope", "purlin:invite"), ["moderator"])).status, 422);
    for (const [headers, roles] of [[bearer(host), ["moderator"]], [bearer(host), []], [key("--role", "admin"), ["admin"]]])
      assert.notEqual((await invite(headers, roles)).status, 422, JSON.stringify(roles));
  });

  it("that do not exist are refused where they are given", () => {
    for (const [args, words] of [
      [["key", "create", "--name", "k", "--role", "moderater"], /declares no role moderater\. Did you mean `moderator`\?/],
      [["key", "create", "--name", "k", "--role", "reader", "--scope", "posts:reed"], /no permission posts:reed\. Did you mean `posts:read`\?/],
      [["user", "create", "new@example.org", "--role", "boss", "--profile", '{"display_name":"N"}'], /declares no role boss/],
      [["client", "create", "c", "--scope", "posts:write"], /no permission posts:write\./],
    ]) {
      const result = run(...args);
      assert.equal(result.code, 1, args.join(" "));
      assert.match(result.stderr, words);
    }
  });
});

test("names of nothing are found before the start, each with its place", (t) => {
  const folder = temporaryFolder(t);
  const good = contracts.posts.replace('can("posts:update")', 'can("post:update")').replace('"frozen"', '"frosen"');
  const env2 = environment(folder, writeContracts(folder, { ...contracts, posts: good }));
  const file = path.join(folder, "purlin.yaml");
  writeFileSync(file, config.replace("shops:stock, ", "shop:stock, ").replace('"posts:update"] }\n    - { id: service', '"posts:updat"] }\n    - { id: service'));
  const { code, stderr } = runPurlin(["check", "--config", file], { env: env2 });
  assert.equal(code, 2);
  assert.match(stderr, /purlin\.yaml:5:\d+: roles\.keeper\.permissions: there is no permission `shop:stock`\. Did you mean `shops:stock`\?/);
  assert.match(stderr, /posts\.yaml:8:34: rules\.update: there is no permission `post:update`\. Did you mean `posts:update`\?/);
  assert.match(stderr, /posts\.yaml:9:\d+: rules\.delete: there is no role `frosen`\. Did you mean `frozen`\?/);
  assert.match(stderr, /the client web has a scope `posts:updat`, which is neither declared nor a permission\. Did you mean `posts:update`\?/);
  writeFileSync(file, config.replace("tidy: {", '"posts:create": {').replace(/\btidy\b/g, '"posts:create"'));
  assert.match(runPurlin(["check", "--config", file], { env: environment(folder, writeContracts(folder, contracts)) }).stderr, /`posts:create` is a permission and stands for itself/);
});
