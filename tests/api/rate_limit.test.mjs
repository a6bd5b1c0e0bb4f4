/*
 * tests/api/rate_limit.test.mjs - Rate limits as clients meet them: exact over all loops, honest about when to come again, charged to
 * those who ask and to nobody else.
 */
import assert from "node:assert/strict";
import net from "node:net";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { adminKey, startPurlin, writeContracts } from "../support/purlin.mjs";

const things = `
resource: things
fields:
  name: { type: string, max: 100, required: true }
rules: { read: "true", create: "true", update: "true", delete: "true" }
`;

const start = (t, env = {}, more = {}) =>
  startPurlin(t, { contracts: { things }, env: { PURLIN_LIMITS: "on", ...env }, ...more });

const path = "/api/v1/things";

/* `"default";r=4;t=3` -> { name: "default", r: 4, t: 3 } */
function field(text) {
  const [name, ...params] = text.split(";");
  return { name: JSON.parse(name), ...Object.fromEntries(params.map((p) => p.split("=")).map(([k, v]) => [k, Number(v)])) };
}

/* All at once: `connections` of them with `each` requests in one write; the statuses. */
async function burst(server, connections, each, request) {
  const one = () =>
    new Promise((resolve, reject) => {
      let text = "";
      const socket = net.connect(server.port, "127.0.0.1", () => socket.write(request.repeat(each)));
      socket.on("data", (chunk) => {
        text += chunk.toString("latin1");
        if ((text.match(/HTTP\/1\.1 \d/g) ?? []).length === each && text.endsWith("}")) socket.end();
      });
      socket.on("error", reject);
      socket.on("close", () => resolve([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((m) => Number(m[1]))));
    });
  return (await Promise.all(Array.from({ length: connections }, one))).flat();
}

describe("a limit", () => {
  it("lets exactly its number pass of a thousand at once, over all loops", async (t) => {
    const server = await start(t, { PURLIN_RATE_REQUESTS: "100/hour/ip", PURLIN_THREADS: "2" });
    const statuses = await burst(server, 100, 10, `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
    assert.equal(statuses.length, 1000);
    assert.equal(statuses.filter((s) => s === 200).length, 100);
    assert.equal(statuses.filter((s) => s === 429).length, 900);
    const metrics = (await server.get("/metrics")).text;
    assert.match(metrics, /purlin_ratelimit_decisions_total\{policy="default",outcome="allowed"\} 100\b/);
    assert.match(metrics, /purlin_ratelimit_decisions_total\{policy="default",outcome="refused"\} 900\b/);
  });

  it("is told of in every answer, and explains its refusal", async (t) => {
    const server = await start(t, { PURLIN_RATE_REQUESTS: "3/minute/ip" });
    for (const left of [2, 1, 0]) {
      const answer = await server.get(path);
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get("ratelimit-policy"), '"default";q=3;w=60');
      const told = field(answer.headers.get("ratelimit"));
      assert.deepEqual([told.name, told.r], ["default", left]);
      assert.ok(told.t >= 1 && told.t <= 61, String(told.t));
      assert.equal(answer.headers.get("x-ratelimit-limit"), null);
    }
    const refused = await server.get(path);
    assert.equal(refused.status, 429);
    const wait = Number(refused.headers.get("retry-after"));
    assert.ok(wait >= 1 && wait <= 21, String(wait));
    assert.deepEqual(field(refused.headers.get("ratelimit")), { name: "default", r: 0, t: wait });
    assert.equal(refused.body.type, "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert.equal(refused.body.code, "quota_exceeded");
    assert.deepEqual(refused.body["violated-policies"], ["default"]);
    assert.match(refused.body.detail, new RegExp(`come again in ${wait} s`));
  });

  it("lets whoever waits just as long as told pass", async (t) => {
    const server = await start(t, { PURLIN_RATE_REQUESTS: "3/3s/ip" });
    for (let round = 0; round < 2; round++) {
      let answer;
      do answer = await server.get(path);
      while (answer.status === 200);
      await sleep(Number(answer.headers.get("retry-after")) * 1000);
      assert.equal((await server.get(path)).status, 200);
    }
  });

  it("speaks the older dialect too when asked, or not at all", async (t) => {
    const both = await start(t, { PURLIN_RATE_REQUESTS: "5/minute/ip", PURLIN_RATE_HEADERS: "both" });
    const answer = await both.get(path);
    assert.equal(answer.headers.get("x-ratelimit-limit"), "5");
    assert.equal(answer.headers.get("x-ratelimit-remaining"), "4");
    assert.equal(answer.headers.get("x-ratelimit-reset"), String(field(answer.headers.get("ratelimit")).t));
    const off = await start(t, { PURLIN_RATE_REQUESTS: "1/minute/ip", PURLIN_RATE_HEADERS: "off" });
    assert.equal((await off.get(path)).headers.get("ratelimit"), null);
    const refused = await off.get(path);
    assert.equal(refused.status, 429);
    assert.ok(Number(refused.headers.get("retry-after")) >= 1);
  });

  it("is not got round by headers that name other addresses", async (t) => {
    const server = await start(t, { PURLIN_RATE_REQUESTS: "2/minute/ip" });
    const statuses = [];
    for (let i = 0; i < 5; i++) {
      const headers = { "x-forwarded-for": `203.0.113.${i}`, forwarded: `for=203.0.113.${i}`, "x-real-ip": `203.0.113.${i}` };
      statuses.push((await server.get(path, { headers })).status);
    }
    assert.deepEqual(statuses, [200, 200, 429, 429, 429]);
  });

  it("charges nothing to health, metrics and preflights", async (t) => {
    const server = await start(t, { PURLIN_RATE_REQUESTS: "1/hour/ip" });
    for (let i = 0; i < 5; i++) {
      for (const free of ["/health/live", "/health/ready", "/livez", "/metrics"]) {
        const answer = await server.get(free);
        assert.equal(answer.status, 200);
        assert.equal(answer.headers.get("ratelimit"), null);
      }
      assert.equal((await server.options(path)).status, 204);
    }
    assert.equal((await server.get(path)).status, 200);
    assert.equal((await server.get(path)).status, 429);
  });

  it("holds for what is not there as well", async (t) => {
    const server = await start(t, { PURLIN_RATE_REQUESTS: "2/hour/ip" });
    assert.equal((await server.get("/nowhere")).status, 404);
    assert.equal((await server.request("DELETE", "/docs")).status, 405);
    assert.equal((await server.get("/nowhere")).status, 429);
  });

  it("is on from the start, where no ordinary client meets it", async (t) => {
    const server = await start(t);
    const answer = await server.get(path);
    assert.match(answer.headers.get("ratelimit-policy"), /^"default";q=1000;w=10$/);
    const written = await server.post(path, { body: { name: "a" } });
    assert.equal(written.status, 201);
    assert.match(written.headers.get("ratelimit-policy"), /^"writes";q=300;w=10$/);
  });

  it("can be turned off in development", async (t) => {
    const server = await start(t, { PURLIN_LIMITS: "off", PURLIN_RATE_REQUESTS: "1/hour/ip" });
    for (let i = 0; i < 3; i++) {
      const answer = await server.get(path);
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get("ratelimit"), null);
    }
  });
});

describe("several limits", () => {
  it("hold together, the tightest is told of, and a refusal by one costs nothing of the others", async (t) => {
    const server = await start(t, { PURLIN_RATE_REQUESTS: "wide=100/hour/ip, narrow=3/hour/ip" });
    const answers = [];
    for (let i = 0; i < 10; i++) answers.push(await server.get(path));
    assert.deepEqual(answers.map((a) => a.status), [200, 200, 200, ...Array(7).fill(429)]);
    assert.match(answers[0].headers.get("ratelimit"), /^"narrow";r=2;/);
    assert.deepEqual(answers[9].body["violated-policies"], ["narrow"]);
    const metrics = (await server.get("/metrics")).text;
    assert.match(metrics, /policy="narrow",outcome="refused"\} 7\b/);
  });

  it("are stricter for writes", async (t) => {
    const server = await start(t, { PURLIN_RATE_WRITES: "2/hour/ip" });
    const write = () => server.post(path, { body: { name: "a" } });
    assert.deepEqual([(await write()).status, (await write()).status, (await write()).status], [201, 201, 429]);
    assert.equal((await server.get(path)).status, 200);
  });

  it("may only report", async (t) => {
    const server = await start(t, { PURLIN_RATE_REQUESTS: "2/hour/ip;report, 100/hour/ip" });
    for (let i = 0; i < 5; i++) {
      const answer = await server.get(path);
      assert.equal(answer.status, 200);
      assert.match(answer.headers.get("ratelimit"), /^"default-2";/);
    }
    assert.match((await server.get("/metrics")).text, /policy="default",outcome="reported"\} 3\b/);
    const all = await start(t, { PURLIN_RATE_REQUESTS: "2/hour/ip", PURLIN_RATE_MODE: "report" });
    for (let i = 0; i < 5; i++) assert.equal((await all.get(path)).status, 200);
    assert.match((await all.get("/metrics")).text, /policy="default",outcome="reported"\} 3\b/);
  });

  it("differ between routes, and weigh requests", async (t) => {
    const config = `
rate: { requests: 10/hour/ip }
routes:
  - { match: /api/v1/things, rate: { cost: 4 } }
  - { match: /docs, rate: { requests: 1/hour/ip } }
  - { match: /openapi.json, rate: { mode: off } }
`;
    const server = await start(t, {}, { config });
    assert.match((await server.get(path)).headers.get("ratelimit"), /^"default";r=1;/); // of 4 each
    assert.match((await server.get(path)).headers.get("ratelimit"), /^"default";r=0;/);
    assert.equal((await server.get(path)).status, 429);
    // What reads the same as everywhere is counted with everywhere: two are left.
    assert.equal((await server.get("/nowhere")).status, 404);
    assert.equal((await server.get("/nowhere")).status, 404);
    assert.equal((await server.get("/nowhere")).status, 429);
    // These have their own.
    assert.notEqual((await server.get("/docs")).status, 429);
    assert.equal((await server.get("/docs")).status, 429);
    for (let i = 0; i < 3; i++) assert.equal((await server.get("/openapi.json")).status, 200);
  });

  it("tell routes apart", async (t) => {
    const server = await start(t, { PURLIN_RATE_REQUESTS: "2/hour/ip+route" }, { contracts: { things, others: things.replace("things", "others") } });
    for (const at of [path, "/api/v1/others"])
      assert.deepEqual([(await server.get(at)).status, (await server.get(at)).status, (await server.get(at)).status], [200, 200, 429]);
  });
});

describe("who is limited", () => {
  it("is not the administrator, unless asked for", async (t) => {
    const server = await start(t, { PURLIN_RATE_REQUESTS: "1/hour/ip" });
    for (let i = 0; i < 5; i++) assert.equal((await server.get(path, { admin: true })).status, 200);
    assert.match((await server.get("/metrics")).text, /policy="default",outcome="exempt"\} 5\b/);
    const strict = await start(t, { PURLIN_RATE_REQUESTS: "1/hour/key", PURLIN_RATE_EXEMPT_ROLES: "nobody" });
    assert.equal((await strict.get(path, { admin: true })).status, 200);
    assert.equal((await strict.get(path, { admin: true })).status, 429);
    // By key: a stranger is counted by the address, and has had nothing yet.
    assert.equal((await strict.get(path)).status, 200);
  });

  it("is not who is exempt by address", async (t) => {
    const server = await start(t, { PURLIN_RATE_REQUESTS: "1/hour/ip", PURLIN_RATE_EXEMPT_ADDRESSES: "10.0.0.0/8, 127.0.0.1" });
    for (let i = 0; i < 3; i++) assert.equal((await server.get(path)).status, 200);
  });

  it("may guess keys a few times, then not even the right one is looked at", async (t) => {
    const server = await start(t, { PURLIN_RATE_CREDENTIALS: "3/hour/ip" });
    const guess = (key, at = path) => server.get(at, { headers: { "x-api-key": key } });
    assert.equal((await guess(adminKey, "/health/detailed")).status, 200); // a right one costs nothing
    for (let i = 0; i < 3; i++) assert.equal((await guess(`wrong-${i}`, i ? path : "/health/detailed")).status, 401);
    for (const key of ["wrong-4", adminKey])
      for (const at of [path, "/health/detailed", "/health/limits"]) {
        const answer = await guess(key, at);
        assert.equal(answer.status, 429, `${key} ${at}`);
        assert.deepEqual(answer.body["violated-policies"], ["credentials"]);
      }
    // Who presents none goes on as before, and so do health checks that everybody may ask.
    assert.equal((await server.get(path)).status, 200);
    assert.equal((await guess("wrong-5", "/health/live")).status, 200);
  });

  it("is shown to administrators, the worst first", async (t) => {
    const server = await start(t, { PURLIN_RATE_REQUESTS: "1/hour/ip" });
    for (let i = 0; i < 4; i++) await server.get(path);
    assert.equal((await server.get("/health/limits")).status, 401);
    const { status, body } = await server.get("/health/limits", { admin: true });
    assert.equal(status, 200);
    assert.equal(body.offenders[0].who, "ip 127.0.0.1");
    assert.equal(body.offenders[0].policy, "default");
    assert.equal(body.offenders[0].refused, 3);
    assert.equal(body.policies[0].requests[0].count, 1);
    assert.equal(body.table.keys_max, 131072);
    while (!server.log.some((l) => l.msg === "http.rate_limited" && l.who === "ip 127.0.0.1")) await sleep(20);
  });
});

describe("limits of contracts", () => {
  const limited = (limits) => `
resource: things
fields:
  name: { type: string, max: 100, required: true }
rules: { read: "true", create: "true", update: "true", delete: "true" }
limits: ${limits}
`;
  const parts = `
resource: parts
fields:
  thing: { ref: things, required: true }
  name: { type: string, max: 100 }
rules: { read: "true", create: "true", update: "true", delete: "true" }
limits: { create: 4/hour/ip }
`;
  const startWith = (t, contracts) => startPurlin(t, { contracts, env: { PURLIN_LIMITS: "on" } });
  const batch = (server, operations, mode = "") => server.post(`/api/v1/batch${mode}`, { body: { operations } });
  const create = (name) => ({ method: "POST", path: "/things", body: { name } });

  it("hold for each action", async (t) => {
    const server = await startWith(t, { things: limited("{ list: 2/hour/ip, read: 2/hour/key, create: 2/hour/user, update: 2/hour/ip, delete: 1/hour/ip }") });
    const made = await server.post(path, { body: { name: "a" } });
    assert.match(made.headers.get("ratelimit"), /^"things.create";r=1;/);
    assert.equal((await server.post(path, { body: { name: "b" } })).status, 201);
    const refused = await server.post(path, { body: { name: "c" } });
    assert.equal(refused.status, 429);
    assert.deepEqual(refused.body["violated-policies"], ["things.create"]);
    assert.ok(Number(refused.headers.get("retry-after")) > 1000);
    const row = `${path}/${made.body.id}`;
    const changed = [await server.patch(row, { body: { name: "d" } }), await server.put(row, { body: { name: "e" } }), await server.patch(row, { body: { name: "f" } })];
    assert.deepEqual(changed.map((a) => a.status), [200, 200, 429]);
    assert.deepEqual([(await server.get(row)).status, (await server.get(row)).status, (await server.get(row)).status], [200, 200, 429]);
    assert.deepEqual([(await server.get(path)).status, (await server.get(`${path}/export`)).status, (await server.get(path)).status], [200, 200, 429]);
    assert.deepEqual([(await server.delete(row)).status, (await server.delete(row)).status], [204, 429]);
    // The administrator has none.
    assert.equal((await server.post(path, { body: { name: "g" }, admin: true })).status, 201);
    assert.match((await server.get("/metrics")).text, /policy="things.create",outcome="exempt"\} 1\b/);
  });

  it("count each row of a batch, and charge all of it or none", async (t) => {
    const server = await startWith(t, { things: limited("{ create: 5/hour/ip }") });
    assert.equal((await batch(server, [create("a"), create("b"), create("c")])).status, 200);
    for (const mode of ["", "?mode=independent"]) {
      const refused = await batch(server, [create("d"), create("e"), create("f")], mode);
      assert.equal(refused.status, 429);
      assert.deepEqual(refused.body["violated-policies"], ["things.create"]);
    }
    assert.equal((await server.get(path)).body.data.length, 3);
    const last = await batch(server, [create("d"), create("e")]);
    assert.equal(last.status, 200);
    assert.match(last.headers.get("ratelimit"), /^"things.create";r=0;/);
  });

  it("count the rows inside a row", async (t) => {
    const server = await startWith(t, { things: limited("{ create: 100/hour/ip }"), parts });
    const nested = (n) => server.post(path, { body: { name: "a", parts: Array.from({ length: n }, (_, i) => ({ name: `p${i}` })) } });
    assert.equal((await nested(3)).status, 201);
    const refused = await nested(2);
    assert.equal(refused.status, 429);
    assert.deepEqual(refused.body["violated-policies"], ["parts.create"]);
    assert.match((await nested(1)).headers.get("ratelimit"), /^"parts.create";r=0;/);
    assert.equal((await server.post(path, { body: { name: "alone" } })).status, 201);
  });

  it("charge neither what is invalid nor what is replayed", async (t) => {
    const server = await startWith(t, { things: limited("{ create: 2/hour/ip }") });
    for (let i = 0; i < 3; i++) assert.equal((await server.post(path, { body: {} })).status, 422);
    const headers = { "idempotency-key": "one" };
    for (let i = 0; i < 3; i++) assert.equal((await server.post(path, { body: { name: "a" }, headers })).status, 201);
    assert.equal((await server.post(path, { body: { name: "b" } })).status, 201);
    assert.equal((await server.post(path, { body: { name: "c" } })).status, 429);
  });

  it("survive a reload, and change with it", async (t) => {
    const server = await startWith(t, { things: limited("{ create: 2/hour/ip }") });
    for (const want of [201, 201, 429]) assert.equal((await server.post(path, { body: { name: "a" } })).status, want);
    writeContracts(server.folder, { things: limited("{ create: 3/hour/ip }") });
    const seen = server.log.length;
    server.child.kill("SIGHUP");
    while (!server.log.slice(seen).some((l) => l.msg === "server.reloaded")) await sleep(20);
    const answer = await server.post(path, { body: { name: "b" } });
    assert.match(answer.headers.get("ratelimit-policy"), /^"things.create";q=3;/);
    assert.equal(answer.status, 429); // the hour that was spent is spent
  });

  it("stand in the document", async (t) => {
    const server = await startWith(t, { things: limited("{ create: 30/minute/user, update: 5/second/ip }") });
    const { paths, components } = (await server.get("/openapi.json")).body;
    const { post, get } = paths[path];
    assert.deepEqual(post["x-purlin-ratelimit"], { policy: "things.create", count: 30, window_seconds: 60, by: "user" });
    assert.equal(get["x-purlin-ratelimit"], undefined);
    assert.equal(paths[`${path}/{id}`].patch["x-purlin-ratelimit"].count, 5);
    assert.equal(paths[`${path}/{id}`].put["x-purlin-ratelimit"].count, 5);
    assert.equal(post.responses["429"].$ref, "#/components/responses/TooManyRequests");
    assert.deepEqual(Object.keys(components.responses.TooManyRequests.headers), ["Retry-After", "RateLimit", "RateLimit-Policy"]);
  });
});
