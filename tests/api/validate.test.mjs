/* JSON Schema over the conformance server: answers, refusals, and memory that does not grow. */
import assert from "node:assert/strict";
import test from "node:test";
import { startConformance } from "../support/conformance.mjs";

test("validate", async (t) => {
  const server = await startConformance(t);
  const cases = [
    [{ type: "integer" }, 1, true],
    [{ type: "integer" }, "1", false],
    [true, null, true],
    [false, null, false],
    [{ $ref: "https://json-schema.org/draft/2020-12/schema" }, { type: "object" }, true],
    [{ $ref: "https://json-schema.org/draft/2020-12/schema" }, { type: "objekt" }, false],
    [{ format: "ipv4" }, "1.2.3.4", true],
    [{ format: "ipv4" }, "1.2.3", false],
    [{ pattern: "^\\p{Letter}+$" }, "äöü", true],
    [{ $ref: "#" }, 1, false], // a loop is no endless one
  ];
  for (const [schema, instance, valid] of cases) {
    const answer = await server.post("/validate", { schema, instance });
    assert.deepEqual(answer, { status: 200, body: { valid } }, JSON.stringify({ schema, instance }));
  }
});

test("what is no schema is refused, with its place", async (t) => {
  const server = await startConformance(t);
  const refusals = [
    [{ schema: 1, instance: 1 }, "/schema"],
    [{ schema: { properties: { "a/b": { type: "x" } } }, instance: 1 }, "/schema/properties/a~1b/type"],
    [{ schema: { $ref: "http://elsewhere/" }, instance: 1 }, "/schema/$ref"],
    [{ schema: { pattern: "(" }, instance: "" }, "/schema/pattern"],
    [{ instance: 1 }, "/schema"],
    [{ schema: {} }, "/instance"],
    ["[1]", "/schema"],
    [{ schema: { allOf: Array(10_001).fill({}) }, instance: 1 }, "/schema"],
  ];
  for (const [body, pointer] of refusals) {
    const answer = await server.post("/validate", body);
    assert.equal(answer.status, 422, JSON.stringify(body).slice(0, 100));
    assert.equal(answer.body.errors[0].pointer, pointer);
  }
  assert.equal((await server.post("/validate", "{")).status, 400);
});

test("10,000 requests leave no memory behind", async (t) => {
  const server = await startConformance(t);
  const bodies = [
    { schema: { type: "object", properties: { a: { pattern: "^(a|b)+$", format: "hostname" } }, unevaluatedProperties: false }, instance: { a: "ab" } },
    { schema: { patternProperties: { "^x": { pattern: "y" }, "[": true } }, instance: {} }, // refused half-way
    { schema: { $ref: "https://json-schema.org/draft/2020-12/schema" }, instance: { pattern: "^a+$", format: "regex" } },
    { schema: { format: "idn-hostname", pattern: "é" }, instance: "bücher.example" },
  ].map((body) => JSON.stringify(body));
  const run = async (count) => {
    for (let i = 0; i < count; i += 50)
      await Promise.all(Array.from({ length: 50 }, (_, k) => server.post("/validate", bodies[(i + k) % bodies.length])));
  };
  await run(3000); // pools and sanitizers' quarantines fill
  const before = server.resident();
  await run(10_000);
  const grown = server.resident() - before;
  t.diagnostic(`grown by ${grown} KiB`);
  // A pattern lost on each request would be some 10 MiB.
  assert.ok(grown < 6 * 1024, `grown by ${grown} KiB`);
});
