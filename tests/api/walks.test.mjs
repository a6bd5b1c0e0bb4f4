/* Walking a list while others write: what was there all the time comes once, whatever the order, in both directions. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { query, startAs } from "../support/as.mjs";

const contracts = {
  things: `
resource: things
fields:
  name:  { type: string, max: 300 }
  size:  { type: integer }
  ratio: { type: number }
  at:    { type: time }
  day:   { type: date }
  done:  { type: boolean }
  kind:  { enum: [a, b, c], optional: true, default: a }
  price: { type: money }
  other: { ref: things }
  key:   { type: uuid }
  mail:  { type: email }
rules: { read: true, create: true, update: true, delete: true }
`,
  long: `
resource: long
fields:
  a: { type: string }
  b: { type: string }
  c: { type: string }
  d: { type: string }
  e: { type: string }
  most: { type: string, max: 1024 }
  link: { type: url }
rules: { read: true, create: true, update: true, delete: true }
`,
};

const things = "/api/v1/things";
const pick = (items) => items[Math.floor(Math.random() * items.length)];
const maybe = (make) => (Math.random() < 0.3 ? null : make());
const few = (n) => Math.floor(Math.random() * n);
const random = (ids) => ({
  name: maybe(() => pick(["", "a", "A", "ä", "a\u0308", "z", "\u{1F600}", "\uFFFD", "%", "\u202Eabc", "'", "0"])),
  size: maybe(() => pick([0, 1, -1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, few(5)])),
  ratio: maybe(() => pick([0, -0, 0.1, -0.1, 1e308, -1e308, 5e-324, 1, few(3)])),
  at: maybe(() => pick(["2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"])),
  day: maybe(() => pick(["2026-01-01", "0001-01-01", "9999-12-31"])),
  done: maybe(() => Math.random() < 0.5),
  kind: maybe(() => pick(["a", "b", "c"])),
  price: maybe(() => ({ amount_minor: pick([0, 1, -1, 500]), currency: pick(["EUR", "JPY"]) })),
  other: ids?.length ? maybe(() => pick(ids)) : null,
  key: maybe(() => pick(["01890a5d-ac96-774b-bcce-b302099a8057", "ffffffff-ffff-4fff-bfff-ffffffffffff"])),
  mail: maybe(() => pick(["a@example.org", "B@example.org"])),
});

describe("a walk while others write", () => {
  let api;
  const ids = [];
  const cleanups = [];
  before(async () => {
    api = await startAs({ after: (fn) => cleanups.push(fn) }, contracts);
    for (let i = 0; i < 60; i++) {
      const made = await api.post(things, random(ids));
      assert.equal(made.status, 201, made.text);
      ids.push(made.body.id);
    }
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  const walk = async (params, direction, between) => {
    const seen = [];
    let cursor = params.cursor;
    for (let i = 0; i < 200; i++) {
      const answer = await api.get(things + query({ ...params, ...(cursor ? { cursor } : {}) }));
      assert.equal(answer.status, 200, answer.text);
      const rows = answer.body.data.map((row) => row.id);
      if (direction === "prev") rows.reverse();
      seen.push(...rows);
      cursor = answer.body.page[direction];
      if (!cursor) return { seen, last: answer.body };
      await between?.();
    }
    assert.fail("never ends");
  };

  /* Rows that come and go. */
  let passing = [];
  const disturb = async () => {
    passing.push((await api.post(things, random(ids))).body.id);
    if (passing.length > 3) await api.delete(`${things}/${passing.splice(few(passing.length), 1)[0]}`);
  };

  for (const field of ["name", "size", "ratio", "at", "day", "done", "kind", "price", "other", "key", "mail", "updated_at", "version", "id"])
    for (const sort of [field, `-${field}`])
      it(`each once: sort=${sort}`, async () => {
        for (const id of passing.splice(0)) await api.delete(`${things}/${id}`);
        const still = await walk({ sort, limit: 100 }, "next");
        const stay = still.seen.filter((id) => ids.includes(id));
        assert.equal(stay.length, ids.length);
        const moving = await walk({ sort, limit: 7 }, "next", disturb);
        assert.equal(new Set(moving.seen).size, moving.seen.length, "none twice");
        assert.deepEqual(moving.seen.filter((id) => ids.includes(id)), stay);
        if (!moving.last.page.prev) return;
        const back = await walk({ sort, limit: 5, cursor: moving.last.page.prev }, "prev", disturb);
        assert.equal(new Set(back.seen).size, back.seen.length, "none twice");
        const before = stay.slice(0, stay.length - moving.last.data.filter((row) => ids.includes(row.id)).length);
        assert.deepEqual(back.seen.filter((id) => ids.includes(id)), before.reverse());
      });

  it("many fields at once, every direction", async () => {
    for (let i = 0; i < 25; i++) {
      const sort = ["name", "size", "ratio", "at", "done", "kind", "price", "other"]
        .sort(() => Math.random() - 0.5)
        .slice(0, 1 + few(5))
        .map((field) => (Math.random() < 0.5 ? `-${field}` : field))
        .join(",");
      const all = await walk({ sort, limit: 100 }, "next");
      const small = await walk({ sort, limit: 9 }, "next");
      assert.deepEqual(small.seen, all.seen, sort);
      const back = await walk({ sort, limit: 11, cursor: small.last.page.prev }, "prev");
      assert.deepEqual([...back.seen.reverse(), ...small.last.data.map((row) => row.id)], all.seen, sort);
    }
  });

  it("the order is by nulls last, then values, as it is said", async () => {
    const rows = [];
    for (let cursor; ; ) {
      const { body } = await api.get(things + query({ sort: "ratio,-size", limit: 50, ...(cursor ? { cursor } : {}) }));
      rows.push(...body.data);
      if (!(cursor = body.page.next)) break;
    }
    for (let i = 1; i < rows.length; i++) {
      const [a, b] = [rows[i - 1], rows[i]];
      assert.ok(b.ratio === null || (a.ratio !== null && a.ratio <= b.ratio), `${a.ratio} ${b.ratio}`);
      if (a.ratio === b.ratio) assert.ok(a.size === null || (b.size !== null && a.size >= b.size) , `${a.size} ${b.size}`);
    }
  });

  it("values of the greatest length do not end it early", async () => {
    const text = (i, max) => "\u{1F600}".repeat(max - 2) + String(10 + i);
    for (let i = 0; i < 6; i++) {
      const made = await api.post("/api/v1/long", {
        ...Object.fromEntries(["a", "b", "c", "d", "e"].map((name) => [name, text(i, 255)])),
        most: text(i, 1024),
        link: "https://example.org/" + "a".repeat(2020) + (10 + i),
      });
      assert.equal(made.status, 201, made.text);
    }
    for (const sort of ["a", "most", "link", "a,b,c,d,e", "-e,-d,-c,-b,-a", "most,a", "link,most", "link,-most,a"]) {
      const first = await api.get("/api/v1/long" + query({ sort, limit: 2 }));
      if (first.status === 400) {
        assert.equal(first.body.errors[0].pointer, "?sort");
        assert.equal(first.body.errors[0].code, "too_long");
        continue;
      }
      assert.equal(first.status, 200, first.text);
      assert.ok(first.body.page.has_more, sort);
      const second = await api.get("/api/v1/long" + query({ sort, limit: 2, cursor: first.body.page.next }));
      assert.equal(second.status, 200, `${sort}: ${second.text}`);
      assert.equal(second.body.data.length, 2);
      assert.ok(second.body.page.prev);
    }
  });
});
