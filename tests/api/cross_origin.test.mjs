/* Requests that pages of other origins make: CORS and CSRF, as configured in purlin.yaml. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it, before, after } from "node:test";
import { startConformance } from "../support/conformance.mjs";
import { answersOf, exchange } from "../support/smuggling.mjs";
import { startPurlin, temporaryFolder, runPurlin, environment, writeContracts, adminKey } from "../support/purlin.mjs";

const contracts = {
  things: "resource: things\nfields:\n  name: { type: string, max: 50 }\nrules: { read: 'true', create: 'true', update: 'true', delete: 'true' }\n",
};

function configured(folder, yaml) {
  const file = path.join(folder, "purlin.yaml");
  writeFileSync(file, yaml);
  return file;
}

describe("CORS", () => {
  let server;
  const ends = [];
  const t = { after: (end) => ends.push(end) };
  after(async () => { for (const end of ends.reverse()) await end(); });
  before(async () => {
    const config = [
      "cors: { origins: [https://app.example.org, 'https://*.partner.example'], credentials: on }",
      "routes:",
      "  - match: /health",
      "    cors: { origins: '*', credentials: off }",
      "  - match: /metrics",
      "    cors: { origins: '' }",
      "",
    ].join("\n");
    server = await startPurlin(t, { contracts, config });
  });

  const preflight = (target, origin, method = "PATCH", headers = {}) =>
    server.options(target, { headers: { origin, "access-control-request-method": method, "access-control-request-headers": "content-type", ...headers } });

  it("answers preflights by the list, the path and its methods", async () => {
    for (const origin of ["https://app.example.org", "https://a.partner.example", "https://a.b.partner.example"]) {
      const answer = await preflight("/api/v1/things/0192f1c0-6f3a-7c3e-9d2b-0a1b2c3d4e5f", origin);
      assert.equal(answer.status, 204);
      assert.equal(answer.headers.get("access-control-allow-origin"), origin);
      assert.equal(answer.headers.get("access-control-allow-credentials"), "true");
      assert.equal(answer.headers.get("access-control-allow-methods"), "GET, HEAD, PUT, PATCH, DELETE, OPTIONS");
      assert.match(answer.headers.get("access-control-allow-headers"), /Content-Type.*X-CSRF-Token/);
      assert.equal(answer.headers.get("access-control-max-age"), "7200");
      assert.match(answer.headers.get("vary"), /Origin/);
    }
  });

  it("lets a page of the list read refusals of malformed requests", async () => {
    for (const [line, status] of [["GET //a HTTP/1.1", 400], ["GET /a%2fb HTTP/1.1", 400], ["BREW / HTTP/1.1", 501], ["GET / HTTP/1.1\r\nHost: h", 400]]) {
      for (const origin of ["https://app.example.org", "https://evil.example"]) {
        const bytes = await exchange(server, `${line}\r\nOrigin: ${origin}\r\nHost: h\r\nConnection: close\r\n\r\n`);
        const [answer, ...more] = answersOf(bytes);
        assert.equal(more.length, 0);
        assert.equal(answer.status, status, line);
        assert.equal(answer.fields["access-control-allow-origin"], origin.includes("app") ? origin : undefined, line);
        assert.match(answer.fields.vary, /Origin/);
      }
    }
  });

  it("refuses whatever only looks like one of the list", async () => {
    const wrong = ["http://app.example.org", "https://app.example.org:444", "https://app.example.org.evil.example", "https://evil-app.example.org", "https://partner.example", "https://evilpartner.example", "https://app.example.org.", "https://APP.example.org", "null"];
    for (const origin of wrong) {
      const answer = await preflight("/api/v1/things", origin, "POST");
      assert.equal(answer.status, 403, origin);
      assert.equal(answer.body.code, "cors_denied");
      assert.equal(answer.headers.get("access-control-allow-origin"), null, origin);
      const list = await server.get("/api/v1/things", { headers: { origin } });
      assert.equal(list.status, 200, "browsers enforce it; the server answers");
      assert.equal(list.headers.get("access-control-allow-origin"), null, origin);
      assert.match(list.headers.get("vary"), /Origin/);
    }
  });

  it("lets pages read answers and problems alike", async () => {
    const origin = "https://app.example.org";
    const large = await server.post("/api/v1/things", { headers: { origin, "content-type": "application/json" }, body: JSON.stringify({ name: "a".repeat(2 << 20) }) });
    const answers = {
      200: await server.get("/api/v1/things", { headers: { origin } }),
      401: await server.get("/health/../admin-only-which-is-not-there", { headers: { origin } }),
      404: await server.get("/api/v1/nothing", { headers: { origin } }),
      413: large,
      422: await server.post("/api/v1/things", { headers: { origin }, body: { nam: 1 } }),
    };
    for (const [status, answer] of Object.entries(answers)) {
      assert.equal(answer.headers.get("access-control-allow-origin"), origin, status);
      assert.match(answer.headers.get("access-control-expose-headers"), /ETag.*Link.*X-Request-Id/, status);
    }
    assert.equal(answers[413].status, 413);
    assert.equal(answers[422].status, 422);
  });

  it("is another thing for some paths", async () => {
    const any = await server.get("/health/live", { headers: { origin: "https://anybody.example" } });
    assert.equal(any.headers.get("access-control-allow-origin"), "*");
    assert.equal(any.headers.get("access-control-allow-credentials"), null);
    const none = await server.get("/metrics", { headers: { origin: "https://app.example.org" } });
    assert.equal(none.headers.get("access-control-allow-origin"), null);
    assert.equal((await preflight("/metrics", "https://app.example.org", "GET")).status, 204);
  });

  it("is not there unless it is asked for", async (t) => {
    const plain = await startPurlin(t, { contracts });
    const answer = await plain.get("/api/v1/things", { headers: { origin: "https://app.example.org" } });
    for (const name of answer.headers.keys()) assert.doesNotMatch(name, /^access-control/);
  });

  it("refuses to start with a star and credentials", async (t) => {
    const folder = temporaryFolder(t);
    const config = configured(folder, "cors: { origins: '*', credentials: on }\n");
    const { code, stderr } = runPurlin(["check", "--config", config], { env: environment(folder, writeContracts(folder, contracts)) });
    assert.equal(code, 2);
    assert.match(stderr, /cors\.origins: go with credentials only as a list/);
  });
});

describe("CSRF", () => {
  it("asks changes with a session cookie where they come from", async (t) => {
    const server = await startPurlin(t, { contracts });
    const cookie = "theme=dark; __Host-purlin_session=abc";
    const post = (headers) => server.post("/api/v1/things", { body: { name: "a" }, headers });
    assert.equal((await post({})).status, 201);
    assert.equal((await post({ cookie: "theme=dark" })).status, 201);
    assert.equal((await post({ cookie, "x-api-key": adminKey })).status, 201);
    assert.equal((await post({ cookie, authorization: `Bearer ${adminKey}` })).status, 201);
    for (const headers of [{ cookie }, { cookie, authorization: "Basic YTpi" }, { cookie, origin: "https://evil.example" }, { cookie, "x-csrf-token": "made-up" }]) {
      const answer = await post(headers);
      assert.equal(answer.status, 403);
      assert.equal(answer.body.type, "https://purlin.dev/problems/http/csrf");
    }
    assert.equal((await server.get("/api/v1/things", { headers: { cookie } })).status, 200);
  });

  it("takes the token that the server gave for the session", async (t) => {
    const { url } = await startConformance(t);
    const session = "__Host-purlin_session=abc";
    assert.equal((await fetch(`${url}/csrf`)).status, 400);
    const issued = await fetch(`${url}/csrf`, { headers: { cookie: session } });
    const token = await issued.text();
    assert.equal(token.length, 76);
    const set = issued.headers.get("set-cookie");
    assert.equal(set, `__Host-purlin_csrf=${token}; Path=/; Secure; SameSite=Strict`);
    const post = (headers) => fetch(`${url}/echo`, { method: "POST", body: "hello", headers });
    const good = { cookie: `${session}; __Host-purlin_csrf=${token}`, "x-csrf-token": token };
    assert.equal((await post(good)).status, 200);
    assert.equal((await post({ ...good, origin: url })).status, 200);
    assert.equal((await post({ ...good, origin: "https://evil.example" })).status, 403);
    assert.equal((await post({ ...good, cookie: `__Host-purlin_session=other; __Host-purlin_csrf=${token}` })).status, 403);
    assert.equal((await post({ cookie: good.cookie })).status, 403);
  });
});
