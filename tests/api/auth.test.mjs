/*
 * tests/api/auth.test.mjs - Signing up, in and out; tokens as jose verifies them, their refresh, and what ends them.
 */
import assert from "node:assert/strict";
import net from "node:net";
import { after, before, describe, it } from "node:test";
import * as jose from "jose";
import { auth, bearer, cookieHeader, cookiesOf, freshEmail, get, login, password, people, signUp } from "../support/auth.mjs";
import { adminKey, environment, runPurlin, startPurlin, temporaryFolder, writeContracts } from "../support/purlin.mjs";

const cheap = { PURLIN_AUTH_PASSWORD_MEMORY: "8MiB", PURLIN_AUTH_PASSWORD_PASSES: "1" };
const start = (t, env = {}) => startPurlin(t, { contracts: people, env: { ...cheap, ...env } });

/* Revocation acts within five seconds everywhere. */
async function until(what) {
  for (let i = 0; i < 250; i++) {
    const found = await what();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail("it took longer than five seconds");
}

async function note(server, tokens, text) {
  const answer = await fetch(`${server.url}/api/v1/notes`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...bearer(tokens) },
    body: JSON.stringify({ text }),
  });
  const body = await answer.text();
  return { status: answer.status, body: body && JSON.parse(body) };
}

