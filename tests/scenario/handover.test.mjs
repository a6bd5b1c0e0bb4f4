/* Deploys under load: a second process on the port, a successor on the same sockets, and an end. Nothing that was asked is lost. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { describe, it } from "node:test";
import { Frames, flag, frame, get, headers, type } from "../support/frames.mjs";
import { startPurlin, temporaryFolder } from "../support/purlin.mjs";

const contracts = {
  things: "resource: things\nfields:\n  name: { type: string, max: 50, required: true }\nrules: { read: true, create: true, update: true, delete: true }\n",
};

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(what, seconds = 60) {
  for (let i = 0; i < seconds * 20; i++) {
    const found = what();
    if (found) return found;
    await pause(50);
  }
  throw new Error("it did not happen in time");
}

/* Clients that ask without a pause: on a new connection each time, and on kept ones. */
function load(where, { fresh, kept, onAnswer = () => true }) {
  const state = { done: 0, failures: [], stop: false, slowest: 0, slowestConnect: 0 };
  const agent = new http.Agent({ keepAlive: true, maxSockets: kept || 1 });
  const none = new http.Agent({ keepAlive: false });
  const ask = (options) =>
    new Promise((resolve) => {
      const begun = Date.now();
      const request = http.get({ path: "/health/live", ...where, ...options }, (answer) => {
        answer.resume();
        answer.on("end", () => {
          state.slowest = Math.max(state.slowest, Date.now() - begun);
          if (answer.statusCode === 200) state.done++;
          else state.failures.push(`status ${answer.statusCode}`);
          resolve(onAnswer(answer));
        });
        answer.on("aborted", () => resolve(state.failures.push("aborted")));
      });
      request.on("socket", (socket) => {
        if (!request.reusedSocket) socket.on("connect", () => (state.slowestConnect = Math.max(state.slowestConnect, Date.now() - begun)));
      });
      request.on("error", (error) => {
        state.failures.push(`${error.code} ${request.reusedSocket ? "on a kept connection" : "on a new connection"}`);
        resolve(false);
      });
    });
  const loop = async (options) => {
    while (!state.stop && (await ask(options)));
  };
  const loops = [...Array(fresh).fill({ agent: none }), ...Array(kept).fill({ agent })].map(loop);
  state.end = async () => {
    state.stop = true;
    await Promise.all(loops);
    agent.destroy();
    return state;
  };
  return state;
}

/*
 * A connection of HTTP/2 that has `parallel` requests open until it sees a GOAWAY. By frames: clients of HTTP/2 end what they queued
 * behind a GOAWAY with REFUSED_STREAM of their own, which looks like the server's.
 */
async function streams(url, parallel, state) {
  const client = await Frames.open(url), open = new Set(), last = [];
  let next = 1;
  const ask = () => {
    client.send(headers(next, get()));
    open.add(next);
    next += 2;
  };
  for (let i = 0; i < parallel; i++) ask();
  const take = (f) => {
    if (f.type === type.ping && !(f.flags & flag.ack)) client.send(frame(type.ping, flag.ack, 0, f.payload));
    if (f.type === type.goaway) last.push(f.payload.readUInt32BE(0));
    if (f.type === type.reset) state.resets.push(f.stream);
    const isEnd = f.type <= type.headers && f.flags & flag.endStream;
    if (!isEnd || !open.delete(f.stream)) return;
    state.done++;
    if (!last.length) ask();
  };
  while (!client.closed) await client.until((frames) => frames.splice(0).map(take).length);
  state.unanswered.push(...open);
  state.goaways.push([last.length, last[0], last.at(-1) >= next - 2 && last.at(-1) < 2 ** 31 - 1]);
}

const isRunning = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/* The ready line of a process other than these; its pid is stopped when the test ends. */
async function successorOf(t, server, known) {
  const line = await until(() => server.log.find((entry) => entry.msg === "server.ready" && !known.includes(entry.pid)));
  t.after(async () => {
    if (isRunning(line.pid)) process.kill(line.pid, "SIGTERM");
    await until(() => !isRunning(line.pid));
  });
  return line;
}

