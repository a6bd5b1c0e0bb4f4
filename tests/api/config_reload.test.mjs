/*
 * SIGHUP takes over what of purlin.yaml may change while requests run: all of the new file or nothing, no request is lost, and what
 * began under the old settings ends under them.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createHmac, createHash, randomBytes } from "node:crypto";
import net from "node:net";
import path from "node:path";
import { it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startPurlin } from "../support/purlin.mjs";

const contracts = {
  notes: `
resource: notes
fields:
  text: { type: string, max: 100, required: true }
rules: { read: true, create: true, update: true, delete: true }
`,
};
const notes = "/api/v1/notes";
const origin = (name) => ({ headers: { origin: `https://${name}.example` } });

async function start(t, config, env = {}) {
  const server = await startPurlin(t, { contracts, config, env: { PURLIN_LIMITS: "on", ...env } });
  const file = path.join(server.folder, "purlin.yaml");
  const ended = () => server.log.filter((l) => /^server\.(reloaded|reload_refused)$/.test(l.msg));
  /* Ask for a reload and wait until the log tells how it ended. */
  server.reload = async (text) => {
    const before = ended().length;
    writeFileSync(file, text);
    server.child.kill("SIGHUP");
    for (let i = 0; i < 3000 && ended().length === before; i++) await pause(10);
    assert.equal(ended().length, before + 1, "the reload ended");
    return ended().at(-1).msg === "server.reloaded";
  };
  server.metric = async (line) => {
    const { text } = await server.get("/metrics", { admin: true });
    return Number(text.split("\n").find((l) => l.startsWith(`${line} `))?.slice(line.length));
  };
  return server;
}

/* Each loop goes over by itself: ask until all connections of a pool have seen it. */
async function settled(ask, want) {
  for (let i = 0, good = 0; i < 500 && good < 20; i++) good = (await ask()) === want ? good + 1 : 0;
  assert.equal(await ask(), want);
}

it("new settings hold, under load, and no request is lost", async (t) => {
  const server = await start(t, "cors: { origins: https://one.example }\n");
  const allowed = async (name) => (await server.get(notes, origin(name))).headers.get("access-control-allow-origin");
  assert.equal(await allowed("one"), "https://one.example");
  assert.equal(await allowed("two"), null);

  let running = true, requests = 0;
  const statuses = new Set();
  const load = Array.from({ length: 8 }, async () => {
    for (; running; requests++) {
      statuses.add((await server.get(notes, origin("one"))).status);
      statuses.add((await server.post(notes, { body: { text: "a" } })).status);
    }
  });
  assert.ok(await server.reload("cors: { origins: https://two.example }\nheaders: { referrer: same-origin }\n"));
  await settled(() => allowed("two"), "https://two.example");
  await settled(() => allowed("one"), null);
  assert.equal((await server.get(notes)).headers.get("referrer-policy"), "same-origin");
  const seen = requests;
  while (requests < seen + 50) await pause(5);
  running = false;
  await Promise.all(load);
  assert.deepEqual([...statuses].sort(), [200, 201]);
});

it("a file with mistakes changes nothing, and all of them are told with their lines", async (t) => {
  const good = "cors: { origins: https://one.example }\n";
  const server = await start(t, good);
  assert.equal(
    await server.reload(`cors:
  origins: https://two.example
  max_age: forever
headers: { profile: nonsense }
rate:
  requests: many
server:
  hosts: "a b"
`),
    false,
  );
  const told = server.log.filter((l) => l.msg === "reload.problem").map((l) => [path.basename(l.file), l.line, l.key]);
  assert.deepEqual(
    told.sort((a, b) => a[1] - b[1]),
    [
      ["purlin.yaml", 3, "cors.max_age"],
      ["purlin.yaml", 4, "headers.profile"],
      ["purlin.yaml", 6, "rate.requests"],
      ["purlin.yaml", 8, "server.hosts"],
    ],
  );
  const answer = await server.get(notes, origin("one"));
  assert.equal(answer.headers.get("access-control-allow-origin"), "https://one.example");
  assert.equal((await server.get(notes, origin("two"))).headers.get("access-control-allow-origin"), null);
  assert.equal(await server.metric('purlin_config_reloads_total{result="refused"}'), 1);
  assert.equal(await server.metric('purlin_config_reloads_total{result="ok"}'), 0);
  assert.ok(await server.reload(good));
  assert.equal(await server.metric('purlin_config_reloads_total{result="ok"}'), 1);
  const age_s = Date.now() / 1000 - (await server.metric("purlin_config_last_success_timestamp_seconds"));
  assert.ok(age_s > -2 && age_s < 60, `${age_s} s ago`);
  server.mayFail = false;
});

