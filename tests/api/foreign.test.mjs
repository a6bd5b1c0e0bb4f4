/*
 * tests/api/foreign.test.mjs - Signing in elsewhere: npm's oidc-provider as the provider and a stand-in for GitHub, walked through as a
 * browser does, and what somebody tries in between.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import * as jose from "jose";
import { auth, bearer, freshEmail, get, password, people, signUp } from "../support/auth.mjs";
import { Browser } from "../support/browser.mjs";
import { clientId, clientSecret, startProvider } from "../support/foreign.mjs";
import { startGithub } from "../support/github.mjs";
import { makeKey, reachLoopback, startIssuer } from "../support/issuer.mjs";
import { aMinuteLater, sql, totp } from "../support/otp.mjs";
import { environment, runPurlin, startPurlin, temporaryFolder } from "../support/purlin.mjs";

const cheap = { PURLIN_AUTH_PASSWORD_MEMORY: "8MiB", PURLIN_AUTH_PASSWORD_PASSES: "1" };
const configOf = (providers, more = "") =>
  `${reachLoopback}auth:\n${more}  providers:\n${Object.entries(providers).map(([name, one]) => `    ${name}: ${JSON.stringify(one)}\n`).join("")}`;
const start = (t, providers, { more, env, contracts = people } = {}) =>
  startPurlin(t, { contracts, config: configOf(providers, more), env: { ...cheap, ...env } });
const entry = (provider, more = {}) => ({ issuer: provider.issuer, client_id: clientId, client_secret: clientSecret, label: "Example", ...more });
const callbackOf = (server, name) => `${server.url}/auth/providers/${name}/callback`;
const isCallback = (url) => url.pathname.endsWith("/callback");
const begin = (server, name, query = "") => `${server.url}/auth/providers/${name}/start${query}`;
const session = "__Host-purlin_session";
const me = async (server, browser) => {
  const answer = await browser.fetch(`${server.url}/auth/me`, { headers: { Accept: "application/json" } });
  return { status: answer.status, body: JSON.parse(answer.text) };
};
const account = (server, email) => JSON.parse(sql(server.folder, `SELECT json_group_array(json_object('user', hex(user_id), 'verified', verified_at IS NOT NULL)) FROM purlin_accounts WHERE email = '${email}'`));
const links = (server) => Number(sql(server.folder, "SELECT count(*) FROM purlin_foreign_identities"));
/* The first match in a mail to somebody, waited for. */
async function mailTo(server, to, pattern) {
  const box = path.join(server.folder, "mail"), deadline = Date.now() + 10_000;
  const decode = (text) => text.replace(/=\r?\n/g, "").replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  while (Date.now() < deadline) {
    const names = existsSync(box) ? readdirSync(box).filter((name) => name.endsWith(".eml")) : [];
    for (const text of names.map((name) => decode(readFileSync(path.join(box, name), "latin1"))))
      if (text.includes(to) && pattern.test(text)) return pattern.exec(text);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail(`no mail to ${to} says ${pattern}`);
}
const suite = () => {
  const ends = [];
  return { t: { after: (fn) => ends.push(fn) }, end: async () => { for (const fn of ends.reverse()) await fn(); } };
};
const metric = async (server, name, outcome) => {
  const text = (await server.get("/metrics", { admin: true })).text;
  return Number(text.match(new RegExp(`purlin_foreign_sign_ins_total\\{provider="${name}",outcome="${outcome}"\\} (\\d+)`))?.[1] ?? 0);
};

describe("a provider of OpenID Connect", () => {
  const { t, end } = suite();
  let provider, server;
  before(async () => {
    provider = await startProvider(t);
    server = await start(t, { example: entry(provider), trusted: entry(provider, { links_verified_email: true, roles: ["member"] }), closed: entry(provider, { sign_up: false }) },
      { more: "  return_origins: https://app.example.org\n" });
    await provider.register(["example", "trusted", "closed"].map((name) => callbackOf(server, name)));
  });
  after(end);
  const person = (claims = {}) => {
    const id = `sub-${Math.random().toString(36).slice(2)}`;
    provider.people[id] = { email: freshEmail(), email_verified: true, name: "Grace Hopper", ...claims };
    provider.person = id;
    return provider.people[id];
  };

  it("is listed, with a button on the pages to sign in and up", async () => {
    const { body } = await server.get("/auth/providers");
    assert.deepEqual(body.data[0], { name: "example", label: "Example", start: "/auth/providers/example/start" });
    for (const page of ["login", "signup"])
      assert.match((await server.get(`/auth/${page}`)).text, /href="\/auth\/providers\/example\/start">Go on with Example</);
  });

  it("makes an account the first time, and finds it again", async () => {
    const { email } = person(), browser = new Browser();
    const done = await browser.walk(begin(server, "example"));
    assert.equal(done.status, 200, done.text);
    assert.equal(new URL(done.url).pathname, "/auth/account");
    const first = await me(server, browser);
    assert.equal(first.body.email, email);
    assert.deepEqual([first.body.email_verified, first.body.has_password], [true, false]);
    const row = await server.get(`/api/v1/users/${first.body.id}`);
    assert.equal(row.body.data?.display_name ?? row.body.display_name, "Grace Hopper");
    provider.people[provider.person].email = freshEmail(); // it may change there: the subject counts
    const again = new Browser();
    await again.walk(begin(server, "example"));
    assert.equal((await me(server, again)).body.id, first.body.id);
    assert.equal(await metric(server, "example", "new"), 1);
    assert.equal(await metric(server, "example", "ok"), 1);
  });

  it("asks with PKCE, state and nonce, for its own callback, and the cookie is the browser's alone", async () => {
    person();
    const answer = await new Browser().fetch(begin(server, "example"));
    const url = new URL(answer.location), query = Object.fromEntries(url.searchParams);
    assert.equal(answer.status, 303);
    assert.equal(query.redirect_uri, callbackOf(server, "example"));
    assert.equal(query.code_challenge_method, "S256");
    for (const name of ["state", "nonce", "code_challenge"]) assert.ok(query[name].length >= 43, name);
    assert.match(answer.headers.get("set-cookie"), /^__Host-purlin_foreign=[\w-]+; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=600$/);
    assert.match(answer.headers.get("cache-control"), /no-store/);
  });

  it("gives what the configuration says to a new account", async () => {
    person();
    const browser = new Browser();
    await browser.walk(begin(server, "trusted"));
    assert.deepEqual((await me(server, browser)).body.roles, ["member"]);
  });

  it("returns where it was asked to, and nowhere else", async () => {
    for (const [to, good] of [["/", true], ["/app?a=1#b", true], ["https://app.example.org/x", true], ["//evil.example", false], ["/\\evil.example", false],
      ["https://evil.example", false], ["https://app.example.org.evil.example/", false], ["https://app.example.org@evil.example/", false],
      ["javascript:alert(1)", false], ["/a\nb", false], [`/${"a".repeat(512)}`, false], [`${"http"}://app.example.org/`, false]]) {
      person();
      const browser = new Browser(), query = `?return_to=${encodeURIComponent(to)}`;
      const answer = await browser.walk(begin(server, "example", query), (url) => !isCallback(url) && url.origin !== provider.issuer);
      if (!good) assert.equal(answer.status, 400, `${to}: ${answer.status}`);
      else assert.equal(answer.location, new URL(to, server.url).href, to);
    }
  });

  it("takes a callback once, of the browser that began, within its own path", async () => {
    person();
    const browser = new Browser();
    const stopped = await browser.walk(begin(server, "example"), isCallback);
    const stranger = await new Browser().fetch(stopped.location);
    assert.equal(stranger.status, 403, "another browser has no such cookie");
    assert.match(stranger.text, /was not begun in this browser/);
    const cookie = browser.jar(server.url).get("__Host-purlin_foreign");
    const elsewhere = stopped.location.replace("/example/", "/trusted/");
    assert.equal((await browser.fetch(elsewhere)).status, 403, "the answer of one provider is no answer of another");
    browser.jar(server.url).set("__Host-purlin_foreign", cookie);
    assert.equal((await browser.fetch(stopped.location)).status, 303);
    browser.jar(server.url).set("__Host-purlin_foreign", cookie);
    const replayed = await browser.fetch(stopped.location);
    assert.equal(replayed.status, 403, "the state is used up");
    const forged = new URL(stopped.location);
    forged.searchParams.set("state", "x".repeat(75));
    browser.jar(server.url).set("__Host-purlin_foreign", cookie);
    assert.equal((await browser.fetch(forged.href)).status, 403);
  });

  it("takes no code of somebody else's sign-in", async () => {
    person();
    const attacker = await new Browser().walk(begin(server, "example"), isCallback);
    const before = links(server), victim = new Browser();
    const own = await victim.walk(begin(server, "example"), isCallback);
    const injected = new URL(own.location);
    injected.searchParams.set("code", new URL(attacker.location).searchParams.get("code"));
    const answer = await victim.fetch(injected.href);
    assert.equal(answer.status, 403, answer.text);
    assert.match(answer.text, /does not take the code/);
    assert.equal(victim.jar(server.url).has(session), false);
    assert.equal(links(server), before);
  });

  it("names its issuer, and no answer of another is taken", async () => {
    person();
    for (const iss of ["https://evil.example", null]) {
      const browser = new Browser(), stopped = await browser.walk(begin(server, "example"), isCallback);
      const mixed = new URL(stopped.location);
      assert.equal(mixed.searchParams.get("iss"), provider.issuer);
      if (iss) mixed.searchParams.set("iss", iss);
      else mixed.searchParams.delete("iss");
      const answer = await browser.fetch(mixed.href);
      assert.equal(answer.status, 403);
      assert.match(answer.text, /another issuer/);
    }
  });

  it("may say no, and so may the person: a reason, and a way back", async () => {
    provider.person = null;
    const browser = new Browser();
    const page = await browser.walk(begin(server, "example"));
    assert.equal(page.status, 403);
    assert.match(page.text, /was not let tell who you are/);
    assert.match(page.text, /href="\/auth\/login"/);
    assert.equal(await metric(server, "example", "denied"), 1);
    const stopped = await browser.walk(begin(server, "example"), isCallback);
    const odd = new URL(stopped.location);
    odd.searchParams.set("error", "<script>");
    const answer = await browser.fetch(odd.href, { headers: { Accept: "application/json" } });
    assert.equal(JSON.parse(answer.text).detail, "Example refused the sign-in (no reason).");
  });

  it("never links an account by its address alone", async () => {
    const ada = await signUp(server);
    for (const [name, verified] of [["example", true], ["example", false], ["trusted", false], ["trusted", true]]) {
      person({ email: ada.email, email_verified: verified });
      const browser = new Browser(), answer = await browser.walk(begin(server, name));
      assert.equal(answer.status, 409, `${name} ${verified}: ${answer.text}`);
      assert.match(answer.text, /Sign in to it, and add Example there/);
      assert.equal(browser.jar(server.url).has(session), false);
    }
    sql(server.folder, `UPDATE purlin_accounts SET verified_at = 1 WHERE email = '${ada.email}'`);
    person({ email: ada.email });
    assert.equal((await new Browser().walk(begin(server, "example"))).status, 409, "its word is not taken for that");
    person({ email: ada.email, email_verified: false });
    assert.equal((await new Browser().walk(begin(server, "trusted"))).status, 409, "nor has it verified it");
    person({ email: ada.email.toUpperCase() });
    const browser = new Browser();
    await browser.walk(begin(server, "trusted"));
    assert.equal((await me(server, browser)).body.id, ada.user_id, "both sides have, and it is trusted");
    await mailTo(server, ada.email, /Signing in with Example was added/);
    const { body } = await server.get("/api/v1/audit?act=provider.linked", { admin: true });
    assert.deepEqual(body.data.map(({ subject, details }) => [subject.id, details]), [[ada.user_id, { provider: "trusted" }]]);
  });

  it("does not stay linked to an account whose address turns out to be somebody else's", async () => {
    const victim = await signUp(server), browser = new Browser(); // made by somebody who only knows the address
    person();
    const begun = await fetch(`${server.url}/auth/identities/example`, { method: "POST", body: "{}", headers: { ...bearer(victim), "Content-Type": "application/json" } });
    const pair = begun.headers.getSetCookie()[0].split(";")[0];
    browser.jar(server.url).set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
    await browser.walk((await begun.json()).url, (url) => url.pathname.startsWith("/auth/account"));
    const before = links(server);
    assert.equal((await auth(server, "recover", { email: victim.email })).status, 202);
    const link = await mailTo(server, victim.email, /\/auth\/recover\?token=([\w]+)/);
    assert.equal((await auth(server, "recover/confirm", { token: link[1], password: "another good password" })).status, 204);
    assert.equal(links(server), before - 1);
    const again = new Browser();
    await again.walk(begin(server, "example"));
    assert.notEqual((await me(server, again)).body.id, victim.user_id);
  });

  it("asks for what a profile needs and it has not told", async () => {
    const { email } = person({ name: undefined });
    const browser = new Browser(), page = await browser.walk(begin(server, "example"));
    assert.equal(page.status, 200, page.text);
    assert.match(page.text, /name="profile.display_name"/);
    const token = page.text.match(/name="token" value="([^"]+)"/)[1];
    assert.equal(account(server, email).length, 0);
    const tooLong = await browser.fetch(`${server.url}/auth/providers/complete`, { form: { token, "profile.display_name": "x".repeat(61) } });
    assert.equal(tooLong.status, 422);
    const again = tooLong.text.match(/name="token" value="([^"]+)"/)[1];
    const cross = await browser.fetch(`${server.url}/auth/providers/complete`, { form: { token: again, "profile.display_name": "Eve" }, headers: { "Sec-Fetch-Site": "cross-site" } });
    assert.equal(cross.status, 403);
    const done = await browser.fetch(`${server.url}/auth/providers/complete`, { form: { token: again, "profile.display_name": "Grace", "profile.karma": "9" } });
    assert.equal(done.status, 422, "and no more than a sign-up may say");
    const good = await browser.fetch(`${server.url}/auth/providers/complete`, { form: { token: again, "profile.display_name": "Grace" } });
    assert.equal(good.status, 303, good.text);
    assert.equal((await me(server, browser)).body.email, email);
    const forged = await auth(server, "providers/complete", { token: `${token.slice(0, -4)}AAAA`, profile: { display_name: "Eve" } });
    assert.equal(forged.status, 403);
  });

  it("needs an address", async () => {
    person({ email: undefined });
    const answer = await new Browser().walk(begin(server, "example"));
    assert.equal(answer.status, 400);
    assert.match(answer.text, /has not told your e-mail address/);
  });

  it("makes no account where that is off", async () => {
    person();
    const answer = await new Browser().walk(begin(server, "closed"));
    assert.equal(answer.status, 403);
    assert.match(answer.text, /No account here is linked/);
  });

  it("still asks for the second factor", async () => {
    const { email } = person(), browser = new Browser();
    await browser.walk(begin(server, "example"));
    const { id } = (await me(server, browser)).body;
    const csrf = browser.jar(server.url).get("__Host-purlin_csrf") ?? [...browser.jar(server.url)].find(([name]) => /csrf/.test(name))?.[1];
    const headers = { "X-CSRF-Token": csrf, Cookie: [...browser.jar(server.url)].map(([name, value]) => `${name}=${value}`).join("; ") };
    const begun = await auth(server, "mfa/totp", undefined, headers);
    assert.equal(begun.status, 200, JSON.stringify(begun.body));
    assert.equal((await auth(server, "mfa/totp/confirm", { code: totp(begun.body.secret) }, headers)).status, 200);
    const second = new Browser(), page = await second.walk(begin(server, "example", "?return_to=/app"));
    assert.equal(page.status, 200, page.text);
    assert.equal(second.jar(server.url).has(session), false, `${email} has proved one thing of two`);
    const mfa = page.text.match(/name="mfa_token" value="([^"]+)"/)[1], back = page.text.match(/name="return_to" value="([^"]+)"/)[1];
    aMinuteLater(server);
    const done = await second.fetch(`${server.url}/auth/mfa`, { form: { mfa_token: mfa, code: totp(begun.body.secret), return_to: back } });
    assert.equal(done.status, 303, done.text);
    assert.equal(new URL(done.location).pathname, "/app");
    assert.equal((await me(server, second)).body.id, id);
  });

  it("is linked, listed and unlinked by who is signed in, and never the last way in", async () => {
    const ada = await signUp(server), browser = new Browser(), headers = bearer(ada);
    const claims = person();
    assert.equal((await auth(server, "identities/nobody", {}, headers)).status, 404);
    assert.equal((await auth(server, "identities/example", {})).status, 401);
    const begun = await browser.fetch(`${server.url}/auth/identities/example`, { method: "POST", headers: { ...headers, "Content-Type": "application/json", Accept: "application/json" } });
    assert.equal(begun.status, 400, "a body is needed");
    const answer = await fetch(`${server.url}/auth/identities/example`, { method: "POST", body: "{}", headers: { ...headers, "Content-Type": "application/json" } });
    const pair = answer.headers.getSetCookie()[0].split(";")[0];
    browser.jar(server.url).set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
    const linked = await browser.walk((await answer.json()).url, (url) => url.pathname.startsWith("/auth/account"));
    assert.match(linked.location, /\/auth\/account\/providers\?done=provider$/, linked.text);
    const { body } = await get(server, "/auth/identities", headers);
    assert.deepEqual(body.data.map(({ provider: name, email }) => [name, email]), [["example", claims.email]]);
    const inBrowser = new Browser();
    await inBrowser.walk(begin(server, "example"));
    assert.equal((await me(server, inBrowser)).body.id, ada.user_id);

    const eve = await signUp(server), other = new Browser();
    const second = await fetch(`${server.url}/auth/identities/example`, { method: "POST", body: "{}", headers: { ...bearer(eve), "Content-Type": "application/json" } });
    const cookie = second.headers.getSetCookie()[0].split(";")[0];
    other.jar(server.url).set(cookie.slice(0, cookie.indexOf("=")), cookie.slice(cookie.indexOf("=") + 1));
    const taken = await other.walk((await second.json()).url);
    assert.equal(taken.status, 409, taken.text);
    assert.match(taken.text, /linked to an account already/);

    assert.equal((await get(server, "/auth/identities/example", headers, "DELETE")).status, 204);
    assert.equal((await get(server, "/auth/identities/example", headers, "DELETE")).status, 404);
    const alone = new Browser();
    person();
    await alone.walk(begin(server, "example"));
    const csrf = [...alone.jar(server.url)].find(([name]) => /csrf/.test(name))[1];
    const last = await alone.fetch(`${server.url}/auth/identities/example`, { method: "DELETE", headers: { "X-CSRF-Token": csrf, Accept: "application/json" } });
    assert.equal(last.status, 409, last.text);
    assert.match(JSON.parse(last.text).type, /identity\/last-way-in$/);
  });

  it("is linked on a page without scripts", async () => {
    const browser = new Browser(), { email } = await signUp(server);
    await browser.fetch(`${server.url}/auth/login`, { form: { email, password } });
    person();
    const page = await browser.fetch(`${server.url}/auth/account/providers`);
    assert.match(page.text, /<strong>Example<\/strong>/);
    const csrf = page.text.match(/name="csrf" value="([^"]+)"/)[1];
    assert.equal((await browser.fetch(`${server.url}/auth/account/providers/example`, { form: { csrf: "x" } })).status, 403);
    const leave = await browser.fetch(`${server.url}/auth/account/providers/example`, { form: { csrf } });
    const onward = leave.text.match(/href="(http:[^"]+)"/)[1].replaceAll("&amp;", "&");
    const done = await browser.walk(onward);
    assert.equal(done.status, 200);
    assert.match(done.text, /Remove/);
    const removed = await browser.fetch(`${server.url}/auth/account/providers/example/remove`, { form: { csrf } });
    assert.equal(removed.status, 303, removed.text);
  });

  it("is how somebody proves once more who they are who has nothing else", async () => {
    person();
    const browser = new Browser();
    await browser.walk(begin(server, "example"));
    assert.match((await browser.fetch(`${server.url}/auth/account/providers`)).text, /Remove/);
    const { id } = (await me(server, browser)).body;
    sql(server.folder, `UPDATE purlin_sessions SET auth_at = 1; INSERT INTO purlin_revocations (kind, id, at) VALUES ('user', (SELECT user_id FROM purlin_accounts WHERE lower(hex(user_id)) = '${id.replaceAll("-", "")}'), 1)`);
    let page, deadline = Date.now() + 10_000; // the feed is read every second
    do page = await browser.fetch(`${server.url}/auth/account/providers`);
    while (!/Is it still you/.test(page.text) && Date.now() < deadline);
    const onward = page.text.match(/href="(\/auth\/providers\/example\/start\?return_to=[^"]+)"/);
    assert.ok(onward, page.text);
    const done = await browser.walk(server.url + onward[1]);
    assert.equal(new URL(done.url).pathname, "/auth/account/providers");
    assert.match(done.text, /Remove/);
  });

  it("is forgotten with the account's person", async () => {
    person();
    const browser = new Browser();
    await browser.walk(begin(server, "example"));
    const { id } = (await me(server, browser)).body, before = links(server);
    const csrf = [...browser.jar(server.url)].find(([name]) => /csrf/.test(name))[1];
    const gone = await browser.fetch(`${server.url}/api/v1/users/${id}`, { method: "DELETE", headers: { "X-CSRF-Token": csrf } });
    assert.equal(gone.status, 204, gone.text);
    assert.equal(links(server), before - 1);
  });
});