describe("signing up and in", () => {
  let server;
  const ends = [];
  before(async () => (server = await start({ after: (fn) => ends.push(fn) })));
  after(async () => { for (const fn of ends.reverse()) await fn(); });

  it("makes a person of the contract, whose rules then hold for them", async () => {
    const ada = await signUp(server, { name: "Ada" }), bob = await signUp(server, { name: "Bob" });
    assert.equal(ada.token_type, "Bearer");
    assert.equal(ada.expires_in, 900);
    const row = await get(server, `/api/v1/users/${ada.user_id}`);
    assert.equal(row.body.display_name, "Ada");
    assert.equal(row.body.email, undefined);
    const made = await note(server, ada, "mine");
    assert.equal(made.status, 201);
    assert.equal(made.body.owner, ada.user_id);
    assert.equal((await get(server, `/api/v1/notes/${made.body.id}`, bearer(ada))).status, 200);
    assert.equal((await get(server, `/api/v1/notes/${made.body.id}`, bearer(bob))).status, 404);
    assert.equal((await get(server, `/api/v1/notes/${made.body.id}`)).status, 401, "somebody may read notes, nobody may not");
    const me = await get(server, "/auth/me", bearer(ada));
    assert.deepEqual([me.body.id, me.body.email, me.body.roles], [ada.user_id, ada.email, []]);
    assert.match(me.headers.get("cache-control"), /no-store/);
  });

  it("tells all that is wrong at once", async () => {
    const { status, body } = await auth(server, "signup", { email: "nobody", password: "short", profile: { display_name: "", karma: 5, rank: 1 } });
    assert.equal(status, 422);
    const wrong = Object.fromEntries(body.errors.map((e) => [e.pointer, e.code]));
    assert.deepEqual(wrong, { "/email": "format", "/password": "too_short", "/profile/display_name": "too_short", "/profile/karma": "read_only", "/profile/rank": "unknown_field" });
    for (const bad of ["a@b@c", "@b.org", "a@", "a b@c.org", "a@-b.org", '"a"@b.org', "a@b..org", `${"a".repeat(65)}@b.org`, `a@${"b".repeat(250)}.org`])
      assert.equal((await auth(server, "signup", { email: bad, password, profile: { display_name: "x" } })).status, 422, bad);
    assert.equal((await auth(server, "signup", { email: freshEmail(), password: "password123", profile: { display_name: "x" } })).body.errors[0].code, "too_common");
    assert.equal((await auth(server, "login", { email: 5, password: ["x"] })).body.errors.length, 2);
    assert.equal((await auth(server, "login", [])).status, 400);
  });

  it("an address has one account, however it is written", async () => {
    const ada = await signUp(server, { email: `Case.${freshEmail()}` });
    const again = await auth(server, "signup", { email: ada.email.toUpperCase(), password, profile: { display_name: "x" } });
    assert.equal(again.status, 409);
    assert.equal(again.body.errors[0].code, "taken");
    assert.equal((await login(server, `  ${ada.email.toLowerCase()} `)).status, 200);
  });

  it("roles cannot be had by asking for them", async () => {
    const { status, body } = await auth(server, "signup", { email: freshEmail(), password, roles: ["admin"], role: "admin", profile: { display_name: "x" } });
    assert.equal(status, 201);
    assert.deepEqual(jose.decodeJwt(body.access_token).roles, []);
    assert.deepEqual((await get(server, "/auth/me", bearer(body))).body.roles, []);
    const profile = await auth(server, "signup", { email: freshEmail(), password, profile: { display_name: "x", roles: ["admin"] } });
    assert.equal(profile.status, 422);
  });

  it("a wrong password and an unknown address are answered alike", async () => {
    const ada = await signUp(server);
    const wrong = await login(server, ada.email, "not the password"), unknown = await login(server, freshEmail());
    const shape = ({ status, body }) => ({ status, ...body, request_id: 0, trace_id: 0 });
    assert.deepEqual(shape(wrong), shape(unknown));
    assert.equal(wrong.status, 401);
  });

  it("jose verifies the token by the published keys", async () => {
    const ada = await signUp(server);
    const keys = jose.createRemoteJWKSet(new URL(`${server.url}/.well-known/jwks.json`));
    const { payload, protectedHeader } = await jose.jwtVerify(ada.access_token, keys, { issuer: server.url, audience: server.url, typ: "at+jwt", algorithms: ["ES256"] });
    assert.equal(payload.sub, ada.user_id);
    assert.equal(payload.sid, ada.session_id);
    assert.deepEqual(payload.amr, ["pwd"]);
    assert.ok(protectedHeader.kid);
    const jwks = await (await fetch(`${server.url}/.well-known/jwks.json`)).json();
    assert.ok(jwks.keys.every((key) => key.d === undefined && key.use === "sig"));
  });

  it("a token that was changed, cut off or made up is refused with the reason to refresh", async () => {
    const { access_token: token } = await signUp(server);
    const [head, body, signature] = token.split(".");
    const flipped = signature[10] === "A" ? "B" : "A";
    const none = Buffer.from('{"alg":"none","typ":"at+jwt"}').toString("base64url");
    for (const bad of [`${head}.${body}.${signature.slice(0, 10)}${flipped}${signature.slice(11)}`, `${head}.${body}`, `${none}.${body}.`, `${head}.${body}.`, "x", "a.b.c", "x".repeat(9000)]) {
      const answer = await get(server, "/api/v1/users", bearer(bad));
      assert.ok([401, 431].includes(answer.status), bad);
      if (answer.status === 401) assert.match(answer.headers.get("www-authenticate"), /^Bearer realm="purlin", error="invalid_token"$/);
    }
    assert.equal((await get(server, "/api/v1/users", bearer(adminKey))).status, 200, "the bootstrap key still is one");
    assert.equal((await get(server, "/api/v1/users", { "X-API-Key": "wrong" })).status, 401);
  });

  it("sessions are listed, and ended one by one or all but this", async () => {
    const ada = await signUp(server), bob = await signUp(server);
    const [second, third] = [(await login(server, ada.email)).body, (await login(server, ada.email)).body];
    const list = async (who) => (await get(server, "/auth/sessions", bearer(who))).body.data;
    assert.equal((await list(ada)).length, 3);
    assert.equal((await list(ada)).filter((s) => s.current).length, 1);
    assert.equal((await get(server, `/auth/sessions/${ada.session_id}`, bearer(bob), "DELETE")).status, 404, "somebody else's is not there");
    assert.equal((await get(server, `/auth/sessions/${second.session_id}`, bearer(ada), "DELETE")).status, 204);
    assert.equal((await get(server, "/auth/me", bearer(second))).status, 401);
    assert.equal((await auth(server, "refresh", { refresh_token: second.refresh_token })).status, 401);
    assert.deepEqual((await get(server, "/auth/sessions", bearer(ada), "DELETE")).body, { ended: 1 });
    assert.equal((await get(server, "/auth/me", bearer(third))).status, 401);
    assert.equal((await get(server, "/auth/me", bearer(ada))).status, 200);
    assert.equal((await auth(server, "logout", undefined, bearer(ada))).status, 204);
    assert.equal((await get(server, "/auth/me", bearer(ada))).status, 401);
    assert.equal((await get(server, "/auth/me")).status, 401);
  });

  it("a person who deletes their row is signed out of everything they come back with", async () => {
    const ada = await signUp(server);
    assert.equal((await get(server, "/auth/me", bearer(ada))).status, 200, "and the token is cached");
    assert.equal((await get(server, `/api/v1/users/${ada.user_id}`, bearer(ada), "DELETE")).status, 204);
    await until(async () => (await get(server, "/auth/me", bearer(ada))).status === 401);
    assert.equal((await auth(server, "refresh", { refresh_token: ada.refresh_token })).status, 401);
    assert.equal((await login(server, ada.email)).status, 403);
  });
});

