/*
 * Killing the process at any moment loses nothing that was acknowledged: write from many clients, SIGKILL at a random moment, start
 * again, compare. Each batch writes two rows in one transaction, so that half a batch would show.
 */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { Agent, request } from "node:http";
import { test } from "node:test";
import { environment, runPurlin, startPurlin, temporaryFolder } from "../support/purlin.mjs";

const rounds = Number(process.env.KILL_ROUNDS ?? 50);
const clients = 8;

const contracts = {
  notes: `
resource: notes
fields:
  text: { type: string, max: 200, required: true }
  pair: { type: string, max: 60, required: true }
rules: { read: true, create: true, update: true, delete: true }
`,
};

/* Resolves with { status, body }, or null when the connection broke. */
function post(agent, port, target, body) {
  return new Promise((resolve) => {
    const text = JSON.stringify(body);
    const req = request(
      { agent, port, path: target, method: "POST", host: "127.0.0.1",
        headers: { "content-type": "application/json", "content-length": Buffer.byteLength(text) } },
      (res) => {
        let answer = "";
        res.setEncoding("utf8");
        res.on("data", (chunk) => (answer += chunk));
        res.on("end", () => resolve(res.complete ? { status: res.statusCode, text: answer } : null));
        res.on("error", () => resolve(null));
      },
    );
    req.on("error", () => resolve(null));
    req.end(text);
  });
}

async function writeUntilKilled(server, acknowledged, tag) {
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  let alive = true;
  const client = async (n) => {
    for (let i = 0; alive; i++) {
      const pair = `${tag}-${n}-${i}`;
      const operations = ["a", "b"].map((half) => ({
        method: "POST", path: "/api/v1/notes", body: { text: half, pair },
      }));
      const single = i % 2 === 0;
      const answer = single
        ? await post(agent, server.port, "/api/v1/notes", { text: "one", pair })
        : await post(agent, server.port, "/api/v1/batch", { operations });
      if (!answer) return;
      assert.ok(answer.status === 201 || answer.status === 200, `${answer.status} ${answer.text}`);
      acknowledged.set(pair, single ? 1 : 2);
    }
  };
  const all = Promise.all(Array.from({ length: clients }, (_, n) => client(n)));
  await new Promise((resolve) => setTimeout(resolve, randomInt(5, 120)));
  await server.kill("SIGKILL");
  alive = false;
  await all;
  agent.destroy();
}

async function readPairs(server) {
  const answer = await server.get("/api/v1/notes/export?format=ndjson&fields=pair");
  assert.equal(answer.status, 200);
  const counts = new Map();
  for (const line of answer.text.split("\n").filter(Boolean)) {
    const { pair } = JSON.parse(line);
    counts.set(pair, (counts.get(pair) ?? 0) + 1);
  }
  return counts;
}

test(`killed ${rounds} times, nothing acknowledged is missing`, { timeout: 900_000 }, async (t) => {
  const folder = temporaryFolder(t);
  const acknowledged = new Map();
  for (let round = 0; round < rounds; round++) {
    const server = await startPurlin(t, { folder, contracts, env: { LOG_LEVEL: "info", PURLIN_ACCESS_LOG: "off" } });
    if (round % 10 === 9) {
      const counts = await readPairs(server);
      for (const [pair, n] of acknowledged) assert.equal(counts.get(pair), n, `${pair} in round ${round}`);
    }
    await writeUntilKilled(server, acknowledged, `r${round}`);
  }
  const server = await startPurlin(t, { folder, contracts });
  const counts = await readPairs(server);
  for (const [pair, n] of acknowledged) assert.equal(counts.get(pair), n, `acknowledged ${pair}`);
  /* What was not acknowledged may be there or not, but never by half. */
  for (const [pair, n] of counts) {
    const i = Number(pair.split("-")[2]);
    assert.equal(n, i % 2 === 0 ? 1 : 2, `half a batch: ${pair}`);
  }
  await server.stop();
  const copy = runPurlin(["backup", `${folder}/copy.db`], { env: environment(folder, `${folder}/contracts`) });
  assert.equal(copy.code, 0, copy.stderr); /* backup checks the integrity of the copy */
  t.diagnostic(`${acknowledged.size} writes acknowledged over ${rounds} kills`);
  assert.ok(acknowledged.size > rounds, "the test wrote something");
});
