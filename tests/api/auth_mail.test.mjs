/*
 * tests/api/auth_mail.test.mjs - What goes by mail: verification, a forgotten password, signing in by a link or code, another address,
 * the end of an account and its restoration, invitations; and that none of it tells who has an account.
 */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { auth, bearer, freshEmail, get, login, password, people, signUp } from "../support/auth.mjs";
import { Authenticator } from "../support/authenticator.mjs";
import { setUpTotp, totp } from "../support/otp.mjs";
import { adminKey, startPurlin, temporaryFolder } from "../support/purlin.mjs";

const cheap = { PURLIN_AUTH_PASSWORD_MEMORY: "8MiB", PURLIN_AUTH_PASSWORD_PASSES: "1" };

async function until(what, name = "it") {
  for (let i = 0; i < 500; i++) {
    const found = await what();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail(`${name} did not happen`);
}

/* Quoted-printable, as far as text needs it. */
const decode = (text) => Buffer.from(text.replace(/=\r?\n/g, "").replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16))), "latin1").toString("utf8");

/* A server with a mailbox: mails(to) are those to an address, newest last, with link, token and code. */
async function start(t, env = {}, more = {}) {
  const folder = more.folder ?? temporaryFolder(t), box = path.join(folder, "mail");
  const server = await startPurlin(t, { contracts: people, folder, env: { ...cheap, PURLIN_MAIL_FOLDER: box, ...env }, ...more });
  server.mails = (to) => {
    let names = [];
    try { names = readdirSync(box).filter((n) => n.endsWith(".eml")).sort(); } catch { /* none yet */ }
    return names
      .map((name) => readFileSync(path.join(box, name), "utf8"))
      .filter((raw) => raw.toLowerCase().includes(`\nto: ${to.toLowerCase()}`) || raw.toLowerCase().includes(`<${to.toLowerCase()}>`))
      .map((raw) => {
        const text = decode(raw);
        const link = /https?:\/\/[^\s"<>]+\?token=([A-Za-z0-9_%]+)/.exec(text);
        return { raw, text, subject: /^Subject: (.*)$/im.exec(raw)?.[1], link: link?.[0], token: link && decodeURIComponent(link[1]), code: /\b(\d{3}[ -]?\d{3})\b/.exec(text.slice(text.indexOf("\r\n\r\n")))?.[1] };
      });
  };
  server.mail = (to, n = 1) => until(() => (server.mails(to).length >= n ? server.mails(to).at(-1) : undefined), `mail ${n} to ${to}`);
  return server;
}

const verifying = { PURLIN_AUTH_VERIFY_EMAIL: "on" };
const wish = (email, more = {}) => ({ email, password, profile: { display_name: "Ada" }, ...more });

describe("verification", () => {
  it("comes before the first sign-in, by link or by code", async (t) => {
    const server = await start(t, verifying);
    for (const how of ["token", "code"]) {
      const email = freshEmail();
      const asked = await auth(server, "signup", wish(email));
      assert.equal(asked.status, 202);
      assert.deepEqual(asked.body, { verify: "email" });
      assert.equal((await login(server, email)).body.code, "unverified");
      const mail = await server.mail(email);
      assert.match(mail.link, new RegExp(`^${server.url}/auth/verify\\?token=`));
      const proof = how === "token" ? { token: mail.token } : { email: email.toUpperCase(), code: mail.code };
      assert.equal((await auth(server, "verify", proof)).status, 204);
      assert.equal((await auth(server, "verify", proof)).status, 422, "once");
      const { body } = await login(server, email);
      assert.equal((await get(server, "/auth/me", bearer(body))).body.email_verified, true);
    }
  });

  it("a code may be tried five times", async (t) => {
    const server = await start(t, verifying);
    const email = freshEmail();
    await auth(server, "signup", wish(email));
    const { code } = await server.mail(email);
    const wrong = code.replace(/\d/, (d) => String((Number(d) + 1) % 10));
    for (let i = 0; i < 5; i++) assert.equal((await auth(server, "verify", { email, code: wrong })).status, 422);
    assert.equal((await auth(server, "verify", { email, code })).status, 422, "it is gone");
    assert.equal((await auth(server, "verify/resend", { email })).status, 202);
    const again = await server.mail(email, 2);
    assert.equal((await auth(server, "verify", { email, code: again.code })).status, 204);
  });

  it("sign-up tells nobody who has an account, but the owner of the address", async (t) => {
    const contracts = { ...people, users: people.users.replace("  karma:", "  handle: { type: string, max: 20, unique: true }\n  karma:") };
    const server = await start(t, verifying, { contracts });
    const known = freshEmail();
    await auth(server, "signup", wish(known, { profile: { display_name: "Ada", handle: "ada" } }));
    const { token } = await server.mail(known);
    assert.equal((await auth(server, "verify", { token })).status, 204);
    const again = await auth(server, "signup", wish(known, { password: "another good passphrase" }));
    const fresh = await auth(server, "signup", wish(freshEmail()));
    assert.deepEqual([again.status, again.body], [fresh.status, fresh.body]);
    const notice = await server.mail(known, 2);
    assert.equal(notice.token, null, "it opens nothing");
    assert.equal((await login(server, known)).status, 200, "and nothing has changed");
    assert.equal((await login(server, known, "another good passphrase")).status, 401);
    /* What is unique in the profile is told alike too. */
    const [a, b] = [await auth(server, "signup", wish(known, { profile: { display_name: "x", handle: "ada" } })), await auth(server, "signup", wish(freshEmail(), { profile: { display_name: "x", handle: "ada" } }))];
    assert.equal(a.status, 409);
    assert.deepEqual([a.status, a.body.errors], [b.status, b.body.errors]);
    const users = (await get(server, "/api/v1/users?count=exact")).body;
    assert.equal(users.page.total, 2);
  });
});

describe("a forgotten password", () => {
  it("is replaced by a link, once, which ends every session", async (t) => {
    const server = await start(t);
    const ada = await signUp(server);
    assert.equal((await auth(server, "recover", { email: ada.email })).status, 202);
    const { token } = await server.mail(ada.email);
    assert.equal((await auth(server, "recover/confirm", { token, password: "password123" })).body.errors[0].code, "too_common");
    const next = "a whole new passphrase";
    assert.equal((await auth(server, "recover/confirm", { token, password: next })).status, 204);
    assert.equal((await auth(server, "recover/confirm", { token, password: "one more passphrase" })).status, 422);
    assert.equal((await get(server, "/auth/me", bearer(ada))).status, 401);
    assert.equal((await auth(server, "refresh", { refresh_token: ada.refresh_token })).status, 401);
    assert.equal((await login(server, ada.email)).status, 401);
    assert.equal((await login(server, ada.email, next)).status, 200);
    await until(() => server.mails(ada.email).some((m) => !m.token && /password/i.test(m.subject)), "the notice");
  });

  it("a newer link makes the older one void, and neither is sent without end", async (t) => {
    const server = await start(t);
    const ada = await signUp(server);
    await auth(server, "recover", { email: ada.email });
    const first = await server.mail(ada.email);
    for (let i = 0; i < 8; i++) assert.equal((await auth(server, "recover", { email: ada.email })).status, 202);
    const last = await server.mail(ada.email, 3);
    assert.equal((await auth(server, "recover/confirm", { token: first.token, password: "a whole new passphrase" })).status, 422);
    assert.equal((await auth(server, "recover/confirm", { token: last.token, password: "a whole new passphrase" })).status, 204);
    assert.equal(server.mails(ada.email).filter((m) => m.token).length, 3);
  });

  it("is answered alike for an address without an account, which gets no mail", async (t) => {
    const server = await start(t);
    const ada = await signUp(server), nobody = freshEmail();
    for (const route of ["recover", "magic", "verify/resend"]) {
      const [known, unknown] = [await auth(server, route, { email: ada.email }), await auth(server, route, { email: nobody })];
      assert.deepEqual([known.status, known.body], [unknown.status, unknown.body], route);
      assert.equal(known.status, 202);
    }
    await server.mail(ada.email, 3);
    assert.equal(server.mails(nobody).length, 0);
  });
});

describe("signing in by mail", () => {
  it("works by link and by code, each once", async (t) => {
    const server = await start(t);
    const ada = await signUp(server);
    await auth(server, "magic", { email: ada.email });
    const mail = await server.mail(ada.email);
    const byLink = await auth(server, "magic/confirm", { token: mail.token });
    assert.equal(byLink.status, 200);
    assert.equal(byLink.body.user_id, ada.user_id);
    assert.equal((await auth(server, "magic/confirm", { email: ada.email, code: mail.code })).status, 422, "the code went with the link");
    await auth(server, "magic", { email: ada.email });
    const next = await until(() => server.mails(ada.email).filter((m) => m.token)[1]);
    assert.equal((await auth(server, "magic/confirm", { email: ada.email, code: next.code })).status, 200);
    assert.equal((await auth(server, "recover/confirm", { token: next.token, password: "a whole new passphrase" })).status, 422, "for nothing else");
  });
});

describe("changing what one has", () => {
  let server;
  const ends = [];
  before(async () => (server = await start({ after: (fn) => ends.push(fn) })));
  after(async () => { for (const fn of ends.reverse()) await fn(); });

  it("the password: with the current one, ending other sessions", async () => {
    const ada = await signUp(server);
    const other = (await login(server, ada.email)).body;
    const wrong = await auth(server, "password", { current: "not this one", password: "a whole new passphrase" }, bearer(ada));
    assert.deepEqual([wrong.status, wrong.body.errors[0].pointer], [422, "/current"]);
    assert.equal((await auth(server, "password", { current: password, password: "a whole new passphrase" })).status, 401);
    assert.equal((await auth(server, "password", { current: password, password: "a whole new passphrase" }, bearer(ada))).status, 204);
    assert.equal((await get(server, "/auth/me", bearer(ada))).status, 200);
    assert.equal((await get(server, "/auth/me", bearer(other))).status, 401);
    assert.equal((await login(server, ada.email)).status, 401);
    assert.equal((await login(server, ada.email, "a whole new passphrase")).status, 200);
  });

  it("the address: by a link to the new one, with a notice to the old one", async () => {
    const ada = await signUp(server), next = freshEmail();
    assert.equal((await auth(server, "email", { email: next }, bearer(ada))).status, 202);
    const link = await server.mail(next);
    const notice = await server.mail(ada.email);
    assert.ok(notice.text.includes(next));
    assert.equal((await auth(server, "email/confirm", { token: link.token })).status, 204);
    assert.equal((await login(server, ada.email)).status, 401);
    assert.equal((await login(server, next)).status, 200);
  });

  it("the address of somebody else is not told to be theirs", async () => {
    const ada = await signUp(server), bob = await signUp(server);
    assert.equal((await auth(server, "email", { email: bob.email }, bearer(ada))).status, 202);
    const mail = await server.mail(bob.email);
    assert.equal(mail.token, null);
  });

  it("an account's end, called off by the link or done when its time has come", async (t) => {
    const soon = await start(t, { PURLIN_AUTH_DELETE_AFTER: "1h" });
    const ada = await signUp(soon);
    const end = (await get(soon, "/auth/account", bearer(ada), "DELETE"));
    assert.equal(end.status, 202);
    assert.ok(new Date(end.body.delete_at) > new Date());
    assert.equal((await get(soon, "/auth/me", bearer(ada))).status, 401);
    const { token } = await soon.mail(ada.email);
    assert.equal((await auth(soon, "account/restore", { token })).status, 204);
    assert.equal((await auth(soon, "account/restore", { token })).status, 422);
    assert.equal((await login(soon, ada.email)).status, 200);
    assert.equal((await get(soon, `/api/v1/users/${ada.user_id}`)).status, 200);
  });

  it("an account whose time has come goes with its person and their rows", async (t) => {
    const folder = temporaryFolder(t);
    const env = { PURLIN_AUTH_DELETE_AFTER: "1s", PURLIN_SECRET: "an-installation-key-0123" };
    const first = await start(t, env, { folder });
    const ada = await signUp(first);
    await fetch(`${first.url}/api/v1/notes`, { method: "POST", headers: { "Content-Type": "application/json", ...bearer(ada) }, body: '{"text":"mine"}' });
    assert.equal((await get(first, "/auth/account", bearer(ada), "DELETE")).status, 202);
    await first.stop();
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const second = await start(t, env, { folder }); // the purge is due at the start
    await until(async () => (await get(second, `/api/v1/users/${ada.user_id}`)).status === 404, "the deletion");
    assert.equal((await get(second, "/api/v1/notes?count=exact", { "X-API-Key": adminKey })).body.page?.total ?? 0, 0);
    assert.equal((await login(second, ada.email)).status, 401);
    assert.equal((await auth(second, "signup", wish(ada.email))).status, 201, "the address is free again");
  });
});

describe("invitations", () => {
  it("are an administrator's to send, and promise roles", async (t) => {
    const server = await start(t, { PURLIN_AUTH_SIGN_UP: "off" });
    const email = freshEmail(), admin = { "X-API-Key": adminKey };
    assert.equal((await auth(server, "signup", wish(email))).status, 404);
    assert.equal((await auth(server, "invitations", { email })).status, 401);
    assert.equal((await auth(server, "invitations", { email, roles: ["No Role"] }, admin)).status, 422);
    assert.equal((await auth(server, "invitations", { email, roles: ["moderator"] }, admin)).status, 202);
    const { token } = await server.mail(email);
    assert.equal((await auth(server, "invitations/accept", { token, password, profile: {} })).status, 422);
    const made = await auth(server, "invitations/accept", { token, password, profile: { display_name: "Ada" }, roles: ["admin"] });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    const me = await get(server, "/auth/me", bearer(made.body));
    assert.deepEqual([me.body.email, me.body.email_verified, me.body.roles], [email, true, ["moderator"]]);
    assert.equal((await auth(server, "invitations/accept", { token, password, profile: { display_name: "Eve" } })).status, 422);
    assert.equal((await auth(server, "invitations", { email: freshEmail() }, bearer(made.body))).status, 403);
  });
});

describe("without a way to send mail", () => {
  it("says so, and signs people in all the same", async (t) => {
    const env = { ...cheap, PURLIN_ENV: "production", PURLIN_SECRET: "an-installation-key-0123", HOST: "127.0.0.1", PURLIN_HOSTS: "*", PURLIN_ADMIN_KEY: "9c1f6d02b7e34a58", PURLIN_AUTO_MIGRATE: "on" };
    const server = await startPurlin(t, { contracts: people, env });
    const ada = await signUp(server);
    assert.equal((await login(server, ada.email)).status, 200);
    for (const route of ["recover", "magic", "verify/resend"]) {
      const answer = await auth(server, route, { email: ada.email });
      assert.equal(answer.status, 503, route);
      assert.match(answer.body.detail, /cannot send mail/);
    }
  });
});

describe("a new device", () => {
  it("is told of by mail, one that was here before is not", async (t) => {
    const server = await start(t);
    const ada = await signUp(server);
    assert.equal((await login(server, ada.email, password, { device: ada.device })).status, 200);
    assert.equal((await login(server, ada.email)).status, 200);
    const mail = await server.mail(ada.email);
    assert.match(mail.subject, /sign-in|device|signed in/i);
    assert.equal(server.mails(ada.email).length, 1);
  });

  it("is named in words", async (t) => {
    const server = await start(t);
    const ada = await signUp(server);
    await auth(server, "login", { email: ada.email, password }, { "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0" });
    const mail = await server.mail(ada.email);
    assert.match(mail.text, /Device: Firefox on Linux/);
    assert.match(mail.text, /Address: 127\.0\.0\.1/);
    assert.ok(mail.text.includes(`See your devices:\r\n\r\n${server.url}/auth/account/sessions\r\n`), mail.text);
  });
});

describe("the owner is told", () => {
  it("on the application's own pages, where it has some", async (t) => {
    const server = await start(t, { PURLIN_AUTH_PAGES: "https://app.example.org/account" });
    const ada = await signUp(server);
    assert.equal((await login(server, ada.email)).status, 200);
    assert.ok((await server.mail(ada.email)).text.includes("https://app.example.org/account/sessions"));
  });

  it("of an authenticator app, new recovery codes, and their removal", async (t) => {
    const server = await start(t);
    const ada = await signUp(server);
    const { secret } = await setUpTotp(server, ada);
    assert.equal((await server.mail(ada.email)).subject, "A new way to prove that it is you");
    assert.match(server.mails(ada.email)[0].text, /An authenticator app was added/);
    const { body } = await auth(server, "mfa/recovery-codes", undefined, bearer(ada));
    assert.equal((await server.mail(ada.email, 2)).subject, "New recovery codes");
    assert.ok(!server.mails(ada.email)[1].text.includes(body.recovery_codes[0]), "the codes are not in it");
    const removed = await fetch(`${server.url}/auth/mfa/totp`, { method: "DELETE", headers: { "Content-Type": "application/json", ...bearer(ada) }, body: JSON.stringify({ code: totp(secret) }) });
    assert.equal(removed.status, 204);
    const last = await server.mail(ada.email, 3);
    assert.equal(last.subject, "A second step was removed");
    assert.match(last.text, /From: node/);
  });

  it("of a passkey", async (t) => {
    const server = await start(t);
    const ada = await signUp(server), origin = `http://localhost:${server.port}`;
    const options = (await auth(server, "passkeys/options", undefined, bearer(ada))).body;
    const added = await auth(server, "passkeys", { credential: new Authenticator({ origin }).create(options) }, bearer(ada));
    assert.equal(added.status, 201, JSON.stringify(added.body));
    assert.match((await server.mail(ada.email)).text, /A passkey was added/);
    assert.equal((await get(server, `/auth/passkeys/${added.body.id}`, bearer(ada), "DELETE")).status, 204);
    assert.match((await server.mail(ada.email, 2)).text, /A passkey was removed/);
  });

  it("of another address, at the old one", async (t) => {
    const server = await start(t);
    const ada = await signUp(server), other = freshEmail();
    assert.equal((await auth(server, "email", { email: other }, bearer(ada))).status, 202);
    assert.equal((await auth(server, "email/confirm", { token: (await server.mail(other)).token })).status, 204);
    const last = await server.mail(ada.email, 2);
    assert.equal(last.subject, "Your address was changed");
    assert.ok(last.text.includes(other));
    assert.equal(server.mails(other).length, 1);
  });
});
