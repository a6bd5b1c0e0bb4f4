/*
 * tests/support/attack.mjs - One attack on a server of its own, with a well-behaved client beside it: before, during and after. Used by
 * tests/scenario/attack.test.mjs, which judges it under the sanitizers, and by script/attack, which prints figures of a release.
 *
 * The server runs one loop, so that the client is always on the one that is attacked. The attackers run at the least priority
 * (attack_sender.mjs), and come from many addresses; rate limits are on as they are by default, and do not help against them either. Timers
 * are shorter than Purlin's own, so that they end what they must end while somebody watches.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { startClient } from "./attack_client.mjs";
import { kinds } from "./attack_kinds.mjs";
import { startSender } from "./attack_sender.mjs";
import { readMetrics } from "./prometheus.mjs";
import { startPurlin, temporaryFolder } from "./purlin.mjs";

const contracts = {
  things: "resource: things\nfields:\n  name: { type: string, max: 50, required: true }\nrules: { read: true, create: true, update: true, delete: true }\n",
};
/* What the timers and bounds are in an attack: docs/attacks.md has the same list. */
export const bounds = {
  PURLIN_LIMITS_HEAD_TIMEOUT: "1s",
  PURLIN_LIMITS_BODY_TIMEOUT: "1s",
  PURLIN_LIMITS_WRITE_TIMEOUT: "1s",
  PURLIN_LIMITS_IDLE_TIMEOUT: "5s",
  PURLIN_LIMITS_CONNECTIONS: "2000", // of 10,000 by default: a flood gets there while somebody watches
};

const settledMiB = 8; // more than before: what a warm server keeps

export const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/* A server to attack, and what is asked about it. `capped`: with the bound by address. */
export async function startTarget(t, { bin, capped = false, env = {} } = {}) {
  const site = path.join(temporaryFolder(t), "site");
  mkdirSync(site);
  writeFileSync(path.join(site, "large.bin"), Buffer.alloc(1 << 20, "Purlin"));
  const server = await startPurlin(t, {
    contracts,
    ...(bin ? { bin } : {}),
    env: {
      PURLIN_LIMITS: "on",
      PURLIN_THREADS: "1",
      PURLIN_STATIC_FOLDER: site,
      PURLIN_ACCESS_LOG: "off", // its lines would be work for this process, not for the server
      // Where the bound by address is what must hold, the timers are as late as they are by default.
      ...(capped ? {} : { PURLIN_LIMITS_CONNECTIONS_PER_ADDRESS: "0", ...bounds }),
      ...env,
    },
  });
  server.resident = () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))[1]) / 1024;
  server.isAlive = () => server.child.exitCode === null && server.child.signalCode === null;
  return server;
}

/* From an address of its own, as the well-behaved client: where attackers come from may be closed. */
async function metrics(server) {
  const request = http.get({ host: "127.0.0.1", port: server.port, localAddress: "127.0.0.3", path: "/metrics", agent: false });
  const [answer] = await once(request, "response");
  let text = "";
  for await (const chunk of answer.setEncoding("utf8")) text += chunk;
  return readMetrics(text);
}

const matches = (sample, labels) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value);

function total(families, name, labels) {
  const family = families.get(name) ?? families.get(name.replace(/_total$/, ""));
  return (family?.samples ?? [])
    .filter((s) => !/_(bucket|sum)$/.test(s.name) && matches(s, labels))
    .reduce((sum, s) => sum + s.value, 0);
}

