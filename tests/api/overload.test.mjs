/*
 * tests/api/overload.test.mjs - More work than time: reads are refused first, health is answered throughout, and afterwards all is as
 * before. Bounds are wide: the machine that runs this is slow, and so is what the sanitizers made of the program.
 */
import assert from "node:assert/strict";
import net from "node:net";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startPurlin } from "../support/purlin.mjs";

const things = `
resource: things
fields:
  name: { type: string, max: 4000, required: true }
rules: { read: "true", create: "true", update: "true", delete: "true" }
`;
const path = "/api/v1/things";

/* Lists of a hundred rows over and over on so many connections, several waiting on each, until stopped: { 200: n, 503: n }. */
function flood(server, connections, depth) {
  const seen = {}, sockets = [];
  const request = `GET ${path}?limit=100 HTTP/1.1\r\nHost: h\r\n\r\n`;
  for (let i = 0; i < connections; i++) {
    const socket = net.connect(server.port, "127.0.0.1", () => socket.write(request.repeat(depth)));
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      for (const [, status] of chunk.toString("latin1").matchAll(/HTTP\/1\.1 (\d+)/g)) {
        seen[status] = (seen[status] ?? 0) + 1;
        socket.write(request);
      }
    });
    sockets.push(socket);
  }
  return { seen, stop: () => sockets.forEach((s) => s.destroy()) };
}

async function fill(server) {
  for (let i = 0; i < 2; i++) {
    const operations = Array.from({ length: 50 }, (_, n) => ({ method: "POST", path: "/things", body: { name: `${n}`.repeat(1000) } }));
    assert.equal((await server.post("/api/v1/batch", { body: { operations } })).status, 200);
  }
}

describe("too much work", () => {
  it("is refused in part, reads first, health never, and is forgotten afterwards", async (t) => {
    const env = {
      PURLIN_LIMITS: "on", PURLIN_THREADS: "1", LOG_LEVEL: "warn", PURLIN_ACCESS_LOG: "off", PURLIN_RATE_MODE: "off",
      PURLIN_OVERLOAD_TARGET: "10ms", PURLIN_OVERLOAD_INTERVAL: "50ms",
    };
    const server = await startPurlin(t, { contracts: { things }, env: { ...env, LOG_LEVEL: "info" } });
    await fill(server);
    const { seen, stop } = flood(server, 64, 4);
    const waits = [], writes = [];
    let warned = false;
    for (const until = Date.now() + 4000; Date.now() < until; await sleep(20)) {
      const begun = performance.now();
      assert.equal((await server.get("/health/ready")).status, 200);
      waits.push(performance.now() - begun);
      writes.push((await server.post(path, { body: { name: "written" } })).status);
      const detailed = (await server.get("/health/detailed", { admin: true })).body;
      warned ||= detailed.status === "warn" && detailed.checks["overload:level"][0].observedValue > 0;
    }
    stop();
    assert.ok(seen[503] > 0, JSON.stringify(seen));
    assert.ok(seen[200] > 0, JSON.stringify(seen));
    assert.ok(warned, "/health/detailed says so");
    const written = writes.filter((s) => s === 201).length / writes.length, read = seen[200] / (seen[200] + seen[503]);
    assert.ok(written > read, `writes ${written}, reads ${read}`);
    assert.ok(Math.max(...waits) < 3000, `health took ${Math.max(...waits)} ms`);
    const metrics = (await server.get("/metrics")).text;
    assert.match(metrics, /purlin_overload_shed_total\{priority="read",reason="delay"\} [1-9]/);
    assert.match(metrics, /purlin_overload_queue_delay_seconds_count [1-9]/);
    assert.ok(server.log.some((l) => l.msg === "http.overloaded"));

    // It comes back by itself, and stays.
    let answers = 0;
    for (const until = Date.now() + 15_000; answers < 50 && Date.now() < until; await sleep(5))
      answers = (await server.get(path)).status === 200 ? answers + 1 : 0;
    assert.equal(answers, 50);
  });

  it("says when to come again, not to all the same", async (t) => {
    const server = await startPurlin(t, { contracts: { things }, env: { PURLIN_LIMITS: "on", PURLIN_THREADS: "1", PURLIN_OVERLOAD_IN_FLIGHT_MAX: "16", PURLIN_RATE_MODE: "off" } });
    // Bodies that do not come keep their places: 14 writes fit (90 % of 16), no read beyond 12.
    const held = [];
    for (let i = 0; i < 13; i++)
      held.push(await new Promise((resolve) => {
        const socket = net.connect(server.port, "127.0.0.1", () => socket.write(`POST ${path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n`, () => resolve(socket)));
        socket.on("error", () => {});
      }));
    t.after(() => held.forEach((s) => s.destroy()));
    const waits = new Set();
    let answer;
    for (const until = Date.now() + 10_000; Date.now() < until && waits.size < 2; await sleep(5)) {
      answer = await server.get(path);
      if (answer.status === 503) waits.add(Number(answer.headers.get("retry-after")));
    }
    assert.equal(answer.status, 503);
    assert.equal(answer.body.type, "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity");
    assert.equal(answer.body.code, "temporary_reduced_capacity");
    assert.ok(waits.size >= 2 && [...waits].every((s) => s >= 1 && s <= 4), [...waits].join());
    assert.equal((await server.get("/health/live")).status, 200);
    assert.equal((await server.get("/health/ready")).status, 200);
    assert.match((await server.get("/metrics")).text, /purlin_overload_shed_total\{priority="read",reason="number"\} [1-9]/);
    // Places come back when their holders go.
    held.forEach((s) => s.destroy());
    let status;
    for (const until = Date.now() + 10_000; Date.now() < until && status !== 200; await sleep(20)) status = (await server.get(path)).status;
    assert.equal(status, 200);
  });
});
