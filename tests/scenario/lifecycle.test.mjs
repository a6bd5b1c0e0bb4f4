/* The program from start to end, as an operator sees it: starting, stopping, reloading, refusing; and the verbs beside `serve`. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import path from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { adminKey, environment, purlinBin, root, runPurlin, startPurlin, temporaryFolder, writeContracts } from "../support/purlin.mjs";

const things = (more = "") =>
  `resource: things\nfields:\n  name: { type: string, required: true }\n${more}rules: { read: true, create: true, update: true, delete: true }\n`;

/* A folder with contracts, and a way to run verbs in it. */
function workplace(t, contracts = { things: things() }) {
  const folder = temporaryFolder(t);
  const contractsFolder = writeContracts(folder, contracts);
  const env = environment(folder, contractsFolder);
  return {
    folder,
    contractsFolder,
    env,
    run: (args, more = {}) => {
      const limits = more.PURLIN_ENV === "production" ? { PURLIN_LIMITS: "on" } : {}; // off is refused there
      return runPurlin(args, { env: { ...env, ...limits, ...more }, cwd: folder });
    },
    contract: (name, text) => writeFileSync(path.join(contractsFolder, `${name}.yaml`), text),
  };
}

const logged = async (server, msg, tries = 250) => {
  for (let i = 0; i < tries; i++) {
    const line = server.log.find((l) => l.msg === msg);
    if (line) return line;
    await sleep(20);
  }
  throw new Error(`${msg} was not logged; there are ${server.log.map((l) => l.msg)}`);
};

/* A request whose handler waits for the rest of the body, which is sent by hand. */
async function halfRequest(server, target, body) {
  const socket = net.connect(server.port, "127.0.0.1");
  let text = "";
  const closed = once(socket, "close");
  const going = new Promise((resolve) => socket.on("data", (chunk) => ((text += chunk), resolve())));
  socket.on("error", () => {});
  socket.write(`POST ${target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n`);
  await going;
  assert.match(text, /^HTTP\/1\.1 100 /);
  text = "";
  socket.write(body.slice(0, 5));
  return { finish: () => socket.write(body.slice(5)), answer: async () => (await closed, text) };
}

