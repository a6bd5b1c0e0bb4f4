/* https as clients meet it: versions, names, sessions, certificates of their own, and what is refused. */
import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import https from "node:https";
import net from "node:net";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import tls from "node:tls";
import { makeAuthority } from "../support/certificates.mjs";
import { startConformance } from "../support/conformance.mjs";
import { readMetrics } from "../support/prometheus.mjs";
import { startPurlin, temporaryFolder } from "../support/purlin.mjs";

const contracts = { things: "resource: things\nfields:\n  name: { type: string, max: 50, required: true }\nrules: { read: true, create: true, update: true, delete: true }\n" };

/* A server with https, and a client that trusts it. */
async function startTls(t, folder, ca, pairs, env = {}) {
  const server = await startPurlin(t, {
    contracts,
    folder,
    env: {
      PURLIN_TLS_PORT: "0",
      PURLIN_TLS_CERT: pairs.map((p) => p.cert).join(","),
      PURLIN_TLS_KEY: pairs.map((p) => p.key).join(","),
      PURLIN_RATE_MODE: "off",
      ...env,
    },
  });
  const { urls } = server.log.find((l) => l.msg === "server.ready");
  server.tlsPort = Number(/https:\/\/127\.0\.0\.1:(\d+)/.exec(urls)[1]);
  /* Shake hands; resolves with the socket, or rejects. */
  server.connect = (options = {}) =>
    new Promise((resolve, reject) => {
      const socket = tls.connect({ port: server.tlsPort, host: "127.0.0.1", ca: ca.text, servername: "localhost", ...options });
      socket.once("secureConnect", () => resolve(socket));
      socket.once("error", reject);
      socket.once("close", () => reject(new Error("closed")));
    });
  return server;
}

