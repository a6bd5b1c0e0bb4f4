/*
 * Mail by a real mail server, and what becomes of it when that server refuses, is silent, or is not there. Mails are put into the
 * queue by `purlin mail test --queue`, as any transaction of the server would put them.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { auth, freshEmail, password, people } from "../support/auth.mjs";
import { makeAuthority } from "../support/certificates.mjs";
import { environment, purlinBin, root, runPurlin, startPurlin, temporaryFolder } from "../support/purlin.mjs";
import { startMailServer, startScript } from "../support/smtp.mjs";

const contracts = { notes: "resource: notes\ndescription: Notes.\nfields:\n  text: { type: text }\nrules:\n  read: 'true'\n" };
const from = "Exämple Site <no-reply@example.org>";
const fast = { PURLIN_MAIL_RETRY: "20ms", PURLIN_MAIL_FROM: from };

/* `purlin mail test` beside a server or alone; not in this thread, where the fake servers live. */
async function mailTest(where, args, env = {}) {
  const child = spawn(purlinBin, ["mail", "test", ...args], {
    cwd: root, env: environment(where.folder, where.contractsFolder ?? path.join(root, "contracts"), { ...where.env, ...env }),
  });
  let stdout = "", stderr = "";
  child.stdout.on("data", (chunk) => (stdout += chunk));
  child.stderr.on("data", (chunk) => (stderr += chunk));
  const [code] = await once(child, "close");
  return { code, stdout, stderr };
}

async function queue(where, ...args) {
  const result = await mailTest(where, [...args, "--queue"]);
  assert.equal(result.code, 0, result.stderr);
}

async function withServer(t, mailServer, env = {}) {
  const all = { ...fast, SMTP_URL: `smtp://127.0.0.1:${mailServer.port}`, ...env };
  const server = await startPurlin(t, { contracts, env: all });
  server.env = all;
  return server;
}

/* The log's line of that name, which is on its way. */
async function logged(server, name, test = () => true) {
  for (;;) {
    const line = server.log.find((entry) => entry.msg === name && test(entry));
    if (line) return line;
    await once(server.child.stdout, "data");
    await new Promise(setImmediate);
  }
}

async function metric(server, name, labels) {
  const { text } = await server.get("/metrics");
  const line = text.split("\n").find((l) => l.startsWith(name) && labels.every((label) => l.includes(label)));
  return line ? Number(line.split(" ").pop()) : 0;
}

