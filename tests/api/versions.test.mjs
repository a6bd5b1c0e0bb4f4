/* Two versions of the API over the same rows: names and resources of then, and a date for the end. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { startPurlin, temporaryFolder, writeContracts, runPurlin, environment } from "../support/purlin.mjs";

const all = "rules: { read: true, create: true, update: true, delete: true }\n";
const contracts = {
  posts: `resource: posts
description: What people write.
fields:
  title:    { type: string, max: 50, required: true }
  body:     { type: text }
  category: { type: string, default: general, optional: true }
  price:    { type: money, optional: true }
indexes: [ [title] ]
search: [title, body]
${all}`,
  notes: `resource: notes
fields:
  post: { ref: posts, required: true, on_delete: cascade }
  text: { type: text }
${all}`,
  tags: `resource: tags
fields:
  name: { type: string, unique: true, required: true }
${all}`,
  "v1/posts": "resource: posts\nrename: { title: headline, price: cost }\nhide: [category]\n",
  "v1/notes": "resource: notes\nrename: { post: article }\n",
  "v1/tags": "resource: tags\nabsent: true\n",
};

describe("versions", () => {
  const ends = [];
  const t = { after: (end) => ends.push(end) };
  let server;
  before(async () => {
    const config = "routes:\n  - match: /api/v1\n    api: { deprecated: 2026-01-01, sunset: 2120-01-01, deprecation_link: https://example.org/changes }\n";
    server = await startPurlin(t, { contracts, config });
  });
  after(async () => {
    for (const end of ends.reverse()) await end();
  });

  it("show the same rows under the names of each", async () => {
    const made = await server.post("/api/v1/posts", { body: { headline: "Old", body: "words", cost: { amount_minor: 100, currency: "EUR" } } });
    assert.equal(made.status, 201, made.text);
    assert.equal(made.headers.get("location"), `/api/v1/posts/${made.body.id}`);
    assert.deepEqual(Object.keys(made.body), ["id", "headline", "body", "cost", "created_at", "updated_at", "version"]);
    const now = await server.get(`/api/v2/posts/${made.body.id}`);
    assert.equal(now.status, 200);
    assert.equal(now.body.title, "Old");
    assert.equal(now.body.category, "general");
    assert.deepEqual(now.body.price, { amount_minor: 100, currency: "EUR" });
    assert.notEqual(now.headers.get("etag"), made.headers.get("etag"));
    // A tag of one version is a precondition of the other: both name the version of the row.
    const changed = await server.patch(`/api/v2/posts/${made.body.id}`, { body: { category: "news" }, headers: { "if-match": made.headers.get("etag") } });
    assert.equal(changed.status, 200, changed.text);
    const stale = await server.patch(`/api/v1/posts/${made.body.id}`, { body: { headline: "x" }, headers: { "if-match": made.headers.get("etag") } });
    assert.equal(stale.status, 412);
  });

  it("leave what the other version knows alone", async () => {
    const { body: row } = await server.post("/api/v2/posts", { body: { title: "New", category: "news" } });
    const put = await server.put(`/api/v1/posts/${row.id}`, { body: { headline: "Put" } });
    assert.equal(put.status, 200, put.text);
    const merged = await server.patch(`/api/v1/posts/${row.id}`, { body: { body: "merged" } });
    assert.equal(merged.status, 200);
    const patched = await server.patch(`/api/v1/posts/${row.id}`, {
      headers: { "content-type": "application/json-patch+json" },
      body: JSON.stringify([{ op: "replace", path: "/headline", value: "Patched" }]),
    });
    assert.equal(patched.status, 200, patched.text);
    const { body: after } = await server.get(`/api/v2/posts/${row.id}`);
    assert.deepEqual([after.title, after.body, after.category], ["Patched", "merged", "news"]);
  });

  it("take and name fields as their own", async () => {
    const wrong = await server.post("/api/v1/posts", { body: { title: "a", category: "b" } });
    assert.equal(wrong.status, 422);
    assert.deepEqual(wrong.body.errors.map((e) => [e.pointer, e.code]).sort(), [["/category", "unknown_field"], ["/headline", "required"], ["/title", "unknown_field"]]);
    const query = (version, text) => server.get(`/api/${version}/posts?${text}`);
    await server.post("/api/v1/posts", { body: { headline: "Sorted" } });
    for (const [version, field] of [["v1", "headline"], ["v2", "title"]]) {
      for (const text of [`${field}=Sorted`, `filter=${encodeURIComponent(`${field} == "Sorted"`)}`, `fields=${field}&${field}=Sorted`, "q=sorted"]) {
        const { status, body } = await query(version, text);
        assert.equal(status, 200, text);
        assert.deepEqual(body.data.map((row) => row[field]), ["Sorted"], text);
      }
      assert.equal((await query(version, `sort=-${field}`)).status, 200);
    }
    for (const text of ["title=a", "sort=title", "fields=title", "filter=title%20%3D%3D%20%22a%22", "category=b", "filter=category%20%3D%3D%20%22b%22"])
      assert.equal((await query("v1", text)).status, 400, text);
  });

  it("page, export and expand under their own paths", async () => {
    const { body: post } = await server.post("/api/v1/posts", { body: { headline: "With notes", notes: [{ text: "one" }, { text: "two" }] } });
    const { body: notes } = await server.get(`/api/v1/notes?article=${post.id}&limit=1&expand=article`);
    assert.equal(notes.data[0].article.headline, "With notes");
    const list = await server.get(`/api/v1/notes?article=${post.id}&limit=1`);
    const next = /<([^>]+)>; rel="next"/.exec(list.headers.get("link"))[1];
    assert.match(next, /^\/api\/v1\/notes\?/);
    assert.equal((await server.get(next)).body.data.length, 1);
    const csv = await server.get("/api/v1/posts/export?format=csv");
    assert.match(csv.text.split("\r\n")[0].replaceAll('"', ""), /^id,headline,body,cost/);
    const { body: expanded } = await server.get(`/api/v2/posts/${post.id}?expand=notes`);
    assert.equal(expanded.notes.length ?? expanded.notes.data.length, 2);
  });

  it("batch by their own names", async () => {
    const { status, body } = await server.post("/api/v1/batch", {
      body: { operations: [{ method: "POST", path: "/api/v1/posts", body: { headline: "Batched" } }, { method: "POST", path: "/notes", body: { article: "$ops.0.id", text: "x" } }] },
    });
    assert.equal(status, 200, JSON.stringify(body));
    assert.deepEqual(body.results.map((r) => r.status), [201, 201]);
    assert.match(body.results[0].location, /^\/api\/v1\/posts\//);
    assert.equal(body.results[0].body.headline, "Batched");
  });

  it("do not have what was not there", async () => {
    assert.equal((await server.post("/api/v2/tags", { body: { name: "a" } })).status, 201);
    for (const answer of [await server.get("/api/v1/tags"), await server.post("/api/v1/tags", { body: { name: "b" } }), await server.get("/api/v3/posts"), await server.get("/api/v0/posts")])
      assert.equal(answer.status, 404);
    const root = await server.get("/");
    assert.equal(root.body.api, "/api/v2");
    assert.deepEqual(root.body.older, ["/api/v1"]);
  });

  it("say when they end", async () => {
    for (const target of ["/api/v1/posts", "/api/v1/posts/nothing", "/api/v1/nothing"]) {
      const { headers } = await server.get(target);
      assert.equal(headers.get("deprecation"), "@1767225600", target);
      assert.equal(headers.get("sunset"), "Mon, 01 Jan 2120 00:00:00 GMT", target);
      assert.match(headers.get("link"), /<https:\/\/example\.org\/changes>; rel="deprecation"/, target);
    }
    assert.equal((await server.get("/api/v2/posts")).headers.get("deprecation"), null);
  });

  it("have a document each", async () => {
    const newest = (await server.get("/openapi.json")).body;
    const v1 = (await server.get("/api/v1/openapi.json")).body;
    const v2 = (await server.get("/api/v2/openapi.json")).body;
    assert.deepEqual(newest, v2);
    assert.ok(newest.paths["/api/v2/tags"] && !newest.paths["/api/v1/posts"]);
    assert.ok(v1.paths["/api/v1/posts"] && !v1.paths["/api/v1/tags"] && !v1.paths["/api/v2/posts"]);
    assert.deepEqual(Object.keys(v1.components.schemas.Posts.properties), ["id", "headline", "body", "cost", "created_at", "updated_at", "version"]);
    for (const [target, item] of Object.entries(v1.paths).filter(([p]) => p.startsWith("/api/v1/")))
      for (const [method, operation] of Object.entries(item)) if (method !== "parameters") assert.equal(operation.deprecated, true, `${method} ${target}`);
    assert.equal(newest.paths["/api/v2/posts"].get.deprecated, undefined);
  });

  it("stay as they are until a restart", async () => {
    const folder = path.join(server.contractsFolder, "v2");
    mkdirSync(folder);
    server.child.kill("SIGHUP");
    for (let i = 0; i < 200 && !server.log.some((l) => l.msg === "server.versions_changed"); i++) await new Promise((r) => setTimeout(r, 20));
    assert.ok(server.log.some((l) => l.msg === "server.reload_refused"));
    assert.equal((await server.get("/api/v2/posts")).status, 200);
    assert.equal((await server.get("/api/v3/posts")).status, 404);
  });
});

it("what is wrong with an older version is said with file and line", (t) => {
  const folder = temporaryFolder(t);
  const env = environment(folder, writeContracts(folder, { ...contracts, "v1/posts": "resource: posts\nhide: [title]\nrename: { bodi: text }\n" }));
  const { code, stderr } = runPurlin(["check"], { env });
  assert.equal(code, 2);
  assert.match(stderr, /v1\/posts\.yaml:2:\d+: hide: `title` is required/);
  assert.match(stderr, /v1\/posts\.yaml:3:\d+: .*Did you mean `body`\?/);
});

it("a version ends with 410", async (t) => {
  const config = "routes:\n  - match: /api/v1\n    api: { deprecated: 2020-01-01, sunset: 2021-01-01, gone_after_sunset: on }\n";
  const server = await startPurlin(t, { contracts, config });
  const gone = await server.get("/api/v1/posts");
  assert.equal(gone.status, 410);
  assert.equal(gone.body.type, "https://purlin.dev/problems/http/gone");
  assert.equal((await server.get("/api/v2/posts")).status, 200);
});