describe("a provider that misbehaves", () => {
  const { t, end } = suite();
  let issuer, server, answer;
  before(async () => {
    issuer = await startIssuer(t);
    server = await start(t, { odd: { issuer: issuer.url, client_id: clientId, client_secret: clientSecret } });
    issuer.exchange = async () => ({ status: 200, body: await answer() });
  });
  after(end);
  /* Walk to the callback with a token that says `claims`. */
  const visit = async (claims, options = {}) => {
    const browser = new Browser(), begun = new URL((await browser.fetch(begin(server, "odd"))).location);
    const nonce = begun.searchParams.get("nonce");
    answer = async () => ({ access_token: "at", token_type: "Bearer", id_token: await issuer.token({ aud: clientId, nonce, email: freshEmail(), email_verified: true, name: "Odd", ...claims }, options), ...options.body });
    const back = new URL(callbackOf(server, "odd"));
    back.searchParams.set("code", "c");
    back.searchParams.set("state", begun.searchParams.get("state"));
    const page = await browser.fetch(back.href);
    return { ...page, hasSession: browser.jar(server.url).has(session) };
  };

  it("is believed when all is as it must be", async () => {
    const good = await visit({ sub: "good" });
    assert.equal(good.status, 303, good.text);
    assert.equal(good.hasSession, true);
  });

  const now = () => Math.floor(Date.now() / 1000);
  const rows = [
    ["another nonce", { nonce: "x" }], ["no nonce", { nonce: null }], ["another audience", { aud: "other" }], ["another issuer", { iss: "https://evil.example" }],
    ["several audiences without azp", { aud: [clientId, "other"] }], ["another azp", { azp: "other" }], ["no expiry", { exp: null }], ["an old one", { exp: 1 }],
    ["no iat", { iat: null }], ["iat ahead", { iat: now() + 3600 }], ["no sub", { sub: null }], ["a long sub", { sub: "x".repeat(256) }], ["another at_hash", { at_hash: "AAAAAAAAAAAAAAAAAAAAAA" }],
  ];
  for (const [name, claims] of rows)
    it(`is not believed with ${name}`, async () => {
      const page = await visit(claims);
      assert.equal(page.status, 403, page.text);
      assert.match(page.text, /does not hold/);
      assert.equal(page.hasSession, false);
    });

  it("is not believed by a key that it does not publish, nor without a token", async () => {
    assert.equal((await visit({}, { key: { ...(await makeKey()), kid: issuer.keys[0].kid } })).status, 403);
    assert.equal((await visit({}, { body: { id_token: undefined } })).status, 403);
    assert.equal((await visit({}, { body: { id_token: "a.b.c" } })).status, 403);
  });

  it("takes up a key that was rotated in", async () => {
    issuer.keys = [await makeKey(), ...issuer.keys];
    assert.equal((await visit({ sub: "rotated" })).status, 303);
  });

  it("is told apart from one that is down: a page that says so, and Purlin goes on", async () => {
    const own = await startIssuer(t), second = await start(t, { odd: { issuer: own.url, client_id: clientId } });
    own.isDown = true;
    const page = await new Browser().fetch(begin(second, "odd"));
    assert.equal(page.status, 503);
    assert.match(page.text, /cannot be used now/);
    assert.equal((await second.get("/auth/login")).status, 200);
    issuer.exchange = async () => ({ status: 500, body: {} });
    assert.equal((await visit({})).status, 503);
  });
});

