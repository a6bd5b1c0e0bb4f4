/*
 * Acting as another person: who may, as whom, for how long, what is forbidden meanwhile, and what tells of it.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { auth, bearer, get, password, people, signUp } from "../support/auth.mjs";
import { sql } from "../support/otp.mjs";
import { Browser, redirect, request, webSecret } from "../support/oauth.mjs";
import { adminKey, environment, runPurlin, startPurlin } from "../support/purlin.mjs";

const config = `
roles:
  support: { permissions: [purlin:impersonate], includes: [helper] }
  helper: {}
  auditor: { permissions: [purlin:audit] }
oauth:
  clients:
    - { id: web, name: Web, secret: ${webSecret}, redirect_uris: ["${redirect}"], scopes: [openid, "*"] }
`;
const cheap = { PURLIN_AUTH_PASSWORD_MEMORY: "8MiB", PURLIN_AUTH_PASSWORD_PASSES: "1", PURLIN_SECRET: "a-secret-of-the-tests-0123456789" };
const reason = "Ticket 4711: sees no notes";
const claims = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());
const same = (server) => ({ "Sec-Fetch-Site": "same-origin", Origin: server.url });

async function start(t, env = {}) {
  const server = await startPurlin(t, { contracts: people, config, env: { ...cheap, ...env } });
  server.tool = (...args) => {
    const result = runPurlin([...args, "--config", path.join(server.folder, "purlin.yaml")], { env: environment(server.folder, server.contractsFolder, { ...cheap, ...env }) });
    assert.equal(result.code, 0, result.stderr);
    return result.stdout;
  };
  server.person = async (...roles) => {
    const person = await signUp(server);
    if (roles.length) server.tool("user", "role", person.email, ...roles.flatMap((role) => ["--role", role]));
    const again = roles.length ? (await auth(server, "login", { email: person.email, password })).body : person;
    return { ...person, ...again };
  };
  server.impersonate = (who, body) => auth(server, "impersonate", body, bearer(who));
  server.acts = async (act) => (await (await fetch(`${server.url}/api/v1/audit?act=${act}&limit=100`, { headers: { "X-API-Key": adminKey } })).json()).data;
  return server;
}
async function until(check) {
  const end = Date.now() + 30_000;
  while (!(await check())) {
    assert.ok(Date.now() < end, "it never came to be");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe("acting as another person", () => {
  let server, ada, agent;
  const cleanups = [];
  before(async () => {
    server = await start({ after: (fn) => cleanups.push(fn) });
    [ada, agent] = [await server.person(), await server.person("support")];
    const note = await fetch(`${server.url}/api/v1/notes`, { method: "POST", headers: { "Content-Type": "application/json", ...bearer(ada) }, body: '{"text":"of Ada"}' });
    assert.equal(note.status, 201);
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  it("shows what they see, says who it is, and ends", async () => {
    const { status, body } = await server.impersonate(agent, { user: ada.email, reason });
    assert.equal(status, 201, JSON.stringify(body));
    const notes = await get(server, "/api/v1/notes", bearer(body));
    assert.deepEqual(notes.body.data.map((row) => row.text), ["of Ada"]);
    const me = (await get(server, "/auth/me", bearer(body))).body;
    assert.deepEqual([me.id, me.impersonated_by], [ada.user_id, agent.user_id]);
    assert.equal((await get(server, "/auth/me", bearer(ada))).body.impersonated_by, undefined);
    const said = claims(body.access_token);
    assert.deepEqual([said.sub, said.act, said.sid], [ada.user_id, { sub: agent.user_id }, body.session_id]);
    assert.ok(body.expires_in <= 900);
    /* Ada finds it among her sessions. */
    const row = (await get(server, "/auth/sessions", bearer(ada))).body.data.find((one) => one.id === body.session_id);
    assert.equal(row.impersonator, agent.user_id);
    const life = Date.parse(row.expires_at) - Date.parse(row.created_at);
    assert.equal(life, 15 * 60_000);
    /* A refresh makes it no longer. */
    const next = await auth(server, "refresh", { refresh_token: body.refresh_token });
    assert.equal(next.status, 200);
    assert.deepEqual(claims(next.body.access_token).act, { sub: agent.user_id });
    assert.equal((await get(server, "/auth/sessions", bearer(ada))).body.data.find((one) => one.id === body.session_id).expires_at, row.expires_at);
    assert.equal((await auth(server, "impersonate/end", undefined, bearer(body))).status, 204);
    assert.equal((await get(server, "/auth/me", bearer(body))).status, 401);
    assert.equal((await auth(server, "refresh", { refresh_token: next.body.refresh_token })).status, 401);
    assert.equal((await get(server, "/auth/me", bearer(agent))).body.id, agent.user_id);
    assert.equal((await auth(server, "impersonate/end", undefined, bearer(agent))).status, 409);
    const [began] = await server.acts("impersonation.began"), [ended] = await server.acts("impersonation.ended");
    assert.deepEqual([began.actor.id, began.subject.id, began.details.reason, began.details.session], [agent.user_id, ada.user_id, reason, body.session_id]);
    assert.deepEqual([ended.actor.id, ended.subject.id, ended.details.acting_as], [agent.user_id, ada.user_id, ada.user_id]);
  });

  it("forbids what is the person's alone", async () => {
    const acting = (await server.impersonate(agent, { user: ada.user_id, reason })).body;
    const ids = "01890a5d-ac96-774b-bcce-b302099a8057";
    for (const [method, target, body] of [
      ["POST", "/auth/password", { current: password, password: "another password of mine" }], ["POST", "/auth/password", { password: "another password of mine" }],
      ["POST", "/auth/email", { email: "other@example.org" }], ["DELETE", "/auth/account"], ["POST", "/auth/account/restore", {}],
      ["POST", "/auth/mfa/totp", {}], ["POST", "/auth/mfa/totp/confirm", { code: "000000" }], ["DELETE", "/auth/mfa/totp"], ["GET", "/auth/mfa"],
      ["POST", "/auth/mfa/recovery-codes", {}], ["POST", "/auth/step-up", { password }], ["POST", "/auth/passkeys/options", {}], ["GET", "/auth/passkeys"],
      ["POST", "/auth/passkeys", {}], ["PATCH", `/auth/passkeys/${ids}`, { name: "x" }], ["DELETE", `/auth/passkeys/${ids}`],
      ["DELETE", "/auth/sessions"], ["DELETE", `/auth/sessions/${ada.session_id}`], ["DELETE", "/auth/consents/web"],
      ["POST", "/auth/impersonate", { user: ada.email, reason }], ["POST", "/auth/invitations", { email: "x@example.org" }],
      ["DELETE", `/api/v1/users/${ada.user_id}`],
    ]) {
      const answer = await server.request(method, target, { headers: bearer(acting), body: body && JSON.stringify(body), ...(body ? { headers: { ...bearer(acting), "content-type": "application/json" } } : {}) });
      assert.equal(answer.status, 403, `${method} ${target}: ${answer.text}`);
    }
    const batch = await server.request("POST", "/api/v1/batch", { headers: { ...bearer(acting), "content-type": "application/json" }, body: JSON.stringify({ operations: [{ method: "DELETE", path: `/api/v1/users/${ada.user_id}` }] }) });
    assert.ok(batch.status !== 200 || !batch.body.results?.some((one) => one.status < 300), batch.text);
    assert.equal((await get(server, "/auth/me", bearer(ada))).status, 200, "Ada is still there");
    /* What a person does with the application is what it is for. */
    const note = await server.request("POST", "/api/v1/notes", { headers: { ...bearer(acting), "content-type": "application/json" }, body: '{"text":"by support"}' });
    assert.equal(note.status, 201);
  });

  it("is for who may, who proved it a moment ago, and has at least those rights", async () => {
    const cases = [
      [ada, { user: agent.email, reason }, 403, "http/denied"],
      [agent, { user: agent.email, reason }, 409, "identity/yourself"],
      [agent, { user: (await server.person("support")).email, reason }, 403, "identity/administrator"],
      [agent, { user: (await server.person("admin")).email, reason }, 403, "identity/administrator"],
      [agent, { user: (await server.person("auditor")).email, reason }, 403, "identity/more-rights"],
      [agent, { user: "nobody@example.org", reason }, 404, undefined], [agent, { user: "01890a5d-ac96-774b-bcce-b302099a8057", reason }, 404, undefined],
      [agent, { user: "no address", reason }, 404, undefined],
      [agent, { user: ada.email }, 422, undefined], [agent, { user: ada.email, reason: "short" }, 422, undefined], [agent, { user: ada.email, reason: "x".repeat(501) }, 422, undefined],
      [agent, { user: ada.email, reason: "          " }, 422, undefined], [agent, { reason }, 422, undefined], [agent, { user: 5, reason }, 422, undefined],
    ];
    for (const [who, body, status, type] of cases) {
      const answer = await server.impersonate(who, body);
      assert.equal(answer.status, status, `${JSON.stringify(body)}: ${JSON.stringify(answer.body)}`);
      if (type) assert.ok(answer.body.type.endsWith(type), answer.body.type);
    }
    const admin = await server.person("admin"), helper = await server.person("support", "auditor"), target = await server.person("auditor");
    assert.equal((await server.impersonate(admin, { user: target.email, reason })).status, 201);
    assert.equal((await server.impersonate(helper, { user: target.email, reason })).status, 201);
    assert.equal((await auth(server, "impersonate", { user: ada.email, reason })).status, 401);
    const key = JSON.parse(server.tool("key", "create", "--name", "k", "--user", agent.user_id, "--json")).secret;
    assert.equal((await auth(server, "impersonate", { user: ada.email, reason }, { "X-API-Key": key })).status, 403, "no key");
    assert.equal((await auth(server, "impersonate", { user: ada.email, reason }, { "X-API-Key": adminKey })).status, 401, "no key without a person");
    const stale = await server.person("support");
    sql(server.folder, `UPDATE purlin_sessions SET auth_at = auth_at - 3600000000 WHERE user_id = X'${stale.user_id.replaceAll("-", "")}'`);
    const asked = await server.impersonate(stale, { user: ada.email, reason });
    assert.deepEqual([asked.status, asked.body.type.split("/").pop()], [403, "step-up"]);
    assert.equal((await auth(server, "step-up", { password }, bearer(stale))).status, 200);
    assert.equal((await server.impersonate(stale, { user: ada.email, reason })).status, 201);
    const disabled = await server.person();
    server.tool("user", "disable", disabled.email);
    assert.equal((await server.impersonate(agent, { user: disabled.email, reason })).status, 409);
  });

  it("ends with the rights of who acts", async () => {
    for (const lose of [(email) => server.tool("user", "disable", email), (email) => server.tool("user", "role", email, "--remove", "support")]) {
      const other = await server.person("support");
      const acting = (await server.impersonate(other, { user: ada.email, reason })).body;
      assert.equal((await get(server, "/auth/me", bearer(acting))).status, 200);
      lose(other.email);
      await until(async () => (await get(server, "/auth/me", bearer(acting))).status === 401);
    }
    const acting = (await server.impersonate(agent, { user: ada.email, reason })).body;
    assert.equal((await server.request("DELETE", `/auth/sessions/${acting.session_id}`, { headers: bearer(ada) })).status, 204, "Ada may end it");
    await until(async () => (await get(server, "/auth/me", bearer(acting))).status === 401);
  });

  it("in a browser has a banner, and gives the own session back", async () => {
    const browser = new Browser(server);
    const home = await browser.signIn(await browser.go("/auth/login"), agent.email);
    assert.ok([200, 303].includes(home.status), home.text);
    const own = browser.jar.get("__Host-purlin_session");
    const act = (body, headers) => fetch(`${server.url}/auth/impersonate`, { method: "POST", headers: { Cookie: [...browser.jar].map((pair) => pair.join("=")).join("; "), "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) });
    assert.equal((await act({ user: ada.email, reason })).status, 403, "a page of another site may not");
    const answer = await act({ user: ada.email, reason }, { ...same(server), "X-CSRF-Token": browser.jar.get("__Host-purlin_csrf") });
    assert.equal(answer.status, 201);
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      assert.match(line, /; Path=\/; Secure/);
      browser.jar.set(name, value);
    }
    assert.notEqual(browser.jar.get("__Host-purlin_session"), own);
    const page = await browser.go("/auth/account");
    assert.match(page.text, new RegExp(`<div class="notice acting" role="status">\\s*<p>You act as <strong>${ada.email}</strong>`));
    const sessions = await browser.go("/auth/account/sessions");
    assert.match(sessions.text, /You act as/);
    /* No consent in their name. */
    const consent = await browser.authorize(request({ scope: "openid", redirect_uri: redirect }).query);
    assert.match(consent.text, /action="\/oauth\/login"/);
    const form = /<form method="post" action="(\/auth\/account\/acting)">\s*<input type="hidden" name="csrf" value="([^"]*)"/.exec(page.text);
    const refused = await browser.go(form[1], { method: "POST", form: { csrf: "" }, headers: same(server) });
    assert.equal(refused.status, 403);
    const end = await browser.go(form[1], { method: "POST", form: { csrf: form[2] }, headers: same(server) });
    assert.equal(end.status, 303);
    assert.equal(browser.jar.get("__Host-purlin_session"), own);
    assert.equal(browser.jar.has("__Host-purlin_own_session"), false);
    const back = await browser.go("/auth/account?done=yourself");
    assert.match(back.text, /You are yourself again/);
    assert.doesNotMatch(back.text, /You act as/);
    assert.match(back.text, new RegExp(agent.email));
  });
});

