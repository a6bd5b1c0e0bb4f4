/*
 * tests/api/passkeys.test.mjs - Passkeys: added, used to sign in, as a second factor and to prove it again, and all that must not
 * work. The authenticator is software of the tests; what it says is cross-checked by @simplewebauthn/server.
 */
import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { verifyAuthenticationResponse, verifyRegistrationResponse } from "@simplewebauthn/server";
import * as jose from "jose";
import { auth, bearer, cookieHeader, cookiesOf, get, login, password, people, signUp } from "../support/auth.mjs";
import { Authenticator, BE, BS, ED, UP, UV, cbor } from "../support/authenticator.mjs";
import { aMinuteLater, firstStep, setUpTotp, sql, totp } from "../support/otp.mjs";
import { environment, runPurlin, startPurlin } from "../support/purlin.mjs";

const cheap = { PURLIN_AUTH_PASSWORD_MEMORY: "8MiB", PURLIN_AUTH_PASSWORD_PASSES: "1" };
const start = (t, env = {}) => startPurlin(t, { contracts: people, env: { ...cheap, ...env } });
const originOf = (server) => `http://localhost:${server.port}`;
const reason = (answer) => `${answer.status} ${answer.body?.detail}`;
const send = async (server, method, path, who, body) => {
  const answer = await fetch(`${server.url}/auth/${path}`, { method, headers: { "Content-Type": "application/json", ...bearer(who) }, body: body && JSON.stringify(body) });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : undefined };
};

const optionsToAdd = async (server, who) => {
  const { status, body } = await auth(server, "passkeys/options", undefined, bearer(who));
  assert.equal(status, 200, JSON.stringify(body));
  return body;
};
const optionsToLogin = async (server, body = {}) => {
  const answer = await auth(server, "passkeys/login/options", body);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body;
};
async function add(server, who, device = new Authenticator({ origin: originOf(server) }), name) {
  const credential = device.create(await optionsToAdd(server, who));
  const { status, body } = await auth(server, "passkeys", { credential, name }, bearer(who));
  assert.equal(status, 201, JSON.stringify(body));
  return { device, ...body };
}
const loginWith = async (server, device, wrong = {}, rest = {}) => auth(server, "passkeys/login", { credential: device.get(await optionsToLogin(server), wrong), ...rest });

