/*
 * The audit log of the real program: what is done at the machine stands in it, administrators read it, and `purlin audit` verifies it
 * while the server runs and after it was killed.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import test, { after, before, describe, it } from "node:test";
import { environment, runPurlin, startPurlin, temporaryFolder } from "../support/purlin.mjs";

const contracts = { things: "resource: things\nfields:\n  name: { type: string }\nrules: { read: true, create: true }\n" };
const secret = "a-secret-of-the-tests-0123456789";

/* A server, and the verbs on its database. */
async function startAudited(t, env = {}) {
  const server = await startPurlin(t, { contracts, env: { PURLIN_SECRET: secret, ...env } });
  server.run = (args, more = {}) =>
    runPurlin(args, { env: environment(server.folder, server.contractsFolder, { PURLIN_SECRET: secret, ...env, ...more }) });
  server.makeKey = (name) => {
    const made = server.run(["key", "create", "--name", name, "--role", "reader", "--json"]);
    assert.equal(made.code, 0, made.stderr);
    return JSON.parse(made.stdout);
  };
  return server;
}

describe("GET /api/v1/audit", () => {
  let server, ids;
  const cleanups = [];
  before(async () => {
    server = await startAudited({ after: (fn) => cleanups.push(fn) });
    ids = ["one", "two", "three", "four"].map((name) => server.makeKey(name).id);
    assert.equal(server.run(["key", "revoke", ids[1]]).code, 0);
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });
  const list = async (query = "") => {
    const answer = await server.get(`/api/v1/audit${query}`, { admin: true });
    assert.equal(answer.status, 200, answer.text);
    return answer;
  };

  it("is for administrators", async () => {
    const answer = await server.get("/api/v1/audit");
    assert.equal(answer.status, 401);
    assert.equal(answer.headers.get("content-type"), "application/problem+json");
    assert.doesNotMatch(answer.text, /key\.created/);
  });

  it("shows what was done, newest first", async () => {
    const { body, headers } = await list();
    assert.deepEqual(body.data.map((row) => row.act), ["key.revoked", ...Array(4).fill("key.created"), "audit.began"]);
    assert.deepEqual(body.data.map((row) => row.seq), [6, 5, 4, 3, 2, 1]);
    assert.deepEqual(body.page, { limit: 20, next: null, has_more: false });
    assert.equal(headers.get("cache-control"), "no-store");
    const [revoked, created] = body.data;
    assert.deepEqual(revoked.subject, { kind: "key", id: ids[1] });
    assert.equal(revoked.actor.kind, "operator");
    assert.ok(revoked.actor.id.length > 0);
    assert.deepEqual(created.details, { name: "four", user: null, roles: "reader", scopes: "", addresses: "" });
    assert.ok(Date.parse(revoked.at) >= Date.parse(created.at));
  });

  it("pages by cursor, each row once", async () => {
    const seen = [];
    let at = "/api/v1/audit?limit=4";
    for (let pages = 0; at; pages++) {
      assert.ok(pages < 3);
      const answer = await server.get(at, { admin: true });
      seen.push(...answer.body.data.map((row) => row.seq));
      at = answer.headers.get("link")?.match(/<([^>]+)>; rel="next"/)?.[1];
      assert.equal(answer.body.page.has_more, Boolean(at));
    }
    assert.deepEqual(seen, [6, 5, 4, 3, 2, 1]);
  });

  it("filters by act, user and time", async () => {
    const seqs = async (query) => (await list(query)).body.data.map((row) => row.seq);
    assert.deepEqual(await seqs("?act=key.revoked"), [6]);
    assert.deepEqual(await seqs(`?user=${ids[1]}`), [6, 3]);
    assert.deepEqual(await seqs(`?user=${ids[1]}&act=key.created`), [3]);
    assert.deepEqual(await seqs(`?user=${ids[1]}&limit=1`), [6]);
    assert.deepEqual(await seqs("?user=nobody"), []);
    const operator = (await list("?limit=1")).body.data[0].actor.id;
    assert.deepEqual(await seqs(`?user=${encodeURIComponent(operator)}`), [6, 5, 4, 3, 2]);
    const third = (await list()).body.data.find((row) => row.seq === 3).at;
    const day = 86_400_000;
    assert.deepEqual(await seqs(`?until=${new Date(Date.parse(third) - day).toISOString()}`), []);
    assert.equal((await seqs(`?since=${new Date(Date.parse(third) - day).toISOString()}`)).length, 6);
    assert.deepEqual(await seqs(`?since=${new Date(Date.now() + day).toISOString()}`), []);
  });

  it("keeps the filters on the next page", async () => {
    const first = await list("?act=key.created&limit=3");
    assert.deepEqual(first.body.data.map((row) => row.seq), [5, 4, 3]);
    const next = first.headers.get("link").match(/<([^>]+)>/)[1];
    const second = await server.get(next, { admin: true });
    assert.deepEqual(second.body.data.map((row) => row.seq), [2]);
    assert.equal(second.body.page.has_more, false);
  });

  it("says what is wrong with a query", async () => {
    const rows = [
      ["?act=key", "?act", "enum"],
      ["?since=yesterday", "?since", "format"],
      ["?until=2026-13-01T00:00:00Z", "?until", "format"],
      ["?limit=0", "?limit", "range"],
      ["?limit=101", "?limit", "range"],
      ["?limit=x", "?limit", "range"],
      ["?cursor=x", "?cursor", "format"],
      ["?cursor=1.", "?cursor", "format"],
      ["?cursor=.1", "?cursor", "format"],
      ["?cursor=1.0", "?cursor", "format"],
      [`?cursor=1.${"1".repeat(60)}`, "?cursor", "format"],
      ["?user=", "?user", "format"],
      [`?user=${"u".repeat(129)}`, "?user", "format"],
      ["?limit=1&limit=2", "?limit", "repeated"],
      ["?sort=at", "?sort", "unknown_parameter"],
    ];
    for (const [query, pointer, code] of rows) {
      const answer = await server.get(`/api/v1/audit${query}`, { admin: true });
      assert.equal(answer.status, 400, query);
      assert.deepEqual(answer.body.errors.map((e) => [e.pointer, e.code]), [[pointer, code]], query);
    }
  });

  it("stands in the document with its parameters", async () => {
    const { body } = await server.get("/openapi.json");
    const operation = body.paths["/api/v1/audit"].get;
    assert.deepEqual(operation.parameters.map((p) => p.name), ["act", "user", "since", "until", "limit", "cursor"]);
    assert.ok(operation.responses["401"]);
  });

  it("is verified while the server runs", () => {
    const result = server.run(["audit", "verify", "--json"]);
    assert.equal(result.code, 0, result.stderr);
    const report = JSON.parse(result.stdout);
    assert.equal(report.whole, true);
    assert.equal(report.rows, 6);
    assert.equal(report.secret, "configured");
    const held = server.run(["audit", "verify", "--head", report.head]);
    assert.equal(held.code, 0, held.stderr);
    assert.match(held.stdout, /whole: 6 rows, 1 to 6/);
    const other = server.run(["audit", "verify", "--head", report.head.replace(/^6:/, "5:")]);
    assert.equal(other.code, 1);
    assert.match(other.stderr, /Row 5 is another one/);
    assert.match(server.run(["audit", "verify", "--head", report.head.replace(/^6:/, "7:")]).stderr, /Row 7, the newest, is missing/);
  });

  it("is listed at the machine", () => {
    const lines = (args) => {
      const result = server.run(["audit", "list", "--json", ...args]);
      assert.equal(result.code, 0, result.stderr);
      return result.stdout.trim().split("\n").filter(Boolean).map((line) => JSON.parse(line).seq);
    };
    assert.deepEqual(lines([]), [6, 5, 4, 3, 2, 1]);
    assert.deepEqual(lines(["--limit", "2"]), [6, 5]);
    assert.deepEqual(lines(["--limit", "0", "--act", "key.created"]), [5, 4, 3, 2]);
    assert.deepEqual(lines(["--user", ids[1]]), [6, 3]);
    assert.deepEqual(lines(["--since", "1h"]), [6, 5, 4, 3, 2, 1]);
    assert.deepEqual(lines(["--until", "1h"]), []);
    assert.match(server.run(["audit", "list"]).stdout, /key\.revoked +ok +operator .* -> key /);
  });
});