it("keys that need a restart are named", async (t) => {
  const server = await start(t, "limits: { headers: 50 }\n");
  assert.ok(await server.reload("limits: { headers: 60, line_bytes: 4KiB }\nlog: { access: off }\n"));
  const named = server.log.filter((l) => l.msg === "reload.needs_restart").map((l) => l.key);
  assert.deepEqual(named.sort(), ["limits.headers", "limits.line_bytes"]);
});

it("what of OAuth is taken over at a start only is named, whatever of it changed", async (t) => {
  const with_ = (enabled, client, scope) => `oauth:\n  enabled: ${enabled}\n  scopes: { ${scope} }\n  clients:\n    - { ${client} }\n`;
  const client = "id: web, secret: web-secret-0123456789, redirect_uris: [\"https://a.example/cb\"], scopes: [openid, notes]";
  const scope = 'notes: { description: Read, permissions: ["notes:read"] }';
  const server = await start(t, with_("on", client, scope));
  const rows = [
    [with_("off", client, scope), ["oauth.enabled"]],
    [with_("on", client.replace("a.example", "b.example"), scope), ["oauth.clients"]],
    [with_("on", client.replace("0123456789", "9876543210"), scope), ["oauth.clients"]],
    [with_("on", `${client}, trusted: true`, scope), ["oauth.clients"]],
    [with_("on", `${client}, name: Web`, scope), ["oauth.clients"]],
    [with_("on", `${client} }\n    - { id: more, redirect_uris: ["https://a.example/cb"]`, scope), ["oauth.clients"]],
    [with_("on", client, scope.replace("notes:read", "notes:*")), ["oauth.scopes"]],
    [with_("on", client, scope.replace("Read", "Look")), ["oauth.scopes"]],
    [with_("on", client, `${scope}, more: { description: More, permissions: ["*:read"] }`), ["oauth.scopes"]],
    [with_("on", client, scope), []],
  ];
  for (const [text, want] of rows) {
    const before = server.log.length;
    assert.ok(await server.reload(text), text);
    const named = server.log.slice(before).filter((l) => l.msg === "reload.needs_restart").map((l) => l.key);
    assert.deepEqual(named, want, text);
  }
});

it("hosts, trusted proxies, the access log, routes and CSRF follow", async (t) => {
  const server = await start(t, "log: { access: on }\nserver: { hosts: \"*\" }\n");
  const ask = async (headers = {}) => (await server.get(notes, { headers })).status;
  const body = { text: "x".repeat(90) };
  assert.ok(
    await server.reload(`log: { access: off }
server: { hosts: "127.0.0.1", trusted_proxies: "127.0.0.1" }
csrf: { sessions: sid }
routes:
  - match: ${notes}
    limits: { query_params: 1 }
`),
  );
  await settled(() => ask({ "x-forwarded-host": "other.example" }), 421);
  await settled(() => ask(), 200);
  assert.equal((await server.get(`${notes}?limit=1&sort=id`)).status, 400);
  const cookie = { cookie: "sid=1", origin: "https://evil.example" };
  assert.equal((await server.post(notes, { body, headers: cookie })).status, 403);
  const lines = server.log.filter((l) => l.msg === "http.request" || l.route === notes).length;
  for (let i = 0; i < 5; i++) await ask();
  assert.ok(await server.reload("log: { access: on }\n"));
  const quiet = server.log.filter((l) => l.msg === "http.request" || l.route === notes).length;
  assert.equal(quiet, lines, "nothing was logged while it was off");
  await settled(() => ask({ "x-forwarded-host": "other.example" }), 200);
  for (let i = 0; i < 300 && server.log.filter((l) => l.msg === "http.request" || l.route === notes).length === quiet; i++) {
    await ask();
    await pause(10);
  }
  assert.notEqual(server.log.filter((l) => l.msg === "http.request" || l.route === notes).length, quiet);
});

it("rate limits change, and what was counted is still counted", async (t) => {
  const server = await start(t, "rate: { requests: few=5/hour/ip }\n", { PURLIN_THREADS: "1" });
  for (let i = 0; i < 4; i++) assert.equal((await server.get(notes)).status, 200);
  assert.ok(await server.reload("rate: { requests: few=5/hour/ip }\ncors: { origins: https://one.example }\n"));
  assert.equal((await server.get(notes)).status, 200);
  assert.equal((await server.get(notes)).status, 429, "a reload gives nothing back");
  assert.ok(await server.reload("rate: { requests: many=100/hour/ip }\n"));
  await settled(async () => (await server.get(notes)).status, 200);
});