describe("Apple", () => {
  it("gets a secret that its key has signed, and comes back by a form", async (t) => {
    const issuer = await startIssuer(t), pair = await jose.generateKeyPair("ES256", { extractable: true });
    const server = await start(t, { apple: { issuer: issuer.url, client_id: "org.example.web", team_id: "TEAM123456", key_id: "KEY1234567", private_key: "${APPLE_KEY}" } },
      { env: { APPLE_KEY: await jose.exportPKCS8(pair.privateKey) } });
    issuer.document = { token_endpoint_auth_methods_supported: ["client_secret_post"] };
    const browser = new Browser(), begun = await browser.fetch(begin(server, "apple")), url = new URL(begun.location);
    assert.equal(url.searchParams.get("response_mode"), "form_post");
    assert.match(begun.headers.get("set-cookie"), /SameSite=None/);
    let form;
    issuer.exchange = async (body) => {
      form = body;
      return { status: 200, body: { access_token: "at", id_token: await issuer.token({ aud: "org.example.web", nonce: url.searchParams.get("nonce"), sub: "001.apple", email: "relay@privaterelay.example", email_verified: "true" }) } };
    };
    const back = await browser.fetch(callbackOf(server, "apple"), {
      form: { code: "c", state: url.searchParams.get("state"), user: JSON.stringify({ name: { firstName: "Ada", lastName: "Lovelace" } }) },
      headers: { Origin: "https://appleid.apple.com", "Sec-Fetch-Site": "cross-site" },
    });
    assert.equal(back.status, 303, back.text);
    const { payload, protectedHeader } = await jose.jwtVerify(form.get("client_secret"), pair.publicKey, { audience: issuer.url, issuer: "TEAM123456", subject: "org.example.web" });
    assert.equal(protectedHeader.kid, "KEY1234567");
    assert.ok(payload.exp - payload.iat <= 300);
    const { body } = await me(server, browser);
    assert.equal(body.email_verified, true);
    assert.equal(sql(server.folder, "SELECT display_name FROM users").trim(), "Ada Lovelace");
  });
});

