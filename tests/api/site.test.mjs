/* What every server has besides its resources: pages, documents, health, metrics. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { adminKey, root, startPurlin } from "../support/purlin.mjs";
import { readMetrics } from "../support/prometheus.mjs";

const contracts = {
  things: "resource: things\nfields:\n  name: { type: string, required: true }\nrules: { read: true, create: true, update: true, delete: true }\n",
};

/* A server for the tests of one group. */
function serverOf(options) {
  const cleanups = [], held = {};
  before(async () => {
    held.server = await startPurlin({ after: (fn) => cleanups.push(fn) }, { contracts, ...options });
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });
  return held;
}

/* Each file has a tag, says how it may be kept, and answers HEAD and If-None-Match. */
async function checkFile(server, target, { type, policy = true, headers = {} }) {
  headers = { "accept-encoding": "identity", ...headers };
  const answer = await fetch(server.url + target, { headers });
  const text = await answer.text();
  assert.equal(answer.status, 200, target);
  assert.equal(answer.headers.get("content-type"), type, target);
  assert.equal(answer.headers.get("x-content-type-options"), "nosniff", target);
  const etag = answer.headers.get("etag");
  assert.match(etag, /^"[^"]+"$/, target);
  if (policy) assert.match(answer.headers.get("content-security-policy"), /default-src 'none'/, target);
  const kept = await fetch(server.url + target, { headers: { ...headers, "if-none-match": `"x", W/${etag}` } });
  assert.equal(kept.status, 304, target);
  assert.equal(kept.headers.get("etag"), etag);
  assert.equal(await kept.text(), "");
  const head = await fetch(server.url + target, { method: "HEAD", headers });
  assert.equal(head.status, 200, target);
  assert.equal(head.headers.get("content-length"), String(Buffer.byteLength(text)), target);
  assert.equal(await head.text(), "");
  return { text, headers: answer.headers };
}