it("signature keys are replaced, and a nonce stays used", async (t) => {
  const [old, fresh] = ["an-old-secret-of-32-characters-00", "a-new-secret-of-32-characters-000"];
  const config = (keys) => `
signature: { keys: "${keys.map(([id, secret]) => `${id}:hmac-sha256:${secret}`).join(",")}" }
routes:
  - match: ${notes}
    signature: { mode: required }
`;
  const server = await start(t, "cors: { origins: https://one.example }\n", { PURLIN_LIMITS: "off" });
  const sign = (key, id) => {
    const stamp = Math.floor(Date.now() / 1000), n = randomBytes(12).toString("base64url");
    const b = createHash("sha256").update("").digest("hex");
    const v1 = createHmac("sha256", key).update(`${stamp}.${n}.GET.${notes}.${b}`).digest("hex");
    return { headers: { "x-signature": `k=${id},t=${stamp},n=${n},b=${b},v1=${v1}` } };
  };
  assert.equal((await server.get(notes)).status, 200);
  assert.ok(await server.reload(config([["a", old]])));
  await settled(async () => (await server.get(notes)).status, 401);
  const used = sign(old, "a");
  assert.equal((await server.get(notes, used)).status, 200);
  assert.ok(await server.reload(config([["a", old], ["b", fresh]])));
  await settled(async () => (await server.get(notes, sign(fresh, "b"))).status, 200);
  const again = await server.get(notes, used);
  assert.equal(again.status, 401);
  assert.match(again.text, /signature-replayed/);
  assert.ok(await server.reload(config([["b", fresh]])));
  await settled(async () => (await server.get(notes, sign(old, "a"))).status, 401);
});

it("a longer life of signatures revives none", async (t) => {
  const secret = "a-shared-secret-of-32-characters";
  const config = (age) => `
signature: { keys: "a:hmac-sha256:${secret}", max_age: ${age} }
routes:
  - match: ${notes}
    signature: { mode: required }
`;
  const sign = (seconds_ago) => {
    const stamp = Math.floor(Date.now() / 1000) - seconds_ago, n = randomBytes(12).toString("base64url");
    const b = createHash("sha256").update("").digest("hex");
    const v1 = createHmac("sha256", secret).update(`${stamp}.${n}.GET.${notes}.${b}`).digest("hex");
    return { headers: { "x-signature": `k=a,t=${stamp},n=${n},b=${b},v1=${v1}` } };
  };
  const status = async (server, seconds_ago) => (await server.get(notes, sign(seconds_ago))).status;
  const server = await start(t, config("60s"), { PURLIN_LIMITS: "off" });
  assert.equal(await status(server, 600), 401);
  // Its nonce may have been used, and forgotten, while signatures lived for a minute.
  assert.ok(await server.reload(config("1h")));
  await settled(() => status(server, 0), 200);
  assert.equal(await status(server, 600), 401);
  const fresh = await start(t, config("1h"), { PURLIN_LIMITS: "off" });
  assert.equal(await status(fresh, 600), 200);
});

it("other proxies begin with a PROXY header after a reload", async (t) => {
  const config = (proxies) => `server: { proxy_protocol: on, trusted_proxies: "${proxies}" }\n`;
  const server = await start(t, config("10.0.0.1"), { PURLIN_LIMITS: "off" });
  /* The status of an answer on a connection of its own; 0: it was closed without one. */
  const ask = (before) =>
    new Promise((resolve) => {
      let text = "";
      const socket = net.connect(server.port, "127.0.0.1");
      socket.on("data", (data) => (text += data));
      socket.on("error", () => {});
      socket.on("close", () => resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0)));
      socket.write(`${before}GET ${notes} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
    });
  const header = "PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n";
  assert.equal(await ask(""), 200);
  assert.notEqual(await ask(header), 200);
  assert.ok(await server.reload(config("127.0.0.1")));
  await settled(() => ask(header), 200);
  await settled(() => ask(""), 0);
});

it("fifty reloads in a row leave nothing behind", async (t) => {
  const config = (i) => `cors: { origins: https://site${i}.example }\nroutes:\n  - match: ${notes}\n    headers: { referrer: same-origin }\n`;
  // AddressSanitizer keeps what was freed for a while: not for long here.
  const sanitizer = `${process.env.ASAN_OPTIONS ?? ""}:quarantine_size_mb=1:thread_local_quarantine_size_kb=16`;
  const server = await start(t, config(0), { PURLIN_LIMITS: "off", ASAN_OPTIONS: sanitizer });
  const memory = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))[1]);
  for (let i = 1; i <= 10; i++) assert.ok(await server.reload(config(i)));
  const before = memory();
  for (let i = 11; i <= 60; i++) {
    assert.ok(await server.reload(config(i)));
    assert.equal((await server.get(notes)).status, 200);
  }
  assert.ok(memory() - before < 16 << 10, `grew by ${memory() - before} KiB`);
  await settled(() => server.metric("purlin_config_generations"), 1);
});
