/* New contracts while requests run: none is dropped, and what is new is served. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startAs } from "../support/as.mjs";

const contract = (rule, extra = "") => `
resource: things
fields:
  name: { type: string, max: 50, required: true }
${extra}rules: { read: ${rule}, create: true, update: true, delete: true }
`;

it("contracts are replaced without dropping a request", async (t) => {
  const api = await startAs(t, { things: contract("true") });
  const things = "/api/v1/things";
  assert.equal((await api.post(things, { name: "a" })).status, 201);
  const file = `${api.server.contractsFolder}/things.yaml`;
  const statuses = new Set();
  let running = true;
  const load = Array.from({ length: 8 }, async () => {
    while (running) {
      statuses.add((await api.get(things)).status);
      statuses.add((await api.post(things, { name: "b" })).status);
    }
  });
  for (let i = 0; i < 10; i++) {
    writeFileSync(file, contract("true", `# ${i}\n`));
    api.server.child.kill("SIGHUP");
    await sleep(50);
  }
  running = false;
  await Promise.all(load);
  assert.deepEqual([...statuses].sort(), [200, 201]);

  writeFileSync(file, contract("'\"admin\" in @roles'"));
  api.server.child.kill("SIGHUP");
  for (let i = 0; i < 50 && (await api.get(things)).status !== 401; i++) await sleep(20);
  assert.equal((await api.get(things)).status, 401);
  assert.equal((await api.get(things, { roles: "admin" })).status, 200);

  writeFileSync(file, "resource: things\nfields: nonsense\n");
  api.server.child.kill("SIGHUP");
  await sleep(200);
  assert.equal((await api.get(things, { roles: "admin" })).status, 200, "bad contracts change nothing");
  api.server.mayFail = false;
});
