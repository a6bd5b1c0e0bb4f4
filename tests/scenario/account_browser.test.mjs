/*
 * tests/scenario/account_browser.test.mjs - A person's whole life with an account in a real browser, by keyboard alone: each page on the way is
 * looked at in the light, in the dark and narrow, and all of it is done once more where no script may run.
 */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import path from "node:path";
import { describe, it } from "node:test";
import { freshEmail, login, people } from "../support/auth.mjs";
import { browser } from "../support/chromium.mjs";
import { pkce } from "../support/oauth.mjs";
import { totp } from "../support/otp.mjs";
import { sitDown } from "../support/person.mjs";
import { startPurlin, temporaryFolder } from "../support/purlin.mjs";

const config = `
oauth:
  scopes:
    notes: { description: "Read the notes that you keep on this site, and whatever else stands beside them in a sentence that is rather long", permissions: ["notes:read"] }
  clients:
    - { id: photos, name: "Photos & Prints of a Company with a Name That Goes on for Quite Some Time", secret: photos-secret-0123456789, redirect_uris: ["http://127.0.0.1/cb"], scopes: [openid, email, notes] }
`;
const first = "correct horse battery staple", second = "a whole new passphrase", third = "and yet another passphrase";

const decode = (text) => text.replace(/=\r?\n/g, "").replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
async function linkTo(box, email, subject) {
  for (let i = 0; i < 500; i++) {
    let names = [];
    try { names = readdirSync(box).filter((n) => n.endsWith(".eml")).sort(); } catch { /* none yet */ }
    const mails = names.map((n) => decode(readFileSync(path.join(box, n), "utf8"))).filter((raw) => raw.includes(email) && raw.includes(`Subject: ${subject}`));
    const link = /https?:\/\/[^\s"<>]+\?token=[A-Za-z0-9_%]+/.exec(mails.at(-1) ?? "");
    if (link) return link[0];
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail(`no mail "${subject}" to ${email}`);
}

/* The application that asks to act for somebody: it gets their code at /cb. */
async function startClient(t) {
  const server = createServer((req, res) => {
    if (req.url.startsWith("/cb")) server.called = new URL(req.url, "http://127.0.0.1");
    res.writeHead(200, { "Content-Type": "text/html" }).end('<!doctype html><html lang="en"><title>Photos</title><h1>Photos</h1>');
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }));
  return server;
}

async function live(t, { scripts }) {
  const folder = temporaryFolder(t), box = path.join(folder, "mail"), client = await startClient(t);
  const server = await startPurlin(t, {
    contracts: people, config, folder,
    env: { PURLIN_AUTH_PASSWORD_MEMORY: "8MiB", PURLIN_AUTH_PASSWORD_PASSES: "1", PURLIN_MAIL_FOLDER: box, PURLIN_AUTH_VERIFY_EMAIL: "on" },
  });
  const email = `augusta.ada.king.countess.of.lovelace.${freshEmail()}`;
  const person = await sitDown(t, `${server.url}/auth/login`, { scripts });
  const look = () => (scripts ? person.inspect() : undefined);

  // In.
  await look();
  await person.follow("/auth/signup");
  await look();
  await person.fill({ email, "profile.display_name": "Ada", password: "qwertyuiop" });
  assert.match(await person.alert(), /^Password: /);
  await look();
  await person.fill({ password: first });
  assert.equal(await person.title(), "Almost there");
  await look();
  await person.go(await linkTo(box, email, "Confirm your address"));
  await look();
  await person.button("Confirm");
  assert.equal(await person.title(), "Thank you");
  await person.follow("/auth/login");
  await person.fill({ email, password: "not this one" });
  assert.match(await person.alert(), /wrong/);
  await look();
  await person.fill({ password: first });
  assert.equal(await person.title(), "Your account");
  await look();

  // A second step.
  await person.follow("/auth/account/totp");
  await look();
  await person.button("Set it up");
  await look();
  const secret = (await person.text(".secret")).replaceAll(" ", "");
  await person.fill({ code: totp(secret) });
  assert.equal(await person.title(), "Your recovery codes");
  await look();
  const codes = await person.texts(".codes li");
  assert.equal(codes.length, 10);
  await person.follow("/auth/account");
  await person.button("Sign out", "/logout");
  assert.equal(await person.notice(), "You are signed out.");
  await look();
  await person.fill({ email, password: first });
  assert.equal(await person.title(), "One step more");
  await look();
  await person.fill({ code: "000000000" });
  assert.match(await person.alert(), /wrong/);
  await look();
  await person.fill({ code: codes[0] });
  assert.equal(await person.where(), "/auth/account");
  assert.ok((await person.texts(".rows a")).some((row) => /Recovery codes\s+9 are left/.test(row)));
  await person.follow("/auth/account/recovery-codes");
  await look();

  // Devices.
  const phone = (await login(server, email, first)).body;
  const done = await fetch(`${server.url}/auth/mfa`, { method: "POST", headers: { "Content-Type": "application/json", "User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Safari/604.1" }, body: JSON.stringify({ mfa_token: phone.mfa_token, code: codes[1] }) });
  assert.equal(done.status, 200);
  await person.follow("/auth/account");
  await person.follow("/auth/account/sessions");
  assert.deepEqual((await person.texts(".items strong")).slice(0, 2), ["Chrome on Linux", "Safari on iPhone"]);
  await look();
  await person.button("Sign out");
  assert.equal(await person.notice(), "The device is signed out.");
  assert.equal((await person.texts(".items strong")).length, 1);
  await look();

  // Another password.
  await person.follow("/auth/account");
  await person.follow("/auth/account/password");
  await look();
  await person.fill({ current: "not this one", password: second });
  assert.equal(await person.alert(), "Current password: Is not the current password.");
  await look();
  await person.fill({ current: first, password: second });
  assert.match(await person.notice(), /^Your password is changed/);
  await look();

  // An application.
  await person.follow("/auth/account/apps");
  await look();
  const { challenge, verifier } = pkce(), redirect = `http://127.0.0.1:${client.address().port}/cb`;
  const query = new URLSearchParams({ response_type: "code", client_id: "photos", redirect_uri: redirect, scope: "openid email notes", state: "s", code_challenge: challenge, code_challenge_method: "S256" });
  await person.go(`${server.url}/oauth/authorize?${query}`);
  assert.match(await person.title(), /^Let Photos & Prints/);
  await look();
  await person.button("Allow");
  assert.equal(await person.title(), "Photos");
  const exchange = await fetch(`${server.url}/oauth/token`, {
    method: "POST",
    body: new URLSearchParams({ grant_type: "authorization_code", code: client.called.searchParams.get("code"), redirect_uri: redirect, code_verifier: verifier, client_id: "photos", client_secret: "photos-secret-0123456789" }),
  });
  const tokens = await exchange.json();
  const userinfo = () => fetch(`${server.url}/oauth/userinfo`, { headers: { Authorization: `Bearer ${tokens.access_token}` } });
  assert.equal((await (await userinfo()).json()).email, email);
  await person.go(`${server.url}/auth/account/apps`);
  await look();
  await person.button("Disconnect");
  assert.equal(await person.notice(), "The app is disconnected.");
  assert.equal((await userinfo()).status, 401);

  // The other pages of the account.
  for (const page of ["email", "passkeys", "delete", "totp"]) {
    await person.go(`${server.url}/auth/account/${page}`);
    await look();
  }

  // Forgotten, and the end.
  await person.go(`${server.url}/auth/account`);
  await person.button("Sign out", "/logout");
  await person.follow("/auth/recover");
  await look();
  await person.fill({ email });
  assert.equal(await person.title(), "Look into your mail");
  await person.go(await linkTo(box, email, "Choose a new password"));
  await look();
  await person.fill({ password: third });
  assert.equal(await person.title(), "Your password is set");
  await person.follow("/auth/login");
  await person.fill({ email, password: third });
  await person.fill({ code: codes[2] });
  await person.follow("/auth/account/delete");
  await person.button("Delete my account");
  assert.match(await person.notice(), /^Your account will be deleted/);
  await look();
  await person.fill({ email, password: third });
  await person.fill({ code: codes[3] });
  assert.match(await person.alert(), /^This account will be deleted on/);
  await look();
  await person.button("Keep my account");
  assert.equal(await person.notice(), "Your account stays. Nothing is deleted.");
  assert.deepEqual(person.complaints, []);
}

describe("an account, by keyboard in a browser", { skip: browser ? false : "no Chromium here: script/setup test installs one" }, () => {
  it("from the sign-up to the end, each page seen by an inspector", (t) => live(t, { scripts: true }));
  it("and again where no script may run", (t) => live(t, { scripts: false }));
});