describe("acting as an administrator", () => {
  it("is possible only where it is configured, for a time that is", async (t) => {
    const server = await start(t, { PURLIN_AUTH_IMPERSONATE_ADMINS: "on", PURLIN_AUTH_IMPERSONATE_MAIL: "on", PURLIN_AUTH_IMPERSONATE: "1m" });
    const [root, other, agent] = [await server.person("admin"), await server.person("admin"), await server.person("support")];
    const acting = await server.impersonate(root, { user: other.email, reason });
    assert.equal(acting.status, 201);
    assert.ok(acting.body.expires_in <= 60);
    assert.equal((await server.impersonate(acting.body, { user: agent.email, reason })).status, 403, "not onward");
    assert.equal((await get(server, "/api/v1/audit", bearer(acting.body))).status, 200, "what they may otherwise");
    const box = path.join(server.folder, "mail");
    const told = () => existsSync(box) && readdirSync(box).map((name) => readFileSync(path.join(box, name), "utf8")).filter((raw) => raw.includes(other.email) && /^Subject: Somebody acts in your name/m.test(raw));
    await until(() => told()?.length === 1);
    assert.match(told()[0], /\/auth\/account\/sessions/);
    const more = await server.impersonate(agent, { user: other.email, reason });
    assert.deepEqual([more.status, more.body.type.split("/").pop()], [403, "more-rights"]);
  });
});