describe("GitHub", () => {
  const { t, end } = suite();
  let github, server;
  before(async () => {
    github = await startGithub(t);
    server = await start(t, { github: { client_id: github.clientId, client_secret: github.secret, url: github.url } });
  });
  after(end);

  it("signs in by the number of its user and the primary address", async () => {
    const browser = new Browser(), done = await browser.walk(begin(server, "github"));
    assert.equal(done.status, 200, done.text);
    const { body } = await me(server, browser);
    assert.deepEqual([body.email, body.email_verified], ["octo@example.org", true]);
    assert.equal(sql(server.folder, "SELECT subject FROM purlin_foreign_identities").trim(), "583231");
    github.user.login = "renamed";
    const again = new Browser();
    await again.walk(begin(server, "github"));
    assert.equal((await me(server, again)).body.id, body.id);
    github.user = { ...github.user, id: 7, login: "octocat" };
    assert.equal((await new Browser().walk(begin(server, "github"))).status, 409, "the old name in other hands is somebody else");
  });

  it("refuses a code with 200, which is a refusal", async () => {
    const browser = new Browser(), stopped = await browser.walk(begin(server, "github"), isCallback);
    const bad = new URL(stopped.location);
    bad.searchParams.set("code", "bad");
    const answer = await browser.fetch(bad.href);
    assert.equal(answer.status, 403, answer.text);
    assert.match(answer.text, /does not take the code/);
  });

  it("has an address that it did not verify taken for what it is", async () => {
    github.user = { id: 8, login: "unsure", name: null };
    github.emails = [{ email: "unsure@example.org", primary: true, verified: false }];
    const browser = new Browser();
    assert.equal((await browser.walk(begin(server, "github"))).status, 200);
    assert.equal((await me(server, browser)).body.email_verified, false);
  });

  it("may be down", async () => {
    const browser = new Browser(), stopped = await browser.walk(begin(server, "github"), isCallback);
    github.isDown = true;
    const answer = await browser.fetch(stopped.location);
    assert.equal(answer.status, 503);
    assert.match(answer.text, /GitHub cannot be used now/);
    github.isDown = false;
  });
});

