/*
 * The pages in a real browser without a window: they draw what they should, at every width and in both colours, and break no rule of
 * the Content-Security-Policy. With SCREENSHOTS=FOLDER the pictures are kept for a look.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { startPurlin, temporaryFolder } from "../support/purlin.mjs";

const browser = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((p) => p && existsSync(p));

/* Load a page and give back what became of it: { dom, messages }. */
function visit(folder, url, { size = "1280,1000", dark = false, picture } = {}) {
  const args = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
    "--disable-extensions", "--disable-background-networking", "--disable-component-update", `--user-data-dir=${folder}/profile`,
    "--enable-logging=stderr", "--virtual-time-budget=15000", `--window-size=${size}`,
    ...(dark ? ["--force-dark-mode"] : []),
    ...(picture ? [`--screenshot=${picture}`] : []),
    "--dump-dom", url,
  ];
  return new Promise((resolve, reject) => {
    const child = spawn(browser, args, { stdio: ["ignore", "pipe", "pipe"] });
    const timer = setTimeout(() => child.kill("SIGKILL"), 90_000);
    let dom = "", log = "";
    child.stdout.on("data", (chunk) => (dom += chunk));
    child.stderr.on("data", (chunk) => (log += chunk));
    child.on("error", reject);
    child.on("close", () => {
      clearTimeout(timer);
      resolve({ dom, messages: log.split("\n").filter((line) => /CONSOLE/.test(line)) });
    });
  });
}

describe("pages in a browser", { skip: browser ? false : "no Chromium here: script/setup test installs one" }, () => {
  const cleanups = [], t = { after: (fn) => cleanups.push(fn) };
  let server, folder, pictures;
  before(async () => {
    folder = temporaryFolder(t);
    pictures = process.env.SCREENSHOTS ?? folder;
    mkdirSync(pictures, { recursive: true });
    server = await startPurlin(t);
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  const views = {
    wide: { size: "1280,1000" },
    narrow: { size: "390,844" },
    dark: { size: "1280,1000", dark: true },
  };
  for (const [name, view] of Object.entries(views)) {
    it(`the documents, ${name}`, async () => {
      const page = await visit(folder, `${server.url}/docs`, { ...view, picture: path.join(pictures, `docs-${name}.png`) });
      assert.deepEqual(page.messages, []);
      assert.match(page.dom, /operations-posts-createPosts/);
      assert.ok(!/Failed to load|Unable to render/.test(page.dom));
      assert.equal(/<html[^>]*class="[^"]*dark-mode/.test(page.dom), Boolean(view.dark));
      assert.ok(existsSync(path.join(pictures, `docs-${name}.png`)) || !process.env.SCREENSHOTS);
    });

    it(`the first page, ${name}`, async () => {
      const page = await visit(folder, `${server.url}/`, { ...view, picture: path.join(pictures, `home-${name}.png`) });
      assert.deepEqual(page.messages, []);
      assert.match(page.dom, /class="state pass"[^>]*>ready</);
      for (const resource of ["posts", "comments", "users"]) assert.ok(page.dom.includes(`href="/api/v1/${resource}"`), resource);
      assert.match(page.dom, /6 contracts, one engine/);
    });
  }

  it("a page that breaks the policy is noticed", async () => {
    const web = path.join(folder, "web");
    mkdirSync(web);
    writeFileSync(path.join(web, "index.html"), "<!doctype html><title>x</title><script>document.title = 'run'</script>");
    const other = await startPurlin(t, { env: { PURLIN_WEB: web } });
    const page = await visit(folder, other.url);
    assert.match(page.messages.join(), /Content Security Policy/);
    assert.ok(!page.dom.includes("<title>run"));
  });

  it("an operation opened", async () => {
    const page = await visit(folder, `${server.url}/docs#/posts/createPosts`, { size: "1280,1600", picture: path.join(pictures, "docs-operation.png") });
    assert.deepEqual(page.messages, []);
    assert.match(page.dom, /Idempotency-Key/);
    assert.match(page.dom, /Execute/);
  });
});
