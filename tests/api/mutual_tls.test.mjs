/*
 * tests/api/mutual_tls.test.mjs - Programs that show a client certificate: whom it stands for, by each of its names, over both protocols and resumed
 * sessions; what it is no use for; and what is wrong with a list of them.
 */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import http2 from "node:http2";
import https from "node:https";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import tls from "node:tls";
import { bearer, people, signUp } from "../support/auth.mjs";
import { makeAuthority } from "../support/certificates.mjs";
import { adminKey, environment, runPurlin, startPurlin, temporaryFolder, writeContracts } from "../support/purlin.mjs";

const contracts = {
  ...people,
  things: `
resource: things
fields: { name: { type: string, max: 40 } }
rules: { read: '"reader" in @roles', create: '"importer" in @roles' }
`,
};
const cheap = { PURLIN_AUTH_PASSWORD_MEMORY: "8MiB", PURLIN_AUTH_PASSWORD_PASSES: "1", PURLIN_SECRET: "an-installation-key-0123", PURLIN_AUTH_ISSUER: "http://issuer.test" };
const things = "/api/v1/things";

describe("a client certificate", () => {
  let server, ada, certs, folder, env;
  const ends = [], ca = () => folder.ca;
  before(async () => {
    const t = { after: (fn) => ends.push(fn) };
    folder = { path: temporaryFolder(t) };
    folder.ca = makeAuthority(folder.path);
    const site = ca().sign("site");
    const client = (name, names, subject) => {
      const made = ca().sign(name, { names, usage: "clientAuth", ...(subject ? { subject } : {}) });
      return { cert: readFileSync(made.cert), key: readFileSync(made.key) };
    };
    certs = {
      billing: client("billing", "URI:spiffe://example.org/billing,DNS:other.example"),
      reports: client("reports", "DNS:Reports.Example"),
      robot: client("robot", "email:robot@example.org"),
      device: client("device", "DNS:device.example", "/O=Example, Inc./CN=device 7"),
      pinned: client("pinned", "DNS:pinned.example"),
      operator: client("operator", "DNS:operator.example"),
      ada: client("ada", "DNS:ada.example"),
      likeBilling: client("like", "URI:spiffe://example.org/billing/,URI:SPIFFE://example.org/billing,DNS:spiffe://example.org/billing,email:x@spiffe"),
      wildcard: client("wildcard", "DNS:*.example"),
      unknown: client("unknown", "DNS:unknown.example"),
    };
    env = { ...cheap, PURLIN_TLS_PORT: "0", PURLIN_TLS_CERT: site.cert, PURLIN_TLS_KEY: site.key, PURLIN_TLS_CLIENT_AUTH: "optional", PURLIN_TLS_CLIENT_CA: ca().cert };
    const first = await startPurlin(t, { contracts, folder: folder.path, env: cheap });
    ada = await signUp(first);
    await first.stop();
    const fingerprint = new X509Certificate(certs.pinned.cert).fingerprint256;
    const config = `
auth:
  certificates:
    - { name: billing, uri: "spiffe://example.org/billing", roles: [reader, importer], scopes: ["things:read"] }
    - { name: reports, dns: reports.example, roles: [reader] }
    - { name: robot, email: robot@example.org, roles: [reader, importer] }
    - { name: device, subject: 'CN=device 7,O=Example\\, Inc.', roles: [reader] }
    - { name: pinned, sha256: "${fingerprint}", roles: [reader] }
    - { name: operator, dns: operator.example, roles: [admin] }
    - { name: ada, dns: ada.example, user: ${ada.user_id} }
`;
    server = await startPurlin(t, { contracts, folder: folder.path, config, env });
    server.tlsPort = Number(/https:\/\/127\.0\.0\.1:(\d+)/.exec(server.log.find((l) => l.msg === "server.ready").urls)[1]);
  });
  after(async () => { for (const fn of ends.reverse()) await fn(); });

  const ask = (who, method, target, { body, headers = {}, ...tlsOptions } = {}) =>
    new Promise((resolve, reject) => {
      const request = https.request(
        { host: "127.0.0.1", port: server.tlsPort, ca: ca().text, servername: "localhost", agent: false, ...(who ? certs[who] : {}), ...tlsOptions, method, path: target, headers: { ...(body ? { "Content-Type": "application/json" } : {}), ...headers } },
        async (answer) => {
          let text = "";
          for await (const chunk of answer) text += chunk;
          resolve({ status: answer.statusCode, headers: answer.headers, body: text ? JSON.parse(text) : undefined });
        },
      );
      request.on("error", reject);
      request.end(body && JSON.stringify(body));
    });
  const status = async (...args) => (await ask(...args)).status;

  it("stands for a service, by any of its names", async () => {
    for (const who of ["billing", "reports", "robot", "device", "pinned"])
      for (const maxVersion of ["TLSv1.2", "TLSv1.3"]) assert.equal(await status(who, "GET", things, { maxVersion }), 200, who);
    assert.equal(await status("reports", "POST", things, { body: { name: "x" } }), 403);
    assert.equal(await status("robot", "POST", things, { body: { name: "x" } }), 201);
  });

  it("is held to its scopes", async () => {
    assert.equal(await status("billing", "POST", things, { body: { name: "x" } }), 403);
    assert.equal(await status("billing", "GET", "/api/v1/users"), 403);
  });

  it("that is nobody's is nobody, however much it looks like one that is", async () => {
    for (const who of ["unknown", "likeBilling", "wildcard", null]) assert.equal(await status(who, "GET", things), 401, String(who));
    assert.equal(await status("unknown", "GET", "/health/live"), 200);
  });

  it("stands for a person, but does not prove that it is they who ask now", async () => {
    const me = await ask("ada", "GET", "/auth/me");
    assert.deepEqual([me.status, me.body.id, me.body.email], [200, ada.user_id, ada.email]);
    const made = await ask("ada", "POST", "/api/v1/notes", { body: { text: "by certificate" } });
    assert.deepEqual([made.status, made.body.owner], [201, ada.user_id]);
    assert.equal((await server.get(`/api/v1/notes/${made.body.id}`, { headers: bearer(ada) })).status, 308, "in clear one is sent to https");
    assert.equal(await status(null, "GET", `/api/v1/notes/${made.body.id}`, { headers: bearer(ada) }), 200);
    assert.ok((await status("ada", "POST", "/auth/password", { body: { password: "another good passphrase" } })) >= 400);
    assert.ok((await status("ada", "DELETE", "/auth/account")) >= 400);
  });

  it("counts only where nothing else was said", async () => {
    assert.equal((await ask("billing", "GET", "/auth/me", { headers: bearer(ada) })).body.id, ada.user_id);
    assert.equal(await status("reports", "GET", things, { headers: bearer(ada) }), 403, "a person without the role");
    assert.equal(await status("reports", "GET", things, { headers: { "X-API-Key": "wrong" } }), 401);
    assert.equal(await status("reports", "POST", things, { headers: { "X-API-Key": adminKey }, body: { name: "x" } }), 403, "the bootstrap key has the role admin, and no other");
  });

  it("is not lent to pages of other sites", async () => {
    for (const headers of [{ "Sec-Fetch-Site": "cross-site" }, { Origin: "https://evil.example" }]) {
      assert.equal(await status("robot", "POST", things, { headers, body: { name: "x" } }), 401, JSON.stringify(headers));
      assert.equal(await status("ada", "POST", "/api/v1/notes", { headers, body: { text: "x" } }), 401);
    }
    assert.equal(await status("robot", "POST", things, { headers: { "Sec-Fetch-Site": "none" }, body: { name: "x" } }), 201);
  });

  it("holds over HTTP/2, and for all streams of the connection", async () => {
    const session = http2.connect(`https://127.0.0.1:${server.tlsPort}`, { ca: ca().text, servername: "localhost", ...certs.reports });
    const get = (target) =>
      new Promise((resolve, reject) => {
        const stream = session.request({ ":path": target });
        stream.on("response", (headers) => resolve(headers[":status"]));
        stream.on("error", reject);
        stream.resume();
      });
    try {
      assert.deepEqual(await Promise.all(Array.from({ length: 20 }, () => get(things))), Array(20).fill(200));
      assert.equal(await get("/auth/me"), 401);
    } finally {
      session.close();
    }
  });

  it("is remembered by the session it was shown in, and by no other", async () => {
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"]) {
      const base = { port: server.tlsPort, host: "127.0.0.1", ca: ca().text, servername: "localhost", maxVersion };
      const ticket = await new Promise((resolve, reject) => {
        const socket = tls.connect({ ...base, ...certs.reports });
        socket.once("error", reject);
        socket.once("session", (session) => { resolve(session); socket.destroy(); });
        socket.once("secureConnect", () => socket.write(`GET ${things} HTTP/1.1\r\nHost: x\r\n\r\n`));
      });
      const answer = await new Promise((resolve, reject) => {
        const socket = tls.connect({ ...base, session: ticket });
        socket.once("error", reject);
        let text = "", reused;
        socket.once("secureConnect", () => {
          reused = socket.isSessionReused();
          socket.write(`GET ${things} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
        });
        socket.on("data", (chunk) => (text += chunk));
        socket.once("close", () => resolve({ reused, text }));
      });
      assert.equal(answer.reused, true, maxVersion);
      assert.match(answer.text, /^HTTP\/1\.1 200 /, maxVersion);
      assert.equal(await status(null, "GET", things, { maxVersion }), 401);
    }
  });

  it("is named in the audit log", async () => {
    assert.equal(await status("operator", "POST", "/auth/invitations", { body: { email: "new@example.org", roles: [] } }), 202);
    const log = await ask("operator", "GET", "/api/v1/audit?limit=20");
    const said = log.body.data.find((row) => row.act === "account.invited");
    assert.deepEqual([said.actor.kind, said.actor.id], ["key", "certificate:operator"]);
  });

  it("ends with the account that it stands for", async () => {
    assert.equal(await status("ada", "GET", "/auth/me"), 200);
    const done = runPurlin(["user", "disable", ada.email], { env: environment(folder.path, server.contractsFolder, cheap) });
    assert.equal(done.code, 0, done.stderr);
    const from = Date.now();
    for (let begun; (begun = Date.now()), (await status("ada", "GET", "/auth/me")) !== 401; ) assert.ok(begun - from < 5000, "accepted five seconds later");
  });
});

it("a list of certificates is checked", (t) => {
  const folder = temporaryFolder(t), ca = makeAuthority(folder), site = ca.sign("site");
  const file = path.join(folder, "purlin.yaml"), contractsFolder = writeContracts(folder, contracts);
  const check = (list, more = {}) => {
    writeFileSync(file, `roles: { reader: { permissions: ["things:read"] }, importer: {} }\nauth:\n  certificates: ${list}\n`);
    const env = { ...cheap, PURLIN_TLS_PORT: "0", PURLIN_TLS_CERT: site.cert, PURLIN_TLS_KEY: site.key, PURLIN_TLS_CLIENT_AUTH: "optional", PURLIN_TLS_CLIENT_CA: ca.cert, ...more };
    const { code, stderr, stdout } = runPurlin(["check", "--config", file], { env: environment(folder, contractsFolder, env) });
    return { code, text: stderr + stdout };
  };
  const good = '{ name: a, dns: a.example, roles: [reader], scopes: ["things:*"] }';
  const fine = check(`[ ${good} ]`);
  assert.equal(fine.code, 0, fine.text);
  for (const [list, what] of [
    ["{ name: a }", /must be a list of certificates/],
    ["[ a ]", /purlin\.yaml:3:\d+: auth\.certificates: an item has name/],
    ["[ { name: a, roles: [reader] } ]", /is known by one of dns, uri, email, subject and sha256/],
    ["[ { name: a, dns: x, uri: y, roles: [reader] } ]", /is known by one of/],
    ["[ { dns: x, roles: [reader] } ]", /has a name, for the logs/],
    ["[ { name: a, dns: x } ]", /stands for a user, who has roles, or for a service with roles/],
    ["[ { name: a, dns: x, roles: [raeder] } ]", /there is no such role.*Did you mean `reader`/],
    ['[ { name: a, dns: x, roles: [reader], scopes: ["things:raed"] } ]', /there is no permission `things:raed`.*Did you mean `things:read`/],
    ['[ { name: a, dns: x, roles: [reader], scopes: ["things read"] } ]', /is no permission/],
    ["[ { name: a, dns: '*.example', roles: [reader] } ]", /no wildcards/],
    ["[ { name: a, sha256: abc, roles: [reader] } ]", /64 hexadecimal digits/],
    ["[ { name: a, dns: x, user: ada } ]", /user is the id of a person/],
    ["[ { name: a, dsn: x, roles: [reader] } ]", /an item has name, one of dns/],
    [`[ ${good}, ${good.replace("a.example", "b.example")} ]`, /has the name of another one/],
    [`[ ${good}, ${good.replace("name: a", "name: b")} ]`, /is known by what another one is known by/],
    [`[ ${Array.from({ length: 257 }, (_, i) => `{ name: n${i}, dns: n${i}.example, roles: [reader] }`).join(", ")} ]`, /more than 256 items/],
  ]) {
    const { code, text } = check(list);
    assert.equal(code, 2, `${list}: ${text}`);
    assert.match(text, what, list);
  }
  assert.match(check(`[ ${good} ]`, { PURLIN_TLS_CLIENT_AUTH: "off", PURLIN_TLS_CLIENT_CA: "" }).text, /no client is asked for/);
});
