/*
 * tests/support/person.mjs - Somebody at a real browser with nothing but a keyboard, and what an inspector says of each page that they
 * come to.
 *
 *     const person = await sitDown(t, `${server.url}/auth/login`);
 *     await person.fill({ email, password });
 *     assert.equal(await person.title(), "Your account");
 *     await person.inspect();
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { openPage } from "./chromium.mjs";
import { root } from "./purlin.mjs";

const axe = readFileSync(path.join(root, "node_modules/axe-core/axe.min.js"), "utf8");
const keys = { Tab: 9, Enter: 13, Space: 32 };

class Person {
  constructor(page) {
    Object.assign(this, { page, complaints: [], loads: 0, waiting: [] });
    page.on("Page.loadEventFired", () => this.waiting.splice(0).forEach((resolve) => resolve()));
    page.on("Log.entryAdded", ({ entry }) => {
      // A form that was refused is no fault of the page; a style sheet that is missing is.
      if (!["warning", "error"].includes(entry.level)) return;
      if (entry.source !== "network" || /\/assets\//.test(entry.url ?? "")) this.complaints.push(`${entry.source}: ${entry.text} ${entry.url ?? ""}`);
    });
    page.on("Runtime.exceptionThrown", ({ exceptionDetails }) => this.complaints.push(exceptionDetails.exception?.description ?? exceptionDetails.text));
    page.on("Runtime.consoleAPICalled", ({ type, args }) => type === "error" && this.complaints.push(args.map((a) => a.value).join(" ")));
  }

  async view({ width = 1000, dark = false } = {}) {
    await this.page.send("Emulation.setDeviceMetricsOverride", { width, height: 800, deviceScaleFactor: 1, mobile: false });
    await this.page.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
  }

  /* Do what leads to another page, and wait until that is there. */
  async leave(act) {
    const loaded = new Promise((resolve) => this.waiting.push(resolve));
    await act();
    await loaded;
  }

  go(url) {
    return this.leave(() => this.page.send("Page.navigate", { url }));
  }

  async press(key) {
    const event = { key: key === "Space" ? " " : key, code: key, windowsVirtualKeyCode: keys[key], ...(key === "Enter" ? { text: "\r" } : {}) };
    await this.page.send("Input.dispatchKeyEvent", { type: "keyDown", ...event });
    await this.page.send("Input.dispatchKeyEvent", { type: "keyUp", ...event });
  }

  /* What has the focus, and can it be seen? */
  focus() {
    return this.page.run(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return null;
      const style = getComputedStyle(element), box = element.getBoundingClientRect();
      const isSeen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && box.width > 0 && box.top >= 0 && box.bottom <= innerHeight;
      const seen = { outline: `${style.outlineStyle} ${style.outlineWidth}`, top: box.top, bottom: box.bottom, innerHeight };
      return { seen, name: element.name ?? "", text: element.textContent.trim(), href: element.getAttribute("href") ?? "", action: element.form?.getAttribute("action") ?? "", isSeen };
    });
  }

  /* Press Tab until it stands where `is` says. */
  async tabTo(is, what) {
    for (let i = 0; i < 80; i++) {
      const focus = await this.focus();
      if (focus && is(focus)) {
        // The page scrolls to it in a moment.
        for (let n = 0; n < 250 && !(await this.focus()).isSeen; n++) await new Promise((resolve) => setTimeout(resolve, 20));
        assert.ok((await this.focus()).isSeen, `the focus on ${what} cannot be seen on ${await this.title()}: ${JSON.stringify((await this.focus()).seen)}`);
        return;
      }
      await this.press("Tab");
    }
    assert.fail(`Tab never comes to ${what} on ${await this.title()}`);
  }

  /* Fill in a form in the order that Tab goes, and send it by Enter from the last field. */
  async fill(fields) {
    for (const [name, value] of Object.entries(fields)) {
      await this.tabTo((focus) => focus.name === name, name);
      await this.page.run(() => document.activeElement.select());
      await this.page.send("Input.insertText", { text: value });
    }
    await this.leave(() => this.press("Enter"));
  }

  /* Press a button; `action`: the end of its form's. */
  async button(text, action = "") {
    await this.tabTo((focus) => focus.text === text && focus.action.endsWith(action), `the button ${text}`);
    await this.leave(() => this.press("Enter"));
  }

  async follow(href) {
    await this.tabTo((focus) => focus.href === href, `the link to ${href}`);
    await this.leave(() => this.press("Enter"));
  }

  title = () => this.page.run(() => document.querySelector("h1")?.textContent);
  text = (selector = "main") => this.page.run((s) => document.querySelector(s)?.textContent.trim() ?? null, selector);
  texts = (selector) => this.page.run((s) => [...document.querySelectorAll(s)].map((e) => e.textContent.trim()), selector);
  where = () => this.page.run(() => location.pathname);
  notice = () => this.text(".notice");
  alert = () => this.text(".alert");

  /* Nothing that axe-core knows to be wrong, in the light and in the dark, and no scrolling to the side on a narrow phone. */
  async inspect() {
    const title = await this.title();
    const check = async (options) => {
      const found = await this.page.run(async (only) => (await axe.run(document, only)).violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" ")}`), options);
      assert.deepEqual(found, [], title);
    };
    await this.page.send("Runtime.evaluate", { expression: axe });
    await check({});
    await this.view({ width: 320, dark: true });
    const width = await this.page.run(() => document.documentElement.scrollWidth);
    assert.ok(width <= 320, `${title} is ${width} pixels wide on 320`);
    await check({ runOnly: ["color-contrast"] });
    await this.view();
    assert.deepEqual(this.complaints, [], title);
  }
}

export async function sitDown(t, url, { scripts = true } = {}) {
  const page = await openPage(t, "about:blank"), person = new Person(page);
  for (const domain of ["Page", "Log", "Runtime"]) await page.send(`${domain}.enable`);
  await page.send("Emulation.setFocusEmulationEnabled", { enabled: true }); // as the window in front is, also while others run
  await page.send("Emulation.setScriptExecutionDisabled", { value: !scripts });
  await person.view();
  await person.go(url);
  return person;
}
