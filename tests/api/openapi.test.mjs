/*
 * /openapi.json is true: an independent linter takes it, every documented operation is called, and each answer is what the document
 * says: its status, its type, its headers, its body.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { createConfig, lintFromString } from "@redocly/openapi-core";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { randomUUID } from "node:crypto";
import path from "node:path";
import { root, startPurlin } from "../support/purlin.mjs";
import { richContracts } from "../support/rich.mjs";

const sets = { community: path.join(root, "contracts"), rich: richContracts };

/* What a document says, ready to be compared with answers. */
class Document {
  constructor(document) {
    this.document = document;
    this.ajv = addFormats(new Ajv2020({ strict: false, allErrors: true }));
    this.ajv.addSchema(document, "openapi");
    this.called = new Set();
  }
  operations() {
    return Object.entries(this.document.paths).flatMap(([at, item]) =>
      Object.entries(item).filter(([method]) => method !== "parameters").map(([method, operation]) => ({ at, method, operation })),
    );
  }
  operation(method, at) {
    const operation = this.document.paths[at]?.[method];
    assert.ok(operation, `${method} ${at} is documented`);
    return operation;
  }
  follow(value) {
    if (!value?.$ref) return value;
    return value.$ref.slice(2).split("/").reduce((v, key) => v[key.replaceAll("~1", "/").replaceAll("~0", "~")], this.document);
  }
  validator(schema) {
    // A reference within the document means the document.
    return this.ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"openapi#/components')));
  }
  check(method, at, answer) {
    const operation = this.operation(method, at), what = `${method.toUpperCase()} ${at} -> ${answer.status}`;
    const response = this.follow(operation.responses[String(answer.status)]);
    assert.ok(response, `${what} is documented: ${answer.text.slice(0, 300)}`);
    this.called.add(`${operation.operationId} ${answer.status}`);
    for (const [name, header] of Object.entries(response.headers ?? {}))
      if (this.follow(header).required) assert.ok(answer.headers.get(name), `${what} has ${name}`);
    const type = (answer.headers.get("content-type") ?? "").split(";")[0];
    if (!response.content) return assert.equal(answer.text, "", `${what} has no body`);
    const media = response.content[type];
    assert.ok(media, `${what}: ${type} is documented`);
    if (!media.schema) return;
    const valid = this.validator(media.schema);
    const body = /[/+]json$/.test(type) ? answer.body : answer.text;
    if (!valid(body)) assert.fail(`${what}: ${JSON.stringify(valid.errors.slice(0, 3))} of ${answer.text.slice(0, 500)}`);
  }
  /* The documented example of a body, with references to rows that exist. */
  example(method, at, type, rows) {
    const media = this.operation(method, at).requestBody.content[type];
    const example = structuredClone(media.example);
    assert.ok(example !== undefined, `${method} ${at} has an example of ${type}`);
    const valid = this.validator(media.schema);
    assert.ok(valid(example), `${method} ${at}: the example is valid: ${JSON.stringify(valid.errors)}`);
    for (const [name, property] of Object.entries(this.follow(media.schema).properties ?? {}))
      // The bootstrap key stands for no user, so what is the caller's by default is given too.
      if (property["x-ref"] && (name in example || (method === "post" && property["x-default"] && property.type === "string")))
        example[name] = rows[property["x-ref"]]?.id;
    return example;
  }
}

async function open(t, contracts) {
  const server = await startPurlin(t, { contracts });
  const answer = await server.get("/openapi.json");
  assert.equal(answer.status, 200);
  const document = new Document(answer.body);
  const call = async (method, template, { params = {}, query = "", admin = true, ...more } = {}) => {
    const target = template.replace(/\{(\w+)\}/g, (_, name) => params[name]) + query;
    const result = await server.request(method.toUpperCase(), target, { admin, ...more });
    document.check(method, template, result);
    return result;
  };
  return { server, document, call };
}

