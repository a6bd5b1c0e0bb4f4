/* What the database keeps by itself stays true through anything: counts of referring rows, the full text index, list indexes; after random writes, deletions, restores and batches. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import path from "node:path";
import { describe, it } from "node:test";
import { query, startAs } from "../support/as.mjs";

const contracts = {
  authors: `
resource: authors
fields:
  name:  { type: string, max: 50 }
  posts_in_all: { count: posts.author }
  answers_live: { count: posts.author, where: kind == "answer" && score > 0 }
  kept:  { count: drafts.author }
  gone:  { count: posts.editor }
search: [name]
rules: { read: true, create: true, update: true, delete: true }
`,
  posts: `
resource: posts
fields:
  author: { ref: authors, on_delete: cascade }
  editor: { ref: authors, on_delete: set_null }
  parent: { ref: posts, on_delete: cascade }
  title:  { type: string, max: 100 }
  body:   { type: text, max: 500 }
  tags:   { type: list, of: string, max_items: 4 }
  kind:   { enum: [question, answer], default: question }
  score:  { type: integer, default: 0 }
  answers: { count: posts.parent, where: kind == "answer" }
search: [title, body, tags]
indexes: [ { on: [tags], kind: contains } ]
rules: { read: true, create: true, update: true, delete: true }
`,
  drafts: `
resource: drafts
fields:
  author: { ref: authors, on_delete: set_null }
  slug:   { type: string, max: 20, unique: true }
  title:  { type: string, max: 100 }
  tags:   { type: list, of: string, max_items: 4 }
search: [title]
indexes: [ { on: [tags], kind: contains } ]
soft_delete: true
rules: { read: true, create: true, update: true, delete: true }
`,
};

const words = ["apple", "bread", "cargo", "delta", "ember", "frost", "größe", "日本語", "\u{1F600}smile", "o'clock", "\"quoted\"", "NEAR"];
const pick = (items) => items[Math.floor(Math.random() * items.length)];
const chance = (p) => Math.random() < p;
const some = (n) => Array.from({ length: Math.floor(Math.random() * (n + 1)) }, () => pick(words));

/* Statements over the database file, by Python's module: Node 20 has none. */
function ask(folder, statements) {
  const code = "import sqlite3, sys, json\nd = sqlite3.connect(sys.argv[1])\nprint(json.dumps([d.execute(s).fetchall() for s in json.loads(sys.argv[2])]))";
  const run = spawnSync("python3", ["-c", code, path.join(folder, "purlin.db"), JSON.stringify(statements)], { encoding: "utf8" });
  assert.equal(run.status, 0, run.stderr);
  return JSON.parse(run.stdout);
}

