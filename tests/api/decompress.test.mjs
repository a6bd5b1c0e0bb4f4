import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import net from "node:net";
import { after, before, describe, it } from "node:test";
import zlib from "node:zlib";
import { startPurlin } from "../support/purlin.mjs";
import { codings, raw } from "../support/raw.mjs";

const contracts = {
  things:
    "resource: things\nfields:\n  name: { type: string, required: true }\n  text: { type: text, max: 40000 }\n" +
    "rules: { read: true, create: true, update: true, delete: true }\n",
};
const zeros = Buffer.alloc(10 << 20);

describe("bodies in a content coding", () => {
  const cleanups = [];
  let server;
  before(async () => {
    server = await startPurlin({ after: (fn) => cleanups.push(fn) }, { contracts });
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });
  const post = async (body, encoding, headers = {}) => {
    const answer = await raw(`${server.url}/api/v1/things`, {
      method: "POST",
      headers: { "content-type": "application/json", "content-encoding": encoding, ...headers },
      body,
    });
    return { ...answer, json: answer.body.length ? JSON.parse(answer.body) : undefined };
  };
  const item = { name: "compressed", text: "lorem ipsum ".repeat(2000) };
  const text = JSON.stringify(item);

  it("are decoded", async () => {
    for (const [name, { pack }] of Object.entries(codings)) {
      const packed = pack(text);
      assert.ok(packed.length < text.length / 20);
      const answer = await post(packed, name);
      assert.equal(answer.status, 201, `${name}: ${answer.body}`);
      assert.equal(answer.json.text, item.text);
    }
    assert.equal((await post(text, "identity")).status, 201);
    assert.equal((await post(codings.gzip.pack(text), "X-GZIP")).status, 201);
    assert.equal((await post(codings.gzip.pack(text), "identity, gzip")).status, 201);
  });

  it("in any pieces", async () => {
    for (const [name, { pack }] of Object.entries(codings)) {
      const packed = pack(JSON.stringify({ name: `pieces of ${name}` }));
      const answer = await new Promise((resolve, reject) => {
        const socket = net.connect(server.port, "127.0.0.1");
        let got = "";
        socket.setNoDelay(true);
        socket.write(`POST /api/v1/things HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Encoding: ${name}\r\nTransfer-Encoding: chunked\r\n\r\n`);
        let i = 0;
        const next = () => {
          if (i === packed.length) return socket.write("0\r\n\r\n");
          socket.write(Buffer.concat([Buffer.from("1\r\n"), packed.subarray(i, i + 1), Buffer.from("\r\n")]), next);
          i++;
        };
        next();
        socket.on("data", (data) => (got += data));
        socket.on("end", () => resolve(got));
        socket.on("error", reject);
      });
      assert.match(answer, /^HTTP\/1\.1 201 /, name);
      assert.ok(answer.includes(`pieces of ${name}`));
    }
  });

  it("of several members", async () => {
    const parts = [text.slice(0, 100), text.slice(100, 5000), text.slice(5000)];
    for (const name of ["gzip", "zstd"]) {
      const answer = await post(Buffer.concat(parts.map((p) => codings[name].pack(p))), name);
      assert.equal(answer.status, 201, `${name}: ${answer.body}`);
    }
  });

  it("are refused when malformed, cut or followed by something", async () => {
    for (const [name, { pack }] of Object.entries(codings)) {
      const packed = pack(text);
      const broken = Buffer.from(packed);
      broken.fill(0xff, 4, 12);
      const cases = {
        cut: packed.subarray(0, packed.length - 3),
        half: packed.subarray(0, packed.length >> 1),
        plain: Buffer.from(text),
        broken,
        trailing: Buffer.concat([packed, Buffer.from("garbage that is no member")]),
      };
      for (const [what, body] of Object.entries(cases)) {
        const answer = await post(body, name);
        assert.ok([400, 413].includes(answer.status), `${name} ${what}: ${answer.status}`);
        if (what !== "broken" && what !== "plain") assert.equal(answer.json.code, "malformed_coding", `${name} ${what}`);
      }
    }
  });

  it("are refused in what is not known, or more than one", async () => {
    for (const encoding of ["compress", "sdch", "gzip, br", "gzip, gzip", "br;q=1"]) {
      const answer = await post(codings.gzip.pack(text), encoding);
      assert.equal(answer.status, 415, encoding);
      assert.equal(answer.headers["accept-encoding"], "zstd, br, gzip, deflate");
      assert.equal(answer.json.code, "content_encoding");
    }
    const type = await post(codings.gzip.pack(text), "gzip", { "content-type": "text/plain" });
    assert.equal(type.status, 415);
    assert.equal(type.headers["accept-encoding"], undefined);
  });

  it("may not be bombs", async () => {
    const before = await memory();
    for (const [name, { pack }] of Object.entries(codings)) {
      const packed = pack(zeros);
      assert.ok(packed.length < 16 << 10, `${name}: ${packed.length}`);
      const answers = await Promise.all(Array.from({ length: 8 }, () => post(packed, name)));
      for (const answer of answers) {
        assert.equal(answer.status, 413, name);
        assert.ok(["body_too_large", "body_ratio"].includes(answer.json.code), answer.json.code);
      }
    }
    /* A window of 128 MiB for a few bytes. */
    const window = spawnSync("zstd", ["-q", "-c", "--ultra", "-22", "--long=27"], { input: Buffer.alloc(1 << 20) }).stdout;
    assert.equal((await post(window, "zstd")).status, 413);
    assert.ok((await memory()) - before < 128 << 20);
    assert.equal((await post(codings.gzip.pack(text), "gzip")).status, 201);
  });

  it("grow within the limit of the route even so", async () => {
    const answer = await post(zlib.gzipSync(JSON.stringify({ name: "a", text: randomBytes(600 << 10).toString("hex") })), "gzip");
    assert.equal(answer.status, 413);
    assert.equal(answer.json.code, "body_too_large");
  });

  async function memory() {
    return Number(/process_resident_memory_bytes ([\d.e+]+)/.exec((await server.get("/metrics")).text)[1]);
  }
});
