/* Lists: paging in both directions while rows come and go, order with nulls, conditions, counts, what may be asked for. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { codes, query, startAs } from "../support/as.mjs";

const contracts = {
  notes: `
resource: notes
fields:
  owner:  { type: uuid, optional: true }
  title:  { type: string, max: 100 }
  rank:   { type: integer, optional: true }
  group:  { enum: [a, b], default: a }
  ratio:  { type: number, optional: true }
  price:  { type: money, optional: true }
  tags:   { type: list, of: string, default: [] }
  done:   { type: boolean, default: false }
  secret: { type: string, writeonly: true, optional: true }
indexes: [ [rank], [group, -rank], [title] ]
rules: { read: 'owner == null || owner == @user', create: true, update: true, delete: true }
`,
};

contracts.longs = `
resource: longs
fields:
  text: { type: text, max: 100000 }
  up:   { ref: longs, optional: true }
rules: { read: true, create: true, update: true, delete: true }
`;

const list = "/api/v1/notes";

async function everything(api, params, direction = "next", as = {}) {
  const pages = [];
  let answer = await api.get(list + query(params), as);
  for (;;) {
    assert.equal(answer.status, 200, answer.text);
    pages.push(answer.body);
    const cursor = answer.body.page[direction];
    if (!cursor) return pages;
    answer = await api.get(list + query({ ...params, cursor }), as);
  }
}
const rows = (pages) => pages.flatMap((page) => page.data);

describe("lists", () => {
  let api;
  const cleanups = [];
  const titles = ["delta", "alpha", null, "charlie", "bravo", null, "echo"];
  before(async () => {
    api = await startAs({ after: (fn) => cleanups.push(fn) }, contracts);
    for (let i = 0; i < titles.length; i++) {
      const body = { title: titles[i], rank: i % 3 === 2 ? null : i % 3, group: i % 2 ? "b" : "a", tags: [`t${i % 2}`] };
      const answer = await api.post(list, body);
      assert.equal(answer.status, 201, answer.text);
    }
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  it("newest first, twenty at a time", async () => {
    const answer = await api.get(list);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("content-type"), "application/json");
    assert.deepEqual(answer.body.data.map((r) => r.title), [...titles].reverse());
    assert.deepEqual(answer.body.page, { limit: 20, next: null, prev: null, has_more: false });
    assert.equal(answer.headers.get("link"), null);
    assert.ok(!("secret" in answer.body.data[0]));
  });

  it("HEAD is GET without the body", async () => {
    const answer = await api.head(list);
    assert.equal(answer.status, 200);
    assert.equal(answer.text, "");
    assert.ok(Number(answer.headers.get("content-length")) > 100);
  });

  const sorts = {
    title: ["alpha", "bravo", "charlie", "delta", "echo", null, null],
    "-title": [null, null, "echo", "delta", "charlie", "bravo", "alpha"],
  };
  for (const [sort, want] of Object.entries(sorts))
    it(`nulls are largest: sort=${sort}`, async () => {
      const answer = await api.get(list + query({ sort }));
      assert.deepEqual(answer.body.data.map((r) => r.title), want);
    });

  for (const sort of ["id", "-id", "title", "-title", "rank", "-rank", "group,-rank", "-group,rank", "rank,-title", "created_at", "-created_at,title", "price", "ratio,-done"])
    for (const limit of [1, 2, 3])
      it(`forward and back by cursor: sort=${sort} limit=${limit}`, async () => {
        const whole = (await api.get(list + query({ sort }))).body.data;
        const forward = await everything(api, { sort, limit });
        assert.deepEqual(rows(forward), whole);
        assert.equal(forward.length, Math.ceil(whole.length / limit));
        assert.ok(forward.slice(0, -1).every((page) => page.page.has_more));
        /* From the last page back to the first. */
        const last = forward.at(-1).page.prev;
        const back = await everything(api, { sort, limit, cursor: last }, "prev");
        const before = whole.slice(0, (forward.length - 1) * limit);
        assert.deepEqual(rows(back.reverse()), before);
        assert.ok(back.every((page) => page.page.has_more));
      });

  it("a page stays put while rows are added and taken away", async () => {
    const first = await api.get(list + query({ limit: 3, sort: "title" }));
    const early = (await api.post(list, { title: "aaaa" })).body;
    const late = (await api.post(list, { title: "zulu" })).body;
    const gone = first.body.data[2].id;
    assert.equal((await api.delete(`${list}/${gone}`)).status, 204);
    const second = await api.get(list + query({ limit: 3, sort: "title", cursor: first.body.page.next }));
    assert.deepEqual(second.body.data.map((r) => r.title), ["delta", "echo", "zulu"]);
    const backAgain = await api.get(list + query({ limit: 3, sort: "title", cursor: second.body.page.prev }));
    assert.deepEqual(backAgain.body.data.map((r) => r.title), ["aaaa", "alpha", "bravo"]);
    await api.delete(`${list}/${early.id}`);
    await api.delete(`${list}/${late.id}`);
    await api.post(list, { title: "charlie", rank: 0, group: "b", tags: ["t1"] });
  });

  it("Link headers lead through the list", async () => {
    const first = await api.get(list + query({ limit: 2, sort: "title", group: "a" }));
    const link = /^<([^>]+)>; rel="next"$/.exec(first.headers.get("link"));
    assert.ok(link, first.headers.get("link"));
    const second = await api.get(link[1]);
    assert.equal(second.status, 200, second.text);
    assert.match(second.headers.get("link"), /rel="prev"/);
    assert.notDeepEqual(second.body.data, first.body.data);
  });

  it("offset counts from the start, and leads on by cursor", async () => {
    const whole = (await api.get(list)).body.data;
    const answer = await api.get(list + query({ offset: 2, limit: 2 }));
    assert.deepEqual(answer.body.data, whole.slice(2, 4));
    const next = await api.get(list + query({ limit: 2, cursor: answer.body.page.next }));
    assert.deepEqual(next.body.data, whole.slice(4, 6));
    const prev = await api.get(list + query({ limit: 2, cursor: answer.body.page.prev }));
    assert.deepEqual(prev.body.data, whole.slice(0, 2));
    assert.deepEqual((await api.get(list + query({ offset: 1000 }))).body.data, []);
  });

  it("a cursor belongs to its list, its order, its conditions and who asks", async () => {
    const cursor = (await api.get(list + query({ limit: 2, sort: "title" }))).body.page.next;
    for (const params of [
      { cursor },
      { cursor, sort: "-title" },
      { cursor, sort: "title", group: "a" },
      { cursor, sort: "title", filter: "done" },
      { cursor: cursor.slice(0, -1) + (cursor.endsWith("A") ? "B" : "A"), sort: "title" },
      { cursor: "AAAA", sort: "title" },
      { cursor: "", sort: "title" },
    ]) {
      const answer = await api.get(list + query(params));
      assert.equal(answer.status, 400, JSON.stringify(params));
      assert.equal(codes(answer)["?cursor"], "cursor");
    }
    const user = "0192f1c0-6f3a-7c3e-9d2b-0a1b2c3d4e5f";
    assert.equal((await api.get(list + query({ cursor, sort: "title" }), { user })).status, 400);
    assert.equal((await api.get(list + query({ cursor, sort: "title", limit: 5, fields: "id" }))).status, 200);
  });

  const conditions = [
    [{ group: "a" }, (r) => r.group === "a"],
    [{ title: "alpha" }, (r) => r.title === "alpha"],
    [{ rank: "1" }, (r) => r.rank === 1],
    [{ rank: "null" }, (r) => r.rank === null],
    [{ done: "false" }, (r) => !r.done],
    [{ tags: "t1" }, (r) => r.tags.includes("t1")],
    [{ filter: 'title == "alpha" || rank == 1' }, (r) => r.title === "alpha" || r.rank === 1],
    [{ filter: "title != null && rank > 0" }, (r) => r.title !== null && r.rank > 0],
    [{ filter: 'title.startsWith("a")', group: "b" }, (r) => r.title?.startsWith("a") && r.group === "b"],
    [{ filter: '"t0" in tags' }, (r) => r.tags.includes("t0")],
    [{ filter: "false" }, () => false],
  ];
  for (const [params, matches] of conditions)
    it(`conditions: ${JSON.stringify(params)}`, async () => {
      const whole = (await api.get(list)).body.data;
      const answer = await api.get(list + query({ ...params, count: "exact" }));
      assert.equal(answer.status, 200, answer.text);
      const want = whole.filter(matches);
      assert.deepEqual(answer.body.data, want);
      assert.equal(answer.body.page.total, want.length);
    });

  it("a field given twice is either", async () => {
    const answer = await api.get(`${list}?title=alpha&title=bravo&title=nothing&sort=title`);
    assert.deepEqual(answer.body.data.map((r) => r.title), ["alpha", "bravo"]);
    const withNull = await api.get(`${list}?rank=0&rank=null`);
    assert.ok(withNull.body.data.every((r) => r.rank === 0 || r.rank === null));
    assert.ok(withNull.body.data.some((r) => r.rank === null) && withNull.body.data.some((r) => r.rank === 0));
  });

  it("only the fields asked for", async () => {
    const answer = await api.get(list + query({ fields: "title,rank", limit: 2, sort: "-title" }));
    assert.deepEqual(Object.keys(answer.body.data[0]), ["title", "rank"]);
    const next = await api.get(list + query({ fields: "rank", limit: 2, sort: "-title", cursor: answer.body.page.next }));
    assert.equal(next.status, 200);
    assert.deepEqual(Object.keys(next.body.data[0]), ["rank"]);
  });

  it("counts only on request, and says whether they are exact", async () => {
    const whole = (await api.get(list)).body.data.length;
    assert.equal((await api.get(list)).body.page.total, undefined);
    const exact = (await api.get(list + query({ count: "exact", limit: 1 }))).body.page;
    assert.equal(exact.total, whole);
    assert.equal(exact.total_is, "exact");
    const estimated = (await api.get(list + query({ count: "estimated", limit: 1 }))).body.page;
    assert.equal(estimated.total, whole);
  });

  it("the read rule decides what is listed and counted", async () => {
    const [mine, yours] = ["0192f1c0-6f3a-7c3e-9d2b-000000000001", "0192f1c0-6f3a-7c3e-9d2b-000000000002"];
    const before = (await api.get(list + query({ count: "exact" }))).body.page.total;
    const note = (await api.post(list, { owner: mine, title: "hidden" }, { user: mine })).body;
    const count = async (as) => (await api.get(list + query({ count: "exact" }), as)).body.page.total;
    assert.equal(await count({}), before);
    assert.equal(await count({ user: yours }), before);
    assert.equal(await count({ user: mine }), before + 1);
    assert.equal((await api.get(list + query({ title: "hidden" }), { user: yours })).body.data.length, 0);
    assert.equal((await api.get(`${list}/${note.id}`, { user: yours })).status, 404);
    assert.equal((await api.get(`${list}/${note.id}`, { user: mine })).status, 200);
    await api.delete(`${list}/${note.id}`, { user: mine });
  });

  it("several mistakes are told at once, with advice", async () => {
    const answer = await api.get(list + query({ limt: 5, sort: "titel", fields: "rnk", count: "maybe" }));
    assert.equal(answer.status, 400);
    assert.deepEqual(codes(answer), { "?limt": "unknown_parameter", "?sort": "unknown_field", "?fields": "unknown_field", "?count": "enum" });
    assert.match(answer.body.errors[0].detail, /Did you mean `limit`/);
    assert.match(answer.body.errors[1].detail, /`title`/);
  });

  it("a page of long rows ends early, and the walk goes on", async () => {
    const ids = [];
    for (let i = 0; i < 60; i++) ids.push((await api.post("/api/v1/longs", { text: "\u00e9".repeat(45_000), up: ids[0] ?? null })).body.id);
    for (const sort of ["id", "-id"]) {
      const seen = [];
      let answer = await api.get(`/api/v1/longs?limit=100&sort=${sort}`), pages = 0, last;
      for (;;) {
        assert.equal(answer.status, 200);
        assert.ok(answer.text.length < 3 << 20);
        seen.push(...answer.body.data.map((r) => r.id));
        pages++;
        last = answer.body.page;
        if (!last.next) break;
        answer = await api.get(`/api/v1/longs?limit=100&sort=${sort}&cursor=${last.next}`);
      }
      assert.ok(pages > 2);
      assert.deepEqual(seen, sort === "id" ? ids : [...ids].reverse());
      const back = await api.get(`/api/v1/longs?limit=100&sort=${sort}&cursor=${last.prev}`);
      assert.deepEqual(back.body.data.map((r) => r.id), seen.slice(-back.body.data.length - answer.body.data.length, -answer.body.data.length));
    }
    const exported = await api.get("/api/v1/longs/export?fields=id&sort=id");
    assert.deepEqual(exported.text.trim().split("\n").map((l) => JSON.parse(l).id), ids);
    assert.equal((await api.get("/api/v1/longs/export")).text.split("\n").length, 61);
    const much = await api.get("/api/v1/longs?limit=100&expand=longs.up,up.longs");
    assert.equal(much.status, 400);
    assert.match(much.text, /expand-too-large|^$/);
  });

  it("an order without an index is refused for many rows", async () => {
    const operations = (n) => Array.from({ length: 100 }, (_, i) => ({ method: "POST", path: "/notes", body: { title: `n${n}-${i}`, ratio: i } }));
    for (let n = 0; n < 101; n++) {
      const answer = await api.post("/api/v1/batch", { operations: operations(n) }, { headers: { prefer: "return=minimal" } });
      assert.equal(answer.status, 200, answer.text);
    }
    const refused = await api.get(list + query({ sort: "ratio" }));
    assert.equal(refused.status, 400);
    assert.equal(codes(refused)["?sort"], "not_indexed");
    /* An export walks in pages too. */
    const exported = await api.get(`${list}/export${query({ sort: "ratio" })}`);
    assert.equal(exported.status, 400);
    assert.equal(codes(exported)["?sort"], "not_indexed");
    assert.equal((await api.get(list + query({ sort: "ratio", title: "n1-1" }))).status, 200);
    assert.equal((await api.get(list + query({ sort: "title" }))).status, 200);
    const page = (await api.get(list + query({ count: "estimated", limit: 1 }))).body.page;
    assert.deepEqual([page.total, page.total_is], [10000, "at_least"]);
    const offset = await api.get(list + query({ offset: 10001 }));
    assert.equal(offset.status, 400);
  });
});
