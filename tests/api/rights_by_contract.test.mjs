/*
 * tests/api/rights_by_contract.test.mjs - Every row of every contract, by every way to it, as everybody: what the rules say, as read by a second
 * program (tests/support/rule_oracle.mjs), is what happens. Made from the contracts: one more contract is one more row of this table.
 */
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { freshMark, makeWorld, readContracts } from "../support/rights_world.mjs";
import { root, startPurlin } from "../support/purlin.mjs";
import { people } from "../support/auth.mjs";

const env = { PURLIN_AUTH_PASSWORD_MEMORY: "8MiB", PURLIN_AUTH_PASSWORD_PASSES: "1", PURLIN_SECRET: "an-installation-key-0123" };

/* What the community's contracts have not: rows that stay when deleted, rules by paths and by negation, a field nobody is shown. */
const office = {
  users: people.users,
  folders: `
resource: folders
fields:
  owner:  { ref: users, default: "@user", immutable: true, on_delete: cascade }
  name:   { type: string, max: 80, required: true }
  access: { enum: [closed, open], default: closed }
search: [name]
rules:
  read:   'owner == @user || access == "open" || "admin" in @roles'
  create: 'owner == @user || "admin" in @roles'
  update: 'owner == @user || "admin" in @roles'
  delete: 'owner == @user && access != "open" || "admin" in @roles'
`,
  documents: `
resource: documents
fields:
  folder: { ref: folders, required: true, immutable: true, on_delete: cascade }
  author: { ref: users, default: "@user", immutable: true, on_delete: set_null }
  title:  { type: string, max: 80, required: true }
  pin:    { type: string, max: 80, writeonly: true }
  state:  { enum: [draft, published], default: draft }
search: [title]
soft_delete: true
rules:
  read:   'author == @user || folder.owner == @user || (state == "published" && folder.access == "open") || "admin" in @roles'
  create: 'author == @user && exists(folders, id == folder && !(owner != @user && access == "closed")) || "admin" in @roles'
  update: 'author == @user || "admin" in @roles'
  delete: 'author == @user || folder.owner == @user || "admin" in @roles'
`,
};

const query = (params) => "?" + new URLSearchParams(params);
const at = (resource, row = "") => `/api/v1/${resource}${row.id ? `/${row.id}` : row}`;
const ids = (answer) => (answer.body?.data ?? []).map((row) => row.id);

/* One at a time would take minutes. */
async function each(list, fn) {
  const rest = [...list.entries()];
  await Promise.all(Array.from({ length: 8 }, async () => { for (let next; (next = rest.shift()); ) await fn(next[1]); }));
}

/* Is a closed row's text in an answer? Its id may be: who asked for it said it. */
function tellsOf(answer, world, row) {
  const mark = world.marks.get(row.id);
  return mark !== "moderator" && mark !== undefined && answer.text.includes(mark);
}

/* Each tells whether the row was seen. */
const readings = {
  read: async (_, caller, resource, row) => (await caller.send("GET", at(resource, row))).status === 200,
  head: async (_, caller, resource, row) => (await caller.send("HEAD", at(resource, row))).status === 200,
  "if it changed": async ({ admin }, caller, resource, row) => {
    const etag = (await admin.send("HEAD", at(resource, row))).headers.get("etag");
    return [200, 304].includes((await caller.send("GET", at(resource, row), undefined, { "If-None-Match": etag })).status);
  },
  "list by id": async (_, caller, resource, row) => ids(await caller.send("GET", at(resource, query({ id: row.id })))).includes(row.id),
  filter: async (_, caller, resource, row) => ids(await caller.send("GET", at(resource, query({ filter: `id == "${row.id}"` })))).length === 1,
  "filter, the other way round": async (_, caller, resource, row) => {
    const answer = await caller.send("GET", at(resource, query({ filter: `!(id != "${row.id}")`, fields: "id" })));
    return ids(answer).length === 1;
  },
  count: async (_, caller, resource, row) => (await caller.send("GET", at(resource, query({ id: row.id, count: "exact", limit: 1 })))).body.page?.total === 1,
  estimate: async (_, caller, resource, row) => (await caller.send("GET", at(resource, query({ id: row.id, count: "estimated", limit: 1 })))).body.page?.total === 1,
  offset: async (_, caller, resource, row) => (await caller.send("GET", at(resource, query({ id: row.id, limit: 1, offset: 0 })))).body.data?.length === 1,
  ndjson: async (_, caller, resource, row) => (await caller.send("GET", at(resource, "/export" + query({ id: row.id })))).text.includes(`"id":"${row.id}"`),
  csv: async (_, caller, resource, row) => (await caller.send("GET", at(resource, "/export" + query({ id: row.id, format: "csv", fields: "id" })))).text.includes(`\n${row.id}`),
  search: async (world, caller, resource, row) => {
    const mark = world.marks.get(row.id);
    if (!world.contracts[resource].search || !/^zq/.test(mark)) return undefined;
    return ids(await caller.send("GET", at(resource, query({ q: mark })))).includes(row.id);
  },
  "search by a beginning": async (world, caller, resource, row) => {
    const mark = world.marks.get(row.id);
    if (!world.contracts[resource].search || !/^zq/.test(mark)) return undefined;
    return (await caller.send("GET", at(resource, query({ q: `${mark.slice(0, -1)}*`, count: "exact" })))).body.page?.total >= 1;
  },
};

