/*
 * tests/api/auth_pages.test.mjs - The pages for applications without their own: plain forms, without a script, to the routes of the API.
 */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { auth, bearer, cookieHeader, cookiesOf, freshEmail, get, login, password, people, signUp } from "../support/auth.mjs";
import { startPurlin, temporaryFolder } from "../support/purlin.mjs";

const cheap = { PURLIN_AUTH_PASSWORD_MEMORY: "8MiB", PURLIN_AUTH_PASSWORD_PASSES: "1" };

async function start(t, env = {}) {
  const folder = temporaryFolder(t), box = path.join(folder, "mail");
  const server = await startPurlin(t, { contracts: people, folder, env: { ...cheap, PURLIN_MAIL_FOLDER: box, ...env } });
  server.link = async (to) => {
    for (let i = 0; i < 500; i++) {
      let names = [];
      try { names = readdirSync(box).filter((n) => n.endsWith(".eml")).sort(); } catch { /* none yet */ }
      const mails = names.map((n) => readFileSync(path.join(box, n), "utf8")).filter((raw) => raw.includes(to));
      const text = mails.at(-1)?.replace(/=\r?\n/g, "").replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16))); // a line that begins with F, too
      const link = /https?:\/\/[^\s"<>]+\?token=[A-Za-z0-9_%]+/.exec(text ?? "");
      if (link) return link[0];
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.fail(`no link to ${to}`);
  };
  return server;
}

/* Open a page: what a browser shows of it, and its form with what it already carries. */
async function open(url, headers = {}) {
  const answer = await fetch(url, { headers });
  return read(answer);
}
async function read(answer) {
  const html = await answer.text();
  const hidden = Object.fromEntries([...html.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)].map(([, name, value]) => [name, value]));
  const fields = [...html.matchAll(/<input id="([^"]*)" name="\1"/g)].map(([, name]) => name);
  const labels = [...html.matchAll(/<label for="([^"]*)">/g)].map(([, name]) => name);
  return { answer, status: answer.status, html, title: /<h1>(.*?)<\/h1>/.exec(html)?.[1], action: /<form method="post" action="([^"]*)">/.exec(html)?.[1], hidden, fields, labels };
}
const send = async (server, page, values, headers = {}) =>
  read(await fetch(server.url + page.action, { method: "POST", redirect: "manual", headers: { Origin: server.url, ...headers }, body: new URLSearchParams({ ...page.hidden, ...values }) }));

describe("pages", () => {
  it("have a label for each field, no script but for passkeys, and a policy that lets nothing else in", async (t) => {
    const server = await start(t);
    for (const where of ["login", "signup", "recover", "magic", "verify", ...["verify", "recover", "magic", "email", "restore", "invitation"].map((p) => `${p}?token=x`)]) {
      const page = await open(`${server.url}/auth/${where}`);
      assert.equal(page.status, 200, where);
      assert.match(page.answer.headers.get("content-type"), /^text\/html/);
      const policy = page.answer.headers.get("content-security-policy");
      assert.ok(policy.includes("default-src 'none'") && policy.includes("frame-ancestors 'none'") && !policy.includes("unsafe"), policy);
      assert.match(page.answer.headers.get("cache-control"), /no-store/);
      assert.deepEqual(page.fields, page.labels, where);
      /* The one script, for passkeys, is on the page that they sign in on. */
      const scripts = [...page.html.matchAll(/<script[^>]*>/g)].map(([tag]) => tag);
      assert.deepEqual(scripts, where === "login" ? ['<script src="/assets/passkeys.js" defer>'] : [], where);
      assert.equal(policy.includes("script-src 'self'; connect-src 'self';"), where === "login", where);
      assert.ok(!/onclick|style=/i.test(page.html), where);
      for (const sheet of page.html.matchAll(/href="(\/assets\/[^"]*)"/g)) assert.equal((await fetch(server.url + sheet[1])).status, 200, sheet[1]);
    }
    assert.equal((await open(`${server.url}/auth/email`)).status, 422, "half a link");
    const evil = await open(`${server.url}/auth/verify?token=${encodeURIComponent('"><script>alert(1)</script>')}`);
    assert.ok(!evil.html.includes("<script>"));
  });

  it("sign up, confirm the address and sign in", async (t) => {
    const server = await start(t, { PURLIN_AUTH_VERIFY_EMAIL: "on" });
    const email = freshEmail();
    const form = await open(`${server.url}/auth/signup`);
    assert.deepEqual(form.fields, ["email", "profile.display_name", "password"]);
    const wrong = await send(server, form, { email, password: "short", "profile.display_name": "" });
    assert.equal(wrong.status, 422);
    assert.match(wrong.html, /role="alert"/);
    assert.match(wrong.html, /<strong>Display name<\/strong>/);
    assert.deepEqual([wrong.title, wrong.fields], [form.title, form.fields], "to be mended where it was typed");
    assert.ok(wrong.html.includes(`value="${email}"`) && !wrong.html.includes("short"));
    const sent = await send(server, form, { email, password, "profile.display_name": "Ada" });
    assert.equal(sent.status, 202);
    const link = await server.link(email);
    for (let i = 0; i < 2; i++) assert.equal((await open(link)).title, "Confirm your address", "looking uses nothing up");
    const page = await open(link);
    assert.equal((await send(server, page, {})).title, "Thank you");
    assert.equal((await send(server, page, {})).status, 422);
    const entry = await open(`${server.url}/auth/login`);
    const refused = await send(server, entry, { email, password: "not this one" });
    assert.deepEqual([refused.status, refused.title, refused.action], [401, "Sign in", "/auth/login"]);
    assert.ok(refused.html.includes(`value="${email}"`) && !refused.html.includes("not this one"));
    const inside = await send(server, entry, { email, password });
    assert.deepEqual([inside.status, inside.answer.headers.get("location")], [303, "/auth/account"]);
    const me = await get(server, "/auth/me", cookieHeader(cookiesOf(inside.answer)));
    assert.deepEqual([me.status, me.body.email], [200, email]);
    assert.equal((await send(server, entry, { email, password }, { Origin: "https://evil.example" })).status, 403);
  });

  it("set a new password, sign in by mail, and accept an invitation", async (t) => {
    const server = await start(t);
    const ada = await signUp(server);
    assert.equal((await send(server, await open(`${server.url}/auth/recover`), { email: ada.email })).title, "Look into your mail");
    const page = await open(await server.link(ada.email));
    assert.equal((await send(server, page, { password: "a whole new passphrase" })).title, "Your password is set");
    assert.equal((await login(server, ada.email, "a whole new passphrase")).status, 200);
    assert.equal((await get(server, "/auth/me", bearer(ada))).status, 401);

    const bob = await signUp(server);
    await send(server, await open(`${server.url}/auth/magic`), { email: bob.email });
    const inside = await send(server, await open(await server.link(bob.email)), {});
    assert.equal((await get(server, "/auth/me", cookieHeader(cookiesOf(inside.answer)))).body.id, bob.user_id);

    const eve = freshEmail();
    assert.equal((await auth(server, "invitations", { email: eve, roles: ["editor"] }, { "X-API-Key": "test-admin-key-0123456789" })).status, 202);
    const welcome = await send(server, await open(await server.link(eve)), { password, "profile.display_name": "Eve" });
    assert.equal(welcome.title, "Welcome");
    assert.deepEqual((await get(server, "/auth/me", cookieHeader(cookiesOf(welcome.answer)))).body.roles, ["editor"]);
  });
});
