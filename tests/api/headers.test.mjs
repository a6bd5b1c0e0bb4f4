/* Headers of every kind of answer: none missing, nothing disclosed. As a reviewer's scanner would look, also at what the codec refuses. */
import assert from "node:assert/strict";
import net from "node:net";
import { describe, it, before, after } from "node:test";
import { startConformance } from "../support/conformance.mjs";
import { startPurlin } from "../support/purlin.mjs";

/* Production refuses the key of the other tests. */
const key = "q7dMZ1wq9Jk3uXc5vB8nT2rY";

const contracts = {
  things: "resource: things\nfields:\n  name: { type: string, max: 50 }\nrules: { read: 'true', create: 'true', update: 'true', delete: 'true' }\n",
};

/* One answer to these bytes, as raw headers: { status, headers: [[name, value]] }. */
function raw(port, bytes) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.write(bytes));
    let text = "";
    socket.setTimeout(10_000, () => socket.destroy(new Error("no answer")));
    socket.on("error", reject);
    socket.on("close", () => reject(new Error(`closed after ${JSON.stringify(text)}`)));
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) return;
      const [line, ...lines] = text.slice(0, end).split("\r\n");
      socket.removeAllListeners("close");
      socket.destroy();
      resolve({ status: Number(line.split(" ")[1]), headers: lines.map((l) => [l.slice(0, l.indexOf(":")).toLowerCase(), l.slice(l.indexOf(":") + 2)]) });
    });
  });
}

/* OWASP Secure Headers, headers_remove.json: a sample that scanners look for. */
const disclosing =
  /^(server|x-powered-by|powered-by|x-aspnet(mvc)?-version|x-generator|x-runtime|x-version|product|liferay-portal|x-envoy-.*|x-kong-.*|x-varnish.*|via|x-backend.*|x-served-by|x-php-version|sourcemap|x-sourcemap)$/;

function assess(where, { status, headers }) {
  const all = new Map();
  for (const [name, value] of headers) {
    assert.ok(!disclosing.test(name), `${where}: ${name} tells what runs here`);
    assert.ok(!/purlin\/|libuv|openssl|sqlite/i.test(value), `${where}: ${name}: ${value}`);
    const repeats = ["vary", "link", "set-cookie"];
    assert.ok(!all.has(name) || repeats.includes(name), `${where}: ${name} twice`);
    all.set(name, value);
  }
  const isPage = /^text\/html/.test(all.get("content-type") ?? "");
  const expected = {
    "x-content-type-options": /^nosniff$/,
    "x-frame-options": /^DENY$/,
    "referrer-policy": /^no-referrer$/,
    "permissions-policy": /camera=\(\).*usb=\(\)/,
    "cross-origin-opener-policy": /^same-origin$/,
    "cross-origin-embedder-policy": /^require-corp$/,
    "cross-origin-resource-policy": /^same-origin$/,
    "x-permitted-cross-domain-policies": /^none$/,
    "x-xss-protection": /^0$/,
    "cache-control": /^(no-store|private, no-cache|no-cache)$/,
    "content-security-policy": isPage ? /default-src 'none'.*script-src 'self'.*frame-ancestors 'none'/ : /^default-src 'none'; frame-ancestors 'none'$/,
    "x-request-id": /^[0-9a-f]{32}$/,
    date: /GMT$/,
  };
  for (const [name, pattern] of Object.entries(expected)) assert.match(all.get(name) ?? "missing", pattern, `${where} (${status}): ${name}`);
  assert.doesNotMatch(all.get("content-security-policy"), /unsafe-/, where);
  assert.equal(all.get("strict-transport-security"), undefined, `${where}: HSTS in clear text`);
}

const get = (path, ...headers) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${headers.map((h) => h + "\r\n").join("")}\r\n`;

describe("headers", () => {
  let server;
  const ends = [];
  after(async () => { for (const end of ends.reverse()) await end(); });
  before(async () => (server = await startPurlin({ after: (end) => ends.push(end) }, { contracts, env: { PURLIN_ENV: "production", PURLIN_DOCS: "on", PURLIN_AUTO_MIGRATE: "on", PURLIN_ADMIN_KEY: key } })));

  it("are on every kind of answer", async () => {
    const made = await server.post("/api/v1/things", { body: { name: "a" } });
    assert.equal(made.status, 201, made.text);
    const item = `/api/v1/things/${made.body.id}`;
    const cases = [
      ["the root", get("/"), 200],
      ["the page", get("/", "Accept: text/html"), 200],
      ["the documents", get("/docs"), 200],
      ["the document", get("/openapi.json"), 200],
      ["a script", get("/assets/docs.js"), 200],
      ["health", get("/health/live"), 200],
      ["health, guarded", get("/health/detailed"), 401],
      ["health, shown", get("/health/detailed", `X-API-Key: ${key}`), 200],
      ["metrics", get("/metrics", `X-API-Key: ${key}`), 200],
      ["a list", get("/api/v1/things"), 200],
      ["a row", get(item), 200],
      ["a row that is known", get(item, `If-None-Match: ${made.headers.get("etag")}`), 304],
      ["HEAD", `HEAD ${item} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 200],
      ["OPTIONS", `OPTIONS ${item} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 204],
      ["OPTIONS of all", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 204],
      ["no route", get("/nowhere"), 404],
      ["no row", get("/api/v1/things/nothing"), 404],
      ["a bad query", get("/api/v1/things?limit=x"), 400],
      ["another method", "DELETE /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", 405],
      ["another type", "POST /api/v1/things HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\na", 415],
      ["a body too large", "POST /api/v1/things HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n", 413],
      ["wrong fields", 'POST /api/v1/things HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"nam":1}', 422],
      ["a change that needs a token", `POST /api/v1/things HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-purlin_session=x\r\nContent-Length: 0\r\n\r\n`, 403],
      // What the codec refuses
      ["malformed", "BAD\r\n\r\n", 400],
      ["no host", "GET / HTTP/1.1\r\n\r\n", 400],
      ["a path that climbs", get("/../../etc/passwd"), 400],
      ["a line too long", get("/" + "a".repeat(20_000)), 414],
      ["headers too large", get("/", `A: ${"a".repeat(40_000)}`), 431],
      ["too many headers", get("/", ...Array.from({ length: 200 }, (_, i) => `A${i}: b`)), 431],
      ["an unknown method", "FROB / HTTP/1.1\r\nHost: localhost\r\n\r\n", 501],
      ["an unknown version", "GET / HTTP/3.0\r\nHost: localhost\r\n\r\n", 505],
      ["an unknown expectation", "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: pony\r\nContent-Length: 1\r\n\r\n", 417],
    ];
    for (const [where, bytes, status] of cases) {
      const answer = await raw(server.port, bytes);
      assert.equal(answer.status, status, where);
      assess(where, answer);
    }
    assert.equal((await server.delete(item)).status, 204);
  });

  it("say that an export is to be kept, not shown", async () => {
    const answer = await server.get("/api/v1/things/export?format=csv");
    assert.equal(answer.status, 200);
    if (/^attachment/.test(answer.headers.get("content-disposition") ?? "")) assert.match(answer.headers.get("content-security-policy"), /sandbox/);
  });

  it("leave the caching of a page to the page", async () => {
    const answer = await server.get("/docs");
    assert.equal(answer.headers.get("cache-control"), "no-cache");
    assert.ok(answer.headers.get("etag"));
  });
});

describe("a failure", () => {
  it("has them too", async (t) => {
    const server = await startConformance(t);
    const answer = await raw(Number(new URL(server.url).port), get("/error"));
    assert.equal(answer.status, 500);
    assess("500", answer);
  });
});