/* What tells how the server treated an attack, by how much each has grown: { "408": 12, "rapid_reset": 3, ... }. */
const watched = [
  ["purlin_http_refusals_total", "http_response_status_code"],
  ["http_server_request_duration_seconds", "http_response_status_code"],
  ["purlin_http2_abuse_total", "kind"],
  ["purlin_connections_refused_total", "reason"],
  ["purlin_overload_shed_total", "priority"],
];
function growth(before, after) {
  const did = {};
  for (const [name, label] of watched)
    for (const sample of (after.get(name) ?? after.get(name.replace(/_total$/, "")))?.samples ?? []) {
      if (/_(bucket|sum)$/.test(sample.name) || /^20[01]$/.test(sample.labels[label])) continue;
      const grown = sample.value - (before.get(name) ?? before.get(name.replace(/_total$/, "")))?.samples
        .filter((s) => s.name === sample.name && matches(s, sample.labels)).reduce((sum, s) => sum + s.value, 0);
      const key = name.includes("shed") ? "shed" : name.includes("connections") ? `over ${sample.labels[label]}` : sample.labels[label];
      if (grown > 0) did[key] = Math.max(did[key] ?? 0, 0) + grown;
    }
  for (const [key, name] of [["stalled", "purlin_http_stalled_total"], ["accepted", "purlin_connections_accepted_total"]]) {
    const grown = total(after, name, {}) - total(before, name, {});
    if (grown > 0) did[key] = grown;
  }
  return did;
}

/* slowhttptest, at the least priority as the sender is. */
function startTool(server, { tool, path: target }, { connections, seconds }) {
  const child = spawn(
    "nice",
    ["-n", "19", "slowhttptest", ...tool, "-c", String(connections), "-r", String(connections), "-l", String(Math.ceil(seconds) + 2), "-p", "1",
      "-u", server.url + target, "-v", "0"],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  const exited = once(child, "exit");
  child.stdout.resume();
  child.stderr.resume();
  return {
    started: once(child, "spawn"),
    stop: async () => {
      child.kill("SIGKILL");
      await exited;
      return { connections, tool: "slowhttptest" };
    },
    kill: () => child.kill("SIGKILL"),
  };
}

function percentile(sorted, part) {
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] : NaN;
}
const summary = ({ n = 0, errors = [], ms = [], late = [] } = {}) => ({
  requests: n, errors, p50: percentile(ms, 0.5), p99: percentile(ms, 0.99), late: percentile(late, 0.99),
});

/*
 * Attack `server` for so many seconds, and return what came of it: { name, before, during, after: { requests, errors, p50, p99, late }, resident: {
 * before, peak, after } in MiB, sent, did, seen }. `strength` scales how many connections a sender has; `settle` is how many seconds the server may
 * take to give memory back (it does so every five, half of what it did not need).
 */
export async function attack(t, server, name, { seconds = 3, calm = 1, strength = 1, settle = 0 } = {}) {
  const kind = kinds[name];
  const scaled = (n) => Math.max(1, Math.round(n * strength));
  const client = startClient(server.port);
  t.after(client.kill);
  await client.ready;
  const resident = {};
  client.phase("warm");
  await wait(500);
  resident.before = server.resident();
  client.phase("before");
  await wait(calm * 1000);
  const was = await metrics(server);

  resident.peak = resident.before = Math.max(resident.before, server.resident());
  const sampler = setInterval(() => server.isAlive() && (resident.peak = Math.max(resident.peak, server.resident())), 50);
  sampler.unref();
  client.phase("starting"); // what it takes to make the payload is not the attack
  const { way, ...options } = kind.sender ?? {};
  const attacker = kind.tool
    ? startTool(server, kind, { connections: kind.connections, seconds })
    : startSender(server.port, way, { payload: name, ...options, connections: scaled(options.connections ?? 0) });
  t.after(attacker.kill);
  await attacker.started;
  client.phase("during");
  await wait(seconds * 1000);
  client.phase("ending");
  const sent = await attacker.stop();
  // Timers of a second end what the attacker left, and are looked at a few times a second.
  await wait(1500);
  clearInterval(sampler);
  client.phase("after");
  await wait(calm * 1000);
  const is = await metrics(server);
  for (let waited = 0; waited < settle && server.resident() - resident.before > settledMiB; waited += 0.5) await wait(500);
  resident.after = server.resident();
  const { before, during, after, ending = {} } = await client.stop();
  const result = { name, resident, sent, before: summary(before), during: summary(during), after: summary(after) };
  result.during.errors.push(...(ending.errors ?? []));
  result.did = growth(was, is);
  result.seen = kind.seen.reduce((sum, [metric, labels]) => sum + total(is, metric, labels) - total(was, metric, labels), 0);
  return result;
}
