import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, renameSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { startPurlin, temporaryFolder } from "../support/purlin.mjs";
import { codings, raw } from "../support/raw.mjs";

const contracts = { things: "resource: things\nfields:\n  name: { type: string }\nrules: { read: true }\n" };
const script = `console.log(${JSON.stringify("lorem ipsum ".repeat(3000))});\n`;
const large = randomBytes(3 << 20);

/* A server with a folder at /static. */
async function serve(t, env = {}) {
  const folder = temporaryFolder(t);
  const site = path.join(folder, "site");
  mkdirSync(path.join(site, "docs/deep"), { recursive: true });
  mkdirSync(path.join(site, ".well-known"));
  mkdirSync(path.join(site, ".git"));
  const put = (name, data) => writeFileSync(path.join(site, name), data);
  put("index.html", "<!doctype html><title>home</title>");
  put("docs/index.html", "<!doctype html><title>docs</title>");
  put("docs/deep/page.html", "<!doctype html><title>deep</title>");
  put("app.js", script);
  put("app.3f9a0c11.js", script);
  put("small.txt", "0123456789");
  put("empty.txt", "");
  put("large.bin", large);
  put("ünïcode name.txt", "unicode");
  put("no-type", "x");
  put("PHOTO.JPG", "x");
  put(".env", "SECRET=1");
  put(".git/config", "secret");
  put(".well-known/security.txt", "Contact: mailto:a@example.com");
  put("../outside.txt", "outside");
  symlinkSync("../outside.txt", path.join(site, "leads-out.txt"));
  symlinkSync("/etc/hostname", path.join(site, "absolute.txt"));
  symlinkSync("..", path.join(site, "up"));
  symlinkSync("small.txt", path.join(site, "stays-in.txt"));
  put("styles.css", "body { color: red } ".repeat(200));
  put("styles.css.gz", codings.gzip.pack("body { color: green } ".repeat(200)));
  put("styles.css.br", codings.br.pack("body { color: green } ".repeat(200)));
  put("old.css", "body { color: red } ".repeat(200));
  put("old.css.br", codings.br.pack("stale"));
  utimesSync(path.join(site, "old.css.br"), 1, 1);
  const server = await startPurlin(t, { contracts, env: { PURLIN_STATIC_FOLDER: site, PURLIN_STATIC_PATH: "/static", ...env } });
  const get = (target, headers = {}, options = {}) => raw(`${server.url}${target}`, { headers, ...options });
  return { server, site, put, get };
}