describe("refreshing", () => {
  it("50 at once of one token are one family, and nobody is signed out", async (t) => {
    const server = await start(t);
    const ada = await signUp(server);
    const answers = await Promise.all(Array.from({ length: 50 }, () => auth(server, "refresh", { refresh_token: ada.refresh_token })));
    assert.deepEqual([...new Set(answers.map((a) => a.status))], [200]);
    assert.equal(new Set(answers.map((a) => a.body.refresh_token)).size, 1, "all get the same successor");
    const next = answers[0].body;
    assert.notEqual(next.refresh_token, ada.refresh_token);
    assert.equal((await get(server, "/auth/me", bearer(next))).status, 200);
    assert.equal((await auth(server, "refresh", { refresh_token: next.refresh_token })).status, 200);
    assert.equal((await get(server, "/auth/sessions", bearer(next))).body.data.length, 1);
  });

  it("an old token that comes again ends the session, for whoever has it", async (t) => {
    const server = await start(t);
    const ada = await signUp(server);
    let tokens = ada;
    for (let i = 0; i < 2; i++) tokens = (await auth(server, "refresh", { refresh_token: tokens.refresh_token })).body;
    assert.equal((await get(server, "/auth/me", bearer(tokens))).status, 200);
    const reused = await auth(server, "refresh", { refresh_token: ada.refresh_token });
    assert.equal(reused.status, 401);
    assert.equal((await auth(server, "refresh", { refresh_token: tokens.refresh_token })).status, 401);
    assert.equal((await get(server, "/auth/me", bearer(tokens))).status, 401, "at once");
    await until(() => server.log.some((line) => line.msg === "identity.refresh_reused" && line.user === ada.user_id));
  });

  it("a lost answer may be asked for again, until its tokens were seen", async (t) => {
    const server = await start(t, { PURLIN_AUTH_REFRESH_GRACE: "1s" });
    const ada = await signUp(server);
    const lost = (await auth(server, "refresh", { refresh_token: ada.refresh_token })).body;
    await new Promise((resolve) => setTimeout(resolve, 1200));
    const again = await auth(server, "refresh", { refresh_token: ada.refresh_token });
    assert.equal(again.status, 200);
    assert.equal(again.body.refresh_token, lost.refresh_token);
    assert.equal((await get(server, "/auth/me", bearer(again.body))).status, 200); // now it was seen
    assert.equal((await auth(server, "refresh", { refresh_token: ada.refresh_token })).status, 401);
    assert.equal((await auth(server, "refresh", { refresh_token: again.body.refresh_token })).status, 401);
  });

  it("what is no refresh token of ours is refused, and ends nothing", async (t) => {
    const server = await start(t);
    const ada = await signUp(server);
    const flip = (text, at) => text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1);
    for (const bad of [flip(ada.refresh_token, 80), flip(ada.refresh_token, 20), ada.refresh_token.slice(0, -1), `${ada.refresh_token}A`, ada.access_token, "x", "purlin_refresh_"])
      assert.ok([401, 422].includes((await auth(server, "refresh", { refresh_token: bad })).status), bad);
    assert.equal((await auth(server, "refresh", { refresh_token: ada.refresh_token })).status, 200);
  });

  it("outlives a restart and a new secret, as access tokens do", async (t) => {
    const folder = temporaryFolder(t);
    const [one, two] = ["first-installation-key-0001", "second-installation-key-002"];
    const first = await startPurlin(t, { contracts: people, folder, env: { ...cheap, PURLIN_SECRET: one, PURLIN_AUTH_ISSUER: "http://issuer.test" } });
    const ada = await signUp(first);
    await first.stop();
    const second = await startPurlin(t, { contracts: people, folder, env: { ...cheap, PURLIN_SECRET: two, PURLIN_SECRET_PREVIOUS: one, PURLIN_AUTH_ISSUER: "http://issuer.test" } });
    assert.equal((await get(second, "/auth/me", bearer(ada))).status, 200);
    const next = await auth(second, "refresh", { refresh_token: ada.refresh_token });
    assert.equal(next.status, 200);
    await until(() => second.log.some((line) => line.msg === "identity.key_resealed"));
    await second.stop();
    const third = await startPurlin(t, { contracts: people, folder, env: { ...cheap, PURLIN_SECRET: two, PURLIN_AUTH_ISSUER: "http://issuer.test" } });
    assert.equal((await auth(third, "refresh", { refresh_token: next.body.refresh_token })).status, 200);
  });
});

