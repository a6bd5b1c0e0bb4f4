/*
 * Static files over TLS, from the disk to the client: the way by sendfile is not there, so bytes take another one. Over HTTP/1.1 and
 * HTTP/2, for the versions of TLS: every byte, ranges, conditions, HEAD, and a client that is slow or goes.
 */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import http2 from "node:http2";
import https from "node:https";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { makeAuthority } from "../support/certificates.mjs";
import { startConformance } from "../support/conformance.mjs";
import { temporaryFolder } from "../support/purlin.mjs";

/* Around the sizes of a TLS record, of a write, of what is kept in memory; and large. */
const sizes = [0, 1, 16383, 16384, 16385, 65536, 65537, 1 << 18, (1 << 20) + 1, (5 << 20) + 12345];
const files = Object.fromEntries(sizes.map((size) => [`f${size}.bin`, randomBytes(size)]));
const sum = (bytes) => createHash("sha256").update(bytes).digest("hex");
const largest = `f${sizes.at(-1)}.bin`;

/* A client of one connection: ask(path, headers, method) -> { status, headers, body }. */
const clients = {
  "HTTP/1.1 over TLS 1.3": (url, ca) => overHttps(url, ca, { minVersion: "TLSv1.3" }),
  "HTTP/1.1 over TLS 1.2": (url, ca) => overHttps(url, ca, { maxVersion: "TLSv1.2" }),
  "HTTP/2": overHttp2,
};

function overHttps(url, ca, options) {
  const agent = new https.Agent({ ca, keepAlive: true, maxSockets: 1, servername: "localhost", ...options });
  const ask = async (target, headers = {}, method = "GET", slowly) => {
    const request = https.request(url + target, { agent, method, headers }).end();
    const [answer] = await once(request, "response");
    const chunks = [];
    for await (const chunk of answer) {
      chunks.push(chunk);
      if (slowly) await slowly();
    }
    return { status: answer.statusCode, headers: answer.headers, body: Buffer.concat(chunks) };
  };
  const go = async (target) => {
    const request = https.request(url + target, { agent: new https.Agent({ ca, servername: "localhost", ...options }) }).end();
    const [answer] = await once(request, "response");
    await once(answer, "data");
    answer.destroy();
  };
  return { ask, go, close: () => agent.destroy() };
}

function overHttp2(url, ca) {
  const session = http2.connect(url, { ca, servername: "localhost" });
  const ask = async (target, headers = {}, method = "GET", slowly) => {
    const stream = session.request({ ":path": target, ":method": method, ...headers });
    const [answer] = await once(stream, "response");
    const chunks = [];
    for await (const chunk of stream) {
      chunks.push(chunk);
      if (slowly) await slowly();
    }
    return { status: answer[":status"], headers: answer, body: Buffer.concat(chunks) };
  };
  const go = async (target) => {
    const stream = session.request({ ":path": target });
    await once(stream, "data");
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await once(stream, "close");
  };
  return { ask, go, close: () => session.close() };
}

describe("static files over TLS", () => {
  const cleanups = [];
  let server, ca;
  before(async () => {
    const t = { after: (fn) => cleanups.push(fn) };
    const folder = temporaryFolder(t);
    ca = makeAuthority(folder);
    const site = ca.sign("site");
    const root = path.join(folder, "files");
    mkdirSync(root);
    for (const [name, bytes] of Object.entries(files)) writeFileSync(path.join(root, name), bytes);
    server = await startConformance(t, { TLS_PORT: "0", TLS_CERT: site.cert, TLS_KEY: site.key, STATIC_DIR: root });
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  for (const [name, open] of Object.entries(clients)) {
    describe(name, () => {
      let client;
      before(() => (client = open(server.tlsUrl, ca.text)));
      after(() => client.close());

      for (const [file, bytes] of Object.entries(files))
        it(`${file}: whole, twice, HEAD, 304 and 412`, async () => {
          const target = `/static/${file}`;
          let etag;
          for (let i = 0; i < 2; i++) {
            const whole = await client.ask(target);
            assert.equal(whole.status, 200);
            assert.equal(Number(whole.headers["content-length"]), bytes.length);
            assert.equal(whole.headers["accept-ranges"], "bytes");
            assert.equal(sum(whole.body), sum(bytes));
            etag = whole.headers.etag;
          }
          const head = await client.ask(target, {}, "HEAD");
          assert.equal(head.status, 200);
          assert.equal(Number(head.headers["content-length"]), bytes.length);
          assert.equal(head.headers.etag, etag);
          assert.equal(head.body.length, 0);
          const known = await client.ask(target, { "if-none-match": etag });
          assert.equal(known.status, 304);
          assert.equal(known.headers.etag, etag);
          assert.equal(known.body.length, 0);
          assert.equal((await client.ask(target, { "if-match": '"other"' })).status, 412);
        });

      it("ranges, of files in memory and on the disk", async () => {
        for (const file of ["f16385.bin", largest]) {
          const bytes = files[file], last = bytes.length - 1;
          const rows = [[0, 0], [0, last], [16383, 16384], [1, last - 1], [last, last], [100, 100 + 12000]];
          for (const [from, to] of rows) {
            const part = await client.ask(`/static/${file}`, { range: `bytes=${from}-${to}` });
            assert.equal(part.status, 206);
            assert.equal(part.headers["content-range"], `bytes ${from}-${to}/${bytes.length}`);
            assert.equal(sum(part.body), sum(bytes.subarray(from, to + 1)));
          }
          assert.equal(sum((await client.ask(`/static/${file}`, { range: "bytes=-77" })).body), sum(bytes.subarray(-77)));
          const beyond = await client.ask(`/static/${file}`, { range: `bytes=${bytes.length}-` });
          assert.equal(beyond.status, 416);
          assert.equal(beyond.headers["content-range"], `bytes */${bytes.length}`);
          const several = await client.ask(`/static/${file}`, { range: "bytes=0-9,9000-9009" });
          assert.equal(several.status, 206);
          assert.match(several.headers["content-type"], /^multipart\/byteranges/);
          for (const part of [bytes.subarray(0, 10), bytes.subarray(9000, 9010)]) assert.ok(several.body.includes(part));
        }
      });

      it("a client that reads slowly gets every byte, one that goes disturbs nobody", async () => {
        let turns = 0;
        const pause = () => (++turns % 20 ? undefined : new Promise((resolve) => setTimeout(resolve, 5)));
        const slow = client.ask(`/static/${largest}`, {}, "GET", pause);
        const other = open(server.tlsUrl, ca.text);
        for (let i = 0; i < 3; i++) await other.go(`/static/${largest}`);
        assert.equal(sum((await other.ask("/static/f65537.bin")).body), sum(files["f65537.bin"]));
        other.close();
        assert.equal(sum((await slow).body), sum(files[largest]));
      });
    });
  }

  it("many at once over one connection of HTTP/2", async () => {
    const client = overHttp2(server.tlsUrl, ca.text);
    const names = Object.keys(files);
    const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => client.ask(`/static/${names[i % names.length]}`)));
    for (const [i, answer] of answers.entries()) assert.equal(sum(answer.body), sum(files[names[i % names.length]]), names[i % names.length]);
    client.close();
  });
});
