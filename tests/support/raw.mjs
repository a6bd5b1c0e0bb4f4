/*
 * tests/support/raw.mjs - Requests without a client's help: nothing is decoded, followed or added. And the codings, so that
 * tests can do both sides.
 */
import { spawnSync } from "node:child_process";
import http from "node:http";
import zlib from "node:zlib";

const agent = new http.Agent({ keepAlive: true, maxSockets: 256 });

/* { status, headers, body (a Buffer, as sent) } */
export function raw(url, { method = "GET", headers = {}, body, onResponse } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers, agent }, (answer) => {
      if (onResponse) onResponse(answer);
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(chunks) }));
      answer.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

/* Node learned zstd late; the program is always there. */
function zstd(args, input) {
  const result = spawnSync("zstd", ["-q", "-c", ...args], { input, maxBuffer: 256 << 20 });
  if (result.status !== 0) throw new Error(`zstd: ${result.stderr}`);
  return result.stdout;
}

export const codings = {
  gzip: { pack: (data) => zlib.gzipSync(data), unpack: (data) => zlib.gunzipSync(data) },
  br: { pack: (data) => zlib.brotliCompressSync(data), unpack: (data) => zlib.brotliDecompressSync(data) },
  zstd: { pack: (data) => zstd([], data), unpack: (data) => zstd(["-d"], data) },
  deflate: { pack: (data) => zlib.deflateSync(data), unpack: (data) => zlib.inflateSync(data) },
};