describe("passkeys", () => {
  let server;
  const ends = [];
  before(async () => (server = await start({ after: (fn) => ends.push(fn) })));
  after(async () => { for (const fn of ends.reverse()) await fn(); });

  for (const [name, alg] of [["ES256", -7], ["EdDSA", -8], ["RS256", -257]]) {
    it(`${name}: added, and signed in with, as @simplewebauthn/server has it too`, async () => {
      const ada = await signUp(server), device = new Authenticator({ origin: originOf(server), alg });
      const options = await optionsToAdd(server, ada);
      assert.deepEqual(options.rp, { id: "localhost", name: "localhost" });
      assert.equal(Buffer.from(options.user.id, "base64url").toString("hex"), ada.user_id.replaceAll("-", ""));
      assert.equal(options.user.name, ada.email);
      assert.deepEqual(options.pubKeyCredParams.map((p) => p.alg), [-7, -8, -257]);
      assert.deepEqual(options.authenticatorSelection, { residentKey: "required", requireResidentKey: true, userVerification: "required" });
      const credential = device.create(options);
      const theirs = await verifyRegistrationResponse({ response: credential, expectedChallenge: options.challenge, expectedOrigin: originOf(server), expectedRPID: "localhost", supportedAlgorithmIDs: [alg] });
      assert.equal(theirs.verified, true);
      const added = await auth(server, "passkeys", { credential, name: "  My phone " }, bearer(ada));
      assert.equal(added.status, 201, JSON.stringify(added.body));
      assert.equal(added.body.name, "My phone");
      assert.deepEqual(added.body.transports, ["internal", "hybrid"]);
      assert.equal(added.body.recovery_codes.length, 10, "the first factor brings them");

      const request = await optionsToLogin(server), assertion = device.get(request);
      assert.deepEqual(request.allowCredentials, []);
      assert.equal(request.userVerification, "required");
      const check = await verifyAuthenticationResponse({ response: assertion, expectedChallenge: request.challenge, expectedOrigin: originOf(server), expectedRPID: "localhost", authenticator: theirs.registrationInfo });
      assert.equal(check.verified, true);
      const done = await auth(server, "passkeys/login", { credential: assertion });
      assert.equal(done.status, 200, JSON.stringify(done.body));
      assert.equal(done.body.user_id, ada.user_id);
      assert.deepEqual(jose.decodeJwt(done.body.access_token).amr, ["hwk", "mfa"]);
    });
  }

  it("are listed, named and removed by their owner only", async () => {
    const ada = await signUp(server), bob = await signUp(server), key = await add(server, ada), second = await add(server, ada, undefined, "Second");
    assert.equal(second.recovery_codes, undefined);
    const list = async (who) => (await get(server, "/auth/passkeys", bearer(who))).body.data;
    assert.deepEqual((await list(ada)).map((p) => p.name), ["Passkey", "Second"]);
    assert.deepEqual(await list(bob), []);
    assert.equal((await get(server, "/auth/passkeys")).status, 401);
    assert.equal((await list(ada))[0].used_at, null);
    assert.equal((await loginWith(server, key.device)).status, 200);
    assert.ok((await list(ada))[0].used_at);
    assert.equal((await send(server, "PATCH", `passkeys/${key.id}`, bob, { name: "Mine" })).status, 404);
    assert.equal((await send(server, "DELETE", `passkeys/${key.id}`, bob)).status, 404);
    for (const name of ["", "  ", "x".repeat(101), 5]) assert.equal((await send(server, "PATCH", `passkeys/${key.id}`, ada, { name })).status, 422, String(name));
    assert.equal((await send(server, "PATCH", `passkeys/${key.id}`, ada, { name: "Ключ" })).status, 204);
    assert.equal((await list(ada))[0].name, "Ключ");
    assert.equal((await send(server, "DELETE", "passkeys/x", ada)).status, 404);
    assert.equal((await send(server, "DELETE", `passkeys/${key.id}`, ada)).status, 204);
    assert.match(reason(await loginWith(server, key.device)), /^401 .*not known here/);
    assert.equal((await send(server, "DELETE", `passkeys/${second.id}`, ada)).status, 204);
    assert.deepEqual((await get(server, "/auth/mfa", bearer(ada))).body, { totp: false, passkeys: 0, recovery_codes: 0 });
  });

  it("the last one of an account without a password stays", async () => {
    const ada = await signUp(server), key = await add(server, ada);
    sql(server.folder, `UPDATE purlin_accounts SET password = NULL WHERE email = '${ada.email}'`);
    assert.equal((await send(server, "DELETE", `passkeys/${key.id}`, ada)).status, 409);
    const second = await add(server, ada);
    assert.equal((await send(server, "DELETE", `passkeys/${key.id}`, ada)).status, 204);
    assert.equal((await loginWith(server, second.device)).status, 200);
  });

  it("an account has twenty at most, and none twice", async () => {
    const ada = await signUp(server), first = await add(server, ada), id = randomBytes(1023), device = new Authenticator({ origin: originOf(server) });
    assert.equal((await auth(server, "passkeys", { credential: device.create(await optionsToAdd(server, ada), { id }) }, bearer(ada))).status, 201, "of the longest id");
    assert.match(reason(await auth(server, "passkeys", { credential: device.create(await optionsToAdd(server, ada), { id }) }, bearer(ada))), /^409 .*known already/);
    for (let i = 2; i < 20; i++) await add(server, ada, first.device);
    const options = await optionsToAdd(server, ada);
    assert.equal(options.excludeCredentials.length, 20);
    assert.match(reason(await auth(server, "passkeys", { credential: device.create(options) }, bearer(ada))), /^409 .*at most 20/);
  });

  it("a session by cookie too, and synced ones as they come and go", async () => {
    const ada = await signUp(server), { device } = await add(server, ada, new Authenticator({ origin: originOf(server), counts: false, flags: UP | UV | BE }));
    const done = await loginWith(server, device, { flags: UP | UV | BE | BS }, { cookie: true });
    assert.equal(done.status, 200, JSON.stringify(done.body));
    assert.equal((await get(server, "/auth/me", cookieHeader(cookiesOf(done)))).body.id, ada.user_id);
    assert.equal((await get(server, "/auth/passkeys", bearer(ada))).body.data[0].synced, true);
    assert.equal((await loginWith(server, device, {}, {})).status, 200, "one that does not count is used again and again");
    const other = await fetch(`${server.url}/auth/passkeys/login`, { method: "POST", headers: { "Content-Type": "application/json", "Sec-Fetch-Site": "cross-site" }, body: JSON.stringify({ credential: device.get(await optionsToLogin(server)), cookie: true }) });
    assert.equal(other.status, 403);
  });

  it("is asked for after a password, and stands in for a code", async () => {
    const ada = await signUp(server), { device } = await add(server, ada);
    const first = await login(server, ada.email);
    assert.deepEqual(first.body.methods, ["passkey", "recovery_code"]);
    const { mfa_token } = first.body, options = await optionsToLogin(server, { mfa_token });
    assert.equal(options.allowCredentials.length, 1);
    const done = await auth(server, "mfa", { mfa_token, credential: device.get(options, { flags: UP, userHandle: null }) });
    assert.equal(done.status, 200, JSON.stringify(done.body));
    assert.deepEqual(jose.decodeJwt(done.body.access_token).amr, ["pwd", "hwk", "mfa"]);
    assert.equal((await optionsToLogin(server)).allowCredentials.length, 0);
    assert.equal((await auth(server, "passkeys/login/options", { mfa_token })).status, 401, "it was used");
  });

  it("proves it again, and removes an app", async () => {
    const ada = await signUp(server), { device } = await add(server, ada), app = await setUpTotp(server, ada);
    const options = async () => (await auth(server, "step-up/options", undefined, bearer(ada))).body;
    assert.equal((await auth(server, "step-up", { password }, bearer(ada))).status, 403);
    assert.equal((await auth(server, "step-up", { credential: device.get(await options()) }, bearer(ada))).status, 200);
    assert.equal((await send(server, "DELETE", "mfa/totp", ada, { credential: device.get(await options()) })).status, 204);
    assert.deepEqual((await get(server, "/auth/mfa", bearer(ada))).body, { totp: false, passkeys: 1, recovery_codes: 10 });
    void app;
  });

  it("mfa-reset takes them away", async () => {
    const ada = await signUp(server), { device } = await add(server, ada);
    assert.equal(runPurlin(["user", "mfa-reset", ada.email], { env: environment(server.folder, server.contractsFolder, cheap) }).code, 0);
    assert.equal((await loginWith(server, device)).status, 401);
    assert.ok((await login(server, ada.email)).body.access_token);
  });
});