describe("what the database keeps", () => {
  it("is exact after hundreds of random writes", async (t) => {
    const api = await startAs(t, contracts);
    const rows = { authors: [], posts: [], drafts: [] };
    const deleted = [];
    const author = () => (chance(0.2) ? null : pick(rows.authors) ?? null);
    const make = {
      authors: () => ({ name: pick(words) }),
      posts: () => ({
        author: author(), editor: author(), parent: chance(0.4) ? pick(rows.posts) ?? null : null,
        title: some(3).join(" ") || null, body: chance(0.5) ? some(8).join("\n") : null,
        tags: chance(0.8) ? [...new Set(some(4))] : null, kind: pick(["question", "answer"]), score: pick([-1, 0, 1, 2]),
      }),
      drafts: () => ({ author: author(), slug: chance(0.5) ? pick(words).slice(0, 5) : null, title: some(2).join(" "), tags: some(3) }),
    };
    const kinds = Object.keys(rows);
    const step = async () => {
      const kind = pick(kinds);
      const id = pick(rows[kind]);
      const part = (row) => Object.fromEntries(Object.entries(row).filter(() => chance(0.5)));
      switch (id ? pick(["create", "create", "patch", "patch", "put", "delete", "batch", "restore"]) : "create") {
        case "create": {
          const made = await api.post(`/api/v1/${kind}`, make[kind]());
          if (made.status === 201) rows[kind].push(made.body.id);
          return made;
        }
        case "patch": return api.patch(`/api/v1/${kind}/${id}`, part(make[kind]()));
        case "put": return api.put(`/api/v1/${kind}/${id}`, make[kind]());
        case "delete": {
          const gone = await api.delete(`/api/v1/${kind}/${id}`);
          if (gone.status === 204) rows[kind] = rows[kind].filter((other) => other !== id);
          if (gone.status === 204 && kind === "drafts") deleted.push(id);
          return gone;
        }
        case "restore": {
          const back = deleted.splice(Math.floor(Math.random() * deleted.length), 1)[0];
          if (!back) return undefined;
          const restored = await api.post(`/api/v1/drafts/${back}/restore`);
          if (restored.status === 200) rows.drafts.push(back);
          else deleted.push(back);
          return restored;
        }
        default:
          return api.post("/api/v1/batch" + (chance(0.5) ? "?mode=independent" : ""), {
            operations: [
              { method: "POST", path: "/posts", ref: "one", body: make.posts() },
              { method: "POST", path: "/posts", body: { ...make.posts(), parent: "$one.id" } },
              { method: "PATCH", path: "/posts/$one.id", body: part(make.posts()) },
              { method: "PATCH", path: `/${kind}/${id}`, body: part(make[kind]()) },
              ...(chance(0.3) ? [{ method: "DELETE", path: "/posts/$one.id" }] : []),
              ...(chance(0.3) ? [{ method: "DELETE", path: "/posts/01890a5d-ac96-774b-bcce-b302099a8057" }] : []),
            ],
          });
      }
    };
    for (let i = 0; i < 150; i++)
      for (const answer of await Promise.all([step(), step(), step(), step()]))
        assert.ok(!answer || [200, 201, 204, 207, 404, 409].includes(answer.status), `${answer?.status} ${answer?.text}`);

    const wrong = ask(api.server.folder, [
      "SELECT id, name FROM authors a WHERE posts_in_all <> (SELECT count(*) FROM posts WHERE author = a.id)",
      "SELECT id, name FROM authors a WHERE answers_live <> (SELECT count(*) FROM posts WHERE author = a.id AND kind = 'answer' AND score > 0)",
      "SELECT id, name FROM authors a WHERE kept <> (SELECT count(*) FROM drafts WHERE author = a.id AND deleted_at IS NULL)",
      "SELECT id, name FROM authors a WHERE gone <> (SELECT count(*) FROM posts WHERE editor = a.id)",
      "SELECT id, title FROM posts p WHERE answers <> (SELECT count(*) FROM posts WHERE parent = p.id AND kind = 'answer')",
      "PRAGMA foreign_key_check",
    ]);
    assert.deepEqual(wrong, [[], [], [], [], [], []]);
    assert.deepEqual(ask(api.server.folder, ["PRAGMA integrity_check"]), [[["ok"]]]);

    /* Search and list indexes say what reading every row says. */
    for (const [kind, fields] of [["posts", ["title", "body", "tags"]], ["drafts", ["title"]]]) {
      const all = (await api.get(`/api/v1/${kind}/export`)).text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
      for (const word of ["apple", "bread", "cargo", "größe", "日本語"]) {
        const has = (row) => fields.some((field) => [row[field] ?? []].flat().some((text) => text.toLowerCase().includes(word)));
        const found = (await api.get(`/api/v1/${kind}/export${query({ q: `"${word}"` })}`)).text.split("\n").filter(Boolean).map((line) => JSON.parse(line).id);
        assert.deepEqual(found.sort(), all.filter(has).map((row) => row.id).sort(), `${kind} ${word}`);
      }
      for (const word of words) {
        const tagged = await api.get(`/api/v1/${kind}/export${query({ tags: word })}`);
        assert.equal(tagged.status, 200, tagged.text);
        const ids = tagged.text.split("\n").filter(Boolean).map((line) => JSON.parse(line).id);
        assert.deepEqual(ids.sort(), all.filter((row) => row.tags?.includes(word)).map((row) => row.id).sort(), `${kind} ${word}`);
      }
    }
    /* The same through FTS5's own check: of the index alone where it leaves out what is softly deleted, else with the rows. */
    const check = ask(api.server.folder, ["SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE%fts5%'"])[0];
    assert.equal(check.length, 3);
    await api.server.stop();
    ask(
      api.server.folder,
      check.map(([name]) => `INSERT INTO "${name}" ("${name}", rank) VALUES ('integrity-check', ${name.startsWith("drafts") ? 0 : 1})`),
    );
  });
});
