/* tests/api/jose.test.mjs - Our tokens as jose reads them, and jose's as we do: by the JWKS, every algorithm, and
 * what either refuses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as jose from "jose";
import { startConformance } from "../support/conformance.mjs";

const issuer = "https://issuer.example";
const audience = "https://api.example";
const now = () => Math.floor(Date.now() / 1000);
const claims = () => ({ iss: issuer, aud: audience, sub: "u1", iat: now(), exp: now() + 900, scope: "posts:read" });

test("jose verifies our tokens by our JWKS", async (t) => {
  const server = await startConformance(t);
  for (const alg of ["ES256", "RS256"]) {
    const { status, body } = await server.post("/sign", { alg, typ: "at+jwt", claims: claims() });
    assert.equal(status, 200, JSON.stringify(body));
    const keys = jose.createLocalJWKSet(body.jwks);
    const options = { issuer, audience, typ: "at+jwt", algorithms: [alg] };
    const { payload, protectedHeader } = await jose.jwtVerify(body.jws, keys, options);
    assert.equal(payload.sub, "u1");
    assert.equal(protectedHeader.alg, alg);
    assert.equal(protectedHeader.typ, "at+jwt");
    assert.equal(protectedHeader.kid, await jose.calculateJwkThumbprint(body.jwks.keys[0]));
    assert.deepEqual(Object.keys(body.jwks.keys[0]).filter((k) => ["d", "p", "q", "dp", "dq", "qi"].includes(k)), []);
    /* And not another's. */
    const other = await server.post("/sign", { alg, typ: "at+jwt", claims: claims() });
    await assert.rejects(jose.jwtVerify(other.body.jws, keys, options), jose.errors.JWKSNoMatchingKey);
  }
});

test("what cannot be signed is refused", async (t) => {
  const server = await startConformance(t);
  for (const alg of ["HS256", "EdDSA", "ES384"])
    assert.notEqual((await server.post("/sign", { alg, claims: {} })).status, 200, alg);
  assert.notEqual((await server.post("/sign", { alg: "none", claims: {} })).status, 200);
});

/* A key pair of jose's, its JWKS, and a token by it. */
async function issue(alg, { header = {}, change = {}, kid = `kid-${alg}` } = {}) {
  const { publicKey, privateKey } = await jose.generateKeyPair(alg, { crv: "Ed25519", extractable: true });
  const jwk = { ...(await jose.exportJWK(publicKey)), kid, alg, use: "sig" };
  const sign = (more = {}, headerMore = {}) =>
    new jose.SignJWT({ ...claims(), ...change, ...more })
      .setProtectedHeader({ alg, kid, typ: "at+jwt", ...header, ...headerMore })
      .sign(privateKey);
  return { jwk, jws: await sign(), sign, privateKey };
}

const verifier = (server, jwks) => async (jws) =>
  (await server.post("/verify", { jwks, jws, issuer, audience, typ: "at+jwt" })).body;

const algorithms = ["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA"];

test("we verify jose's tokens, of every algorithm, among all of its keys", async (t) => {
  const server = await startConformance(t);
  const issued = await Promise.all(algorithms.map((alg) => issue(alg)));
  const verify = verifier(server, { keys: issued.map((i) => i.jwk) });
  for (const [i, { jwk, jws }] of issued.entries()) {
    assert.deepEqual(await verify(jws), { valid: true, refusal: "accepted" }, algorithms[i]);
    assert.deepEqual((await server.post("/verify", { jwk, jws })).body, { valid: true }, algorithms[i]);
    const [head, , signature] = jws.split(".");
    const forged = `${head}.${jose.base64url.encode(JSON.stringify({ ...claims(), sub: "admin" }))}.${signature}`;
    assert.deepEqual(await verify(forged), { valid: false, refusal: "signature" }, algorithms[i]);
    assert.deepEqual((await server.post("/verify", { jwk, jws: forged })).body, { valid: false }, algorithms[i]);
  }
});

test("thumbprints agree", async (t) => {
  const server = await startConformance(t);
  const { body } = await server.post("/sign", { alg: "RS256", claims: claims() });
  assert.equal(body.jwks.keys[0].kid, await jose.calculateJwkThumbprint(body.jwks.keys[0], "sha256"));
});

test("each claim and header counts", async (t) => {
  const server = await startConformance(t);
  const { jwk, sign } = await issue("ES256");
  const verify = verifier(server, { keys: [jwk] });
  const rows = [
    ["accepted", {}, {}],
    ["accepted", { aud: ["https://other.example", audience] }, {}],
    ["accepted", { exp: now() - 20 }, {}],
    ["expired", { exp: now() - 40 }, {}],
    ["no_expiry", { exp: undefined }, {}],
    ["not_yet", { nbf: now() + 60 }, {}],
    ["issuer", { iss: "https://evil.example" }, {}],
    ["audience", { aud: "https://other.example" }, {}],
    ["type", {}, { typ: "JWT" }],
    ["no_key", {}, { kid: "other" }],
  ];
  for (const [refusal, more, header] of rows)
    assert.deepEqual(await verify(await sign(more, header)), { valid: refusal === "accepted", refusal });
});

test("an unsecured token, and HMAC by a public key, are refused", async (t) => {
  const server = await startConformance(t);
  const { jwk } = await issue("RS256");
  const verify = verifier(server, { keys: [jwk] });
  const none = new jose.UnsecuredJWT(claims()).encode();
  assert.deepEqual(await verify(none), { valid: false, refusal: "malformed" });
  assert.deepEqual((await server.post("/verify", { jwk, jws: none })).body, { valid: false });
  const pem = await jose.exportSPKI(await jose.importJWK(jwk, "RS256"));
  const hmac = await new jose.SignJWT(claims())
    .setProtectedHeader({ alg: "HS256", kid: jwk.kid, typ: "at+jwt" })
    .sign(new TextEncoder().encode(pem));
  assert.deepEqual(await verify(hmac), { valid: false, refusal: "algorithm" });
  assert.deepEqual((await server.post("/verify", { jwk, jws: hmac })).body, { valid: false });
});

test("/verify takes secrets, and answers false for keys that are none", async (t) => {
  const server = await startConformance(t);
  const secret = { kty: "oct", k: jose.base64url.encode(new Uint8Array(64).fill(7)) };
  for (const alg of ["HS256", "HS384", "HS512"]) {
    const jws = await new jose.SignJWT(claims()).setProtectedHeader({ alg }).sign(await jose.importJWK(secret, alg));
    assert.deepEqual((await server.post("/verify", { jwk: secret, jws })).body, { valid: true }, alg);
    assert.deepEqual((await server.post("/verify", { jwk: { kty: "oct", k: "AAAA" }, jws })).body, { valid: false });
    assert.deepEqual((await server.post("/verify", { jwk: {}, jws })).body, { valid: false });
    assert.deepEqual((await server.post("/verify", { jwk: secret, jws: { payload: "" } })).body, { valid: false });
  }
  assert.equal((await server.post("/verify", { jwk: secret })).status, 422);
  assert.equal((await server.post("/verify", { jws: "a.b.c" })).status, 422);
});