describe("browser sessions", () => {
  it("are a cookie that no script reads, with CSRF protection", async (t) => {
    const server = await start(t);
    const ada = await signUp(server);
    const planted = { Cookie: "__Host-purlin_session=purlin_session_planted" };
    const answer = await auth(server, "login", { email: ada.email, password, cookie: true }, planted);
    assert.equal(answer.status, 200);
    assert.equal(answer.body.access_token, undefined);
    const jar = cookiesOf(answer);
    const session = jar["__Host-purlin_session"];
    assert.notEqual(session.value, "purlin_session_planted", "no session that somebody else chose");
    for (const attribute of ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"]) assert.ok(session.attributes.includes(attribute), attribute);
    assert.equal((await get(server, "/auth/me", cookieHeader(jar))).status, 200);
    const change = (headers) => fetch(`${server.url}/api/v1/notes`, { method: "POST", headers: { "Content-Type": "application/json", ...cookieHeader(jar), ...headers }, body: '{"text":"x"}' });
    assert.equal((await change({})).status, 403);
    assert.equal((await change({ "X-CSRF-Token": answer.body.csrf_token, Origin: "https://evil.example" })).status, 403);
    assert.equal((await change({ "X-CSRF-Token": answer.body.csrf_token })).status, 201);
    const out = await auth(server, "logout", undefined, { ...cookieHeader(jar), "X-CSRF-Token": answer.body.csrf_token });
    assert.equal(out.status, 204);
    assert.equal(cookiesOf(out)["__Host-purlin_session"].value, "");
    assert.equal((await get(server, "/auth/me", cookieHeader(jar))).status, 401);
    assert.equal((await get(server, "/api/v1/users", cookieHeader(jar))).status, 200, "whose cookie is over is nobody, not refused");
  });

  it("cannot be begun by a page of another site", async (t) => {
    const server = await start(t);
    const ada = await signUp(server);
    for (const headers of [{ Origin: "https://evil.example" }, { "Sec-Fetch-Site": "cross-site" }]) {
      const json = await auth(server, "login", { email: ada.email, password, cookie: true }, headers);
      assert.equal(json.status, 403);
      const form = await fetch(`${server.url}/auth/login`, { method: "POST", headers, body: new URLSearchParams({ email: ada.email, password }) });
      assert.equal(form.status, 403);
    }
  });
});

describe("guessing", () => {
  it("gets slower by account, and does not lock its owner out", async (t) => {
    const server = await start(t);
    const ada = await signUp(server);
    let throttled;
    for (let i = 0; i < 12 && !throttled; i++) {
      const answer = await login(server, ada.email, `guess ${i} of some`);
      if (answer.status === 429) throttled = { i, answer };
      else assert.equal(answer.status, 401);
    }
    assert.ok(throttled.i >= 5, `${throttled.i} were free`);
    assert.ok(Number(throttled.answer.headers.get("retry-after")) >= 1);
    assert.equal((await login(server, ada.email)).status, 429, "a stranger waits, even with the password");
    const owner = await login(server, ada.email, password, { device: ada.device });
    assert.equal(owner.status, 200, "a device that was here before does not");
    assert.equal((await login(server, freshEmail())).status, 401, "nor does somebody else");
  });

  it("a hundred at once are a hundred", async (t) => {
    const server = await start(t, { PURLIN_AUTH_PASSWORD_QUEUE: "1000" });
    const ada = await signUp(server);
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => login(server, ada.email, `guess ${i} of some`)));
    assert.equal(answers.filter((a) => a.status === 401).length, 5);
    assert.equal(answers.filter((a) => a.status === 429).length, 95);
  });
});