describe("deploys", () => {
  it("a second process on the port, then the end of the first", { timeout: 120_000 }, async (t) => {
    const first = await startPurlin(t, { contracts });
    const where = { host: "127.0.0.1", port: first.port };
    const clients = load(where, { fresh: 16, kept: 16 });
    await until(() => clients.done > 200);
    const second = await startPurlin(t, { contracts, env: { PORT: String(first.port) } });
    assert.equal(second.port, first.port);
    const before = clients.done;
    const { code } = await first.stop();
    assert.equal(code, 0);
    await until(() => clients.done > before + 200);
    const { failures, done, slowest, slowestConnect } = await clients.end();
    assert.deepEqual(failures, []);
    t.diagnostic(`${done} requests, the slowest ${slowest} ms`);
    /* A client whose first packet is dropped asks again after a second (RFC 6298). */
    assert.ok(slowestConnect < 1000, `${slowestConnect} ms to connect`);
  });

  it("a successor on the same sockets", { timeout: 120_000 }, async (t) => {
    const socket = path.join(temporaryFolder(t), "purlin.sock");
    const first = await startPurlin(t, { contracts, env: { PURLIN_UNIX: socket, PORT: "0" } });
    const clients = [load({ host: "127.0.0.1", port: first.port }, { fresh: 16, kept: 16 }), load({ socketPath: socket }, { fresh: 8, kept: 8 })];
    await until(() => clients.every((c) => c.done > 100));
    const known = [first.pid];
    let current = first.pid;
    for (let i = 0; i < 2; i++) {
      process.kill(current, "SIGUSR2");
      const line = await successorOf(t, first, known);
      assert.equal(line.port, first.port);
      assert.match(line.urls, /unix:/);
      const before = clients.map((c) => c.done);
      if (current === first.pid) assert.deepEqual(await once(first.child, "exit"), [0, null]);
      else await until(() => !isRunning(current));
      await until(() => clients.every((c, n) => c.done > before[n] + 100));
      known.push((current = line.pid));
    }
    for (const c of clients) assert.deepEqual((await c.end()).failures, []);
    assert.equal(first.log.filter((entry) => entry.msg === "server.upgraded").length, 2);
  });

  it("a successor that cannot start", { timeout: 60_000 }, async (t) => {
    const server = await startPurlin(t, { contracts });
    const clients = load({ host: "127.0.0.1", port: server.port }, { fresh: 2, kept: 2 });
    writeFileSync(path.join(server.contractsFolder, "broken.yaml"), "resource: broken\nfields: 7\n");
    server.child.kill("SIGUSR2");
    const failed = await until(() => server.log.find((entry) => entry.msg === "server.upgrade_failed"));
    assert.match(failed.why, /before it was ready/);
    assert.equal(failed.exit, 2);
    const before = clients.done;
    await until(() => clients.done > before + 50);
    assert.deepEqual((await clients.end()).failures, []);
    assert.equal((await server.stop()).code, 0);
  });

  it("the end, under 500 connections", { timeout: 120_000 }, async (t) => {
    const server = await startPurlin(t, { contracts, env: { PURLIN_GRACE: "60s" } });
    /* A client that is told to close asks no more. */
    const clients = load({ host: "127.0.0.1", port: server.port }, { fresh: 0, kept: 500, onAnswer: (answer) => answer.headers.connection !== "close" });
    await until(() => clients.done > 2000);
    const begun = Date.now();
    const { code } = await server.stop();
    assert.equal(code, 0);
    assert.ok(Date.now() - begun < 20_000);
    const { failures, done } = await clients.end();
    assert.deepEqual(failures, []);
    assert.ok(!server.log.some((entry) => entry.msg === "server.grace_over"));
    t.diagnostic(`${done} requests`);
  });

  it("the end, under 500 connections of HTTP/2 with four requests each", { timeout: 120_000 }, async (t) => {
    const server = await startPurlin(t, { contracts, env: { PURLIN_GRACE: "60s" } });
    const state = { done: 0, resets: [], unanswered: [], goaways: [] };
    const clients = Promise.all(Array.from({ length: 500 }, () => streams(server.url, 4, state)));
    await until(() => state.done > 4000);
    const begun = Date.now();
    assert.equal((await server.stop()).code, 0);
    const took = Date.now() - begun;
    await clients;
    assert.ok(took < 20_000, `${took} ms`);
    assert.deepEqual(state.resets, []);
    assert.deepEqual(state.unanswered, [], "also what was sent before the GOAWAY was seen");
    /* Twice: of the first the bound is open, of the last it takes in everything that was asked. */
    for (const one of state.goaways) assert.deepEqual(one, [2, 2 ** 31 - 1, true]);
    assert.equal(state.goaways.length, 500);
    assert.ok(!server.log.some((entry) => entry.msg === "server.grace_over"));
    t.diagnostic(`${state.done} requests, ended in ${took} ms`);
  });
});
