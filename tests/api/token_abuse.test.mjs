/*
 * tests/api/token_abuse.test.mjs - Tokens that are none of ours, in all the ways that have worked elsewhere: each is 401 with the reason to refresh, and
 * nothing that a token names is fetched. What a well-made token of ours may not be used for. (Times: tests/identity/test_jose.c.)
 */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, describe, it } from "node:test";
import * as jose from "jose";
import { auth, bearer, get, people, signUp } from "../support/auth.mjs";
import { startPurlin, temporaryFolder } from "../support/purlin.mjs";

const cheap = { PURLIN_AUTH_PASSWORD_MEMORY: "8MiB", PURLIN_AUTH_PASSWORD_PASSES: "1", PURLIN_SECRET: "an-installation-key-0123", PURLIN_AUTH_ISSUER: "http://issuer.test" };
const part = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

describe("an access token", () => {
  let server, ada, head, claims, jwks, theirs, lure;
  let lured = 0;
  const ends = [];
  before(async () => {
    server = await startPurlin({ after: (fn) => ends.push(fn) }, { contracts: people, env: cheap });
    ada = await signUp(server);
    [head, claims] = [jose.decodeProtectedHeader(ada.access_token), { ...jose.decodeJwt(ada.access_token), roles: ["admin"] }];
    jwks = (await get(server, "/.well-known/jwks.json")).body;
    theirs = await jose.generateKeyPair("ES256", { extractable: true });
    const set = JSON.stringify({ keys: [{ ...(await jose.exportJWK(theirs.publicKey)), kid: "theirs", use: "sig", alg: "ES256" }] });
    lure = createServer((_, answer) => { lured++; answer.end(set); });
    await new Promise((resolve) => lure.listen(0, "127.0.0.1", resolve));
    ends.unshift(() => new Promise((resolve) => lure.close(resolve)));
  });
  after(async () => { for (const fn of ends.reverse()) await fn(); });

  const sign = (header, payload = claims, key = theirs.privateKey) => new jose.SignJWT(payload).setProtectedHeader({ ...head, ...header }).sign(key);
  async function refused(token, what) {
    for (const [target, headers] of [["/auth/me", bearer(token)], ["/api/v1/users", bearer(token)], ["/api/v1/users", { "X-API-Key": token }]]) {
      const answer = await get(server, target, headers);
      assert.equal(answer.status, 401, `${what}: ${target}`);
      assert.match(answer.headers.get("www-authenticate"), /error="invalid_token"/, what);
    }
  }
  const url = (path) => `http://127.0.0.1:${lure.address().port}/${path}`;

  const kinds = {
    "without a signature": async () => ["none", "None", "NONE", "nOnE", ""].flatMap((alg) => [`${part({ ...head, alg })}.${part(claims)}.`, `${part({ ...head, alg })}.${part(claims)}.${ada.access_token.split(".")[2]}`]),
    "with the public key as a shared secret": async () => {
      const jwk = jwks.keys.find((key) => key.kid === head.kid);
      const pem = await jose.exportSPKI(await jose.importJWK(jwk, "ES256"));
      const secrets = [pem, pem.trim(), JSON.stringify(jwk), JSON.stringify(jwks), jwk.x, Buffer.from(jwk.x, "base64url"), head.kid, "", " "];
      return Promise.all(["HS256", "HS384", "HS512"].flatMap((alg) => secrets.filter((s) => s.length).map((s) => sign({ alg }, claims, Buffer.from(s)))));
    },
    "by somebody else's key, under our name for it": async () => [await sign({}), await sign({ kid: undefined })],
    "with a name for the key that means something elsewhere": async () =>
      Promise.all(["theirs", "", "0", "../../../../dev/null", "/dev/null", "file:///etc/passwd", "' OR '1'='1", "' UNION SELECT 'x' --", "\u0000", "k".repeat(1000), url("jwks.json"), "*", `${head.kid}\u0000x`, head.kid.slice(0, -1)].map((kid) => sign({ kid }))),
    "that brings its key along": async () => {
      const jwk = await jose.exportJWK(theirs.publicKey);
      return Promise.all([{ jwk }, { jwk: { ...jwk, kid: head.kid } }, { jwk, kid: "theirs" }, { x5c: ["MIIB"] }].map((header) => sign(header)));
    },
    "that says where its key is": async () =>
      Promise.all([{ jku: url("jwks.json") }, { jku: url("jwks.json"), kid: "theirs" }, { x5u: url("cert.pem") }, { jku: `http://issuer.test@127.0.0.1:${lure.address().port}/jwks.json` }, { iss: url("") }].map((header) => sign(header)).concat(sign({ kid: "theirs" }, { ...claims, iss: url("") }))),
    "of another algorithm than its key": async () => {
      const rsa = await jose.generateKeyPair("RS256"), ed = await jose.generateKeyPair("EdDSA"), large = await jose.generateKeyPair("ES384");
      return [await sign({ alg: "RS256" }, claims, rsa.privateKey), await sign({ alg: "PS256" }, claims, rsa.privateKey), await sign({ alg: "EdDSA" }, claims, ed.privateKey), await sign({ alg: "ES384" }, claims, large.privateKey)];
    },
    "with a signature of nothing": async () => ["A".repeat(86), "_".repeat(86), part(Buffer.alloc(64).toString("latin1")), "AAAA", ""].map((s) => `${part(head)}.${part(claims)}.${s}`),
    "that is cut off, or too long": async () => {
      const whole = ada.access_token, cuts = Array.from({ length: 20 }, (_, i) => whole.slice(0, Math.floor((whole.length * (i + 1)) / 21)));
      return [...cuts, `${whole}.`, `${whole}A`, `${whole}.${whole}`, `.${whole}`, `${part(head)}.${part({ ...claims, fill: "x".repeat(5000) })}.${"A".repeat(86)}`];
    },
    "that is no JSON, or strange JSON": async () =>
      ["x", "[]", "null", "{", '{"alg":"ES256","alg":"none"}', `{"alg":["ES256"]}`, `{"alg":"ES256","crit":["exp"],"kid":"${head.kid}"}`, "[".repeat(2000)].map((text) => `${part(text)}.${part(claims)}.${"A".repeat(86)}`),
  };
  for (const [what, make] of Object.entries(kinds))
    it(what, async () => {
      const tokens = await make();
      assert.ok(tokens.length);
      for (const token of tokens) await refused(token, `${what}: ${token.slice(0, 200)}`);
      assert.equal(lured, 0, "nothing was fetched");
      assert.equal((await get(server, "/auth/me", bearer(ada))).status, 200, "the good one still is");
    });

  it("that is a refresh token, a device's name, or an id", async () => {
    for (const token of [ada.refresh_token, ada.device, ada.session_id, ada.user_id]) await refused(token, token);
    assert.ok([401, 422].includes((await auth(server, "refresh", { refresh_token: ada.access_token })).status));
  });
});

