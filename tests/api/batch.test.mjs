/* Batches: all or nothing, or each for itself; references between operations; every mistake with its place. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { anyId, codes, startAs } from "../support/as.mjs";

const contracts = {
  users: `
resource: users
fields:
  name: { type: string, max: 50, required: true }
  code: { type: string, max: 20, unique: true }
rules: { read: true, create: true, update: true, delete: 'name != "kept"' }
`,
  posts: `
resource: posts
fields:
  author: { ref: users, required: true, on_delete: restrict }
  title:  { type: string, max: 50, required: true }
  meta:   { type: json, optional: true }
soft_delete: true
rules: { read: true, create: true, update: true, delete: true }
`,
};

describe("batch", () => {
  let api;
  const cleanups = [];
  before(async () => {
    api = await startAs({ after: (fn) => cleanups.push(fn) }, contracts);
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });
  const batch = (operations, mode = "", as) => api.post(`/api/v1/batch${mode && `?mode=${mode}`}`, { operations }, as);
  const total = async (resource) => (await api.get(`/api/v1/${resource}?count=exact&limit=1`)).body.page.total;

  it("runs in order, with references by number and by name", async () => {
    const answer = await batch([
      { method: "POST", path: "/api/v1/users", ref: "me", body: { name: "ann" } },
      { method: "POST", path: "/posts", body: { author: "$ops.0.id", title: "one", meta: { by: ["$me.id"] } } },
      { method: "PATCH", path: "posts/$ops.1.id", body: { title: "two" } },
      { method: "PUT", path: "/users/$me.id", body: { name: "bea" } },
      { method: "PATCH", path: "/posts/$ops.1.id", body: [{ op: "test", path: "/title", value: "two" }, { op: "replace", path: "/title", value: "three" }] },
      { method: "DELETE", path: "/posts/$ops.1.id" },
      { method: "POST", path: "/posts/$ops.1.id/restore" },
    ]);
    assert.equal(answer.status, 200, answer.text);
    const results = answer.body.results;
    assert.deepEqual(results.map((r) => r.status), [201, 201, 200, 200, 200, 204, 200]);
    assert.equal(results[0].ref, "me");
    assert.equal(results[0].location, `/api/v1/users/${results[0].body.id}`);
    assert.deepEqual(results[1].body.meta, { by: [results[0].body.id] });
    assert.equal(results[3].body.name, "bea");
    assert.equal(results[6].body.title, "three");
    const read = await api.get(`/api/v1/posts/${results[1].body.id}`);
    assert.deepEqual(read.body, results[6].body);
    assert.equal(read.headers.get("etag"), results[6].etag);
  });

  it("text that only looks like a reference stays text", async () => {
    const answer = await batch([
      { method: "POST", path: "/users", ref: "me", body: { name: "$5.00" } },
      { method: "POST", path: "/users", body: { name: "$you.id" } },
      { method: "POST", path: "/users", body: { name: "$$me.id" } },
      { method: "POST", path: "/users", body: { name: "$" } },
    ]);
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(answer.body.results.map((r) => r.body.name), ["$5.00", "$you.id", "$me.id", "$"]);
  });

  it("one that fails undoes all", async () => {
    const [users, posts] = [await total("users"), await total("posts")];
    const answer = await batch([
      { method: "POST", path: "/users", body: { name: "x", code: "undone" } },
      { method: "POST", path: "/posts", body: { author: anyId(), title: "nobody's" } },
    ]);
    assert.equal(answer.status, 409, answer.text);
    assert.deepEqual(codes(answer), { "/operations/1/body/author": "missing_reference", "/operations/1": "failed" });
    assert.deepEqual([await total("users"), await total("posts")], [users, posts]);
  });

  it("all mistakes are told before anything runs", async () => {
    const users = await total("users");
    const answer = await batch([
      { method: "POST", path: "/users", body: { name: "fine" } },
      { method: "POST", path: "/users", body: { name: 5 } },
      { method: "POST", path: "/nope", body: {} },
      { method: "GET", path: "/users" },
      { method: "PATCH", path: "/users", body: {} },
      { method: "PATCH", path: "/users/12", body: {} },
      { method: "DELETE", path: `/users/${anyId()}`, body: {} },
      { method: "POST", path: "/users" },
      { method: "POST", path: "/posts", body: { author: "$ops.20.id", title: "x" } },
      { method: "POST", path: "/posts", body: { author: "$ops.0.name", title: "x" } },
      { method: "POST", path: "/users", ref: "a.b", body: { name: "x" } },
      { method: "POST", path: "/users", body: { name: "x" }, bogus: 1 },
      { method: "DELETE", path: `/users/${anyId()}`, if_match: 5 },
      { method: "POST", path: `/users/${anyId()}/restore` },
      7,
    ]);
    assert.equal(answer.status, 422);
    assert.deepEqual(codes(answer), {
      "/operations/1/body/name": "type",
      "/operations/2/path": "path",
      "/operations/3/method": "enum",
      "/operations/4/path": "path",
      "/operations/5/path": "path",
      "/operations/6/body": "unknown_field",
      "/operations/7/body": "required",
      "/operations/8/body": "reference",
      "/operations/9/body": "reference",
      "/operations/10/ref": "format",
      "/operations/11": "unknown_field",
      "/operations/12/if_match": "type",
      "/operations/13/path": "path",
      "/operations/14": "type",
    });
    assert.equal(await total("users"), users);
  });

  it("independent: each stands for itself, and the answer is 207", async () => {
    const kept = (await api.post("/api/v1/users", { name: "kept" })).body;
    const answer = await batch([
      { method: "POST", path: "/users", body: { name: "in", code: "only one" } },
      { method: "POST", path: "/users", body: { name: "out", code: "only one" } },
      { method: "POST", path: "/users", body: { name: 7 } },
      { method: "DELETE", path: `/users/${anyId()}` },
      { method: "DELETE", path: `/users/${kept.id}` },
      { method: "PATCH", path: `/users/${kept.id}`, if_match: '"9-0"', body: { name: "no" } },
      { method: "PATCH", path: `/users/${kept.id}`, if_match: '"1-0"', body: { name: "yes" } },
    ], "independent");
    assert.equal(answer.status, 207, answer.text);
    assert.deepEqual(answer.body.results.map((r) => r.status), [201, 409, 422, 404, 401, 412, 200]);
    assert.equal(answer.body.results[1].body.errors[0].pointer, "/operations/1/body/code");
    assert.equal(answer.body.results[2].body.errors[0].pointer, "/operations/2/body/name");
    assert.equal((await api.get(`/api/v1/users/${kept.id}`)).body.name, "yes");
    const fine = await batch([{ method: "POST", path: "/users", body: { name: "fine" } }], "independent");
    assert.equal(fine.status, 200);
  });

  it("has a size and a shape", async () => {
    const one = { method: "POST", path: "/users", body: { name: "x" } };
    assert.deepEqual(codes(await batch([])), { "/operations": "required" });
    assert.deepEqual(codes(await batch(Array(101).fill(one))), { "/operations": "items_too_many" });
    assert.equal((await batch(Array(100).fill(one))).status, 200);
    assert.equal((await api.post("/api/v1/batch", { operations: [one], more: 1 })).status, 422);
    assert.equal((await api.post("/api/v1/batch", [])).status, 422);
    assert.equal((await batch([one], "other")).status, 400);
    assert.equal((await api.post("/api/v1/batch?x=1", { operations: [one] })).status, 400);
    assert.equal((await api.get("/api/v1/batch")).status, 404);
  });

  it("return=minimal leaves representations out; a refused rule is 403", async () => {
    const answer = await batch([{ method: "POST", path: "/users", body: { name: "x" } }], "", { headers: { prefer: "return=minimal" } });
    assert.equal(answer.body.results[0].body, undefined);
    assert.ok(answer.body.results[0].location);
    const kept = (await api.post("/api/v1/users", { name: "kept" })).body;
    assert.equal((await batch([{ method: "DELETE", path: `/users/${kept.id}` }], "", { user: anyId() })).status, 403);
  });
});