describe("a stop", () => {
  it("while passwords of people who have gone are being hashed is clean", async (t) => {
    for (let i = 0; i < 4; i++) {
      /* Slow hashes, so that they are under way when everything else has ended. */
      const server = await startPurlin(t, { contracts: people, env: { PURLIN_AUTH_PASSWORD_MEMORY: "256MiB", PURLIN_AUTH_PASSWORD_PASSES: "3" } });
      const sockets = Array.from({ length: 4 }, () => {
        const body = JSON.stringify({ email: freshEmail(), password });
        const socket = net.connect(server.port, "127.0.0.1", () =>
          socket.write(`POST /auth/login HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`));
        return socket.on("error", () => {});
      });
      await new Promise((resolve) => setTimeout(resolve, 150 + 50 * i));
      for (const socket of sockets) socket.destroy();
      const { code, signal } = await server.stop();
      assert.deepEqual([code, signal], [0, null], server.stderr);
    }
  });
});

describe("purlin user", () => {
  it("makes the first administrator, and changes people while the server runs", async (t) => {
    const folder = temporaryFolder(t);
    const env = { ...cheap, PURLIN_SECRET: "an-installation-key-0123" };
    const tool = (...args) => runPurlin(["user", ...args], { env: environment(folder, writeContracts(folder, people), env), input: args.includes("--password-stdin") ? `${password}!\n` : undefined });
    const made = tool("create", "root@example.org", "--role", "admin", "--profile", '{"display_name":"Root"}', "--json");
    assert.equal(made.code, 0, made.stderr);
    const root = JSON.parse(made.stdout);
    const server = await startPurlin(t, { contracts: people, folder, env });
    const tokens = (await login(server, root.email, root.password)).body;
    assert.deepEqual(jose.decodeJwt(tokens.access_token).roles, ["admin"]);
    const created = await fetch(`${server.url}/api/v1/users`, { method: "POST", headers: { "Content-Type": "application/json", ...bearer(tokens) }, body: '{"display_name":"By an admin"}' });
    assert.equal(created.status, 201);

    assert.equal(tool("role", root.email, "--role", "moderator", "--remove", "admin").stdout.trim(), 'root@example.org ["moderator"]');
    await until(async () => (await get(server, "/auth/me", bearer(tokens))).body.roles?.[0] === "moderator");
    assert.equal(tool("disable", root.email).code, 0);
    await until(async () => (await get(server, "/api/v1/users", bearer(tokens))).status === 401);
    assert.equal((await login(server, root.email, root.password)).status, 403);
    assert.equal(tool("enable", root.email).code, 0);
    assert.equal(tool("password", root.email, "--password-stdin").code, 0);
    assert.equal((await login(server, root.email, root.password)).status, 401);
    assert.equal((await login(server, root.email, `${password}!`)).status, 200);
  });

  it("is not needed in development: the first start tells an administrator's password, once", async (t) => {
    const folder = temporaryFolder(t);
    const options = { contracts: people, folder, env: { ...cheap, PURLIN_ADMIN_KEY: "" } };
    const server = await startPurlin(t, options);
    const told = await until(() => /password {2}(\S+)/.exec(server.stderr));
    const tokens = (await login(server, "admin@example.com", told[1])).body;
    assert.deepEqual(jose.decodeJwt(tokens.access_token).roles, ["admin"]);
    assert.ok(!server.log.some((line) => JSON.stringify(line).includes(told[1])), "not in the log");
    await server.stop();
    const again = await startPurlin(t, options);
    assert.equal((await login(again, "admin@example.com", told[1])).status, 200);
    await again.stop();
    assert.doesNotMatch(again.stderr, /password/);
  });

  it("says what is wrong", async (t) => {
    const folder = temporaryFolder(t);
    const env = environment(folder, writeContracts(folder, people), cheap);
    const tool = (...args) => runPurlin(["user", ...args], { env });
    assert.equal(tool().code, 2);
    assert.match(tool("role", "a@b.org").stderr, /say which roles/);
    assert.match(tool("disable", "nobody@example.org").stderr, /no account with the address nobody@example\.org/);
    assert.match(tool("create", "nobody").stderr, /nobody is no e-mail address/);
    assert.match(tool("create", "a@example.org").stderr, /display_name/);
    assert.match(tool("create", "a@example.org", "--profile", "{").stderr, /--profile must be a JSON object/);
    assert.match(tool("create", "a@example.org", "--profile", '{"display_name":"x"}', "--role", "Not A Role").stderr, /A role is named by/);
    assert.equal(tool("create", "a@example.org", "--profile", '{"display_name":"x"}').code, 0);
    assert.match(tool("create", "A@example.org", "--profile", '{"display_name":"x"}').stderr, /already/);
  });
});