test("wrong calls of purlin audit say what is right", (t) => {
  const folder = temporaryFolder(t);
  const env = environment(folder, folder, { PURLIN_SECRET: secret });
  const rows = [
    [["audit"], 2, /verify or list/],
    [["audit", "repair"], 2, /there is no purlin audit repair/],
    [["audit", "verify", "now"], 2, /unexpected argument now/],
    [["audit", "verify", "--act", "logout"], 2, /verify takes --from, --head and --json only/],
    [["audit", "verify", "--from", "0"], 2, /number of a row/],
    [["audit", "verify", "--head", "12"], 2, /NUMBER:HASH/],
    [["audit", "list", "--from", "3"], 2, /are of verify/],
    [["audit", "list", "--act", "login"], 2, /there is no act login/],
    [["audit", "list", "--since", "soon"], 2, /--since must be/],
    [["audit", "list", "--limit", "-1"], 2, /--limit must be/],
    [["audit", "verify"], 1, /Cannot open the database file/],
  ];
  for (const [args, code, words] of rows) {
    const result = runPurlin(args, { env });
    assert.equal(result.code, code, `${args.join(" ")}: ${result.stderr}`);
    assert.match(result.stderr, words);
  }
  assert.ok(!existsSync(`${folder}/purlin.db`), "verifying makes no database");
});