describe("a contract that asks for more", () => {
  it("has user names made up, and asks for another name where one is taken", async (t) => {
    const provider = await startProvider(t);
    const users = `resource: users
fields:
  display_name: { type: string, min: 1, max: 60, required: true, unique: true }
  username: { type: string, min: 3, max: 24, pattern: "^[a-z][a-z0-9_]*$", required: true, unique: true }
rules: { read: true }
`;
    const server = await start(t, { example: entry(provider) }, { contracts: { users } });
    await provider.register([callbackOf(server, "example")]);
    provider.people = Object.fromEntries(["a", "b"].map((id) => [id, { email: freshEmail(), email_verified: true, name: "Grace Hopper" }]));
    provider.person = "a";
    assert.equal((await new Browser().walk(begin(server, "example"))).status, 200);
    assert.match(sql(server.folder, "SELECT username FROM users"), /^grace_hopper\d{4}$/);
    provider.person = "b";
    const browser = new Browser(), page = await browser.walk(begin(server, "example"));
    assert.match(page.text, /name="profile.display_name"/);
    const token = page.text.match(/name="token" value="([^"]+)"/)[1];
    const done = await browser.fetch(`${server.url}/auth/providers/complete`, { form: { token, "profile.display_name": "Grace M. Hopper" } });
    assert.equal(done.status, 303, done.text);
    assert.equal(sql(server.folder, "SELECT count(*) FROM users"), "2");
  });
});