/* Resources, those that others refer to first. */
function inOrder(document) {
  const names = Object.keys(document.document.paths).map((at) => /^\/api\/v1\/(\w+)\/\{id\}$/.exec(at)?.[1]).filter(Boolean);
  const needs = (name) => {
    const schema = document.follow(document.operation("post", `/api/v1/${name}`).requestBody.content["application/json"].schema);
    return (schema.required ?? []).map((field) => schema.properties[field]["x-ref"]).filter((r) => r && r !== name);
  };
  const done = [];
  const visit = (name) => {
    if (done.includes(name)) return;
    needs(name).forEach(visit);
    done.push(name);
  };
  names.forEach(visit);
  return done;
}

for (const [name, contracts] of Object.entries(sets)) {
  test(`${name}: an independent linter takes the document`, async (t) => {
    const { server } = await open(t, contracts);
    const config = await createConfig({ extends: ["recommended"], telemetry: "off" });
    const source = (await server.get("/openapi.json")).text;
    const problems = await lintFromString({ source, absoluteRef: "/openapi.json", config });
    assert.deepEqual(problems.map((p) => `${p.severity} ${p.ruleId}: ${p.message} ${p.location?.[0]?.pointer}`), []);
  });

  test(`${name}: every operation answers as documented`, async (t) => {
    const { document, call } = await open(t, contracts);
    const rows = {};
    const json = "application/json", merge = "application/merge-patch+json", patch = "application/json-patch+json";
    for (const resource of inOrder(document)) {
      const all = `/api/v1/${resource}`, one = `${all}/{id}`;
      const create = async () => {
        const body = document.example("post", all, json, rows);
        const answer = await call("post", all, { body });
        // A second of what must be unique.
        if (answer.status === 409) assert.equal(answer.body.code, "conflict");
        else assert.equal(answer.status, 201, answer.text);
        return answer;
      };
      rows[resource] = (await create()).body;
      const params = { id: rows[resource].id };
      await call("get", all);
      await call("get", all, { query: "?limit=1&count=exact&sort=-created_at" });
      const read = await call("get", one, { params });
      assert.deepEqual(read.body, rows[resource]);
      const etag = read.headers.get("etag");
      assert.equal((await call("get", one, { params, headers: { "if-none-match": etag } })).status, 304);
      const mayChange = document.operation("put", one)["x-purlin-rules"] !== "false";
      const replaced = await call("put", one, { params, body: document.example("put", one, json, rows), headers: { "if-match": etag } });
      assert.equal(replaced.status, mayChange ? 200 : 403, replaced.text);
      for (const type of [merge, patch]) {
        const body = document.example("patch", one, type, rows);
        const version = (await call("get", one, { params })).body.version;
        if (type === patch) body.filter((o) => o.path === "/version").forEach((o) => (o.value = version));
        const answer = await call("patch", one, { params, body: JSON.stringify(body), headers: { "content-type": type } });
        assert.equal(answer.status, mayChange ? 200 : 403, answer.text);
      }
      for (const query of ["", "?format=csv"]) {
        const answer = await call("get", `${all}/export`, { query });
        assert.equal(answer.status, 200, answer.text);
        assert.ok(answer.text.includes(params.id));
      }
      // Each documented refusal that a caller can bring about.
      const nowhere = { id: randomUUID() };
      const refusals = [
        [400, "get", all, { query: "?limit=x" }],
        [400, "get", all, { query: "?cursor=nonsense" }],
        [400, "post", all, { body: "{", headers: { "content-type": json } }],
        [400, "get", one, { params, query: "?fields=nonsense" }],
        [404, "get", one, { params: nowhere }],
        [404, "put", one, { params: nowhere, body: document.example("put", one, json, rows) }],
        [404, "patch", one, { params: nowhere, body: "{}", headers: { "content-type": merge } }],
        [404, "delete", one, { params: nowhere }],
        [412, "put", one, { params, body: document.example("put", one, json, rows), headers: { "if-match": '"0-0"' } }],
        [412, "delete", one, { params, headers: { "if-match": '"0-0"' } }],
        [415, "post", all, { body: "x", headers: { "content-type": "text/plain" } }],
        [415, "patch", one, { params, body: "x", headers: { "content-type": "text/plain" } }],
        [422, "post", all, { body: { nonsense: 1 } }],
        [422, "put", one, { params, body: { nonsense: 1 } }],
        [422, "patch", one, { params, body: '{"nonsense":1}', headers: { "content-type": merge } }],
        [413, "post", all, { body: JSON.stringify({ x: "x".repeat(3 << 20) }), headers: { "content-type": json } }],
      ];
      for (const [status, method, at, options] of refusals)
        if (mayChange || !/put|patch/.test(method))
          assert.equal((await call(method, at, options)).status, status, `${method} ${at} ${JSON.stringify(options).slice(0, 200)}`);
    }
    for (const resource of inOrder(document).reverse()) {
      const one = `/api/v1/${resource}/{id}`, params = { id: rows[resource].id };
      const gone = await call("delete", one, { params });
      assert.equal(gone.status, 204, gone.text);
      assert.equal((await call("get", one, { params })).status, 404);
      if (document.document.paths[`${one}/restore`]) {
        const back = await call("post", `${one}/restore`, { params });
        assert.equal(back.status, 200, back.text);
      }
    }
    await call("post", "/api/v1/batch", { body: { operations: [{ method: "POST", path: "/nonsense", body: {} }] } });
    for (const mode of ["atomic", "independent"]) {
      const last = inOrder(document)[0];
      const body = document.example("post", `/api/v1/${last}`, json, rows);
      const answer = await call("post", "/api/v1/batch", {
        query: `?mode=${mode}`,
        body: {
          operations: [
            { method: "POST", path: `/${last}`, ref: "a", body },
            { method: "DELETE", path: mode === "atomic" ? `/${last}/$a.id` : `/${last}/${randomUUID()}` },
          ],
        },
      });
      assert.equal(answer.status, mode === "atomic" ? 200 : 207, answer.text);
    }
    // The rest: routes without parameters or bodies.
    const ofResources = ["batch", ...inOrder(document)].map((name) => `/api/v1/${name}`);
    for (const { at, method, operation } of document.operations())
      if (["auth", "oauth"].includes(operation.tags[0])) {
        /* They ask for credentials; whatever they say to who has none is documented. */
        const type = Object.keys(operation.requestBody?.content ?? {})[0];
        const id = "018f0000-0000-7000-8000-000000000000";
        for (const admin of [true, false])
          await call(method, at, { admin, params: { id }, ...(type ? { body: type === "application/json" ? {} : "x=1", headers: { "content-type": type } } : {}) });
        await call(method, at, { params: { id }, ...(type ? { body: "<x/>", headers: { "content-type": "text/xml" } } : {}) });
      } else if (!ofResources.some((path) => at === path || at.startsWith(`${path}/`))) {
        assert.equal((await call(method, at)).status, 200, operation.operationId);
        if (operation.responses["401"]) assert.equal((await call(method, at, { admin: false })).status, 401);
      }
    const called = new Set([...document.called].map((entry) => entry.split(" ")[0]));
    const missed = document.operations().map((o) => o.operation.operationId).filter((id) => !called.has(id));
    assert.deepEqual(missed, [], "operations that were never called");
    t.diagnostic(`${document.called.size} answers of ${called.size} operations`);
  });
}

test("the document says who may, and what a caller without rights gets", async (t) => {
  const { document, call } = await open(t, richContracts);
  const notes = document.operation("get", "/api/v1/notes");
  assert.deepEqual(notes.security, [{ apiKey: [] }, { bearer: [] }, { session: [] }]);
  assert.deepEqual(notes["x-permissions"], ["notes:read"]);
  assert.equal(notes["x-purlin-rules"], '"admin" in @roles');
  assert.equal((await call("get", "/api/v1/notes", { admin: false })).status, 401);
  assert.equal((await call("post", "/api/v1/notes", { admin: false, body: { said: "x" } })).status, 401);
  assert.deepEqual(document.operation("post", "/api/v1/things")["x-purlin-ratelimit"], { policy: "things.create", count: 30, window_seconds: 60, by: "user" });
});

test("the document has a tag of its own", async (t) => {
  const { server } = await open(t, richContracts);
  const first = await server.get("/openapi.json");
  const again = await server.get("/openapi.json", { headers: { "if-none-match": first.headers.get("etag") } });
  assert.equal(again.status, 304);
  assert.equal(again.text, "");
});