describe("signing keys", () => {
  it("rotate by plan without a wrong 401, and at once with every token void", async (t) => {
    const folder = temporaryFolder(t);
    const env = { ...cheap, PURLIN_SECRET: "an-installation-key-0123" };
    const server = await startPurlin(t, { contracts: people, folder, env });
    const tool = (args, input) => runPurlin(args, { env: environment(folder, writeContracts(folder, people), env), input });
    const ada = await signUp(server);
    const jwks = async () => (await get(server, "/.well-known/jwks.json")).body.keys.map((key) => key.kid);
    const before = await jwks();
    assert.equal(tool(["keys", "rotate"]).code, 0);
    assert.match(tool(["keys", "rotate"]).stderr, /rotation|key/i, "one at a time");
    assert.equal((await get(server, "/auth/me", bearer(ada))).status, 200);
    const good = JSON.parse(tool(["token", "inspect", ada.access_token]).stdout);
    assert.deepEqual([good.valid, good.session, good.claims.sub, good.header.alg], [true, "active", ada.user_id, "ES256"]);
    const bad = JSON.parse(tool(["token", "inspect"], `${ada.access_token}x\n`).stdout);
    assert.deepEqual([bad.valid, typeof bad.reason, bad.claims.sub], [false, "string", ada.user_id]);
    assert.equal(JSON.parse(tool(["token", "inspect", "nonsense"]).stdout).header, null);

    assert.equal(tool(["keys", "rotate", "--now"]).code, 0);
    await until(async () => (await get(server, "/auth/me", bearer(ada))).status === 401);
    const next = await auth(server, "refresh", { refresh_token: ada.refresh_token });
    assert.equal(next.status, 200, "the session goes on");
    await until(async () => !(await jwks()).some((kid) => before.includes(kid)));
    const again = await auth(server, "refresh", { refresh_token: next.body.refresh_token });
    assert.equal((await get(server, "/auth/me", bearer(again.body))).status, 200);
    assert.equal(tool(["keys"]).code, 2);
    assert.equal(tool(["token"]).code, 2);
  });
});

