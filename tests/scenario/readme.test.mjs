/*
 * The README's tour works word for word: every `sh` block under "Five minutes" is run, in order, against a server in a folder of its own.
 * And the documents that the program makes of itself are the ones in the repository.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { environment, purlinBin, root, runPurlin, startPurlin, temporaryFolder } from "../support/purlin.mjs";

test("the README's tour", { timeout: 120_000 }, async (t) => {
  const folder = temporaryFolder(t);
  cpSync(path.join(root, "contracts"), path.join(folder, "contracts"), { recursive: true });
  mkdirSync(path.join(folder, "build/release"), { recursive: true });
  mkdirSync(path.join(folder, "data"));
  symlinkSync(purlinBin, path.join(folder, "build/release/purlin"));
  const env = environment(folder, `${folder}/contracts`);
  const seeded = runPurlin(["seed", "--if-empty"], { env });
  assert.equal(seeded.code, 0, seeded.stderr);
  const server = await startPurlin(t, { folder, contracts: `${folder}/contracts` });
  const readme = readFileSync(path.join(root, "README.md"), "utf8");
  const tour = readme.slice(readme.indexOf("## Five minutes"), readme.indexOf("## How fast"));
  const blocks = [...tour.matchAll(/```sh\n([^]*?)```/g)].map((match) => match[1]);
  assert.ok(blocks.length >= 4);
  let output = "";
  for (const block of blocks) {
    const script = block
      .replaceAll("http://127.0.0.1:8000", server.url)
      .replaceAll("$(pidof purlin)", String(server.pid));
    const result = spawnSync("bash", ["-e", "-c", script], { cwd: folder, env, encoding: "utf8", timeout: 60_000 });
    assert.equal(result.status, 0, `${script}\n${result.stdout}\n${result.stderr}`);
    output += result.stdout;
  }
  for (const expected of ['"title":"The Dispossessed"', '"code":"unknown_field"', '"total":1', "Nothing to do", "checked.",
    "http_server_request_duration_seconds"])
    assert.ok(output.includes(expected), `${expected} in\n${output}`);
});

test("the documents made by the program are current", () => {
  const made = { reference: "docs/configuration.md", env: ".env.example", schema: "docs/purlin.schema.json",
    "contract-schema": "docs/contract.schema.json" };
  for (const [word, file] of Object.entries(made)) {
    const result = runPurlin(["config", word]);
    assert.equal(result.code, 0, result.stderr);
    const text = readFileSync(path.join(root, file), "utf8");
    if (file.endsWith(".json")) assert.deepEqual(JSON.parse(text), JSON.parse(result.stdout), `purlin config ${word} > ${file}`);
    else assert.equal(text.trim(), result.stdout.trim(), `purlin config ${word} > ${file}`);
  }
});