describe("tokens of an issuer whose people sign in here", () => {
  it("are their users', with the rights that they have here, until they unlink", async (t) => {
    const issuer = await startIssuer(t);
    const server = await start(t, { example: { issuer: issuer.url, client_id: clientId, client_secret: clientSecret } },
      { more: `  token_issuers: [{ issuer: "${issuer.url}", audience: "https://api.example.org", users_of: example }]\n` });
    const ada = await signUp(server), token = await issuer.token({ sub: "ada-there" });
    const note = (who) => server.post("/api/v1/notes", { body: { text: "x" }, headers: bearer(who) });
    assert.equal((await note(token)).status, 401, "nobody has linked that subject");
    sql(server.folder, `INSERT INTO purlin_foreign_identities VALUES ('example', 'ada-there', (SELECT user_id FROM purlin_accounts WHERE email = '${ada.email}'), '', 1, 1)`);
    const made = await note(await issuer.token({ sub: "ada-there", jti: "2" }));
    assert.equal(made.status, 201, JSON.stringify(made.body));
    assert.equal((made.body.data ?? made.body).owner, ada.user_id);
    const held = await issuer.token({ sub: "ada-there", jti: "3" });
    assert.equal((await note(held)).status, 201);
    const password_ = await auth(server, "password", { password: "another good password", current: password }, bearer(held));
    assert.equal(password_.status, 403, "an account is not its to change");
    assert.equal((await get(server, "/auth/identities/example", bearer(ada), "DELETE")).status, 204);
    assert.equal((await note(held)).status, 401, "at once");
  });
});

