import assert from "node:assert/strict";
import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { startPurlin, temporaryFolder } from "../support/purlin.mjs";
import { raw } from "../support/raw.mjs";

const contracts = { things: "resource: things\nfields:\n  name: { type: string }\nrules: { read: true }\n" };
const day = 86400_000;
const modified = new Date(Math.floor((Date.now() - day) / 1000) * 1000);
const utc = (ms) => new Date(ms).toUTCString();

/* The three forms of a date (RFC 9110 5.6.7). */
function forms(date) {
  const [, dd, mon, yyyy, time] = /^\w+, (\d\d) (\w+) (\d+) ([\d:]+) GMT$/.exec(date.toUTCString());
  const long = date.toLocaleDateString("en-US", { weekday: "long", timeZone: "UTC" });
  return [date.toUTCString(), `${long}, ${dd}-${mon}-${yyyy.slice(2)} ${time} GMT`, `${long.slice(0, 3)} ${mon} ${dd.replace(/^0/, " ")} ${time} ${yyyy}`];
}

describe("ranges and conditions", () => {
  const cleanups = [];
  let get, server, etag;
  const data = { small: Buffer.from("0123456789".repeat(100)), large: Buffer.alloc(1 << 20) };
  for (let i = 0; i < data.large.length; i++) data.large[i] = (i * 7 + (i >> 8)) & 0xff;
  before(async () => {
    const t = { after: (fn) => cleanups.push(fn) };
    const site = path.join(temporaryFolder(t), "site");
    mkdirSync(site);
    writeFileSync(path.join(site, "small.txt"), data.small);
    writeFileSync(path.join(site, "large.bin"), data.large);
    for (const name of ["small.txt", "large.bin"]) utimesSync(path.join(site, name), modified, modified);
    server = await startPurlin(t, { contracts, env: { PURLIN_STATIC_FOLDER: site, PURLIN_STATIC_PATH: "/static" } });
    get = (name, headers = {}, method = "GET") => raw(`${server.url}/static/${name}`, { headers, method });
    etag = (await get("small.txt")).headers.etag;
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  it("single ones, of memory and of the disk", async () => {
    for (const [name, bytes] of [["small.txt", data.small], ["large.bin", data.large]]) {
      const size = bytes.length;
      for (const [range, first, last] of [
        ["0-0", 0, 0], ["0-99", 0, 99], ["500-", 500, size - 1], ["-100", size - 100, size - 1], [`${size - 1}-`, size - 1, size - 1],
        [`0-${size * 2}`, 0, size - 1], [`-${size * 2}`, 0, size - 1], ["300-399, 350-449", 300, 449],
      ]) {
        const answer = await get(name, { range: `bytes=${range}` });
        assert.equal(answer.status, 206, range);
        assert.equal(answer.headers["content-range"], `bytes ${first}-${last}/${size}`);
        assert.equal(answer.headers["content-length"], String(last - first + 1));
        assert.ok(answer.body.equals(bytes.subarray(first, last + 1)), range);
        assert.equal(answer.headers.etag, (await get(name, {}, "HEAD")).headers.etag);
      }
    }
  });

  it("several ones, as parts", async () => {
    for (const [name, bytes, type] of [["small.txt", data.small, "text/plain; charset=utf-8"], ["large.bin", data.large, "application/octet-stream"]]) {
      const size = bytes.length;
      const answer = await get(name, { range: "bytes=0-9,500-599,-20" });
      assert.equal(answer.status, 206);
      assert.equal(answer.headers["content-range"], undefined);
      assert.equal(answer.headers["content-length"], String(answer.body.length));
      const boundary = /^multipart\/byteranges; boundary=(\w+)$/.exec(answer.headers["content-type"])[1];
      const want = [[0, 9], [500, 599], [size - 20, size - 1]];
      const expected = Buffer.concat([
        ...want.flatMap(([first, last], i) => [
          Buffer.from(`${i ? "\r\n" : ""}--${boundary}\r\nContent-Type: ${type}\r\nContent-Range: bytes ${first}-${last}/${size}\r\n\r\n`),
          bytes.subarray(first, last + 1),
        ]),
        Buffer.from(`\r\n--${boundary}--\r\n`),
      ]);
      assert.ok(answer.body.equals(expected), name);
    }
  });

  it("are refused past the end and in masses, ignored when malformed", async () => {
    for (const range of ["bytes=1000-", "bytes=5000-6000", "bytes=-0", `bytes=${Array(17).fill("0-0").join(",")}`, `bytes=${Array.from({ length: 1300 }, (_, i) => `${i}-`).join(",")}`]) {
      const answer = await get("small.txt", { range });
      assert.equal(answer.status, 416, range.slice(0, 40));
      assert.equal(answer.headers["content-range"], "bytes */1000");
      assert.equal(JSON.parse(answer.body).status, 416);
    }
    for (const range of ["bytes=9-5", "bytes=a-b", "items=0-1", "bytes", "bytes=--1", "0-9"]) {
      const answer = await get("small.txt", { range });
      assert.equal(answer.status, 200, range);
      assert.equal(answer.body.length, 1000);
    }
    /* Overlapping ones add up to no more than the file. */
    const bomb = await get("large.bin", { range: `bytes=${Array.from({ length: 16 }, (_, i) => `${i}-`).join(",")}` });
    assert.equal(bomb.status, 206);
    assert.equal(bomb.body.length, data.large.length);
    const head = await get("small.txt", { range: "bytes=0-9" }, "HEAD");
    assert.equal(head.status, 200);
    assert.equal(head.headers["content-length"], "1000");
  });

  it("never of a coding", async () => {
    const answer = await get("small.txt", { range: "bytes=0-9", "accept-encoding": "br, gzip" });
    assert.equal(answer.status, 206);
    assert.equal(answer.headers["content-encoding"], undefined);
    assert.equal(answer.body.toString(), "0123456789");
  });

  it("If-Range: the same thing or all of it", async () => {
    for (const [value, status] of [
      [etag, 206], ['"other"', 200], [`W/${etag}`, 200], ["*", 200],
      [utc(modified), 206], [utc(modified - 1000), 200], [utc(modified.getTime() + 1000), 200], ["nonsense", 200],
    ])
      assert.equal((await get("small.txt", { range: "bytes=0-9", "if-range": value })).status, status, value);
  });

  it("conditions in their order", async () => {
    const before_ = utc(modified.getTime() - 1000), after_ = utc(modified.getTime() + 1000);
    for (const [headers, status] of [
      [{ "if-none-match": etag }, 304],
      [{ "if-none-match": `W/${etag}` }, 304],
      [{ "if-none-match": `"a", ${etag}, "b"` }, 304],
      [{ "if-none-match": "*" }, 304],
      [{ "if-none-match": '"other"' }, 200],
      [{ "if-none-match": '"other"', "if-modified-since": after_ }, 200],
      [{ "if-none-match": etag, "if-modified-since": before_ }, 304],
      [{ "if-modified-since": utc(modified) }, 304],
      [{ "if-modified-since": after_ }, 304],
      [{ "if-modified-since": before_ }, 200],
      [{ "if-modified-since": "nonsense" }, 200],
      [{ "if-match": etag }, 200],
      [{ "if-match": "*" }, 200],
      [{ "if-match": '"other"' }, 412],
      [{ "if-match": `W/${etag}` }, 412],
      [{ "if-match": etag, "if-unmodified-since": before_ }, 200],
      [{ "if-unmodified-since": before_ }, 412],
      [{ "if-unmodified-since": utc(modified) }, 200],
      [{ "if-unmodified-since": "nonsense" }, 200],
      [{ "if-match": '"other"', "if-none-match": etag }, 412],
      [{ "if-match": etag, "if-none-match": etag }, 304],
      [{ "if-none-match": etag, range: "bytes=0-9" }, 304],
      [{ "if-match": '"other"', range: "bytes=0-9" }, 412],
      [{ "if-none-match": '"other"', range: "bytes=0-9" }, 206],
    ])
      for (const method of ["GET", "HEAD"]) {
        const answer = await get("small.txt", headers, method);
        const want = method === "HEAD" && status === 206 ? 200 : status;
        assert.equal(answer.status, want, `${method} ${JSON.stringify(headers)}`);
        if (status === 304) {
          assert.equal(answer.headers.etag, etag);
          assert.equal(answer.body.length, 0);
          assert.equal(answer.headers["content-length"], undefined);
        }
      }
    for (const form of forms(modified)) assert.equal((await get("small.txt", { "if-modified-since": form })).status, 304, form);
  });
});