/* Through another row that the caller may read: a child that refers to it, or a parent it refers to. */
async function seenThroughOthers(world, caller, resource, row) {
  const found = [];
  for (const [other, { fields }] of Object.entries(world.contracts))
    for (const [field, f] of Object.entries(fields)) {
      if (f.ref !== resource) continue;
      const child = world.rows[other].find((r) => r[field] === row.id && world.may(caller, "read", other, r));
      if (!child) continue;
      const expanded = (await caller.send("GET", at(other, child) + query({ expand: field }))).body[field];
      found.push([`${other}?expand=${field}`, typeof expanded === "object" && expanded?.id === row.id]);
      const filtered = await caller.send("GET", at(other, query({ id: child.id, filter: `${field}.created_at > timestamp("2001-01-01T00:00:00Z")` })));
      found.push([`${other}?filter=${field}.created_at`, ids(filtered).length === 1]);
    }
  for (const [field, f] of Object.entries(world.contracts[resource].fields)) {
    const parent = f.ref && world.rows[f.ref].find((r) => r.id === row[field]);
    if (!parent || !world.may(caller, "read", f.ref, parent)) continue;
    const name = Object.values(world.contracts[resource].fields).filter((g) => g.ref === f.ref).length > 1 ? `${resource}_${field}` : resource;
    const children = (await caller.send("GET", at(f.ref, parent) + query({ expand: name }))).body[name];
    if (!children.has_more) found.push([`${f.ref}?expand=${name}`, children.data.some((r) => r.id === row.id)]);
    const asked = await caller.send("GET", at(f.ref, query({ id: parent.id, filter: `exists(${resource}, ${resource}.id == "${row.id}" && ${field} == ${f.ref === resource ? `"${parent.id}"` : `${f.ref}.id`})` })));
    found.push([`${f.ref}?filter=exists(${resource})`, ids(asked).length === 1]);
  }
  return found;
}

/* A field that a change can set, and nothing else depends on. */
function changed(world, resource) {
  const found = Object.entries(world.contracts[resource].fields).find(([, f]) => ["string", "text"].includes(f.type) && !f.readonly && !f.immutable && !f.pattern && !f.writeonly);
  const flag = Object.entries(world.contracts[resource].fields).find(([, f]) => f.type === "boolean" && !f.readonly && !f.immutable);
  return found ? { [found[0]]: freshMark() } : flag ? { [flag[0]]: true } : {};
}

function whole(world, resource, row) {
  const fields = world.contracts[resource].fields;
  return Object.fromEntries(Object.entries(row).filter(([name]) => name in fields && !fields[name].count && !fields[name].readonly));
}

const changes = {
  "merge patch": (caller, resource, row, change) => caller.send("PATCH", at(resource, row), change),
  "json patch": (caller, resource, row, change) => caller.send("PATCH", at(resource, row), Object.entries(change).map(([k, value]) => ({ op: "add", path: `/${k}`, value }))),
  "put": (caller, resource, row, change, world) => caller.send("PUT", at(resource, row), { ...whole(world, resource, row), ...change }),
  "patch in a batch": async (caller, resource, row, body) => caller.send("POST", "/api/v1/batch", { operations: [{ method: "PATCH", path: at(resource, row), body }] }),
  "patch of a version": async (caller, resource, row, change, { admin }) => {
    const etag = (await admin.send("HEAD", at(resource, row))).headers.get("etag");
    return caller.send("PATCH", at(resource, row), change, { "If-Match": etag });
  },
};

