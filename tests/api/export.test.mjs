/* CSV and NDJSON: every row once, in order, safe to open, streamed. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import { query, startAs } from "../support/as.mjs";

const contracts = {
  things: `
resource: things
fields:
  name:  { type: string, max: 100 }
  note:  { type: text, max: 20000, optional: true }
  size:  { type: integer, optional: true }
  ratio: { type: number, optional: true }
  flag:  { type: boolean, optional: true }
  price: { type: money, optional: true }
  tags:  { type: list, of: string, default: [] }
  meta:  { type: json, optional: true }
  pin:   { type: string, writeonly: true, optional: true }
indexes: [ [size] ]
rules: { read: 'name != "hidden"', create: true, update: true, delete: true }
`,
  closed: `
resource: closed
fields:
  name: { type: string }
rules: { read: '"admin" in @roles', create: true, update: true, delete: true }
`,
};
const things = "/api/v1/things";

describe("export", () => {
  let api;
  const cleanups = [];
  before(async () => {
    api = await startAs({ after: (fn) => cleanups.push(fn) }, contracts);
    const rows = [
      { name: "plain", size: -5, ratio: 1.5, flag: true, price: { amount_minor: 250, currency: "EUR" }, tags: ["a", "b"], meta: { x: 'y"z' }, pin: "1" },
      { name: '=HYPERLINK("http://x")', note: "two\nlines, and \"quotes\"" },
      { name: "" },
      { name: null },
      { name: "hidden" },
    ];
    for (const row of rows) assert.equal((await api.post(things, row)).status, 201);
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  it("CSV by RFC 4180, formulas disarmed", async () => {
    const answer = await api.get(`${things}/export?format=csv&fields=name,note,size,ratio,flag,price,tags,meta&sort=id`);
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.headers.get("content-type"), /^text\/csv/);
    assert.match(answer.headers.get("content-disposition"), /attachment; filename="things.csv"/);
    assert.deepEqual(answer.text.split("\r\n"), [
      "name,note,size,ratio,flag,price.amount_minor,price.currency,tags,meta",
      'plain,,-5,1.5,true,250,EUR,"[""a"",""b""]","{""x"":""y\\""z""}"',
      '"\'=HYPERLINK(""http://x"")","two\nlines, and ""quotes""",,,,,,[],',
      '"",,,,,,,[],',
      ",,,,,,,[],",
      "",
    ]);
  });

  it("NDJSON has the rows as reading them does", async () => {
    const answer = await api.get(`${things}/export?sort=id`);
    assert.equal(answer.headers.get("content-type"), "application/x-ndjson");
    const rows = answer.text.trim().split("\n").map((line) => JSON.parse(line));
    const list = (await api.get(things + "?sort=id")).body.data;
    assert.deepEqual(rows, list);
    assert.ok(!answer.text.includes('"pin"'));
  });

  it("by Accept as well", async () => {
    const csv = await api.get(things, { headers: { accept: "text/csv" } });
    assert.match(csv.headers.get("content-type"), /^text\/csv/);
    const ndjson = await api.get(things, { headers: { accept: "application/x-ndjson" } });
    assert.equal(ndjson.headers.get("content-type"), "application/x-ndjson");
    const json = await api.get(things, { headers: { accept: "application/json, text/csv" } });
    assert.equal(json.headers.get("content-type"), "application/json");
    const viaExport = await api.get(`${things}/export`, { headers: { accept: "text/csv" } });
    assert.match(viaExport.headers.get("content-type"), /^text\/csv/);
  });

  it("takes conditions and a limit, refuses what makes no sense", async () => {
    assert.equal((await api.get(`${things}/export` + query({ filter: 'name == "plain"' }))).text.trim().split("\n").length, 1);
    assert.equal((await api.get(`${things}/export?limit=2`)).text.trim().split("\n").length, 2);
    for (const bad of ["format=xml", "cursor=x", "expand=a", "count=exact", "limit=0", "nope=1"]) assert.equal((await api.get(`${things}/export?${bad}`)).status, 400, bad);
    assert.equal((await api.get("/api/v1/closed/export")).status, 401);
    assert.equal((await api.get("/api/v1/closed/export", { roles: "other" })).status, 403);
    assert.equal((await api.get("/api/v1/closed/export", { roles: "admin" })).text, "");
    assert.equal((await api.get("/api/v1/closed/export?format=csv", { roles: "admin" })).text.trim(), "id,name,created_at,updated_at,version");
  });

  describe("of many rows", () => {
    const many = 3000;
    before(async () => {
      for (let n = 0; n < many / 100; n++) {
        const operations = Array.from({ length: 100 }, (_, i) => ({ method: "POST", path: "/things", body: { name: `many ${n * 100 + i}`, size: i, note: "x".repeat(500) } }));
        assert.equal((await api.post("/api/v1/batch", { operations }, { headers: { prefer: "return=minimal" } })).status, 200);
      }
    });

    for (const sort of ["id", "-id", "size", "-size,id", "-name", "ratio"])
      it(`each once, in order: sort=${sort}`, async () => {
        const params = { sort, fields: "id,name", filter: 'name.startsWith("many")' };
        const ids = (await api.get(`${things}/export` + query(params))).text.trim().split("\n").map((l) => JSON.parse(l).id);
        assert.equal(ids.length, many);
        assert.equal(new Set(ids).size, many);
        const page = (await api.get(things + query({ ...params, limit: 100 }))).body.data.map((r) => r.id);
        assert.deepEqual(ids.slice(0, 100), page);
      });

    it("a reader who does not read holds nobody up", async () => {
      const sockets = Array.from({ length: 20 }, () => {
        const socket = connect(api.server.port, "127.0.0.1");
        socket.on("error", () => {});
        socket.write(`GET ${things}/export HTTP/1.1\r\nHost: a\r\n\r\n`);
        socket.pause();
        return socket;
      });
      await new Promise((resolve) => setTimeout(resolve, 300));
      for (let i = 0; i < 20; i++) assert.equal((await api.get(things + "?limit=1")).status, 200);
      sockets.forEach((socket) => socket.destroy());
      assert.equal((await api.get(`${things}/export`)).text.trim().split("\n").length, many + 4);
    });
  });
});
