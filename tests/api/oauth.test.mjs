/*
 * tests/api/oauth.test.mjs - OAuth and OpenID Connect as real clients use them: openid-client, oauth4webapi, jose.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import * as jose from "jose";
import * as oauth from "oauth4webapi";
import * as openid from "openid-client";
import { bearer, get, signUp } from "../support/auth.mjs";
import { basic, Browser, post, redirect, request, serviceSecret, startOauth, tokensOf, webSecret } from "../support/oauth.mjs";
import { environment, root, runPurlin, startPurlin } from "../support/purlin.mjs";

let server, ada;
const ends = [];
before(async () => {
  server = await startOauth({ after: (fn) => ends.push(fn) });
  ada = await signUp(server, { name: "Ada" });
});
after(async () => { for (const fn of ends.reverse()) await fn(); });

const discover = (id, secret, auth) => openid.discovery(new URL(server.url), id, secret, auth, { execute: [openid.allowInsecureRequests] });
const insecure = { [oauth.allowInsecureRequests]: true };

describe("openid-client", () => {
  it("signs a person in by discovery, code, PKCE and ID token, refreshes, asks who it is, and revokes", async () => {
    const config = await discover("web", webSecret);
    const verifier = openid.randomPKCECodeVerifier(), state = openid.randomState(), nonce = openid.randomNonce();
    const url = openid.buildAuthorizationUrl(config, {
      redirect_uri: redirect, scope: "openid profile email offline_access notes.read", state, nonce,
      code_challenge: await openid.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
    });
    const back = await new Browser(server).through(url.searchParams, ada.email);
    assert.equal(back.searchParams.get("iss"), server.url);
    const tokens = await openid.authorizationCodeGrant(config, back, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true, maxAge: 60 });
    const claims = tokens.claims();
    assert.equal(claims.sub, ada.user_id);
    assert.deepEqual([claims.acr, claims.amr], ["aal1", ["pwd"]]);
    assert.equal(tokens.scope, "openid profile email offline_access notes.read");
    const info = await openid.fetchUserInfo(config, tokens.access_token, claims.sub);
    assert.deepEqual([info.name, info.email, info.email_verified], ["Ada", ada.email, false]);
    assert.equal(info.karma, undefined);

    const fresh = await openid.refreshTokenGrant(config, tokens.refresh_token);
    assert.equal(fresh.claims().sub, ada.user_id);
    assert.notEqual(fresh.refresh_token, tokens.refresh_token);
    const seen = await openid.tokenIntrospection(config, fresh.access_token);
    assert.deepEqual([seen.active, seen.client_id, seen.sub, seen.scope], [true, "web", ada.user_id, tokens.scope]);
    assert.equal((await openid.tokenIntrospection(config, fresh.refresh_token)).active, true);
    await openid.tokenRevocation(config, fresh.refresh_token);
    assert.equal((await openid.tokenIntrospection(config, fresh.access_token)).active, false);
    await assert.rejects(openid.fetchUserInfo(config, fresh.access_token, claims.sub), /challenge in the WWW-Authenticate/);
    await assert.rejects(openid.refreshTokenGrant(config, fresh.refresh_token), (e) => e.error === "invalid_grant");
  });

  it("a service has a token of its own, by either way to prove who it is", async () => {
    for (const way of [openid.ClientSecretBasic(serviceSecret), openid.ClientSecretPost(serviceSecret)]) {
      const config = await discover("service", serviceSecret, way);
      const tokens = await openid.clientCredentialsGrant(config, { scope: "notes.read" });
      assert.deepEqual([tokens.token_type, tokens.scope, tokens.refresh_token, tokens.id_token], ["bearer", "notes.read", undefined, undefined]);
      const claims = jose.decodeJwt(tokens.access_token);
      assert.deepEqual([claims.sub, claims.client_id, claims.roles, claims.sid], ["service", "service", ["reader"], undefined]);
      assert.equal((await get(server, "/api/v1/reports", bearer(tokens))).status, 200);
      assert.equal((await get(server, "/api/v1/reports", bearer(tokens))).status, 200, "and from the cache");
      assert.equal((await get(server, "/auth/me", bearer(tokens))).status, 401, "it is no person");
      await openid.tokenRevocation(config, tokens.access_token);
      assert.equal((await get(server, "/api/v1/reports", bearer(tokens))).status, 401);
      assert.equal((await openid.tokenIntrospection(config, tokens.access_token)).active, false);
    }
  });
});

describe("oauth4webapi", () => {
  it("checks every step of a public client on this machine, at whatever port", async () => {
    for (const uri of ["http://127.0.0.1:51234/cb", "http://[::1]:9/cb", "com.example.app:/cb"]) {
      const issuer = new URL(server.url), client = { client_id: "native" };
      const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { ...insecure, algorithm: "oauth2" }));
      const verifier = oauth.generateRandomCodeVerifier(), state = oauth.generateRandomState(), nonce = oauth.generateRandomNonce();
      const url = new URL(as.authorization_endpoint);
      url.search = new URLSearchParams({
        client_id: "native", redirect_uri: uri, response_type: "code", scope: "openid notes.read", state, nonce,
        code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
      });
      const back = await new Browser(server).through(url.searchParams, ada.email);
      assert.ok(back.href.startsWith(`${uri}?`));
      const params = oauth.validateAuthResponse(as, client, back, state);
      const answer = await oauth.authorizationCodeGrantRequest(as, client, oauth.None(), params, uri, verifier, insecure);
      const tokens = await oauth.processAuthorizationCodeResponse(as, client, answer, { expectedNonce: nonce, requireIdToken: true });
      const info = await oauth.userInfoRequest(as, client, tokens.access_token, insecure);
      assert.equal((await oauth.processUserInfoResponse(as, client, ada.user_id, info)).sub, ada.user_id);
      const fresh = await oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, oauth.None(), tokens.refresh_token, insecure));
      assert.ok(fresh.access_token);
      await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, oauth.None(), fresh.access_token, insecure));
    }
  });
});

describe("what tokens say and open", () => {
  it("jose verifies ID and access tokens, and neither passes for the other", async () => {
    const { body } = await tokensOf(server, ada.email, { scope: "openid notes.read" });
    const keys = jose.createRemoteJWKSet(new URL(`${server.url}/.well-known/jwks.json`));
    const id = await jose.jwtVerify(body.id_token, keys, { issuer: server.url, audience: "web", algorithms: ["ES256"] });
    assert.equal(id.payload.nonce, "n-1");
    const access = await jose.jwtVerify(body.access_token, keys, { issuer: server.url, audience: server.url, typ: "at+jwt" });
    assert.deepEqual([access.payload.client_id, access.payload.scope, access.payload.sub], ["web", "openid notes.read", ada.user_id]);
    assert.equal((await get(server, "/api/v1/notes", bearer(body.id_token))).status, 401);
  });

  it("a client has of a person's roles those that its scopes name, and the account never", async () => {
    const env = environment(server.folder, server.contractsFolder);
    const options = ["--config", `${server.folder}/purlin.yaml`];
    const bob = await signUp(server, { name: "Bob" });
    assert.equal(runPurlin(["user", "role", bob.email, "--role", "reader", "--role", "writer", "--role", "admin", ...options], { env }).code, 0);
    const one = (await tokensOf(server, bob.email, { scope: "openid notes.read" })).body;
    assert.deepEqual(jose.decodeJwt(one.access_token).roles, ["reader"]);
    assert.equal((await get(server, "/api/v1/reports", bearer(one))).status, 200);
    const write = await server.post("/api/v1/reports", { body: { text: "x" }, headers: bearer(one) });
    assert.equal(write.status, 403);
    assert.equal((await get(server, "/api/v1/notes", bearer(one))).status, 200, "it is the person, for what needs no role");
    const none = (await tokensOf(server, bob.email, { scope: "openid email" })).body;
    assert.deepEqual(jose.decodeJwt(none.access_token).roles, []);
    assert.equal((await get(server, "/api/v1/notes", bearer(none))).status, 401, "without a scope of the application it is nobody there");
    assert.equal((await get(server, "/oauth/userinfo", bearer(none))).body.email, bob.email);
    const trusted = (await tokensOf(server, bob.email, { client_id: "ours", redirect_uri: "https://ours.example.org/cb" }, "")).body;
    assert.deepEqual(jose.decodeJwt(trusted.access_token).roles.sort(), ["admin", "reader", "writer"]);
    for (const tokens of [one, trusted])
      for (const [method, path] of [["GET", "/auth/sessions"], ["DELETE", "/auth/sessions"], ["POST", "/auth/logout"]])
        assert.ok([401, 403].includes((await get(server, path, bearer(tokens), method)).status), path);
  });

  it("a refresh may ask for less, and what it got is less", async () => {
    const { body } = await tokensOf(server, ada.email, { scope: "openid notes.read offline_access" });
    const refresh = (scope, token) => post(server, "/oauth/token", { grant_type: "refresh_token", refresh_token: token, ...(scope ? { scope } : {}) }, basic("web", webSecret));
    assert.equal((await refresh("openid notes.write", body.refresh_token)).body.error, "invalid_scope");
    const less = await refresh("openid", body.refresh_token);
    assert.equal(less.body.scope, "openid");
    assert.equal((await get(server, "/api/v1/notes", bearer(less.body))).status, 401);
    const more = await refresh("", less.body.refresh_token);
    assert.equal(more.body.scope, "openid notes.read offline_access");
    assert.equal((await get(server, "/api/v1/notes", bearer(more.body))).status, 200);
  });

  it("a client without the grant gets no refresh token; without offline_access it ends with the browser's session", async () => {
    const brief = await tokensOf(server, ada.email, { client_id: "brief" }, "other-secret-0123456789");
    assert.equal(brief.status, 200);
    assert.equal(brief.body.refresh_token, undefined);
    const browser = new Browser(server), asked = request();
    const back = await browser.through(asked.query, ada.email);
    const sessions = await browser.go("/auth/sessions");
    const until = JSON.parse(sessions.text).data.find((s) => s.current).expires_at;
    const { body } = await post(server, "/oauth/token", { grant_type: "authorization_code", code: back.searchParams.get("code"), redirect_uri: redirect, code_verifier: asked.verifier }, basic("web", webSecret));
    const seen = await post(server, "/oauth/introspect", { token: body.refresh_token }, basic("web", webSecret));
    assert.ok(seen.body.exp * 1000 <= Date.parse(until), `${seen.body.exp} ${until}`);
  });
});

describe("the documents", () => {
  it("are the same at both places, for pages of any origin, and name what there is", async () => {
    const documents = [];
    for (const path of ["openid-configuration", "oauth-authorization-server"]) {
      const answer = await fetch(`${server.url}/.well-known/${path}`, { headers: { Origin: "https://spa.example.org" } });
      assert.equal(answer.headers.get("access-control-allow-origin"), "*");
      documents.push(await answer.json());
    }
    assert.deepEqual(documents[0], documents[1]);
    const [{ issuer, ...doc }] = documents;
    assert.equal(issuer, server.url);
    assert.deepEqual(doc.code_challenge_methods_supported, ["S256"]);
    assert.equal(doc.authorization_response_iss_parameter_supported, true);
    assert.deepEqual(doc.scopes_supported, ["openid", "profile", "email", "offline_access", "notes.read", "notes.write", "reports"]);
    for (const [key, url] of Object.entries(doc).filter(([key]) => /_endpoint$|_uri$/.test(key)))
      assert.notEqual((await fetch(url, { method: "GET" })).status, 404, key);
  });

  it("a page of another origin may ask for tokens and userinfo, without cookies, and nothing else", async () => {
    const preflight = (path, method, headers) => fetch(`${server.url}${path}`, {
      method: "OPTIONS", headers: { Origin: "https://spa.example.org", "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers },
    });
    for (const [path, method] of [["/oauth/token", "POST"], ["/oauth/userinfo", "GET"], ["/oauth/revoke", "POST"]]) {
      const answer = await preflight(path, method, "authorization");
      assert.equal(answer.status, 204, path);
      assert.equal(answer.headers.get("access-control-allow-origin"), "*", path);
      assert.equal(answer.headers.get("access-control-allow-credentials"), null);
      assert.match(answer.headers.get("access-control-allow-headers"), /Authorization/);
    }
    for (const path of ["/oauth/introspect", "/oauth/consent", "/auth/login", "/api/v1/notes"])
      assert.equal((await preflight(path, "POST", "authorization")).headers.get("access-control-allow-origin"), null, path);
  });
});

describe("examples/conformance", () => {
  it("is a provider with a service, a web client and a member made by the documented command", async (t) => {
    const { readFileSync } = await import("node:fs");
    const readme = readFileSync(`${root}/examples/conformance/README.md`, "utf8");
    const [, email, secret] = /\| member \| `([^`]*)`, `([^`]*)` \|/.exec(readme);
    const profile = await startPurlin(t, { contracts: `${root}/examples/conformance/contracts`, config: readFileSync(`${root}/examples/conformance/purlin.yaml`, "utf8") });
    const made = runPurlin(["user", "create", email, "--profile", '{"display_name":"Member"}', "--password-stdin", "--config", `${profile.folder}/purlin.yaml`], { env: environment(profile.folder, profile.contractsFolder), input: `${secret}\n` });
    assert.equal(made.code, 0, made.stderr);
    const service = await post(profile, "/oauth/token", { grant_type: "client_credentials" }, basic("conformance-service", "conformance-service-secret"));
    assert.equal((await profile.post("/api/v1/notes", { body: { text: "of a service" }, headers: bearer(service.body) })).status, 201);
    const asked = request({ client_id: "conformance-web", redirect_uri: "http://127.0.0.1:9123/callback", scope: "openid notes.read" });
    const form = await new Browser(profile).authorize(asked.query);
    // A client without cookies gets as far.
    const back = await new Browser(profile).signIn(form, email, secret);
    assert.equal(back.status, 303);
    const answer = await post(profile, "/oauth/token", { grant_type: "authorization_code", code: back.location.searchParams.get("code"), redirect_uri: asked.params.redirect_uri, code_verifier: asked.verifier }, basic("conformance-web", "conformance-web-secret"));
    assert.equal(answer.status, 200, answer.text);
    assert.equal((await profile.get("/api/v1/notes", { headers: bearer(answer.body) })).status, 200);
    assert.equal(jose.decodeJwt(answer.body.id_token).iss, profile.url);
  });
});

describe("purlin client", () => {
  it("makes, lists, renews and removes clients, and the server goes by it", async () => {
    const env = environment(server.folder, server.contractsFolder);
    const run = (...args) => runPurlin(["client", ...args, "--config", `${server.folder}/purlin.yaml`], { env });
    const made = run("create", "batch", "--scope", "notes.read", "--json");
    assert.equal(made.code, 0, made.stderr);
    const { client_secret: secret } = JSON.parse(made.stdout);
    const token = (s) => post(server, "/oauth/token", { grant_type: "client_credentials" }, basic("batch", s));
    const first = await token(secret);
    assert.deepEqual([first.status, first.body.scope], [200, "notes.read"]);
    const renewed = JSON.parse(run("secret", "batch", "--json").stdout).client_secret;
    assert.equal((await token(secret)).body.error, "invalid_client");
    assert.equal((await token(renewed)).status, 200);
    const listed = JSON.parse(run("list", "--json").stdout);
    assert.deepEqual(listed.filter((c) => ["batch", "web"].includes(c.client_id)).map((c) => [c.client_id, c.from]), [["web", "purlin.yaml"], ["batch", "database"]]);
    assert.equal(JSON.stringify(listed).includes(renewed), false);
    assert.match(run("create", "batch", "--scope", "notes.read").stderr, /There is a client of this id/);
    assert.match(run("create", "web", "--redirect", redirect).stderr, /in purlin.yaml/);
    assert.match(run("create", "bad", "--redirect", "http://example.org/cb").stderr, /must be https/);
    assert.match(run("create", "bad", "--scope", "nothing").stderr, /a scope that is neither/);
    assert.match(run("remove", "web").stderr, /in purlin.yaml/);
    assert.equal(run("remove", "batch").code, 0);
    assert.equal((await token(renewed)).body.error, "invalid_client");
    assert.match(run("remove", "batch").stderr, /no client of this id/);
    for (let i = 0; (await get(server, "/api/v1/reports", bearer(first.body))).status !== 401; i++) {
      assert.ok(i < 250, "its tokens end within five seconds");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });

  it("a configuration that cannot hold is refused with its line", async () => {
    const wrong = [
      ["{ id: a, redirect_uris: ['https://*.example.org/'] }", /wildcard/],
      ["{ id: a, redirect_uris: ['https://example.org/#x'] }", /fragment/],
      ["{ id: a, redirect_uris: ['javascript:alert(1)'] }", /must be https/],
      ["{ id: a, redirect_uris: ['https://u@example.org/'] }", /user/],
      ["{ id: a }", /needs a redirect URI/],
      ["{ id: a, secret: short, redirect_uris: ['https://example.org/'] }", /16 to 256/],
      ["{ id: a, grants: [client_credentials] }", /needs a secret/],
      ["{ id: a, grants: [implicit] }", /grants are/],
      ["{ id: a, redirect_uris: ['https://example.org/'], scopes: [nope] }", /neither OpenID's/],
      ["{ id: purlin, redirect_uris: ['https://example.org/'] }", /own sign-in/],
      ["{ id: a, redirect_uri: x }", /a client has id/],
    ];
    const { mkdtempSync, rmSync, writeFileSync } = await import("node:fs");
    const folder = mkdtempSync("/tmp/purlin-oauth-");
    try {
      for (const [client, reason] of wrong) {
        writeFileSync(`${folder}/purlin.yaml`, `oauth:\n  clients:\n    - ${client}\n`);
        const { code, stderr } = runPurlin(["config", "--config", `${folder}/purlin.yaml`], { env: environment(folder, folder) });
        assert.equal(code, 2, client);
        assert.match(stderr, reason, client);
        assert.match(stderr, /purlin\.yaml:3/, client);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
