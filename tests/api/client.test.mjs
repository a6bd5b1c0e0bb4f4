/* tests/api/client.test.mjs - The HTTP client against servers that behave, and that misbehave in every way. */
import assert from "node:assert/strict";
import { test } from "node:test";
import http from "node:http";
import { once } from "node:events";
import { startConformance } from "../support/conformance.mjs";
import { rawServer, answering, proxied } from "../support/upstream.mjs";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async function nodeServer(t, handler, options = {}) {
  const server = http.createServer(options, handler);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, port: server.address().port, url: `http://127.0.0.1:${server.address().port}` };
}

const mirror = (request, response) => {
  let bytes = 0;
  request.on("data", (chunk) => (bytes += chunk.length));
  request.on("end", () => response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, bytes })));
};

test("methods, bodies and headers arrive, whole and in pieces", async (t) => {
  const proxy = await startConformance(t);
  const upstream = await nodeServer(t, mirror);
  const fetchIt = proxied(proxy);
  for (const method of ["GET", "DELETE", "POST", "PUT", "PATCH", "OPTIONS"]) {
    const got = await fetchIt(`${upstream.url}/a/b?c=d%20e`, {}, { method });
    assert.deepEqual([got.status, got.json.method, got.json.url, got.json.bytes], [200, method, "/a/b?c=d%20e", 0]);
  }
  const body = "x".repeat(700_000);
  for (const options of [{}, { stream: 1 }, { stream: 1, chunked: 1 }, { expect: 1 }, { stream: 1, expect: 1 }]) {
    const got = await fetchIt(upstream.url, options, { method: "POST", body });
    assert.equal(got.json.bytes, body.length, JSON.stringify(options));
    assert.equal(got.json.headers["content-length"], options.chunked ? undefined : String(body.length));
    assert.equal(got.json.headers.expect, options.expect ? "100-continue" : undefined);
  }
  const head = await fetchIt(upstream.url, {}, { method: "HEAD" });
  assert.equal(head.status, 200);
  const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
  for (const sampled of ["00", "01"]) {
    const traced = await fetchIt(upstream.url, {}, { headers: { traceparent: `00-${trace}-00f067aa0ba902b7-${sampled}` } });
    assert.match(traced.json.headers.traceparent, new RegExp(`^00-${trace}-(?!00f067aa0ba902b7)[0-9a-f]{16}-${sampled}$`));
  }
  const got = await fetchIt(upstream.url, { header: "X-Custom: a b" });
  assert.equal(got.json.headers["x-custom"], "a b");
  assert.match(got.json.headers.traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/);
  assert.equal(got.json.headers.host, `127.0.0.1:${upstream.port}`);
});

test("a connection serves many requests, and its server's idle time is respected", async (t) => {
  const proxy = await startConformance(t);
  const upstream = await nodeServer(t, (request, response) => response.end(String(request.socket.remotePort)));
  const fetchIt = proxied(proxy);
  const ports = new Set();
  for (let i = 0; i < 20; i++) ports.add((await fetchIt(upstream.url)).text);
  assert.equal(ports.size, 1);
  assert.equal((await fetchIt(upstream.url)).reused, true);
  /* Sixty at once: no more than the eight connections that a host may have here. */
  const answers = await Promise.all(Array.from({ length: 60 }, () => fetchIt(upstream.url)));
  assert.ok(answers.every((a) => a.status === 200));
  const stats = await proxy.stats();
  assert.ok(stats.connections <= 8, JSON.stringify(stats));
  assert.equal(stats.connections, stats.idle);

  const short = await nodeServer(t, (request, response) => response.end("ok"), { keepAlive: true });
  short.server.keepAliveTimeout = 1000; /* "Keep-Alive: timeout=1": too short to be worth keeping */
  await fetchIt(short.url);
  assert.equal((await fetchIt(short.url)).reused, false);
});

