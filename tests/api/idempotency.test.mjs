/* Idempotency-Key: sent again, answered again, done once. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { anyId, startAs } from "../support/as.mjs";

const contracts = {
  things: `
resource: things
fields:
  name: { type: string, max: 50, required: true }
soft_delete: true
rules: { read: true, create: true, update: true, delete: true }
`,
};
const things = "/api/v1/things";

describe("Idempotency-Key", () => {
  let api;
  const cleanups = [];
  before(async () => {
    api = await startAs({ after: (fn) => cleanups.push(fn) }, contracts);
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });
  const total = async () => (await api.get(things + "?count=exact&limit=1")).body.page.total;
  const keyed = (key, more = {}) => ({ ...more, headers: { "idempotency-key": key, ...(more.headers ?? {}) } });

  it("the same request again gets the same answer and does nothing", async () => {
    const first = await api.post(things, { name: "a" }, keyed("k1"));
    assert.equal(first.status, 201);
    assert.equal(first.headers.get("idempotency-replayed"), null);
    const count = await total();
    const again = await api.post(things, { name: "a" }, keyed("k1"));
    assert.equal(again.status, 201);
    assert.equal(again.headers.get("idempotency-replayed"), "true");
    assert.equal(again.text, first.text);
    assert.equal(again.headers.get("location"), first.headers.get("location"));
    assert.equal(again.headers.get("etag"), first.headers.get("etag"));
    assert.equal(await total(), count);
  });

  it("another request with the key is 422", async () => {
    await api.post(things, { name: "a" }, keyed("k2"));
    const other = await api.post(things, { name: "b" }, keyed("k2"));
    assert.equal(other.status, 422);
    assert.equal(other.body.code, "key_reused");
    assert.equal((await api.post("/api/v1/batch", { operations: [] }, keyed("k2"))).status, 422);
  });

  it("what was refused is not kept: it may be mended", async () => {
    assert.equal((await api.post(things, { name: 5 }, keyed("k3"))).status, 422);
    assert.equal((await api.post(things, { name: "mended" }, keyed("k3"))).status, 201);
  });

  it("keys belong to who sends them", async () => {
    const answers = [];
    for (const as of [{}, { user: anyId() }, { user: anyId() }, { roles: "admin" }]) answers.push(await api.post(things, { name: "own" }, keyed("k4", as)));
    assert.equal(new Set(answers.map((a) => a.body.id)).size, 4);
  });

  it("of many at once one does it, the others are told to wait or get its answer", async () => {
    const count = await total();
    const answers = await Promise.all(Array.from({ length: 40 }, () => api.post(things, { name: "at once" }, keyed("k5"))));
    for (const answer of answers) assert.ok([201, 409].includes(answer.status), answer.text);
    for (const answer of answers.filter((a) => a.status === 409)) assert.ok(Number(answer.headers.get("retry-after")) >= 1);
    assert.equal(new Set(answers.filter((a) => a.status === 201).map((a) => a.text)).size, 1);
    assert.equal(await total(), count + 1);
  });

  it("holds for batches, minimal answers and restores", async () => {
    const operations = [{ method: "POST", path: "/things", body: { name: "x" } }, { method: "POST", path: "/things", body: { name: "y" } }];
    const first = await api.post("/api/v1/batch", { operations }, keyed("k6"));
    const again = await api.post("/api/v1/batch", { operations }, keyed("k6"));
    assert.equal(again.text, first.text);
    assert.equal(again.headers.get("idempotency-replayed"), "true");
    const minimal = keyed("k7", { headers: { prefer: "return=minimal" } });
    const one = await api.post(things, { name: "m" }, minimal), two = await api.post(things, { name: "m" }, minimal);
    assert.equal(two.status, 201);
    assert.equal(two.text, "");
    assert.equal(two.headers.get("location"), one.headers.get("location"));
    const path = first.body.results[0].location;
    await api.delete(path);
    const restored = await api.post(`${path}/restore`, undefined, keyed("k8"));
    await api.delete(path);
    const replayed = await api.post(`${path}/restore`, undefined, keyed("k8"));
    assert.equal(replayed.text, restored.text);
    assert.equal((await api.get(path)).status, 404);
  });

  it("a key is 1 to 255 visible characters", async () => {
    for (const key of ["x".repeat(256), "with space", ""]) assert.equal((await api.post(things, { name: "a" }, keyed(key))).status, 400, key);
    assert.equal((await api.post(things, { name: "a" }, keyed("x".repeat(255)))).status, 201);
  });
});

describe("Idempotency-Key, later", () => {
  it("is forgotten after its time, and purged", async (t) => {
    const api = await startAs(t, contracts, { env: { PURLIN_API_IDEMPOTENCY_TTL: "1s" } });
    const send = (key, name) => api.post(things, { name }, { headers: { "idempotency-key": key } });
    const first = await send("k", "a");
    assert.equal((await send("k", "a")).text, first.text);
    await sleep(1100);
    const second = await send("k", "other");
    assert.equal(second.status, 201);
    assert.notEqual(second.body.id, first.body.id);
    for (let i = 0; i < 70; i++) await send(`p${i}`, "p");
  });
});

describe("Idempotency-Key, in two processes", () => {
  it("does the work once", async (t) => {
    const one = await startAs(t, contracts);
    const two = await startAs(t, contracts, { folder: one.server.folder });
    const answers = [];
    for (let round = 0; round < 20; round++) {
      const send = (api) => api.post(things, { name: `r${round}` }, { headers: { "idempotency-key": `r${round}` } });
      answers.push(...(await Promise.all([send(one), send(two), send(one), send(two)])));
      assert.equal((await send(two)).status, 201);
    }
    for (const answer of answers) assert.ok([201, 409].includes(answer.status), answer.text);
    assert.equal((await one.get(things + "?count=exact&limit=1")).body.page.total, 20);
  });
});