describe("pages", () => {
  const held = serverOf();

  it("/ is a list for programs and a page for people", async () => {
    const { server } = held;
    const plain = await server.get("/");
    assert.equal(plain.status, 200);
    assert.equal(plain.headers.get("content-type"), "application/json");
    assert.equal(plain.headers.get("vary"), "Accept");
    assert.deepEqual(plain.body.resources.map((r) => r.path), ["/api/v1/things"]);
    assert.equal(plain.body.docs, "/docs");
    assert.ok(!/\d\.\d\.\d/.test(plain.text), "no version is told");
    const page = await checkFile(server, "/", { type: "text/html; charset=utf-8", headers: { accept: "text/html,*/*" } });
    assert.match(page.headers.get("vary"), /^Accept(,|$)/);
    assert.equal(page.text, readFileSync(path.join(root, "web/index.html"), "utf8"));
  });

  it("/docs and what it needs come from here alone", async () => {
    const { server } = held;
    const page = await checkFile(server, "/docs", { type: "text/html; charset=utf-8" });
    const policy = page.headers.get("content-security-policy");
    assert.ok(!/unsafe|https?:|\*/.test(policy), policy);
    for (const part of ["script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]) assert.ok(policy.includes(part), part);
    assert.ok(!/<script(?![^>]*src=)|<style|style=|\son\w+=/.test(page.text), "nothing inline");
    const links = [...page.text.matchAll(/(?:href|src)="(\/[^"]*)"/g)].map((m) => m[1]).filter((l) => /assets/.test(l));
    assert.ok(links.length >= 5);
    const types = { css: "text/css; charset=utf-8", js: "text/javascript; charset=utf-8", svg: "image/svg+xml" };
    for (const link of links) await checkFile(server, link, { type: types[link.split(".").at(-1)], policy: false });
  });

  it("nothing else is to be had by names of files", async () => {
    const { server } = held;
    const names = ["x.js", "..%2fpackage.json", "%2e%2e%2fpackage.json", "%00", "index.html%00.js", ".hidden", "swagger-ui.css/", "package.json", "index.cjs"];
    for (const folder of ["/assets/", "/docs/assets/"])
      for (const name of names) {
        const answer = await server.get(folder + name);
        assert.ok([400, 404].includes(answer.status), `${folder}${name}: ${answer.status}`);
        assert.equal(answer.headers.get("content-type"), "application/problem+json");
      }
    const missing = await server.get("/nowhere");
    assert.equal(missing.status, 404);
    assert.equal(missing.body.instance, "/nowhere");
    assert.equal(missing.body.request_id, missing.headers.get("x-request-id"));
    const wrong = await server.post("/docs");
    assert.equal(wrong.status, 405);
    assert.match(wrong.headers.get("allow"), /GET/);
    const options = await server.options("/docs");
    assert.equal(options.status, 204);
    assert.match(options.headers.get("allow"), /GET/);
  });

  it("tells nobody what it runs on", async () => {
    const { headers } = await held.server.get("/");
    for (const name of ["server", "x-powered-by"]) assert.equal(headers.get(name), null);
  });
});

describe("health", () => {
  const held = serverOf();

  it("answers on every path that probes know", async () => {
    const targets = ["/health", "/health/live", "/health/ready", "/health/startup", "/livez", "/readyz", "/healthz", "/api/health", "/api/ready"];
    for (const target of targets) {
      const answer = await held.server.get(target);
      assert.equal(answer.status, 200, target);
      assert.equal(answer.headers.get("content-type"), "application/health+json", target);
      assert.equal(answer.headers.get("cache-control"), "no-store", target);
      assert.deepEqual(answer.body, { status: "pass" }, target);
      const head = await held.server.head(target);
      assert.equal(head.status, 200, target);
      assert.equal(head.text, "", target);
    }
  });

  it("gives details to admins only", async () => {
    const anonymous = await held.server.get("/health/detailed");
    assert.equal(anonymous.status, 401);
    assert.ok(anonymous.headers.get("www-authenticate"));
    assert.equal((await held.server.get("/health/detailed", { headers: { "x-api-key": "wrong" } })).status, 401);
    for (const headers of [{ "x-api-key": adminKey }, { authorization: `Bearer ${adminKey}` }]) {
      const answer = await held.server.get("/health/detailed", { headers });
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.body.status, "pass");
      for (const [name, [check]] of Object.entries(answer.body.checks)) {
        assert.equal(check.status, "pass", name);
        assert.equal(typeof check.observedValue, "number", name);
      }
      assert.ok(answer.body.checks["process:memory"][0].observedValue > 1e6);
    }
  });

  it("is not written to the access log", async () => {
    await held.server.get("/health/live");
    await held.server.get("/nowhere-at-all");
    for (let i = 0; i < 100 && !held.server.log.some((l) => l.path === "/nowhere-at-all"); i++) await new Promise((r) => setTimeout(r, 20));
    assert.ok(held.server.log.some((l) => l.path === "/nowhere-at-all"));
    assert.ok(!held.server.log.some((l) => l.msg === "http.request" && /health/.test(l.path) && l.status === 200));
  });
});

describe("metrics", () => {
  const held = serverOf();

  const names = {
    http_server_request_duration_seconds: "histogram",
    http_server_active_requests: "gauge",
    db_client_operation_duration_seconds: "histogram",
    process_cpu_seconds_total: "counter",
    process_resident_memory_bytes: "gauge",
    process_open_fds: "gauge",
    process_start_time_seconds: "gauge",
    purlin_loop_lag_seconds: "gauge",
    purlin_log_dropped_lines_total: "counter",
  };

  it("are Prometheus text, by the names of OpenTelemetry", async () => {
    const { server } = held;
    const made = await server.post("/api/v1/things", { body: { name: "a" } });
    assert.equal(made.status, 201);
    await server.get(`/api/v1/things/${made.body.id}`);
    await server.get("/api/v1/things/nonsense");
    await server.get("/some/thing/unknown");
    await server.request("PROPFIND", "/api/v1/things").catch(() => {});
    const answer = await server.get("/metrics");
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get("content-type"), /^text\/plain; version=0\.0\.4/);
    const families = readMetrics(answer.text);
    for (const [name, type] of Object.entries(names)) {
      const family = families.get(name) ?? families.get(name.replace(/_total$/, ""));
      assert.equal(family?.type, type, name);
      assert.ok(family.samples.length, `${name} has values`);
    }
    const requests = families.get("http_server_request_duration_seconds").samples;
    const bounds = [...new Set(requests.filter((s) => s.labels.le).map((s) => Number(s.labels.le.replace("+Inf", "Infinity"))))];
    assert.deepEqual(bounds, [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, Infinity]);
    const count = (labels) =>
      requests.filter((s) => s.name.endsWith("_count") && Object.entries(labels).every(([k, v]) => s.labels[k] === v)).reduce((n, s) => n + s.value, 0);
    assert.equal(count({ http_request_method: "POST", http_response_status_code: "201" }), 1);
    assert.equal(count({ http_request_method: "GET", http_response_status_code: "200", http_route: "/api/v1/things/{id}" }), 1);
    // One label for all that has no route.
    assert.equal(count({ http_request_method: "GET", http_response_status_code: "404", http_route: "unmatched" }), 1);
    for (const s of requests) assert.ok(!/nonsense|unknown/.test(JSON.stringify(s.labels)), JSON.stringify(s.labels));
  });

  it("are OpenMetrics for who asks for that", async () => {
    const answer = await held.server.get("/api/metrics", { headers: { accept: "application/openmetrics-text; version=1.0.0,text/plain;q=0.5" } });
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get("content-type"), /^application\/openmetrics-text; version=1\.0\.0/);
    const families = readMetrics(answer.text, { openMetrics: true });
    assert.equal(families.get("process_cpu_seconds").type, "counter");
  });

  it("only grow", async () => {
    const totals = async () => {
      const all = new Map();
      for (const family of readMetrics((await held.server.get("/metrics")).text).values())
        if (family.type === "counter") for (const s of family.samples) all.set(s.name + JSON.stringify(s.labels), s.value);
      return all;
    };
    const first = await totals();
    const second = await totals();
    for (const [key, value] of first) assert.ok(second.get(key) >= value, key);
  });
});

describe("what may be closed", () => {
  const held = serverOf({ env: { PURLIN_DOCS: "off", PURLIN_METRICS: "admin", PURLIN_HEALTH_ALIASES: "off" } });

  it("documents are gone without a trace", async () => {
    for (const target of ["/docs", "/docs/assets/swagger-ui.css", "/openapi.json"]) assert.equal((await held.server.get(target)).status, 404, target);
    const { body } = await held.server.get("/");
    assert.ok(!("docs" in body) && !("openapi" in body));
  });

  it("metrics are for admins", async () => {
    assert.equal((await held.server.get("/metrics")).status, 401);
    assert.equal((await held.server.get("/metrics", { admin: true })).status, 200);
  });
});
