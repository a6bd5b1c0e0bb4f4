/*
 * tests/api/foreign_tokens.test.mjs - Bearer tokens of other issuers: taken by their keys and by nothing else, with the roles that the
 * configuration maps and no others; keys fetched once, anew when they rotate, not for a flood, and kept while their issuer is down.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import * as jose from "jose";
import { bearer, get, people } from "../support/auth.mjs";
import { makeKey, reachLoopback, startIssuer } from "../support/issuer.mjs";
import { environment, runPurlin, startPurlin, temporaryFolder } from "../support/purlin.mjs";
import { startProvider } from "../support/foreign.mjs";
import { writeFileSync } from "node:fs";

const cheap = { PURLIN_AUTH_PASSWORD_MEMORY: "8MiB", PURLIN_AUTH_PASSWORD_PASSES: "1" };
const secret = "a shared secret of more than 32 bytes";
const contracts = {
  ...people,
  reports: `resource: reports
fields: { text: { type: string, max: 200, required: true } }
rules: { read: '"reader" in @roles', create: '"writer" in @roles' }
`,
};
const configOf = (issuers) => `${reachLoopback}auth:\n  token_issuers:\n${issuers.map((one) => `    - ${JSON.stringify(one)}\n`).join("")}`;
const entry = (issuer, more = {}) => ({
  issuer: issuer.url, audience: "https://api.example.org", roles_claim: "realm.roles", roles: { Readers: "reader", Writers: "writer" }, ...more,
});
const start = (t, issuers, options = {}) => startPurlin(t, { contracts, config: configOf(issuers), env: cheap, ...options });
const reports = (server, token) => get(server, "/api/v1/reports", bearer(token));
const readers = { realm: { roles: ["Readers", "admin", "writer"] } };
const suite = () => {
  const ends = [];
  return { t: { after: (fn) => ends.push(fn) }, end: async () => { for (const fn of ends.reverse()) await fn(); } };
};

describe("a token of another issuer", () => {
  const { t, end } = suite();
  let issuer, hs, server;
  before(async () => {
    issuer = await startIssuer(t);
    hs = { url: "urn:example:legacy" };
    server = await start(t, [entry(issuer, { algorithms: ["ES256", "EdDSA"] }), entry(hs, { algorithms: ["HS256"], secret })]);
  });
  after(end);

  it("gives the mapped roles and no others", async () => {
    const token = await issuer.token(readers);
    assert.equal((await reports(server, token)).status, 200);
    const write = await server.post("/api/v1/reports", { body: { text: "x" }, headers: bearer(token) });
    assert.equal(write.status, 403, "\"writer\" is ours and not theirs to say");
    const admin = await server.get("/api/v1/audit", { headers: bearer(token) });
    assert.equal(admin.status, 403, "they have no word for admin here");
    const both = await issuer.token({ realm: { roles: "Readers Writers" } });
    assert.equal((await server.post("/api/v1/reports", { body: { text: "x" }, headers: bearer(both) })).status, 201, "a text with spaces is a list");
    assert.equal((await get(server, "/auth/me", bearer(token))).status, 401, "and nobody of ours");
  });

  it("is refused whenever anything of it is not as it must be", async () => {
    const now = Math.floor(Date.now() / 1000), stranger = await makeKey(), wrongKind = await makeKey("RS256", issuer.keys[0].kid);
    const good = await issuer.token(readers), [head, body, signature] = good.split(".");
    const bad = {
      "another audience": await issuer.token({ ...readers, aud: "https://other.example.org" }),
      "no audience": await issuer.token({ ...readers, aud: null }),
      "no expiry": await issuer.token({ ...readers, exp: null }),
      expired: await issuer.token({ ...readers, exp: now - 60 }),
      "not yet": await issuer.token({ ...readers, nbf: now + 120 }),
      "issued later": await issuer.token({ ...readers, iat: now + 120 }),
      "no subject": await issuer.token({ ...readers, sub: null }),
      "a subject that is no text": await issuer.token({ ...readers, sub: 7 }),
      "a subject without end": await issuer.token({ ...readers, sub: "x".repeat(256) }),
      "a key of somebody else": await issuer.token(readers, { key: { ...stranger, kid: issuer.keys[0].kid } }),
      "an algorithm that is not allowed": await issuer.token(readers, { key: wrongKind }),
      "a critical extension": await issuer.token(readers, { header: { crit: ["exp"], exp: 1 } }).catch(() => `${head}.${body}.x`),
      "its own key": await issuer.token(readers, { key: stranger, header: { jwk: stranger.jwk, jku: `${issuer.url}/jwks`, x5u: `${issuer.url}/x` } }),
      "no signature": `${Buffer.from('{"alg":"none"}').toString("base64url")}.${body}.`,
      "a changed payload": `${head}.${Buffer.from(JSON.stringify({ ...jose.decodeJwt(good), sub: "root" })).toString("base64url")}.${signature}`,
      "the public key as a secret": await new jose.SignJWT(jose.decodeJwt(good)).setProtectedHeader({ alg: "HS256", kid: issuer.keys[0].kid })
        .sign(Buffer.from(JSON.stringify(issuer.keys[0].jwk))),
      "the secret of another issuer": await new jose.SignJWT(jose.decodeJwt(good)).setProtectedHeader({ alg: "HS256" }).sign(Buffer.from(secret)),
      "our own issuer": await issuer.token({ ...readers, iss: server.url }),
      "an issuer that is not known": await issuer.token({ ...readers, iss: "https://elsewhere.example.org" }),
      "an issuer with a slash more": await issuer.token({ ...readers, iss: `${issuer.url}/` }),
    };
    for (const [why, token] of Object.entries(bad)) {
      const answer = await reports(server, token);
      assert.equal(answer.status, 401, `${why}: ${JSON.stringify(answer.body)}`);
      assert.match(answer.body.type, /identity\/invalid-token$/, why);
    }
    assert.equal((await reports(server, good)).status, 200, "and the good one is still good");
  });

  it("may be signed by a shared secret where, and only where, one was configured", async () => {
    const claims = { iss: hs.url, aud: "https://api.example.org", sub: "cron", exp: Math.floor(Date.now() / 1000) + 60, ...readers };
    const sign = (alg, key) => new jose.SignJWT(claims).setProtectedHeader({ alg }).sign(key);
    assert.equal((await reports(server, await sign("HS256", Buffer.from(secret)))).status, 200);
    assert.equal((await reports(server, await sign("HS512", Buffer.from(secret)))).status, 401);
    assert.equal((await reports(server, await sign("HS256", Buffer.from(`${secret}x`)))).status, 401);
    assert.equal((await reports(server, await sign("ES256", issuer.keys[0].privateKey))).status, 401);
  });

  it("may be signed with Ed25519", async () => {
    const key = await makeKey("EdDSA");
    issuer.keys.push(key);
    assert.equal((await reports(server, await issuer.token(readers, { key }))).status, 200, "a key that came after the first fetch");
  });
});

describe("the keys of another issuer", () => {
  it("are fetched once for 50 first tokens at once", async (t) => {
    const issuer = await startIssuer(t);
    const server = await start(t, [entry(issuer)]);
    let open;
    issuer.gate = new Promise((done) => (open = done));
    const tokens = await Promise.all(Array.from({ length: 50 }, (_, i) => issuer.token({ ...readers, sub: `m${i}` })));
    const answers = tokens.map((token) => reports(server, token));
    const deadline = Date.now() + 10_000;
    while (issuer.asked.document === 0 && Date.now() < deadline) await new Promise((done) => setImmediate(done));
    open();
    assert.deepEqual([...new Set((await Promise.all(answers)).map(({ status }) => status))], [200]);
    assert.deepEqual(issuer.asked, { document: 1, keys: 1 });
  });

  it("are fetched anew when they rotate, and the old one is not good any more", async (t) => {
    const issuer = await startIssuer(t);
    const server = await start(t, [entry(issuer)]);
    const before = await issuer.token({ ...readers, sub: "before" }), late = await issuer.token({ ...readers, sub: "late" });
    assert.equal((await reports(server, before)).status, 200);
    issuer.keys = [await makeKey()];
    assert.equal((await reports(server, await issuer.token(readers))).status, 200);
    assert.equal(issuer.asked.keys, 2);
    assert.equal((await reports(server, late)).status, 401, "its key is gone");
  });

  it("are not fetched for each of a flood of unknown key ids", async (t) => {
    const issuer = await startIssuer(t);
    const server = await start(t, [entry(issuer)]);
    assert.equal((await reports(server, await issuer.token(readers))).status, 200);
    for (let i = 0; i < 200; i++) {
      const token = await issuer.token({ ...readers, sub: `f${i}` }, { header: { kid: `unknown-${i}` } });
      assert.equal((await reports(server, token)).status, 401);
    }
    assert.ok(issuer.asked.keys <= 4, `fetched ${issuer.asked.keys} times`);
    assert.equal((await reports(server, await issuer.token({ ...readers, sub: "after" }))).status, 200, "whoever has a good one is served");
  });

  it("hold while the issuer is down; before there are any, 503 says so and it is not asked each time", async (t) => {
    const issuer = await startIssuer(t);
    const server = await start(t, [entry(issuer)]);
    issuer.isDown = true;
    for (let i = 0; i < 20; i++) {
      const answer = await reports(server, await issuer.token({ ...readers, sub: `d${i}` }));
      assert.equal(answer.status, 503, JSON.stringify(answer.body));
      assert.match(answer.body.type, /identity\/issuer-down$/);
    }
    assert.ok(issuer.asked.document < 10, `asked ${issuer.asked.document} times`);
    issuer.isDown = false;
    let answer, deadline = Date.now() + 20_000; // its back-off has grown to some seconds
    do answer = await reports(server, await issuer.token({ ...readers, sub: `u${Date.now()}` }));
    while (answer.status === 503 && Date.now() < deadline);
    assert.equal(answer.status, 200);
    issuer.isDown = true;
    assert.equal((await reports(server, await issuer.token({ ...readers, sub: "later" }))).status, 200);
    assert.equal((await reports(server, await issuer.token(readers, { header: { kid: "new" } }))).status, 401);
  });

  it("are not taken of a document that names another issuer, or endpoints in the inside network", async (t) => {
    const issuer = await startIssuer(t);
    const server = await start(t, [entry(issuer)]);
    issuer.document = { issuer: "https://accounts.example.org" };
    assert.equal((await reports(server, await issuer.token(readers))).status, 503);
    const other = await startIssuer(t);
    other.document = { jwks_uri: "https://169.254.169.254/keys" };
    const second = await start(t, [entry(other)]);
    assert.equal((await reports(second, await other.token(readers))).status, 503);
  });

  it("are not fetched from this machine unless client.allow lets them", async (t) => {
    const issuer = await startIssuer(t);
    const server = await startPurlin(t, { contracts, config: configOf([entry(issuer)]).replace(reachLoopback, ""), env: cheap });
    assert.equal((await reports(server, await issuer.token(readers))).status, 503);
    assert.deepEqual(issuer.asked, { document: 0, keys: 0 });
  });
});

describe("oidc-provider as the issuer", () => {
  it("signs access tokens that are taken here", async (t) => {
    const provider = await startProvider(t);
    const server = await start(t, [
      { issuer: provider.issuer, audience: "https://api.example.org", type: "at+jwt", algorithms: ["RS256"], roles_claim: "scope", roles: { "reports:read": "reader" } },
    ]);
    const token = await provider.clientToken();
    assert.equal((await reports(server, token)).status, 200);
    assert.equal((await reports(server, await provider.clientToken(""))).status, 401, "without the scope it is of nobody who has a role");
  });
});

describe("the configuration", () => {
  const check = (t, text) => {
    const folder = temporaryFolder(t);
    writeFileSync(`${folder}/purlin.yaml`, text);
    return runPurlin(["config", "--config", `${folder}/purlin.yaml`], { env: environment(folder, `${folder}/contracts`) });
  };
  const rows = [
    ["no audience", { issuer: "https://a.example" }, /needs `audience`/],
    ["HS256 without a secret", { issuer: "a", audience: "b", algorithms: ["HS256"] }, /`secret` with HS256/],
    ["a secret without HS256", { issuer: "https://a.example", audience: "b", secret }, /`secret` with HS256/],
    ["HS256 beside others", { issuer: "https://a.example", audience: "b", secret, algorithms: ["HS256", "ES256"] }, /beside algorithms/],
    ["a short secret", { issuer: "a", audience: "b", secret: "short", algorithms: ["HS256"] }, /fewer than 32/],
    ["none", { issuer: "https://a.example", audience: "b", algorithms: ["none"] }, /algorithms are/],
    ["http", { issuer: "http://a.example", audience: "b" }, /jwks_url/],
    ["roles without a claim", { issuer: "https://a.example", audience: "b", roles: { a: "b" } }, /roles_claim/],
    ["a provider that is none", { issuer: "https://a.example", audience: "b", users_of: "nobody" }, /users_of/],
    ["a member that is none", { issuer: "https://a.example", audience: "b", leeway: "1h" }, /an issuer has/],
  ];
  for (const [name, issuer, why] of rows)
    it(`is refused with ${name}`, (t) => {
      const { code, stderr, stdout } = check(t, configOf([issuer]));
      assert.notEqual(code, 0);
      assert.match(stderr + stdout, why);
      assert.match(stderr + stdout, /purlin\.yaml:5/, "with its line");
    });
});
