/* What happens to a server in the hands of operators: a database that is none, two servers of one database, copies under load, a full disk. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { environment, purlinBin, runPurlin, startPurlin, temporaryFolder, writeContracts } from "../support/purlin.mjs";

const contracts = {
  notes: `
resource: notes
fields:
  text: { type: text, max: 60000 }
search: [text]
rules: { read: true, create: true, update: true, delete: true }
`,
};
const notes = "/api/v1/notes";
const total = async (server) => (await server.get(`${notes}?count=exact&limit=1`)).body.page.total;

test("a database that is none, or cannot be reached, is said in a line and left alone", (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(path.join(folder, "text.db"), "this is a text, and long enough to be the header of something ".repeat(20));
  writeFileSync(path.join(folder, "in-the-way"), "");
  mkdirSync(path.join(folder, "folder.db"));
  const known = writeContracts(folder, contracts);
  for (const name of ["text.db", "folder.db", "in-the-way/x.db"])
    for (const verb of [["serve"], ["migrate", "status"], ["backup", path.join(folder, "copy.db")], ["export", "notes", "--to", folder]]) {
      const run = runPurlin(verb, { env: environment(folder, known, { DATABASE_URL: `sqlite:${folder}/${name}` }), timeout: 20_000 });
      assert.ok([1, 2].includes(run.code), `${name} ${verb}: ${run.code} ${run.signal} ${run.stderr}`);
      assert.match(run.stderr, /^purlin /, `${name} ${verb}`);
      assert.doesNotMatch(run.stderr, /Sanitizer/);
      assert.ok(run.stderr.trim().split("\n").length <= 4, run.stderr);
    }
});

test("two servers of one database, a copy taken meanwhile, and a restore that has to wait", async (t) => {
  const folder = temporaryFolder(t);
  const one = await startPurlin(t, { folder, contracts });
  const two = await startPurlin(t, { folder, contracts });
  const env = environment(folder, one.contractsFolder);
  const write = async (server, n) => {
    for (let i = 0; i < n; i++) assert.equal((await server.post(notes, { body: { text: `word${i}` } })).status, 201);
  };
  const copy = path.join(folder, "copy.db");
  const writing = Promise.all([write(one, 60), write(two, 60)]);
  const backup = runPurlin(["backup", copy], { env });
  assert.equal(backup.code, 0, backup.stderr);
  await writing;
  assert.deepEqual([await total(one), await total(two)], [120, 120]);
  assert.equal((await two.get(`${notes}?q=word59&count=exact`)).body.page.total, 2);

  const refused = runPurlin(["restore", "--yes", copy], { env });
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /open/);
  await write(one, 1);
  assert.equal(await total(two), 121);
  for (const server of [one, two]) assert.equal((await server.stop()).code, 0);
  assert.equal(runPurlin(["restore", "--yes", copy], { env }).code, 0);
  const again = await startPurlin(t, { folder, contracts });
  assert.ok((await total(again)) <= 120);
  await write(again, 1);
});

test("a full disk: writes are 503, reads go on, and it recovers by itself", async (t) => {
  let data;
  /* Hooks run in the order they are named: this one before the folder goes. */
  t.after(() => spawnSync("umount", ["-l", data]));
  const folder = temporaryFolder(t);
  data = path.join(folder, "data");
  mkdirSync(data);
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=3m", "tmpfs", data]).status !== 0) {
    t.skip("may not mount a small disk");
    return;
  }
  const server = await startPurlin(t, { folder, contracts, env: { DATABASE_URL: `sqlite:${data}/purlin.db` } });
  const post = () => server.post(notes, { body: { text: Array.from({ length: 2000 }, () => Math.random()).join(" ") } });
  let written = 0;
  let answer;
  while ((answer = await post()).status === 201) assert.ok(++written < 200);
  assert.equal(answer.status, 503, answer.text);
  assert.ok(Number(answer.headers.get("retry-after")) > 0);
  assert.match(answer.body.type, /disk-full$/);
  assert.equal(await total(server), written);
  assert.equal((await server.get(`${notes}/export`)).text.trim().split("\n").length, written);
  assert.equal((await server.get("/health/live")).status, 200);
  assert.equal(spawnSync("mount", ["-o", "remount,size=32m", data]).status, 0);
  let tries = 0;
  while ((answer = await post()).status === 503) {
    assert.ok(++tries < 50);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.equal(answer.status, 201, answer.text);
  assert.equal(await total(server), written + 1);
  assert.equal((await server.stop()).code, 0);
});

test("a migration that is killed is applied whole or not at all", async (t) => {
  const folder = temporaryFolder(t);
  const rules = "rules: { read: true, create: true, update: true, delete: true }";
  const before = `resource: notes\nfields:\n  text: { type: text }\n  size: { type: integer }\nsearch: [text]\n${rules}\n`;
  const after = before.replace("text }", "text, required: true }").replace("integer }", "integer, unique: true }\n  kind: { enum: [a, b], default: a }");
  const known = writeContracts(folder, { notes: before });
  const env = environment(folder, known, { PURLIN_AUTO_MIGRATE: "off" });
  const migrate = (...args) => runPurlin(["migrate", ...args], { env });
  assert.equal(migrate("diff").code + migrate("up").code, 0);
  const server = await startPurlin(t, { folder, contracts: known });
  for (let i = 0; i < 40; i++) {
    const operations = Array.from({ length: 100 }, (_, j) => ({ method: "POST", path: "/notes", body: { text: "some words", size: i * 100 + j } }));
    assert.equal((await server.post("/api/v1/batch", { body: { operations }, headers: { prefer: "return=minimal" } })).status, 200);
  }
  await server.stop();
  writeContracts(folder, { notes: after });
  assert.equal(migrate("diff").code, 0);
  for (let i = 0; i < 6; i++) {
    const child = spawn(purlinBin, ["migrate", "up", "--allow-destructive"], { env, stdio: "ignore" });
    const exited = once(child, "exit");
    await new Promise((resolve) => setTimeout(resolve, 20 + i * 25));
    child.kill("SIGKILL");
    await exited;
    const status = migrate("status");
    assert.equal(status.code, 0, status.stderr);
    assert.match(status.stdout, /0002 .*(pending|applied)/);
  }
  const up = migrate("up", "--allow-destructive");
  assert.equal(up.code, 0, up.stderr);
  const again = await startPurlin(t, { folder, contracts: known, env: { PURLIN_AUTO_MIGRATE: "off", PURLIN_ENV: "development" } });
  const found = (await again.get(`${notes}?q=words&kind=a&count=exact&limit=1`)).body.page;
  assert.equal(found.total, 4000);
});
