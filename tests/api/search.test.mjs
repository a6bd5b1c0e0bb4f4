/* Full text: found by words and beginnings of words, best first, with what was found marked. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { codes, query, startAs } from "../support/as.mjs";

const contracts = {
  articles: `
resource: articles
fields:
  title: { type: string, max: 200 }
  body:  { type: text, max: 5000 }
  kind:  { enum: [a, b], default: a }
search: [title, body]
rules: { read: true, create: true, update: true, delete: true }
`,
};
const articles = "/api/v1/articles";

describe("search", () => {
  let api;
  const cleanups = [];
  before(async () => {
    api = await startAs({ after: (fn) => cleanups.push(fn) }, contracts);
    const texts = [
      ["Walking the dog", "A dog wants to walk twice a day."],
      ["Cats", "A cat does not walk. Unlike a dog."],
      ["Fish & <b>chips</b>", "No animals were walked."],
      ["Zürich", "Ein Spaziergang mit dem Hund, durch Zürich."],
      ["C++ and C", "Pointers, templates, undefined behaviour."],
    ];
    for (const [title, body] of texts) assert.equal((await api.post(articles, { title, body })).status, 201);
    for (let i = 0; i < 30; i++) await api.post(articles, { title: `filler ${i}`, body: "lorem ipsum ".repeat((i % 5) + 1), kind: i % 2 ? "a" : "b" });
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });
  const find = async (params) => {
    const answer = await api.get(articles + query(params));
    assert.equal(answer.status, 200, answer.text);
    return answer.body;
  };
  const titles = (body) => body.data.map((r) => r.title);

  it("finds all words, best match first, and says how good", async () => {
    const body = await find({ q: "dog walk" });
    assert.deepEqual(titles(body), ["Walking the dog", "Cats"]);
    assert.ok(body.data[0]._search.score >= body.data[1]._search.score);
    assert.deepEqual(titles(await find({ q: "zurich" })), ["Zürich"]);
    assert.deepEqual(titles(await find({ q: "nothing like it" })), []);
  });

  it("the last word matches beginnings, quoted words are phrases", async () => {
    assert.deepEqual(titles(await find({ q: "undef" })), ["C++ and C"]);
    assert.deepEqual(titles(await find({ q: '"walk twice"' })), ["Walking the dog"]);
    assert.deepEqual(titles(await find({ q: '"twice walk"' })), []);
  });

  it("marks what was found, as safe HTML", async () => {
    const body = await find({ q: "chips" });
    assert.equal(body.data[0]._search.highlight.title, "Fish &amp; &lt;b&gt;<mark>chips</mark>&lt;/b&gt;");
    assert.equal(body.data[0].title, "Fish & <b>chips</b>");
    assert.ok(!("body" in body.data[0]._search.highlight));
  });

  for (const q of ['"', "a AND", "title:dog", "NEAR(dog, 1)", "dog*", "(dog", "dog -cat", "^dog", "{title}: dog", "'; DROP TABLE articles", "a".repeat(500), "\u0000dog"])
    it(`nothing of the engine's syntax gets through: ${q.slice(0, 20)}`, async () => {
      const answer = await api.get(articles + query({ q }));
      assert.ok([200, 400].includes(answer.status), answer.text);
    });

  it("refuses what has no words or too many", async () => {
    assert.deepEqual(codes(await api.get(articles + query({ q: " - " }))), { "?q": "empty" });
    assert.deepEqual(codes(await api.get(articles + query({ q: "x".repeat(600) }))), { "?q": "too_long" });
  });

  it("pages by cursor in both directions, in order of rank or any other", async () => {
    for (const sort of [undefined, "-id", "title"]) {
      const params = { q: "lorem", ...(sort ? { sort } : {}) };
      const whole = (await find({ ...params, limit: 100 })).data.map((r) => r.id);
      assert.equal(whole.length, 30);
      const seen = [];
      let page = await find({ ...params, limit: 7 }), last;
      for (;;) {
        seen.push(...page.data.map((r) => r.id));
        last = page;
        if (!page.page.next) break;
        page = await find({ ...params, limit: 7, cursor: page.page.next });
      }
      assert.deepEqual(seen, whole, String(sort));
      const back = await find({ ...params, limit: 7, cursor: last.page.prev });
      assert.deepEqual(back.data.map((r) => r.id), whole.slice(21, 28));
    }
  });

  it("goes with conditions, counts, fields and exports, and follows changes", async () => {
    const body = await find({ q: "lorem", kind: "b", count: "exact", fields: "title", limit: 2 });
    assert.equal(body.page.total, 15);
    assert.deepEqual(Object.keys(body.data[0]), ["title", "_search"]);
    assert.equal((await api.get(articles + "/export" + query({ q: "lorem", fields: "id" }))).text.trim().split("\n").length, 30);
    const row = (await find({ q: "chips" })).data[0];
    await api.patch(`${articles}/${row.id}`, { title: "Hamsters" });
    assert.deepEqual(titles(await find({ q: "hamsters" })), ["Hamsters"]);
    assert.deepEqual(titles(await find({ q: "chips" })), []);
    await api.delete(`${articles}/${row.id}`);
    assert.deepEqual(titles(await find({ q: "hamsters" })), []);
  });
});
