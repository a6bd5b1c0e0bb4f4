/*
 * Every attack of docs/attacks.md, for about two seconds each: the client beside it sees no error and waits little, memory stays bounded and
 * comes back, the server tells what it saw, and ends with 0 when it is asked to. script/attack gives figures of a release.
 *
 * Bounds here are for AddressSanitizer (a fifth to a tenth of the speed) on two cores that others use too, so they are wide, and relative to
 * what the client saw before: what they catch is an attack that works (seconds of waiting, refusals, memory that grows), not one that costs some
 * milliseconds. For the same reason senders have fewer connections.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { attack, startTarget } from "../support/attack.mjs";
import { kinds } from "../support/attack_kinds.mjs";

const waitMs = 1000; // and five times what it was before, and what the machine was late by: of so few requests P99 is about the slowest
const growthMiB = 250; // AddressSanitizer puts red zones around everything and keeps what was freed
const keptMiB = 100;

describe("under attack", () => {
  const cleanups = [];
  const t = { after: (fn) => cleanups.push(fn) };
  const servers = {};
  before(async () => {
    // What AddressSanitizer keeps of freed memory would hide what is kept by mistake.
    const env = { ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ""}:quarantine_size_mb=1` };
    servers.open = await startTarget(t, { env });
    // Fewer than the 1000 by default: slowhttptest may be slow here, too.
    servers.capped = await startTarget(t, { env: { ...env, PURLIN_LIMITS_CONNECTIONS_PER_ADDRESS: "200" }, capped: true });
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  for (const [name, { what, capped }] of Object.entries(kinds))
    it(`${name}: ${what}`, { timeout: 60_000 }, async (test) => {
      const server = capped ? servers.capped : servers.open;
      const { before, during, after: later, resident, sent, did, seen } = await attack(test, server, name, { seconds: 2, calm: 0.7, strength: 0.5 });
      const all = JSON.stringify({ before, during, later, resident, sent, did }, null, 1);
      test.diagnostic(`P99 ${[before, during, later].map((p) => p.p99.toFixed(0)).join(", ")} ms, ${Object.values(resident).map((m) => m.toFixed(0)).join(", ")} MiB, ${JSON.stringify(did)}`);
      assert.deepEqual(during.errors, [], all);
      assert.deepEqual(later.errors, [], all);
      assert.ok(during.requests > 50, all);
      assert.ok(during.p99 < waitMs + 5 * (before.p99 + during.late), all);
      assert.ok(later.p99 < waitMs + 5 * (before.p99 + later.late), all);
      assert.ok(resident.peak - resident.before < growthMiB, all);
      assert.ok(resident.after - resident.before < keptMiB, all);
      assert.ok(seen > 0, all);
      assert.ok(server.isAlive());
    });

  it("both end as they should", async () => {
    for (const server of Object.values(servers)) assert.deepEqual(await server.stop(), { code: 0, signal: null });
  });
});
