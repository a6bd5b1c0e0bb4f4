/* Many at once for the same thing: one version, one key, one unique value, one row to delete; and clients that go away in the middle. */
import assert from "node:assert/strict";
import net from "node:net";
import { after, before, describe, it } from "node:test";
import { query, startAs } from "../support/as.mjs";

const contracts = {
  accounts: `
resource: accounts
fields:
  owner:   { type: string, max: 40 }
  balance: { type: integer, default: 0 }
  slug:    { type: string, max: 40, unique: true }
  meta:    { type: json }
  price:   { type: money }
  tags:    { type: list, of: string, max_items: 100 }
  entries_in_all: { count: entries.account }
soft_delete: true
rules: { read: true, create: true, update: true, delete: true }
`,
  entries: `
resource: entries
fields:
  account: { ref: accounts, required: true, on_delete: restrict }
  amount:  { type: integer, default: 1 }
rules: { read: true, create: true, update: true, delete: true }
`,
};

const accounts = "/api/v1/accounts";
const entries = "/api/v1/entries";
const times = (n, make) => Promise.all(Array.from({ length: n }, (_, i) => make(i)));
const tally = (answers) => answers.reduce((all, { status }) => ({ ...all, [status]: (all[status] ?? 0) + 1 }), {});

describe("races", () => {
  let api;
  const cleanups = [];
  before(async () => {
    api = await startAs({ after: (fn) => cleanups.push(fn) }, contracts);
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });
  const account = async (body = {}) => (await api.post(accounts, body)).body;

  for (const [name, change] of Object.entries({
    PATCH: (id, i, headers) => api.patch(`${accounts}/${id}`, { balance: i + 1 }, { headers }),
    "JSON Patch": (id, i, headers) => api.patch(`${accounts}/${id}`, [{ op: "replace", path: "/balance", value: i + 1 }], { headers }),
    PUT: (id, i, headers) => api.put(`${accounts}/${id}`, { balance: i + 1 }, { headers }),
    "merge into money": (id, i, headers) => api.patch(`${accounts}/${id}`, { price: { amount_minor: i + 1, currency: "EUR" } }, { headers }),
    batch: (id, i, headers) =>
      api.post("/api/v1/batch", { operations: [{ method: "PATCH", path: `/accounts/${id}`, if_match: headers["if-match"], body: { balance: i + 1 } }] }),
    DELETE: (id, i, headers) => api.delete(`${accounts}/${id}`, { headers }),
  }))
    it(`fifty with the same If-Match, one wins: ${name}`, async () => {
      const { id } = await account();
      const tag = (await api.get(`${accounts}/${id}`)).headers.get("etag");
      const count = tally(await times(50, (i) => change(id, i, { "if-match": tag })));
      const won = (count[200] ?? 0) + (count[204] ?? 0);
      assert.equal(won, 1, JSON.stringify(count));
      assert.equal((count[412] ?? 0) + (count[404] ?? 0), 49, JSON.stringify(count));
      if (name !== "DELETE") assert.equal((await api.get(`${accounts}/${id}`)).body.version, 2);
    });

  it("adding with If-Match and trying again loses nothing", async () => {
    const { id } = await account();
    await times(20, async () => {
      for (;;) {
        const now = await api.get(`${accounts}/${id}`);
        const answer = await api.patch(`${accounts}/${id}`, { balance: now.body.balance + 1 }, { headers: { "if-match": now.headers.get("etag") } });
        if (answer.status === 200) return;
        assert.equal(answer.status, 412);
      }
    });
    const last = (await api.get(`${accounts}/${id}`)).body;
    assert.deepEqual([last.balance, last.version], [20, 21]);
  });

  it("each adds to the list by JSON Patch, none is lost", async () => {
    const { id } = await account({ tags: [] });
    await times(50, (i) => api.patch(`${accounts}/${id}`, [{ op: "add", path: "/tags/-", value: `t${i}` }]));
    const { tags } = (await api.get(`${accounts}/${id}`)).body;
    assert.equal(new Set(tags).size, 50);
  });

  it("each merges its member, none is lost", async () => {
    const { id } = await account({ meta: {} });
    await times(50, (i) => api.patch(`${accounts}/${id}`, { meta: { [`k${i}`]: i } }));
    assert.equal(Object.keys((await api.get(`${accounts}/${id}`)).body.meta).length, 50);
  });

  it("fifty with one Idempotency-Key make one row, and the rest are its echo or told to wait", async () => {
    for (const round of [1, 2, 3]) {
      const headers = { "idempotency-key": `once-${round}` };
      const owner = `idem ${round}`;
      const answers = await times(50, () => api.post(accounts, { owner }, { headers }));
      const count = tally(answers);
      assert.equal((count[201] ?? 0) + (count[409] ?? 0), 50, JSON.stringify(count));
      const ids = new Set(answers.filter((a) => a.status === 201).map((a) => a.body.id));
      assert.equal(ids.size, 1);
      for (const refused of answers.filter((a) => a.status === 409)) assert.ok(refused.headers.get("retry-after"));
      const again = await api.post(accounts, { owner }, { headers });
      assert.deepEqual([again.status, again.headers.get("idempotency-replayed"), ids.has(again.body.id)], [201, "true", true]);
      assert.equal((await api.get(accounts + query({ owner, count: "exact" }))).body.page.total, 1);
    }
  });

  it("an answer that was lost is there for who asks again, at once and on any connection", async () => {
    for (let i = 0; i < 40; i++) {
      const headers = { "idempotency-key": `again-${i}` };
      const body = { owner: "again" };
      const [first, second] = [await api.post(accounts, body, { headers }), await api.post(accounts, body, { headers })];
      assert.deepEqual([first.status, second.status, second.body.id], [201, 201, first.body.id]);
    }
    assert.equal((await api.get(accounts + query({ owner: "again", count: "exact" }))).body.page.total, 40);
  });

  it("fifty for one unique value, by creating, changing and restoring: one has it", async () => {
    const slug = "wanted";
    const gone = [];
    for (let i = 0; i < 5; i++) {
      const row = await account({ slug });
      assert.equal((await api.delete(`${accounts}/${row.id}`)).status, 204);
      gone.push(row.id);
    }
    const others = await times(10, () => account());
    const count = tally(
      await Promise.all([
        ...gone.map((id) => api.post(`${accounts}/${id}/restore`)),
        ...others.map(({ id }) => api.patch(`${accounts}/${id}`, { slug })),
        ...Array.from({ length: 35 }, () => api.post(accounts, { slug })),
      ]),
    );
    assert.equal((count[200] ?? 0) + (count[201] ?? 0), 1, JSON.stringify(count));
    assert.equal(count[409], 49);
    assert.equal((await api.get(accounts + query({ slug, count: "exact" }))).body.page.total, 1);
  });

  it("rows that refer and the deletion of what they refer to", async () => {
    const parents = await times(10, () => account());
    await Promise.all(
      parents.flatMap(({ id }) => [
        api.post(entries, { account: id }), api.post(entries, { account: id }), api.post(entries, { account: id }),
        api.patch(`${accounts}/${id}`, { balance: 5 }),
      ]),
    );
    for (const { id } of parents) {
      const row = (await api.get(`${accounts}/${id}?expand=entries`)).body;
      assert.equal(row.entries_in_all, row.entries.data.length);
      assert.equal(row.entries_in_all, 3);
      /* Counting is not a change of the row: tags that were read stay good. */
      assert.equal(row.version, 2);
    }
  });

  it("batches are whole: a sum over both sides is never seen halfway", async () => {
    const [a, b] = [await account({ owner: "pair", balance: 100 }), await account({ owner: "pair", balance: 0 })];
    let done = false;
    const reader = (async () => {
      while (!done) {
        const { data } = (await api.get(accounts + query({ owner: "pair" }))).body;
        assert.equal(data.reduce((sum, row) => sum + row.balance, 0), 100);
      }
    })();
    for (let i = 1; i <= 60; i++) {
      const fails = i % 3 === 0;
      const answer = await api.post("/api/v1/batch", {
        operations: [
          { method: "PATCH", path: `/accounts/${a.id}`, body: { balance: 100 - i } },
          { method: "PATCH", path: `/accounts/${b.id}`, body: { balance: i } },
          ...(fails ? [{ method: "DELETE", path: `/accounts/01890a5d-ac96-774b-bcce-b302099a8057` }] : []),
        ],
      });
      assert.equal(answer.status, fails ? 404 : 200);
    }
    done = true;
    await reader;
  });

  it("clients that go away in the middle of a write harm nobody", async () => {
    const body = JSON.stringify({ owner: "fleeing" });
    const head = `POST ${accounts} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
    await times(150, (i) =>
      new Promise((resolve) => {
        const socket = net.connect(api.server.port, "127.0.0.1", () => {
          socket.write(`${head}Idempotency-Key: flee-${i % 50}\r\n\r\n${i % 5 === 0 ? body.slice(0, 5) : body}`);
          setTimeout(() => (i % 2 ? socket.destroy() : socket.resetAndDestroy()), i % 7);
        });
        socket.on("error", () => {});
        socket.on("close", resolve);
      }),
    );
    await new Promise((resolve) => setTimeout(resolve, 100));
    const { total } = (await api.get(accounts + query({ owner: "fleeing", count: "exact" }))).body.page;
    assert.ok(total <= 50, `${total} rows of 50 keys`);
    /* No key stays in flight. */
    for (let i = 0; i < 50; i++) {
      const answer = await api.post(accounts, { owner: "fleeing" }, { headers: { "idempotency-key": `flee-${i}` } });
      assert.equal(answer.status, 201, answer.text);
    }
    assert.equal((await api.get(accounts + query({ owner: "fleeing", count: "exact" }))).body.page.total, 50);
  });
});