describe("static files", () => {
  const cleanups = [];
  let it_, get, put, server, site;
  before(async () => {
    it_ = await serve({ after: (fn) => cleanups.push(fn) });
    ({ get, put, server, site } = it_);
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  it("have a type, a tag, a date and say how long they may be kept", async () => {
    for (const [name, type, body, cache] of [
      ["small.txt", "text/plain; charset=utf-8", "0123456789", "no-cache"],
      ["empty.txt", "text/plain; charset=utf-8", "", "no-cache"],
      ["index.html", "text/html; charset=utf-8", /home/, "no-cache"],
      ["app.js", "text/javascript; charset=utf-8", script, "no-cache"],
      ["app.3f9a0c11.js", "text/javascript; charset=utf-8", script, "public, max-age=31536000, immutable"],
      ["large.bin", "application/octet-stream", large, "no-cache"],
      ["%C3%BCn%C3%AFcode%20name.txt", "text/plain; charset=utf-8", "unicode", "no-cache"],
      ["no-type", "application/octet-stream", "x", "no-cache"],
      ["PHOTO.JPG", "image/jpeg", "x", "no-cache"],
      [".well-known/security.txt", "text/plain; charset=utf-8", /Contact/, "no-cache"],
      ["stays-in.txt", "text/plain; charset=utf-8", "0123456789", "no-cache"],
      ["docs/deep/page.html", "text/html; charset=utf-8", /deep/, "no-cache"],
    ]) {
      const answer = await get(`/static/${name}`);
      assert.equal(answer.status, 200, name);
      if (body instanceof RegExp) assert.match(answer.body.toString(), body);
      else assert.ok(answer.body.equals(Buffer.from(body)), name);
      assert.equal(answer.headers["content-type"], type, name);
      assert.equal(answer.headers["cache-control"], cache, name);
      assert.equal(answer.headers["content-length"], String(answer.body.length));
      assert.equal(answer.headers["accept-ranges"], "bytes");
      assert.equal(answer.headers["x-content-type-options"], "nosniff");
      assert.match(answer.headers.etag, /^"[0-9a-f]+-[0-9a-f]+-[0-9a-f]+"$/);
      assert.ok(Date.parse(answer.headers["last-modified"]));
      const head = await get(`/static/${name}`, {}, { method: "HEAD" });
      assert.equal(head.status, 200);
      assert.equal(head.body.length, 0);
      for (const header of ["content-length", "etag", "last-modified", "content-type", "cache-control"])
        assert.equal(head.headers[header], answer.headers[header], header);
    }
  });

  it("folders have an index and a slash at their end", async () => {
    assert.match((await get("/static/")).body.toString(), /home/);
    assert.match((await get("/static/docs/")).body.toString(), /docs/);
    const moved = await get("/static/docs?a=b");
    assert.equal(moved.status, 301);
    assert.equal(moved.headers.location, "/static/docs/?a=b");
    assert.equal((await get("/static")).headers.location, "/static/");
    assert.equal((await get("/static/docs/deep/")).status, 404);
  });

  it("nothing leads out, and hidden names do not exist", async () => {
    for (const name of [
      "leads-out.txt", "absolute.txt", "up/outside.txt", "up/site/small.txt", ".env", ".git/config", ".git/", ".git", "docs/.hidden",
      "..%2foutside.txt", "%2e%2e/outside.txt", "%2e%2e%2foutside.txt", "..%5coutside.txt", "docs/..%2f..%2foutside.txt", "small.txt%00", "small.txt%00.html",
      "docs//index.html", "small.txt/", "small.txt/x", "....//outside.txt", "%c0%ae%c0%ae/outside.txt", "docs\\index.html", "nowhere", "a".repeat(300), `${"a/".repeat(400)}x`,
      "/etc/passwd", "//etc/passwd", "small.txt;x", "~root", "",
    ].slice(0, -1)) {
      const answer = await rawTarget(server.port, `/static/${name}`);
      assert.match(answer, /^HTTP\/1\.1 (400|404|414) /, name);
      assert.ok(!/outside|SECRET|secret|root:/.test(answer.replace(/"instance":"[^"]*"/, "")), name);
    }
    for (const target of ["/static/../outside.txt", "/static/docs/../../outside.txt"]) {
      const answer = await rawTarget(server.port, target);
      assert.match(answer, /^HTTP\/1\.1 (400|404) /, target);
    }
  });

  it("take GET and HEAD only", async () => {
    for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
      const answer = await get("/static/small.txt", {}, { method });
      assert.equal(answer.status, 405);
      assert.match(answer.headers.allow, /GET, HEAD/);
    }
    const options = await get("/static/small.txt", {}, { method: "OPTIONS" });
    assert.equal(options.status, 204);
    assert.match(options.headers.allow, /GET, HEAD/);
  });

  it("come in the coding that is there, or is made once", async () => {
    for (const [accept, coding] of [["br, gzip", "br"], ["gzip", "gzip"], ["gzip;q=1, br;q=0.5", "gzip"]]) {
      const answer = await get("/static/styles.css", { "accept-encoding": accept });
      assert.equal(answer.headers["content-encoding"], coding);
      assert.equal(answer.headers["content-type"], "text/css; charset=utf-8");
      assert.match(answer.headers.vary, /Accept-Encoding/);
      assert.match(codings[coding].unpack(answer.body).toString(), /green/);
      const kept = await get("/static/styles.css", { "accept-encoding": accept, "if-none-match": answer.headers.etag });
      assert.equal(kept.status, 304);
    }
    const plain = await get("/static/styles.css");
    assert.equal(plain.headers["content-encoding"], undefined);
    assert.match(plain.headers.vary, /Accept-Encoding/);
    assert.match(plain.body.toString(), /red/);
    const old = await get("/static/old.css", { "accept-encoding": "br" });
    assert.match(codings.br.unpack(old.body).toString(), /red/);
    for (const coding of ["br", "gzip", "zstd"])
      for (let i = 0; i < 2; i++) {
        const answer = await get("/static/app.js", { "accept-encoding": coding });
        assert.equal(answer.headers["content-encoding"], coding);
        assert.equal(codings[coding].unpack(answer.body).toString(), script);
        assert.equal(answer.headers["content-length"], String(answer.body.length));
        assert.match(answer.headers.etag, new RegExp(`-${coding}"$`));
      }
    const binary = await get("/static/large.bin", { "accept-encoding": "br" });
    assert.equal(binary.headers["content-encoding"], undefined);
    assert.equal(binary.headers.vary, undefined);
    // A public file holds no secret: cookies change nothing.
    assert.equal((await get("/static/app.js", { "accept-encoding": "br", cookie: "a=b" })).headers["content-encoding"], "br");
  });

  it("are changed within a second of changing", async () => {
    put("changing.txt", "first");
    assert.equal((await get("/static/changing.txt")).body.toString(), "first");
    put("changing.new", "second, and longer");
    renameSync(path.join(site, "changing.new"), path.join(site, "changing.txt"));
    let answer;
    for (let i = 0; i < 100; i++) {
      answer = await get("/static/changing.txt");
      if (answer.body.toString() !== "first") break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(answer.body.toString(), "second, and longer");
  });

  it("many names at once cost no more than there is", async () => {
    mkdirSync(path.join(site, "many"));
    for (let i = 0; i < 600; i++) put(`many/${i}.txt`, `${i} `.repeat(5000));
    for (let round = 0; round < 2; round++) {
      const answers = await Promise.all(Array.from({ length: 600 }, (_, i) => get(`/static/many/${i}.txt`)));
      answers.forEach((answer, i) => assert.equal(answer.body.toString(), `${i} `.repeat(5000)));
    }
    const fds = Number(/process_open_fds ([\d.e+]+)/.exec((await server.get("/metrics")).text)[1]);
    assert.ok(fds < 2 * 256 + 400, `${fds} descriptors`);
  });

  it("a file that was replaced goes on as it was; one that was cut is cut", async () => {
    /* More than sockets hold. */
    const was = Buffer.alloc(64 << 20, randomBytes(1021));
    for (const change of ["replace", "cut"]) {
      const name = `${change}.bin`;
      put(name, was);
      const { body, whole } = await slowly(`${server.url}/static/${name}`, () => {
        if (change === "cut") return truncateSync(path.join(site, name), 1000);
        put("download.new", "something else");
        renameSync(path.join(site, "download.new"), path.join(site, name));
      });
      assert.equal(whole, change === "replace");
      if (change === "replace") assert.ok(was.equals(body));
      else assert.ok(body.length < was.length);
    }
  });
});

describe("downloads", () => {
  it("of 100 slow readers take little memory and hold nobody up", async (t) => {
    const { server, put, get } = await serve(t);
    put("big.bin", Buffer.alloc(50 << 20, "0123456789abcdef"));
    await get("/static/small.txt");
    const memory = async () => Number(/process_resident_memory_bytes ([\d.e+]+)/.exec((await server.get("/metrics")).text)[1]);
    const before = await memory();
    const agent = new http.Agent({ maxSockets: 200 });
    const readers = await Promise.all(
      Array.from({ length: 100 }, () => new Promise((resolve, reject) => {
        const request = http.get(`${server.url}/static/big.bin`, { agent }, (answer) => {
          answer.on("error", () => {});
          answer.pause();
          resolve({ request, answer });
        });
        request.on("error", reject);
      })),
    );
    const took = [];
    for (let i = 0; i < 50; i++) {
      const start = performance.now();
      assert.equal((await get("/static/small.txt")).status, 200);
      took.push(performance.now() - start);
    }
    assert.ok(took.sort((a, b) => a - b)[25] < 500, `median ${took[25]} ms`);
    assert.ok((await memory()) - before < 128 << 20);
    // Five of them read to the end, the others leave.
    const lengths = await Promise.all(
      readers.slice(0, 5).map(({ answer }) => new Promise((resolve) => {
        let n = 0;
        answer.resume();
        answer.on("data", (data) => (n += data.length));
        answer.on("close", () => resolve(n));
      })),
    );
    assert.deepEqual(lengths, Array(5).fill(50 << 20));
    for (const { request } of readers) request.destroy();
    assert.equal((await get("/static/small.txt")).status, 200);
  });
});

describe("a front end", () => {
  it("at /, with one page for all of its paths", async (t) => {
    const { get, server } = await serve(t, { PURLIN_STATIC_PATH: "/", PURLIN_STATIC_FALLBACK: "index.html", PURLIN_STATIC_MAX_AGE: "1h" });
    const page = { accept: "text/html,*/*" };
    assert.match((await get("/")).body.toString(), /home/);
    assert.match((await get("/some/route", page)).body.toString(), /home/);
    assert.equal((await get("/some/route", page)).status, 200);
    assert.equal((await get("/some/route", { accept: "application/json" })).status, 404);
    assert.equal((await get("/.env", page)).status, 404);
    assert.equal((await get("/small.txt")).headers["cache-control"], "public, max-age=3600");
    assert.equal((await get("/index.html")).headers["cache-control"], "no-cache");
    assert.equal((await server.get("/api/v1/things")).status, 200);
    assert.equal((await server.get("/health/live")).status, 200);
    assert.equal((await server.get("/api/v1/nothing")).status, 404);
  });

  it("is refused at the start when it cannot be", async (t) => {
    for (const env of [
      { PURLIN_STATIC_FOLDER: "/nowhere/at/all" },
      { PURLIN_STATIC_PATH: "static" },
      { PURLIN_STATIC_PATH: "/api/v1" },
      { PURLIN_STATIC_FALLBACK: ".env" },
    ]) {
      await assert.rejects(serve(t, env), /PURLIN_STATIC|static\./, JSON.stringify(env));
    }
  });
});

/* The answer to a target that clients would tidy up. */
function rawTarget(port, target) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.write(`GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`));
    let got = "";
    socket.on("data", (data) => (got += data));
    socket.on("close", () => resolve(got));
    socket.on("error", reject);
  });
}

