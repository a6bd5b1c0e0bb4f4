/* Values at the edges: what is taken comes back the same, by every way there is to read it; the rest is refused with words. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { codes, query, startAs } from "../support/as.mjs";

const contracts = {
  things: `
resource: things
fields:
  line:  { type: string, max: 40 }
  text:  { type: text }
  size:  { type: integer }
  ratio: { type: number }
  at:    { type: time }
  day:   { type: date }
  flag:  { type: boolean }
  price: { type: money }
  meta:  { type: json }
  tags:  { type: list, of: string, max_items: 20 }
  sizes: { type: list, of: integer }
  name:  { type: string, max: 40, unique: true }
search: [line, text]
rules: { read: true, create: true, update: true, delete: true }
`,
};
const things = "/api/v1/things";
const raw = (text) => text;

describe("values at the edges", () => {
  let api;
  const cleanups = [];
  before(async () => {
    api = await startAs({ after: (fn) => cleanups.push(fn) }, contracts);
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });
  const post = (text) => api.post(things, raw(text), { headers: { "content-type": "application/json" } });

  const texts = {
    empty: "", combining: "a\u0308\u0301", composed: "\u00e4", rtl: "שלום \u202E abc", emoji: "👩‍👩‍👧‍👦", four: "\u{10FFFF}", replacement: "\uFFFD",
    noncharacter: "\uFFFE\uFFFF", "zero width": "a\u200Bb", quotes: `"'\\/`, percent: "%41%00+&=", sql: `'); DROP TABLE things; --`, html: "<script>&amp;",
    bom: "\uFEFFx", forty: "😀".repeat(40),
  };
  for (const [name, line] of Object.entries(texts))
    it(`text: ${name}`, async () => {
      const made = await api.post(things, { line, tags: [line], meta: { [line]: line } });
      assert.equal(made.status, 201, made.text);
      const { id } = made.body;
      const row = (await api.get(`${things}/${id}`)).body;
      assert.deepEqual([row.line, row.tags, row.meta], [line, [line], { [line]: line }]);
      const find = async (params) => {
        const answer = await api.get(things + query({ ...params, id }));
        assert.equal(answer.status, 200, answer.text);
        return answer.body.data.length;
      };
      assert.equal(await find({ line }), 1);
      assert.equal(await find({ tags: line }), 1);
      assert.equal(await find({ filter: `line == ${JSON.stringify(line)}` }), 1);
      assert.equal(await find({ filter: `line.startsWith(${JSON.stringify(line)}) && line.endsWith(${JSON.stringify(line)}) && line.contains(${JSON.stringify(line)})` }), 1);
      assert.equal(await find({ filter: `size(line) == ${[...line].length}` }), 1);
      const exported = await api.get(`${things}/export${query({ id, fields: "line,tags" })}`);
      assert.deepEqual(JSON.parse(exported.text), { line, tags: [line] });
      const patched = await api.patch(`${things}/${id}`, [{ op: "test", path: "/line", value: line }, { op: "copy", from: "/line", path: "/tags/0" }]);
      assert.deepEqual(patched.body.tags, [line, line]);
    });

  it("text that is none", async () => {
    for (const [body, status] of [
      ['{"line":"\\ud800"}', 400], ['{"line":"\\udc00\\ud800"}', 400], ['{"line":"a\\u0000b"}', 422], ['{"meta":{"a":"\\u0000"}}', 422],
      ['{"meta":{"a\\u0000b":1}}', 422], ['{"tags":["\\u0000"]}', 422], ['{"line":"a\\nb"}', 422], ['{"line":"\\u2028"}', 422], ['{"line":"\\u0085"}', 422],
      [`{"line":"${"😀".repeat(41)}"}`, 422], ['{"line":"a","line":"b"}', 400], ['{"meta":{"a":1,"a":2}}', 400], ['{"__proto__":1}', 422],
    ]) {
      const answer = await post(body);
      assert.ok(answer.status === status || (answer.status === 400 && /u0000/.test(body)), `${body}: ${answer.status} ${answer.text}`);
      assert.match(answer.headers.get("content-type"), /problem\+json/);
    }
    const bytes = (list) => new Uint8Array([...Buffer.from('{"line":"'), ...list, ...Buffer.from('"}')]);
    for (const list of [[0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xff], [0x80], [0xe2, 0x82]])
      assert.equal((await api.server.post(things, { body: bytes(list), headers: { "content-type": "application/json" } })).status, 400);
    for (const value of ["%ff", "%00", "%ed%a0%80", "%c0%80"]) {
      for (const parameter of ["line", "filter", "q", "tags", "sort", "fields", "expand", "cursor"]) {
        const answer = await api.get(`${things}?${parameter}=${value}`);
        assert.equal(answer.status, 400, `${parameter}=${value} ${answer.text}`);
      }
      assert.ok([400, 404].includes((await api.get(`${things}/${value}`)).status));
    }
  });

  const numbers = {
    size: [["9223372036854775807"], ["-9223372036854775808"], ["0"], ["-0", "0"], ["9223372036854775808", 4], ["-9223372036854775809", 4], ["1.0", 4], ["1e3", 4], ["1e400", 4], ["01", 4], ["+1", 4], ['"1"', 4], ["true", 4], ["NaN", 4]],
    ratio: [["1e308"], ["-1e308"], ["1.7976931348623157e308"], ["5e-324"], ["0.1"], ["-0.0", "0"], ["-0"], ["0"], ["9007199254740992"], ["9007199254740993", 4], ["1e309", 4], ["1e-400"], ["Infinity", 4], ["123456789012345680000", 4]],
    at: [['"0001-01-01T00:00:00Z"'], ['"9999-12-31T23:59:59.999Z"'], ['"9999-12-31T23:59:59.999-12:00"', 4], ['"0000-01-01T00:00:00+14:00"', 4], ['"2026-02-29T00:00:00Z"', 4], ['"2024-02-29T23:59:60Z"'], ['"10000-01-01T00:00:00Z"', 4], ['"2026-01-01"', 4], ['"2026-01-01T24:00:00Z"', 4], ['"1969-12-31T23:59:59.9999Z"'], ["0", 4]],
    day: [['"0001-01-01"'], ['"9999-12-31"'], ['"2024-02-29"'], ['"2026-02-29"', 4], ['"0000-01-01"'], ['"10000-01-01"', 4], ['"2026-1-1"', 4], ['"2026-13-01"', 4]],
    price: [['{"amount_minor":9223372036854775807,"currency":"EUR"}'], ['{"amount_minor":-9223372036854775808,"currency":"JPY"}'], ['{"amount_minor":1.5,"currency":"EUR"}', 4], ['{"amount_minor":1,"currency":"eur"}', 4], ['{"amount_minor":1,"currency":"XXQ"}', 4], ['{"amount_minor":1}', 4], ['{"currency":"EUR"}', 4], ['{"amount_minor":1,"currency":"EUR","x":1}', 4], ["1", 4], ['{"amount_minor":null,"currency":"EUR"}', 4]],
    meta: [["[]"], ["{}"], ["0"], ["false"], ['""'], ["9223372036854775807"], ["1e308"], ["[".repeat(30) + "]".repeat(30)], ["[".repeat(33) + "]".repeat(33), 4], [`"${"x".repeat(65534)}"`], [`"${"x".repeat(65535)}"`, 4], ["null", "null"]],
    sizes: [["[9223372036854775807,-9223372036854775808]"], ["[1.5]", 4], ["[null]", 4], ["{}", 4]],
    flag: [["true"], ["false"], ["1", 4], ['"true"', 4]],
  };
  for (const [field, cases] of Object.entries(numbers))
    it(`${field}: its ends and beyond`, async () => {
      for (const [text, outcome] of cases) {
        const made = await post(`{"${field}":${text}}`);
        if (outcome === 4) {
          assert.ok([400, 413, 422].includes(made.status), `${text}: ${made.status} ${made.text}`);
          if (made.status === 422) assert.ok(Object.keys(codes(made)).every((pointer) => pointer.startsWith(`/${field}`)), made.text);
          continue;
        }
        assert.equal(made.status, 201, `${text}: ${made.text}`);
        /* To the digit, as text. */
        const shown = made.text.match(new RegExp(`"${field}":(.*),"${{ size: "ratio", ratio: "at", at: "day", day: "flag", flag: "price", price: "meta", meta: "tags", sizes: "name" }[field]}"`))[1];
        if (field === "size" || field === "price" || field === "sizes") assert.equal(shown, outcome ?? text);
        if (field === "ratio") assert.equal(Number(shown), Number(text) + 0);
        const read = await api.get(`${things}/${made.body.id}`);
        assert.equal(read.text, made.text);
        /* And what was read can be sent back, and changes nothing. */
        const put = await api.put(`${things}/${made.body.id}`, raw(read.text), { headers: { "content-type": "application/json" } });
        assert.equal(put.status, 200, `${text}: ${put.text}`);
        assert.equal(put.text, read.text);
        const again = await api.patch(`${things}/${made.body.id}`, `{"${field}":${shown}}`);
        assert.equal(again.status, 200, `${text}: ${again.text}`);
        assert.equal(again.text, read.text);
        if (["size", "ratio", "at", "day", "flag"].includes(field)) {
          const value = shown.replace(/^"|"$/g, "");
          const found = await api.get(things + query({ [field]: value, id: made.body.id }));
          assert.equal(found.body.data?.length, 1, `${text}: ${found.text}`);
          const filtered = await api.get(things + query({ filter: `${field} == ${shown} && id == "${made.body.id}"` }));
          assert.equal(filtered.body.data?.length, 1, `${text}: ${filtered.text}`);
        }
      }
    });

  it("a hundred of parameters, and one of a hundred kinds", async () => {
    const many = Array.from({ length: 33 }, (_, i) => `size=${i}`).join("&");
    assert.equal((await api.get(`${things}?${many}`)).status, 400);
    assert.equal((await api.get(`${things}?${many.split("&").slice(0, 32).join("&")}`)).status, 200);
    for (const target of [`${things}?${"a=b&".repeat(1500)}`, `${things}?${"&".repeat(7000)}`, `${things}?${Array.from({ length: 900 }, (_, i) => `p${i}=1`).join("&")}`]) {
      const answer = await api.get(target);
      assert.ok([200, 400, 414].includes(answer.status), String(answer.status));
      assert.ok(answer.text.length < 200_000);
    }
    assert.equal((await api.get(`${things}?line=${"a".repeat(9000)}`)).status, 414);
  });

  it("unique is by bytes, as it is said: forms of one letter are two names", async () => {
    assert.equal((await api.post(things, { name: "caf\u00e9" })).status, 201);
    assert.equal((await api.post(things, { name: "cafe\u0301" })).status, 201);
    assert.equal((await api.post(things, { name: "caf\u00e9" })).status, 409);
    assert.equal((await api.post(things, { name: "CAF\u00c9" })).status, 201);
  });
});