/* One request on a socket, to its end; the connection is closed behind it. */
async function ask(socket, target = "/health/live", headers = "", host = "localhost") {
  let text = "";
  socket.on("data", (chunk) => (text += chunk));
  socket.write(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${headers}\r\n`);
  await once(socket, "end");
  socket.destroy();
  return { status: Number(text.split(" ")[1]), text };
}

const names = async (server, servername, more = {}) => {
  const socket = await server.connect({ servername, rejectUnauthorized: false, ...more });
  const subject = socket.getPeerCertificate().subject.CN;
  socket.destroy();
  return subject;
};

/* The handshake is refused, or (TLS 1.3: the client is done before the server has its certificate) nothing is answered. */
const refused = async (server, options) => {
  try {
    const { status } = await ask(await server.connect(options));
    return Number.isNaN(status);
  } catch {
    return true;
  }
};

describe("https", () => {
  it("asks browsers to stay with it, but not those of localhost", async (t) => {
    const folder = temporaryFolder(t), ca = makeAuthority(folder);
    const server = await startTls(t, folder, ca, [ca.sign("site")]);
    for (const [host, strict] of [
      ["site.example", true],
      ["site.example:8443", true],
      ["localhost.example", true],
      ["localhost", false],
      ["LOCALHOST:8443", false],
    ]) {
      const { text } = await ask(await server.connect(), "/health/live", "", host);
      const value = /^Strict-Transport-Security: (.*)\r$/m.exec(text)?.[1];
      assert.equal(value, strict ? "max-age=63072000; includeSubDomains" : undefined, host);
    }
  });

  it("speaks 1.2 and 1.3 and nothing older, in good ciphers only", async (t) => {
    const folder = temporaryFolder(t), ca = makeAuthority(folder);
    const server = await startTls(t, folder, ca, [ca.sign("site")]);
    for (const [options, version, cipher] of [
      [{}, "TLSv1.3", /^TLS_AES_\d+_GCM_SHA\d+$/],
      [{ ciphers: "TLS_CHACHA20_POLY1305_SHA256" }, "TLSv1.3", /CHACHA20/],
      [{ maxVersion: "TLSv1.2" }, "TLSv1.2", /^ECDHE-ECDSA-AES128-GCM-SHA256$/],
      [{ maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-CHACHA20-POLY1305" }, "TLSv1.2", /CHACHA20/],
    ]) {
      const socket = await server.connect(options);
      assert.equal(socket.getProtocol(), version);
      assert.match(socket.getCipher().name, cipher);
      assert.equal((await ask(socket)).status, 200);
    }
    const weak = "DEFAULT:@SECLEVEL=0";
    for (const options of [
      { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: weak },
      { maxVersion: "TLSv1.2", ciphers: "AES128-SHA" },
      { maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA" },
      { ALPNProtocols: ["spdy/1"] },
    ])
      await assert.rejects(server.connect(options), JSON.stringify(options));
    const socket = await server.connect({ ALPNProtocols: ["spdy/1", "http/1.1"] });
    assert.equal(socket.alpnProtocol, "http/1.1");
    socket.destroy();

    /* What was counted. */
    const { text } = await ask(await server.connect(), "/metrics");
    const metrics = readMetrics(text.slice(text.indexOf("# ")).replace(/^[0-9a-f]+\r\n/gm, "").replaceAll("\r\n", ""));
    const samples = metrics.get("purlin_tls_handshakes_total").samples;
    const count = (outcome) => samples.filter((s) => s.labels.outcome === outcome).reduce((n, s) => n + s.value, 0);
    assert.ok(count("full") >= 5, String(count("full"))); // one left at once, maybe before it was heard
    assert.ok(count("failed") >= 4);
    const [left] = metrics.get("purlin_tls_certificate_expiry_seconds").samples;
    assert.ok(left.value > 19 * 86400 && left.value < 20 * 86400, String(left.value));
  });

  it("shows the certificate of the name that is asked for", async (t) => {
    const folder = temporaryFolder(t), ca = makeAuthority(folder);
    const server = await startTls(t, folder, ca, [
      ca.sign("first"),
      ca.sign("wild", { names: "DNS:*.example.org,DNS:example.org" }),
      ca.sign("exact", { names: "DNS:exact.example.org" }),
      ca.sign("both-ec", { names: "DNS:both.example" }),
      ca.sign("both-rsa", { names: "DNS:both.example", kind: "rsa" }),
    ]);
    for (const [name, want] of [
      ["localhost", "first"],
      ["unknown.example", "first"],
      [undefined, "first"],
      ["example.org", "wild"],
      ["a.example.org", "wild"],
      ["A.Example.ORG", "wild"],
      ["a.b.example.org", "first"],
      ["exact.example.org", "exact"],
      ["both.example", "both-ec"],
    ])
      assert.equal(await names(server, name ?? ""), want, name);
    const rsa = { sigalgs: "RSA-PSS+SHA256:RSA+SHA256" };
    assert.equal(await names(server, "both.example", rsa), "both-rsa");
  });

  it("takes sessions up again, on any loop, over a reload and after the key's turn", async (t) => {
    const folder = temporaryFolder(t), ca = makeAuthority(folder);
    const site = ca.sign("site");
    const server = await startTls(t, folder, ca, [site]);
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"]) {
      const first = await server.connect({ maxVersion });
      let session = first.getSession();
      first.on("session", (s) => (session = s));
      assert.equal(first.isSessionReused(), false);
      assert.equal((await ask(first)).status, 200);
      for (let i = 0; i < 8; i++) {
        const again = await server.connect({ maxVersion, session });
        assert.equal(again.isSessionReused(), true, maxVersion);
        assert.equal((await ask(again)).status, 200);
      }
      const reloads = server.log.filter((l) => l.msg === "server.reloaded").length;
      server.child.kill("SIGHUP");
      while (server.log.filter((l) => l.msg === "server.reloaded").length === reloads) await sleep(20);
      const after = await server.connect({ maxVersion, session });
      assert.equal(after.isSessionReused(), true, "the keys outlive a reload");
      after.destroy();
    }
  });

  it("staples the OCSP answer while it is good", async (t) => {
    const folder = temporaryFolder(t), ca = makeAuthority(folder);
    const pairs = [ca.sign("good"), ca.sign("revoked", { names: "DNS:b.example" }), ca.sign("none", { names: "DNS:c.example" })];
    const good = ca.ocsp(pairs[0]);
    const server = await startTls(t, folder, ca, pairs, { PURLIN_TLS_OCSP: `${good},${ca.ocsp(pairs[1], { status: "revoked" })},` });
    const watch = (servername, maxVersion) =>
      new Promise((resolve, reject) => {
        const socket = tls.connect({ port: server.tlsPort, host: "127.0.0.1", servername, requestOCSP: true, maxVersion, rejectUnauthorized: false });
        let answer;
        socket.on("OCSPResponse", (a) => (answer = a));
        socket.on("secureConnect", () => (socket.destroy(), resolve(answer)));
        socket.on("error", reject);
      });
    for (const version of ["TLSv1.2", "TLSv1.3"]) {
      assert.deepEqual(await watch("localhost", version), readFileSync(good));
      assert.equal((await watch("b.example", version)) ?? null, null, "a bad answer is left out");
      assert.equal((await watch("c.example", version)) ?? null, null);
    }
    const said = server.log.filter((l) => l.msg === "tls.certificate").map((l) => l.ocsp);
    assert.deepEqual(said, ["served", "the OCSP answer says that the certificate is not good", "none"]);
  });

  it("asks clients for certificates", async (t) => {
    const folder = temporaryFolder(t), ca = makeAuthority(folder), stranger = makeAuthority(folder, "stranger");
    const site = ca.sign("site");
    const own = (made) => ({ cert: readFileSync(made.cert), key: readFileSync(made.key) });
    const good = own(ca.sign("client", { names: "DNS:client.example,URI:spiffe://example/client", usage: "clientAuth" }));
    const bad = own(stranger.sign("imposter", { usage: "clientAuth" }));
    const wrong = own(ca.sign("server-only", { usage: "serverAuth" }));
    for (const mode of ["optional", "required"]) {
      const server = await startTls(t, temporaryFolder(t), ca, [site], { PURLIN_TLS_CLIENT_AUTH: mode, PURLIN_TLS_CLIENT_CA: ca.cert });
      for (const maxVersion of ["TLSv1.2", "TLSv1.3"]) {
        assert.equal((await ask(await server.connect({ maxVersion, ...good }))).status, 200);
        assert.equal(await refused(server, { maxVersion }), mode === "required", `${mode} ${maxVersion}`);
        assert.equal(await refused(server, { maxVersion, ...bad }), true);
        assert.equal(await refused(server, { maxVersion, ...wrong }), true);
      }
      await server.stop();
    }
  });
});

describe("the clear port beside https", () => {
  it("sends everything there but health and challenges", async (t) => {
    const folder = temporaryFolder(t), ca = makeAuthority(folder);
    const server = await startTls(t, folder, ca, [ca.sign("site")], { PURLIN_TLS_PUBLIC_PORT: "443" });
    const answer = await server.post("/api/v1/things?a=1&b=%20", { body: { name: "x" }, headers: { host: "shop.example:8000" } });
    assert.equal(answer.status, 308);
    assert.equal((await server.get("/api/v1/things")).headers.get("location"), "https://127.0.0.1/api/v1/things");
    for (const target of ["/health/live", "/health/ready", "/livez", "/metrics"]) assert.equal((await server.get(target)).status, 200, target);
    assert.equal((await server.get("/.well-known/acme-challenge/token")).status, 404);
    const raw = async (text) => {
      const socket = net.connect(server.port, "127.0.0.1");
      let all = "";
      socket.on("data", (chunk) => (all += chunk));
      socket.end(text);
      await once(socket, "close");
      return all;
    };
    const location = (text) => /^Location: (.*)\r$/m.exec(text)?.[1];
    const get = (target, host) => raw(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    assert.equal(location(await get("/a?b=c", "shop.example:8000")), "https://shop.example/a?b=c");
    assert.equal(location(await get("/", "[::1]:8000")), "https://[::1]/");
    assert.equal(location(await get("http://shop.example:80/a?b", "shop.example:80")), "https://shop.example/a?b");
    assert.match(await raw("GET /a HTTP/1.0\r\n\r\n"), /^HTTP\/1\.1 400 /);
    assert.match(await get("/a b", "x"), /^HTTP\/1\.1 400 /);
  });

  it("is open when the redirect is off, and https answers in its own port by default", async (t) => {
    const folder = temporaryFolder(t), ca = makeAuthority(folder), pair = ca.sign("site");
    const open = await startTls(t, folder, ca, [pair], { PURLIN_TLS_REDIRECT: "off" });
    assert.equal((await open.get("/api/v1/things")).status, 200);
    const server = await startTls(t, temporaryFolder(t), ca, [pair]);
    const { headers } = await server.get("/api/v1/things");
    assert.equal(headers.get("location"), `https://127.0.0.1:${server.tlsPort}/api/v1/things`);
  });
});

