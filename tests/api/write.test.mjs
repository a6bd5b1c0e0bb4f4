/* Create, replace, patch, delete, restore: what is stored, what is answered, what is refused. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { anyId, codes, query, startAs } from "../support/as.mjs";

const contracts = {
  people: `
resource: people
fields:
  name: { type: string, max: 50, required: true }
rules: { read: true, create: true, update: true, delete: true }
`,
  things: `
resource: things
fields:
  name:   { type: string, min: 2, max: 50, required: true }
  code:   { type: string, max: 20, unique: true }
  size:   { type: integer, min: 0, max: 100 }
  color:  { enum: [red, green], default: red }
  born:   { type: string, max: 20, immutable: true }
  score:  { type: integer, default: 0, readonly: true }
  pin:    { type: string, max: 20, writeonly: true, optional: true }
  price:  { type: money, optional: true }
  meta:   { type: json, optional: true }
  tags:   { type: list, of: string, default: [] }
  maker:  { ref: people, on_delete: restrict }
  keeper: { ref: people, on_delete: set_null }
  part_count: { count: parts.thing }
unique: [ [name, color] ]
soft_delete: true
rules: { read: true, create: true, update: true, delete: true }
`,
  parts: `
resource: parts
fields:
  thing: { ref: things, required: true, on_delete: cascade }
  label: { type: string, max: 20, required: true }
  bolt_count: { count: bolts.part }
rules: { read: true, create: 'label != "forbidden"', update: true, delete: true }
`,
  bolts: `
resource: bolts
fields:
  part: { ref: parts, required: true, on_delete: cascade }
  size: { type: integer, required: true }
rules: { read: true, create: true, update: true, delete: true }
`,
};

const things = "/api/v1/things";
let serial = 0;
const fresh = (more = {}) => ({ name: `thing ${++serial}`, ...more });

describe("writes", () => {
  let api;
  const cleanups = [];
  before(async () => {
    api = await startAs({ after: (fn) => cleanups.push(fn) }, contracts);
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });
  const make = async (more) => {
    const answer = await api.post(things, fresh(more));
    assert.equal(answer.status, 201, answer.text);
    return answer.body;
  };

  describe("create", () => {
    it("answers the row, where it is and its tag, as reading it does", async () => {
      const answer = await api.post(things, fresh({ size: 3, pin: "1234", price: { amount_minor: 5, currency: "EUR" }, meta: { a: [1] }, tags: ["x"] }));
      assert.equal(answer.status, 201, answer.text);
      assert.equal(answer.headers.get("location"), `${things}/${answer.body.id}`);
      assert.equal(answer.body.version, 1);
      assert.equal(answer.body.color, "red");
      assert.equal(answer.body.part_count, 0);
      assert.ok(!("pin" in answer.body));
      assert.match(answer.body.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      const read = await api.get(answer.headers.get("location"));
      assert.equal(read.text, answer.text);
      assert.equal(read.headers.get("etag"), answer.headers.get("etag"));
      assert.match(read.headers.get("etag"), /^"1-[0-9a-f]{16}"$/);
    });

    it("Prefer: return=minimal answers without a body", async () => {
      const answer = await api.post(things, fresh(), { headers: { prefer: "return=minimal" } });
      assert.equal(answer.status, 201);
      assert.equal(answer.text, "");
      assert.equal(answer.headers.get("preference-applied"), "return=minimal");
      assert.equal((await api.get(answer.headers.get("location"))).status, 200);
    });

    it("what is taken is 409 with the field", async () => {
      await make({ code: "one" });
      const answer = await api.post(things, fresh({ code: "one" }));
      assert.equal(answer.status, 409);
      assert.deepEqual(codes(answer), { "/code": "not_unique" });
      const first = await make();
      const both = await api.post(things, { name: first.name, color: first.color });
      assert.equal(both.status, 409);
      assert.deepEqual(codes(both), { "/name": "not_unique", "/color": "not_unique" });
    });

    it("a hundred at once for one value: one wins", async () => {
      const answers = await Promise.all(Array.from({ length: 100 }, () => api.post(things, fresh({ code: "race" }))));
      assert.equal(answers.filter((a) => a.status === 201).length, 1);
      assert.equal(answers.filter((a) => a.status === 409).length, 99);
    });

    it("a reference to nothing is 409 with the field", async () => {
      const answer = await api.post(things, fresh({ maker: anyId(), keeper: null }));
      assert.equal(answer.status, 409);
      assert.deepEqual(codes(answer), { "/maker": "missing_reference" });
    });

    it("takes no parameters", async () => {
      const answer = await api.post(things + "?limit=1", fresh());
      assert.equal(answer.status, 400);
      assert.deepEqual(codes(answer), { "?limit": "unknown_parameter" });
    });

    it("children are created with it, in one transaction", async () => {
      const answer = await api.post(things, fresh({ parts: [{ label: "a", bolts: [{ size: 1 }, { size: 2 }] }, { label: "b" }] }));
      assert.equal(answer.status, 201, answer.text);
      assert.equal(answer.body.part_count, 2);
      const parts = (await api.get("/api/v1/parts" + query({ thing: answer.body.id, sort: "label" }))).body.data;
      assert.deepEqual(parts.map((p) => [p.label, p.bolt_count]), [["a", 2], ["b", 0]]);
    });

    it("bad children are all reported, and nothing is kept", async () => {
      const bad = fresh({ parts: [{ label: "" }, { label: 5 }, { label: "x", thing: anyId() }, "no"] });
      const answer = await api.post(things, bad);
      assert.equal(answer.status, 422, answer.text);
      assert.deepEqual(Object.keys(codes(answer)).sort(), ["/parts/1/label", "/parts/2/thing", "/parts/3"]);
      const denied = fresh({ parts: [{ label: "fine" }, { label: "forbidden" }] });
      assert.ok([401, 403].includes((await api.post(things, denied)).status));
      assert.equal((await api.get(things + query({ name: denied.name }))).body.data.length, 0);
    });
  });

  describe("replace", () => {
    it("sets what is given, resets what is not, keeps what cannot be changed", async () => {
      const thing = await make({ size: 5, color: "green", born: "here", pin: "1", tags: ["a"] });
      const answer = await api.put(`${things}/${thing.id}`, { name: "replaced" });
      assert.equal(answer.status, 200, answer.text);
      const { name, size, color, born, tags, version, created_at } = answer.body;
      assert.deepEqual({ name, size, color, born, tags, version, created_at }, { name: "replaced", size: null, color: "red", born: "here", tags: [], version: 2, created_at: thing.created_at });
    });

    it("what was read can be sent back; what is guarded cannot be changed", async () => {
      const thing = await make({ born: "here" });
      const same = await api.put(`${things}/${thing.id}`, thing);
      assert.equal(same.status, 200, same.text);
      assert.equal(same.body.version, 1, "nothing changed");
      const answer = await api.put(`${things}/${thing.id}`, { ...thing, id: anyId(), born: "there", score: 7, version: 9 });
      assert.equal(answer.status, 422);
      assert.deepEqual(codes(answer), { "/id": "read_only", "/born": "immutable", "/score": "read_only", "/version": "read_only" });
    });

    it("needs what creating needs", async () => {
      const thing = await make();
      const answer = await api.put(`${things}/${thing.id}`, { size: 1 });
      assert.equal(answer.status, 422);
      assert.deepEqual(codes(answer), { "/name": "required" });
      assert.equal((await api.put(`${things}/${anyId()}`, fresh())).status, 404);
      assert.equal((await api.put(`${things}/12`, fresh())).status, 404);
    });

    it("conflicts name the field", async () => {
      await make({ code: "taken" });
      const thing = await make();
      const answer = await api.put(`${things}/${thing.id}`, { name: thing.name, code: "taken" });
      assert.equal(answer.status, 409);
      assert.deepEqual(codes(answer), { "/code": "not_unique" });
      const missing = await api.put(`${things}/${thing.id}`, { name: thing.name, maker: anyId() });
      assert.equal(missing.status, 409);
      assert.deepEqual(codes(missing), { "/maker": "missing_reference" });
    });
  });

  describe("merge patch", () => {
    it("changes only what it names; null takes away", async () => {
      const thing = await make({ size: 5, color: "green" });
      const answer = await api.patch(`${things}/${thing.id}`, { size: null, tags: ["n"] });
      assert.equal(answer.status, 200, answer.text);
      assert.deepEqual([answer.body.size, answer.body.color, answer.body.tags, answer.body.version], [null, "green", ["n"], 2]);
      assert.ok(answer.body.updated_at >= thing.updated_at);
      const read = await api.get(`${things}/${thing.id}`);
      assert.equal(read.headers.get("etag"), answer.headers.get("etag"));
    });

    it("merges into objects", async () => {
      const thing = await make({ meta: { a: { b: 1, c: 2 }, d: [1] }, price: { amount_minor: 5, currency: "EUR" } });
      const answer = await api.patch(`${things}/${thing.id}`, { meta: { a: { b: null, e: 3 } }, price: { amount_minor: 7 } });
      assert.equal(answer.status, 200, answer.text);
      assert.deepEqual(answer.body.meta, { a: { c: 2, e: 3 }, d: [1] });
      assert.deepEqual(answer.body.price, { amount_minor: 7, currency: "EUR" });
    });

    it("plain application/json is one too; others are not", async () => {
      const thing = await make();
      const answer = await api.patch(`${things}/${thing.id}`, { size: 1 }, { headers: { "content-type": "application/json" } });
      assert.equal(answer.status, 200);
      const other = await api.patch(`${things}/${thing.id}`, { size: 1 }, { headers: { "content-type": "text/plain" } });
      assert.equal(other.status, 415);
      assert.match(other.headers.get("accept-patch"), /merge-patch/);
    });

    it("mistakes are reported by field", async () => {
      const thing = await make();
      const answer = await api.patch(`${things}/${thing.id}`, { name: null, size: -1, nope: 1, score: 3, part_count: 4 });
      assert.equal(answer.status, 422);
      assert.deepEqual(Object.keys(codes(answer)).sort(), ["/name", "/nope", "/size"]);
      const guarded = await api.patch(`${things}/${thing.id}`, { score: 3 });
      assert.deepEqual(codes(guarded), { "/score": "read_only" });
      assert.equal((await api.patch(`${things}/${thing.id}`, "[1]")).status, 422);
      assert.equal((await api.patch(`${things}/${thing.id}`, '"x"')).status, 422);
      assert.equal((await api.patch(`${things}/${thing.id}`, "{")).status, 400);
    });

    it("return=minimal", async () => {
      const thing = await make();
      const answer = await api.patch(`${things}/${thing.id}`, { size: 1 }, { headers: { prefer: "return=minimal" } });
      assert.equal(answer.status, 204);
      assert.match(answer.headers.get("etag"), /^"2-/);
    });
  });

  describe("JSON Patch", () => {
    it("adds, removes, replaces, moves, copies and tests", async () => {
      const thing = await make({ size: 5, tags: ["a", "b"], meta: { x: 1 } });
      const answer = await api.patch(`${things}/${thing.id}`, [
        { op: "test", path: "/version", value: 1 },
        { op: "replace", path: "/name", value: "patched" },
        { op: "add", path: "/tags/-", value: "c" },
        { op: "remove", path: "/tags/0" },
        { op: "remove", path: "/size" },
        { op: "copy", from: "/tags/0", path: "/meta/first" },
        { op: "move", from: "/meta/x", path: "/meta/y" },
      ]);
      assert.equal(answer.status, 200, answer.text);
      const { name, tags, size, meta, version } = answer.body;
      assert.deepEqual({ name, tags, size, meta, version }, { name: "patched", tags: ["b", "c"], size: null, meta: { first: "b", y: 1 }, version: 2 });
    });

    it("a failed test changes nothing", async () => {
      const thing = await make({ size: 1 });
      const answer = await api.patch(`${things}/${thing.id}`, [
        { op: "replace", path: "/size", value: 2 },
        { op: "test", path: "/name", value: "another" },
      ]);
      assert.equal(answer.status, 409);
      assert.deepEqual(codes(answer), { "/1": "test_failed" });
      assert.equal((await api.get(`${things}/${thing.id}`)).body.size, 1);
    });

    it("what it leaves is validated", async () => {
      const thing = await make();
      const refused = async (patch) => codes(await api.patch(`${things}/${thing.id}`, patch));
      assert.deepEqual(await refused([{ op: "remove", path: "/name" }]), { "/name": "not_null" });
      assert.deepEqual(await refused([{ op: "add", path: "/nope", value: 1 }]), { "/nope": "unknown_field" });
      assert.deepEqual(await refused([{ op: "replace", path: "/score", value: 9 }]), { "/score": "read_only" });
      assert.deepEqual(await refused([{ op: "replace", path: "/size", value: "x" }]), { "/size": "type" });
      assert.deepEqual(await refused([{ op: "replace", path: "", value: [] }]), { "": "type" });
      assert.deepEqual(await refused([{ op: "remove", path: "/nope" }]), { "/0/path": "no_target" });
    });
  });

  describe("preconditions", () => {
    it("If-None-Match answers 304 to who has it", async () => {
      const thing = await make();
      const etag = (await api.get(`${things}/${thing.id}`)).headers.get("etag");
      for (const value of [etag, `"x", ${etag}`, `W/${etag}`, "*"]) {
        const answer = await api.get(`${things}/${thing.id}`, { headers: { "if-none-match": value } });
        assert.equal(answer.status, 304, value);
        assert.equal(answer.text, "");
        assert.equal(answer.headers.get("etag"), etag);
      }
      const part = await api.get(`${things}/${thing.id}?fields=name`, { headers: { "if-none-match": etag } });
      assert.equal(part.status, 200, "another representation has another tag");
    });

    it("If-Match lets only the version it names be changed", async () => {
      const thing = await make();
      const path = `${things}/${thing.id}`;
      const etag = (await api.get(path)).headers.get("etag");
      assert.equal((await api.patch(path, { size: 1 }, { headers: { "if-match": etag } })).status, 200);
      for (const method of [
        () => api.patch(path, { size: 2 }, { headers: { "if-match": etag } }),
        () => api.put(path, fresh(), { headers: { "if-match": etag } }),
        () => api.delete(path, { headers: { "if-match": etag } }),
        () => api.patch(path, { size: 2 }, { headers: { "if-match": "nonsense" } }),
      ])
        assert.equal((await method()).status, 412);
      assert.equal((await api.patch(path, { size: 3 }, { headers: { "if-match": "*" } })).status, 200);
      const part = (await api.get(path + "?fields=name")).headers.get("etag");
      assert.equal((await api.delete(path, { headers: { "if-match": part } })).status, 204);
    });

    it("of many who change the same version one wins", async () => {
      const thing = await make({ size: 0 });
      const path = `${things}/${thing.id}`;
      const etag = (await api.get(path)).headers.get("etag");
      const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => api.patch(path, { size: i + 1 }, { headers: { "if-match": etag } })));
      assert.equal(answers.filter((a) => a.status === 200).length, 1);
      assert.equal(answers.filter((a) => a.status === 412).length, 19);
    });
  });

  describe("delete and restore", () => {
    it("a deleted row is gone, and can be brought back", async () => {
      const thing = await make({ code: "once" });
      const path = `${things}/${thing.id}`;
      assert.equal((await api.delete(path)).status, 204);
      assert.equal((await api.get(path)).status, 404);
      assert.equal((await api.delete(path)).status, 404);
      assert.equal((await api.patch(path, { size: 1 })).status, 404);
      assert.equal((await api.get(things + query({ code: "once" }))).body.data.length, 0);
      const kept = await api.get(things + query({ deleted: "true", code: "once" }));
      assert.equal(kept.body.data.length, 1);
      assert.ok(kept.body.data[0].deleted_at);
      assert.equal((await api.get(path + "?deleted=true")).status, 200);
      const back = await api.post(`${path}/restore`);
      assert.equal(back.status, 200, back.text);
      assert.equal(back.body.deleted_at, null);
      assert.equal((await api.get(path)).text, back.text);
      assert.equal((await api.post(`${path}/restore`)).status, 200, "again is no harm");
    });

    it("a unique value of a deleted row is free, until the row comes back", async () => {
      const first = await make({ code: "reused" });
      await api.delete(`${things}/${first.id}`);
      const second = await make({ code: "reused" });
      const answer = await api.post(`${things}/${first.id}/restore`);
      assert.equal(answer.status, 409, answer.text);
      assert.deepEqual(codes(answer), { "/code": "not_unique" });
      await api.delete(`${things}/${second.id}`);
      assert.equal((await api.post(`${things}/${first.id}/restore`)).status, 200);
    });

    it("only what keeps deleted rows restores them", async () => {
      const person = (await api.post("/api/v1/people", { name: "a" })).body;
      await api.delete(`/api/v1/people/${person.id}`);
      assert.equal((await api.post(`/api/v1/people/${person.id}/restore`)).status, 404);
      assert.equal((await api.get("/api/v1/people?deleted=true")).status, 400);
      assert.equal((await api.post(`${things}/${anyId()}/restore`)).status, 404);
    });

    it("references restrict, are set to null, or go along", async () => {
      const person = (await api.post("/api/v1/people", { name: "maker" })).body;
      const keeper = (await api.post("/api/v1/people", { name: "keeper" })).body;
      const thing = await make({ maker: person.id, keeper: keeper.id });
      const answer = await api.delete(`/api/v1/people/${person.id}`);
      assert.equal(answer.status, 409, answer.text);
      assert.match(answer.body.detail, /things/);
      assert.equal((await api.delete(`/api/v1/people/${keeper.id}`)).status, 204);
      assert.equal((await api.get(`${things}/${thing.id}`)).body.keeper, null);
      const part = (await api.post("/api/v1/parts", { thing: thing.id, label: "p" })).body;
      const bolt = (await api.post("/api/v1/bolts", { part: part.id, size: 1 })).body;
      assert.equal((await api.delete(`/api/v1/parts/${part.id}`)).status, 204);
      assert.equal((await api.get(`/api/v1/bolts/${bolt.id}`)).status, 404);
      assert.equal((await api.get(`${things}/${thing.id}`)).body.part_count, 0);
    });
  });

  it("every method that is not served says what is", async () => {
    const answer = await api.post(`${things}/${anyId()}`, {});
    assert.equal(answer.status, 405);
    assert.match(answer.headers.get("allow"), /PATCH/);
  });
});

describe("writes that ask for If-Match", () => {
  it("are 428 without it", async (t) => {
    const api = await startAs(t, contracts, { env: { PURLIN_API_REQUIRE_IF_MATCH: "on" } });
    const person = await api.post("/api/v1/people", { name: "a" });
    const path = person.headers.get("location");
    assert.equal((await api.patch(path, { name: "b" })).status, 428);
    assert.equal((await api.put(path, { name: "b" })).status, 428);
    assert.equal((await api.delete(path)).status, 428);
    const etag = person.headers.get("etag");
    assert.equal((await api.patch(path, { name: "b" }, { headers: { "if-match": etag } })).status, 200);
    const batch = await api.post("/api/v1/batch", { operations: [{ method: "DELETE", path }] });
    assert.equal(batch.status, 422);
  });
});
