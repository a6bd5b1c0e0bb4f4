/* Under a service manager: sockets that it brings, what it is told, and the units of deploy/systemd. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import path from "node:path";
import { describe, it } from "node:test";
import { makeAuthority } from "../support/certificates.mjs";
import { environment, purlinBin, root, startPurlin, temporaryFolder, writeContracts } from "../support/purlin.mjs";

const contracts = { things: "resource: things\nfields:\n  name: { type: string, max: 50, required: true }\nrules: { read: true, create: true, update: true, delete: true }\n" };

async function until(what, seconds = 60) {
  for (let i = 0; i < seconds * 50; i++) {
    const found = await what();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("it did not happen in time");
}

const ask = (options) =>
  new Promise((resolve, reject) => {
    const get = options.ca ? https.get : http.get;
    get({ host: "127.0.0.1", path: "/api/v1/things", agent: false, ...options }, (answer) => answer.resume().on("end", () => resolve(answer.statusCode))).on("error", reject);
  });

/* Listening sockets of which this process accepts nothing: { fds, addresses, close }. */
async function sockets(...where) {
  const servers = [];
  for (const one of where) {
    const server = net.createServer({ pauseOnConnect: true });
    server.listen(one);
    await once(server, "listening");
    servers.push(server);
  }
  return { fds: servers.map((s) => s._handle.fd), addresses: servers.map((s) => s.address()), servers };
}

/* A program that runs purlin as systemd does: descriptors from 3 on, and its own pid in LISTEN_PID. */
function launcher(t, fds, names) {
  const file = path.join(temporaryFolder(t), "launcher");
  const variables = `LISTEN_FDS=${fds} ${names ? `LISTEN_FDNAMES=${names}` : ""} LISTEN_PID=$$`;
  writeFileSync(file, `#!/bin/sh\n${variables} exec "${purlinBin}" "$@"\n`, { mode: 0o755 });
  return file;
}

/* Start it with these sockets, which are its alone then. */
async function activate(t, held, names, options = {}) {
  const starting = startPurlin(t, { contracts, bin: launcher(t, held.fds.length, names), fds: held.fds, ...options });
  for (const server of held.servers) if (typeof server.address() !== "string") server.close();
  return starting;
}

describe("sockets that a service manager brings", () => {
  it("are served, and nothing is listened on besides", async (t) => {
    const held = await sockets({ host: "127.0.0.1", port: 0 });
    const { port } = held.addresses[0];
    const server = await activate(t, held, "http");
    assert.equal(server.port, port);
    const ready = server.log.find((entry) => entry.msg === "server.ready");
    assert.equal(ready.urls, `http://127.0.0.1:${port}`);
    for (let i = 0; i < 20; i++) assert.equal(await ask({ port }), 200);
  });

  it("are several: two ports, https by its name, and a unix socket whose file stays", async (t) => {
    const folder = temporaryFolder(t), ca = makeAuthority(folder), site = ca.sign("site", { names: "DNS:localhost" });
    const socketPath = path.join(folder, "s.sock");
    const held = await sockets({ host: "127.0.0.1", port: 0 }, { host: "127.0.0.1", port: 0 }, { host: "127.0.0.1", port: 0 }, { path: socketPath });
    const [a, b, secure] = held.addresses.map((address) => address.port);
    const server = await activate(t, held, "http:purlin.socket:https:unix", { env: { PURLIN_TLS_CERT: site.cert, PURLIN_TLS_KEY: site.key, PURLIN_TLS_REDIRECT: "off" } });
    for (const options of [{ port: a }, { port: b }, { port: secure, ca: ca.text, servername: "localhost" }, { socketPath }]) assert.equal(await ask(options), 200, JSON.stringify(options.port));
    assert.equal((await server.stop()).code, 0);
    assert.ok(existsSync(socketPath), "it is the service manager's");
    held.servers.at(-1).close();
  });

  it("keep what waits in them while nobody serves", async (t) => {
    const held = await sockets({ host: "127.0.0.1", port: 0 });
    const { port } = held.addresses[0];
    const folder = temporaryFolder(t), at = (name) => path.join(folder, name);
    /* The shell keeps the socket between one process and the next. */
    writeFileSync(
      at("launcher"),
      `#!/bin/sh
export LISTEN_FDS=1
sh -c 'LISTEN_PID=$$ exec "$0" "$@"' "${purlinBin}" "$@" || exit 1
touch "${at("between")}"
while ! [ -e "${at("go")}" ]; do sleep 0.05; done
LISTEN_PID=$$ exec "${purlinBin}" "$@"
`,
      { mode: 0o755 },
    );
    const starting = startPurlin(t, { contracts, folder, bin: at("launcher"), fds: held.fds });
    held.servers[0].close();
    const server = await starting;
    const ready = () => server.log.filter((entry) => entry.msg === "server.ready");
    assert.equal(await ask({ port }), 200);
    process.kill(ready()[0].pid, "SIGTERM");
    await until(() => existsSync(at("between")));
    const waiting = Promise.all(Array.from({ length: 20 }, () => ask({ port })));
    writeFileSync(at("go"), "");
    assert.ok((await waiting).every((status) => status === 200));
    assert.equal((await until(() => ready()[1])).pid, server.pid);
  });

  it("that are none are refused", async (t) => {
    const folder = temporaryFolder(t), env = environment(folder, writeContracts(folder, contracts));
    const child = spawn(launcher(t, 2), ["serve"], { env, cwd: root, stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.on("data", (chunk) => (stderr += chunk));
    const [code] = await once(child, "exit");
    assert.equal(code, 1);
    assert.match(stderr, /LISTEN_FDS promises descriptors that are no listening sockets/);
  });

  it("for another process are not touched", async (t) => {
    const server = await startPurlin(t, { contracts, env: { LISTEN_FDS: "1", LISTEN_PID: "1" } });
    assert.equal((await server.get("/api/v1/things")).status, 200);
  });

  it("come from systemd-socket-activate as well", async (t) => {
    if (spawnSync("systemd-socket-activate", ["--version"]).status !== 0) return t.skip("systemd-socket-activate is not here");
    const folder = temporaryFolder(t), socketPath = path.join(folder, "a.sock");
    const env = environment(folder, writeContracts(folder, contracts));
    const names = Object.keys(env).flatMap((name) => ["-E", name]);
    const child = spawn("systemd-socket-activate", ["-l", socketPath, "--fdname=http", ...names, purlinBin, "serve"], { env, cwd: root, stdio: "ignore" });
    const ended = once(child, "exit");
    t.after(async () => {
      child.kill();
      await ended;
    });
    await until(() => existsSync(socketPath));
    assert.equal(await ask({ socketPath }), 200); // the first connection starts it
  });
});

/* A datagram socket, and what came to it, in order. */
async function listener(t) {
  const socket = path.join(temporaryFolder(t), "notify");
  const program = "import socket, sys\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\ns.bind(sys.argv[1])\nprint('bound', flush=True)\nwhile True: print(repr(s.recv(4096).decode()), flush=True)\n";
  const child = spawn("python3", ["-c", program, socket], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill());
  const told = { socket, lines: [] };
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop();
    told.lines.push(...lines.map((line) => line.slice(1, -1).split("\\n")));
  });
  await until(() => told.lines.length);
  told.lines.length = 0;
  told.next = async (n) => (await until(() => told.lines.length > n)) && told.lines[n];
  return told;
}