describe("what adds no passkey", () => {
  let server, ada, device;
  const ends = [];
  before(async () => {
    server = await start({ after: (fn) => ends.push(fn) });
    ada = await signUp(server);
    device = new Authenticator({ origin: originOf(server) });
  });
  after(async () => { for (const fn of ends.reverse()) await fn(); });
  const tryWith = async (wrong, change = (c) => c) => auth(server, "passkeys", { credential: change(device.create(await optionsToAdd(server, ada), wrong)) }, bearer(ada));

  it("another origin, host, ceremony, or nobody there", async () => {
    const rows = [
      [{ origin: "https://evil.example" }, 401, /another origin/],
      [{ origin: `${originOf(server)}/` }, 401, /another origin/],
      [{ origin: `http://localhost:${server.port + 1}` }, 401, /another origin/],
      [{ crossOrigin: true }, 401, /another origin/],
      [{ rpId: "evil.example" }, 401, /another host/],
      [{ type: "webauthn.get" }, 401, /another ceremony/],
      [{ type: "payment.get" }, 400, /clientDataJSON/],
      [{ flags: UV }, 401, /nobody was present/],
      [{ flags: UP }, 401, /did not verify/],
      [{ challenge: randomBytes(32).toString("base64url") }, 401, /challenge/],
      [{ challenge: randomBytes(56).toString("base64url") }, 401, /challenge/],
      [{ outerId: randomBytes(32) }, 400, /another credential/],
    ];
    for (const [wrong, status, detail] of rows) {
      const answer = await tryWith(wrong);
      assert.equal(answer.status, status, JSON.stringify([wrong, answer.body]));
      assert.match(answer.body.detail, detail);
    }
    assert.deepEqual((await get(server, "/auth/passkeys", bearer(ada))).body.data, []);
  });

  it("a challenge twice, of another session, of signing in, or changed", async () => {
    const options = await optionsToAdd(server, ada), bob = await signUp(server);
    assert.equal((await auth(server, "passkeys", { credential: device.create(options) }, bearer(ada))).status, 201);
    assert.match(reason(await auth(server, "passkeys", { credential: device.create(options) }, bearer(ada))), /^401 .*was used/);
    const theirs = await optionsToAdd(server, bob);
    assert.match(reason(await auth(server, "passkeys", { credential: device.create(theirs) }, bearer(ada))), /^401 .*challenge is not ours/);
    assert.match(reason(await tryWith({ challenge: (await optionsToLogin(server)).challenge })), /^401 .*challenge is not ours/);
    const bytes = Buffer.from((await optionsToAdd(server, ada)).challenge, "base64url");
    for (let i = 0; i < bytes.length; i += 5) {
      const changed = Buffer.from(bytes);
      changed[i] ^= 1;
      assert.match(reason(await tryWith({ challenge: changed.toString("base64url") })), /^401 .*challenge is not ours/, String(i));
    }
  });

  it("keys of other kinds and malformed objects", async () => {
    const point = Buffer.alloc(32, 1), ec = (changes) => new Map([[1, 2], [3, -7], [-1, 1], [-2, point], [-3, point], ...changes]);
    const rows = [
      { cose: ec([]) }, // on no curve
      { cose: ec([[3, -47]]) }, { cose: ec([[-1, 8]]) }, { cose: ec([[-2, Buffer.alloc(31)]]) }, { cose: ec([[-9, point]]) }, { cose: ec([[1, 1]]) },
      { cose: new Map([[1, 3], [3, -257], [-1, Buffer.alloc(512, 3)], [-2, Buffer.from([1, 0, 1])]]) },
      { cose: new Map() }, { cose: new Map([[1, 2]]) }, { cose: 5 },
      { tail: Buffer.from([0]) }, { tail: Buffer.from([0xa0]) }, { flags: UP | UV | ED }, { flags: UP | UV | BS },
      { fmt: "none", statement: new Map([["sig", point]]) }, { statement: "x" },
      { object: Buffer.alloc(0) }, { object: Buffer.from([0xa3]) }, { object: Buffer.from([0xbf, 0xff]) }, { object: cbor(new Map([["fmt", "none"]])) },
      { id: Buffer.alloc(0) }, { id: randomBytes(1024) },
    ];
    for (const wrong of rows) {
      const answer = await tryWith(wrong);
      assert.equal(answer.status, 400, JSON.stringify([Object.keys(wrong), answer.body]));
      assert.match(answer.body.detail, /not what a browser answers/);
    }
    assert.equal((await tryWith({ flags: UP | UV | ED, tail: cbor(new Map([["credProtect", 2]])) })).status, 201, "extensions that nobody asked for change nothing");
    assert.equal((await tryWith({ fmt: "packed", statement: new Map([["alg", -7], ["sig", point], ["x5c", [point]]]) })).status, 201, "what attests is not trusted, and does not matter");
  });

  it("a body that is none of a browser's", async () => {
    for (const credential of [undefined, null, {}, [], "x", { type: "public-key" }, { type: "public-key", id: "AA", response: [] }, { type: "public-key", id: 5, response: {} }, { type: "password", id: "AA", response: {} }])
      assert.ok([400, 422].includes((await auth(server, "passkeys", { credential }, bearer(ada))).status), JSON.stringify(credential));
    const changes = [
      (c) => ({ ...c, response: { ...c.response, clientDataJSON: "!" } }), (c) => ({ ...c, response: { ...c.response, clientDataJSON: "" } }),
      (c) => ({ ...c, response: { ...c.response, clientDataJSON: Buffer.from("[]").toString("base64url") } }),
      (c) => ({ ...c, response: { ...c.response, clientDataJSON: Buffer.from(`{"type":"webauthn.create","x":"${"a".repeat(5000)}"}`).toString("base64url") } }),
      (c) => ({ ...c, response: { ...c.response, attestationObject: "A".repeat(30000) } }), (c) => ({ ...c, id: `${c.id}=` }),
    ];
    for (const change of changes) assert.equal((await tryWith({}, change)).status, 400, String(change));
  });

  it("a session that is not fresh", async () => {
    const bob = await signUp(server), options = await optionsToAdd(server, bob), credential = device.create(options), eve = await signUp(server);
    sql(server.folder, `UPDATE purlin_sessions SET auth_at = ${(Date.now() - 11 * 60_000) * 1000} WHERE user_id = x'${eve.user_id.replaceAll("-", "")}'`);
    assert.equal((await auth(server, "passkeys/options", undefined, bearer(eve))).status, 403);
    assert.equal((await auth(server, "passkeys", { credential }, bearer(eve))).status, 403);
    assert.equal((await auth(server, "passkeys", { credential })).status, 401);
  });
});