describe("mail", () => {
  it("leaves as MIME that others read, once, and its row goes", async (t) => {
    const smtp = await startMailServer(t), server = await withServer(t, smtp);
    await queue(server, "bob@example.net", "--kind", "magic_link");
    await smtp.until(() => smtp.mails.length === 1);
    const [mail] = smtp.mails;
    assert.equal(mail.from, "no-reply@example.org");
    assert.deepEqual(mail.to, ["bob@example.net"]);
    assert.equal(mail.helo, "example.org");
    assert.deepEqual(mail.defects, []);
    assert.equal(mail.subject, "Sign in to Exämple Site");
    for (const part of [mail.text, mail.html]) {
      assert.match(part, /Robin Example/);
      assert.match(part, /012345/);
      assert.match(part, /https:\/\/example\.org\/a-test\?token=0123456789/);
      assert.match(part, /good for 1 day/);
    }
    assert.match(mail.data, /^Auto-Submitted: auto-generated\r$/m);
    assert.ok(mail.data.split("\r\n").every((line) => line.length <= 78));
    const line = await logged(server, "mail.sent");
    assert.equal(line.to, "b…@example.net");
    assert.equal(await metric(server, "purlin_mail_total", ['kind="magic_link"', 'outcome="sent"']), 1);
    assert.ok(!JSON.stringify(server.log).includes("0123456789abc"), "no link in the log");
    assert.ok(!JSON.stringify(server.log).includes("bob@example.net"), "no address in the log");
  });

  it("tries again what is refused for now, and leaves what is refused for good", async (t) => {
    const smtp = await startMailServer(t), server = await withServer(t, smtp);
    for (const to of ["rcpt-450-2", "data-451-1", "rcpt-550", "data-554"]) await queue(server, `${to}@example.net`);
    await smtp.until(() => smtp.mails.length === 2 && smtp.refused.length === 5);
    assert.equal(smtp.to("rcpt-450-2@example.net").length, 1);
    assert.equal(smtp.to("data-451-1@example.net").length, 1);
    const refused = await logged(server, "mail.refused", (l) => l.code === 554);
    assert.equal(refused.reason, "the server refuses the message");
    await logged(server, "mail.refused", (l) => l.code === 550);
    assert.equal(await metric(server, "purlin_mail_total", ['kind="test"', 'outcome="retried"']), 3);
    assert.equal(await metric(server, "purlin_mail_total", ['kind="test"', 'outcome="refused"']), 2);
    assert.ok(!JSON.stringify(server.log).includes("rcpt-550@example.net"), "what the server said has the address: it is not logged");
  });

  it("gives up after the attempts it has", async (t) => {
    const smtp = await startMailServer(t), server = await withServer(t, smtp, { PURLIN_MAIL_ATTEMPTS: "3" });
    await queue(server, "rcpt-450@example.net");
    const line = await logged(server, "mail.given_up");
    assert.equal(line.attempt, 3);
    assert.equal(smtp.refused.length, 3);
  });

  it("waits for a server that is down, and past a restart of ours", async (t) => {
    const smtp = await startMailServer(t), { port } = smtp;
    await smtp.stop();
    const folder = temporaryFolder(t), env = { ...fast, SMTP_URL: `smtp://127.0.0.1:${port}` };
    const first = await startPurlin(t, { contracts, folder, env });
    first.env = env;
    await queue(first, "bob@example.net", "--kind", "verify_email");
    const line = await logged(first, "mail.retried");
    assert.equal(line.reason, "the server cannot be reached");
    // Between the commit and the sending: nothing but the row is left.
    await first.kill("SIGKILL");
    const again = await startMailServer(t, ["--port", String(port)]);
    const second = await startPurlin(t, { contracts, folder, env });
    await again.until(() => again.mails.length > 0);
    await logged(second, "mail.sent");
    assert.equal(again.mails.length, 1);
    assert.equal(again.mails[0].subject, "Confirm your address");
  });

  it("leaves as soon as what causes it is committed", async (t) => {
    const smtp = await startMailServer(t);
    // It looks every five seconds without being woken.
    const env = { ...fast, PURLIN_MAIL_RETRY: "1h", PURLIN_AUTH_VERIFY_EMAIL: "on", SMTP_URL: `smtp://127.0.0.1:${smtp.port}` };
    const server = await startPurlin(t, { contracts: people, env });
    const took = [];
    for (let i = 0; i < 3; i++) {
      const email = freshEmail(), begun = performance.now();
      assert.equal((await auth(server, "signup", { email, password, profile: { display_name: "Ada" } })).status, 202);
      await smtp.until(() => smtp.to(email).length === 1);
      took.push(performance.now() - begun);
    }
    // By looks alone each would wait for the next one, five seconds away.
    assert.ok(took[1] + took[2] < 9000, `${took} ms`);
    assert.match(smtp.mails[0].text, new RegExp(`${server.url}/auth/verify\\?token=`));
  });

  it("is sent by one of two processes at the same table", async (t) => {
    const smtp = await startMailServer(t), folder = temporaryFolder(t);
    const env = { ...fast, SMTP_URL: `smtp://127.0.0.1:${smtp.port}` };
    const servers = [await startPurlin(t, { contracts, folder, env }), await startPurlin(t, { contracts, folder, env })];
    servers[0].env = env;
    await Promise.all(Array.from({ length: 6 }, (_, i) => queue(servers[0], `p${i}@example.net`)));
    await smtp.until(() => smtp.mails.length >= 6);
    await Promise.all(servers.map((server) => server.stop()));
    assert.equal(new Set(smtp.mails.map((mail) => mail.id)).size, 6);
    assert.equal(smtp.mails.length, 6);
  });

  it("does not wait for what is said to QUIT", async (t) => {
    const taken = [];
    const script = await startScript(t, (line) => {
      if (line === ".") return taken.push(performance.now()), "250 taken\r\n";
      return { "": "220 hi\r\n", EHLO: "250 hi\r\n", MAIL: "250 ok\r\n", RCPT: "250 ok\r\n", DATA: "354 go\r\n" }[line.slice(0, 4)] ?? null;
    });
    // One at a time, and a minute for each answer: the second would wait for a minute.
    const server = await withServer(t, script, { PURLIN_MAIL_CONCURRENCY: "1", PURLIN_MAIL_TIMEOUT: "60s" });
    await queue(server, "one@example.net");
    await queue(server, "two@example.net");
    await logged(server, "mail.sent", (entry) => entry.to.startsWith("t"));
    assert.equal(taken.length, 2);
    assert.ok(taken[1] - taken[0] < 30_000);
  });

  it("ends what is on its way when it is asked to stop, and takes up nothing more", async (t) => {
    let release;
    const held = new Promise((resolve) => (release = resolve));
    const script = await startScript(t, (line, state) => {
      if (line === ".") return release(), null;
      return { "": "220 hi\r\n", EHLO: "250 hi\r\n", MAIL: "250 ok\r\n", RCPT: "250 ok\r\n", DATA: "354 go\r\n" }[line.slice(0, 4)] ?? null;
    });
    const server = await withServer(t, script, { PURLIN_GRACE: "1s", PURLIN_MAIL_CONCURRENCY: "1" });
    await queue(server, "bob@example.net");
    await held;
    // The server never says whether it has it: the loop goes on meanwhile, and the end comes with the grace.
    assert.equal((await server.get("/health/live")).status, 200);
    const { code } = await server.stop();
    assert.equal(code, 0);
    assert.ok(!server.log.some((entry) => entry.msg === "mail.sent"));
  });
});

