/*
 * script/attack [--seconds N] [--bin PATH] [--json FILE] [NAME...]
 *
 * Attack a server and print, for each attack, what a well-behaved client beside it saw before, during and after, the server's resident memory,
 * and what the server did. A NAME is an attack or the beginning of one: "slow", "rapid-reset"; `--list` tells them. See docs/attacks.md.
 *
 *   --seconds N   how long each attack lasts (5)
 *   --bin PATH    the program (build/release/purlin)
 *   --json FILE   write everything there too
 *
 * "late" is by how much the client's own timer came late, also a P99: where it is tens of milliseconds the machine has other things to do, and
 * the figures tell about those.
 *
 * The last line is the verdict: no error, P99 under 100 ms during each attack, memory that grows by less than 64 MiB and comes back,
 * and latency too; it exits 1 when one does not hold.
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { attack, startTarget } from "./attack.mjs";
import { kinds } from "./attack_kinds.mjs";
import { root } from "./purlin.mjs";

const waitMs = 100, growthMiB = 64, keptMiB = 16;

function fail(text) {
  process.stderr.write(`script/attack: ${text}\n`);
  process.exit(2);
}

function options() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        seconds: { type: "string", default: "5" },
        bin: { type: "string", default: path.join(root, "build/release/purlin") },
        json: { type: "string" },
        list: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
    const seconds = Number(values.seconds);
    if (!(seconds >= 1 && seconds <= 600)) fail(`--seconds is from 1 to 600, not "${values.seconds}"`);
    const names = Object.keys(kinds).filter((name) => !positionals.length || positionals.some((p) => name.startsWith(p)));
    for (const p of positionals) if (!names.some((name) => name.startsWith(p))) fail(`no attack begins with "${p}"; --list tells them`);
    return { ...values, seconds, names };
  } catch (error) {
    return fail(error.message);
  }
}

const ms = (value) => (value < 10 ? value.toFixed(1) : value.toFixed(0));
const phase = ({ requests, errors, p50, p99, late }) => `${requests} / ${errors.length} / ${ms(p50)} / ${ms(p99)} / ${ms(late)}`;
const counted = (table) => Object.entries(table).map(([key, n]) => `${key}: ${n}`).join(", ");

function judge({ during, after, resident, seen }) {
  return [
    during.errors.length + after.errors.length && `${during.errors.length + after.errors.length} errors (${[...new Set([...during.errors, ...after.errors])].slice(0, 3).join("; ")})`,
    during.p99 >= waitMs && `P99 ${ms(during.p99)} ms`,
    after.p99 >= waitMs && `P99 ${ms(after.p99)} ms afterwards`,
    resident.peak - resident.before > growthMiB && `${(resident.peak - resident.before).toFixed(0)} MiB more`,
    resident.after - resident.before > keptMiB && `${(resident.after - resident.before).toFixed(0)} MiB kept`,
    !seen && "not counted",
  ].filter(Boolean);
}

async function one(name, { seconds, bin }) {
  const cleanups = [];
  const t = { after: (fn) => cleanups.push(fn) };
  try {
    const server = await startTarget(t, { bin, capped: kinds[name].capped });
    const result = await attack(t, server, name, { seconds, settle: 20 });
    const { code, signal } = await server.stop();
    result.wrong = judge(result);
    if (code !== 0) result.wrong.push(`ended with ${code ?? signal}`);
    return result;
  } finally {
    for (const cleanup of cleanups.reverse()) await cleanup();
  }
}

const chosen = options();
if (chosen.help) {
  process.stdout.write(readFileSync(fileURLToPath(import.meta.url), "utf8").split("*/")[0].replace(/^\/\*\n/, "").replace(/^ \* ?/gm, ""));
} else if (chosen.list) {
  for (const [name, { what }] of Object.entries(kinds)) process.stdout.write(`${name.padEnd(22)}${what}\n`);
} else {
  const results = [];
  process.stdout.write("Good client: requests / errors / P50 / P99 / late, in ms. Memory: before / peak / after, MiB resident.\n\n");
  process.stdout.write("| attack | before | during | after | memory | what the server did |\n|---|---|---|---|---|---|\n");
  for (const name of chosen.names) {
    const r = await one(name, chosen);
    results.push(r);
    const { before, peak, after } = r.resident;
    process.stdout.write(
      `| ${name}${r.wrong.length ? " (!)" : ""} | ${phase(r.before)} | ${phase(r.during)} | ${phase(r.after)} | ` +
        `${[before, peak, after].map((m) => m.toFixed(0)).join(" / ")} | ${counted(r.did)} |\n`,
    );
  }
  if (chosen.json) writeFileSync(chosen.json, JSON.stringify(results, null, 1));
  const bad = results.filter((r) => r.wrong.length);
  process.stdout.write("\n");
  for (const r of bad) process.stdout.write(`${r.name}: ${r.wrong.join(", ")}\n`);
  process.stdout.write(bad.length ? `attack: ${bad.length} of ${results.length} did harm\n` : `attack: ${results.length} attacks, none did harm\n`);
  process.exitCode = bad.length ? 1 : 0;
}
