/*
 * tests/api/mfa.test.mjs - Second factors: authenticator apps, recovery codes, the second step of a sign-in, proving it again, and
 * what somebody tries who has only the password, or only a session.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import * as jose from "jose";
import { auth, bearer, cookieHeader, cookiesOf, freshEmail, get, login, password, people, signUp } from "../support/auth.mjs";
import { aMinuteLater, firstStep, setUpTotp, sql, totp, wrongCode } from "../support/otp.mjs";
import { environment, runPurlin, startPurlin, temporaryFolder } from "../support/purlin.mjs";

const cheap = { PURLIN_AUTH_PASSWORD_MEMORY: "8MiB", PURLIN_AUTH_PASSWORD_PASSES: "1" };
const start = (t, env = {}, options = {}) => startPurlin(t, { contracts: people, env: { ...cheap, ...env }, ...options });
const remove = (server, path, body, headers) =>
  fetch(`${server.url}/auth/${path}`, { method: "DELETE", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) });
const factors = async (server, who) => (await get(server, "/auth/mfa", bearer(who))).body;
const problem = (answer) => answer.body.type.split("/").slice(-2).join("/");

describe("authenticator apps", () => {
  let server;
  const ends = [];
  before(async () => (server = await start({ after: (fn) => ends.push(fn) })));
  after(async () => { for (const fn of ends.reverse()) await fn(); });

  it("are set up, confirmed by a code, asked for from then on, and removed", async () => {
    const ada = await signUp(server);
    assert.deepEqual(await factors(server, ada), { totp: false, passkeys: 0, recovery_codes: 0 });
    const begun = await auth(server, "mfa/totp", undefined, bearer(ada));
    assert.equal(begun.status, 200);
    assert.match(begun.body.secret, /^[A-Z2-7]{32}$/);
    const uri = new URL(begun.body.uri);
    assert.equal(uri.protocol, "otpauth:");
    assert.equal(uri.searchParams.get("secret"), begun.body.secret);
    assert.ok(decodeURIComponent(uri.pathname).endsWith(`:${ada.email}`), begun.body.uri);
    assert.match(begun.headers.get("cache-control"), /no-store/);
    assert.equal((await login(server, ada.email)).body.mfa_required, undefined, "what is not confirmed is not asked for");

    const wrong = await auth(server, "mfa/totp/confirm", { code: wrongCode(begun.body.secret) }, bearer(ada));
    assert.equal(wrong.status, 400, JSON.stringify(wrong.body));
    assert.equal(problem(wrong), "identity/wrong-code");
    const done = await auth(server, "mfa/totp/confirm", { code: totp(begun.body.secret) }, bearer(ada));
    assert.equal(done.status, 200, JSON.stringify(done.body));
    assert.equal(done.body.recovery_codes.length, 10);
    assert.equal(new Set(done.body.recovery_codes).size, 10);
    for (const code of done.body.recovery_codes) assert.match(code, /^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}$/);
    assert.deepEqual(await factors(server, ada), { totp: true, passkeys: 0, recovery_codes: 10 });
    assert.equal((await auth(server, "mfa/totp/confirm", { code: totp(begun.body.secret) }, bearer(ada))).status, 409, "nothing is pending any more");

    const first = await login(server, ada.email);
    assert.equal(first.status, 200);
    assert.deepEqual(first.body.methods, ["totp", "recovery_code"]);
    assert.equal(first.body.access_token, undefined);
    aMinuteLater(server);
    const second = await auth(server, "mfa", { mfa_token: first.body.mfa_token, code: ` ${totp(begun.body.secret).replace(/^.../, "$& ")} ` });
    assert.equal(second.status, 200, JSON.stringify(second.body));
    assert.deepEqual(jose.decodeJwt(second.body.access_token).amr, ["pwd", "otp", "mfa"]);
    assert.equal((await get(server, "/auth/me", bearer(second.body))).body.has_totp, true);

    assert.equal((await remove(server, "mfa/totp", {}, bearer(second.body))).status, 422, "by a code only");
    assert.equal((await remove(server, "mfa/totp", { code: totp(begun.body.secret, 1) }, bearer(second.body))).status, 204);
    assert.deepEqual(await factors(server, second.body), { totp: false, passkeys: 0, recovery_codes: 0 });
    assert.ok((await login(server, ada.email)).body.access_token);
    assert.equal((await remove(server, "mfa/totp", { code: totp(begun.body.secret, 1) }, bearer(second.body))).status, 404);
    const acts = sql(server.folder, `SELECT act, actor FROM purlin_audit WHERE subject_id = '${ada.user_id}' AND act LIKE '%factor%' OR act LIKE 'recovery%' ORDER BY seq`);
    assert.deepEqual(acts.split("\n"), ["factor.added|user", "recovery_codes.made|user", "factor.removed|user"]);
  });

  it("confirming one ends the other sessions, which were begun without", async () => {
    const ada = await signUp(server), other = (await login(server, ada.email)).body;
    assert.equal((await get(server, "/auth/me", bearer(other))).status, 200);
    assert.equal((await setUpTotp(server, ada)).sessions_ended, 1);
    assert.equal((await get(server, "/auth/me", bearer(other))).status, 401);
    assert.equal((await get(server, "/auth/me", bearer(ada))).status, 200);
  });

  it("one that is set up again replaces the one before only when it is confirmed", async () => {
    const ada = await signUp(server), old = await setUpTotp(server, ada);
    const begun = await auth(server, "mfa/totp", undefined, bearer(ada));
    assert.equal((await auth(server, "mfa", { mfa_token: await firstStep(server, ada.email), code: totp(old.secret) })).status, 200);
    assert.equal((await auth(server, "mfa/totp/confirm", { code: totp(begun.body.secret) }, bearer(ada))).status, 200);
    aMinuteLater(server);
    const again = await auth(server, "mfa", { mfa_token: await firstStep(server, ada.email), code: totp(old.secret, 1) });
    assert.equal(again.status, 401);
    assert.equal((await auth(server, "mfa", { mfa_token: await firstStep(server, ada.email), code: old.recovery_codes[0] })).status, 401, "nor do its recovery codes");
    assert.equal((await auth(server, "mfa", { mfa_token: await firstStep(server, ada.email), code: totp(begun.body.secret, 1) })).status, 200);
  });

  it("a session by cookie takes both steps too", async () => {
    const ada = await signUp(server), app = await setUpTotp(server, ada);
    const mfa_token = await firstStep(server, ada.email, { cookie: true });
    const headers = { "Sec-Fetch-Site": "cross-site" };
    assert.equal((await auth(server, "mfa", { mfa_token, code: totp(app.secret) }, headers)).status, 403, "not from a page of another site");
    const done = await auth(server, "mfa", { mfa_token, code: totp(app.secret) });
    assert.equal(done.status, 200, JSON.stringify(done.body));
    assert.equal(done.body.access_token, undefined);
    const me = await get(server, "/auth/me", cookieHeader(cookiesOf(done)));
    assert.equal(me.body.id, ada.user_id);
  });
});

describe("what does not open an account", () => {
  let server;
  const ends = [];
  before(async () => (server = await start({ after: (fn) => ends.push(fn) })));
  after(async () => { for (const fn of ends.reverse()) await fn(); });

  it("a code that was used, in any sign-in, or an older one", async () => {
    const ada = await signUp(server), app = await setUpTotp(server, ada), older = totp(app.secret), code = totp(app.secret, 1);
    assert.equal((await auth(server, "mfa", { mfa_token: await firstStep(server, ada.email), code })).status, 200);
    const mfa_token = await firstStep(server, ada.email);
    for (const used of [code, older]) {
      const again = await auth(server, "mfa", { mfa_token, code: used });
      assert.equal(again.status, 401);
      assert.equal(problem(again), "identity/code-used");
    }
    aMinuteLater(server);
    assert.equal((await auth(server, "mfa", { mfa_token, code: totp(app.secret) })).status, 200, "the sign-in itself still holds");
  });

  it("many at once with one code are one session", async () => {
    const ada = await signUp(server), app = await setUpTotp(server, ada), code = totp(app.secret), tokens = [];
    for (let i = 0; i < 10; i++) tokens.push(await firstStep(server, ada.email));
    const answers = await Promise.all(tokens.map((mfa_token) => auth(server, "mfa", { mfa_token, code })));
    assert.equal(answers.filter((a) => a.status === 200).length, 1);
    assert.ok(answers.every((a) => [200, 401, 429].includes(a.status)), JSON.stringify(answers.map((a) => a.status)));
  });

  it("a recovery code that was used; each of the ten opens it once", async () => {
    const ada = await signUp(server), { recovery_codes: codes } = await setUpTotp(server, ada);
    for (const [i, code] of codes.slice(0, 3).entries()) {
      const typed = i === 0 ? code : i === 1 ? code.toLowerCase().replaceAll("-", "") : code.replaceAll("-", " ");
      const done = await auth(server, "mfa", { mfa_token: await firstStep(server, ada.email), code: typed });
      assert.equal(done.status, 200, JSON.stringify(done.body));
      assert.deepEqual(jose.decodeJwt(done.body.access_token).amr, ["pwd", "kba", "mfa"]);
      assert.equal((await auth(server, "mfa", { mfa_token: await firstStep(server, ada.email), code })).status, 401);
    }
    assert.equal((await factors(server, ada)).recovery_codes, 7);
    const fresh = await auth(server, "mfa/recovery-codes", undefined, bearer(ada));
    assert.equal(fresh.body.recovery_codes.length, 10);
    assert.equal((await factors(server, ada)).recovery_codes, 10);
    assert.equal((await auth(server, "mfa", { mfa_token: await firstStep(server, ada.email), code: codes[5] })).status, 401);
    assert.equal((await auth(server, "mfa", { mfa_token: await firstStep(server, ada.email), code: fresh.body.recovery_codes[9] })).status, 200);
  });

  it("somebody else's codes", async () => {
    const ada = await signUp(server), bob = await signUp(server);
    const hers = await setUpTotp(server, ada), his = await setUpTotp(server, bob);
    const mfa_token = await firstStep(server, ada.email);
    for (const code of [totp(his.secret), his.recovery_codes[0]]) assert.equal((await auth(server, "mfa", { mfa_token, code })).status, 401);
    assert.equal((await auth(server, "mfa", { mfa_token, code: totp(hers.secret) })).status, 200);
    assert.equal((await factors(server, bob)).recovery_codes, 10);
  });

  it("the token of a first step twice, of another purpose, made up, or as a credential", async () => {
    const ada = await signUp(server), app = await setUpTotp(server, ada);
    const mfa_token = await firstStep(server, ada.email);
    for (const path of ["/auth/me", "/auth/mfa", "/auth/sessions", "/api/v1/notes"]) assert.equal((await get(server, path, bearer(mfa_token))).status, 401, path);
    assert.equal((await auth(server, "refresh", { refresh_token: mfa_token })).status, 401);
    assert.equal((await auth(server, "mfa", { mfa_token, code: totp(app.secret) })).status, 200);
    const again = await auth(server, "mfa", { mfa_token, code: app.recovery_codes[0] });
    assert.equal(again.status, 401);
    assert.equal(problem(again), "identity/invalid-mfa-token");
    assert.equal((await factors(server, ada)).recovery_codes, 10, "no code is used up by that");
    for (const bad of ["x", mfa_token.slice(0, -1), `purlin_once_${"a".repeat(43)}_aaaaaa`])
      assert.equal((await auth(server, "mfa", { mfa_token: bad, code: totp(app.secret, 1) })).status, 401, bad);
    assert.equal((await auth(server, "mfa", { mfa_token: ada.refresh_token, code: totp(app.secret, 1) })).status, 422, "no token is so long");
    for (const body of [{}, { mfa_token }, { code: "123456" }, { mfa_token: 5, code: 5 }]) assert.ok([401, 422].includes((await auth(server, "mfa", body)).status));
    assert.equal((await auth(server, "mfa", [])).status, 400);
  });

  it("guessing: five codes for one first step, and each account waits longer and longer", async () => {
    const ada = await signUp(server), app = await setUpTotp(server, ada);
    const mfa_token = await firstStep(server, ada.email), code = wrongCode(app.secret);
    for (let i = 0; i < 5; i++) assert.equal((await auth(server, "mfa", { mfa_token, code })).status, 401);
    const next = await auth(server, "mfa", { mfa_token: await firstStep(server, ada.email), code });
    assert.equal(next.status, 429, "signing in again does not reset the count");
    assert.ok(Number(next.headers.get("retry-after")) >= 1);
    const spent = await auth(server, "mfa", { mfa_token, code: totp(app.secret) });
    assert.equal(spent.status, 401);
    assert.equal(problem(spent), "identity/invalid-mfa-token");
    assert.equal((await get(server, "/auth/me", bearer(ada))).status, 200, "who is signed in stays so");
  });
});

describe("other ways in", () => {
  it("a link or code in mail is a first step, and nothing more", async (t) => {
    const server = await start(t), box = path.join(server.folder, "mail");
    const ada = await signUp(server), app = await setUpTotp(server, ada);
    assert.equal((await auth(server, "magic", { email: ada.email })).status, 202);
    let token;
    for (let i = 0; !token; i++) {
      assert.ok(i < 500, "the mail comes");
      await new Promise((resolve) => setTimeout(resolve, 20));
      for (const name of existsSync(box) ? readdirSync(box).filter((n) => n.endsWith(".eml")) : [])
        token ??= /\/magic\?token=(?:3D)?([A-Za-z0-9_]+)/.exec(readFileSync(path.join(box, name), "utf8").replace(/=\r?\n/g, ""))?.[1];
    }
    const first = await auth(server, "magic/confirm", { token });
    assert.equal(first.status, 200, JSON.stringify(first.body));
    assert.equal(first.body.mfa_required, true);
    assert.equal(first.body.access_token, undefined);
    const done = await auth(server, "mfa", { mfa_token: first.body.mfa_token, code: totp(app.secret) });
    assert.deepEqual(jose.decodeJwt(done.body.access_token).amr, ["otp", "email", "mfa"]);
  });
});

describe("a sign-in that is under way", () => {
  it("takes the second step too when the factor comes meanwhile", async (t) => {
    // The hash takes a second or so, the factor some milliseconds. Whoever is first: no session without the factor is left.
    const server = await start(t, { PURLIN_AUTH_PASSWORD_MEMORY: "64MiB", PURLIN_AUTH_PASSWORD_PASSES: "10" });
    const ada = await signUp(server), begun = await auth(server, "mfa/totp", undefined, bearer(ada));
    const under_way = login(server, ada.email);
    const done = await auth(server, "mfa/totp/confirm", { code: totp(begun.body.secret) }, bearer(ada));
    assert.equal(done.status, 200);
    const answer = await under_way;
    assert.equal(answer.status, 200);
    if (answer.body.access_token) return assert.equal((await get(server, "/auth/me", bearer(answer.body))).status, 401);
    assert.deepEqual(answer.body.methods, ["totp", "recovery_code"]);
    aMinuteLater(server);
    assert.equal((await auth(server, "mfa", { mfa_token: answer.body.mfa_token, code: totp(begun.body.secret) })).status, 200);
  });
});

describe("proving it again", () => {
  it("with the password, and with the second factor where there is one", async (t) => {
    const server = await start(t);
    const ada = await signUp(server), before = jose.decodeJwt(ada.access_token).auth_time;
    assert.equal((await auth(server, "step-up", {}, bearer(ada))).status, 422);
    assert.equal((await auth(server, "step-up", { password: "not the password" }, bearer(ada))).status, 401);
    assert.equal((await auth(server, "step-up", { password })).status, 401, "nobody is nobody");
    const up = await auth(server, "step-up", { password }, bearer(ada));
    assert.equal(up.status, 200, JSON.stringify(up.body));
    assert.ok(jose.decodeJwt(up.body.access_token).auth_time >= before);
    assert.equal(jose.decodeJwt(up.body.access_token).sid, ada.session_id);
    assert.equal(up.body.refresh_token, undefined);
    const app = await setUpTotp(server, ada);
    const refused = await auth(server, "step-up", { password }, bearer(ada));
    assert.equal(refused.status, 403);
    assert.equal(problem(refused), "identity/second-factor");
    const code = totp(app.secret), again = await auth(server, "step-up", { code }, bearer(ada));
    assert.deepEqual(jose.decodeJwt(again.body.access_token).amr, ["pwd", "otp", "mfa"]);
    assert.equal((await auth(server, "step-up", { code }, bearer(ada))).status, 401, "a code holds once here too");
    assert.equal((await auth(server, "step-up", { code: app.recovery_codes[0] }, bearer(ada))).status, 200);
  });

  it("is asked for by what changes factors, when signing in was too long ago", async (t) => {
    const server = await start(t);
    const longAgo = () => sql(server.folder, `UPDATE purlin_sessions SET auth_at = ${(Date.now() - 11 * 60_000) * 1000}`);
    const changes = (who) => [
      auth(server, "mfa/totp", undefined, bearer(who)),
      auth(server, "mfa/totp/confirm", { code: "123456" }, bearer(who)),
      auth(server, "mfa/recovery-codes", undefined, bearer(who)),
      remove(server, "mfa/totp", { code: "123456" }, bearer(who)).then(async (a) => ({ status: a.status, headers: a.headers, body: await a.json() })),
    ];
    const ada = await signUp(server), bob = await signUp(server);
    longAgo();
    for (const answer of await Promise.all(changes(ada))) {
      assert.equal(answer.status, 403);
      assert.equal(problem(answer), "identity/step-up");
      assert.match(answer.headers.get("www-authenticate"), /error="insufficient_user_authentication"/);
    }
    assert.equal((await get(server, "/auth/mfa", bearer(ada))).status, 200, "looking is no change");
    assert.equal((await auth(server, "step-up", { password }, bearer(ada))).status, 200);
    assert.equal((await auth(server, "mfa/totp", undefined, bearer(ada))).status, 200, "also by the token that was refused before");
    assert.equal((await auth(server, "mfa/totp", undefined, bearer(bob))).status, 403, "nobody else by that");
    for (const answer of await Promise.all(changes("x"))) assert.equal(answer.status, 401);
  });
});

describe("who acts for somebody", () => {
  it("an API key of theirs sees and changes no factors, and proves nothing", async (t) => {
    const server = await start(t), ada = await signUp(server);
    const made = runPurlin(["key", "create", "--name", "mine", "--user", ada.user_id, "--json"], { env: environment(server.folder, server.contractsFolder, cheap) });
    assert.equal(made.code, 0, made.stderr);
    const key = bearer(JSON.parse(made.stdout).secret);
    assert.equal((await get(server, "/api/v1/notes", key)).status, 200, "the key is good");
    const answers = [
      await get(server, "/auth/mfa", key), await get(server, "/auth/passkeys", key),
      ...(await Promise.all(["mfa/totp", "mfa/recovery-codes", "passkeys/options", "step-up/options"].map((path) => auth(server, path, undefined, key)))),
      ...(await Promise.all(["mfa/totp/confirm", "passkeys", "step-up"].map((path) => auth(server, path, { code: "123456", password }, key)))),
    ];
    for (const answer of answers) {
      assert.equal(answer.status, 403, JSON.stringify(answer.body));
      assert.equal(problem(answer), "identity/not-yourself");
    }
  });
});

describe("refreshing", () => {
  it("keeps what the session has proved, and adds nothing", async (t) => {
    const server = await start(t);
    const ada = await signUp(server), app = await setUpTotp(server, ada);
    const both = (await auth(server, "mfa", { mfa_token: await firstStep(server, ada.email), code: totp(app.secret) })).body;
    const next = await auth(server, "refresh", { refresh_token: both.refresh_token });
    assert.deepEqual(jose.decodeJwt(next.body.access_token).amr, ["pwd", "otp", "mfa"]);
    assert.equal(jose.decodeJwt(next.body.access_token).auth_time, jose.decodeJwt(both.access_token).auth_time);
  });
});

describe("by who has the machine", () => {
  it("all factors are taken away, and the sessions end", async (t) => {
    const server = await start(t);
    const ada = await signUp(server);
    await setUpTotp(server, ada);
    const env = environment(server.folder, server.contractsFolder, cheap);
    const none = runPurlin(["user", "mfa-reset", freshEmail()], { env });
    assert.equal(none.code, 1);
    assert.match(none.stderr, /There is no account/);
    const done = runPurlin(["user", "mfa-reset", ada.email], { env });
    assert.equal(done.code, 0, done.stderr);
    assert.equal(sql(server.folder, "SELECT actor FROM purlin_audit WHERE act = 'factor.removed'"), "operator");
    const again = await login(server, ada.email);
    assert.ok(again.body.access_token, JSON.stringify(again.body));
    assert.deepEqual(await factors(server, again.body), { totp: false, passkeys: 0, recovery_codes: 0 });
    assert.equal((await auth(server, "refresh", { refresh_token: ada.refresh_token })).status, 401);
  });

  it("another secret of the installation changes neither app nor recovery codes", async (t) => {
    const folder = temporaryFolder(t);
    const [one, two] = ["a secret of the installation, the first", "a secret of the installation, the second"];
    let server = await start(t, { PURLIN_SECRET: one }, { folder });
    const ada = await signUp(server), app = await setUpTotp(server, ada);
    await server.stop();
    const sealed = () => sql(folder, "SELECT hex(totp) FROM purlin_accounts"), before = sealed();
    server = await start(t, { PURLIN_SECRET: two, PURLIN_SECRET_PREVIOUS: one }, { folder });
    assert.equal((await auth(server, "mfa", { mfa_token: await firstStep(server, ada.email), code: totp(app.secret) })).status, 200);
    for (let i = 0; sealed() === before; i++) {
      assert.ok(i < 500, "it is sealed anew within seconds");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await server.stop();
    server = await start(t, { PURLIN_SECRET: two }, { folder });
    aMinuteLater(server);
    assert.equal((await auth(server, "mfa", { mfa_token: await firstStep(server, ada.email), code: totp(app.secret) })).status, 200);
    assert.equal((await auth(server, "mfa", { mfa_token: await firstStep(server, ada.email), code: app.recovery_codes[3] })).status, 200);
    await server.stop();
  });
});
