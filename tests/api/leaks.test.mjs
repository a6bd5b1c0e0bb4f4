/* What cannot be read tells nothing of itself: by no filter, order, cursor, search, error or conflict, and nothing can be set that is not a client's to set. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { codes, query, startAs } from "../support/as.mjs";

const contracts = {
  members: `
resource: members
fields:
  name:   { type: string, max: 50, required: true }
  email:  { type: email, unique: true }
  pin:    { type: string, max: 20, writeonly: true }
  trail:  { type: json, writeonly: true }
  rank:   { type: integer, default: 0, readonly: true }
  boss:   { ref: members, writeonly: true }
  notes_in_all: { count: notes.owner }
rules: { read: 'id == @user || "admin" in @roles', create: true, update: id == @user, delete: id == @user }
`,
  notes: `
resource: notes
fields:
  owner:  { ref: members, default: "@user", immutable: true }
  title:  { type: string, max: 100 }
  price:  { type: money }
  tags:   { type: list, of: string, max_items: 5 }
  shared: { type: boolean, default: false }
search: [title]
soft_delete: true
rules:
  read:   owner == @user || shared
  create: "@user != null && owner == @user"
  update: owner == @user
  delete: owner == @user
`,
  pins: `
resource: pins
fields:
  note:  { ref: notes, required: true, on_delete: cascade }
  label: { type: string, max: 50 }
rules: { read: true, create: true, update: true, delete: true }
`,
};

const members = "/api/v1/members";
const notes = "/api/v1/notes";
const pins = "/api/v1/pins";
const secret = "narwhal";

describe("what may not be read", () => {
  let api, ann, bob, hidden, open, pin;
  const cleanups = [];
  before(async () => {
    api = await startAs({ after: (fn) => cleanups.push(fn) }, contracts);
    const member = async (name, rest) =>
      ({ user: (await api.post(members, { name, ...rest }, { roles: "admin" })).body.id });
    ann = await member("ann", { email: "ann@example.org", pin: "4711", trail: { a: "hush" } });
    bob = await member("bob", { email: "bob@example.org", pin: "0815", boss: ann.user });
    hidden = (await api.post(notes, { title: secret, price: { amount_minor: 5, currency: "EUR" }, tags: [secret] }, ann)).body;
    open = (await api.post(notes, { title: "plain", shared: true }, ann)).body;
    pin = (await api.post(pins, { note: hidden.id, label: "x" }, bob)).body;
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  const list = async (path, params, as) => {
    const answer = await api.get(path + query(params), as);
    assert.equal(answer.status, 200, answer.text);
    return answer.body;
  };

  it("is not told by a path in a filter, whatever is compared", async () => {
    for (const filter of [
      `note.title == "${secret}"`,
      `note.title != "${secret}"`,
      `note.title.startsWith("n")`,
      `note.owner == "${ann.user}"`,
      `note.owner.name == "ann"`,
      `"${secret}" in note.tags`,
      `note.price.amount_minor > 0`,
      `!(note.title == "zzz")`,
      `note.title != null`,
      `size(note.title) > 0`,
    ]) {
      const yes = (await list(pins, { filter, count: "exact" }, bob)).page.total;
      const gone = (await list(pins, { filter: filter.replaceAll(secret, "unlikely").replaceAll("ann", "zoe"), count: "exact" }, bob)).page.total;
      assert.equal(yes, gone, filter);
    }
  });

  it("but is by both to who may", async () => {
    for (const filter of [`note.title == "${secret}"`, `exists(notes, notes.id == note && title == "${secret}")`])
      assert.equal((await list(pins, { filter, count: "exact" }, ann)).page.total, 1, filter);
  });

  it("is not told by exists", async () => {
    for (const filter of [
      `exists(notes, title == "${secret}")`,
      `exists(notes, notes.id == note && title == "${secret}")`,
      `!exists(notes, title == "zzz" || title == "${secret}" && shared == false)`,
      `exists(members, name == "ann")`,
      `exists(notes, owner.name == "ann")`,
      `exists(pins, pins.note.title == "${secret}")`,
    ]) {
      const answer = await list(pins, { filter, count: "exact" }, bob);
      const inverse = filter.startsWith("!");
      assert.equal(answer.page.total, inverse ? 1 : 0, filter);
    }
  });

  it("is not searched, ranked, counted or exported", async () => {
    for (const q of [secret, "nar", `"${secret}"`, `${secret} OR plain`, `title:${secret}`, "nar*"]) {
      const answer = await list(notes, { q, count: "exact" }, bob);
      assert.equal(answer.page.total, 0, q);
      assert.deepEqual(answer.data, []);
    }
    assert.doesNotMatch((await api.get(`${notes}/export?deleted=true`, bob)).text, /narwhal/);
    assert.doesNotMatch((await api.get(`${notes}/export`, bob)).text, /narwhal/);
  });

  it("deleted or not, it is 404 by every verb, with the same words as what never was", async () => {
    const nothing = "01890a5d-ac96-774b-bcce-b302099a8057";
    const verbs = {
      get: (id) => api.get(`${notes}/${id}`, bob),
      expand: (id) => api.get(`${notes}/${id}?expand=owner,pins`, bob),
      deleted: (id) => api.get(`${notes}/${id}?deleted=true`, bob),
      put: (id) => api.put(`${notes}/${id}`, { title: "x" }, bob),
      patch: (id) => api.patch(`${notes}/${id}`, { title: "x" }, bob),
      "patch with what is stored": (id) => api.patch(`${notes}/${id}`, { price: { amount_minor: 1 } }, bob),
      "json patch": (id) => api.patch(`${notes}/${id}`, [{ op: "test", path: "/title", value: "zzz" }], bob),
      delete: (id) => api.delete(`${notes}/${id}`, bob),
      restore: (id) => api.post(`${notes}/${id}/restore`, undefined, bob),
      "if-match": (id) => api.patch(`${notes}/${id}`, { title: "x" }, { ...bob, headers: { "if-match": '"9-x"' } }),
      "batch patch": (id) => api.post("/api/v1/batch", { operations: [{ method: "PATCH", path: `/notes/${id}`, body: { title: "x" } }] }, bob),
      "batch delete": (id) => api.post("/api/v1/batch", { operations: [{ method: "DELETE", path: `/notes/${id}` }] }, bob),
    };
    const gone = (await api.post(notes, { title: "gone" }, ann)).body;
    await api.delete(`${notes}/${gone.id}`, ann);
    for (const [name, verb] of Object.entries(verbs)) {
      const never = await verb(nothing);
      assert.equal(never.status, 404, name + never.text);
      for (const id of [hidden.id, gone.id]) {
        const answer = await verb(id);
        assert.equal(answer.status, 404, `${name}: ${answer.text}`);
        const { instance: a, request_id: b, trace_id: c, ...mine } = answer.body;
        const { instance: d, request_id: e, trace_id: f, ...theirs } = never.body;
        assert.deepEqual(mine, theirs, name);
      }
    }
    assert.equal((await api.get(`${notes}/${hidden.id}`, ann)).body.version, 1);
    assert.equal((await api.head(`${notes}/${hidden.id}`, bob)).status, 404);
  });

  it("a field that is never shown cannot be asked for in any way", async () => {
    for (const [params, parameter] of [
      [{ sort: "pin" }, "sort"],
      [{ fields: "id,pin" }, "fields"],
      [{ pin: "0815" }, "pin"],
      [{ boss: ann.user }, "boss"],
      [{ filter: 'pin == "0815"' }, "filter"],
      [{ filter: 'members.pin == "0815"' }, "filter"],
      [{ filter: 'boss.name == "ann"' }, "filter"],
      [{ filter: 'exists(members, pin == "0815")' }, "filter"],
      [{ filter: "trail != null" }, "filter"],
      [{ expand: "boss" }, "expand"],
      [{ expand: "members" }, "expand"],
      [{ expand: "members_boss" }, "expand"],
    ]) {
      const hidden = await api.get(members + query(params), bob);
      assert.equal(hidden.status, 400, JSON.stringify(params));
      assert.equal(hidden.body.errors.length, 1);
      assert.equal(hidden.body.errors[0].pointer, `?${parameter}`);
      assert.doesNotMatch(hidden.text, /did you mean.{0,20}(pin|trail|boss)/i, hidden.text);
    }
    for (const target of [`${members}/${bob.user}`, members, `${members}/export`, `${members}/export?format=csv`, `${notes}?expand=owner`])
      assert.doesNotMatch((await api.get(target, bob)).text, /0815|"pin"|"boss"|"trail"|hush/, target);
    for (const target of [`${members}/${ann.user}`, `${notes}/${hidden.id}?expand=owner`])
      assert.doesNotMatch((await api.get(target, ann)).text, /4711|"pin"|hush/, target);
    const made = await api.post(members, { name: "eve", pin: "9999", trail: { b: "quiet" } }, { roles: "admin" });
    assert.doesNotMatch(made.text, /9999|quiet/);
    const eve = { user: made.body.id };
    for (const body of [{ pin: "8888" }, { trail: { c: "still" } }, [{ op: "add", path: "/pin", value: "7777" }]])
      assert.doesNotMatch((await api.patch(`${members}/${eve.user}`, body, eve)).text, /8888|still|quiet|7777/);
    for (const probe of [
      [{ op: "test", path: "/pin", value: "7777" }],
      [{ op: "copy", from: "/pin", path: "/name" }],
      [{ op: "move", from: "/trail", path: "/name" }],
    ]) {
      const answer = await api.patch(`${members}/${eve.user}`, probe, eve);
      assert.ok([409, 422].includes(answer.status));
      assert.doesNotMatch(answer.text, /8888|still|quiet/);
    }
  });

  it("nothing is set that is not the client's to set", async () => {
    for (const [field, value] of Object.entries({
      id: "01890a5d-ac96-774b-bcce-b302099a8057",
      version: 7,
      created_at: "2020-01-01T00:00:00Z",
      updated_at: "2020-01-01T00:00:00Z",
      deleted_at: "2020-01-01T00:00:00Z",
      rank: 5,
      notes_in_all: 5,
      rowid: 1,
      _row: 1,
      email_: "x",
      price_amount: 1,
      price_currency: "EUR",
      __proto__x: 1,
    })) {
      const path = field.startsWith("price") || field === "deleted_at" ? notes : members;
      const as = path === notes ? ann : { roles: "admin" };
      const made = await api.post(path, { ...(path === notes ? { title: "t" } : { name: "n" }), [field]: value }, as);
      assert.equal(made.status, 422, `${field}: ${made.text}`);
      assert.deepEqual(Object.keys(codes(made)), [`/${field}`]);
      const target = path === notes ? `${notes}/${open.id}` : `${members}/${bob.user}`;
      const owner = path === notes ? ann : bob;
      for (const changed of [
        await api.patch(target, { [field]: value }, owner),
        await api.patch(target, [{ op: "add", path: `/${field}`, value }], owner),
        await api.put(target, { ...(path === notes ? {} : { name: "bob" }), [field]: value }, owner),
      ]) {
        assert.equal(changed.status, 422, `${field}: ${changed.text}`);
        assert.deepEqual(Object.keys(codes(changed)), [`/${field}`]);
      }
    }
    assert.equal((await api.patch(`${notes}/${open.id}`, { owner: bob.user }, ann)).status, 422);
    assert.equal((await api.patch(`${notes}/${open.id}`, [{ op: "replace", path: "/owner", value: bob.user }], ann)).status, 422);
    assert.equal((await api.post(notes, { title: "as ann", owner: ann.user }, bob)).status, 403);
  });

  it("a cursor of one caller shows another only what is his", async () => {
    for (let i = 0; i < 5; i++) await api.post(notes, { title: `mine ${i}` }, ann);
    const first = await list(notes, { limit: 2, sort: "title" }, ann);
    const answer = await api.get(notes + query({ limit: 100, sort: "title", cursor: first.page.next }), bob);
    assert.ok([200, 400].includes(answer.status));
    for (const row of answer.body.data ?? []) assert.ok(row.shared);
    assert.equal((await api.get(notes + query({ limit: 2, sort: "title", cursor: first.page.next }))).status, 400);
    const at = 10;
    for (const changed of [
      first.page.next.slice(0, -1),
      first.page.next + "A",
      first.page.next.slice(0, at) + (first.page.next[at] === "A" ? "B" : "A") + first.page.next.slice(at + 1),
      "",
      "=",
      "%00",
      "A".repeat(5000),
    ])
      assert.equal((await api.get(notes + query({ limit: 2, sort: "title", cursor: changed }), ann)).status, 400, changed);
  });

  it("an answer kept under a key is its sender's alone", async () => {
    const headers = { "idempotency-key": "the-same-key" };
    const mine = await api.post(notes, { title: "kept" }, { ...ann, headers });
    assert.equal(mine.status, 201);
    const theirs = await api.post(notes, { title: "kept" }, { ...bob, headers });
    assert.equal(theirs.status, 201);
    assert.notEqual(theirs.body.id, mine.body.id);
    assert.equal(theirs.body.owner, bob.user);
    assert.equal((await api.post(notes, { title: "kept" }, { headers })).status, 401);
  });

  it("what a conflict or a reference says", async () => {
    /* The name is taken, and that is all that is said. */
    const taken = await api.post(members, { name: "x", email: "ann@example.org" }, bob);
    assert.equal(taken.status, 409);
    assert.doesNotMatch(taken.text, new RegExp(ann.user));
    /* Case and unicode do not slip past. */
    assert.equal((await api.post(members, { name: "x", email: "ann@EXAMPLE.org" }, bob)).status, 409);
  });
});
