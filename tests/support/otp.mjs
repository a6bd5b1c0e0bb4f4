/* tests/support/otp.mjs - An authenticator app, and what a person does with it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHmac } from "node:crypto";
import path from "node:path";
import { auth, bearer, login } from "./auth.mjs";

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

export function base32(text) {
  let bits = "";
  for (const c of text) bits += alphabet.indexOf(c).toString(2).padStart(5, "0");
  return Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
}

/* RFC 6238 with what every app understands: SHA-1, six digits, thirty seconds. `steps`: from now. */
export function totp(secret, steps = 0) {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const mac = createHmac("sha1", base32(secret)).update(counter).digest();
  const number = mac.readUInt32BE(mac[19] & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
}

/* A code that is right at no time near this one. */
export function wrongCode(secret) {
  const right = [-2, -1, 0, 1, 2].map((steps) => totp(secret, steps));
  return ["000000", "111111", "222222", "333333", "444444", "555555"].find((code) => !right.includes(code));
}

/* Run SQL on the database of a server that keeps its `folder`; rows as text, columns by "|". */
export function sql(folder, statement) {
  const run = spawnSync("sqlite3", ["-cmd", ".timeout 20000", path.join(folder, "purlin.db"), statement], { encoding: "utf8" });
  assert.equal(run.status, 0, run.stderr);
  return run.stdout.trim();
}

/*
 * Let the present code hold although it, or a later one, was used: as if a minute had passed. Tests use codes of the present step and
 * the next one only, so that it does not matter when a step ends between making a code and its use.
 */
export const aMinuteLater = (server) => sql(server.folder, "UPDATE purlin_accounts SET totp_step = 1 WHERE totp_step IS NOT NULL");

/* Sets up an app for who is signed in: { secret, recovery_codes, sessions_ended }. No code of it was used then. */
export async function setUpTotp(server, who) {
  const begun = await auth(server, "mfa/totp", undefined, bearer(who));
  assert.equal(begun.status, 200, JSON.stringify(begun.body));
  const done = await auth(server, "mfa/totp/confirm", { code: totp(begun.body.secret) }, bearer(who));
  assert.equal(done.status, 200, JSON.stringify(done.body));
  aMinuteLater(server);
  return { secret: begun.body.secret, ...done.body };
}

/* The first step of a sign-in: the token for the second. */
export async function firstStep(server, email, rest = {}) {
  const { status, body } = await login(server, email, undefined, rest);
  assert.equal(status, 200, JSON.stringify(body));
  assert.equal(body.mfa_required, true, JSON.stringify(body));
  return body.mfa_token;
}
