/*
 * tests/api/account_pages.test.mjs - The pages of who is signed in: plain forms with a token of the session, which do what the API does, and
 * say what was done or what was wrong.
 */
import assert from "node:assert/strict";
import path from "node:path";
import { describe, it } from "node:test";
import { auth, bearer, freshEmail, get, login, password, signUp } from "../support/auth.mjs";
import { Browser, request, startOauth, tokensOf } from "../support/oauth.mjs";
import { sql, totp, wrongCode } from "../support/otp.mjs";
import { adminKey, environment, runPurlin, temporaryFolder } from "../support/purlin.mjs";

const title = (page) => /<h1>(.*?)<\/h1>/.exec(page.text)?.[1];
const alert = (page) => /<(p|div) class="alert" role="alert">([\s\S]*?)<\/\1>/.exec(page.text)?.[2].replace(/<[^>]*>/g, "").trim();
const notice = (page) => /<p class="notice" role="status">(.*?)<\/p>/.exec(page.text)?.[1];
const unescape = (text) => text.replace(/&(amp|lt|gt|quot|#39);/g, (_, name) => ({ amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" })[name]);

/* A person's browser: it fills in the form whose action ends so, and goes where it is led. */
class Person extends Browser {
  constructor(server, email = freshEmail()) {
    super(server);
    this.email = email;
  }

  async open(path) {
    let page = await this.go(path);
    for (let i = 0; page.location && i < 3; i++) page = { ...(await this.go(page.location.pathname + page.location.search)), at: page.location };
    return page;
  }

  async send(page, action, fields = {}, headers = { "Sec-Fetch-Site": "same-origin", Origin: this.server.url }) {
    const forms = [...page.text.matchAll(/<form method="post" action="([^"]*)">([\s\S]*?)<\/form>/g)];
    const [, target, body] = forms.find(([, path]) => path.endsWith(action)) ?? assert.fail(`no form to ${action} in ${page.text}`);
    const hidden = Object.fromEntries([...body.matchAll(/<input type="hidden" name="([^"]*)"[^>]*value="([^"]*)">/g)].map(([, name, value]) => [name, unescape(value)]));
    const answer = await this.go(target, { method: "POST", form: { ...hidden, ...fields }, headers });
    return answer.location ? { ...(await this.go(answer.location.pathname + answer.location.search)), at: answer.location } : answer;
  }

  async signIn(path = "/auth/account", secret = password) {
    const page = await this.open(path);
    return this.send(page, "/auth/login", { email: this.email, password: secret });
  }
}

async function signedIn(server, path) {
  const { email } = await signUp(server);
  const person = new Person(server, email);
  const page = await person.signIn(path);
  return { person, page, email };
}
const acts = async (server) => (await (await fetch(`${server.url}/api/v1/audit?limit=100`, { headers: { "X-API-Key": adminKey } })).json()).data;
async function eventually(read, is) {
  for (let i = 0; i < 500; i++) {
    const value = await read();
    if (is(value)) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail("it never came to be");
}

describe("the pages of an account", () => {
  it("lead through the sign-in to where one wanted to go, and nowhere else", async (t) => {
    const server = await startOauth(t);
    const { email } = await signUp(server);
    const person = new Person(server, email);
    const asked = await person.go("/auth/account/sessions");
    assert.deepEqual([asked.status, asked.location.pathname + asked.location.search], [303, "/auth/login?next=/auth/account/sessions"]);
    const page = await person.signIn("/auth/account/sessions");
    assert.deepEqual([page.at.pathname, title(page)], ["/auth/account/sessions", "Your devices"]);
    for (const next of ["https://evil.example/", "//evil.example", "/auth/account/../../evil", "/api/v1/users", "x".repeat(5000), "%00"]) {
      const other = new Person(server, email);
      const entry = await other.go(`/auth/login?next=${encodeURIComponent(next)}`);
      const done = await other.send(entry, "/auth/login", { email, password, next });
      assert.equal(done.at?.href, `${server.url}/auth/account`, next);
    }
  });

  it("list devices in words, and sign them out", async (t) => {
    const server = await startOauth(t);
    const { person, email, page: home } = await signedIn(server);
    assert.match(home.text, /1 is signed in|2 are signed in/);
    const agents = ["Mozilla/5.0 (Windows NT 10.0; rv:127.0) Gecko/20100101 Firefox/127.0", "curl/8.5.0", `<b>"x"</b>`];
    const phones = [];
    for (const agent of agents) phones.push((await auth(server, "login", { email, password }, { "User-Agent": agent })).body);
    let page = await person.go("/auth/account/sessions");
    for (const words of ["Firefox on Windows", "curl", "An unknown device", "From 127.0.0.1"]) assert.ok(page.text.includes(words), words);
    assert.ok(!page.text.includes("<b>"));
    assert.equal(page.text.match(/This device/g).length, 1);
    page = await person.send(page, `/auth/account/sessions/${phones[0].session_id}`);
    assert.equal(notice(page), "The device is signed out.");
    assert.ok(!page.text.includes("Firefox on Windows"));
    assert.equal((await get(server, "/auth/me", bearer(phones[0]))).status, 401);
    assert.equal((await get(server, "/auth/me", bearer(phones[1]))).status, 200);
    page = await person.send(page, "/account/sessions");
    assert.equal(notice(page), "All other devices are signed out.");
    assert.equal((await get(server, "/auth/me", bearer(phones[1]))).status, 401);
    assert.equal(page.text.match(/<li>/g).length, 1);
    page = await person.send(await person.go("/auth/account"), "/auth/account/logout");
    assert.deepEqual([page.at.pathname, notice(page)], ["/auth/login", "You are signed out."]);
    assert.equal((await person.go("/auth/account")).status, 303);
  });

  it("hold as many devices and apps as there are to be shown", async (t) => {
    const folder = temporaryFolder(t), server = await startOauth(t, { folder });
    const { person } = await signedIn(server);
    const agent = `${"<&\"'>".repeat(50)}`.slice(0, 250).replaceAll("'", "''");
    sql(folder, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250)
      INSERT INTO purlin_sessions (id, user_id, kind, methods, auth_at, created_at, seen_at, expires_at, cookie_digest, refresh_salt, address, agent, client_id)
      SELECT randomblob(16), user_id, 'tokens', 1, auth_at, created_at - i, seen_at, expires_at, NULL, randomblob(16), '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', '${agent}', NULL FROM purlin_sessions, n WHERE kind = 'cookie'`);
    const page = await person.go("/auth/account/sessions");
    assert.equal(page.status, 200);
    assert.equal(page.text.match(/<li>/g).length, 200);
    assert.ok((await person.go("/auth/account")).text.includes("200 are signed in"));
    const scopes = Array.from({ length: 32 }, (_, i) => `a.rather.long.name.of.a.scope.that.is.gone.${i}`).join(" ");
    sql(folder, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250)
      INSERT INTO purlin_oauth_consents (user_id, client_id, scope, granted_at)
      SELECT user_id, printf('%064d', i), '${scopes}', created_at FROM purlin_accounts, n`);
    const apps = await person.go("/auth/account/apps");
    assert.equal(apps.status, 200);
    assert.equal(apps.text.match(/>Disconnect</g).length, 200);
    const cookie = { Cookie: [...person.jar].map(([name, value]) => `${name}=${value}`).join("; ") };
    assert.equal((await get(server, "/auth/consents", cookie)).body.data.length, 200);
    assert.equal((await get(server, "/auth/sessions", cookie)).body.data.length, 200);
  });

  it("do nothing for a form that is not theirs", async (t) => {
    const server = await startOauth(t);
    const { person } = await signedIn(server), other = (await signedIn(server)).person;
    const ours = await person.go("/auth/account/sessions"), theirs = await other.go("/auth/account/password");
    const token = /name="csrf" value="([^"]*)"/;
    const good = token.exec((await person.go("/auth/account/password")).text)[1];
    const form = { current: password, password: "a whole new passphrase" };
    for (const [name, csrf, headers] of [
      ["none", undefined, {}],
      ["another session's", token.exec(theirs.text)[1], {}],
      ["made up", "A".repeat(76), {}],
      ["from another site", good, { "Sec-Fetch-Site": "cross-site", Origin: "https://evil.example" }],
    ]) {
      const answer = await person.go("/auth/account/password", { method: "POST", form: { ...form, ...(csrf ? { csrf } : {}) }, headers });
      assert.equal(answer.status, 403, name);
      assert.equal(title(answer), "This did not work", name);
    }
    const json = await fetch(`${server.url}/auth/account/password`, {
      method: "POST", headers: { "Content-Type": "application/json", Cookie: [...person.jar].map(([n, v]) => `${n}=${v}`).join("; ") }, body: JSON.stringify({ ...form, csrf: good }),
    });
    assert.equal(json.status, 403);
    assert.equal((await login(server, person.email)).status, 200, "the password is the old one");
    assert.equal(ours.status, 200);
    assert.match(ours.headers.get("content-security-policy"), /default-src 'none'.*frame-ancestors 'none'/);
    assert.match(ours.headers.get("cache-control"), /no-store/);
  });

  it("change the password and say what is wrong with one", async (t) => {
    const server = await startOauth(t);
    const { person } = await signedIn(server);
    const entry = await person.go("/auth/account/password");
    let page = await person.send(entry, "/auth/account/password", { current: "not this", password: "a whole new passphrase" });
    assert.deepEqual([page.status, alert(page)], [422, "Current password: Is not the current password."]);
    page = await person.send(page, "/auth/account/password", { current: password, password: "short" });
    assert.equal(page.status, 422);
    assert.match(alert(page), /^Password: /);
    page = await person.send(page, "/auth/account/password", { current: password, password: "a whole new passphrase" });
    assert.match(notice(page), /^Your password is changed/);
    assert.equal((await login(server, person.email, "a whole new passphrase")).status, 200);
  });

  it("set up an app, show recovery codes once, sign in with them, and remove the app", async (t) => {
    const server = await startOauth(t);
    const { person } = await signedIn(server);
    let page = await person.send(await person.go("/auth/account/totp"), "/auth/account/totp");
    const secret = /<p class="secret">(.*?)<\/p>/.exec(page.text)[1].replaceAll(" ", "");
    assert.match(page.text, /<svg class="qr" role="img" aria-label="[^"]+" viewBox="0 0 \d+ \d+"/);
    assert.ok(page.text.includes(`secret=${secret}&amp;`));
    assert.ok((await person.go("/auth/account/totp")).text.includes(`secret=${secret}&amp;`), "a reload shows the same one");
    page = await person.send(page, "/totp/confirm", { code: wrongCode(secret) });
    assert.equal(page.status, 400);
    assert.match(alert(page), /^The code is not the one/);
    page = await person.send(page, "/totp/confirm", { code: totp(secret) });
    const codes = [...page.text.matchAll(/<li>([0-9A-Z-]{19})<\/li>/g)].map(([, code]) => code);
    assert.deepEqual([title(page), codes.length], ["Your recovery codes", 10]);
    assert.ok(!(await person.go("/auth/account/recovery-codes")).text.includes(codes[0]));

    const again = new Person(server, person.email);
    page = await again.signIn("/auth/account/totp");
    assert.equal(title(page), "One step more");
    page = await again.send(page, "/auth/mfa", { code: "XXXX-XXXX-XXXX-XXXX" });
    assert.deepEqual([page.status, title(page)], [401, "One step more"]);
    page = await again.send(page, "/auth/mfa", { code: codes[0] });
    assert.deepEqual([page.at.pathname, title(page)], ["/auth/account/totp", "Authenticator app"]);
    page = await again.send(await again.go("/auth/account/recovery-codes"), "/recovery-codes");
    const fresh = [...page.text.matchAll(/<li>([0-9A-Z-]{19})<\/li>/g)].map(([, code]) => code);
    assert.equal(fresh.length, 10);
    page = await again.send(await again.go("/auth/account/totp"), "/totp/remove", { code: codes[1] });
    assert.equal(page.status, 401, "of before");
    page = await again.send(page, "/totp/remove", { code: fresh[0] });
    assert.equal(notice(page), "The authenticator app is removed.");
    assert.equal((await login(server, person.email)).status, 200);
  });

  it("change the address by mail, and delete the account, or not", async (t) => {
    const server = await startOauth(t);
    const { person } = await signedIn(server);
    let page = await person.send(await person.go("/auth/account/email"), "/auth/account/email", { email: "no address" });
    assert.deepEqual([page.status, alert(page)], [422, "E-mail address: Must be an e-mail address."]);
    page = await person.send(page, "/auth/account/email", { email: freshEmail() });
    assert.match(notice(page), /^Look into the mail/);
    page = await person.send(await person.go("/auth/account/delete"), "/auth/account/delete");
    assert.deepEqual([page.at.pathname, /will be deleted/.test(notice(page))], ["/auth/login", true]);
    page = await person.signIn();
    assert.match(alert(page), /^This account will be deleted on \d/);
    page = await person.send(page, "/auth/account/keep");
    assert.equal(notice(page), "Your account stays. Nothing is deleted.");
    assert.ok(!page.text.includes("will be deleted on"));
  });

  it("ask who has been away to prove it again", async (t) => {
    const folder = temporaryFolder(t), server = await startOauth(t, { folder });
    const { email } = await signUp(server), person = new Person(server, email);
    await person.go("/auth/login", { method: "POST", form: { email, password } });
    sql(folder, "UPDATE purlin_sessions SET auth_at = auth_at - 11 * 60 * 1000000");
    let page = await person.go("/auth/account/delete");
    assert.equal(title(page), "Is it still you?");
    page = await person.send(page, "/auth/account/proof", { password: "not this" });
    assert.deepEqual([page.status, alert(page), title(page)], [401, "The password is wrong.", "Is it still you?"]);
    page = await person.send(page, "/auth/account/proof", { password });
    assert.deepEqual([page.at.pathname, title(page)], ["/auth/account/delete", "Delete your account"]);
  });
});

