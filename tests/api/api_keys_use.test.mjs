/* API keys in requests: who they are, where from, until when; refused with one answer and a reason for the operator; used without a write. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { environment, runPurlin, startPurlin } from "../support/purlin.mjs";

const contracts = {
  things: `
resource: things
fields:
  name: { type: string }
rules: { read: '"reader" in @roles', create: '"importer" in @roles' }
`,
};
const things = "/api/v1/things";
const env = { PURLIN_SECRET: "a-secret-of-the-tests-0123456789" };

describe("an API key in a request", () => {
  let server;
  const cleanups = [];
  before(async () => {
    server = await startPurlin({ after: (fn) => cleanups.push(fn) }, { contracts, env });
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  const run = (...args) => {
    const result = runPurlin(args, { env: environment(server.folder, server.contractsFolder, env) });
    assert.equal(result.code, 0, result.stderr);
    return result.stdout.trim().split("\n").filter(Boolean);
  };
  const make = (...args) => JSON.parse(run("key", "create", "--name", "n", ...args, "--json")[0]);
  const read = (key) => server.get(things, { headers: { "x-api-key": key } });
  /* What other processes do reaches this one within seconds. */
  const until = async (what, check) => {
    const end = Date.now() + 30_000;
    for (;;) {
      const found = await check();
      if (found) return found;
      assert.ok(Date.now() < end, `never: ${what}`);
    }
  };

  it("has the roles that it was given, by either header", async () => {
    assert.equal((await server.get(things)).status, 401);
    const { secret } = make("--role", "reader");
    assert.equal((await read(secret)).status, 200);
    assert.equal((await server.get(things, { headers: { authorization: `Bearer ${secret}` } })).status, 200);
    const create = (key) => server.post(things, { headers: { "x-api-key": key }, body: { name: "x" } });
    assert.equal((await create(secret)).status, 403);
    assert.equal((await create(make("--role", "importer", "--role", "reader").secret)).status, 201);
  });

  it("is refused in one way, whatever the reason", async () => {
    const bound = make("--role", "reader", "--address", "192.0.2.0/24");
    const rotated = make("--role", "reader");
    run("key", "rotate", rotated.id, "--grace", "0s");
    const revoked = make("--role", "reader");
    run("key", "revoke", revoked.id);
    const unknown = "purlin_key_0000000000000000000000000000000000000000000_";
    const answers = [];
    for (const key of [bound.secret, rotated.secret, revoked.secret, `${unknown}000000`]) {
      const { status, body, headers } = await read(key);
      answers.push({ status, type: body.type, title: body.title, detail: body.detail, challenge: headers.get("www-authenticate") });
    }
    assert.equal(answers[0].status, 401);
    for (const answer of answers) assert.deepEqual(answer, answers[0]);
    const reasons = await until("the refusals are in the log", async () => {
      const { body } = await server.get("/api/v1/audit?act=key.refused", { admin: true });
      return body.data.length >= 3 && body.data;
    });
    assert.deepEqual(reasons.map((row) => [row.subject.id, row.details.reason]).sort(),
      [[bound.id, "address"], [rotated.id, "rotated"], [revoked.id, "revoked"]].sort());
    assert.ok(reasons.every((row) => row.address === "127.0.0.1" && row.outcome === "refused"));
    const metrics = (await server.get("/metrics")).text;
    for (const outcome of ["address", "rotated", "revoked", "malformed"])
      assert.match(metrics, new RegExp(`purlin_api_key_checks_total\\{outcome="${outcome}"\\} [1-9]`));
  });

  it("ends while it is in use", async () => {
    const { id, secret } = make("--role", "reader");
    for (let i = 0; i < 20; i++) assert.equal((await read(secret)).status, 200);
    run("key", "revoke", id);
    const from = Date.now();
    await until("the revoked key is refused", async () => (await read(secret)).status === 401);
    assert.ok(Date.now() - from < 20_000, `${Date.now() - from} ms`);
  });

  it("is rotated without a gap", async () => {
    const { id, secret } = make("--role", "reader");
    assert.equal((await read(secret)).status, 200);
    const next = JSON.parse(run("key", "rotate", id, "--json")[0]).secret;
    assert.equal((await read(next)).status, 200);
    assert.equal((await read(secret)).status, 200, "within the grace");
    run("key", "rotate", id, "--grace", "0s");
    await until("both old secrets are refused", async () => (await read(next)).status === 401 && (await read(secret)).status === 401);
  });

  it("shows when and from where it was last used", async () => {
    const { id, secret } = make("--role", "reader");
    assert.equal((await read(secret)).status, 200);
    const used = await until("the use is written", () =>
      run("key", "list", "--json").map((line) => JSON.parse(line)).find((key) => key.id === id && key.last_used_at));
    assert.equal(used.last_used_address, "127.0.0.1");
    assert.ok(Math.abs(Date.parse(used.last_used_at) - Date.now()) < 120_000);
  });

  it("is named in the log by its id", async () => {
    const { id, secret } = make("--role", "reader");
    assert.equal((await server.get(`${things}/export?format=csv`, { headers: { "x-api-key": secret } })).status, 200);
    const [row] = await until("the export is in the log", async () => {
      const { body } = await server.get(`/api/v1/audit?act=data.exported&user=${id}`, { admin: true });
      return body.data.length && body.data;
    });
    assert.deepEqual(row.actor, { kind: "key", id });
    assert.deepEqual(row.subject, { kind: "resource", id: "things" });
  });
});
