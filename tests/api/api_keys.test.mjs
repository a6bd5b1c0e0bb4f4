/* `purlin key`: made, listed, rotated and revoked at the machine, beside a running server or without one, and all of it audited. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { people } from "../support/auth.mjs";
import { environment, runPurlin, startPurlin, temporaryFolder, writeContracts } from "../support/purlin.mjs";

const contracts = { things: "resource: things\nfields:\n  name: { type: string }\nrules: { read: true, create: true }\n" };
const posts = "resource: posts\nfields:\n  title: { type: string }\nrules: { read: true }\n";
const secretForm = /^purlin_key_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$/;
const idForm = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function machine(t, folder = temporaryFolder(t), more = {}) {
  const env = environment(folder, writeContracts(folder, { posts, ...more }), { PURLIN_SECRET: "a-secret-of-the-tests-0123456789" });
  const run = (...args) => runPurlin(args, { env });
  const json = (...args) => {
    const result = run(...args, "--json");
    assert.equal(result.code, 0, result.stderr);
    return result.stdout.trim().split("\n").filter(Boolean).map((line) => JSON.parse(line));
  };
  return { folder, run, json };
}

test("a key is made, shown once, listed without its secret", (t) => {
  const { folder, run, json } = machine(t);
  const [made] = json("key", "create", "--name", "nightly import", "--role", "importer", "--role", "reader", "--scope", "posts:read",
    "--scope", "posts:update", "--address", "192.0.2.0/24", "--address", "unix", "--expires", "90d");
  assert.match(made.id, idForm);
  assert.match(made.secret, secretForm);
  const [key, ...others] = json("key", "list");
  assert.deepEqual(others, []);
  assert.equal(key.id, made.id);
  assert.equal(key.prefix, made.secret.slice(0, 17));
  assert.equal(key.state, "active");
  assert.deepEqual(key.roles, ["importer", "reader"]);
  assert.deepEqual(key.scopes, ["posts:read", "posts:update"]);
  assert.deepEqual(key.addresses, ["192.0.2.0/24", "unix"]);
  const days = (Date.parse(key.expires_at) - Date.parse(key.created_at)) / 86_400_000;
  assert.ok(Math.abs(days - 90) < 0.01, String(days));
  const text = run("key", "list");
  assert.match(text.stdout, /active .*nightly import .*roles importer reader .*from 192\.0\.2\.0\/24,unix/);
  assert.ok(!readFileSync(`${folder}/purlin.db`).includes(made.secret.slice(0, 19)), "the file has no secret");
});

test("people read what programs read", (t) => {
  const { run } = machine(t);
  const result = run("key", "create", "--name", "n", "--role", "r");
  assert.equal(result.code, 0, result.stderr);
  const [, id, secret] = result.stdout.match(/^id {6}(\S+)\nsecret {2}(\S+)\n$/);
  assert.match(id, idForm);
  assert.match(secret, secretForm);
  assert.match(result.stderr, /not shown again/);
});

test("a key is rotated with grace, then revoked", (t) => {
  const { run, json } = machine(t);
  const [made] = json("key", "create", "--name", "n", "--role", "r");
  const [rotated] = json("key", "rotate", made.id, "--grace", "2h");
  assert.equal(rotated.id, made.id);
  assert.match(rotated.secret, secretForm);
  assert.notEqual(rotated.secret, made.secret);
  const [key] = json("key", "list");
  const hours = (Date.parse(key.old_secret_until) - Date.parse(key.rotated_at)) / 3_600_000;
  assert.equal(Math.round(hours), 2);
  assert.equal(run("key", "revoke", made.id).code, 0);
  assert.deepEqual(json("key", "list"), []);
  const [ended] = json("key", "list", "--all");
  assert.equal(ended.state, "revoked");
  assert.equal(ended.old_secret_until, null);
  const again = run("key", "rotate", made.id);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /has ended/);
});

test("users' keys are listed apart", (t) => {
  const { json, run } = machine(t, undefined, { users: people.users });
  const [{ id: user }] = json("user", "create", "ada@example.org", "--profile", '{"display_name":"Ada"}');
  json("key", "create", "--name", "service", "--role", "r");
  const [made] = json("key", "create", "--name", "mine", "--user", user, "--scope", "posts:read");
  const mine = json("key", "list", "--user", user);
  assert.deepEqual(mine.map((key) => [key.id, key.user, key.roles]), [[made.id, user, []]]);
  assert.equal(json("key", "list").length, 2);
  const [by] = json("key", "create", "--name", "by address", "--user", "Ada@Example.org");
  assert.deepEqual(json("key", "list", "--user", "ada@example.org").map((key) => key.id).sort(), [made.id, by.id].sort());

  const nobody = run("key", "create", "--name", "n", "--user", "ada@example.com");
  assert.deepEqual([nobody.code, nobody.stdout], [1, ""]);
  assert.match(nobody.stderr, /There is no account ada@example\.com\. Did you mean `ada@example\.org`\?/);
  const unknown = run("key", "create", "--name", "n", "--user", "0193a8f0-0000-7000-8000-000000000001");
  assert.deepEqual([unknown.code, /There is no account 0193a8f0/.test(unknown.stderr)], [1, true]);
  assert.equal(run("user", "disable", "ada@example.org").code, 0);
  const disabled = run("key", "create", "--name", "n", "--user", user);
  assert.deepEqual([disabled.code, /is disabled/.test(disabled.stderr)], [1, true], disabled.stderr);
  assert.equal(json("key", "list", "--user", user).length, 2, "those that there are can be looked at");
});

test("what is done beside a running server reaches its log", async (t) => {
  const server = await startPurlin(t, { contracts, env: { PURLIN_SECRET: "a-secret-of-the-tests-0123456789" } });
  const { json, run } = machine(t, server.folder);
  const [made] = json("key", "create", "--name", "n", "--role", "r");
  json("key", "rotate", made.id);
  assert.equal(run("key", "revoke", made.id).code, 0);
  const { body } = await server.get(`/api/v1/audit?user=${made.id}`, { admin: true });
  assert.deepEqual(body.data.map((row) => row.act), ["key.revoked", "key.rotated", "key.created"]);
  assert.ok(!JSON.stringify(body).includes(made.secret.slice(11, 30)), "no secret in the log");
  assert.equal(run("audit", "verify").code, 0);
});

test("wrong calls say what is right", (t) => {
  const { run, json } = machine(t);
  const [made] = json("key", "create", "--name", "n", "--role", "r");
  const nobody = "0193a8f0-0000-7000-8000-000000000001";
  const rows = [
    [["key"], 2, /create, list, rotate, revoke/],
    [["key", "make"], 2, /there is no purlin key make/],
    [["key", "create", "--role", "r"], 2, /--name is missing/],
    [["key", "create", "--name", "n"], 2, /--user, or --role/],
    [["key", "create", "--name", "n", "--role", "r", "--user", nobody], 2, /either --user or --role/],
    [["key", "create", "--name", "n", "--user", "ada"], 1, /ada is neither an address nor the id of a person/],
    [["key", "create", "--name", "n", "--role", "r", "--expires", "2001-01-01"], 2, /a time to come/],
    [["key", "create", "--name", "n", "--role", "r", "--expires", "soon"], 2, /a time to come/],
    [["key", "create", "--name", "n", "--role", "r s"], 1, /\/roles: .*without spaces/],
    [["key", "create", "--name", "n", "--role", "r", "--address", "192.0.2.1/24"], 1, /\/addresses: 192\.0\.2\.1\/24: /],
    [["key", "create", "stray", "--name", "n", "--role", "r"], 2, /unexpected argument stray/],
    [["key", "rotate"], 2, /id of the key is missing/],
    [["key", "rotate", "x"], 2, /x is not the id of a key/],
    [["key", "rotate", made.id, "--grace", "31d"], 2, /up to 30d/],
    [["key", "rotate", nobody], 1, /There is no API key with this id/],
    [["key", "revoke", nobody], 1, /There is no API key with this id/],
    [["key", "revoke", made.id, "more"], 2, /unexpected argument more/],
  ];
  for (const [args, code, words] of rows) {
    const result = run(...args);
    assert.equal(result.code, code, `${args.join(" ")}: ${result.stderr}`);
    assert.match(result.stderr, words, args.join(" "));
    assert.equal(result.stdout, "");
  }
  assert.equal(json("key", "list").length, 1);
});