describe("the port of https", () => {
  it("answers a request in clear so that it can be read, and survives noise", async (t) => {
    const folder = temporaryFolder(t), ca = makeAuthority(folder);
    const server = await startTls(t, folder, ca, [ca.sign("site")]);
    const raw = async (bytes) => {
      const socket = net.connect(server.tlsPort, "127.0.0.1");
      const chunks = [];
      socket.on("data", (chunk) => chunks.push(chunk));
      socket.on("error", () => {});
      socket.end(bytes);
      await once(socket, "close");
      return Buffer.concat(chunks);
    };
    const answer = String(await raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n/);
    assert.match(answer, /This port speaks TLS: use https\./);
    assert.match(answer, /^Connection: close\r$/m);
    let seed = createHash("sha256").update("noise").digest();
    for (let i = 0; i < 40; i++) {
      seed = createHash("sha256").update(seed).digest();
      const head = [Buffer.alloc(0), Buffer.from([0x16, 3, 1, 0, 32]), Buffer.from([0x16, 3, 1, 0x40, 0]), Buffer.from([0x15, 3, 3, 0, 2])][i % 4];
      await raw(Buffer.concat([head, ...Array(1 + (i % 7) * 20).fill(seed)]));
    }
    assert.equal((await ask(await server.connect())).status, 200);
  });

  it("closes handshakes that do not come, and the oldest of too many", async (t) => {
    const folder = temporaryFolder(t), ca = makeAuthority(folder);
    const server = await startTls(t, folder, ca, [ca.sign("site")], {
      PURLIN_THREADS: "1",
      PURLIN_LIMITS_HANDSHAKE_TIMEOUT: "2s",
      PURLIN_LIMITS_HANDSHAKES: "4",
    });
    const closed = [];
    const sockets = [];
    for (let i = 0; i < 8; i++) {
      const socket = net.connect(server.tlsPort, "127.0.0.1");
      socket.on("error", () => {});
      socket.on("close", () => closed.push(i));
      await once(socket, "connect");
      if (i % 2) socket.write(Buffer.from([0x16, 3, 1])); // the beginning of a record
      sockets.push(socket);
    }
    /* A client that shakes hands at once is not held up by them: one more makes room. */
    assert.equal((await ask(await server.connect())).status, 200);
    while (closed.length < 8) await sleep(20);
    assert.deepEqual(closed.slice(0, 5).sort(), [0, 1, 2, 3, 4]);
    const { text } = await ask(await server.connect(), "/metrics");
    const count = (outcome) => Number(new RegExp(`^purlin_tls_handshakes_total\\{outcome="${outcome}",version=""\\} (\\d+)`, "m").exec(text)[1]);
    assert.equal(count("shed"), 5);
    assert.equal(count("timeout"), 3);
  });

  it("shakes hands with hundreds at once", async (t) => {
    const folder = temporaryFolder(t), ca = makeAuthority(folder);
    const server = await startTls(t, folder, ca, [ca.sign("site")], { PURLIN_THREADS: "1" });
    const answers = await Promise.all(Array.from({ length: 200 }, async () => (await ask(await server.connect())).status));
    assert.deepEqual(new Set(answers), new Set([200]));
  });
});

