/*
 * tests/scenario/passkeys_browser.test.mjs - Passkeys in a real browser: Chromium with an authenticator of its own, at a page that Purlin
 * serves, speaks the JSON of WebAuthn as it is.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { freshEmail, password, people } from "../support/auth.mjs";
import { browser, openPage } from "../support/chromium.mjs";
import { startPurlin } from "../support/purlin.mjs";

/* In the page: what an application's own script does. */
const helpers = () => {
  window.post = async (path, body, headers = {}) => {
    const answer = await fetch(path, { method: "POST", headers: { ...(body ? { "Content-Type": "application/json" } : {}), ...headers }, body: body && JSON.stringify(body) });
    const text = await answer.text();
    return { status: answer.status, body: text ? JSON.parse(text) : null };
  };
  window.get = async (optionsJSON) => (await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(optionsJSON) })).toJSON();
  window.create = async (optionsJSON) => (await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(optionsJSON) })).toJSON();
};

const add = async (email, secret) => {
  const { body: tokens } = await post("/auth/signup", { email, password: secret, profile: { display_name: "Ada" } });
  const bearer = { Authorization: `Bearer ${tokens.access_token}` };
  const options = (await post("/auth/passkeys/options", undefined, bearer)).body;
  const answer = await post("/auth/passkeys", { credential: await create(options), name: "This browser" }, bearer);
  let again = null;
  try {
    await create((await post("/auth/passkeys/options", undefined, bearer)).body);
  } catch (error) {
    again = error.name;
  }
  return { tokens, answer, again };
};

describe("passkeys in a browser", { skip: browser ? false : "no Chromium here: script/setup test installs one" }, () => {
  const cleanups = [], t = { after: (fn) => cleanups.push(fn) };
  let page, added;
  const email = freshEmail();
  before(async () => {
    const server = await startPurlin(t, { contracts: people, env: { PURLIN_AUTH_PASSWORD_MEMORY: "8MiB", PURLIN_AUTH_PASSWORD_PASSES: "1" } });
    page = await openPage(t, `http://localhost:${server.port}/`);
    await page.send("WebAuthn.enable");
    const options = { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true };
    await page.send("WebAuthn.addVirtualAuthenticator", { options });
    await page.run(helpers);
    added = await page.run(add, email, password);
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  it("one is added, and not a second time on the same device", () => {
    assert.equal(added.answer.status, 201, JSON.stringify(added.answer));
    assert.equal(added.answer.body.name, "This browser");
    assert.deepEqual(added.answer.body.transports, ["internal"]);
    assert.equal(added.answer.body.recovery_codes.length, 10);
    assert.equal(added.again, "InvalidStateError", "the options say which there are");
  });

  it("it signs in without a name, by tokens and by cookie", async () => {
    const done = await page.run(async () => {
      const tokens = await post("/auth/passkeys/login", { credential: await get((await post("/auth/passkeys/login/options", {})).body) });
      const cookie = await post("/auth/passkeys/login", { credential: await get((await post("/auth/passkeys/login/options", {})).body), cookie: true });
      return { tokens, cookie, me: await (await fetch("/auth/me")).json() };
    });
    assert.equal(done.tokens.status, 200, JSON.stringify(done.tokens));
    assert.equal(done.tokens.body.user_id, added.tokens.user_id);
    assert.equal(done.cookie.status, 200, JSON.stringify(done.cookie));
    assert.equal(done.me.id, added.tokens.user_id, JSON.stringify(done.me));
  });

  it("it is the second step after a password", async () => {
    const done = await page.run(async (email, password) => {
      const first = await post("/auth/login", { email, password });
      const options = await post("/auth/passkeys/login/options", { mfa_token: first.body.mfa_token });
      return post("/auth/mfa", { mfa_token: first.body.mfa_token, credential: await get(options.body) });
    }, email, password);
    assert.equal(done.status, 200, JSON.stringify(done));
  });

  it("a challenge that was changed on the way is refused", async () => {
    const outcome = await page.run(async () => {
      const options = (await post("/auth/passkeys/login/options", {})).body;
      return post("/auth/passkeys/login", { credential: await get({ ...options, challenge: options.challenge.replace(/.$/, (c) => (c === "A" ? "Q" : "A")) }) });
    });
    assert.equal(outcome.status, 401, JSON.stringify(outcome));
  });

  describe("on our own pages", () => {
    let origin;
    const loads = [];
    const load = async (act) => {
      const loaded = new Promise((resolve) => loads.push(resolve));
      await act();
      await loaded;
    };
    const open = (path) => load(() => page.send("Page.navigate", { url: `${origin}${path}` }));
    const click = (selector) => page.run((s) => document.querySelector(s).click(), selector);
    const text = (selector) => page.run((s) => [...document.querySelectorAll(s)].map((e) => e.textContent.trim()), selector);
    const until = async (selector, is) => {
      for (let i = 0; i < 500; i++) {
        const found = await text(selector);
        if (is(found)) return found;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      assert.fail(`${selector} is ${JSON.stringify(await text(selector))}`);
    };
    before(async () => {
      origin = await page.run(() => location.origin);
      page.on("Page.loadEventFired", () => loads.splice(0).forEach((resolve) => resolve()));
      await page.send("Page.enable");
    });

    it("it signs in, and a device that has one makes no second", async () => {
      await open("/auth/login?next=/auth/account/passkeys");
      await load(() => click("button[data-passkey=login]"));
      assert.deepEqual(await text("h1"), ["Passkeys"]);
      assert.deepEqual(await text(".items strong"), ["This browser"]);
      await click("form[data-passkey=add] button");
      await until(".alert", ([words]) => words === "This device has a passkey of this account already.");
    });

    it("one is removed, and the first one comes with recovery codes", async () => {
      await load(() => click("form[action$=remove] button"));
      assert.deepEqual(await text(".notice"), ["The passkey is removed."]);
      await page.run(() => (document.querySelector("#passkey-name").value = "My <phone>"));
      await click("form[data-passkey=add] button");
      assert.equal((await until(".codes li", (codes) => codes.length > 0)).length, 10);
      assert.deepEqual(await text("h1"), ["Your recovery codes"]);
      await open("/auth/account/passkeys");
      assert.deepEqual(await text(".items strong"), ["My <phone>"]);
    });

    it("it is the second step", async () => {
      await open("/auth/account");
      await load(() => click("form[action$=logout] button"));
      await load(() => page.run((email, password) => {
        const { elements } = document.querySelector("form");
        elements.email.value = email;
        elements.password.value = password;
        document.querySelector("button[type=submit]").click();
      }, email, password));
      assert.deepEqual(await text("h1"), ["One step more"]);
      await load(() => click("button[data-passkey=second]"));
      assert.deepEqual(await text("h1"), ["Your account"]);
    });
  });
});