describe("what no passkey opens", () => {
  let server, ada, bob, device, his;
  const ends = [];
  before(async () => {
    server = await start({ after: (fn) => ends.push(fn) });
    [ada, bob] = [await signUp(server), await signUp(server)];
    ({ device } = await add(server, ada));
    ({ device: his } = await add(server, bob));
  });
  after(async () => { for (const fn of ends.reverse()) await fn(); });

  it("another origin, host, ceremony, owner, key, or nobody verified", async () => {
    const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
    const rows = [
      [{ origin: "https://evil.example" }, /another origin/],
      [{ crossOrigin: true }, /another origin/],
      [{ rpId: "evil.example" }, /another host/],
      [{ type: "webauthn.create" }, /another ceremony/],
      [{ flags: UV }, /nobody was present/],
      [{ flags: UP }, /did not verify/],
      [{ flags: UP | UV | BE }, /signature is wrong/],
      [{ key: stranger }, /signature is wrong/],
      [{ userHandle: his.credentials[0].user }, /another account/],
      [{ userHandle: null }, /does not say whose/],
      [{ challenge: randomBytes(56).toString("base64url") }, /challenge/],
      [{ credential: { id: randomBytes(32), privateKey: stranger, user: his.credentials[0].user } }, /not known here/],
    ];
    for (const [wrong, detail] of rows) {
      const answer = await loginWith(server, device, wrong);
      assert.equal(answer.status, 401, JSON.stringify([Object.keys(wrong), answer.body]));
      assert.match(answer.body.detail, detail);
    }
    const swapped = his.get(await optionsToLogin(server));
    swapped.id = swapped.rawId = device.credentials[0].id.toString("base64url");
    assert.equal((await auth(server, "passkeys/login", { credential: swapped })).status, 401);
    for (const authData of [Buffer.alloc(36), Buffer.alloc(38), Buffer.alloc(5000)]) assert.ok([400, 401].includes((await loginWith(server, device, { authData })).status));
  });

  it("an answer twice, or its challenge in another ceremony", async () => {
    const options = await optionsToLogin(server), credential = device.get(options);
    const twice = await Promise.all(Array.from({ length: 5 }, () => auth(server, "passkeys/login", { credential })));
    assert.deepEqual(twice.map((a) => a.status).sort(), [200, 401, 401, 401, 401]);
    assert.match(reason(await auth(server, "passkeys/login", { credential: device.get(options) })), /^401 .*was used/);
    const mfa_token = await firstStep(server, ada.email), second = await optionsToLogin(server, { mfa_token });
    assert.match(reason(await auth(server, "passkeys/login", { credential: device.get(second) })), /^401 .*challenge is not ours/);
    assert.match(reason(await auth(server, "mfa", { mfa_token, credential: device.get({ ...second, challenge: (await optionsToLogin(server)).challenge }) })), /^401 .*challenge is not ours/);
    const other = await firstStep(server, ada.email);
    assert.match(reason(await auth(server, "mfa", { mfa_token: other, credential: device.get(second) })), /^401 .*challenge is not ours/);
    assert.equal((await auth(server, "mfa", { mfa_token, credential: device.get(second) })).status, 200);
  });

  it("another user's passkey as a second factor", async () => {
    const mfa_token = await firstStep(server, ada.email), options = await optionsToLogin(server, { mfa_token });
    const answer = await auth(server, "mfa", { mfa_token, credential: his.get({ ...options, allowCredentials: [] }, { userHandle: null }) });
    assert.equal(answer.status, 401);
    assert.match(answer.body.detail, /another account/);
    const up = (await auth(server, "step-up/options", undefined, bearer(ada))).body;
    assert.equal((await auth(server, "step-up", { credential: his.get({ ...up, allowCredentials: [] }, { userHandle: null }) }, bearer(ada))).status, 401);
  });

  it("a copy: a count that was seen, and an older one", async () => {
    const eve = await signUp(server), { device: original } = await add(server, eve);
    assert.equal((await loginWith(server, original, { count: 50 })).status, 200);
    for (const count of [50, 49, 1, 0]) assert.match(reason(await loginWith(server, original, { count })), /^401 .*there is a copy/, String(count));
    assert.equal((await loginWith(server, original, { count: 51 })).status, 200);
  });

  it("an account that is disabled", async () => {
    const eve = await signUp(server), key = await add(server, eve);
    sql(server.folder, `UPDATE purlin_accounts SET disabled_at = 1 WHERE email = '${eve.email}'`);
    assert.equal((await loginWith(server, key.device)).status, 403);
  });

  it("a code in place of a passkey that the account has not", async () => {
    const eve = await signUp(server);
    await add(server, eve);
    const mfa_token = await firstStep(server, eve.email);
    assert.equal((await auth(server, "mfa", { mfa_token, code: "123456" })).status, 401);
    assert.equal((await auth(server, "mfa", { mfa_token })).status, 422);
    aMinuteLater(server);
    void totp;
  });
});