describe("a service manager is told", () => {
  it("of readiness, reloads, refused ones too, and the end", async (t) => {
    const told = await listener(t);
    const server = await startPurlin(t, { contracts, env: { NOTIFY_SOCKET: told.socket } });
    assert.deepEqual(await told.next(0), ["READY=1", `MAINPID=${server.pid}`]);
    server.child.kill("SIGHUP");
    const reloading = await told.next(1);
    assert.equal(reloading[0], "RELOADING=1");
    assert.match(reloading[1], /^MONOTONIC_USEC=\d+$/);
    assert.deepEqual(await told.next(2), ["READY=1"]);
    writeFileSync(path.join(server.contractsFolder, "broken.yaml"), "resource: broken\nfields: 7\n");
    server.child.kill("SIGHUP");
    assert.equal((await told.next(3))[0], "RELOADING=1");
    assert.deepEqual(await told.next(4), ["READY=1"], "what was in force is");
    /* Asked again while it is at it, when it may have read the files already: it is done once more. */
    let n = 5;
    for (let i = 0; i < 5; i++) {
      server.child.kill("SIGHUP");
      assert.equal((await told.next(n))[0], "RELOADING=1");
      server.child.kill("SIGHUP");
      for (n++; n < 9 + 4 * i; n++) assert.equal((await told.next(n))[0], n % 2 ? "RELOADING=1" : "READY=1");
    }
    assert.equal((await server.stop()).code, 0);
    assert.deepEqual(await told.next(n), ["STOPPING=1"]);
    assert.equal(told.lines.length, n + 1);
  });

  it("who the main process is after an upgrade", async (t) => {
    const told = await listener(t);
    const server = await startPurlin(t, { contracts, env: { NOTIFY_SOCKET: told.socket } });
    await told.next(0);
    server.child.kill("SIGUSR2");
    const [ready, main] = await told.next(1);
    assert.equal(ready, "READY=1");
    const pid = Number(/^MAINPID=(\d+)$/.exec(main)[1]);
    assert.notEqual(pid, server.pid);
    assert.deepEqual(await once(server.child, "exit"), [0, null]);
    assert.equal(await ask({ port: server.port }), 200);
    process.kill(pid, "SIGTERM");
    assert.deepEqual(await told.next(2), ["STOPPING=1"], "the old process says nothing of its own end");
  });

  it("nothing when there is none, or none at that path", async (t) => {
    for (const socket of ["", "relative", "/nowhere/notify", `/${"x".repeat(200)}`]) {
      const server = await startPurlin(t, { contracts, env: { NOTIFY_SOCKET: socket } });
      assert.equal((await server.get("/api/v1/things")).status, 200);
    }
  });
});

describe("the units of deploy/systemd", () => {
  it("are what systemd takes without a complaint", async (t) => {
    if (spawnSync("systemd-analyze", ["--version"]).status !== 0) return t.skip("systemd-analyze is not here");
    const folder = temporaryFolder(t), at = (name) => path.join(folder, name);
    copyFileSync(path.join(root, "deploy/systemd/purlin.socket"), at("purlin.socket"));
    const { stdout } = spawnSync("sed", [`s|/usr/local/bin/purlin|${purlinBin}|`, path.join(root, "deploy/systemd/purlin.service")], { encoding: "utf8" });
    writeFileSync(at("purlin.service"), stdout);
    const { status, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", at("purlin.service"), at("purlin.socket")], { encoding: "utf8" });
    assert.equal(`${stderr}${status}`, "0");
  });
});