test("a kept connection that died is replaced once, for requests that may be repeated", async (t) => {
  const proxy = await startConformance(t);
  const fetchIt = proxied(proxy);
  /* Answers the first request of each connection and resets it when a second one comes. */
  const upstream = await rawServer(t, (socket) => {
    let requests = 0;
    socket.on("data", () => (++requests === 1 ? socket.write(OK) : socket.resetAndDestroy()));
  });
  assert.equal((await fetchIt(upstream.url)).reused, false);
  const again = await fetchIt(upstream.url);
  assert.deepEqual([again.status, again.attempts, again.reused], [200, 2, false]);
  await fetchIt(upstream.url, {}, { method: "PUT", body: "x" }).then((a) => assert.equal(a.attempts, 2));
  const post = await fetchIt(upstream.url, {}, { method: "POST", body: "x" });
  assert.deepEqual([post.status, post.code, post.attempts], [502, "closed", 1]);
  /* On a fresh connection it is the server's fault: no second try. */
  const silent = await rawServer(t, (socket) => socket.on("data", () => socket.destroy()));
  const failed = await fetchIt(silent.url);
  assert.deepEqual([failed.status, failed.code, failed.attempts], [502, "closed", 1]);
  assert.equal((await proxy.stats()).retried, 2);
});

test("a connection that the server closes while idle is not used again", async (t) => {
  const proxy = await startConformance(t);
  const fetchIt = proxied(proxy);
  let last;
  const upstream = await rawServer(t, (socket) => {
    last = socket;
    socket.on("data", () => socket.write(OK));
  });
  await fetchIt(upstream.url, {}, { method: "POST" });
  const closed = once(last, "close");
  last.end();
  await closed;
  const next = await fetchIt(upstream.url, {}, { method: "POST" });
  assert.deepEqual([next.status, next.attempts, next.reused], [200, 1, false]);
  /* Bytes that nobody asked for are no answer to the next request. */
  last.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
  await new Promise((resolve) => setTimeout(resolve, 100));
  const after = await fetchIt(upstream.url, {}, { method: "POST" });
  assert.deepEqual([after.text, after.reused], ["ok", false]);
});

