/* tests/support/conformance.mjs - Start purlin-conformance (tests/conformance/) for a test; stopped by pid. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import path from "node:path";
import { purlinBin } from "./purlin.mjs";

const bin = process.env.PURLIN_CONFORMANCE_BIN ?? path.join(path.dirname(purlinBin), "purlin-conformance");

export async function startConformance(t, env = {}) {
  const child = spawn(bin, [], {
    // What AddressSanitizer keeps of freed memory would hide what is kept by mistake.
    env: { ...process.env, PORT: "0", ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ""}:quarantine_size_mb=1`, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  t.after(async () => {
    child.kill("SIGTERM");
    const [code] = await exited;
    if (code !== 0) throw new Error(`purlin-conformance ended with ${code}`);
  });
  const [lines] = await once(child.stdout, "data"); // written at once
  const url = /http:\S+/.exec(String(lines))[0];
  return {
    url,
    tlsUrl: /https:\S+/.exec(String(lines))?.[0],
    pid: child.pid,
    /* What the client of /proxy-client holds. */
    stats: async () => (await fetch(`${url}/proxy-client/stats`)).json(),
    /* Resident memory, in KiB. */
    resident: () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))[1]),
    post: async (target, body) => {
      const answer = await fetch(url + target, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: typeof body === "string" ? body : JSON.stringify(body),
      });
      return { status: answer.status, body: await answer.json() };
    },
  };
}
