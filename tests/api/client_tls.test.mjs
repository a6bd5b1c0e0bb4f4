/* tests/api/client_tls.test.mjs - The client over TLS, and libcurl on the loop: HTTP/2 and mail among it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import http2 from "node:http2";
import https from "node:https";
import net from "node:net";
import tls from "node:tls";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { startConformance } from "../support/conformance.mjs";
import { temporaryFolder } from "../support/purlin.mjs";
import { proxied, rawServer } from "../support/upstream.mjs";

/* An authority and certificates by it, for names and faults. */
function authority(t) {
  const folder = temporaryFolder(t);
  const openssl = (...args) => execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  const key = (name) => openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", `${name}.key`);
  key("ca");
  openssl("req", "-x509", "-key", "ca.key", "-subj", "/CN=Test authority", "-days", "30", "-out", "ca.pem");
  const pair = (name) => ({ key: readFileSync(path.join(folder, `${name}.key`)), cert: readFileSync(path.join(folder, `${name}.pem`)) });
  return {
    ca: path.join(folder, "ca.pem"),
    issue(name, names, { days = 30, usage = "serverAuth" } = {}) {
      key(name);
      openssl("req", "-new", "-key", `${name}.key`, "-subj", `/CN=${name}`, "-out", `${name}.csr`);
      writeFileSync(path.join(folder, `${name}.ext`), `subjectAltName=${names}\nextendedKeyUsage=${usage}\n`);
      openssl("x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", String(days),
        "-extfile", `${name}.ext`, "-out", `${name}.pem`);
      return pair(name);
    },
    selfSigned(name, names) {
      key(name);
      openssl("req", "-x509", "-key", `${name}.key`, "-subj", `/CN=${name}`, "-addext", `subjectAltName=${names}`, "-days", "30", "-out", `${name}.pem`);
      return pair(name);
    },
  };
}

async function listen(t, server) {
  server.on("error", () => {});
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const sockets = new Set();
  server.on("connection", (socket) => sockets.add(socket));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return server.address().port;
}

