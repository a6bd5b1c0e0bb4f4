/*
 * tests/support/issuer.mjs - Another issuer over loopback: keys that can be rotated, a document that can lie, tokens of any kind, and a
 * count of what it was asked. The well-behaved one of the tests is npm's oidc-provider (tests/support/foreign.mjs); this one misbehaves.
 */
import { once } from "node:events";
import { createServer } from "node:http";
import * as jose from "jose";

export async function makeKey(alg = "ES256", kid = `key-${Math.random().toString(36).slice(2)}`) {
  const pair = await jose.generateKeyPair(alg, { extractable: true });
  return { alg, kid, privateKey: pair.privateKey, jwk: { ...(await jose.exportJWK(pair.publicKey)), alg, kid, use: "sig" } };
}

/* Runs until the test ends: { url, keys, asked, isDown, delay, document, sign(claims, options), token(...) }. */
export async function startIssuer(t) {
  const issuer = { keys: [await makeKey()], asked: { document: 0, keys: 0 }, isDown: false, document: {}, gate: null, exchange: null };
  const server = createServer(async (request, response) => {
    const isKeys = request.url === "/jwks";
    if (request.url === "/token" && issuer.exchange) {
      let form = "";
      for await (const chunk of request) form += chunk;
      const { status, body } = await issuer.exchange(new URLSearchParams(form));
      return response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
    }
    issuer.asked[isKeys ? "keys" : "document"]++;
    if (issuer.gate) await issuer.gate;
    if (issuer.isDown) return response.writeHead(503).end();
    const document = {
      issuer: issuer.url, authorization_endpoint: `${issuer.url}/authorize`, token_endpoint: `${issuer.url}/token`, jwks_uri: `${issuer.url}/jwks`,
      response_types_supported: ["code"], subject_types_supported: ["public"], id_token_signing_alg_values_supported: ["ES256"], ...issuer.document,
    };
    response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(isKeys ? { keys: issuer.keys.map(({ jwk }) => jwk) } : document));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  issuer.url = `http://127.0.0.1:${server.address().port}`;
  t.after(() => { server.closeAllConnections(); server.close(); });

  /* A signed token; `header` and `claims` override, null leaves one out. */
  issuer.token = async (claims = {}, { key = issuer.keys[0], header = {} } = {}) => {
    const now = Math.floor(Date.now() / 1000);
    const all = { iss: issuer.url, aud: "https://api.example.org", sub: "machine-7", iat: now, exp: now + 300, ...claims };
    for (const [name, value] of Object.entries(all)) if (value === null) delete all[name];
    return new jose.SignJWT(all).setProtectedHeader({ alg: key.alg, kid: key.kid, ...header }).sign(key.privateKey);
  };
  return issuer;
}

/* What a server needs to reach issuers on this machine. */
export const reachLoopback = "client:\n  allow: [127.0.0.0/8]\n";