/* Read a little, do something, read the rest. */
function slowly(url, between) {
  return new Promise((resolve, reject) => {
    http.get(url, { agent: false }, (answer) => {
      const chunks = [];
      let did = false;
      answer.on("data", (chunk) => {
        chunks.push(chunk);
        if (did) return;
        did = true;
        answer.pause();
        between();
        answer.resume();
      });
      answer.on("error", () => {});
      answer.on("close", () => resolve({ body: Buffer.concat(chunks), whole: answer.complete }));
    }).on("error", reject);
  });
}

it("what the cache holds and how it was found is counted", async (t) => {
  const { server, get, put } = await serve(t, { PURLIN_THREADS: "1" });
  const counted = async () => {
    const { text } = await server.get("/metrics", { admin: true });
    const value = (line) => Number(text.split("\n").find((l) => l.startsWith(`${line} `)).slice(line.length));
    const lookups = (outcome) => value(`purlin_file_cache_lookups_total{outcome="${outcome}"}`);
    return {
      entries: value("purlin_file_cache_entries"),
      bytes: value("purlin_file_cache_bytes"),
      found: lookups("hit") + lookups("checked"),
      opened: lookups("opened"),
      none: lookups("none"),
    };
  };
  const before = await counted();
  for (let i = 0; i < 5; i++) assert.equal((await get("/static/small.txt")).status, 200);
  assert.equal((await get("/static/nowhere.txt")).status, 404);
  const after = await counted();
  assert.equal(after.entries, before.entries + 1);
  assert.ok(after.bytes >= before.bytes + 10, `${before.bytes} -> ${after.bytes}`);
  assert.equal(after.opened, before.opened + 1);
  assert.equal(after.found, before.found + 4);
  assert.equal(after.none, before.none + 1);
  // A coding that is made here is memory, too; a file that changed takes the place of the old one.
  assert.equal((await get("/static/app.js", { "accept-encoding": "br" })).headers["content-encoding"], "br");
  const coded = await counted();
  assert.ok(coded.bytes > after.bytes);
  put("small.txt", "0123456789-and-more");
  for (let i = 0; i < 300 && (await counted()).opened === coded.opened; i++) {
    await get("/static/small.txt");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const changed = await counted();
  assert.equal(changed.opened, coded.opened + 1);
  assert.equal(changed.entries, coded.entries);
});