test("peers are verified by chain, time, name and purpose", async (t) => {
  const ca = authority(t);
  const proxy = await startConformance(t, { CLIENT_CA: ca.ca });
  const fetchIt = proxied(proxy);
  const good = ca.issue("good", "DNS:loopback.test,IP:127.0.0.1");
  const port = await listen(t, https.createServer(good, (request, response) => response.end(`hello ${request.socket.servername}`)));
  assert.equal((await fetchIt(`https://loopback.test:${port}/`)).text, "hello loopback.test");
  assert.equal((await fetchIt(`https://127.0.0.1:${port}/`)).text, "hello false"); /* no SNI for addresses */
  const bad = [
    ["other.test", good, /is for another host/],
    ["loopback.test", ca.issue("old", "DNS:loopback.test", { days: -1 }), /has expired/],
    ["loopback.test", ca.selfSigned("self", "DNS:loopback.test"), /is self-signed/],
    ["loopback.test", ca.issue("mail", "DNS:loopback.test", { usage: "emailProtection" }), /not meant for servers/],
    ["loopback.test", ca.issue("partial", "DNS:loop*.test"), /is for another host/],
    ["loopback.test", authority(t).issue("stranger", "DNS:loopback.test"), /not issued by an authority that is known/],
  ];
  for (const [host, pair, words] of bad) {
    const bad_port = await listen(t, https.createServer(pair, (request, response) => response.end("never")));
    const got = await fetchIt(`https://${host}:${bad_port}/`);
    assert.deepEqual([got.status, got.code], [502, "tls"], String(words));
    assert.match(got.json.detail, words);
    const curl = await fetchIt(`https://${host}:${bad_port}/`, { engine: "curl" });
    assert.deepEqual([curl.status, curl.code], [502, "tls"], String(words));
  }
  /* No TLS at all, TLS that is too old, and a peer that hangs up. */
  const clear = await rawServer(t, (socket) => socket.on("data", () => socket.end("HTTP/1.1 400 Bad\r\n\r\n")));
  assert.equal((await fetchIt(clear.url.replace("http", "https"))).code, "tls");
  const old = await listen(t, https.createServer({ ...good, minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" }, () => {}));
  assert.equal((await fetchIt(`https://loopback.test:${old}/`)).code, "tls");
  const rude = await rawServer(t, (socket) => socket.on("data", () => socket.destroy()));
  assert.match((await fetchIt(rude.url.replace("http", "https"))).json.detail, /closed the connection during the TLS handshake/);
  const stats = await proxy.stats();
  assert.equal(stats.connections, stats.idle);
});

test("the system's authorities are read at the first handshake, once for all who come together", async (t) => {
  const ca = authority(t);
  const good = ca.issue("good", "DNS:loopback.test");
  const port = await listen(t, https.createServer(good, (request, response) => response.end("hello")));
  const stranger = await listen(t, https.createServer(authority(t).issue("stranger", "DNS:loopback.test"), () => {}));
  const fetchIt = proxied(await startConformance(t, { SSL_CERT_FILE: ca.ca }));
  const first = await Promise.all(Array.from({ length: 8 }, () => fetchIt(`https://loopback.test:${port}/`)));
  for (const got of first) assert.equal(got.text, "hello");
  assert.match((await fetchIt(`https://loopback.test:${stranger}/`)).json.detail, /not issued by an authority that is known/);
  /* A system that has none trusts nobody. */
  const none = proxied(await startConformance(t, { SSL_CERT_FILE: `${ca.ca}.none`, SSL_CERT_DIR: `${ca.ca}.none` }));
  const refused = await none(`https://loopback.test:${port}/`);
  assert.deepEqual([refused.status, refused.code], [502, "tls"]);
  assert.match(refused.json.detail, /not issued by an authority that is known/);
});

test("TLS connections are kept, sessions resumed, and an end without a word is no end", async (t) => {
  const ca = authority(t);
  const proxy = await startConformance(t, { CLIENT_CA: ca.ca });
  const fetchIt = proxied(proxy);
  const good = ca.issue("good", "DNS:loopback.test");
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"]) {
    const server = https.createServer({ ...good, maxVersion }, (request, response) => {
      const { socket } = request;
      if (request.url === "/close") response.setHeader("connection", "close");
      response.end(`${socket.isSessionReused()} ${socket.remotePort} ${socket.getProtocol()} ${request.socket.alpnProtocol}`);
    });
    const port = await listen(t, server);
    const url = `https://loopback.test:${port}`;
    const first = (await fetchIt(url)).text.split(" ");
    assert.deepEqual([first[0], first[2], first[3]], ["false", maxVersion, "http/1.1"]);
    assert.deepEqual((await fetchIt(`${url}/close`)).text.split(" ").slice(0, 2), ["false", first[1]]);
    const next = (await fetchIt(url)).text.split(" ");
    assert.equal(next[0], "true", `${maxVersion}: not resumed`);
    assert.notEqual(next[1], first[1]);
    const body = "z".repeat(900_000);
    const echo = https.createServer({ ...good, maxVersion }, (request, response) => request.pipe(response));
    const echo_port = await listen(t, echo);
    for (const options of [{}, { stream: 1 }, { stream: 1, chunked: 1 }]) {
      /* An echo sends before it has all: whoever sends must not wait for whoever reads. */
      const got = await fetchIt(`https://loopback.test:${echo_port}/`, options, { method: "POST", body: body.slice(0, 60_000) });
      assert.equal(got.text.length, 60_000);
    }
  }
  /* A relay that ends the connection when the answer seems to have ended, as an attacker might. */
  const whole = await listen(t, tls.createServer(good, (socket) => socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\n\r\nhalf"))));
  const relay = await rawServer(t, (socket) => {
    const upstream = net.connect(whole, "127.0.0.1");
    upstream.on("error", () => {});
    t.after(() => upstream.destroy());
    socket.on("data", (chunk) => upstream.write(chunk));
    upstream.on("data", (chunk) => socket.write(chunk));
    setTimeout(() => socket.end(), 500);
  });
  const got = await fetchIt(`https://loopback.test:${relay.port}/`);
  assert.deepEqual([got.status, got.code], [502, "protocol"]);
});

test("libcurl: HTTP/2, bodies, limits, guard, time and cancellation", async (t) => {
  const ca = authority(t);
  const proxy = await startConformance(t, { CLIENT_CA: ca.ca });
  const fetchIt = proxied(proxy);
  const good = ca.issue("good", "DNS:loopback.test");
  const server = http2.createSecureServer({ ...good, allowHTTP1: true }, (request, response) => {
    let bytes = 0;
    if (request.url === "/hang") return;
    if (request.url === "/big") return response.end("b".repeat(3_000_000));
    request.on("data", (chunk) => (bytes += chunk.length));
    request.on("end", () => response.end(`${request.httpVersion} ${request.method} ${bytes}`));
  });
  const port = await listen(t, server);
  const url = `https://loopback.test:${port}`;
  const curl = { engine: "curl" };
  const got = await fetchIt(url, curl);
  assert.deepEqual([got.status, got.text, got.headers.get("x-client-version")], [200, "2.0 GET 0", "2"]);
  assert.equal((await fetchIt(url, curl, { method: "POST", body: "y".repeat(300_000) })).text, "2.0 POST 300000");
  const many = await Promise.all(Array.from({ length: 100 }, () => fetchIt(url, curl)));
  assert.ok(many.every((a) => a.text === "2.0 GET 0"));
  const big = await fetchIt(`${url}/big`, { ...curl, max: 100_000 });
  assert.deepEqual([big.status, big.code], [502, "too_large"]);
  const late = await fetchIt(`${url}/hang`, { ...curl, total: 200 });
  assert.deepEqual([late.status, late.code], [504, "timeout"]);
  const gone = new AbortController();
  const pending = fetchIt(`${url}/hang`, curl, { signal: gone.signal }).catch((error) => error);
  await new Promise((resolve) => setTimeout(resolve, 100));
  gone.abort();
  assert.equal((await pending).name, "AbortError");
  for (const [bad, code] of [[`https://127.0.0.1:${port}/`, "refused_address"], [`https://loopback.test:${port}/`, "refused_address"],
    [`https://user@loopback.test:${port}/`, "request"], ["file:///etc/passwd", "request"], [`http://0x7f.1:${port}/`, "request"]]) {
    assert.equal((await fetchIt(bad, { ...curl, from_user: 1 })).code, code, bad);
  }
  for (const [bad, code] of [["http://missing.test/", "dns"], ["http://127.0.0.1:1/", "connect"], ["ftp://127.0.0.1/", "request"], ["file:///etc/passwd", "request"]])
    assert.equal((await fetchIt(bad, curl)).code, code, bad);
  /* A redirect is an answer, and leads nowhere. */
  const redirect = await rawServer(t, (socket) => socket.on("data", () => socket.end("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")));
  assert.equal((await fetchIt(redirect.url, curl)).status, 302);
  assert.equal((await fetchIt(redirect.url)).status, 302);
});

test("libcurl: a mail is handed to a mail server", async (t) => {
  const proxy = await startConformance(t);
  const said = [];
  const server = await rawServer(t, (socket) => {
    let in_data = false;
    let text = "";
    socket.write("220 mail.example.test ready\r\n");
    socket.on("data", (chunk) => {
      text += chunk;
      for (let end; (end = text.indexOf("\r\n")) >= 0; text = text.slice(end + 2)) {
        const line = text.slice(0, end);
        said.push(line);
        if (in_data && line !== ".") continue;
        if (line === "DATA") socket.write("354 go on\r\n");
        else if (line === "QUIT") socket.end("221 bye\r\n");
        else socket.write("250 fine\r\n");
        in_data = line === "DATA";
      }
    });
  });
  const got = await proxied(proxy)(`smtp://loopback.test:${server.port}`, { engine: "curl" }, { method: "POST", body: "Subject: hello\r\n\r\nA mail.\r\n" });
  assert.deepEqual([got.status, got.text], [200, ""]);
  assert.equal(got.headers.get("x-client-status"), "250");
  for (const line of ["MAIL FROM:<sender@example.test>", "RCPT TO:<receiver@example.test>", "Subject: hello", "A mail.", "."])
    assert.ok(said.some((s) => s.startsWith(line)), `${line} in ${said.join("|")}`);
});
