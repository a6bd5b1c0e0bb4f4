/*
 * Request smuggling over HTTP/1.1: whatever two programs in a row might read in two ways is refused, and the connection ends; what the
 * RFCs allow is read as they say. The table is tests/support/smuggling.mjs. Each row is sent at once and in small pieces, with a
 * request hidden behind it; /echoed tells how many requests /echo has served, whoever saw the answers.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { startConformance } from "../support/conformance.mjs";
import { answersOf, cases, exchange, hidden, last } from "../support/smuggling.mjs";

const isHead = (want) => typeof want === "object" && "head" in want;
const bare = (want) => (isHead(want) ? want.head : want);
const wasEchoed = (want) => typeof bare(want) === "string";

describe("request smuggling over HTTP/1.1", () => {
  let server, address;
  const cleanups = [];
  before(async () => {
    server = await startConformance({ after: (fn) => cleanups.push(fn) });
    address = { port: Number(new URL(server.url).port) };
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });
  /* What the next client is told. */
  const echoed = async () => {
    const [answer] = answersOf(await exchange(address, "GET /echoed HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    assert.equal(answer.status, 200);
    return Number(answer.body);
  };

  function check(answers, { answers: wanted, ends, late, interims, half }) {
    const finals = answers.filter((a) => a.status >= 200);
    const told = answers.map((a) => `${a.status} ${JSON.stringify(a.body.slice(0, 200))}`).join(", ");
    if (!interims) assert.equal(answers.length, finals.length, `an interim answer: ${told}`);
    assert.equal(finals.length, wanted.length, told);
    for (const [i, want] of wanted.entries()) {
      assert.equal(finals[i].status, wasEchoed(want) ? 200 : bare(want), told);
      if (isHead(want)) assert.equal(finals[i].body, "");
      else if (wasEchoed(want)) assert.equal(finals[i].body, want);
      else if (want >= 400) assert.equal(finals[i].fields["content-type"], "application/problem+json");
    }
    if (ends && !late && !half) assert.match(finals.at(-1).fields.connection ?? "", /\bclose\b/, `the last answer does not say that it is: ${told}`);
  }

  for (const [chapter, rows] of Object.entries(cases)) {
    for (const [name, rfc, bytes, outcome] of rows) {
      it(`${chapter}: ${name} (RFC ${rfc})`, async () => {
        const all = bytes + (outcome.ends ? hidden : "") + last;
        const wanted = outcome.ends ? outcome.answers : [...outcome.answers, 200];
        const heads = wanted.map(isHead);
        const steps = [Infinity, Math.max(7, Math.ceil(all.length / 100))];
        let count = await echoed();
        for (const step of outcome.atOnce ? steps.slice(0, 1) : steps) {
          const got = outcome.holds
            ? await exchange(address, bytes, { step, held: hidden + last })
            : await exchange(address, all, { step, half: outcome.half });
          const answers = answersOf(got, heads);
          check(answers, { ...outcome, answers: wanted });
          count += outcome.answers.filter(wasEchoed).length;
          assert.equal(await echoed(), count, "what /echo served");
        }
      });
    }
  }
});