describe("mail over TLS", () => {
  it("is asked for where the server is elsewhere, and not gone without", async (t) => {
    const folder = temporaryFolder(t), authority = makeAuthority(folder);
    const cert = authority.sign("mail");
    const trust = { folder, env: { PURLIN_MAIL_FROM: from, PURLIN_CLIENT_CA_FILE: authority.cert } };

    const plain = await startMailServer(t);
    const none = await mailTest(trust, ["bob@example.net"], { SMTP_URL: `smtp://localhost:${plain.port}?starttls=required` });
    assert.equal(none.code, 1);
    assert.match(none.stderr, /offers no TLS/);
    assert.equal(plain.mails.length, 0);

    const start = await startMailServer(t, ["--cert", cert.cert, "--key", cert.key, "--login", "u@x:p:w@x"]);
    const url = (login) => `smtp://${login}localhost:${start.port}?starttls=required`;
    const sent = await mailTest(trust, ["bob@example.net"], { SMTP_URL: url("u%40x:p%3Aw%40x@") });
    assert.equal(sent.code, 0, sent.stderr);
    assert.match(sent.stdout, /The server said: 250 2\.0\.0 taken/);
    await start.until(() => start.mails.length === 1);
    assert.equal(start.mails[0].tls, true);
    assert.equal(start.mails[0].login, true);

    const wrong = await mailTest(trust, ["bob@example.net"], { SMTP_URL: url("u%40x:wrong@") });
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /refuses the login/);
    assert.ok(!wrong.stderr.includes("wrong"), "no password is printed");
    const nobody = await mailTest(trust, ["bob@example.net"], { SMTP_URL: url("") });
    assert.match(nobody.stderr, /refuses the sender\): 530 5\.7\.0 log in first/);

    const stranger = await mailTest({ folder, env: { PURLIN_MAIL_FROM: from } }, ["bob@example.net"], { SMTP_URL: url("u%40x:p%3Aw%40x@") });
    assert.match(stranger.stderr, /certificate cannot be trusted/);

    const tls = await startMailServer(t, ["--cert", cert.cert, "--key", cert.key, "--tls"]);
    const direct = await mailTest(trust, ["bob@example.net"], { SMTP_URL: `smtps://localhost:${tls.port}` });
    assert.equal(direct.code, 0, direct.stderr);
    await tls.until(() => tls.mails.length === 1);
    assert.equal(tls.mails[0].tls, true);
  });
});