describe("where addresses are verified", () => {
  it("an unverified one of a provider tells nobody whether it has an account here", async (t) => {
    const provider = await startProvider(t);
    const server = await start(t, { example: entry(provider) }, { more: "  verify_email: on\n" });
    await provider.register([callbackOf(server, "example")]);
    const known = freshEmail();
    provider.people = { a: { email: known, email_verified: true, name: "A" }, b: { email: known, email_verified: false, name: "B" }, c: { email: freshEmail(), email_verified: false, name: "C" } };
    provider.person = "a";
    assert.equal((await new Browser().walk(begin(server, "example"))).status, 200);
    const pages = [];
    for (const person of ["b", "c"]) {
      provider.person = person;
      const browser = new Browser(), page = await browser.walk(begin(server, "example"));
      assert.equal(page.status, 202, page.text);
      assert.equal(browser.jar(server.url).has(session), false);
      pages.push(page.text);
    }
    assert.equal(pages[0], pages[1]);
    assert.equal(links(server), 2, "c's, and not b's");
  });
});

describe("the configuration of providers", () => {
  const id = { client_id: "c", client_secret: "s" };
  const rows = [
    ["no client_id", "example", { issuer: "https://a.example" }, /needs its `client_id`/],
    ["no issuer", "example", id, /needs its `issuer`/],
    ["an issuer in clear", "example", { issuer: "http://a.example", ...id }, /needs its `issuer`/],
    ["a name that is none", "Example", { issuer: "https://a.example", ...id }, /lower-case letters/],
    ["a preset that is none", "example", { preset: "facebook", ...id }, /preset is oidc, google/],
    ["Google without a secret", "google", { client_id: "c" }, /client_secret/],
    ["a tenant that is none", "microsoft", { tenant: "contoso", ...id }, /tenant/],
    ["Apple without a key", "apple", { client_id: "c" }, /private_key/],
    ["Apple with a key that is none", "apple", { client_id: "c", team_id: "t", key_id: "k", private_key: "x" }, /P-256/],
    ["Apple with a secret", "apple", { ...id, team_id: "t", key_id: "k", private_key: "x" }, /client_secret/],
    ["scopes without openid", "example", { issuer: "https://a.example", scopes: ["email"], ...id }, /openid/],
    ["a role that is no name", "example", { issuer: "https://a.example", roles: ["No"], ...id }, /role/],
    ["a url of GitHub's elsewhere", "example", { issuer: "https://a.example", url: "https://b.example", ...id }, /preset github/],
    ["a member that is none", "example", { issuer: "https://a.example", secret: "x", ...id }, /a provider has preset/],
  ];
  for (const [name, provider, text, why] of rows)
    it(`is refused with ${name}`, (t) => {
      const folder = temporaryFolder(t), file = path.join(folder, "purlin.yaml");
      writeFileSync(file, configOf({ [provider]: text }));
      const { code, stderr, stdout } = runPurlin(["config", "--config", file], { env: environment(folder, path.join(folder, "contracts")) });
      assert.notEqual(code, 0);
      assert.match(stderr + stdout, why);
      assert.match(stderr + stdout, /purlin\.yaml:5/, "with its line");
      assert.doesNotMatch(stderr + stdout, /Sanitizer/);
    });

  it("takes Google, Microsoft and GitHub with little to say, and tells no secret", (t) => {
    const folder = temporaryFolder(t), file = path.join(folder, "purlin.yaml");
    writeFileSync(file, configOf({ google: { client_id: "c", client_secret: "kept-to-ourselves" }, microsoft: id, github: id }));
    const { code, stdout, stderr } = runPurlin(["config", "--config", file], { env: environment(folder, path.join(folder, "contracts")) });
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stdout + stderr, /kept-to-ourselves/);
  });
});
