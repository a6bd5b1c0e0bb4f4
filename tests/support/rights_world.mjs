/*
 * tests/support/rights_world.mjs - A small world made from contracts alone: people who own rows of every kind, and who asks. For tests that try
 * every way to a row as everybody (tests/api/rights_by_contract.test.mjs).
 */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import yaml from "js-yaml";
import { bearer, login, signUp } from "./auth.mjs";
import { adminKey, environment, runPurlin } from "./purlin.mjs";
import { parseRule, ruleHolds } from "./rule_oracle.mjs";

/* { name: contract } of a folder, or of { name: text }. */
export function readContracts(from) {
  const texts =
    typeof from === "string"
      ? readdirSync(from).filter((f) => f.endsWith(".yaml") && !f.endsWith(".test.yaml")).map((f) => readFileSync(path.join(from, f), "utf8"))
      : Object.values(from);
  return Object.fromEntries(texts.map((text) => yaml.load(text)).map((c) => [c.resource, c]));
}

/* Referred ones first. */
function inOrder(contracts) {
  const done = [];
  const visit = (name) => {
    if (done.includes(name)) return;
    for (const f of Object.values(contracts[name].fields)) if (f.ref && f.ref !== name && f.required) visit(f.ref);
    if (!done.includes(name)) done.push(name);
  };
  visit("users");
  for (const name of Object.keys(contracts)) visit(name);
  return done;
}

/* The values of an enum that a rule of any contract names: rows of each are made. */
function enumsInRules(contracts, resource) {
  const said = Object.values(contracts).flatMap((c) => Object.values(c.rules ?? {})).join(" ");
  return Object.entries(contracts[resource].fields).find(([name, f]) => f.enum && new RegExp(`\\b${name} [!=]=`).test(said));
}

let marks = 0;
/* One word that no other row has. */
export const freshMark = () => `zq${(++marks).toString(36)}x${process.pid.toString(36)}`;

/* A body with what is required, every text of it with the mark. */
function bodyOf(contract, mark, given) {
  const body = { ...given };
  for (const [name, f] of Object.entries(contract.fields)) {
    if (name in body || f.readonly || f.count) continue;
    if (["string", "text"].includes(f.type) && (!f.pattern || f.pattern.startsWith("^[a-z"))) body[name] = mark;
    else if (f.type === "string" && f.required) body[name] = `https://example.org/${mark}`;
    else if (f.enum && f.required) body[name] = f.enum[0];
    else if (["boolean", "integer"].includes(f.type) && f.required) body[name] = f.type === "integer" ? 1 : false;
  }
  return body;
}

/* Requests in the name of somebody. */
export function callerOf(server, headers, user, roles) {
  const send = async (method, target, body, extra = {}) => {
    const typed = body === undefined ? {} : { "Content-Type": method === "PATCH" ? (Array.isArray(body) ? "application/json-patch+json" : "application/merge-patch+json") : "application/json" };
    const answer = await fetch(server.url + target, { method, headers: { ...headers, ...typed, ...extra }, body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await answer.text();
    const isJson = /[/+]json/.test(answer.headers.get("content-type") ?? "") && text;
    return { status: answer.status, headers: answer.headers, text, body: isJson ? JSON.parse(text) : undefined };
  };
  return { send, user, roles };
}

/* `env` is the server's: the tool that gives a role needs the same. */
export async function makeWorld(server, contracts, env) {
  const admin = callerOf(server, { "X-API-Key": adminKey }, null, ["admin"]);
  const resources = contracts;
  const rules = Object.fromEntries(
    Object.entries(contracts).map(([name, c]) => [name, Object.fromEntries(["read", "create", "update", "delete"].map((verb) => [verb, parseRule(c.rules?.[verb])]))]),
  );
  const world = { server, contracts, resources, rules, admin, rows: Object.fromEntries(Object.keys(contracts).map((n) => [n, []])), marks: new Map() };

  /* May they, by the rules as written? A change asks for the row before and after it, and that it may be read. */
  world.may = (caller, verb, resource, row, after = row) => {
    const as = { ...world, user: caller.user, roles: caller.roles };
    const holds = (v, r) => ruleHolds(rules[resource][v], as, resource, r);
    if (verb === "create") return holds("create", row);
    if (verb === "read") return !row.deleted_at && holds("read", row);
    return holds("read", row) && holds(verb, row) && (verb !== "update" || holds("update", after));
  };
  world.make = async (resource, given = {}) => {
    const mark = freshMark(), body = bodyOf(contracts[resource], mark, given);
    const { status, body: row, text } = await admin.send("POST", `/api/v1/${resource}`, body);
    if (status === 409) return null;
    assert.equal(status, 201, `${resource}: ${text}`);
    world.rows[resource].push(row);
    world.marks.set(row.id, mark);
    return row;
  };
  world.drop = (resource, id) => (world.rows[resource] = world.rows[resource].filter((row) => row.id !== id));

  const people = [];
  for (const name of ["alice", "bob", "carol", "moderator"]) {
    const tokens = await signUp(server, { name });
    people.push({ name, tokens });
    world.rows.users.push((await admin.send("GET", `/api/v1/users/${tokens.user_id}`)).body);
    world.marks.set(tokens.user_id, name);
  }
  const owners = people.slice(0, 3).map((p) => p.tokens.user_id);
  world.callers = {
    nobody: callerOf(server, {}, null, []),
    ...Object.fromEntries(people.slice(0, 3).map((p) => [p.name, callerOf(server, bearer(p.tokens), p.tokens.user_id, [])])),
    admin,
  };
  const { tokens: moderator } = people[3];
  const given = runPurlin(["user", "role", moderator.email, "--role", "moderator"], { env: environment(server.folder, server.contractsFolder, env) });
  assert.equal(given.code, 0, given.stderr);
  world.callers.moderator = callerOf(server, bearer((await login(server, moderator.email)).body), moderator.user_id, ["moderator"]);

  for (const resource of inOrder(contracts)) {
    const fields = Object.entries(contracts[resource].fields);
    const toUsers = fields.filter(([, f]) => f.ref === "users").map(([name]) => name);
    const toOthers = fields.filter(([, f]) => f.ref && f.ref !== "users" && f.required);
    const [enumName, { enum: choices } = { enum: [undefined] }] = enumsInRules(contracts, resource) ?? [undefined];
    const targets = toOthers.length ? world.rows[toOthers[0][1].ref] : [undefined];
    let turn = 0;
    for (const target of targets)
      for (const choice of choices)
        for (let i = 0; i < (toUsers.length && targets.length === 1 ? owners.length : 1); i++, turn++) {
          const given = Object.fromEntries(toUsers.map((name, k) => [name, owners[(turn + k) % owners.length]]));
          for (const [name, f] of toOthers) given[name] = (target ?? world.rows[f.ref][0]).id;
          await world.make(resource, { ...given, ...(enumName ? { [enumName]: choice } : {}) });
        }
    if (toUsers.length && fields.some(([n, f]) => n === toUsers[0] && !f.required && (f.on_delete === "set_null" || f.optional))) {
      const given = Object.fromEntries(toOthers.map(([name, f]) => [name, world.rows[f.ref][0].id]));
      await world.make(resource, { ...given, [toUsers[0]]: null, ...(enumName ? { [enumName]: choices.at(-1) } : {}) });
    }
  }
  return world;
}
