/*
 * Every bad input gets the documented status and a problem body that helps, and the server goes on. A row of a table each; raw rows go
 * over a plain socket, since clients would not send them.
 */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import { startPurlin } from "../support/purlin.mjs";

const contracts = {
  things: `
resource: things
fields:
  name:   { type: string, min: 2, max: 10, required: true, pattern: "^[a-z]+$" }
  amount: { type: integer, min: 0, max: 100 }
  ratio:  { type: number }
  flag:   { type: boolean }
  at:     { type: time }
  day:    { type: date }
  mail:   { type: email }
  link:   { type: url }
  kind:   { enum: [red, green], default: red }
  tags:   { type: list, of: string, max_items: 2, max: 5 }
  price:  { type: money }
  other:  { ref: things }
  code:   { type: string, max: 20, unique: true }
  score:  { type: integer, default: 0, readonly: true }
  born:   { type: string, max: 20, immutable: true }
  extra:  { type: json }
rules: { read: true, create: true, update: true, delete: true }
`,
};

const anId = "0192f1c0-6f3a-7c3e-9d2b-0a1b2c3d4e5f";
const deep = "[".repeat(100) + "]".repeat(100);

/* name, body or text, status, pointer -> code */
const bodies = [
  ["empty body", "", 400],
  ["not JSON", "{name}", 400],
  ["cut JSON", '{"name": "ab"', 400],
  ["two values", '{"name":"ab"} {}', 400],
  ["trailing comma", '{"name":"ab",}', 400],
  ["duplicate keys", '{"name":"ab","name":"cd"}', 400],
  ["bad UTF-8", Buffer.from([0x7b, 0x22, 0x6e, 0x22, 0x3a, 0x22, 0xff, 0x22, 0x7d]), 400],
  ["NaN", '{"name":"ab","ratio":NaN}', 400],
  ["integer beyond int64", '{"name":"ab","amount":99999999999999999999}', 400],
  ["too deep", `{"name":"ab","extra":${deep}}`, [400, 413, 422]],
  ["more values than a request may hold", `{"name":[${"1,".repeat(400_000)}1]}`, 413],
  ["an array", "[]", [400, 422]],
  ["a string", '"x"', [400, 422]],
  ["null", "null", [400, 422]],
  ["required missing", {}, 422, { "/name": "required" }],
  ["null for required", { name: null }, 422, { "/name": null }],
  ["too short", { name: "a" }, 422, { "/name": "too_short" }],
  ["too long", { name: "abcdefghijk" }, 422, { "/name": "too_long" }],
  ["pattern", { name: "ABC" }, 422, { "/name": "pattern" }],
  ["wrong type", { name: 5 }, 422, { "/name": "type" }],
  ["zero byte", { name: "ab", born: "a\u0000b" }, 422, { "/born": null }],
  ["unknown field", { name: "ab", nmae: 1 }, 422, { "/nmae": "unknown_field" }],
  ["prototype name", '{"name":"ab","__proto__":1}', 422, { "/__proto__": "unknown_field" }],
  ["too small", { name: "ab", amount: -1 }, 422, { "/amount": "too_small" }],
  ["too large", { name: "ab", amount: 101 }, 422, { "/amount": "too_large" }],
  ["fraction for integer", { name: "ab", amount: 1.5 }, 422, { "/amount": "type" }],
  ["text for boolean", { name: "ab", flag: "true" }, 422, { "/flag": "type" }],
  ["bad time", { name: "ab", at: "yesterday" }, 422, { "/at": null }],
  ["30th of February", { name: "ab", day: "2026-02-30" }, 422, { "/day": null }],
  ["bad email", { name: "ab", mail: "a@" }, 422, { "/mail": null }],
  ["script URL", { name: "ab", link: "javascript:alert(1)" }, 422, { "/link": null }],
  ["unknown enum value", { name: "ab", kind: "blue" }, 422, { "/kind": "enum" }],
  ["too many items", { name: "ab", tags: ["a", "b", "c"] }, 422, { "/tags": "items_too_many" }],
  ["bad item", { name: "ab", tags: ["abcdef"] }, 422, { "/tags/0": "too_long" }],
  ["money without currency", { name: "ab", price: { amount_minor: 5 } }, 422, null],
  ["money of a currency that is none", { name: "ab", price: { amount_minor: 5, currency: "XXY" } }, 422, null],
  ["fraction of money", { name: "ab", price: { amount_minor: 5.5, currency: "EUR" } }, 422, null],
  ["bad reference", { name: "ab", other: "12" }, 422, { "/other": null }],
  ["reference to nothing", { name: "ab", other: anId }, 409, { "/other": null }],
  ["read-only field", { name: "ab", score: 5 }, 422, { "/score": "read_only" }],
  ["id given", { id: anId, name: "ab" }, 422, { "/id": null }],
  ["several at once", { name: "A", amount: -1, nope: 1 }, 422, { "/name": null, "/amount": "too_small", "/nope": "unknown_field" }],
];

