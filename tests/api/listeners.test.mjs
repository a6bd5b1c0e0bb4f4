/*
 * tests/api/listeners.test.mjs - Unix sockets, PROXY headers and the bounds on connections, as clients and proxies meet them. Addresses of
 * 127.0.0.0/8 stand for machines.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import tls from "node:tls";
import { makeAuthority } from "../support/certificates.mjs";
import { readMetrics } from "../support/prometheus.mjs";
import { environment, purlinBin, runPurlin, startPurlin, temporaryFolder, writeContracts } from "../support/purlin.mjs";

const contracts = { things: "resource: things\nfields:\n  name: { type: string, max: 50, required: true }\nrules: { read: true, create: true, update: true, delete: true }\n" };
const target = "/api/v1/things";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(what, seconds = 30) {
  for (let i = 0; i < seconds * 50; i++) {
    const found = await what();
    if (found) return found;
    await pause(20);
  }
  throw new Error("it did not happen in time");
}

/* Write these pieces, each as a packet of its own; all that comes back until the end. */
function talk(where, pieces, { ends = false } = {}) {
  return new Promise((resolve) => {
    const socket = net.connect(where);
    socket.setNoDelay(true);
    let text = "";
    socket.on("data", (chunk) => (text += chunk.toString("latin1")));
    socket.on("error", () => {});
    socket.on("close", () => resolve(text));
    socket.on("connect", async () => {
      for (const piece of pieces) {
        if (socket.destroyed) return;
        socket.write(piece);
        if (pieces.length > 1) await pause(1);
      }
      if (ends) socket.end();
    });
  });
}

const request = (id = "x") => `GET ${target} HTTP/1.1\r\nHost: h\r\nX-Request-Id: ${id}\r\nConnection: close\r\n\r\n`;
const statusOf = (text) => Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]);
const loggedOf = (server, id) => until(() => server.log.find((entry) => entry.request_id === id));

async function figure(server, name, labels = {}, options = {}) {
  const text = await new Promise((resolve, reject) => {
    http.get({ host: "127.0.0.1", port: server.port, path: "/metrics", agent: false, ...options }, async (answer) => {
      let all = "";
      for await (const chunk of answer) all += chunk;
      resolve(all);
    }).on("error", reject);
  });
  const family = readMetrics(text).get(name);
  return family?.samples.find((s) => Object.entries(labels).every(([k, v]) => s.labels[k] === v))?.value ?? 0;
}
const refused = (server, reason, options) => figure(server, "purlin_connections_refused_total", { reason }, options);

/* A connection that is made and does nothing; { text, closed } says what came of it. */
function idle(where) {
  const one = { text: "", closed: false, socket: net.connect(where) };
  one.socket.on("data", (chunk) => (one.text += chunk.toString("latin1")));
  one.socket.on("error", () => (one.closed = true));
  one.socket.on("close", () => (one.closed = true));
  one.connected = new Promise((resolve) => one.socket.on("connect", resolve).on("close", resolve));
  one.end = async () => {
    one.socket.destroy();
    if (!one.closed) await once(one.socket, "close");
  };
  return one;
}