describe("the command", () => {
  it("says what is wrong with an address, a server, a folder", async (t) => {
    const where = { folder: temporaryFolder(t), env: { PURLIN_MAIL_FROM: from } };
    assert.match((await mailTest(where, ["bob@exa mple.net"])).stderr, /No mail can be sent to this address: it has no domain name/);
    assert.match((await mailTest(where, ["bob@example.net"], { SMTP_URL: "smtp://127.0.0.1:1" })).stderr, /the server cannot be reached/);
    const silent = await startScript(t, () => null);
    const late = await mailTest(where, ["bob@example.net"], { SMTP_URL: `smtp://127.0.0.1:${silent.port}`, PURLIN_MAIL_TIMEOUT: "1s" });
    assert.match(late.stderr, /took too long/);
    const closed = await startScript(t, (line) => (line === "" ? "554 go away\r\n" : null));
    assert.match((await mailTest(where, ["bob@example.net"], { SMTP_URL: `smtp://127.0.0.1:${closed.port}` })).stderr, /554 go away/);
    const odd = await mailTest(where, ["bob@example.net"], { SMTP_URL: "http://example.org" });
    assert.equal(odd.code, 2);
    assert.match(odd.stderr, /mail\.smtp_url: must begin with smtp:\/\/ or smtps:\/\//);
    const unsigned = await mailTest({ folder: where.folder }, ["bob@example.net"], { SMTP_URL: "smtp://example.org" });
    assert.match(unsigned.stderr, /mail\.from: is needed with mail\.smtp_url/);
  });
});

describe("without a mail server", () => {
  it("development keeps mail in files and shows it", async (t) => {
    const server = await startPurlin(t, { contracts, env: fast });
    server.env = fast;
    assert.match((await server.get("/console/mail")).text, /Nothing yet/);
    await queue(server, "bob@example.net", "--kind", "reset_password");
    await logged(server, "mail.sent");
    const list = await server.get("/console/mail");
    assert.match(list.text, /Choose a new password/);
    const [, id] = list.text.match(/href="\/console\/mail\/([0-9a-f-]{36})"/);
    const file = path.join(server.folder, "mail", `${id}.eml`);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal((await server.get(`/console/mail/${id}/raw`)).text, readFileSync(file, "latin1"));
    const page = await server.get(`/console/mail/${id}`);
    assert.match(page.headers.get("content-security-policy"), /frame-src 'self'/);
    assert.match(page.text, /<iframe [^>]*sandbox="allow-popups allow-popups-to-escape-sandbox"/);
    assert.match(page.text, /Robin Example/);
    const frame = await server.get(`/console/mail/${id}/html`);
    assert.match(frame.headers.get("content-security-policy"), /^sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'/);
    assert.equal(frame.headers.get("x-frame-options"), "SAMEORIGIN");
    assert.equal(frame.headers.get("cache-control"), "no-store");
    assert.equal((await server.get("/console/mail/01a222df-a401-7490-ae7e-4c2adc72f3f2")).status, 404);
    assert.equal((await server.get("/console/mail/..%2f..%2fetc%2fpasswd")).status, 400);
  });

  it("shows it to nobody who comes by another name or from elsewhere", async (t) => {
    const server = await startPurlin(t, { contracts, env: { ...fast, TRUSTED_PROXIES: "127.0.0.1" } });
    for (const [headers, status] of [
      [{ "x-forwarded-for": "192.0.2.1" }, 403],
      [{ "x-forwarded-host": "evil.example" }, 403],
      [{ "x-forwarded-host": "localhost.evil.example" }, 403],
      [{ "x-forwarded-host": "purlin.localhost:8000" }, 200],
      [{ "x-forwarded-host": "[::1]:8000" }, 200],
    ])
      assert.equal((await server.get("/console/mail", { headers })).status, status, JSON.stringify(headers));
    assert.equal((await server.get("/console/mail", { headers: { "x-forwarded-for": "192.0.2.1" }, admin: true })).status, 200);
  });

  it("production says so and has no mailbox", async (t) => {
    const env = { PURLIN_ENV: "production", PURLIN_SECRET: randomBytes(24).toString("base64"), PURLIN_ADMIN_KEY: randomBytes(24).toString("base64") };
    const server = await startPurlin(t, { contracts, env: { ...env, PURLIN_AUTO_MIGRATE: "on" } });
    const line = server.log.find((entry) => entry.msg === "mail.none");
    assert.match(line.hint, /SMTP_URL is not set/);
    assert.equal((await server.get("/console/mail")).status, 404);
    server.env = env;
    const result = await mailTest(server, ["bob@example.net", "--queue"]);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /no way to send any: SMTP_URL is not set/);
  });
});

describe("templates of one's own", () => {
  it("are written, changed, used; and refused with file and line", async (t) => {
    const folder = temporaryFolder(t), own = path.join(folder, "texts"), where = { folder, env: { PURLIN_MAIL_TEMPLATES: own, PURLIN_MAIL_FROM: from } };
    const env = environment(folder, path.join(root, "contracts"), { PURLIN_MAIL_FROM: from });
    const written = runPurlin(["mail", "templates", own], { env });
    assert.match(written.stdout, /^32 templates written/);
    writeFileSync(path.join(own, "magic_link.txt"), "Subject: {{app}} ruft\n\nHier: {{link}}\nund {{codee}}\n");
    const checked = runPurlin(["check"], { env: { ...env, PURLIN_MAIL_TEMPLATES: own } });
    assert.equal(checked.code, 2);
    assert.match(checked.stderr, /texts\/magic_link\.txt:4:5: unknown placeholder `codee`\. Did you mean `code`\?/);
    writeFileSync(path.join(own, "magic_link.txt"), "Subject: {{app}} ruft\n\nHier: {{link}}\n");
    assert.equal((await mailTest(where, ["bob@example.net", "--kind", "magic_link"])).code, 0);
  });
});
