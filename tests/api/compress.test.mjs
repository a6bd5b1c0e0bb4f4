import assert from "node:assert/strict";
import http from "node:http";
import { after, before, describe, it } from "node:test";
import { adminKey, startPurlin } from "../support/purlin.mjs";
import { codings, raw } from "../support/raw.mjs";

const contracts = {
  things:
    "resource: things\nfields:\n  name: { type: string, required: true }\n  text: { type: text, max: 40000 }\n" +
    "rules: { read: true, create: true, update: true, delete: true }\n",
};

describe("answers are compressed", () => {
  const cleanups = [];
  let server, long, short;
  before(async () => {
    server = await startPurlin({ after: (fn) => cleanups.push(fn) }, { contracts });
    long = (await server.post("/api/v1/things", { body: { name: "long", text: "lorem ipsum dolor ".repeat(300) } })).body;
    short = (await server.post("/api/v1/things", { body: { name: "short" } })).body;
    for (let i = 0; i < 60; i++) await server.post("/api/v1/things", { body: { name: `n${i}`, text: `text ${i} `.repeat(1200) } });
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });
  const get = (target, encoding, headers = {}, method = "GET") =>
    raw(server.url + target, { method, headers: { ...(encoding === undefined ? {} : { "accept-encoding": encoding }), ...headers } });

  it("in each coding, whole, with the tag and length of that coding", async () => {
    const target = `/api/v1/things/${long.id}`;
    const plain = await get(target);
    assert.equal(plain.headers["content-encoding"], undefined);
    assert.match(plain.headers.vary, /Accept-Encoding/);
    for (const name of ["gzip", "br", "zstd"]) {
      const answer = await get(target, name);
      assert.equal(answer.status, 200);
      assert.equal(answer.headers["content-encoding"], name);
      assert.match(answer.headers.vary, /Accept-Encoding/);
      assert.equal(Number(answer.headers["content-length"]), answer.body.length);
      assert.ok(answer.body.length < plain.body.length / 5);
      assert.deepEqual(codings[name].unpack(answer.body), plain.body);
      assert.equal(answer.headers.etag, plain.headers.etag.replace(/"$/, `-${name}"`));
      const head = await get(target, name, {}, "HEAD");
      assert.equal(head.status, 200);
      for (const header of ["content-encoding", "content-length", "etag", "vary", "content-type"])
        assert.equal(head.headers[header], answer.headers[header], header);
      assert.equal(head.body.length, 0);
    }
  });

  it("by weight, then by our preference", async () => {
    const target = `/api/v1/things/${long.id}`;
    for (const [accept, want] of [
      ["gzip, deflate, br, zstd", "zstd"],
      ["gzip, deflate, br", "br"],
      ["gzip;q=1, br;q=0.1", "gzip"],
      ["*", "zstd"],
      ["identity", undefined],
      ["", undefined],
      ["gzip;q=0", undefined],
      ["deflate", undefined],
      [["gzip", "br"], "br"], // on two lines
      [["zstd;q=0", "br;q=0", "*"], "gzip"],
      [["identity", ""], undefined],
    ])
      assert.equal((await get(target, accept)).headers["content-encoding"], want, accept);
  });

  it("and their tags work in conditions", async () => {
    const target = `/api/v1/things/${short.id}`;
    const whole = await get(`/api/v1/things/${long.id}`, "br");
    const kept = await get(`/api/v1/things/${long.id}`, "br", { "if-none-match": whole.headers.etag });
    assert.equal(kept.status, 304);
    assert.equal((await get(`/api/v1/things/${long.id}`, "br", { "if-none-match": ['"other"', whole.headers.etag] })).status, 304);
    assert.equal(kept.headers.etag, whole.headers.etag);
    assert.equal(kept.headers["content-encoding"], undefined);
    const etag = (await get(target)).headers.etag;
    const sent = etag.replace(/"$/, '-gzip"');
    const changed = await server.patch(target, { body: { name: "changed" }, headers: { "if-match": sent } });
    assert.equal(changed.status, 200);
    const stale = await server.patch(target, { body: { name: "again" }, headers: { "if-match": sent } });
    assert.equal(stale.status, 412);
  });

  it("not when they are small, empty or no text", async () => {
    const small = await get(`/api/v1/things/${short.id}`, "gzip");
    assert.equal(small.headers["content-encoding"], undefined);
    assert.ok(!/Accept-Encoding/.test(small.headers.vary ?? ""));
    const plainly = await get(`/api/v1/things/${short.id}`, "identity;q=0, gzip;q=0.1");
    assert.equal(plainly.status, 200);
    const none = await raw(`${server.url}/docs`, { method: "OPTIONS", headers: { "accept-encoding": "gzip" } });
    assert.equal(none.status, 204);
    assert.equal(none.headers["content-encoding"], undefined);
  });

  it("long ones too, while others are served", async () => {
    const target = "/api/v1/things?limit=60";
    const plain = await get(target);
    assert.ok(plain.body.length > 256 * 1024);
    const answers = await Promise.all(["gzip", "br", "zstd"].flatMap((n) => [get(target, n), get(target, n), get("/health/live")]));
    for (const answer of answers.filter((a) => a.headers["content-encoding"])) {
      assert.deepEqual(codings[answer.headers["content-encoding"]].unpack(answer.body), plain.body);
      assert.equal(Number(answer.headers["content-length"]), answer.body.length);
    }
    assert.equal(answers.filter((a) => a.headers["content-encoding"]).length, 6);
  });

  it("and streams, which do not wait for more", async () => {
    const target = "/api/v1/things/export?format=ndjson";
    const plain = await get(target);
    assert.equal(plain.status, 200, plain.body.toString());
    for (const name of ["gzip", "br", "zstd"]) {
      const answer = await get(target, name);
      assert.equal(answer.headers["content-encoding"], name);
      assert.equal(answer.headers["content-length"], undefined);
      assert.deepEqual(codings[name].unpack(answer.body), plain.body);
      const head = await get(target, name, {}, "HEAD");
      assert.equal(head.headers["content-encoding"], name);
    }
    const csv = await get("/api/v1/things/export?format=csv", "gzip");
    assert.match(codings.gzip.unpack(csv.body).toString(), /^id,/);
  });

  it("a client that leaves in the middle holds nothing back", async () => {
    for (let i = 0; i < 80; i++)
      await new Promise((resolve) => {
        const request = http.get(`${server.url}/api/v1/things/export`, { headers: { "accept-encoding": "br" } }, (answer) => {
          answer.once("data", () => request.destroy());
          answer.once("close", resolve);
          answer.on("error", () => {});
        });
        request.on("error", resolve);
      });
    assert.equal((await get("/api/v1/things/export", "br")).headers["content-encoding"], "br");
  });

  it("problems as well", async () => {
    const fields = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`unknown${i}`, 1]));
    const answer = await raw(`${server.url}/api/v1/things`, {
      method: "POST",
      headers: { "content-type": "application/json", "accept-encoding": "gzip" },
      body: JSON.stringify(fields),
    });
    assert.equal(answer.status, 422);
    assert.equal(answer.headers["content-encoding"], "gzip");
    assert.equal(JSON.parse(codings.gzip.unpack(answer.body)).status, 422);
  });

  it("never where a browser attached who asks", async () => {
    const target = `/api/v1/things/${long.id}`;
    for (const headers of [{ cookie: "session=1" }, { authorization: "Basic YTpi" }, { authorization: "basic YTpi" }]) {
      const answer = await get(target, "br, gzip", headers);
      assert.equal(answer.headers["content-encoding"], undefined, JSON.stringify(headers));
      assert.match(answer.headers.vary, /Accept-Encoding/);
    }
    const key = await get(target, "gzip", { "x-api-key": adminKey });
    assert.equal(key.headers["content-encoding"], "gzip");
    const metrics = (await server.get("/metrics")).text;
    assert.match(metrics, /purlin_compression_skipped_total\{reason="credentials"\} [1-9]/);
    assert.match(metrics, /purlin_compression_bytes_total\{coding="br",side="in"\} [1-9]/);
  });
});

describe("compression as it is configured", () => {
  const start = async (t, env) => {
    const server = await startPurlin(t, { contracts, env });
    const row = (await server.post("/api/v1/things", { body: { name: "a", text: "lorem ipsum ".repeat(500) } })).body;
    return (headers) => raw(`${server.url}/api/v1/things/${row.id}`, { headers: { "accept-encoding": "gzip", ...headers } });
  };

  it("off", async (t) => {
    const get = await start(t, { PURLIN_COMPRESSION: "off" });
    const answer = await get();
    assert.equal(answer.headers["content-encoding"], undefined);
    assert.equal(answer.headers.vary?.includes("Accept-Encoding") ?? false, false);
  });

  it("with cookies, for some types, from some size", async (t) => {
    const get = await start(t, { PURLIN_COMPRESSION_WITH_COOKIES: "on", PURLIN_COMPRESSION_TYPES: "text/*, *+json, application/json" });
    assert.equal((await get({ cookie: "a=b" })).headers["content-encoding"], "gzip");
    const none = await start(t, { PURLIN_COMPRESSION_TYPES: "text/*" });
    assert.equal((await none()).headers["content-encoding"], undefined);
    const large = await start(t, { PURLIN_COMPRESSION_MIN_BYTES: "64KiB" });
    assert.equal((await large()).headers["content-encoding"], undefined);
  });

  it("no more than a loop's share", async (t) => {
    const get = await start(t, { PURLIN_COMPRESSION_RATE: "1KiB" });
    assert.equal((await get()).headers["content-encoding"], undefined);
  });
});