describe("connected apps", () => {
  const scope = "openid offline_access notes.read";

  it("are listed and withdrawn, by page and by program, with all of their tokens", async (t) => {
    const server = await startOauth(t);
    const ada = await signUp(server), person = new Person(server, ada.email);
    await person.signIn();
    assert.match((await person.go("/auth/account/apps")).text, /No app is connected/);
    const first = (await tokensOf(server, ada.email, { scope })).body;
    assert.equal((await get(server, "/oauth/userinfo", bearer(first))).status, 200);
    const { body } = await get(server, "/auth/consents", bearer(ada));
    assert.deepEqual([body.data.length, body.data[0].client_id, body.data[0].scopes, body.data[0].sessions], [1, "web", scope.split(" "), 1]);
    assert.ok(body.data[0].granted_at && body.data[0].seen_at);
    assert.equal((await get(server, "/auth/consents", bearer(first))).status, 403, "an app does not see the others");
    let page = await person.go("/auth/account/apps");
    assert.match(page.text, /Web &lt;App&gt; &amp; Co/);
    assert.match(page.text, /Read your notes/);
    page = await person.send(page, "/auth/account/apps/web");
    assert.equal(notice(page), "The app is disconnected.");
    assert.equal((await get(server, "/oauth/userinfo", bearer(first))).status, 401);
    const refresh = await fetch(`${server.url}/oauth/token`, {
      method: "POST", body: new URLSearchParams({ grant_type: "refresh_token", refresh_token: first.refresh_token, client_id: "web", client_secret: "web-secret-0123456789" }),
    });
    assert.deepEqual([refresh.status, (await refresh.json()).error], [400, "invalid_grant"]);
    const asked = await person.authorize(request({ scope }).query);
    assert.match(asked.text, /action="\/oauth\/consent"/, "it has to ask again");

    const second = (await tokensOf(server, ada.email, { scope })).body;
    assert.equal((await get(server, "/auth/consents/web", bearer(ada), "DELETE")).status, 204);
    assert.equal((await get(server, "/oauth/userinfo", bearer(second))).status, 401);
    assert.equal((await get(server, "/auth/consents/web", bearer(ada), "DELETE")).status, 404);
    assert.equal((await get(server, "/auth/me", bearer(ada))).status, 200, "their own session goes on");
    assert.equal((await get(server, "/auth/consents", bearer(await signUp(server)))).body.data.length, 0);
  });

  it("are there without consent when people are not asked, and a code on its way is void", async (t) => {
    const server = await startOauth(t);
    const ada = await signUp(server);
    await tokensOf(server, ada.email, { client_id: "ours", redirect_uri: "https://ours.example.org/cb", scope: "openid" }, null);
    const { body } = await get(server, "/auth/consents", bearer(ada));
    assert.deepEqual(body.data.map((c) => [c.client_id, c.scopes, c.granted_at, c.sessions]), [["ours", [], null, 1]]);
    assert.equal((await get(server, "/auth/consents/ours", bearer(ada), "DELETE")).status, 204);
    const asked = request({ scope: "openid" });
    const location = await new Browser(server).through(asked.query, ada.email);
    assert.equal((await get(server, "/auth/consents/web", bearer(ada), "DELETE")).status, 204);
    const late = await fetch(`${server.url}/oauth/token`, {
      method: "POST",
      body: new URLSearchParams({ grant_type: "authorization_code", code: location.searchParams.get("code"), redirect_uri: asked.params.redirect_uri, code_verifier: asked.verifier, client_id: "web", client_secret: "web-secret-0123456789" }),
    });
    assert.equal((await late.json()).error, "invalid_grant");
  });

  it("leave lines in the audit log, and counts", async (t) => {
    const server = await startOauth(t);
    const ada = await signUp(server);
    const asked = request({ scope });
    const location = await new Browser(server).through(asked.query, ada.email);
    const exchange = (over = {}) => fetch(`${server.url}/oauth/token`, {
      method: "POST",
      body: new URLSearchParams({ grant_type: "authorization_code", code: location.searchParams.get("code"), redirect_uri: asked.params.redirect_uri, code_verifier: asked.verifier, client_id: "web", client_secret: "web-secret-0123456789", ...over }),
    });
    assert.equal((await exchange({ client_secret: "wrong" })).status, 401);
    assert.equal((await exchange()).status, 200);
    assert.equal((await exchange()).status, 400);
    const { body: tokens } = await tokensOf(server, ada.email, { scope });
    const form = (values) => ({ method: "POST", body: new URLSearchParams(values) });
    assert.equal((await fetch(`${server.url}/oauth/introspect`, form({ client_id: "ours", token: tokens.access_token }))).status, 401);
    assert.equal((await fetch(`${server.url}/oauth/revoke`, form({ client_id: "web", client_secret: "web-secret-0123456789", token: tokens.refresh_token }))).status, 200);
    const no = new Person(server, ada.email);
    await no.signIn();
    const declined = await no.go(`/oauth/authorize?${request({ client_id: "other", scope: "notes.read" }).query}`);
    assert.equal((await no.submit(declined, { decision: "deny" })).location.searchParams.get("error"), "access_denied");
    assert.equal((await get(server, "/auth/consents/web", bearer(ada), "DELETE")).status, 204);

    const seen = await eventually(() => acts(server), (rows) => rows.filter((row) => row.outcome === "refused").length >= 4);
    const find = (act, outcome, details) => seen.filter((row) => row.act === act && row.outcome === outcome && Object.entries(details).every(([k, v]) => row.details?.[k] === v));
    const granted = find("consent.granted", "ok", { client_id: "web", scope });
    assert.deepEqual(granted.map((row) => row.subject.id), [ada.user_id], "once: the second time nobody was asked");
    assert.equal(find("consent.granted", "refused", { client_id: "other" }).length, 1);
    assert.equal(find("consent.revoked", "ok", { client_id: "web" }).length, 1);
    const reused = find("token.reused", "refused", { token: "code" });
    assert.deepEqual(reused.map((row) => [row.actor.kind, row.actor.id, row.subject.id]), [["client", "web", ada.user_id]]);
    assert.deepEqual(find("session.revoked", "ok", {}).map((row) => [row.actor.kind, row.actor.id, row.subject.id]), [["client", "web", ada.user_id]]);
    assert.deepEqual(find("access.denied", "refused", { at: "introspect" }).map((row) => row.subject.id), ["ours"]);
    assert.deepEqual(find("access.denied", "refused", { at: "credentials" }).map((row) => row.subject.id), ["web"]);
    assert.ok(!JSON.stringify(seen).includes(tokens.refresh_token));

    const metrics = await (await fetch(`${server.url}/metrics`, { headers: { "X-API-Key": adminKey } })).text();
    for (const line of [
      'purlin_oauth_tokens_total{grant="authorization_code",result="ok"} 2',
      'purlin_oauth_tokens_total{grant="authorization_code",result="invalid_grant"} 1',
      'purlin_oauth_tokens_total{grant="authorization_code",result="invalid_client"} 1',
      'purlin_oauth_consents_total{result="granted"} 1',
      'purlin_oauth_consents_total{result="declined"} 1',
      'purlin_oauth_consents_total{result="withdrawn"} 1',
    ]) assert.ok(metrics.includes(line), line);
  });

  it("clients that an operator makes and changes are in the log", async (t) => {
    const folder = temporaryFolder(t), server = await startOauth(t, { folder });
    const tool = (...args) => {
      const run = runPurlin([...args, "--config", path.join(folder, "purlin.yaml")], { env: environment(folder, server.contractsFolder) });
      assert.equal(run.code, 0, run.stderr);
    };
    tool("client", "create", "made", "--redirect", "https://made.example.org/cb", "--scope", "openid");
    tool("client", "secret", "made");
    tool("client", "remove", "made");
    const rows = (await acts(server)).filter((row) => row.act.startsWith("client."));
    assert.deepEqual(rows.map((row) => [row.act, row.actor.kind, row.subject.kind, row.subject.id]), ["client.deleted", "client.changed", "client.created"].map((act) => [act, "operator", "client", "made"]));
    assert.deepEqual(rows[1].details, { secret: "rotated" });
  });
});