const requests = [
  ["unknown resource", "GET", "/api/v1/thngs", {}, 404],
  ["unknown path", "GET", "/nope", {}, 404],
  ["bad id", "GET", "/api/v1/things/12", {}, [400, 404]],
  ["unknown id", "GET", `/api/v1/things/${anId}`, {}, 404],
  ["limit 0", "GET", "/api/v1/things?limit=0", {}, 400],
  ["limit too large", "GET", "/api/v1/things?limit=1000000", {}, 400],
  ["limit no number", "GET", "/api/v1/things?limit=ten", {}, 400],
  ["negative offset", "GET", "/api/v1/things?offset=-1", {}, 400],
  ["forged cursor", "GET", "/api/v1/things?cursor=AAAA", {}, 400],
  ["cursor with odd characters", "GET", "/api/v1/things?cursor=%00%ff", {}, 400],
  ["cursor and offset", "GET", "/api/v1/things?cursor=AAAA&offset=1", {}, 400],
  ["unknown sort field", "GET", "/api/v1/things?sort=nope", {}, 400],
  ["unknown parameter", "GET", "/api/v1/things?lmit=5", {}, 400],
  ["unknown field to show", "GET", "/api/v1/things?fields=nope", {}, 400],
  ["unknown expansion", "GET", "/api/v1/things?expand=nope", {}, 400],
  ["filter that does not parse", "GET", "/api/v1/things?filter=" + encodeURIComponent("name =="), {}, 400],
  ["filter on an unknown field", "GET", "/api/v1/things?filter=" + encodeURIComponent("nme == 'a'"), {}, 400],
  ["filter of wrong types", "GET", "/api/v1/things?filter=" + encodeURIComponent("amount == 'a'"), {}, 400],
  ["filter as SQL", "GET", "/api/v1/things?filter=" + encodeURIComponent("name == 'a'; DROP TABLE things"), {}, 400],
  ["filter too long", "GET", "/api/v1/things?filter=" + "1".repeat(4200), {}, [400, 414]],
  ["filter too deep", "GET", "/api/v1/things?filter=" + encodeURIComponent("(".repeat(100) + "true" + ")".repeat(100)), {}, 400],
  ["equality of a bad value", "GET", "/api/v1/things?amount=x", {}, 400],
  ["full text where there is none", "GET", "/api/v1/things?q=a", {}, 400],
  ["bad percent code", "GET", "/api/v1/things?name=%zz", {}, 400],
  ["bad UTF-8 in the query", "GET", "/api/v1/things?name=%ff", {}, 400],
  ["method not allowed", "PATCH", "/api/v1/things", {}, 405],
  ["wrong body type", "POST", "/api/v1/things", { headers: { "content-type": "text/plain" }, body: "x" }, 415],
  ["no body type", "POST", "/api/v1/things", { headers: { "content-type": "" }, body: "{}" }, 415],
  ["patch with another type", "PATCH", `/api/v1/things/${anId}`, { headers: { "content-type": "application/xml" }, body: "x" }, [404, 415]],
  ["Idempotency-Key too long", "POST", "/api/v1/things", { headers: { "idempotency-key": "k".repeat(1000) }, body: { name: "ab" } }, 400],
  ["batch without operations", "POST", "/api/v1/batch", { body: {} }, [400, 422]],
  ["batch of too many", "POST", "/api/v1/batch", { body: { operations: Array(101).fill({ method: "POST", path: "/api/v1/things", body: {} }) } }, [400, 413, 422]],
  ["batch elsewhere", "POST", "/api/v1/batch", { body: { operations: [{ method: "POST", path: "/health/live", body: {} }] } }, [400, 404, 422]],
  ["body too large", "POST", "/api/v1/things", { headers: { "content-type": "application/json" }, body: '"' + "x".repeat(2 << 20) + '"' }, 413],
  ["admin route without a key", "GET", "/health/detailed", {}, 401],
  ["admin route with a wrong key", "GET", "/health/detailed", { headers: { "x-api-key": "wrong" } }, 401],
];