describe("a unix socket", () => {
  const ask = (socketPath) =>
    new Promise((resolve, reject) => {
      http.get({ socketPath, path: target, agent: false }, (answer) => answer.resume().on("end", () => resolve(answer.statusCode))).on("error", reject);
    });

  it("is made with its mode, serves beside or without a port, and goes with the process", async (t) => {
    const folder = temporaryFolder(t), socket = path.join(folder, "p.sock");
    const server = await startPurlin(t, { contracts, folder, env: { PURLIN_UNIX: socket } });
    assert.equal(statSync(socket).mode & 0o7777, 0o660);
    assert.equal(await ask(socket), 200);
    assert.equal((await server.get(target)).status, 200);
    await until(() => server.log.find((entry) => entry.client_ip === "unix"));
    await server.stop();
    assert.ok(!existsSync(socket));
    const only = await startPurlin(t, { contracts, folder, env: { PURLIN_UNIX: socket, PURLIN_UNIX_MODE: "0600", PURLIN_CLEAR: "off" } });
    assert.equal(statSync(socket).mode & 0o7777, 0o600);
    assert.equal(await ask(socket), 200);
    assert.deepEqual(only.log.find((entry) => entry.msg === "server.ready").urls, `unix:${socket}`);
  });

  it("that a killed process left is replaced", async (t) => {
    const folder = temporaryFolder(t), socket = path.join(folder, "p.sock");
    const first = await startPurlin(t, { contracts, folder, env: { PURLIN_UNIX: socket } });
    await first.kill("SIGKILL");
    assert.ok(existsSync(socket));
    await assert.rejects(ask(socket), /ECONNREFUSED/);
    await startPurlin(t, { contracts, folder, env: { PURLIN_UNIX: socket } });
    assert.equal(await ask(socket), 200);
  });

  it("is taken over by a second process, whose file the first one leaves alone", async (t) => {
    const socket = path.join(temporaryFolder(t), "p.sock");
    const first = await startPurlin(t, { contracts, env: { PURLIN_UNIX: socket } });
    const kept = idle({ path: socket });
    await kept.connected;
    await startPurlin(t, { contracts, env: { PURLIN_UNIX: socket } });
    kept.socket.write(request("of-the-first"));
    await loggedOf(first, "of-the-first");
    assert.equal((await first.stop()).code, 0);
    assert.equal(await ask(socket), 200);
    assert.ok(existsSync(socket));
  });

  it("is refused with the reason", async (t) => {
    const folder = temporaryFolder(t), contractsFolder = writeContracts(folder, contracts);
    const at = (name) => path.join(folder, name);
    writeFileSync(at("file"), "");
    const cases = [
      [at("file"), /something that is not a socket is at the path/],
      [at("none/p.sock"), /the folder of the path does not exist/],
    ];
    if (process.getuid() === 0) {
      await startPurlin(t, { contracts, env: { PURLIN_UNIX: at("theirs") } });
      chownSync(at("theirs"), 65534, 65534);
      cases.push([at("theirs"), /the socket at the path is another user's/]);
    } else {
      mkdirSync(at("locked"));
      chmodSync(at("locked"), 0o500);
      cases.push([at("locked/p.sock"), /the folder of the path cannot be written to/]);
    }
    for (const [where, want] of cases) {
      const { code, stderr } = runPurlin(["serve"], { env: environment(folder, contractsFolder, { PURLIN_UNIX: where }) });
      assert.equal(code, 1, stderr);
      assert.match(stderr, want);
      assert.ok(stderr.includes(`cannot listen on ${where}`));
      assert.equal(existsSync(where), !where.endsWith("p.sock"), "what is there stays");
    }
    for (const [env, want] of [
      [{ PURLIN_UNIX: at("x".repeat(108)) }, /server\.unix: is too long/],
      [{ PURLIN_UNIX: at("s"), PURLIN_UNIX_MODE: "0999" }, /server\.unix_mode.*octal/],
      [{ PURLIN_CLEAR: "off" }, /server\.clear.*nothing else is listened on/],
      [{ PURLIN_PROXY_PROTOCOL: "on" }, /server\.proxy_protocol.*nobody is trusted to send the header/],
    ]) {
      const { code, stderr } = runPurlin(["serve"], { env: environment(folder, contractsFolder, env) });
      assert.equal(code, 2, stderr);
      assert.match(stderr, want);
    }
  });
});

/* -- PROXY headers */

const signature = Buffer.from("0d0a0d0a000d0a515549540a", "hex");
const v2 = (command, family, block, { length = block.length } = {}) =>
  Buffer.concat([signature, Buffer.from([0x20 | command, family, length >> 8, length & 255]), block]);
const ports = Buffer.from([0x12, 0x34, 0x01, 0xbb]);
const v4Block = (...ip) => Buffer.concat([Buffer.from([...ip, 198, 51, 100, 1]), ports]);
const v6Block = (hex) => Buffer.concat([Buffer.from(hex.padEnd(32, "0"), "hex"), Buffer.alloc(16, 1), ports]);
const tlv = (type, value) => Buffer.concat([Buffer.from([type, value.length >> 8, value.length & 255]), Buffer.from(value)]);
const bytes = (buffer) => [...buffer].map((byte) => Buffer.from([byte]));

describe("PROXY headers", () => {
  const proxy = "127.0.0.2", cleanups = [];
  let server;
  before(async () => {
    server = await startPurlin(
      { after: (fn) => cleanups.push(fn) },
      { contracts, env: { PURLIN_PROXY_PROTOCOL: "on", TRUSTED_PROXIES: proxy, PURLIN_LIMITS_HEAD_TIMEOUT: "2s" } },
    );
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });
  const from = (localAddress) => ({ host: "127.0.0.1", port: server.port, localAddress });

  const long = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
  const good = [
    ["version 1, TCP4", "PROXY TCP4 203.0.113.7 198.51.100.1 56324 443\r\n", "203.0.113.7"],
    ["version 1, TCP6", "PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n", "2001:db8::7"],
    ["version 1, the longest", `PROXY TCP6 ${long} ${long} 65535 65535\r\n`, long],
    ["version 1, UNKNOWN", "PROXY UNKNOWN\r\n", proxy],
    ["version 1, UNKNOWN with more", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", proxy],
    ["version 2, TCP4", v2(1, 0x11, v4Block(203, 0, 113, 8)), "203.0.113.8"],
    ["version 2, TCP6", v2(1, 0x21, v6Block("20010db8000100020000000000000001")), "2001:db8:1:2::1"],
    ["version 2, UNIX", v2(1, 0x31, Buffer.alloc(216, 65)), "unix"],
    ["version 2, LOCAL", v2(0, 0x00, Buffer.alloc(0)), proxy],
    ["version 2, LOCAL with addresses", v2(0, 0x11, v4Block(203, 0, 113, 8)), proxy],
    ["version 2, UNSPEC", v2(1, 0x00, Buffer.alloc(3)), proxy],
    ["version 2, with what else it tells", v2(1, 0x11, Buffer.concat([v4Block(203, 0, 113, 9), tlv(0x01, "h2"), tlv(0x02, "example.org"), tlv(0x04, Buffer.alloc(40)), tlv(0xea, "x")])), "203.0.113.9"],
    ["version 2, the longest", v2(1, 0x11, Buffer.concat([v4Block(203, 0, 113, 10), tlv(0x04, Buffer.alloc(2048 - 16 - 12 - 3))])), "203.0.113.10"],
  ];
  for (const [what, header, want] of good) {
    for (const [how, pieces] of [["at once", (id) => [Buffer.concat([Buffer.from(header), Buffer.from(request(id))])]], ["in pieces", (id) => [...bytes(Buffer.from(header)).slice(0, 300), ...(header.length > 300 ? [Buffer.from(header).subarray(300)] : []), request(id)]]]) {
      it(`${what}, ${how}: the client is ${want}`, async () => {
        const id = `p${Math.random().toString(36).slice(2)}`;
        const text = await talk(from(proxy), pieces(id));
        assert.equal(statusOf(text), 200, text);
        assert.equal((await loggedOf(server, id)).client_ip, want);
      });
    }
  }

  const bad = [
    ["no header", request()],
    ["nonsense", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
    ["version 1, another family", "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n"],
    ["version 1, an address of the other family", "PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n"],
    ["version 1, a port too large", "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n"],
    ["version 1, a bare LF", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"],
    ["version 1, without an end", `PROXY UNKNOWN ${"x".repeat(200)}`],
    ["version 2, version 3 of it", Buffer.concat([signature, Buffer.from([0x31, 0x11, 0, 12]), v4Block(1, 2, 3, 4)])],
    ["version 2, another command", v2(2, 0x11, v4Block(1, 2, 3, 4))],
    ["version 2, datagrams", v2(1, 0x12, v4Block(1, 2, 3, 4))],
    ["version 2, addresses cut", v2(1, 0x21, v4Block(1, 2, 3, 4))],
    ["version 2, a value that is cut", v2(1, 0x11, Buffer.concat([v4Block(1, 2, 3, 4), Buffer.from([4, 0, 9, 1])]))],
    ["version 2, a wrong checksum", v2(1, 0x11, Buffer.concat([v4Block(1, 2, 3, 4), tlv(0x03, "abcd")]))],
    ["version 2, longer than is taken", v2(1, 0x11, Buffer.concat([v4Block(1, 2, 3, 4), tlv(0x04, Buffer.alloc(2048 - 16 - 12 - 2))]))],
  ];
  for (const [what, header] of bad) {
    it(`${what}: cut off without a word`, async () => {
      const counted = await refused(server, "proxy_header");
      assert.equal(await talk(from(proxy), [header, request()]), "");
      assert.equal(await refused(server, "proxy_header"), counted + 1);
    });
  }
  it("that end in the middle are cut off", async () => {
    const counted = await refused(server, "proxy_header");
    for (const header of ["PROXY TC", signature.subarray(0, 5), v2(1, 0x11, v4Block(1, 2, 3, 4)).subarray(0, 20)])
      assert.equal(await talk(from(proxy), [header], { ends: true }), "");
    assert.equal(await refused(server, "proxy_header"), counted + 3);
  });
  it("that do not come in time are cut off", { timeout: 60_000 }, async () => {
    const counted = await refused(server, "proxy_header");
    assert.deepEqual(await Promise.all([talk(from(proxy), []), talk(from(proxy), ["PROXY "])]), ["", ""]);
    assert.equal(await refused(server, "proxy_header"), counted + 2);
  });
  it("are believed of nobody else", async () => {
    for (const header of ["PROXY TCP4 203.0.113.7 198.51.100.1 56324 443\r\n", v2(1, 0x11, v4Block(203, 0, 113, 8))])
      assert.equal(statusOf(await talk(from("127.0.0.3"), [Buffer.concat([Buffer.from(header), Buffer.from(request())])])), 400);
    assert.equal(statusOf(await talk(from("127.0.0.3"), [request("plain")])), 200);
    assert.equal((await loggedOf(server, "plain")).client_ip, "127.0.0.3");
  });
});

describe("a PROXY header before TLS", () => {
  it("names the client of the request inside", async (t) => {
    const folder = temporaryFolder(t), ca = makeAuthority(folder), site = ca.sign("site", { names: "DNS:localhost" });
    const server = await startPurlin(t, {
      contracts,
      folder,
      env: { PURLIN_PROXY_PROTOCOL: "on", TRUSTED_PROXIES: "127.0.0.2", PURLIN_TLS_PORT: "0", PURLIN_TLS_CERT: site.cert, PURLIN_TLS_KEY: site.key },
    });
    const port = Number(/https:\/\/127\.0\.0\.1:(\d+)/.exec(server.log.find((l) => l.msg === "server.ready").urls)[1]);
    const socket = net.connect({ host: "127.0.0.1", port, localAddress: "127.0.0.2" });
    socket.write(v2(1, 0x11, v4Block(203, 0, 113, 77)));
    const secure = tls.connect({ socket, servername: "localhost", ca: ca.text });
    await once(secure, "secureConnect");
    secure.write(request("inside"));
    let text = "";
    for await (const chunk of secure) text += chunk;
    assert.equal(statusOf(text), 200);
    assert.equal((await loggedOf(server, "inside")).client_ip, "203.0.113.77");
  });
});

describe("the client that a PROXY header names", () => {
  const header = (ip) => `PROXY TCP${ip.includes(":") ? 6 : 4} ${ip} ${ip} 1000 80\r\n`;
  const proxy = { host: "127.0.0.1", localAddress: "127.0.0.2" };
  const env = { PURLIN_PROXY_PROTOCOL: "on", TRUSTED_PROXIES: "127.0.0.2", PURLIN_LIMITS: "on" };

  it("is whom rate limits charge", async (t) => {
    const server = await startPurlin(t, { contracts, env: { ...env, PURLIN_RATE_REQUESTS: "2/hour/ip" } });
    const ask = async (ip) => statusOf(await talk({ ...proxy, port: server.port }, [header(ip) + request()]));
    for (const ip of ["203.0.113.1", "203.0.113.2", "2001:db8:1:2::1"]) assert.deepEqual([await ask(ip), await ask(ip), await ask(ip)], [200, 200, 429], ip);
    assert.equal(await ask("2001:db8:1:2:ffff::2"), 429, "of the same /64");
    assert.equal(await ask("2001:db8:1:3::1"), 200);
  });

  it("is whose connections are counted, in IPv6 by /64", async (t) => {
    const server = await startPurlin(t, { contracts, env: { ...env, PURLIN_LIMITS_CONNECTIONS_PER_ADDRESS: "2" } });
    const all = [];
    const open = async (ip) => {
      const one = idle({ ...proxy, port: server.port });
      all.push(one);
      await one.connected;
      one.socket.write(header(ip));
      return one;
    };
    t.after(() => Promise.all(all.map((one) => one.end())));
    for (const ip of ["203.0.113.1", "2001:db8:1:2::1", "2001:db8:1:2::2", "203.0.113.1"]) await open(ip);
    await until(async () => (await figure(server, "purlin_connections_addresses", {}, { localAddress: "127.0.0.9" })) === 3); // and who asks
    for (const ip of ["203.0.113.1", "2001:db8:1:2:3::3"]) {
      const over = await open(ip);
      await until(() => over.closed);
      assert.equal(statusOf(over.text), 503, ip);
      assert.match(over.text, /application\/problem\+json/);
    }
    for (const ip of ["203.0.113.2", "2001:db8:1:3::1"]) assert.equal(statusOf(await talk({ ...proxy, port: server.port }, [header(ip) + request()])), 200);
    assert.equal(await refused(server, "address", { localAddress: "127.0.0.9" }), 2);
  });
});

describe("X-Forwarded-For", () => {
  const env = { TRUSTED_PROXIES: "127.0.0.2", PURLIN_LIMITS: "on", PURLIN_RATE_REQUESTS: "2/hour/ip" };
  const ask = (server, localAddress, client) =>
    new Promise((resolve, reject) => {
      http.get({ host: "127.0.0.1", port: server.port, path: target, localAddress, agent: false, headers: { "X-Forwarded-For": client } }, (answer) => answer.resume().on("end", () => resolve(answer.statusCode))).on("error", reject);
    });

  it("of a trusted proxy: clients of one IPv6 /64 share a limit", async (t) => {
    const server = await startPurlin(t, { contracts, env });
    const from = (client) => ask(server, "127.0.0.2", client);
    assert.deepEqual([await from("2001:db8:1:2::1"), await from("2001:db8:1:2::2"), await from("2001:db8:1:2:a:b:c:d")], [200, 200, 429]);
    assert.deepEqual([await from("2001:db8:1:3::1"), await from("203.0.113.1"), await from("203.0.113.2")], [200, 200, 200]);
  });

  it("of anybody else changes nothing", async (t) => {
    const server = await startPurlin(t, { contracts, env });
    const statuses = [];
    for (let i = 0; i < 4; i++) statuses.push(await ask(server, "127.0.0.3", `203.0.113.${i}`));
    assert.deepEqual(statuses, [200, 200, 429, 429]);
    assert.equal(await ask(server, "127.0.0.2", "203.0.113.1"), 200, "whoever was named has spent nothing");
  });
});

/* -- bounds */

/* The program under a limit on descriptors; soft and hard. */
function limited(t, descriptors) {
  const file = path.join(temporaryFolder(t), "limited");
  writeFileSync(file, `#!/bin/sh\nulimit -n ${descriptors} && exec "${purlinBin}" "$@"\n`, { mode: 0o755 });
  return file;
}

/* One loop takes connections in the order in which they were made. */
describe("the bounds on connections", () => {
  const at = (server, n = 1) => ({ host: "127.0.0.1", port: server.port, localAddress: `127.0.${n >> 8}.${n & 255}` });

  it("in all: 503, then silence, and service again when some go", async (t) => {
    const server = await startPurlin(t, { contracts, env: { PURLIN_LIMITS: "on", PURLIN_LIMITS_CONNECTIONS: "8", PURLIN_THREADS: "1" } });
    const open = [];
    t.after(() => Promise.all(open.map((one) => one.end())));
    for (let i = 0; i < 8; i++) {
      open.push(idle(at(server, i + 1)));
      await open[i].connected;
    }
    /* Another one is accepted after these. */
    const over = await talk(at(server, 100), []);
    assert.equal(statusOf(over), 503);
    assert.match(over, /^Retry-After: \d/im);
    assert.match(over, /^Connection: close/im);
    assert.ok(open.every((one) => !one.closed), "those that are open stay");
    await open[0].end();
    await open[1].end();
    await until(async () => statusOf(await talk(at(server, 101), [request()])) === 200);
    assert.ok((await refused(server, "total", { localAddress: "127.0.0.102" })) >= 1);
    await until(async () => (await figure(server, "purlin_connections_open", {}, { localAddress: "127.0.0.102" })) === 7); // six, and who asks
  });

  it("by address: that one is refused, others are not", async (t) => {
    const server = await startPurlin(t, { contracts, env: { PURLIN_LIMITS: "on", PURLIN_LIMITS_CONNECTIONS_PER_ADDRESS: "4", PURLIN_THREADS: "1" } });
    const open = [];
    t.after(() => Promise.all(open.map((one) => one.end())));
    for (let i = 0; i < 4; i++) {
      open.push(idle(at(server, 5)));
      await open[i].connected;
    }
    assert.equal(statusOf(await talk(at(server, 5), [])), 503);
    assert.equal(statusOf(await talk(at(server, 6), [request()])), 200);
    assert.equal(await refused(server, "address"), 1);
    await open[0].end();
    await until(async () => statusOf(await talk(at(server, 5), [request()])) === 200);
  });

  it("of descriptors: new ones are closed, open ones go on, and it recovers", { timeout: 120_000 }, async (t) => {
    const server = await startPurlin(t, { contracts, bin: limited(t, 128) });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => agent.destroy());
    const ask = () =>
      new Promise((resolve, reject) => {
        http.get({ host: "127.0.0.1", port: server.port, path: target, agent }, (answer) => answer.resume().on("end", () => resolve(answer.statusCode))).on("error", reject);
      });
    assert.equal(await ask(), 200);
    const open = Array.from({ length: 200 }, () => idle(at(server)));
    t.after(() => Promise.all(open.map((one) => one.end())));
    await until(() => open.filter((one) => one.closed).length >= 200 - 128);
    const held = open.filter((one) => !one.closed).length;
    assert.ok(held >= 16, `${held} are held`);
    for (let i = 0; i < 20; i++) assert.equal(await ask(), 200);
    await Promise.all(open.map((one) => one.end()));
    await until(async () => statusOf(await talk(at(server), [request()])) === 200);
    assert.ok((await refused(server, "descriptors")) >= 200 - 128);
    await until(async () => (await figure(server, "purlin_connections_open")) <= 2);
  });

  it("10,000 idle connections are held, and served", { timeout: 180_000 }, async (t) => {
    const count = 10_000;
    const hard = Number(spawnSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).stdout.replace("unlimited", "Infinity"));
    if (hard < count + 500) return t.skip(`ulimit -Hn is ${hard}`);
    const server = await startPurlin(t, { contracts, env: { PURLIN_LIMITS: "on", PURLIN_LIMITS_CONNECTIONS: String(count + 100), PURLIN_RATE_MODE: "off" } });
    const open = [];
    t.after(() => open.forEach((one) => one.socket.destroy()));
    for (let i = 0; i < count; i += 250) {
      const some = Array.from({ length: 250 }, (_, j) => idle(at(server, 2 + ((i + j) % 40))));
      await Promise.all(some.map((one) => one.connected));
      open.push(...some);
    }
    await until(async () => (await figure(server, "purlin_connections_open")) >= count);
    assert.equal(open.filter((one) => one.closed).length, 0);
    for (const one of open.filter((_, i) => i % 100 === 0)) one.socket.write(request());
    await until(() => open.filter((one) => statusOf(one.text) === 200).length === count / 100);
    assert.equal(await refused(server, "total"), 0);
  });
});
