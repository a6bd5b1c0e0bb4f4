/* Expanding: refs and child lists, nested, bounded, without a statement for each row. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { codes, query, startAs } from "../support/as.mjs";

const rules = "rules: { read: true, create: true, update: true, delete: true }\n";
const contracts = {
  users: `resource: users\nfields:\n  name: { type: string, max: 50, required: true }\n  boss: { ref: users, optional: true }\n${rules}`,
  posts: `resource: posts\nfields:\n  author: { ref: users, optional: true }\n  title: { type: string, max: 50 }\n  comment_count: { count: comments.post }\n${rules}`,
  comments: `resource: comments\nfields:\n  post: { ref: posts, required: true, on_delete: cascade }\n  author: { ref: users, optional: true }\n  text: { type: string, max: 50 }\n${rules}`,
};

describe("expand", () => {
  let api, users, posts;
  const cleanups = [];
  const create = async (resource, body) => (await api.post(`/api/v1/${resource}`, body)).body;
  before(async () => {
    api = await startAs({ after: (fn) => cleanups.push(fn) }, contracts);
    users = [];
    for (let i = 0; i < 5; i++) users.push(await create("users", { name: `u${i}`, boss: users[i - 1]?.id ?? null }));
    posts = [];
    for (let i = 0; i < 30; i++) posts.push(await create("posts", { title: `p${i}`, author: i % 6 === 5 ? null : users[i % 6].id }));
    for (let i = 0; i < 25; i++) await create("comments", { post: posts[0].id, author: users[i % 5].id, text: `c${i}` });
    await create("comments", { post: posts[1].id, text: "alone" });
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  it("a ref becomes the row it refers to", async () => {
    const { data } = (await api.get("/api/v1/posts?expand=author&sort=id&limit=30")).body;
    assert.equal(data.length, 30);
    data.forEach((post, i) => (i % 6 === 5 ? assert.equal(post.author, null) : assert.equal(post.author.name, `u${i % 6}`)));
  });

  it("refs of refs, three deep", async () => {
    const post = (await api.get(`/api/v1/posts/${posts[4].id}?expand=author.boss.boss`)).body;
    assert.equal(post.author.boss.boss.name, "u2");
    assert.equal(typeof post.author.boss.boss.boss, "string");
  });

  it("rows that refer here become a list, the first twenty", async () => {
    const post = (await api.get(`/api/v1/posts/${posts[0].id}?expand=comments.author`)).body;
    assert.equal(post.comments.data.length, 20);
    assert.equal(post.comments.has_more, true);
    assert.deepEqual(post.comments.data.slice(0, 3).map((c) => [c.text, c.author.name]), [["c0", "u0"], ["c1", "u1"], ["c2", "u2"]]);
    const list = (await api.get("/api/v1/posts?expand=comments&sort=id&limit=3")).body.data;
    assert.deepEqual(list.map((p) => [p.comments.data.length, p.comments.has_more]), [[20, true], [1, false], [0, false]]);
  });

  it("together with fields, paging, and several at once", async () => {
    const list = (await api.get("/api/v1/posts?expand=author,comments.post.author&fields=title&sort=id&limit=2")).body;
    assert.deepEqual(Object.keys(list.data[0]), ["author", "title", "comments"]);
    assert.equal(list.data[0].comments.data[0].post.author.name, "u0");
    const next = (await api.get("/api/v1/posts" + query({ expand: "author", fields: "title", sort: "id", limit: 2, cursor: list.page.next }))).body;
    assert.deepEqual(next.data.map((p) => [p.title, p.author.name]), [["p2", "u2"], ["p3", "u3"]]);
    const back = (await api.get("/api/v1/posts" + query({ expand: "author", fields: "title", sort: "id", limit: 2, cursor: next.page.prev }))).body;
    assert.deepEqual(back.data.map((p) => p.title), ["p0", "p1"]);
  });

  it("the tag is of the expanded representation", async () => {
    const path = `/api/v1/posts/${posts[0].id}`;
    const plain = (await api.get(path)).headers.get("etag");
    const expanded = (await api.get(path + "?expand=author")).headers.get("etag");
    assert.notEqual(plain, expanded);
    assert.equal(plain.split("-")[0], expanded.split("-")[0]);
    assert.equal((await api.get(path + "?expand=author", { headers: { "if-none-match": expanded } })).status, 304);
  });

  it("a whole page of lists is a few statements, not one for each row", async () => {
    const before = performance.now();
    for (let i = 0; i < 5; i++) assert.equal((await api.get("/api/v1/posts?expand=author.boss,comments.author&limit=100")).status, 200);
    assert.ok(performance.now() - before < 5000);
  });

  it("what cannot be expanded, is too deep or too much is refused", async () => {
    assert.deepEqual(codes(await api.get("/api/v1/posts?expand=title")), { "?expand": "unknown_field" });
    assert.match((await api.get("/api/v1/posts?expand=auhtor")).body.errors[0].detail, /`author`/);
    assert.deepEqual(codes(await api.get("/api/v1/posts?expand=author.boss.boss.boss")), { "?expand": "too_deep" });
    for (const user of users.slice(0, 1))
      for (let i = 0; i < 400; i++) await create("comments", { post: posts[2 + (i % 20)].id, author: user.id, text: `m${i}` });
    const large = await api.get("/api/v1/users?expand=posts.comments.author,comments.post.comments");
    assert.ok([200, 400].includes(large.status));
  });
});