const raw = [
  ["bare words", "hello\r\n\r\n", 400],
  ["HTTP/2 version", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505],
  ["no Host", "GET / HTTP/1.1\r\n\r\n", 400],
  ["two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
  ["CL and TE", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400],
  ["two CL", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400],
  ["space before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400],
  ["obs-fold", "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n  2\r\n\r\n", 400],
  ["NUL in a header", "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\0\r\n\r\n", 400],
  ["encoded NUL in the path", "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["overlong UTF-8 in the path", "GET /%c0%ae%c0%ae/ HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["unknown method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", [400, 501]],
  ["very long line", `GET /${"a".repeat(20000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414],
  ["very large headers", `GET / HTTP/1.1\r\nHost: a\r\nX-A: ${"a".repeat(40000)}\r\n\r\n`, 431],
  ["very many headers", `GET / HTTP/1.1\r\nHost: a\r\n${"X-A: 1\r\n".repeat(500)}\r\n`, 431],
  ["huge Content-Length", "POST /api/v1/things HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n", 413],
  ["bad chunk size", "POST /api/v1/things HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400],
];

function allowed(expected, status) {
  return [expected].flat().includes(status);
}

function checkProblem(answer, status) {
  assert.ok(allowed(status, answer.status), `${answer.status} ${answer.text}`);
  assert.equal(answer.headers.get("content-type"), "application/problem+json");
  assert.equal(answer.body.status, answer.status);
  assert.ok(answer.body.type && answer.body.title && answer.body.request_id, answer.text);
  assert.doesNotMatch(answer.text, /sqlite|SELECT|src\/|\.c:/i);
}

describe("bad input", () => {
  let server;
  const cleanups = [];
  before(async () => {
    server = await startPurlin({ after: (fn) => cleanups.push(fn) }, { contracts });
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  for (const [name, body, status, fields] of bodies) {
    it(`body: ${name}`, async () => {
      const isRaw = typeof body === "string" || Buffer.isBuffer(body);
      const answer = await server.post("/api/v1/things", {
        body,
        headers: isRaw ? { "content-type": "application/json" } : {},
      });
      checkProblem(answer, status);
      for (const [pointer, code] of Object.entries(fields ?? {})) {
        const error = answer.body.errors?.find((e) => e.pointer === pointer);
        assert.ok(error, `${pointer} in ${answer.text}`);
        if (code) assert.equal(error.code, code);
        assert.ok(error.detail.length > 3);
      }
      assert.equal((await server.get("/health/live")).status, 200);
    });
  }

  for (const [name, method, target, options, status] of requests) {
    it(`request: ${name}`, async () => {
      const answer = await server.request(method, target, options);
      checkProblem(answer, status);
      if (answer.status === 405) assert.ok(answer.headers.get("allow"));
      if (answer.status === 401) assert.ok(answer.headers.get("www-authenticate"));
      assert.equal((await server.get("/health/live")).status, 200);
    });
  }

  for (const [name, bytes, status] of raw) {
    it(`bytes: ${name}`, async () => {
      const text = await new Promise((resolve, reject) => {
        const socket = connect(server.port, "127.0.0.1");
        let got = "";
        socket.setEncoding("utf8");
        socket.setTimeout(15_000, () => socket.destroy(new Error(`no answer, got: ${got}`)));
        socket.on("data", (chunk) => (got += chunk));
        socket.on("end", () => resolve(got));
        socket.on("close", () => resolve(got));
        socket.on("error", (error) => (got ? resolve(got) : reject(error)));
        socket.write(bytes);
      });
      const got = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]);
      assert.ok(allowed(status, got), text);
      assert.match(text, /connection: close/i);
      assert.equal((await server.get("/health/live")).status, 200);
    });
  }

  it("a taken unique value names the field", async () => {
    assert.equal((await server.post("/api/v1/things", { body: { name: "ab", code: "one" } })).status, 201);
    const answer = await server.post("/api/v1/things", { body: { name: "ab", code: "one" } });
    checkProblem(answer, 409);
    assert.equal(answer.body.errors[0].pointer, "/code");
  });
});