describe("starting and stopping", () => {
  it("says that it is ready, in one line", async (t) => {
    const server = await startPurlin(t, { contracts: { things: things() } });
    const line = server.log.find((l) => l.msg === "server.ready");
    assert.equal(line.url, server.url);
    assert.equal(line.pid, server.pid);
    assert.equal(line.loops, 2);
    assert.equal(line.env, "development");
    assert.ok(line.start_ms > 0);
    for (const l of server.log) {
      assert.match(l.ts, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert.ok(["debug", "info", "warn", "error"].includes(l.level));
    }
    assert.equal(server.stderr, "");
    const end = await server.stop();
    assert.deepEqual(end, { code: 0, signal: null });
    assert.equal(server.log.at(-1).msg, "server.stopped");
  });

  it("finishes what is in flight, and takes nothing new", async (t) => {
    const server = await startPurlin(t, { contracts: { things: things() }, env: { PURLIN_DRAIN_DELAY: "600ms", PURLIN_GRACE: "10s" } });
    const half = await halfRequest(server, "/api/v1/things", JSON.stringify({ name: "in flight" }));
    server.child.kill("SIGTERM");
    await logged(server, "server.stopping");
    // In the delay: red for the balancer, and still served.
    const ready = await server.get("/health/ready");
    assert.equal(ready.status, 503);
    assert.equal(ready.body.status, "fail");
    assert.equal((await server.get("/health/live")).status, 200);
    await sleep(900);
    await assert.rejects(fetch(`${server.url}/health/live`), "no new connections");
    half.finish();
    const answer = await half.answer();
    assert.match(answer, /^HTTP\/1\.1 201 /);
    assert.match(answer, /\r\nconnection: close\r\n/i);
    assert.deepEqual(await server.kill("SIGCONT"), { code: 0, signal: null });
    const again = await startPurlin(t, { folder: server.folder, contracts: server.contractsFolder });
    assert.deepEqual((await again.get("/api/v1/things")).body.data.map((r) => r.name), ["in flight"]);
  });

  it("gives up on clients that do not finish in the grace", async (t) => {
    const server = await startPurlin(t, { contracts: { things: things() }, env: { PURLIN_GRACE: "300ms" } });
    await halfRequest(server, "/api/v1/things", JSON.stringify({ name: "never" }));
    const begun = Date.now();
    assert.deepEqual(await server.stop(), { code: 0, signal: null });
    assert.ok(Date.now() - begun < 5000);
    assert.ok(server.log.some((l) => l.msg === "server.grace_over" && l.connections_cut === 1));
  });

  /* The request may be on the loop that has the signals or on another, by chance: so several times. */
  for (let round = 1; round <= 4; round++) {
    it(`ends at once at the second signal, ${round}`, async (t) => {
      const server = await startPurlin(t, { contracts: { things: things() }, env: { PURLIN_GRACE: "60s" } });
      server.mayFail = true;
      await halfRequest(server, "/api/v1/things", JSON.stringify({ name: "never" }));
      server.child.kill("SIGTERM");
      await logged(server, "server.stopping");
      const begun = Date.now();
      const end = await server.kill("SIGINT");
      assert.deepEqual(end, { code: 1, signal: null });
      assert.ok(Date.now() - begun < 4000);
    });
  }

  it("hands the port over to the next one without losing a request", async (t) => {
    const first = await startPurlin(t, { contracts: { things: things() }, env: { PURLIN_GRACE: "10s" } });
    let failed = 0, done = 0, stop = false;
    const agent = new http.Agent({ keepAlive: false });
    const load = async () => {
      while (!stop)
        await new Promise((resolve) =>
          http
            .get({ port: first.port, path: "/health/live", agent }, (answer) => {
              answer.resume();
              answer.statusCode === 200 ? done++ : failed++;
              answer.on("end", resolve);
            })
            .on("error", () => (failed++, resolve())),
        );
    };
    const loads = [load(), load()];
    const second = await startPurlin(t, { folder: temporaryFolder(t), contracts: first.contractsFolder, env: { PORT: String(first.port) } });
    assert.equal(second.port, first.port);
    await sleep(200);
    await first.stop();
    const between = done;
    await sleep(200);
    stop = true;
    await Promise.all(loads);
    assert.ok(done > between, "the second answers");
    // Connections in the backlog of a socket that closes are reset by the kernel; none that was accepted is lost.
    assert.ok(failed <= 2, `${failed} of ${done} failed`);
  });

  it("says who has the port", async (t) => {
    const other = net.createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    t.after(() => other.close());
    const { run } = workplace(t);
    const result = run(["serve"], { PORT: String(other.address().port) });
    assert.equal(result.code, 1);
    assert.match(result.stderr, new RegExp(`cannot listen on 127\\.0\\.0\\.1 port ${other.address().port}: .*in use`));
  });
});

describe("reloading", () => {
  it("takes good contracts over and keeps the old ones else", async (t) => {
    const server = await startPurlin(t, { contracts: { things: things() } });
    const contract = (name, text) => writeFileSync(path.join(server.contractsFolder, `${name}.yaml`), text);
    const reload = async (msg) => {
      server.log.length = 0;
      server.child.kill("SIGHUP");
      return logged(server, msg);
    };
    contract("things", things("  size: { type: integer, default: 3 }\n"));
    await reload("server.reloaded");
    const made = await server.post("/api/v1/things", { body: { name: "a" } });
    assert.equal(made.body.size, 3);

    contract("things", things("  size: { type: intger }\n"));
    await reload("server.reload_refused");
    const problem = server.log.find((l) => l.msg === "reload.problem");
    assert.match(problem.file, /things\.yaml$/);
    assert.equal(problem.line, 4);
    assert.match(problem.problem, /intger/);
    assert.equal((await server.get(`/api/v1/things/${made.body.id}`)).body.size, 3);

    // What would lose data is not done behind one's back.
    contract("things", things());
    await reload("server.reload_refused");
    assert.equal((await server.get(`/api/v1/things/${made.body.id}`)).body.size, 3);
  });

  it("drops no request meanwhile", async (t) => {
    const server = await startPurlin(t, { contracts: { things: things() } });
    let stop = false, done = 0;
    const load = async () => {
      while (!stop) {
        const answer = await server.post("/api/v1/things", { body: { name: `n${done++}` } });
        assert.equal(answer.status, 201, answer.text);
      }
    };
    const loads = [load(), load(), load()];
    for (let i = 0; i < 5; i++) {
      writeFileSync(path.join(server.contractsFolder, "things.yaml"), things(`  f${i % 2}: { type: string, optional: true }\n${i % 2 ? "  f0: { type: string, optional: true }\n" : i ? "  f1: { type: string, optional: true }\n" : ""}`));
      server.log.length = 0;
      server.child.kill("SIGHUP");
      await logged(server, "server.reloaded");
    }
    stop = true;
    await Promise.all(loads);
    assert.ok(done > 20);
  });
});

describe("refusing to start", () => {
  it("lists every problem of the configuration, and exits 2", (t) => {
    const { run, folder } = workplace(t);
    writeFileSync(path.join(folder, "purlin.yaml"), "server:\n  prot: 80\n  threads: many\nlog: { level: loud }\n");
    for (const verb of ["serve", "check"]) {
      const result = run([verb], { PORT: "70000", PURLIN_GRACE: "soon" });
      assert.equal(result.code, 2, result.stderr);
      for (const line of [/purlin\.yaml:2:\d+: .*prot.*port/, /purlin\.yaml:3:\d+: .*threads/, /purlin\.yaml:4:\d+: .*log\.level/, /environment: .*port/, /environment: .*grace/])
        assert.match(result.stderr, line);
      assert.match(result.stderr, /^5 problems\.$/m);
    }
  });

  it("lists every problem of the contracts, and exits 2", (t) => {
    const { run } = workplace(t, { a: "resource: a\nfields:\n  x: { type: strin }\n  y: { max: 3 }\n", b: "resource: b\nfields: { r: { ref: nowhere } }\n" });
    const result = run(["check"]);
    assert.equal(result.code, 2);
    assert.match(result.stderr, /a\.yaml:3:\d+: .*strin.*string/);
    assert.match(result.stderr, /a\.yaml:4:/);
    assert.match(result.stderr, /b\.yaml:2:.*nowhere/);
    const served = run(["serve"]);
    assert.equal(served.code, 2);
    assert.equal(served.stderr.replaceAll("serve", "check"), result.stderr);
  });

  it("refuses in production what is not safe there", (t) => {
    const { run, env } = workplace(t);
    const cases = [
      [{ PURLIN_ADMIN_KEY: "changeme-changeme" }, /admin_key/],
      [{ PURLIN_ADMIN_KEY: "k".repeat(32), HOST: "0.0.0.0" }, /TLS|trusted_proxies/],
      [{ PURLIN_ADMIN_KEY: "k".repeat(32), PURLIN_LIMITS: "off" }, /limits/],
    ];
    for (const [more, reason] of cases) {
      const result = run(["check"], { PURLIN_ENV: "production", ...more });
      assert.equal(result.code, 2, JSON.stringify(more) + result.stdout);
      assert.match(result.stderr, reason);
    }
    const good = run(["check"], { PURLIN_ENV: "production", PURLIN_ADMIN_KEY: "Qm9vdHN0cmFwLWtleS1mb3ItdGVzdHM" });
    assert.equal(good.code, 0, good.stderr);
    assert.ok(env);
  });

  it("does not change a database in production", (t) => {
    const { run } = workplace(t);
    const result = run(["serve"], { PURLIN_ENV: "production", PURLIN_ADMIN_KEY: "Qm9vdHN0cmFwLWtleS1mb3ItdGVzdHM" });
    assert.notEqual(result.code, 0);
    assert.match(result.stderr, /purlin migrate/);
  });

  it("refuses words and options it does not know", (t) => {
    const { run } = workplace(t);
    for (const [args, hint] of [[["serv"], /serve/], [["serve", "--confg", "x"], /--config/], [["check", "x"], /unexpected/], [["migrate", "sideways"], /sideways/], [["serve", "--config"], /--config/]]) {
      const result = run(args);
      assert.equal(result.code, 2, args.join(" "));
      assert.match(result.stderr, hint);
      assert.equal(result.stdout, "");
    }
    for (const args of [["--help"], ["help"], ["help", "serve"], ["serve", "--help"], ["version"], ["--version"]]) assert.equal(run(args).code, 0, args.join(" "));
    assert.equal(run([]).code, 2);
  });
});

describe("check", () => {
  it("is content with what is good, and explains rules", (t) => {
    const { run } = workplace(t);
    const good = run(["check"]);
    assert.equal(good.code, 0, good.stderr);
    const explained = run(["check", "--explain"]);
    assert.equal(explained.code, 0);
    assert.match(explained.stdout, /things/);
  });

  it("--live asks the server that runs", async (t) => {
    const server = await startPurlin(t, { contracts: { things: things() } });
    const env = { ...environment(server.folder, server.contractsFolder), PORT: String(server.port) };
    const live = runPurlin(["check", "--live"], { env });
    assert.equal(live.code, 0, live.stderr);
    await server.stop();
    const dead = runPurlin(["check", "--live"], { env });
    assert.equal(dead.code, 1);
    assert.ok(dead.stderr);
  });
});

describe("documents of the program", () => {
  it("the ones in the repository are what it prints", () => {
    const env = { PATH: process.env.PATH, ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? "" };
    const files = { reference: "docs/configuration.md", env: ".env.example", schema: "docs/purlin.schema.json", "contract-schema": "docs/contract.schema.json" };
    for (const [word, file] of Object.entries(files)) {
      const result = runPurlin(["config", word], { env });
      assert.equal(result.code, 0, result.stderr);
      const kept = readFileSync(path.join(root, file), "utf8"), what = `${file} is not what \`purlin config ${word}\` prints`;
      if (file.endsWith(".json")) assert.deepEqual(JSON.parse(kept), JSON.parse(result.stdout), what);
      else assert.equal(result.stdout.trim(), kept.trim(), what);
    }
  });

  it("config shows what is in force, without secrets", (t) => {
    const result = workplace(t).run(["config"], { PURLIN_GRACE: "7s" });
    assert.equal(result.code, 0);
    assert.match(result.stdout, /^server\.grace +7/m);
    assert.ok(!result.stdout.includes(adminKey));
    assert.match(result.stdout, /^admin_key +\*\*\*/m);
  });

  it("openapi is what the server has, routes are what it serves", async (t) => {
    const server = await startPurlin(t, { contracts: { things: things() } });
    const env = environment(server.folder, server.contractsFolder);
    const printed = runPurlin(["openapi"], { env });
    assert.equal(printed.code, 0, printed.stderr);
    assert.deepEqual(JSON.parse(printed.stdout), (await server.get("/openapi.json")).body);
    const routes = runPurlin(["routes"], { env });
    assert.equal(routes.code, 0, routes.stderr);
    for (const route of [/^GET +\/health\/live +public/m, /^GET +\/health\/detailed +purlin:health/m, /things/]) assert.match(routes.stdout, route);
  });
});

describe("migrate", () => {
  it("diff, up, status, redo, down and new", (t) => {
    const { run, folder, contract } = workplace(t);
    const migrations = path.join(folder, "migrations");
    const ok = (args, pattern) => {
      const result = run(["migrate", ...args]);
      assert.equal(result.code, 0, `${args.join(" ")}: ${result.stderr}`);
      if (pattern) assert.match(result.stdout, pattern);
      return result.stdout;
    };
    ok(["status"], /No migrations/);
    ok(["diff"], /things: create/);
    ok(["status"], /0001 +create_things +pending/);
    ok(["up", "--dry-run"], /1 would be applied/);
    ok(["status"], /pending/);
    ok(["up"], /1 applied/);
    ok(["status"], /applied +\d{4}-/);
    ok(["diff"], /Nothing to do/);
    ok(["up"], /0 applied/);
    assert.equal(run(["seed-nothing"]).code, 2);

    contract("things", things("  size: { type: integer, default: 3 }\n"));
    ok(["diff", "--name", "sizes"], /add column size/);
    assert.deepEqual(readdirSync(migrations).sort(), ["0001_create_things.down.sql", "0001_create_things.up.sql", "0002_sizes.down.sql", "0002_sizes.up.sql"]);
    ok(["up"], /1 applied/);

    // The way back loses what was put into the column.
    const refused = run(["migrate", "down"]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /--allow-destructive/);
    assert.equal(run(["migrate", "redo"]).code, 1);
    ok(["redo", "--allow-destructive"], /1 undone[\s\S]*1 applied/);
    ok(["down", "--allow-destructive"], /1 undone/);
    ok(["status"], /0001 +create_things +applied[\s\S]*0002 +sizes +pending/);
    ok(["up"], /1 applied/);

    ok(["new", "by_hand"], /0003_by_hand\.up\.sql/);
    writeFileSync(path.join(migrations, "0003_by_hand.up.sql"), "CREATE TABLE extra (x INTEGER) STRICT;\nINSERT INTO nonsense VALUES (1);\n");
    writeFileSync(path.join(migrations, "0003_by_hand.down.sql"), "DROP TABLE extra;\n");
    const failed = run(["migrate", "up"]);
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /0003_by_hand\.up\.sql.*nonsense/s);
    ok(["status"], /0003 +by_hand +pending/);
    assert.equal(run(["migrate", "new", "Bad Name"]).code, 2);

    // An applied file is not to be changed.
    writeFileSync(path.join(migrations, "0001_create_things.up.sql"), "SELECT 1;\n");
    const changed = run(["migrate", "up"]);
    assert.equal(changed.code, 1);
    assert.match(changed.stderr, /0001/);
  });

  it("a column that goes takes a flag", (t) => {
    const { run, contract } = workplace(t, { things: things("  size: { type: integer, default: 3 }\n") });
    for (const args of [["diff"], ["up"]]) assert.equal(run(["migrate", ...args]).code, 0);
    contract("things", things());
    assert.match(run(["migrate", "diff"]).stdout, /loses data[\s\S]*--allow-destructive/);
    assert.equal(run(["migrate", "up"]).code, 1);
    assert.equal(run(["migrate", "up", "--allow-destructive"]).code, 0);
  });

  it("a renamed field keeps its data", async (t) => {
    const { run, contract, folder, contractsFolder } = workplace(t);
    for (const args of [["diff"], ["up"]]) assert.equal(run(["migrate", ...args]).code, 0);
    const server = await startPurlin(t, { folder, contracts: contractsFolder });
    const { id } = (await server.post("/api/v1/things", { body: { name: "kept" } })).body;
    await server.stop();
    contract("things", things().replace("name:", "title:"));
    assert.equal(run(["migrate", "diff", "--rename", "things.name=things.title"]).code, 0);
    const up = run(["migrate", "up"]);
    assert.equal(up.code, 0, up.stderr);
    const next = await startPurlin(t, { folder, contracts: contractsFolder });
    assert.equal((await next.get(`/api/v1/things/${id}`)).body.title, "kept");
  });
});

