/* Who may do what: row rules on every way to a row, 401, 403 and 404 told apart, nothing leaked by counting, expanding or searching. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { anyId, codes, query, startAs } from "../support/as.mjs";

const contracts = {
  users: `
resource: users
fields:
  name: { type: string, max: 50, required: true }
rules: { read: true, create: '"admin" in @roles', update: false, delete: false }
`,
  follows: `
resource: follows
fields:
  follower: { ref: users, required: true }
  followee: { ref: users, required: true }
rules: { read: true, create: true, update: true, delete: true }
`,
  posts: `
resource: posts
fields:
  author:     { ref: users, default: "@user", immutable: true }
  title:      { type: string, max: 300 }
  visibility: { enum: [public, followers, private], default: public }
  locked:     { type: boolean, default: false }
search: [title]
soft_delete: true
rules:
  read:   visibility == "public" || author == @user || "moderator" in @roles || (visibility == "followers" && exists(follows, follower == @user && followee == author))
  create: "@user != null && author == @user"
  update: (author == @user && !locked) || "moderator" in @roles
  delete: author == @user || "moderator" in @roles
`,
  comments: `
resource: comments
fields:
  post:   { ref: posts, required: true, on_delete: cascade }
  author: { ref: users, default: "@user" }
  text:   { type: text, max: 500, required: true }
rules:
  read:   exists(posts, id == post && visibility == "public")
  create: exists(posts, id == post && (visibility == "public" || author == @user)) && @user != null
  update: author == @user
  delete: author == @user
`,
};

const posts = "/api/v1/posts";
const moderator = { roles: "moderator" };

describe("rules", () => {
  let api, alice, bob, carol, publicPost, followersPost, privatePost;
  const cleanups = [];
  before(async () => {
    api = await startAs({ after: (fn) => cleanups.push(fn) }, contracts);
    const user = async (name) => ({ user: (await api.post("/api/v1/users", { name }, { roles: "admin" })).body.id });
    [alice, bob, carol] = [await user("alice"), await user("bob"), await user("carol")];
    await api.post("/api/v1/follows", { follower: bob.user, followee: alice.user });
    const post = async (visibility) => (await api.post(posts, { title: `unicorn ${visibility}`, visibility }, alice)).body;
    [publicPost, followersPost, privatePost] = [await post("public"), await post("followers"), await post("private")];
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  const surfaces = {
    read: async (post, as) => (await api.get(`${posts}/${post.id}`, as)).status === 200,
    list: async (post, as) => (await api.get(posts, as)).body.data.some((r) => r.id === post.id),
    "list by id": async (post, as) => (await api.get(posts + query({ id: post.id }), as)).body.data.length === 1,
    filter: async (post, as) => (await api.get(posts + query({ filter: `visibility == "${post.visibility}"` }), as)).body.data.length === 1,
    count: async (post, as) => (await api.get(posts + query({ visibility: post.visibility, count: "exact" }), as)).body.page.total === 1,
    estimate: async (post, as) => (await api.get(posts + query({ visibility: post.visibility, count: "estimated" }), as)).body.page.total === 1,
    search: async (post, as) => (await api.get(posts + query({ q: post.visibility }), as)).body.data.length === 1,
    ndjson: async (post, as) => (await api.get(`${posts}/export`, as)).text.includes(post.id),
    csv: async (post, as) => (await api.get(`${posts}/export?format=csv`, as)).text.includes(post.id),
    "expanded child list": async (post, as) => (await api.get(`/api/v1/users/${post.author}?expand=posts`, as)).body.posts.data.some((r) => r.id === post.id),
  };
  for (const [name, sees] of Object.entries(surfaces))
    it(`who sees what by: ${name}`, async () => {
      for (const [who, as, want] of [
        ["nobody", {}, [true, false, false]],
        ["the author", alice, [true, true, true]],
        ["a follower", bob, [true, true, false]],
        ["another", carol, [true, false, false]],
        ["a moderator", moderator, [true, true, true]],
      ])
        assert.deepEqual([await sees(publicPost, as), await sees(followersPost, as), await sees(privatePost, as)], want, who);
    });

  it("what may not be read is not there; what may only be read is 403; nobody is 401", async () => {
    const change = (post, as) => api.patch(`${posts}/${post.id}`, { title: "x" }, as);
    const replace = (post, as) => api.put(`${posts}/${post.id}`, { title: "x" }, as);
    const remove = (post, as) => api.delete(`${posts}/${post.id}`, as);
    for (const act of [change, replace, remove]) {
      assert.equal((await act(privatePost, carol)).status, 404);
      assert.equal((await act(privatePost, {})).status, 401);
      assert.equal((await act(followersPost, bob)).status, 403);
      assert.equal((await act(publicPost, carol)).status, 403);
      const nobody = await act(publicPost, {});
      assert.equal(nobody.status, 401);
      assert.ok(nobody.headers.get("www-authenticate"));
    }
    assert.equal((await api.get(`${posts}/${privatePost.id}`)).status, 404);
  });

  it("one creates in one's own name", async () => {
    assert.equal((await api.post(posts, { title: "x" })).status, 401);
    assert.equal((await api.post(posts, { title: "x", author: alice.user }, bob)).status, 403);
    const own = await api.post(posts, { title: "x", author: bob.user }, bob);
    assert.equal(own.status, 201);
    assert.equal((await api.delete(`${posts}/${own.body.id}`, bob)).status, 204);
    assert.equal((await api.put(`/api/v1/users/${alice.user}`, { name: "x" }, alice)).status, 403);
    assert.equal((await api.put(`/api/v1/users/${alice.user}`, { name: "x" })).status, 403, "nobody may, so signing in is no help");
  });

  it("a rule that asks other rows is asked in the transaction", async () => {
    const comment = (post, as) => api.post("/api/v1/comments", { post: post.id, text: "hi" }, as);
    assert.equal((await comment(publicPost, bob)).status, 201);
    assert.equal((await comment(privatePost, bob)).status, 403);
    const hidden = await comment(privatePost, alice);
    assert.equal(hidden.status, 201);
    assert.equal(hidden.text, "", "what one may not read is not answered");
    const both = await api.post("/api/v1/batch", { operations: [
      { method: "POST", path: "/posts", ref: "p", body: { title: "new" } },
      { method: "POST", path: "/comments", body: { post: "$p.id", text: "first" } },
    ] }, alice);
    assert.equal(both.status, 200, both.text);
    await api.delete(`${posts}/${both.body.results[0].body.id}`, alice);
  });

  it("the new row must satisfy the rule too", async () => {
    const post = (await api.post(posts, { title: "to lock", visibility: "private" }, alice)).body;
    const path = `${posts}/${post.id}`;
    assert.equal((await api.patch(path, { locked: true }, alice)).status, 403);
    assert.equal((await api.get(path, alice)).body.locked, false);
    assert.equal((await api.patch(path, { locked: true }, moderator)).status, 200);
    assert.equal((await api.patch(path, { title: "y" }, alice)).status, 403);
    assert.equal((await api.delete(path, alice)).status, 204);
  });

  it("deleted rows are for who may change them", async () => {
    const post = (await api.post(posts, { title: "bin" }, alice)).body;
    const path = `${posts}/${post.id}`;
    await api.delete(path, alice);
    const seen = async (as) => (await api.get(posts + "?deleted=true", as)).body.data?.filter((r) => r.id === post.id).length;
    assert.equal(await seen(alice), 1);
    assert.equal(await seen(moderator), 1);
    assert.equal(await seen(bob), 0);
    assert.equal((await api.get(posts + "?deleted=true")).status, 401);
    assert.equal((await api.get(path + "?deleted=true", bob)).status, 404);
    assert.equal((await api.post(`${path}/restore`, undefined, bob)).status, 404);
    assert.equal((await api.post(`${path}/restore`)).status, 401);
    assert.equal((await api.post(`${path}/restore`, undefined, alice)).status, 200);
    await api.delete(path, alice);
  });

  it("expanding shows only what may be read", async () => {
    const comment = (await api.post("/api/v1/comments", { post: publicPost.id, text: "expand me" }, bob)).body;
    const shown = (await api.get(`/api/v1/comments/${comment.id}?expand=post.author`)).body;
    assert.equal(shown.post.author.name, "alice");
    await api.patch(`${posts}/${publicPost.id}`, { visibility: "followers" }, alice);
    assert.equal((await api.get(`/api/v1/comments/${comment.id}?expand=post`)).status, 404);
    await api.patch(`${posts}/${publicPost.id}`, { visibility: "public" }, alice);
  });

  it("an unknown filter field and a hidden one look the same", async () => {
    assert.deepEqual(codes(await api.get(posts + query({ filter: "nope == 1" }))), { "?filter": "filter" });
    assert.equal((await api.get(`${posts}/${anyId()}`)).status, 404);
  });
});