describe("where the server has no name", () => {
  it("there are no passkeys, and it says why", async (t) => {
    const server = await start(t, { PURLIN_AUTH_ISSUER: "http://192.0.2.1:8000" });
    const ada = await signUp(server), answer = await auth(server, "passkeys/options", undefined, bearer(ada));
    assert.equal(answer.status, 503);
    assert.match(answer.body.detail, /set auth\.issuer/);
  });

  it("with one it is the issuer's", async (t) => {
    const server = await start(t, { PURLIN_AUTH_ISSUER: "https://Login.Example.org:443/base" });
    const ada = await signUp(server), device = new Authenticator({ origin: "https://login.example.org" });
    assert.equal((await optionsToAdd(server, ada)).rp.id, "login.example.org");
    await add(server, ada, device);
    assert.equal((await loginWith(server, device)).status, 200);
  });
});

describe("pages of other origins", () => {
  it("use passkeys when they are listed, and browsers find the list", async (t) => {
    const app = "android:apk-key-hash:NLeaVWP1J4yMjoe0e0rtSEeYnhKtGvzxB4tIPT4cNtQ";
    const server = await start(t, { PURLIN_AUTH_PASSKEY_ORIGINS: `https://app.example.org, ${app}` });
    const found = await fetch(`${server.url}/.well-known/webauthn`, { headers: { Origin: "https://app.example.org" } });
    assert.match(found.headers.get("content-type"), /^application\/json/);
    assert.deepEqual(await found.json(), { origins: ["https://app.example.org"] });
    for (const origin of ["https://app.example.org", app, originOf(server)]) {
      const { device } = await add(server, await signUp(server), new Authenticator({ origin }));
      assert.equal((await loginWith(server, device)).status, 200, origin);
      assert.match(reason(await loginWith(server, device, { origin: "https://other.example.org" })), /^401 .*another origin/);
    }
  });

  it("are nobody's where there is no list, and a list of something else is refused", async (t) => {
    const server = await start(t);
    assert.equal((await fetch(`${server.url}/.well-known/webauthn`)).status, 404);
    const checked = runPurlin(["check"], { env: environment(server.folder, server.contractsFolder, { PURLIN_AUTH_PASSKEY_ORIGINS: "https://*.example.org" }) });
    assert.equal(checked.code, 2, checked.stderr);
    assert.match(checked.stderr + checked.stdout, /auth\.passkey_origins: has origins as browsers write them/);
  });
});