it("a token of another issuer, or for another audience, is none of ours, though our key signed it", async (t) => {
  const folder = temporaryFolder(t);
  const first = await startPurlin(t, { contracts: people, folder, env: cheap });
  const ada = await signUp(first);
  assert.equal((await get(first, "/auth/me", bearer(ada))).status, 200);
  await first.stop();
  const second = await startPurlin(t, { contracts: people, folder, env: { ...cheap, PURLIN_AUTH_ISSUER: "http://other.test" } });
  const jwks = jose.createLocalJWKSet((await get(second, "/.well-known/jwks.json")).body);
  await jose.jwtVerify(ada.access_token, jwks);
  assert.equal((await get(second, "/auth/me", bearer(ada))).status, 401);
  const next = (await auth(second, "refresh", { refresh_token: ada.refresh_token })).body;
  assert.equal(jose.decodeJwt(next.access_token).iss, "http://other.test");
  assert.equal((await get(second, "/auth/me", bearer(next))).status, 200);
});

it("two installations do not believe each other, whatever they have in common", async (t) => {
  const one = await startPurlin(t, { contracts: people, env: cheap }), other = await startPurlin(t, { contracts: people, env: cheap });
  const ada = await signUp(one);
  await signUp(other, { email: ada.email });
  assert.equal((await get(other, "/auth/me", bearer(ada))).status, 401);
  assert.equal((await auth(other, "refresh", { refresh_token: ada.refresh_token })).status, 401);
});