describe("a handler", () => {
  it("is told what TLS knows of the connection", async (t) => {
    const folder = temporaryFolder(t), ca = makeAuthority(folder), site = ca.sign("site");
    const client = ca.sign("client", { names: "DNS:client.example,URI:spiffe://example/client", subject: "/O=Example/CN=device 7", usage: "clientAuth" });
    const server = await startConformance(t, { TLS_PORT: "0", TLS_CERT: site.cert, TLS_KEY: site.key, TLS_CLIENT_CA: ca.cert });
    const about = async (options) => {
      const socket = tls.connect({ port: new URL(server.tlsUrl).port, host: "127.0.0.1", ca: ca.text, servername: "localhost", ...options });
      await once(socket, "secureConnect");
      const { text } = await ask(socket, "/tls");
      return JSON.parse(text.slice(text.indexOf("\r\n\r\n")));
    };
    const nobody = { version: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256", sni: "localhost", resumed: false, subject: null, names: null, fingerprint: null };
    assert.deepEqual(await about({}), nobody);
    assert.deepEqual(await about({ servername: "", maxVersion: "TLSv1.2", checkServerIdentity: () => undefined }), { ...nobody, version: "TLSv1.2", cipher: "ECDHE-ECDSA-AES128-GCM-SHA256", sni: null });
    const pem = readFileSync(client.cert);
    assert.deepEqual(await about({ cert: pem, key: readFileSync(client.key) }), {
      ...nobody,
      subject: "CN=device 7,O=Example",
      names: "DNS:client.example, URI:spiffe://example/client",
      fingerprint: new X509Certificate(pem).fingerprint256.replaceAll(":", "").toLowerCase(),
    });
    assert.equal((await fetch(`${server.url}/tls`)).status, 404);
  });
});

describe("bytes over TLS", () => {
  const start = async (t) => {
    const folder = temporaryFolder(t), ca = makeAuthority(folder), site = ca.sign("site");
    const server = await startConformance(t, { TLS_PORT: "0", TLS_CERT: site.cert, TLS_KEY: site.key });
    const connect = async (options) => {
      const socket = tls.connect({ port: new URL(server.tlsUrl).port, host: "127.0.0.1", ca: ca.text, servername: "localhost", ...options });
      await once(socket, "secureConnect");
      return socket;
    };
    const read = async (socket) => {
      const chunks = [];
      for await (const chunk of socket) chunks.push(chunk);
      return Buffer.concat(chunks);
    };
    return { server, ca, connect, read };
  };

  it("come back as they went, in records of any size", async (t) => {
    const { server, ca, connect, read } = await start(t);
    const body = Buffer.alloc(1 << 20);
    for (let i = 0; i < body.length; i++) body[i] = (i * 31 + (i >> 8)) & 0xff;
    const agent = new https.Agent({ ca: ca.text, keepAlive: true, maxSockets: 2 });
    const echo = (size, version) =>
      new Promise((resolve, reject) => {
        const request = https.request(`${server.tlsUrl}/echo`, { method: "POST", agent, maxVersion: version, servername: "localhost" }, async (answer) => {
          const chunks = [];
          for await (const chunk of answer) chunks.push(chunk);
          resolve(Buffer.concat(chunks));
        });
        request.on("error", reject);
        request.end(body.subarray(0, size));
      });
    for (const version of ["TLSv1.2", "TLSv1.3"]) {
      for (const size of [0, 1, 16383, 16384, 16385, 65536, 100_000, 1 << 20]) {
        const back = await echo(size, version);
        assert.ok(back.equals(body.subarray(0, size)), `${version} ${size}`);
      }
    }
    agent.destroy();

    /* A byte a record. */
    const socket = await connect();
    for (const byte of "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello") {
      socket.write(byte);
      await new Promise(setImmediate);
    }
    assert.match(String(await read(socket)), /hello$/);

    /* Many requests in one record, and an end: all are answered. */
    const pipe = await connect();
    pipe.end("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n".repeat(50) + "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert.equal(String(await read(pipe)).match(/HTTP\/1\.1 200 OK/g).length, 51);
  });

  it("wait for a reader that is slow, in bounded memory", async (t) => {
    const { server, connect } = await start(t);
    const before = server.resident();
    const sockets = await Promise.all(Array.from({ length: 40 }, () => connect()));
    for (const socket of sockets) {
      socket.pause();
      /* 20 answers of 200 kB each asked for at once: 160 MB in all. */
      socket.write("GET /big HTTP/1.1\r\nHost: x\r\n\r\n".repeat(19) + "GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    }
    await sleep(300);
    const grown = server.resident() - before;
    assert.ok(grown < 60_000, `${grown} KiB for answers that nobody reads`);
    const sizes = await Promise.all(
      sockets.map(async (socket) => {
        let size = 0;
        for await (const chunk of socket) size += chunk.length;
        return size;
      }),
    );
    for (const size of sizes) assert.ok(size > 20 * 200_000 && size < 20 * 201_000, String(size));
  });
});