describe("API keys", () => {
  it("have their owner's rights, from where they may be used, until they are revoked", async (t) => {
    const folder = temporaryFolder(t);
    const env = { ...cheap, PURLIN_SECRET: "an-installation-key-0123" };
    const server = await startPurlin(t, { contracts: people, folder, env });
    const ada = await signUp(server);
    await note(server, ada, "mine");
    const tool = (...args) => runPurlin(["key", ...args], { env: environment(folder, writeContracts(folder, people), env) });
    const made = tool("create", "--name", "script", "--user", ada.user_id, "--json");
    assert.equal(made.code, 0, made.stderr);
    const { id, secret } = JSON.parse(made.stdout);
    for (const headers of [{ "X-API-Key": secret }, bearer(secret)]) {
      const list = await get(server, "/api/v1/notes", headers);
      assert.deepEqual([list.status, list.body.data?.length], [200, 1]);
      assert.equal((await get(server, "/auth/me", headers)).body.id, ada.user_id);
    }
    const there = JSON.parse(tool("create", "--name", "elsewhere", "--user", ada.user_id, "--address", "192.0.2.0/24", "--json").stdout);
    for (let i = 0; i < 2; i++) assert.equal((await get(server, "/api/v1/notes", bearer(there.secret))).status, 401, "also from the cache");
    const service = JSON.parse(tool("create", "--name", "service", "--role", "admin", "--json").stdout);
    const created = await fetch(`${server.url}/api/v1/users`, { method: "POST", headers: { "Content-Type": "application/json", ...bearer(service.secret) }, body: '{"display_name":"By a service"}' });
    assert.equal(created.status, 201);
    assert.equal((await get(server, "/auth/me", bearer(service.secret))).status, 401, "nobody is signed in by it");
    /* Scopes are what it may do of what its owner may; the row that it may not see is not there for it. */
    const scoped = (...scopes) => JSON.parse(tool("create", "--name", "scoped", "--user", ada.user_id, ...scopes.flatMap((scope) => ["--scope", scope]), "--json").stdout).secret;
    const write = async (key) => (await note(server, key, "by key")).status;
    const read = async (key) => (await get(server, "/api/v1/notes", bearer(key))).status;
    const rows = [[["notes:read"], 200, 403], [["notes:*"], 200, 201], [["*:read"], 200, 403], [["*"], 200, 201], [["notes:create"], 403, 201], [["users:read"], 403, 403]];
    for (const [scopes, may_read, may_write] of rows) {
      const key = scoped(...scopes);
      assert.deepEqual([await read(key), await write(key)], [may_read, may_write], scopes.join());
      assert.equal((await get(server, "/auth/sessions", bearer(key))).status, 403);
    }
    const mine = (await get(server, "/api/v1/notes", bearer(ada))).body.data[0].id, reader = scoped("users:read");
    for (const way of [`/api/v1/notes/${mine}`, "/api/v1/notes?count=exact", "/api/v1/notes/export"]) assert.notEqual((await get(server, way, bearer(reader))).status, 200, way);
    assert.deepEqual((await get(server, `/api/v1/users?filter=${encodeURIComponent("exists(notes, owner == id)")}`, bearer(reader))).body.data ?? [], [], "nor by a filter");
    assert.equal((await get(server, `/api/v1/notes/${mine}?expand=owner`, bearer(scoped("notes:read")))).body.owner?.display_name, undefined, "nor by expanding");
    assert.equal(tool("revoke", id).code, 0);
    await until(async () => (await get(server, "/api/v1/notes", bearer(secret))).status === 401);
  });
});

describe("the audit log", () => {
  it("has what was done, by whom, and is whole", async (t) => {
    const folder = temporaryFolder(t);
    const env = { ...cheap, PURLIN_SECRET: "an-installation-key-0123" };
    const server = await startPurlin(t, { contracts: people, folder, env });
    const ada = await signUp(server);
    await login(server, ada.email, "not the password");
    await auth(server, "logout", undefined, bearer(ada));
    const wanted = ["account.created", "login.succeeded", "login.failed", "logout"];
    await until(async () => {
      const { body } = await get(server, `/api/v1/audit?user=${ada.user_id}`, { "X-API-Key": adminKey });
      const acts = body.data.map((row) => row.act);
      return wanted.every((act) => acts.includes(act));
    });
    assert.equal((await get(server, "/api/v1/audit")).status, 401);
    await server.stop();
    const verified = runPurlin(["audit", "verify"], { env: environment(folder, writeContracts(folder, people), env) });
    assert.equal(verified.code, 0, verified.stderr + verified.stdout);
  });
});
