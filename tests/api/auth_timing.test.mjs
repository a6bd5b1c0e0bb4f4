/*
 * tests/api/auth_timing.test.mjs - How long an answer takes tells nobody who has an account: the latencies of 200 tries with addresses that have
 * one, and of 200 with addresses that have none, are from one distribution.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { auth, freshEmail, login, password, people, signUp } from "../support/auth.mjs";
import { startPurlin } from "../support/purlin.mjs";

const tries = 200;
/*
 * The distance of two distributions (Kolmogorov and Smirnov): the largest difference of their shares below any value. Of two samples of 200 from one
 * distribution it is above 0.195 once in a thousand times. A machine that is busy at the wrong moment gets more chances, a real difference of
 * a tenth of a millisecond is there each time.
 */
const limit = 1.95 * Math.sqrt(2 / tries), rounds = 3;

function distance(a, b) {
  const share = (sorted, x) => {
    let low = 0, high = sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] <= x) low = middle + 1;
      else high = middle;
    }
    return low / sorted.length;
  };
  const [x, y] = [a.toSorted((p, q) => p - q), b.toSorted((p, q) => p - q)];
  return Math.max(...[...x, ...y].map((v) => Math.abs(share(x, v) - share(y, v))));
}

const median = (list) => list.toSorted((p, q) => p - q)[list.length >> 1];

it("the measure sees a tenth of a spread, and nothing where there is nothing", () => {
  let state = 12345;
  const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
  const sample = (shift) => Array.from({ length: tries }, () => 5 + random() + random() + random() + shift);
  assert.ok(distance(sample(0), sample(0)) < limit);
  assert.ok(distance(sample(0), sample(0.4)) > limit);
});

describe("who has an account is not told by time", () => {
  let server, known, client = 0;
  const ends = [];
  /* Each try from an address of its own: who tries often has to wait, whatever he asks. */
  const from = () => ({ "X-Forwarded-For": `10.${1 + (client >> 16)}.${(client >> 8) & 255}.${client++ & 255}` });
  before(async () => {
    const env = { PURLIN_AUTH_PASSWORD_MEMORY: "8MiB", PURLIN_AUTH_PASSWORD_PASSES: "1", PURLIN_AUTH_VERIFY_EMAIL: "on", TRUSTED_PROXIES: "127.0.0.1" };
    server = await startPurlin({ after: (fn) => ends.push(fn) }, { contracts: people, env });
    known = [];
    while (known.length < tries) {
      const some = Array.from({ length: 10 }, freshEmail);
      for (const { status } of await Promise.all(some.map((email) => auth(server, "signup", wish(email), from())))) assert.equal(status, 202);
      known.push(...some);
    }
  });
  after(async () => { for (const fn of ends.reverse()) await fn(); });

  const wish = (email) => ({ email, password, profile: { display_name: "Ada" } });
  const asks = {
    "a wrong password": [(email) => auth(server, "login", { email, password: "not the right one" }, from()), 401],
    "a forgotten password": [(email) => auth(server, "recover", { email }, from()), 202],
    "a link to sign in": [(email) => auth(server, "magic", { email }, from()), 202],
    "signing up again": [(email) => auth(server, "signup", wish(email), from()), 202],
    "another letter to verify": [(email) => auth(server, "verify/resend", { email }, from()), 202],
  };
  for (const [name, [ask, status]] of Object.entries(asks))
    it(name, async (t) => {
      const timed = async (email) => {
        const start = performance.now();
        const answer = await ask(email);
        assert.equal(answer.status, status, JSON.stringify(answer.body));
        return performance.now() - start;
      };
      const found = [];
      for (let round = 0; round < rounds; round++) {
        const times = { known: [], unknown: [] };
        for (const email of known)
          for (const kind of Math.random() < 0.5 ? ["known", "unknown"] : ["unknown", "known"]) times[kind].push(await timed(kind === "known" ? email : freshEmail()));
        found.push({ distance: distance(times.known, times.unknown), known: median(times.known), unknown: median(times.unknown) });
        t.diagnostic(`distance ${found.at(-1).distance.toFixed(3)} of ${limit.toFixed(3)}; medians ${found.at(-1).known.toFixed(2)} and ${found.at(-1).unknown.toFixed(2)} ms`);
        if (found.at(-1).distance < limit) return;
      }
      assert.fail(`known and unknown addresses are told apart: ${JSON.stringify(found)}`);
    });
});
