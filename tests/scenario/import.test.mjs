/*
 * Data of another system, through a mapping: what goes in, what is refused and why, and that neither running it again nor killing it in
 * the middle changes what comes of it. And out again.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { environment, purlinBin, root, runPurlin, temporaryFolder, writeContracts } from "../support/purlin.mjs";

const data = path.join(root, "tests/scenario/data/import");
const community = path.join(root, "../shared/data/community");

const contracts = {
  members: `
resource: members
fields:
  name:   { type: string, max: 60, required: true }
  about:  { type: text }
  level:  { enum: [member, moderator], default: member }
  joined: { type: date }
  secret: { type: string, writeonly: true }
  post_count: { count: posts.author }
rules: { read: true }
`,
  posts: `
resource: posts
fields:
  author: { ref: members, on_delete: set_null }
  parent: { ref: posts, on_delete: cascade }
  best:   { ref: posts, on_delete: set_null }
  title:  { type: string, max: 100 }
  body:   { type: text, required: true }
  tags:   { type: list, of: string, default: [] }
  pinned: { type: boolean, default: false }
  reply_count: { count: posts.parent }
rules: { read: true }
`,
  likes: `
resource: likes
fields:
  member: { ref: members, required: true, on_delete: cascade }
  post:   { ref: posts, required: true, on_delete: cascade }
unique: [[member, post]]
rules: { read: true }
`,
};

/* A folder with contracts and a database of its own; run(...) runs the program in it. */
function place(t, contractTexts = contracts) {
  const folder = temporaryFolder(t);
  const env = environment(folder, typeof contractTexts === "string" ? contractTexts : writeContracts(folder, contractTexts));
  return {
    folder, env,
    run: (...args) => runPurlin(args, { env, cwd: folder }),
    import: (mapping, ...args) => runPurlin(["import", mapping, "--json", ...args], { env, cwd: folder }),
    export: (to, ...args) => {
      const result = runPurlin(["export", "--to", to, ...args], { env, cwd: folder });
      assert.equal(result.code, 0, result.stderr);
      return path.join(folder, to);
    },
    rows: (resource) => {
      const result = runPurlin(["export", resource, "--all"], { env, cwd: folder });
      assert.equal(result.code, 0, result.stderr);
      return result.stdout.split("\n").filter(Boolean).map((line) => JSON.parse(line));
    },
    errors: (name = "import-errors.ndjson") =>
      readFileSync(path.join(folder, name), "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line)),
  };
}

const summary = (result) => {
  assert.ok(result.stdout.startsWith("{"), result.stdout + result.stderr);
  const all = JSON.parse(result.stdout);
  return { ...all, by: Object.fromEntries(all.imports.map((entry) => [entry.resource, entry])) };
};
const counts = ({ read, inserted, unchanged, changed, skipped, refused }) => ({ read, inserted, unchanged, changed, skipped, refused });

/* Rows with their ids put into words, so that two databases can be compared. */
function inWords(p) {
  const members = Object.fromEntries(p.rows("members").map((row) => [row.id, row]));
  const posts = Object.fromEntries(p.rows("posts").map((row) => [row.id, row]));
  const name = (id) => members[id]?.name ?? id;
  const title = (id) => posts[id]?.title ?? id;
  const plain = (rows, words) =>
    rows.map(({ id, ...row }) => JSON.stringify({ ...row, ...words(row) })).sort();
  return {
    members: plain(Object.values(members), () => ({})),
    posts: plain(Object.values(posts), (row) => ({ author: name(row.author), parent: title(row.parent), best: title(row.best) })),
    likes: plain(p.rows("likes"), (row) => ({ member: name(row.member), post: title(row.post), updated_at: 0 })),
  };
}

test("takes in what is right and tells what is not", (t) => {
  const p = place(t);
  const first = p.import(path.join(data, "import.yaml"));
  assert.equal(first.code, 1, first.stderr);
  const { by, references_left_empty } = summary(first);
  assert.deepEqual(counts(by.members), { read: 6, inserted: 3, unchanged: 0, changed: 0, skipped: 0, refused: 3 });
  assert.deepEqual(counts(by.posts), { read: 15, inserted: 7, unchanged: 0, changed: 0, skipped: 1, refused: 7 });
  assert.deepEqual(counts(by.likes), { read: 7, inserted: 3, unchanged: 1, changed: 0, skipped: 0, refused: 3 });
  assert.equal(references_left_empty, 2); /* member 77 and post "never" */

  const members = Object.fromEntries(p.rows("members").map((row) => [row.name, row]));
  assert.deepEqual(Object.keys(members).sort(), ["Ana", "Bo", "Cem"]);
  assert.equal(members.Ana.about, 'Likes "quotes";\r\nand lines.');
  assert.equal(members.Bo.about, null);
  assert.equal(members.Cem.about, "");
  assert.equal(members.Bo.level, "moderator");
  assert.equal(members.Cem.joined, "2018-03-03");
  assert.equal(members.Cem.created_at, "2018-03-03T10:00:00.000Z");
  assert.equal(members.Cem.updated_at, members.Cem.created_at);
  assert.equal(members.Ana.post_count, 3);

  const posts = Object.fromEntries(p.rows("posts").map((row) => [row.title, row]));
  const question = posts["Question  (q1)"], answer = posts["Answer (a1)"];
  assert.equal(answer.parent, question.id, "a row that comes before the one it refers to");
  assert.equal(question.best, answer.id, "and the other way round");
  assert.deepEqual(question.tags, ["one", "two"]);
  assert.equal(question.pinned, true);
  assert.equal(question.reply_count, 1);
  assert.equal(posts.untitled.author, null, "a member who is gone");
  assert.equal(posts["First of a chain (a2)"].parent, posts["Second (a3)"].id);
  assert.equal(posts["Second (a3)"].parent, posts["Last of it (a4)"].id);
  assert.equal(posts["Last of it (a4)"].best, posts["First of a chain (a2)"].id);
  assert.ok(question.id < answer.id, "ids are in the order of time, not of the file");

  const errors = p.errors().map(({ file, line, resource, key, reasons }) => [
    file, line, resource, key, reasons.map(({ field, code }) => `${field} ${code}`.trim()).sort().join(", "),
  ]);
  assert.deepEqual(errors.sort((a, b) => (a[0] + a[1].toString().padStart(3)).localeCompare(b[0] + b[1].toString().padStart(3))), [
    ["likes.tsv", 6, "likes", "9\u001fq1", "/member missing_reference"],
    ["likes.tsv", 7, "likes", "1\u001fx1", "/post missing_reference"],
    ["likes.tsv", 8, "likes", undefined, "cells"],
    ["members.csv", 6, "members", "4", "/name required"],
    ["members.csv", 7, "members", "5", "/level map"],
    ["members.csv", 8, "members", undefined, "quote"],
    ["posts.jsonl", 9, "posts", "x1", "/parent missing_reference"],
    ["posts.jsonl", 10, "posts", "x2", "/mood unmapped"],
    ["posts.jsonl", 11, "posts", "x3", "/body required, /created_at format"],
    ["posts.jsonl", 12, "posts", "q1", "duplicate_key"],
    ["posts.jsonl", 13, "posts", undefined, "json"],
    ["posts.jsonl", 14, "posts", undefined, "type"],
    ["posts.jsonl", 16, "posts", undefined, "utf8"],
  ]);
  const [lost] = p.errors().filter((error) => error.key === "x1");
  assert.equal(lost.row.title, "Lost");
  const [broken] = p.errors().filter((error) => error.line === 16);
  assert.match(broken.text, /"title": "\ufffd"/);

  const before = inWords(p);
  const again = p.import(path.join(data, "import.yaml"));
  assert.equal(again.code, 1);
  const second = summary(again);
  for (const resource of ["members", "posts", "likes"]) assert.equal(second.by[resource].inserted, 0);
  assert.equal(second.by.members.unchanged, 3);
  assert.equal(second.by.posts.unchanged, 7);
  assert.deepEqual(inWords(p), before, "running it again changes nothing");
});

test("goes on with a source that was mended", (t) => {
  const p = place(t);
  const source = path.join(p.folder, "source");
  cpSync(data, source, { recursive: true });
  p.import(path.join(source, "import.yaml"));
  const file = path.join(source, "posts.jsonl");
  const lines = readFileSync(file, "latin1").split("\n");
  writeFileSync(file, [
    lines[1].replace("Which one", "Which ONE"),
    '{"id": "nowhere", "author": {"id": 1}, "title": "Found", "text": "x", "state": "live", "at": "2018-04-05"}',
    lines[8],
    '{"id": "never", "author": {"id": 3}, "title": "Came", "text": "x", "state": "live", "at": "2018-04-07"}',
    "",
  ].join("\n"), "latin1");
  const result = p.import(path.join(source, "import.yaml"), "--errors", "others.ndjson");
  const { by, references_filled, references_left_empty } = summary(result);
  assert.deepEqual(counts(by.posts), { read: 4, inserted: 3, unchanged: 0, changed: 1, skipped: 0, refused: 0 });
  assert.equal(references_filled, 1);
  assert.equal(references_left_empty, 1);
  const posts = Object.fromEntries(p.rows("posts").map((row) => [row.title, row]));
  assert.equal(posts["Lost (x1)"].parent, posts["Found (nowhere)"].id);
  assert.equal(posts["Waits for nobody (q3)"].best, posts["Came (never)"].id);
  assert.equal(posts["Question  (q1)"].body, "Which one is best?", "what is there already is left alone");
  assert.ok(p.errors("others.ndjson").every((error) => error.file !== "posts.jsonl"));
});

test("says everything that is wrong with a mapping, and touches nothing", (t) => {
  const p = place(t);
  writeFileSync(path.join(p.folder, "m.yaml"), `
source: s
imports:
  - resource: member
    file: a.csv
    key: id
    fields: {}
  - resource: posts
    file: missing.jsonl
    key: id
    fields: { bodi: text }
`);
  const result = p.run("import", "m.yaml");
  assert.equal(result.code, 2);
  assert.match(result.stderr, /m\.yaml:4:15: .*there is no resource `member`\. Did you mean `members`\?/);
  assert.match(result.stderr, /m\.yaml:11:15: .*no such field\. Did you mean `body`\?/);
  assert.match(result.stderr, /3 problems\./);
  assert.equal(existsSync(path.join(p.folder, "purlin.db")), false);

  writeFileSync(path.join(p.folder, "m.yaml"), `
source: s
imports:
  - { resource: posts, file: missing.jsonl, key: id, fields: { body: text } }
  - { resource: members, file: m.csv, key: id, fields: { name: nam } }
`);
  writeFileSync(path.join(p.folder, "m.csv"), "id,name\n1,x\n");
  const files = p.run("import", "m.yaml", "--check");
  assert.equal(files.code, 2);
  assert.match(files.stderr, /missing\.jsonl cannot be read/);
  assert.match(files.stderr, /m\.csv:1: nam: there is no such column\. Did you mean `name`\?/);
  assert.match(files.stderr, /m\.csv:1: name: the mapping neither uses nor ignores this column/);

  for (const args of [["import"], ["import", "a", "b"], ["import", "nothing.yaml"], ["import", "m.yaml", "--form", "x"]])
    assert.equal(p.run(...args).code, 2, args.join(" "));
  assert.equal(p.run("import", path.join(data, "import.yaml"), "--check").code, 0);
});

/* A forest of posts, in an order that makes references wait. */
function writeForest(folder, n) {
  const members = ["id,name,since"], posts = [];
  for (let i = 0; i < n / 10; i++) members.push(`${i},Member ${i},2020-01-01`);
  for (let i = 0; i < n; i++) {
    const parent = i % 4 === 0 ? null : i % 8 < 4 ? i - 1 : Math.min(i + 1, n - 1 - ((n - 1) % 8));
    posts.push(JSON.stringify({
      id: i, author: i % (n / 10), parent, best: (i * 7) % n, title: `Post ${i}`, text: "x".repeat(i % 300) + "!",
      at: new Date(1.6e12 + i * 1000).toISOString(),
    }));
  }
  writeFileSync(path.join(folder, "members.csv"), members.join("\r\n"));
  writeFileSync(path.join(folder, "posts.jsonl"), posts.join("\n"));
  writeFileSync(path.join(folder, "forest.yaml"), `
source: forest
imports:
  - { resource: posts, file: posts.jsonl, key: id, fields: {
      author: { from: author, ref: members }, parent: { from: parent, ref: posts }, best: { from: best, ref: posts, missing: null },
      title: title, body: text, created_at: at } }
  - { resource: members, file: members.csv, key: id, fields: { name: name, created_at: since } }
`);
}

test("killed in the middle, it goes on to the same end", async (t) => {
  const n = 4000;
  const whole = place(t);
  writeForest(whole.folder, n);
  const result = whole.import("forest.yaml");
  assert.equal(result.code, 0, result.stdout + result.stderr + (existsSync(path.join(whole.folder, "import-errors.ndjson")) ? readFileSync(path.join(whole.folder, "import-errors.ndjson"), "utf8").slice(0, 500) : ""));
  const want = inWords(whole);
  assert.equal(want.posts.length, n);
  const took = summary(result).milliseconds;

  const broken = place(t);
  writeForest(broken.folder, n);
  let kills = 0;
  for (let i = 1; i <= 12; i++) {
    const child = spawn(purlinBin, ["import", "forest.yaml", "--json"], { env: broken.env, cwd: broken.folder, stdio: "ignore" });
    const timer = setTimeout(() => child.kill("SIGKILL"), 20 + (took * i) / 10);
    const [, signal] = await once(child, "exit");
    clearTimeout(timer);
    kills += signal === "SIGKILL";
  }
  assert.ok(kills > 0, "not one run was killed");
  const last = broken.import("forest.yaml");
  assert.equal(last.code, 0, last.stderr);
  assert.deepEqual(inWords(broken), want);
});

test("what is exported can be imported", (t) => {
  const p = place(t);
  p.import(path.join(data, "import.yaml"));
  for (const format of ["ndjson", "csv"]) {
    const out = p.export(`first-${format}`, "--format", format);
    const q = place(t);
    const result = q.import(path.join(out, "import.yaml"));
    assert.equal(result.code, 0, result.stdout + result.stderr);
    const back = q.export("second", "--format", format);
    for (const name of readdirSync(out))
      assert.equal(readFileSync(path.join(back, name), "utf8"), readFileSync(path.join(out, name), "utf8"), name);
    assert.deepEqual(readdirSync(back), readdirSync(out), "nothing half-written is left");
  }
});

test("export shows what is never shown only when asked", (t) => {
  const p = place(t);
  writeFileSync(path.join(p.folder, "m.csv"), "id,name,secret\n1,Ana,\"s, e\"\n2,Bo,\n");
  writeFileSync(path.join(p.folder, "m.yaml"),
    "source: s\nimports: [{ resource: members, file: m.csv, key: id, fields: { name: name, secret: secret } }]\n");
  assert.equal(p.import("m.yaml").code, 0);
  const shown = p.run("export", "members", "--format", "csv").stdout;
  assert.match(shown, /^id,name,about,level,joined,post_count,created_at,updated_at,version\r\n/);
  assert.doesNotMatch(shown, /s, e/);
  assert.match(p.run("export", "members", "--format", "csv", "--all").stdout, /,"s, e",/);
  assert.equal(p.run("export", "member").code, 2);
  assert.equal(p.run("export", "--format", "xml").code, 2);
  writeContracts(p.folder, { ...contracts, likes: `${contracts.likes}search: []\n`, members: contracts.members.replace("about:", "story:") });
  const differs = p.run("export");
  assert.equal(differs.code, 1);
  assert.match(differs.stderr, /the database differs from the contracts \(members: /);
  const empty = place(t);
  assert.equal(empty.run("export").code, 1, "there is no database");
});

test("what cannot be written or read is said, and nothing is lost by it", (t) => {
  const p = place(t);
  const mapping = path.join(data, "import.yaml");
  const unwritable = p.run("import", mapping, "--errors", "no/such/folder/errors.ndjson");
  assert.equal(unwritable.code, 1);
  assert.match(unwritable.stderr, /The error file could not be written/);
  assert.match(unwritable.stderr, /Run the same command again/);
  assert.equal(summary(p.import(mapping)).by.posts.refused, 7);
  assert.equal(p.rows("posts").length, 7);

  /* A run that refuses nothing takes the complaints of an earlier one away. */
  writeFileSync(path.join(p.folder, "m.csv"), "id,name\n1,x\n");
  writeFileSync(path.join(p.folder, "m.yaml"), "source: s\nimports: [{ resource: members, file: m.csv, key: id, fields: { name: name } }]\n");
  const text = p.run("import", "m.yaml");
  assert.equal(text.code, 0);
  assert.match(text.stdout, /^members +1 +1 +0 +0 +0 +0$/m);
  assert.match(text.stdout, /^1 rows in /m);
  assert.equal(existsSync(path.join(p.folder, "import-errors.ndjson")), false);

  writeFileSync(path.join(p.folder, "m.csv"), "");
  assert.match(p.run("import", "m.yaml").stderr, /the file has no header/);
  writeFileSync(path.join(p.folder, "m.csv"), '"id');
  assert.match(p.run("import", "m.yaml").stderr, /the header cannot be read/);
  writeFileSync(path.join(p.folder, "m.yaml"), "source: s\nimports: [{ resource: members, file: ., format: csv, key: id, fields: { name: name } }]\n");
  assert.match(p.run("import", "m.yaml").stderr, /cannot be read as a file/);

  writeFileSync(path.join(p.folder, "taken"), "");
  assert.match(p.run("export", "--to", "taken").stderr, /could not be written/);
  assert.match(p.run("export", "--to", "no/such/folder").stderr, /cannot be made/);
  for (const verb of ["import", "export", "seed"]) {
    const help = p.run(verb, "--help");
    assert.equal(help.code, 0);
    assert.match(help.stdout, new RegExp(`^Usage: purlin ${verb} `, "m"));
  }
});

test("tells changes in the source from duplicates, and lists from rows", (t) => {
  const p = place(t);
  const write = (rows) => writeFileSync(path.join(p.folder, "m.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"));
  writeFileSync(path.join(p.folder, "m.yaml"), `
source: s
imports:
  - { resource: posts, file: m.jsonl, each: notes, key: "@item", fields: { body: "@item", created_at: at } }
  - { resource: members, file: m.jsonl, key: "@line", fields: { name: name }, ignore: [notes, at] }
`);
  write([{ name: "Ana", at: "2020-01-01", notes: ["a", "b"] }, { name: "Bo", at: "2020-01-02", notes: ["b", "c"] },
    { name: "Cem" }, { name: "Dora", notes: null }, { name: "Emil", notes: 5 }, { name: "Fay", notes: [null] }]);
  const first = summary(p.import("m.yaml"));
  assert.deepEqual(counts(first.by.posts), { read: 6, inserted: 3, unchanged: 1, changed: 0, skipped: 0, refused: 2 });
  assert.deepEqual(counts(first.by.members), { read: 6, inserted: 6, unchanged: 0, changed: 0, skipped: 0, refused: 0 });
  assert.deepEqual(p.errors().map((error) => [error.line, error.reasons[0].code]).sort(), [[5, "type"], [6, "key"]]);
  write([{ name: "Anna" }, { name: "Bo", at: "2020-01-02", notes: ["b", "c"] }, { name: "Gil" }]);
  const second = summary(p.import("m.yaml"));
  assert.deepEqual(counts(second.by.members), { read: 3, inserted: 0, unchanged: 1, changed: 2, skipped: 0, refused: 0 });
  assert.match(p.run("import", "m.yaml").stdout, /2 rows have changed in the source since they were imported/);
});

test("seed makes the same community for the same number", (t) => {
  const texts = (p) => p.rows("posts").map((row) => row.title + row.body + row.score + row.created_at).sort();
  const make = (...args) => {
    const p = place(t, path.join(root, "contracts"));
    const result = p.run("seed", "--users", "20", "--posts", "60", ...args);
    assert.equal(result.code, 0, result.stderr);
    return p;
  };
  const one = make(), same = make("--seed", "1"), other = make("--seed", "2");
  assert.deepEqual(texts(one), texts(same));
  assert.notDeepEqual(texts(one), texts(other));
  assert.equal(one.rows("users").length, 20);
  const posts = one.rows("posts"), reactions = one.rows("reactions");
  for (const post of posts) {
    const of = (kind) => reactions.filter((row) => row.post === post.id && row.kind === kind).length;
    assert.equal(post.score, of("up") - of("down"));
    if (post.kind === "answer") assert.ok(posts.find((row) => row.id === post.parent).created_at < post.created_at);
  }
  assert.equal(one.run("seed").code, 1, "not into a database with rows");
  assert.equal(one.run("seed", "--if-empty").code, 0);
  assert.equal(one.rows("users").length, 20);
  assert.equal(one.run("seed", "--users", "4", "--posts", "0", "--force").code, 0);
  assert.equal(one.rows("users").length, 24);
  assert.equal(place(t).run("seed").code, 1, "not for other contracts");
  assert.equal(one.run("seed", "--users", "many").code, 2);
});

test("a whole community", { skip: existsSync(community) ? false : "its data is not at hand" }, (t) => {
  const p = place(t, path.join(root, "contracts"));
  const mapping = path.join(root, "examples/stackexchange/import.yaml");
  const result = p.import(mapping, "--from", community);
  assert.equal(result.code, 0, result.stdout + result.stderr);
  const { by, references_left_empty } = summary(result);
  const inserted = Object.fromEntries(Object.entries(by).map(([name, entry]) => [name, entry.inserted]));
  assert.deepEqual(inserted, { users: 3461, tags: 154, posts: 1986, comments: 3413, reactions: 11973 });
  assert.equal(references_left_empty, 0);
  assert.equal(existsSync(path.join(p.folder, "import-errors.ndjson")), false);

  const lines = (name) => readFileSync(path.join(community, name), "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
  const users = new Map(lines("users.jsonl").map((row) => [row.id, row]));
  const source = lines("posts.jsonl");
  const bodies = new Map(source.map((row) => [row.id, row.body]));
  const names = new Map(p.rows("users").map((row) => [row.id, row.display_name]));
  const posts = p.rows("posts");
  const bodyOf = new Map(posts.map((row) => [row.id, row.body]));
  const wanted = source.map((row) => JSON.stringify([
    row.body, row.created_at, row.score, users.get(row.author)?.display_name ?? null, bodies.get(row.parent) ?? null, row.tags ?? [],
  ])).sort();
  const got = posts.map((row) => JSON.stringify([
    row.body, row.created_at, row.score, names.get(row.author) ?? null, bodyOf.get(row.parent) ?? null, row.tags,
  ])).sort();
  assert.deepEqual(got, wanted);

  const again = summary(p.import(mapping, "--from", community));
  assert.ok(again.imports.every((entry) => entry.inserted === 0 && entry.unchanged === entry.read));
});