describe("backup and restore", () => {
  it("copies while it is written to, and puts back", async (t) => {
    const server = await startPurlin(t, { contracts: { things: things() } });
    const env = environment(server.folder, server.contractsFolder);
    const copy = path.join(server.folder, "copy.db");
    const acknowledged = [];
    let stop = false;
    const load = async () => {
      while (!stop) {
        const answer = await server.post("/api/v1/things", { body: { name: `row ${acknowledged.length}` } });
        assert.equal(answer.status, 201);
        acknowledged.push(answer.body.id);
      }
    };
    const loads = [load(), load()];
    await sleep(300);
    const before = [...acknowledged];
    const child = spawn(purlinBin, ["backup", copy], { env, cwd: server.folder, stdio: ["ignore", "pipe", "pipe"] });
    let errors = "";
    child.stderr.on("data", (chunk) => (errors += chunk));
    const [code] = await once(child, "exit");
    stop = true;
    await Promise.all(loads);
    assert.equal(code, 0, errors);
    assert.ok(statSync(copy).size > 0);
    assert.ok(!readdirSync(server.folder).some((name) => /copy\.db.+/.test(name)), "nothing half-made is left");
    // A file that is there is replaced, as a job of every night would have it; never the database itself.
    const other = path.join(server.folder, "other.db");
    writeFileSync(other, "something else");
    assert.equal(runPurlin(["backup", other], { env, cwd: server.folder }).code, 0);
    assert.equal(readFileSync(other).subarray(0, 15).toString(), "SQLite format 3");
    assert.equal(runPurlin(["backup", path.join(server.folder, "purlin.db")], { env, cwd: server.folder }).code, 1);

    const running = runPurlin(["restore", copy, "--yes"], { env, cwd: server.folder });
    assert.equal(running.code, 1, "not while it runs");
    await server.stop();
    const unsure = runPurlin(["restore", copy], { env, cwd: server.folder });
    assert.equal(unsure.code, 2);
    assert.match(unsure.stderr, /--yes/);
    const damaged = path.join(server.folder, "damaged.db");
    copyFileSync(copy, damaged);
    const bytes = readFileSync(damaged);
    bytes.fill(0xff, 5000, 9000);
    writeFileSync(damaged, bytes);
    assert.equal(runPurlin(["restore", damaged, "--yes"], { env, cwd: server.folder }).code, 1);
    const restored = runPurlin(["restore", copy, "--yes"], { env, cwd: server.folder });
    assert.equal(restored.code, 0, restored.stderr);

    const next = await startPurlin(t, { folder: server.folder, contracts: server.contractsFolder });
    const kept = new Set();
    for (let target = "/api/v1/things?limit=100"; target; ) {
      const page = (await next.get(target)).body;
      page.data.forEach((row) => kept.add(row.id));
      target = page.page.next ? `/api/v1/things?limit=100&cursor=${encodeURIComponent(page.page.next)}` : null;
    }
    for (const id of before) assert.ok(kept.has(id), "what was acknowledged before the backup is in it");
    assert.ok(kept.size <= acknowledged.length);
  });

  it("a folder that is not there is said", (t) => {
    const { run, folder } = workplace(t);
    run(["migrate", "diff"]);
    run(["migrate", "up"]);
    const result = run(["backup", path.join(folder, "no/such/folder/copy.db")]);
    assert.equal(result.code, 1);
    assert.ok(result.stderr);
    assert.equal(run(["restore", path.join(folder, "nothing.db"), "--yes"]).code, 1);
  });
});
