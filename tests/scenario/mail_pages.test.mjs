/*
 * The mailbox of development in a real browser without a window: it draws at every width and in both colours, and nothing breaks a
 * rule of the Content-Security-Policy, the mail in its frame included. With SCREENSHOTS=FOLDER the pictures are kept for a look.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { environment, runPurlin, startPurlin, temporaryFolder } from "../support/purlin.mjs";

const browser = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((p) => p && existsSync(p));
const contracts = { notes: "resource: notes\ndescription: Notes.\nfields:\n  text: { type: text }\nrules:\n  read: 'true'\n" };

/* Load a page and give back what became of it: { dom, messages }. */
function visit(folder, url, { size = "1100,1400", dark = false, picture } = {}) {
  const args = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
    "--disable-extensions", "--disable-background-networking", "--disable-component-update", `--user-data-dir=${folder}/profile`,
    "--enable-logging=stderr", `--window-size=${size}`,
    ...(dark ? ["--blink-settings=preferredColorScheme=0"] : []), `--screenshot=${picture}`, "--dump-dom", url,
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

describe("the mailbox in a browser", { skip: browser ? false : "no Chromium here: script/setup test installs one" }, () => {
  it("shows the list and each part of a mail, and breaks no rule", async (t) => {
    const folder = temporaryFolder(t), pictures = process.env.SCREENSHOTS ?? folder;
    mkdirSync(pictures, { recursive: true });
    const server = await startPurlin(t, { contracts, folder });
    const env = environment(folder, server.contractsFolder);
    for (const kind of ["verify_email", "new_device"])
      assert.equal(runPurlin(["mail", "test", "bob@example.net", "--kind", kind], { env }).code, 0);
    const [id] = readdirSync(path.join(folder, "mail")).sort().map((name) => name.replace(".eml", ""));
    const views = [
      ["mail_list", "/console/mail", {}, [/Confirm your address/, /A new sign-in to your account/, /2 mails/]],
      ["mail_dark", `/console/mail/${id}`, { dark: true }, [/Confirm your address/, /<iframe/, /012345/]],
      ["mail_frame", `/console/mail/${id}/html`, { size: "500,900" }, [/Is this your address\?/, /<base target="_blank">/]],
    ];
    let frames = 0;
    for (const [name, target, options, wanted] of views) {
      const picture = path.join(pictures, `${name}.png`);
      const { dom, messages } = await visit(folder, server.url + target, { ...options, picture });
      for (const pattern of wanted) assert.match(dom, pattern, name);
      assert.deepEqual(messages, [], name);
      assert.ok(statSync(picture).size > 8000, `${name} draws something`);
      if (target.endsWith(id)) {
        const framed = server.log.filter((entry) => entry.path === `${target}/html`);
        assert.equal(framed.length, ++frames, "the frame was loaded");
        assert.equal(framed.at(-1).status, 200);
      }
    }
  });
});
