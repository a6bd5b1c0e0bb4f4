/*
 * tests/support/chromium.mjs - A real browser without a window, spoken to through its debugging pipe (Chrome DevTools Protocol): a page
 * in it runs what a test says.
 *
 *     const page = await openPage(t, `${url}/`);
 *     await page.send("WebAuthn.enable");
 *     const answer = await page.run(async (name) => navigator[name], "userAgent");
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

export const browser = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((p) => p && existsSync(p));

/* Messages end with NUL on both pipes; answers are found by their id. */
class Connection {
  constructor(output, input) {
    Object.assign(this, { output, count: 0, waiting: new Map(), listeners: [] });
    let rest = "";
    input.setEncoding("utf8").on("data", (chunk) => {
      const parts = (rest + chunk).split("\0");
      rest = parts.pop();
      for (const part of parts) this.#take(JSON.parse(part));
    });
    input.on("close", () => this.#end());
  }

  #take({ id, method, params, result, error }) {
    if (id === undefined) return this.listeners.forEach((l) => l.method === method && l.fn(params));
    const call = this.waiting.get(id);
    this.waiting.delete(id);
    if (error) call?.reject(new Error(`${call.method}: ${error.message}`));
    else call?.resolve(result);
  }

  #end() {
    for (const call of this.waiting.values()) call.reject(new Error(`the browser ended before it answered ${call.method}`));
    this.waiting.clear();
  }

  send(method, params = {}, sessionId = undefined) {
    const id = ++this.count;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { method, resolve, reject });
      this.output.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }
}

/* A page at `url`, when it has loaded; the browser ends with the test. */
export async function openPage(t, url) {
  const folder = mkdtempSync(path.join(tmpdir(), "purlin-browser-"));
  const args = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", `--user-data-dir=${folder}`, "--remote-debugging-pipe", "about:blank",
  ];
  // A group of its own: Chromium is many processes, which write into their folder until the last one has ended.
  const child = spawn(browser, args, { detached: true, stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.stdio[3].on("error", () => {});
  const connection = new Connection(child.stdio[3], child.stdio[4]);
  t.after(async () => {
    const timer = setTimeout(() => process.kill(-child.pid, "SIGKILL"), 20_000);
    await connection.send("Browser.close").catch(() => {});
    await ended;
    clearTimeout(timer);
    child.stdio[3].destroy();
    child.stdio[4].destroy();
    rmSync(folder, { recursive: true, force: true, maxRetries: 50, retryDelay: 100 });
  });
  const { targetId } = await connection.send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await connection.send("Target.attachToTarget", { targetId, flatten: true });
  const send = (method, params) => connection.send(method, params, sessionId);
  /* Runs a function in the page; it sees its arguments and the page only. */
  const run = async (fn, ...values) => {
    const expression = `(${fn})(${values.map((v) => JSON.stringify(v)).join(", ")})`;
    const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true, userGesture: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  };
  /* What the browser tells by itself, when the domain of it is enabled. */
  const on = (method, fn) => connection.listeners.push({ method, fn });
  const { errorText } = await send("Page.navigate", { url });
  if (errorText) throw new Error(`${url}: ${errorText}`);
  await run(() => new Promise((resolve) => (document.readyState === "complete" ? resolve() : addEventListener("load", () => resolve()))));
  return { send, run, on };
}