test("a killed server leaves a whole log, and the next one goes on", async (t) => {
  const server = await startAudited(t);
  for (let i = 0; i < 3; i++) server.makeKey(`before ${i}`);
  await server.kill("SIGKILL");
  assert.equal(JSON.parse(server.run(["audit", "verify", "--json"]).stdout).rows, 4);
  server.makeKey("after");
  assert.equal(JSON.parse(server.run(["audit", "verify", "--json"]).stdout).rows, 5);
});

test("the log follows a change of the secret", async (t) => {
  const server = await startAudited(t);
  server.makeKey("one");
  await server.stop();
  const other = "another-secret-of-the-tests-0123";
  const refused = server.run(["key", "list"], { PURLIN_SECRET: other });
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /sealed with another secret.*secret_previous/s);
  const unverified = server.run(["audit", "verify"], { PURLIN_SECRET: other });
  assert.equal(unverified.code, 1);
  assert.match(unverified.stderr, /no secret opens/);
  assert.equal(server.run(["key", "list"], { PURLIN_SECRET: other, PURLIN_SECRET_PREVIOUS: secret }).code, 0);
  assert.equal(server.run(["audit", "verify"], { PURLIN_SECRET: other }).code, 0);
  assert.equal(server.run(["audit", "verify"]).code, 1);
});

test("without a configured secret the log says that it protects little", async (t) => {
  const server = await startPurlin(t, { contracts });
  await server.stop();
  const env = environment(server.folder, server.contractsFolder);
  assert.equal(runPurlin(["key", "create", "--name", "n", "--role", "r"], { env }).code, 0);
  const result = runPurlin(["audit", "verify"], { env });
  assert.equal(result.code, 0, result.stderr);
  assert.match(result.stderr, /Set PURLIN_SECRET/);
});

test("exports and imports are in the log", async (t) => {
  const server = await startAudited(t);
  for (const name of ["a", "b"]) assert.equal((await server.post("/api/v1/things", { body: { name }, admin: true })).status, 201);
  assert.equal((await server.get("/api/v1/things/export?format=csv", { headers: { "user-agent": "nosy" } })).status, 200);
  assert.equal((await server.get("/api/v1/nothing/export")).status, 404);
  // What was noted is written at the latest when the server ends.
  await server.stop();
  const out = `${server.folder}/out`;
  const exported = server.run(["export", "things", "--to", out]);
  assert.equal(exported.code, 0, exported.stderr);
  const list = (more) => server.run(["audit", "list", "--json"], more).stdout.trim().split("\n").map((line) => JSON.parse(line));
  const rows = list().sort((a, b) => b.seq - a.seq); // what was noted is older than the row it waited for
  assert.deepEqual(rows.map((row) => [row.act, row.actor.kind]), [
    ["data.exported", "operator"], ["data.exported", "anonymous"], ["audit.began", "system"],
  ]);
  assert.deepEqual(rows[0].details, { rows: 2, all_fields: false, resources: ["things"] });
  assert.deepEqual(rows[1].subject, { kind: "resource", id: "things" });
  assert.equal(rows[1].user_agent, "nosy");
  assert.equal(rows[1].address, "127.0.0.1");
  assert.match(rows[1].request_id, /^\S+$/);
  // Rows that are there already are refused; an empty database takes them.
  const other = { DATABASE_URL: `sqlite:${server.folder}/other.db` };
  const errors = ["--errors", `${server.folder}/errors.ndjson`];
  assert.equal(server.run(["import", `${out}/import.yaml`, ...errors]).code, 1);
  assert.equal(server.run(["import", `${out}/import.yaml`, ...errors], other).code, 0);
  assert.deepEqual([list()[0], list(other)[0]].map((row) => [row.act, row.outcome]), [["data.imported", "failed"], ["data.imported", "ok"]]);
  assert.equal(server.run(["audit", "verify"]).code, 0);
});

test("a changed byte of the file is found", async (t) => {
  const server = await startAudited(t);
  server.makeKey("nightly-import");
  await server.stop();
  const file = `${server.folder}/purlin.db`;
  const bytes = readFileSync(file);
  const at = bytes.lastIndexOf('{"name":"nightly-import"');
  assert.ok(at > 0);
  bytes[at + 9] = "N".charCodeAt(0);
  writeFileSync(file, bytes);
  const result = server.run(["audit", "verify"]);
  assert.equal(result.code, 1);
  assert.match(result.stderr, /Row 2 is not as it was written.*\(row\)/);
});

test("audit.keep is a day at least", (t) => {
  const folder = temporaryFolder(t);
  const env = environment(folder, folder, { PURLIN_AUDIT_KEEP: "1h" });
  const result = runPurlin(["audit", "verify"], { env });
  assert.equal(result.code, 2);
  assert.match(result.stderr, /audit\.keep: must be a day at least/);
});
