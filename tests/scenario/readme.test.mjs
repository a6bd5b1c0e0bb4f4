/*
 * The tour of README.md works word for word: every command of it is run in a copy of the repository, in one shell, and what it prints is
 * compared with what stands under it. Only the port and the way to find the server's pid are put in place of those of a machine that runs
 * nothing else.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, openSync, readFileSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { test } from "node:test";
import { environment, purlinBin, root, temporaryFolder } from "../support/purlin.mjs";

/* [{ command, output }]: a block of sh, and the block right after it, if any. */
function readTour() {
  const text = readFileSync(path.join(root, "README.md"), "utf8");
  const steps = [];
  const fence = /^```(\w*)\n([^]*?)^```\n(\n?)/gm;
  let last;
  for (const [, language, body, gap] of text.matchAll(fence)) {
    if (language === "sh") steps.push((last = { command: body, output: null }));
    else if (last) last.output = body;
    if (gap) last = null;
  }
  return steps;
}

/* A copy of what a clone has and the tour needs, with the build that is tested. */
function copyRepository(t) {
  const folder = temporaryFolder(t);
  for (const name of ["contracts", "web", "script", "README.md"])
    cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
  mkdirSync(path.join(folder, "build/release"), { recursive: true });
  symlinkSync(purlinBin, path.join(folder, "build/release/purlin"));
  symlinkSync(path.join(root, "node_modules"), path.join(folder, "node_modules"));
  return folder;
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}

async function untilReady(port, child, log) {
  for (let i = 0; i < 600; i++) {
    if (child.exitCode !== null) break;
    const answer = await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => null);
    if (answer?.status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`script/server did not start:\n${readFileSync(log, "utf8")}`);
}

/* The outputs of `commands`, run in one shell. */
async function runShell(commands, folder, env) {
  const mark = "---- end of a step ----";
  const script = commands.map((command) => `{\n${command}\n} 2>&1\necho; echo '${mark}'\n`).join("");
  const shell = spawn("bash", ["-c", script], { cwd: folder, env, stdio: ["ignore", "pipe", "inherit"], timeout: 240_000 });
  let text = "";
  shell.stdout.setEncoding("utf8").on("data", (chunk) => (text += chunk));
  await once(shell, "close");
  return text.split(`${mark}\n`).slice(0, -1);
}

/* curl ends no line, the README does. */
const lines = (text) => text.replaceAll("}{", "}\n{").split("\n").map((line) => line.trimEnd()).filter(Boolean).join("\n");
const pattern = (text) =>
  new RegExp("^" + text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll("…", "[^]*?") + "$");

test("the tour of the README works word for word", async (t) => {
  const steps = readTour();
  assert.ok(steps.length > 10, "the README has its tour");
  const folder = copyRepository(t);
  const port = await freePort();
  const clean = environment(folder, "contracts");
  for (const name of Object.keys(clean))
    if (/^(PURLIN_|DATABASE_URL|PORT$|LOG_)/.test(name)) delete clean[name];
  const [start, ...rest] = steps;
  assert.match(start.command, /script\/server\n$/);

  const log = path.join(folder, "server.log");
  const out = openSync(log, "w");
  const server = spawn("bash", ["-c", start.command], {
    cwd: folder,
    env: { ...clean, PORT: String(port), PURLIN_BIN: purlinBin },
    stdio: ["ignore", out, out],
  });
  const exited = once(server, "exit");
  t.after(() => server.kill("SIGKILL"));
  await untilReady(port, server, log);

  const here = (text) => text.replaceAll("127.0.0.1:8000", `127.0.0.1:${port}`).replaceAll("$(pidof purlin)", String(server.pid));
  /* The last step takes away what the server still has open. */
  const last = rest.pop();
  const outputs = await runShell(rest.map((step) => here(step.command)), folder, clean);
  assert.equal(outputs.length, rest.length, "the shell came to its end");
  for (const [i, step] of rest.entries())
    if (step.output !== null) assert.match(lines(outputs[i]), pattern(lines(here(step.output))), step.command);

  server.kill("SIGINT");
  assert.deepEqual(await exited, [0, null], readFileSync(log, "utf8"));
  assert.equal(spawnSync("bash", ["-c", last.command], { cwd: folder }).status, 0);
});
