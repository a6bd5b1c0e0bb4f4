/*
 * tests/api/oauth_abuse.test.mjs - What goes wrong with OAuth elsewhere, row by row (RFC 9700): redirects, codes, PKCE, mix-up, consent, clients.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { bearer, get, password, signUp } from "../support/auth.mjs";
import { setUpTotp, totp, wrongCode } from "../support/otp.mjs";
import { basic, Browser, otherSecret, pkce, post, redirect, request, startOauth, tokensOf, webSecret } from "../support/oauth.mjs";

let server, ada, bob;
const ends = [];
before(async () => {
  server = await startOauth({ after: (fn) => ends.push(fn) });
  ada = await signUp(server, { name: "Ada" });
  bob = await signUp(server, { name: "Bob" });
});
after(async () => { for (const fn of ends.reverse()) await fn(); });

const exchange = (code, verifier, { client = "web", secret = webSecret, uri = redirect } = {}) =>
  post(server, "/oauth/token", { grant_type: "authorization_code", code, redirect_uri: uri, code_verifier: verifier }, basic(client, secret));

async function codeFor(overrides = {}) {
  const asked = request(overrides);
  const back = await new Browser(server).through(asked.query, ada.email);
  return { code: back.searchParams.get("code"), verifier: asked.verifier, back };
}

describe("redirects", () => {
  it("nobody is sent to an address that is not registered for this very client", async () => {
    const bad = [
      "https://evil.example.org/callback", "https://app.example.org/callback/", "https://app.example.org/callback?x=1", "https://app.example.org/callback#f",
      "https://app.example.org.evil.org/callback", "https://app.example.org@evil.org/callback", "https://APP.example.org/callback", "http://app.example.org/callback",
      "https://app.example.org:8443/callback", "https://app.example.org/callback/../x", "https://app.example.org/%63allback", "//app.example.org/callback", "javascript:alert(1)", "", null,
    ];
    for (const uri of bad) {
      const answer = await new Browser(server).authorize(request({ redirect_uri: uri }).query);
      assert.equal(answer.status, 400, uri);
      assert.equal(answer.location, null, uri);
      assert.match(answer.headers.get("content-type"), /text\/html/);
    }
    for (const [uri, good] of [
      ["http://127.0.0.1:5000/cb", true], ["http://[::1]:1/cb", true], ["http://127.0.0.1:5000/cb2", false], ["http://127.0.0.2/cb", false], ["http://127.0.0.1:5000@evil.org/cb", false],
      ["http://127.0.0.1:/cb", false], ["http://localhost/cb", false], ["https://127.0.0.1/cb", false], ["http://127.0.0.1:123456/cb", false], ["http://127.0.0.1.evil.org/cb", false], ["com.example.app:/cb2", false],
    ])
      assert.equal((await new Browser(server).authorize(request({ client_id: "native", redirect_uri: uri }).query)).status, good ? 200 : 400, uri);
  });

  it("an unknown client, one without the grant, and doubled names get a page", async () => {
    for (const overrides of [{ client_id: "nobody" }, { client_id: "service" }, { client_id: null }, { client_id: "<script>" }])
      assert.equal((await new Browser(server).authorize(request(overrides).query)).status, 400);
    for (const name of ["client_id", "redirect_uri"]) {
      const { query } = request();
      query.append(name, query.get(name));
      assert.equal((await new Browser(server).authorize(query)).status, 400, name);
    }
  });

  it("other faults are told to the client, with state and iss", async () => {
    const rows = [
      [{ response_type: "token" }, "unsupported_response_type"], [{ response_type: "code id_token" }, "unsupported_response_type"], [{ response_type: null }, "invalid_request"],
      [{ code_challenge: null }, "invalid_request"], [{ code_challenge_method: "plain" }, "invalid_request"], [{ code_challenge_method: null }, "invalid_request"], [{ code_challenge: "short" }, "invalid_request"],
      [{ scope: "openid reports" }, "invalid_scope"], [{ scope: 'open"id' }, "invalid_scope"], [{ scope: "openid admin" }, "invalid_scope"],
      [{ prompt: "none login" }, "invalid_request"], [{ max_age: "-1" }, "invalid_request"], [{ max_age: "x" }, "invalid_request"], [{ prompt: "none" }, "login_required"],
      [{ request: "eyJ" }, "request_not_supported"], [{ request_uri: "https://x.org" }, "request_uri_not_supported"], [{ response_mode: "fragment" }, "invalid_request"], [{ nonce: "a\u0001b" }, "invalid_request"], [{ nonce: "n".repeat(2049) }, "invalid_request"],
    ];
    for (const [overrides, error] of rows) {
      const { query, params } = request(overrides);
      const { status, location } = await new Browser(server).authorize(query);
      assert.equal(status, 303, JSON.stringify(overrides));
      assert.equal(location.origin + location.pathname, redirect);
      assert.equal(location.searchParams.get("error"), error, JSON.stringify(overrides));
      assert.equal(location.searchParams.get("state"), params.state);
      assert.equal(location.searchParams.get("iss"), server.url);
    }
    for (const name of ["scope", "state", "nonce", "code_challenge", "prompt"]) {
      const { query } = request();
      query.append(name, "x");
      query.append(name, "y");
      assert.equal((await new Browser(server).authorize(query)).location.searchParams.get("error"), "invalid_request", name);
    }
    const kept = await new Browser(server).authorize(request({ redirect_uri: "https://app.example.org/other?a=1", prompt: "none" }).query);
    assert.match(kept.location.href, /^https:\/\/app\.example\.org\/other\?a=1&error=login_required&/);
  });
});

describe("codes", () => {
  it("hold once; the second use ends what the first one got", async () => {
    const { code, verifier } = await codeFor({ scope: "openid notes.read" });
    const first = await exchange(code, verifier);
    assert.equal(first.status, 200);
    assert.equal(first.headers.get("cache-control"), "no-store");
    assert.equal((await get(server, "/api/v1/notes", bearer(first.body))).status, 200);
    assert.equal((await exchange(code, verifier)).body.error, "invalid_grant");
    assert.equal((await get(server, "/api/v1/notes", bearer(first.body))).status, 401);
    assert.equal((await post(server, "/oauth/token", { grant_type: "refresh_token", refresh_token: first.body.refresh_token }, basic("web", webSecret))).body.error, "invalid_grant");
  });

  it("twenty at once get one session, and none of it survives", async () => {
    const { code, verifier } = await codeFor();
    const answers = await Promise.all(Array.from({ length: 20 }, () => exchange(code, verifier)));
    const good = answers.filter((a) => a.status === 200);
    assert.equal(good.length, 1);
    assert.equal((await get(server, "/oauth/userinfo", bearer(good[0].body))).status, 401);
  });

  it("are worth nothing to another client, at another address, or without the verifier", async () => {
    const one = await codeFor();
    assert.equal((await exchange(one.code, one.verifier, { client: "other", secret: otherSecret })).body.error, "invalid_grant");
    assert.equal((await exchange(one.code, one.verifier)).status, 200, "another client cannot spend it either");
    for (const wrong of [(c) => exchange(c.code, c.verifier, { uri: "https://app.example.org/other?a=1" }), (c) => exchange(c.code, pkce().verifier), (c) => exchange(c.code, "x".repeat(20))]) {
      const c = await codeFor();
      assert.equal((await wrong(c)).body.error, "invalid_grant");
      assert.equal((await exchange(c.code, c.verifier)).body.error, "invalid_grant", "it is spent");
    }
    assert.equal((await exchange("purlin_code_x", pkce().verifier)).body.error, "invalid_grant");
    assert.equal((await exchange((await codeFor()).code, "")).body.error, "invalid_request");
  });

  it("end with the browser's session", async () => {
    const asked = request(), browser = new Browser(server);
    const back = await browser.through(asked.query, ada.email);
    const out = await browser.go("/auth/logout", { method: "POST", headers: { "X-CSRF-Token": browser.jar.get("__Host-purlin_csrf"), "Sec-Fetch-Site": "same-origin" } });
    assert.equal(out.status, 204);
    assert.equal((await exchange(back.searchParams.get("code"), asked.verifier)).body.error, "invalid_grant");
  });
});

describe("the token endpoint", () => {
  it("believes a client only what it proves, in one way", async () => {
    const { code, verifier } = await codeFor();
    const form = { grant_type: "authorization_code", code, redirect_uri: redirect, code_verifier: verifier };
    const rows = [
      [form, {}, 400, "invalid_request"], [{ ...form, client_id: "web" }, {}, 401, "invalid_client"], [{ ...form, client_id: "web", client_secret: "wrong" }, {}, 401, "invalid_client"],
      [form, basic("web", "wrong"), 401, "invalid_client"], [form, basic("nobody", "wrong"), 401, "invalid_client"], [form, { Authorization: "Basic !!!" }, 401, "invalid_client"],
      [{ ...form, client_secret: webSecret }, basic("web", webSecret), 400, "invalid_request"], [{ ...form, client_id: "other" }, basic("web", webSecret), 401, "invalid_client"],
      [{ ...form, client_id: "ours", client_secret: "anything" }, {}, 401, "invalid_client"],
    ];
    for (const [body, headers, status, error] of rows) {
      const answer = await post(server, "/oauth/token", body, headers);
      assert.deepEqual([answer.status, answer.body.error], [status, error], JSON.stringify([body, headers]));
      if (status === 401) assert.match(answer.headers.get("www-authenticate"), /^Basic/);
    }
    assert.equal((await exchange(code, verifier)).status, 200);
  });

  it("refuses what is doubled, unknown, of another type, or not this client's to ask", async () => {
    const twice = new URLSearchParams({ grant_type: "client_credentials" });
    twice.append("grant_type", "client_credentials");
    assert.equal((await post(server, "/oauth/token", twice, basic("service", "service secret: 100% & more+"))).body.error, "invalid_request");
    const ask = async (form, headers) => (await post(server, "/oauth/token", form, headers)).body.error;
    assert.equal(await ask({ grant_type: "password", username: ada.email, password }, basic("web", webSecret)), "unsupported_grant_type");
    assert.equal(await ask({}, basic("web", webSecret)), "invalid_request");
    assert.equal(await ask({ grant_type: "client_credentials" }, basic("web", webSecret)), "unauthorized_client");
    assert.equal(await ask({ grant_type: "client_credentials", scope: "notes.write" }, basic("service", "service secret: 100% & more+")), "invalid_scope");
    assert.equal(await ask({ grant_type: "client_credentials", scope: "openid" }, basic("service", "service secret: 100% & more+")), "invalid_scope");
    const json = await server.post("/oauth/token", { body: { grant_type: "client_credentials" } });
    assert.ok(json.status >= 400 && json.status < 500);
  });

  it("another client's refresh token is no use, and not ended by the attempt", async () => {
    const { body } = await tokensOf(server, ada.email);
    const refresh = (id, secret) => post(server, "/oauth/token", { grant_type: "refresh_token", refresh_token: body.refresh_token }, basic(id, secret));
    assert.equal((await refresh("other", otherSecret)).body.error, "invalid_grant");
    assert.equal((await post(server, "/oauth/revoke", { token: body.refresh_token }, basic("other", otherSecret))).status, 200);
    assert.equal((await post(server, "/oauth/introspect", { token: body.refresh_token }, basic("other", otherSecret))).body.active, false);
    const own = await fetch(`${server.url}/auth/refresh`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ refresh_token: body.refresh_token }) });
    assert.equal(own.status, 401, "nor is it one of our own sign-in");
    assert.equal((await refresh("web", webSecret)).status, 200);
    assert.equal((await post(server, "/oauth/token", { grant_type: "refresh_token", refresh_token: ada.refresh_token }, basic("web", webSecret))).body.error, "invalid_grant");
  });

  it("tells nothing of tokens to who cannot prove to be a client", async () => {
    assert.equal((await post(server, "/oauth/introspect", { token: ada.access_token })).status, 400);
    assert.equal((await post(server, "/oauth/introspect", { token: ada.access_token, client_id: "native" })).body.error, "invalid_client");
    assert.deepEqual((await post(server, "/oauth/introspect", { token: "x" }, basic("web", webSecret))).body, { active: false });
  });
});

describe("pages", () => {
  it("cannot be framed, scripted or stored, and their forms lead nowhere else", async () => {
    const page = await new Browser(server).authorize(request({ login_hint: '"><script>alert(1)</script>' }).query);
    const policy = page.headers.get("content-security-policy");
    assert.match(policy, /frame-ancestors 'none'/);
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /form-action 'self' https:\/\/app\.example\.org;/);
    assert.match(policy, /script-src 'self';/, "a passkey needs a script, a file of ours");
    assert.doesNotMatch(policy, /unsafe/);
    assert.equal(page.headers.get("x-frame-options"), "DENY");
    assert.equal(page.headers.get("cache-control"), "no-store");
    assert.ok([...page.text.matchAll(/<script[^>]*>/g)].every(([tag]) => /^<script src="\/assets\/[a-z]+\.js" defer>$/.test(tag)), "no other script");
    assert.match(page.text, /Web &lt;App&gt; &amp; Co/);
    assert.match(page.text, /<label for="email">/);
  });

  it("a wrong password is told on the page; a form of another site is not read", async () => {
    const browser = new Browser(server), page = await browser.authorize(request().query);
    const wrong = await browser.signIn(page, ada.email, "not the password");
    assert.deepEqual([wrong.status, browser.jar.has("__Host-purlin_session")], [401, false]);
    assert.match(wrong.text, /role="alert">The address or the password is wrong/);
    const unknown = await browser.signIn(page, "nobody@example.org", "not the password");
    assert.equal(unknown.text.replace("nobody@example.org", ada.email), wrong.text);
    assert.equal((await browser.signIn(page, "not an address", "x")).status, 422);
    for (const headers of [{ "Sec-Fetch-Site": "cross-site" }, { Origin: "https://evil.example.org" }])
      assert.equal((await browser.submit(page, { email: bob.email, password }, headers)).status, 403);
    assert.equal(browser.jar.has("__Host-purlin_session"), false);
  });

  it("a second factor is asked for before anything is begun, and its code holds once", async () => {
    const eve = await signUp(server, { name: "Eve" });
    const { secret, recovery_codes: [spare] } = await setUpTotp(server, eve);
    const ours = () => request({ client_id: "ours", redirect_uri: "https://ours.example.org/cb" });
    const browser = new Browser(server), asked = ours();
    const page = await browser.signIn(await browser.authorize(asked.query), eve.email);
    assert.match(page.text, /action="\/oauth\/second"/);
    assert.equal(browser.jar.has("__Host-purlin_session"), false);
    const wrong = await browser.submit(page, { code: wrongCode(secret) });
    assert.ok(wrong.status >= 400 && /role="alert">The code is wrong/.test(wrong.text), wrong.text);
    assert.match((await browser.submit(page, { code: "" })).text, /role="alert">Enter a code/);
    assert.equal((await browser.submit(page, { code: totp(secret) }, { "Sec-Fetch-Site": "cross-site" })).status, 403);
    const back = await browser.submit(page, { code: totp(secret) });
    assert.equal(back.status, 303, back.text);
    const { body } = await post(server, "/oauth/token", { grant_type: "authorization_code", code: back.location.searchParams.get("code"), redirect_uri: "https://ours.example.org/cb", code_verifier: asked.verifier, client_id: "ours" });
    const claims = JSON.parse(Buffer.from(body.id_token.split(".")[1], "base64url"));
    assert.deepEqual([claims.acr, claims.amr], ["aal2", ["pwd", "otp", "mfa"]]);
    assert.match((await browser.submit(page, { code: spare })).text, /action="\/oauth\/login"/, "the first step was used");
    const again = await new Browser(server).signIn(await new Browser(server).authorize(ours().query), eve.email);
    assert.ok([400, 401].includes((await new Browser(server).submit(again, { code: totp(secret) })).status));
    assert.equal((await new Browser(server).submit(again, { code: spare })).status, 303);
  });

  it("consent is for one session and one request, asked once, and may be refused", async () => {
    const mine = new Browser(server), theirs = new Browser(server);
    const asked = request({ scope: "openid notes.write" });
    const page = await mine.signIn(await mine.authorize(asked.query), bob.email);
    assert.match(page.text, /Write notes for you/);
    assert.match(page.text, /signed in as/);
    assert.equal((await mine.submit(page, { decision: "allow" }, { "Sec-Fetch-Site": "cross-site" })).status, 403);
    assert.equal((await mine.submit(page, { decision: "allow", csrf: "x".repeat(76) })).status, 403);
    assert.equal((await mine.submit(page, { decision: "allow", csrf: "" })).status, 403);
    const more = request({ scope: "openid notes.write notes.read" });
    assert.equal((await mine.submit(page, { decision: "allow", request: more.query })).status, 403, "the token is of another request");
    await theirs.signIn(await theirs.authorize(asked.query), ada.email);
    assert.equal((await theirs.submit(page, { decision: "allow" })).status, 403, "and of another session");
    assert.match((await new Browser(server).submit(page, { decision: "allow" })).text, /action="\/oauth\/login"/);
    const no = await mine.submit(page, { decision: "deny" });
    assert.equal(no.location.searchParams.get("error"), "access_denied");
    assert.equal(no.location.searchParams.get("code"), null);
    assert.equal((await mine.authorize(request({ scope: "openid notes.write", prompt: "none" }).query)).location.searchParams.get("error"), "consent_required");
    assert.ok((await mine.submit(page, { decision: "allow" })).location.searchParams.get("code"));
    assert.ok((await mine.authorize(request({ scope: "openid notes.write", prompt: "none" }).query)).location.searchParams.get("code"));
    assert.equal((await mine.authorize(more.query)).status, 200, "more is asked for anew");
    assert.equal((await mine.authorize(request({ scope: "openid", prompt: "consent" }).query)).status, 200);
  });

  it("who is signed in is not asked again, unless the client wants it", async () => {
    const browser = new Browser(server), ours = (overrides) => request({ client_id: "ours", redirect_uri: "https://ours.example.org/cb", ...overrides }).query;
    await browser.through(ours(), ada.email);
    const before = browser.jar.get("__Host-purlin_session");
    assert.equal((await browser.authorize(ours())).status, 303);
    for (const again of [{ prompt: "login" }, { max_age: "0" }]) {
      const page = await browser.authorize(ours(again));
      assert.match(page.text, /action="\/oauth\/login"/, JSON.stringify(again));
      assert.equal((await browser.signIn(page, ada.email)).status, 303);
    }
    assert.notEqual(browser.jar.get("__Host-purlin_session"), before, "the session is a new one");
    const native = request({ client_id: "native", redirect_uri: "http://127.0.0.1:1/cb" });
    await browser.submit(await browser.authorize(native.query), { decision: "allow" });
    assert.equal((await browser.authorize(native.query)).status, 200, "a public client of the machine asks each time");
  });
});