/* 404 for what may not be read, else 403; 401 for who has not signed in, if that could be any help. */
function assertRefused(answer, world, caller, resource, row, what) {
  const isSeen = world.may(caller, "read", resource, row);
  const isSomebody = caller.user || caller.roles.length;
  const allowed = isSomebody ? [isSeen ? 403 : 404] : isSeen ? [401, 403] : [401, 404];
  assert.ok(allowed.includes(answer.status), `${what}: ${answer.status}, not ${allowed}: ${answer.text}`);
  if (!isSeen) assert.ok(!tellsOf(answer, world, row), `${what}: the refusal tells of the row: ${answer.text}`);
}

for (const [name, contracts] of Object.entries({ "the community's contracts": path.join(root, "contracts"), "an office's": office }))
  describe(`who may do what by ${name}`, () => {
    let world;
    const ends = [];
    const resources = Object.keys(readContracts(contracts));
    before(async () => {
      const server = await startPurlin({ after: (fn) => ends.push(fn) }, { contracts, env });
      world = await makeWorld(server, readContracts(contracts), env);
    });
    after(async () => { for (const fn of ends.reverse()) await fn(); });

    for (const resource of resources) {
      it(`${resource}: seen where its rule says so, by every way of reading`, async () => {
        const table = Object.entries(world.callers).flatMap(([who, caller]) => world.rows[resource].map((row) => ({ who, caller, row })));
        assert.ok(table.length > 5);
        let seen = 0;
        await each(table, async ({ who, caller, row }) => {
          const want = world.may(caller, "read", resource, row);
          seen += want;
          for (const [way, look] of Object.entries(readings)) {
            const got = await look(world, caller, resource, row);
            if (got !== undefined) assert.equal(got, want, `${who}, ${way}: ${JSON.stringify(row)}`);
          }
          for (const [way, got] of await seenThroughOthers(world, caller, resource, row)) assert.equal(got, want, `${who}, ${way}: ${JSON.stringify(row)}`);
          const plain = await caller.send("GET", at(resource, row));
          if (!want) assert.ok([401, 404].includes(plain.status) && !tellsOf(plain, world, row), `${who}: ${plain.status} ${plain.text}`);
        });
        assert.ok(seen > 0);
      });

      it(`${resource}: a walk through all pages meets what may be read, once`, async () => {
        for (const [who, caller] of Object.entries(world.callers)) {
          const want = world.rows[resource].filter((row) => world.may(caller, "read", resource, row)).map((row) => row.id);
          const met = [];
          for (let next = at(resource, query({ limit: 3, sort: "-created_at" })), left = 50; next && left; left--) {
            const { status, body } = await caller.send("GET", next);
            if (status === 401) break;
            met.push(...body.data.map((row) => row.id));
            next = body.page.next && at(resource, query({ limit: 3, sort: "-created_at", cursor: body.page.next }));
          }
          assert.deepEqual(met.toSorted(), want.toSorted(), who);
        }
      });

      it(`${resource}: nobody creates what its rule forbids, alone, in a batch, or by an answer kept for another`, async () => {
        const own = Object.entries(world.contracts[resource].fields).find(([, f]) => f.ref === "users" && f.default === "@user")?.[0];
        for (const [who, caller] of Object.entries(world.callers))
          for (const model of world.rows[resource].slice(0, 12)) {
            const body = { ...whole(world, resource, model), ...changed(world, resource) };
            if (own && caller.user && model === world.rows[resource][0]) body[own] = caller.user;
            const want = world.may(caller, "create", resource, body);
            if (want) continue; // made below
            const alone = await caller.send("POST", at(resource), body);
            const key = { "Idempotency-Key": freshMark() };
            const kept = await world.admin.send("POST", at(resource), body, key);
            const again = await caller.send("POST", at(resource), body, key);
            const batch = await caller.send("POST", "/api/v1/batch", { operations: [{ method: "POST", path: at(resource), body }] });
            if (kept.status === 201) await world.admin.send("DELETE", at(resource, kept.body));
            for (const answer of [alone, again, batch]) assert.equal(answer.status, caller.user ? 403 : 401, `${who}: ${JSON.stringify(body)}: ${answer.text}`);
          }
      });

      it(`${resource}: changed by whom its rule lets, by every way of changing`, async () => {
        for (const [who, caller] of Object.entries(world.callers))
          for (const row of world.rows[resource]) {
            const change = changed(world, resource);
            const want = world.may(caller, "update", resource, row, { ...row, ...change });
            for (const [way, act] of Object.entries(changes)) {
              const before = (await world.admin.send("GET", at(resource, row))).body.version;
              const answer = await act(caller, resource, row, change, world);
              const now = (await world.admin.send("GET", at(resource, row))).body.version;
              const what = `${who}, ${way}: ${JSON.stringify(row)}`;
              if (want) assert.equal(answer.status, 200, `${what}: ${answer.text}`);
              else assertRefused(answer, world, caller, resource, row, what);
              if (!want) assert.equal(now, before, what);
            }
            if (!world.may(caller, "read", resource, row)) {
              const stale = await caller.send("PATCH", at(resource, row), change, { "If-Match": '"9-0000000000000000"' });
              assert.ok([401, 404].includes(stale.status), `${who}: a version of what may not be seen: ${stale.status}`);
            }
          }
      });

      it(`${resource}: deleted by whom its rule lets, and brought back by no other`, async () => {
        for (const [who, caller] of Object.entries(world.callers))
          for (const model of [...world.rows[resource]].slice(0, 24)) {
            if (resource === "users" && world.marks.get(model.id) !== undefined && !/^zq/.test(world.marks.get(model.id)) && caller.user === model.id) continue;
            const row = (await world.make(resource, whole(world, resource, model))) ?? model;
            const want = world.may(caller, "delete", resource, row), what = `${who}: ${JSON.stringify(row)}`;
            const batch = () => caller.send("POST", "/api/v1/batch", { operations: [{ method: "DELETE", path: at(resource, row) }] });
            if (!want) assertRefused(await batch(), world, caller, resource, row, `${what}, in a batch`);
            const answer = await caller.send("DELETE", at(resource, row));
            if (!want) {
              assertRefused(answer, world, caller, resource, row, what);
              assert.equal((await world.admin.send("GET", at(resource, row))).status, 200, what);
              if (row !== model) await world.admin.send("DELETE", at(resource, row));
            } else {
              assert.equal(answer.status, 204, `${what}: ${answer.text}`);
              if (row === model) await remake(model);
            }
            if (world.contracts[resource].soft_delete) await bringBack(row);
            if (row !== model) world.drop(resource, row.id);
          }

        async function remake(model) {
          world.drop(resource, model.id);
          assert.ok(await world.make(resource, whole(world, resource, model)));
        }

        /* It is deleted by now: those who may change it see that, the others nothing at all. */
        async function bringBack(row) {
          const gone = (await world.admin.send("GET", at(resource, row) + "?deleted=true")).body;
          for (const [who, caller] of Object.entries(world.callers)) {
            const may = world.may(caller, "update", resource, { ...gone, deleted_at: null });
            assert.equal((await caller.send("GET", at(resource, row))).status === 200, false, who);
            assert.equal((await caller.send("GET", at(resource, row) + "?deleted=true")).status === 200, may, who);
            assert.equal(ids(await caller.send("GET", at(resource, query({ id: row.id, deleted: "true" })))).length === 1, may, who);
            assert.equal(ids(await caller.send("GET", at(resource, query({ id: row.id })))).length, 0, who);
            const restored = await caller.send("POST", `${at(resource, row)}/restore`);
            assert.equal(restored.status === 200, may, `${who}: ${restored.text}`);
            if (may) assert.equal((await world.admin.send("DELETE", at(resource, row))).status, 204);
          }
        }
      });
    }

    it("what is only written is shown to nobody, nor guessed by filters and orders", async () => {
      for (const resource of resources)
        for (const [field, f] of Object.entries(world.contracts[resource].fields)) {
          if (!f.writeonly) continue;
          const given = f.type === "email" ? "hidden@example.org" : "hidden";
          const row = await world.make(resource, { ...whole(world, resource, world.rows[resource][0]), [field]: given });
          for (const [who, caller] of Object.entries(world.callers)) {
            for (const target of [at(resource, row), at(resource, query({ id: row.id })), at(resource, "/export" + query({ id: row.id })), at(resource, "/export" + query({ id: row.id, format: "csv" }))]) {
              const answer = await caller.send("GET", target);
              assert.ok(!answer.text.includes(given), `${who}: ${target}`);
            }
            for (const params of [{ filter: `${field} == "${given}"` }, { [field]: given }, { sort: field }, { fields: field }, { filter: `exists(${resource}, ${field} == "${given}")` }])
              assert.equal((await caller.send("GET", at(resource, query(params)))).status, 400, `${who}: ${JSON.stringify(params)}`);
          }
          await world.admin.send("DELETE", at(resource, row));
          world.drop(resource, row.id);
        }
    });
  });