const refused = [
  ["no HTTP", "SSH-2.0-OpenSSH_9.2\r\n", "protocol"],
  ["HTTP/0.9", "<html>hello</html>\r\n\r\n", "protocol"],
  ["HTTP/2 in clear", "HTTP/2 200\r\n\r\n", "protocol"],
  ["bad status", "HTTP/1.1 2x0 OK\r\n\r\n", "protocol"],
  ["bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "protocol"],
  ["stray CR", "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok", "protocol"],
  ["NUL in a header", "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok", "protocol"],
  ["a folded header", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok", "protocol"],
  ["space before colon", "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", "protocol"],
  ["both framings", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "protocol"],
  ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", "protocol"],
  ["the same length twice", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "protocol"],
  ["a list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", "protocol"],
  ["a signed length", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", "protocol"],
  ["a hex length", "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok", "protocol"],
  ["a length past 64 bits", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok", "protocol"],
  ["an unknown coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "protocol"],
  ["chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "protocol"],
  ["two codings", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "protocol"],
  ["a bad chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxy\r\nok\r\n0\r\n\r\n", "protocol"],
  ["a chunk longer than said", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nok\r\n0\r\n\r\n", "protocol"],
  ["a switch of protocols", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "protocol"],
  ["interim answers without end", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(40) + OK, "protocol"],
  ["an end within the head", "HTTP/1.1 200 OK\r\nContent-Le", "protocol", true],
  ["an end within the body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok", "protocol", true],
  ["an end within the chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "protocol", true],
  ["too many headers", "HTTP/1.1 200 OK\r\n" + "X: y\r\n".repeat(250) + "\r\n", "too_large"],
  ["a head too large", "HTTP/1.1 200 OK\r\nX: " + "y".repeat(40_000) + "\r\n\r\n", "too_large"],
  ["a head without end", "HTTP/1.1 200 OK\r\nX: " + "y".repeat(400_000), "too_large"],
  ["a body too large", "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + "y".repeat(5000), "too_large"],
  ["chunks too large", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + "400\r\n" + "y".repeat(1024) + "\r\n" + "400\r\n" + "y".repeat(1024) + "\r\n", "too_large"],
  ["a body without end", "HTTP/1.1 200 OK\r\n\r\n" + "y".repeat(5000), "too_large"],
];

test("answers that are not usable are refused, and their connections closed", async (t) => {
  const proxy = await startConformance(t);
  const fetchIt = proxied(proxy);
  for (const [name, bytes, code, ends] of refused) {
    const upstream = await rawServer(t, answering(bytes, { ends }));
    const got = await fetchIt(upstream.url, { max: 2000 });
    assert.deepEqual([name, got.status, got.code], [name, 502, code]);
  }
  assert.deepEqual((await proxy.stats()).connections, 0);
});

const taken = [
  ["close-delimited", "HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end", { ends: true }],
  ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", {}],
  ["no reason phrase", "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", "ok", {}],
  ["interim answers", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK, "ok", {}],
  ["chunks with extensions and trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;a=b;c=\"d\"\r\nok\r\n0\r\nX-T: v\r\n\r\n", "ok", {}],
  ["byte by byte", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok", { bytewise: true }],
  ["an empty body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", {}],
  ["no content", "HTTP/1.1 204 No Content\r\n\r\n", "", {}],
  ["obs-text in a header", "HTTP/1.1 200 OK\r\nX: \xe4\r\nContent-Length: 2\r\n\r\nok", "ok", {}],
];

test("answers that are odd but clear are taken", async (t) => {
  const proxy = await startConformance(t);
  const fetchIt = proxied(proxy);
  for (const [name, bytes, body, how] of taken) {
    const upstream = await rawServer(t, answering(bytes, how));
    for (const stream of [0, 1]) {
      const got = await fetchIt(upstream.url, { stream });
      assert.deepEqual([name, got.code, got.text], [name, undefined, body]);
    }
  }
});

test("every stage has its time, and the problem names it", async (t) => {
  const proxy = await startConformance(t);
  const fetchIt = proxied(proxy);
  const mute = await rawServer(t, () => {});
  const drip = await rawServer(t, (socket) => {
    socket.on("data", () => {
      socket.write("HTTP/1.1 200 OK\r\nX: ");
      const timer = setInterval(() => socket.write("y"), 20);
      socket.on("close", () => clearInterval(timer));
    });
  });
  const halfway = await rawServer(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"));
  const deaf = await rawServer(t, (socket) => socket.pause());
  const cases = [
    [mute.url, { first_byte: 150 }, "first-byte"],
    [drip.url, { first_byte: 150 }, "first-byte"],
    [mute.url, { total: 150 }, "first-byte"],
    [halfway.url, { read: 150 }, "read"],
    [halfway.url, { total: 150 }, "read"],
    ["http://silent.test/", { resolve: 150 }, "resolve"],
    [mute.url.replace("http", "https"), { tls: 150 }, "tls"],
  ];
  for (const [url, options, stage] of cases) {
    const got = await fetchIt(url, options);
    assert.deepEqual([got.status, got.code, got.stage], [504, "timeout", stage]);
    assert.match(got.json.detail, new RegExp(`stage: ${stage}`));
  }
  /* More than both kernels' buffers hold. */
  const big = await fetchIt(deaf.url, { write: 200, stream: 1 }, { method: "POST", body: Buffer.alloc(40 << 20) });
  assert.deepEqual([big.status, big.code, big.stage], [504, "timeout", "write"]);
  assert.equal((await proxy.stats()).connections, 0);
});

test("a client that goes away takes its request with it", async (t) => {
  const proxy = await startConformance(t);
  const upstream = await rawServer(t, () => {});
  const connected = once(upstream.server, "connection");
  const gone = new AbortController();
  const pending = proxied(proxy)(upstream.url, {}, { signal: gone.signal }).catch((error) => error);
  const [socket] = await connected;
  await once(socket, "data");
  gone.abort();
  await once(socket, "close");
  assert.equal((await pending).name, "AbortError");
  assert.equal((await proxy.stats()).connections, 0);
});

test("a server that answers before it has the body is heard", async (t) => {
  const proxy = await startConformance(t);
  const fetchIt = proxied(proxy);
  const early = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig";
  const upstream = await rawServer(t, (socket) => {
    socket.once("data", () => {
      socket.pause();
      socket.write(early);
    });
  });
  const got = await fetchIt(upstream.url, { stream: 1 }, { method: "POST", body: Buffer.alloc(40 << 20) });
  assert.deepEqual([got.status, got.text], [413, "big"]);
  /* The same from one that was asked first. */
  let bytes = 0;
  const strict = await rawServer(t, (socket) => {
    socket.on("data", (chunk) => {
      bytes += chunk.length;
      socket.write("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
    });
  });
  assert.equal((await fetchIt(strict.url, { expect: 1 }, { method: "POST", body: "y".repeat(10_000) })).status, 417);
  assert.ok(bytes < 1000, `${bytes} bytes came without leave`);
  /* Who knows nothing of Expect gets the body after a second. */
  const plain = await nodeServer(t, mirror);
  plain.server.on("checkContinue", (request, response) => setTimeout(() => mirror(request, response), 0));
  assert.equal((await fetchIt(plain.url, { expect: 1 }, { method: "POST", body: "y".repeat(10_000) })).json.bytes, 10_000);
});

test("URLs from users lead to no inner address, however they are written", async (t) => {
  const proxy = await startConformance(t);
  const fetchIt = proxied(proxy);
  const upstream = await nodeServer(t, mirror);
  const p = upstream.port;
  for (const host of ["127.0.0.1", "localhost", "a.localhost", "LOCALHOST", "localhost.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "10.1.2.3", "169.254.169.254", "[fd00:ec2::254]", "0.0.0.0", "[::]", "loopback.test",
    "private.test", "metadata.test", "mixed.test"]) {
    const got = await fetchIt(`http://${host}:${p}/`, { from_user: 1 });
    assert.deepEqual([host, got.status, got.code], [host, 422, "refused_address"]);
  }
  for (const host of ["2130706433", "0x7f000001", "017700000001", "127.1", "127.0.1", "0177.0.0.1", "0x7f.1", "127.0.0.1%00.example.test",
    "user@127.0.0.1", "user:pw@127.0.0.1", "127.0.0.1\\@example.test", "ⓛocalhost", "[::1%25lo]", "[127.0.0.1]", "a..b", "", "-", "x".repeat(64)]) {
    const got = await fetchIt(`http://${host}:${p}/`, { from_user: 1 });
    assert.ok([400, 502].includes(got.status) && ["request", "dns"].includes(got.code), `${host}: ${got.status} ${got.code}`);
    assert.ok(got.code !== "dns" || host === "-", host);
  }
  for (const url of ["ftp://127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1/", "//127.0.0.1/", "http:127.0.0.1", "http://", "http://a:0/",
    "http://a:65536/", "http://a:x/", "http://a/\r\nX: y", "http://a/ b"]) {
    const got = await fetchIt(url, { from_user: 1 });
    assert.deepEqual([url, got.status, got.code], [url, 400, "request"]);
  }
  assert.equal((await proxy.stats()).opened, 0);
});

test("headers of the caller can frame nothing and split nothing", async (t) => {
  const proxy = await startConformance(t);
  const fetchIt = proxied(proxy);
  const upstream = await nodeServer(t, mirror);
  for (const header of ["Content-Length: 5", "transfer-encoding: chunked", "Connection: close", "Expect: x", "Upgrade: h2c", "TE: trailers",
    "Trailer: x", "X: a\r\nY: b", "X\r\n: a", "X Y: a", ": a"]) {
    const got = await fetchIt(upstream.url, { header });
    assert.deepEqual([header, got.status, got.code], [header, 400, "request"]);
  }
  const host = await fetchIt(upstream.url, { header: "Host: example.test" });
  assert.equal(host.json.headers.host, "example.test");
});

test("names are looked up once for many, kept for a while, and silent ones hold up nobody", async (t) => {
  const proxy = await startConformance(t);
  const fetchIt = proxied(proxy);
  const upstream = await nodeServer(t, mirror);
  await Promise.all(Array.from({ length: 20 }, () => fetchIt(`http://loopback.test:${upstream.port}/`)));
  assert.equal((await proxy.stats()).lookups, 1);
  for (const [host, text] of [["missing.test", /no host/], ["failing.test", /cannot be looked up/]]) {
    const got = await fetchIt(`http://${host}/`);
    assert.deepEqual([got.status, got.code], [502, "dns"]);
    assert.match(got.json.detail, text);
  }
  const before = (await proxy.stats()).lookups;
  await fetchIt("http://missing.test/");
  assert.equal((await proxy.stats()).lookups, before);
  /* Users' names that never answer take half of the threads; ours go on. */
  const silent = Array.from({ length: 3 }, () => fetchIt("http://silent.test/", { from_user: 1, resolve: 400 }));
  const got = await fetchIt(`http://other.test:${upstream.port}/`, { resolve: 2000 });
  assert.equal(got.status, 200);
  assert.ok((await Promise.all(silent)).every((a) => a.code === "timeout"));
  /* Of two addresses the one that answers counts. */
  const dual = await fetchIt(`http://dual.test:${upstream.port}/`);
  assert.deepEqual([dual.status, dual.peer], [200, "127.0.0.1"]);
});
