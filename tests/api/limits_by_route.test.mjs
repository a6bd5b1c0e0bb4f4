/* Limits of a request that differ by path: what an item of `routes` says holds there and nowhere else. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { startPurlin } from "../support/purlin.mjs";

const all = "rules: { read: true, create: true, update: true, delete: true }\n";
const contracts = {
  things: `resource: things\nfields:\n  text: { type: text, max: 1000000 }\n  more: { type: text, max: 1000000 }\n  data: { type: json, max_bytes: 1000000 }\n${all}`,
  files: `resource: files\nfields:\n  text: { type: text, max: 1000000 }\n  more: { type: text, max: 1000000 }\n  data: { type: json, max_bytes: 1000000 }\n${all}`,
};

it("bodies, depth and parameters are bounded by path", async (t) => {
  const config = [
    "limits: { body_bytes: 100KiB }",
    "routes:",
    "  - match: /api/v1/files",
    "    limits: { body_bytes: 2MiB, json_depth: 4, query_params: 2 }",
    "",
  ].join("\n");
  const server = await startPurlin(t, { contracts, config });
  const nested = (depth) => JSON.parse("[".repeat(depth) + "]".repeat(depth));
  const post = async (resource, body) => (await server.post(`/api/v1/${resource}`, { body })).status;

  const large = { text: "a".repeat(900_000), more: "b".repeat(900_000) };
  assert.equal(await post("things", large), 413);
  assert.equal(await post("files", large), 201);
  assert.equal(await post("files", { text: "a".repeat(999_999), more: "b".repeat(1_099_999) }), 413);

  assert.equal(await post("things", { data: nested(20) }), 201);
  assert.equal(await post("things", { data: nested(32) }), 413);
  assert.equal(await post("files", { data: nested(3) }), 201);
  assert.equal(await post("files", { data: nested(4) }), 413);

  const list = async (resource, query) => (await server.get(`/api/v1/${resource}?${query}`)).status;
  assert.equal(await list("things", "limit=1&sort=id&count=exact"), 200);
  assert.equal(await list("files", "limit=1&sort=id"), 200);
  const refused = await server.get("/api/v1/files?limit=1&sort=id&count=exact");
  assert.equal(refused.status, 400);
  assert.equal(refused.body.code, "query_too_large");
});
