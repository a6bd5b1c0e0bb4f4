/*
 * Signed requests against the real program: the clients that exist sign and are let in, and whatever is changed on the way, sent
 * again, too old, or not covered is refused with what to do about it.
 */
import assert from "node:assert/strict";
import { createHash, createHmac, generateKeyPairSync, randomBytes } from "node:crypto";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { createSigner, httpbis } from "http-message-signatures";
import { environment, root, runPurlin, startPurlin, temporaryFolder, writeContracts } from "../support/purlin.mjs";

const contracts = {
  notes: `
resource: notes
fields:
  text: { type: string, max: 100, required: true }
rules: { read: true, create: true, update: true, delete: true }
`,
};

const secret = "a-shared-secret-of-32-characters";
const body = JSON.stringify({ text: "signed" });

const pairs = {
  "ed25519": generateKeyPairSync("ed25519"),
  "ecdsa-p256-sha256": generateKeyPairSync("ec", { namedCurve: "P-256" }),
  "ecdsa-p384-sha384": generateKeyPairSync("ec", { namedCurve: "P-384" }),
  "rsa-pss-sha512": generateKeyPairSync("rsa", { modulusLength: 2048 }),
  "rsa-v1_5-sha256": generateKeyPairSync("rsa", { modulusLength: 2048 }),
};

const sha256 = (text) => createHash("sha256").update(text).digest();
const now = () => Math.floor(Date.now() / 1000);
const nonce = () => randomBytes(12).toString("base64url");

/* RFC 9421 by hand: what it covers is a list of [name, value]. */
function signMessage(covered, { key = secret, keyid = "shared", created = now(), label = "sig1", extra, ...rest } = {}) {
  const params = { created, keyid, nonce: nonce(), ...rest };
  const text = Object.entries(params)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `;${name}=${typeof value === "number" ? value : `"${value}"`}`)
    .join("");
  const input = `(${covered.map(([name]) => `"${name}"`).join(" ")})${text}${extra ?? ""}`;
  const base = [...covered.map(([name, value]) => `"${name}": ${value}`), `"@signature-params": ${input}`].join("\n");
  const signature = createHmac("sha256", key).update(base).digest("base64");
  return { "signature-input": `${label}=${input}`, signature: `${label}=:${signature}:` };
}

function signPlain(method, target, text, { t = now(), n = nonce(), k = "shared", key = secret } = {}) {
  const b = sha256(text ?? "").toString("hex");
  const v1 = createHmac("sha256", key).update(`${t}.${n}.${method}.${target}.${b}`).digest("hex");
  return { "x-signature": `k=${k},t=${t},n=${n},b=${b},v1=${v1}` };
}

describe("signed requests", () => {
  let server, authority, digest;
  const cleanups = [];
  const json = { "content-type": "application/json" };

  before(async () => {
    const t = { after: (fn) => cleanups.push(fn) };
    const folder = temporaryFolder(t);
    const keys = [`shared:hmac-sha256:${secret}`, `other:hmac-sha256:${secret}-2`];
    for (const [alg, pair] of Object.entries(pairs)) {
      const file = path.join(folder, `${alg}.pem`);
      writeFileSync(file, pair.publicKey.export({ type: "spki", format: "pem" }));
      keys.push(`${alg}:${alg}:${file}`);
    }
    writeFileSync(path.join(folder, "keys"), keys.join(",\n") + "\n");
    server = await startPurlin(t, {
      contracts,
      folder,
      config: `
routes:
  - match: /api/v1/notes
    signature: { mode: required }
  - match: /api/v1/batch
    signature: { mode: optional, accept: shared, profile: rfc9421, tag: batch, nonce: optional }
  - match: /health/live
    signature: { mode: required, profile: hmac, nonce: "off" }
`,
      env: { PURLIN_SIGNATURE_KEYS_FILE: path.join(folder, "keys") },
    });
    authority = `127.0.0.1:${server.port}`;
    digest = `sha-256=:${sha256(body).toString("base64")}:`;
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  const covered = (method = "POST") => [
    ["@method", method],
    ["@authority", authority],
    ["@path", "/api/v1/notes"],
    ["content-digest", digest],
  ];
  const post = (headers, text = body, target = "/api/v1/notes") =>
    server.post(target, { body: text, headers: { ...json, ...headers } });

  async function refused(answer, code, detail) {
    assert.equal(answer.status, 401, answer.text);
    assert.equal(answer.body.code, code);
    if (detail) assert.match(answer.body.detail, detail);
    assert.match(answer.headers.get("www-authenticate"), /^Signature realm="purlin"$/);
  }

  it("who does not sign is told how", async () => {
    const answer = await post({});
    await refused(answer, "signature_required");
    assert.equal(
      answer.headers.get("accept-signature"),
      'sig1=("@method" "@authority" "@path" "@query" "content-digest");created;keyid',
    );
    await refused(await server.get("/api/v1/notes"), "signature_required");
  });

  it("the document says where to sign, and how", async () => {
    const { body: document } = await server.get("/openapi.json");
    const schemes = (at, method) => document.paths[at][method].security.map((s) => Object.keys(s).sort().join("+"));
    const both = ["messageSignature", "plainSignature"];
    assert.deepEqual(schemes("/api/v1/notes", "get"), both);
    assert.deepEqual(schemes("/api/v1/notes/{id}", "put"), both);
    assert.deepEqual(schemes("/health/live", "get"), ["plainSignature"]);
    assert.ok(schemes("/api/v1/batch", "post").includes("")); // optional: as before, too
    assert.ok(schemes("/api/v1/batch", "post").includes("messageSignature"));
    assert.ok(!schemes("/api/v1/batch", "post").includes("plainSignature"));
    assert.deepEqual(schemes("/health/ready", "get"), [""]);
    const names = document.paths["/api/v1/notes"].post.parameters.map((p) => p.$ref?.split("/").at(-1));
    assert.ok(names.includes("SignatureInput") && names.includes("ContentDigest"));
    assert.equal(document.components.securitySchemes.messageSignature.name, "Signature");
    assert.equal(document.components.securitySchemes.plainSignature.name, "X-Signature");
    assert.ok(document.paths["/health/live"].get.responses["401"]);
  });

  it("who signs well is let in", async () => {
    const answer = await post({ "content-digest": digest, ...signMessage(covered()) });
    assert.equal(answer.status, 201, answer.text);
    const list = await server.get("/api/v1/notes?limit=1", {
      headers: signMessage([["@method", "GET"], ["@authority", authority], ["@path", "/api/v1/notes"], ["@query", "?limit=1"]]),
    });
    assert.equal(list.status, 200, list.text);
    const whole = await server.get("/api/v1/notes?limit=1", {
      headers: signMessage([["@method", "GET"], ["@target-uri", `http://${authority}/api/v1/notes?limit=1`]]),
    });
    assert.equal(whole.status, 200, whole.text);
  });

  for (const alg of ["hmac-sha256", ...Object.keys(pairs)])
    it(`http-message-signatures of npm: ${alg}`, async () => {
      const isShared = alg === "hmac-sha256";
      const key = createSigner(isShared ? Buffer.from(secret) : pairs[alg].privateKey, alg, isShared ? "shared" : alg);
      const signed = await httpbis.signMessage(
        {
          key,
          fields: ["@method", "@authority", "@path", "content-digest", "content-type"],
          params: ["created", "keyid", "alg", "nonce"],
          paramValues: { nonce: nonce() },
        },
        { method: "POST", url: `${server.url}/api/v1/notes`, headers: { ...json, "content-digest": digest } },
      );
      const answer = await post(signed.headers);
      assert.equal(answer.status, 201, answer.text);
    });

  it("whatever is changed on the way is noticed", async () => {
    const good = () => ({ "content-digest": digest, ...signMessage(covered()) });
    await refused(await server.put("/api/v1/notes", { body, headers: { ...json, ...good() } }).then((a) =>
      a.status === 405 ? post({ ...good(), ...signMessage(covered("PUT")) }) : a), "signature_invalid");
    await refused(await post({ ...good(), ...signMessage([["@method", "POST"], ["@authority", "example.com"], ["@path", "/api/v1/notes"], ["content-digest", digest]]) }), "signature_invalid");
    await refused(await post(good(), body, "/api/v1/notes?x=1"), "signature_incomplete", /@query/);
    const another = { ...good() };
    another.signature = another.signature.replace(/:.{4}/, ":AAAA");
    await refused(await post(another), "signature_invalid");
    /* Another body with its own digest, and another body with the digest that was signed. */
    const other = JSON.stringify({ text: "forged" });
    await refused(await post({ ...good(), "content-digest": `sha-256=:${sha256(other).toString("base64")}:` }, other), "signature_invalid");
    const forged = await post(good(), other);
    assert.equal(forged.status, 400, forged.text);
    assert.equal(forged.body.code, "digest_mismatch");
    const list = await server.get("/api/v1/notes", {
      headers: signMessage([["@method", "GET"], ["@authority", authority], ["@path", "/api/v1/notes"]]),
    });
    assert.doesNotMatch(list.text, /forged/);
  });

  it("a body must be covered by a digest that can be checked", async () => {
    await refused(await post(signMessage(covered().slice(0, 3))), "signature_incomplete", /content-digest/);
    await refused(await post({ "content-digest": digest, ...signMessage(covered().slice(0, 3)) }), "signature_incomplete", /content-digest/);
    const weak = "md5=:Sd/dVLAcvNLSq16eXua5uQ==:";
    const answer = await post({ "content-digest": weak, ...signMessage([...covered().slice(0, 3), ["content-digest", weak]]) });
    await refused(answer, "signature_incomplete", /sha-256/);
  });

  it("a signature is good for one request", async () => {
    const headers = { "content-digest": digest, ...signMessage(covered()) };
    assert.equal((await post(headers)).status, 201);
    await refused(await post(headers), "signature_replayed");
    await refused(await post({ "content-digest": digest, ...signMessage(covered(), { nonce: null }) }), "signature_incomplete", /nonce/);
    /* Of many at once exactly one. */
    const once = { "content-digest": digest, ...signMessage(covered()) };
    const statuses = (await Promise.all(Array.from({ length: 20 }, () => post(once)))).map((a) => a.status);
    assert.equal(statuses.filter((status) => status === 201).length, 1, String(statuses));
    assert.equal(statuses.filter((status) => status === 401).length, 19, String(statuses));
  });

  const stale = [
    ["too old", { created: now() - 3600 }],
    ["ahead", { created: now() + 3600 }],
    ["expired", { expires: now() - 1 }],
    ["beyond all time", { created: 999999999999999 }],
  ];
  for (const [name, params] of stale)
    it(`stale: ${name}`, async () => {
      await refused(await post({ "content-digest": digest, ...signMessage(covered(), params) }), "signature_stale");
    });

  const unknown = [
    ["unknown key", { keyid: "nobody" }],
    ["no key", { keyid: null }],
    ["another algorithm", { alg: "ed25519" }],
    ["an algorithm that is none", { alg: "none" }],
  ];
  for (const [name, params] of unknown)
    it(`unknown: ${name}`, async () => {
      await refused(await post({ "content-digest": digest, ...signMessage(covered(), params) }), "signature_unknown_key");
    });

  it("a public key is no shared secret", async () => {
    const key = pairs.ed25519.publicKey.export({ type: "spki", format: "pem" });
    await refused(await post({ "content-digest": digest, ...signMessage(covered(), { key, keyid: "ed25519" }) }), "signature_invalid");
  });

  const malformed = [
    ["no signature", (h) => ({ "signature-input": h["signature-input"] })],
    ["another label", (h) => ({ ...h, signature: h.signature.replace("sig1", "sig2") })],
    ["no dictionary", (h) => ({ ...h, "signature-input": "()" })],
    ["no inner list", (h) => ({ ...h, "signature-input": "sig1=1;created=1" })],
    ["no bytes", (h) => ({ ...h, signature: 'sig1="text"' })],
    ["created is text", (h) => ({ ...h, "signature-input": h["signature-input"].replace(/created=\d+/, 'created="now"') })],
    ["too many", (h) => ({ ...h, "signature-input": Array.from({ length: 9 }, (_, i) => `s${i}=()`).join(", ") })],
    ["component twice", (h) => ({ ...h, "signature-input": h["signature-input"].replace('("@method"', '("@method" "@method"') })],
    ["component that is not there", (h) => ({ ...h, "signature-input": h["signature-input"].replace('("@method"', '("@method" "x-none"') })],
  ];
  for (const [name, change] of malformed)
    it(`malformed: ${name}`, async () => {
      await refused(await post({ "content-digest": digest, ...change(signMessage(covered())) }), "signature_malformed");
    });

  it("one good signature among others suffices", async () => {
    const good = signMessage(covered());
    const bad = signMessage(covered(), { keyid: "nobody", label: "proxy" });
    const answer = await post({
      "content-digest": digest,
      "signature-input": `${bad["signature-input"]}, ${good["signature-input"]}`,
      signature: `${bad.signature}, ${good.signature}`,
    });
    assert.equal(answer.status, 201, answer.text);
  });

  it("optional: who signs must sign well", async () => {
    const operations = JSON.stringify({ operations: [{ method: "POST", path: "/api/v1/notes", body: { text: "batch" } }] });
    const batchDigest = `sha-256=:${sha256(operations).toString("base64")}:`;
    const parts = [["@method", "POST"], ["@authority", authority], ["@path", "/api/v1/batch"], ["content-digest", batchDigest]];
    const send = (headers) => post(headers, operations, "/api/v1/batch");
    assert.equal((await send({})).status, 200);
    assert.equal((await send({ "content-digest": batchDigest, ...signMessage(parts, { tag: "batch", nonce: null }) })).status, 200);
    await refused(await send({ "content-digest": batchDigest, ...signMessage(parts) }), "signature_unknown_key");
    await refused(await send({ "content-digest": batchDigest, ...signMessage(parts, { tag: "batch", keyid: "other", key: `${secret}-2` }) }), "signature_unknown_key");
    await refused(await send({ "content-digest": batchDigest, ...signMessage(parts, { tag: "batch", key: "wrong" }) }), "signature_invalid");
    /* The plain profile is not taken here: it counts as not signed. */
    assert.equal((await send(signPlain("POST", "/api/v1/batch", "other"))).status, 200);
  });

  it("Content-Digest is checked though nothing is signed", async () => {
    const operations = JSON.stringify({ operations: [] });
    const send = (value) => post({ "content-digest": value }, operations, "/api/v1/batch");
    const wrong = await send(digest);
    assert.equal(wrong.status, 400, wrong.text);
    assert.equal(wrong.body.code, "digest_mismatch");
    assert.equal((await send("sha-256=what")).body.code, "digest_mismatch");
    const right = await send(`sha-256=:${sha256(operations).toString("base64")}:`);
    assert.notEqual(right.body?.code, "digest_mismatch");
  });

  it("the plain profile", async () => {
    assert.equal((await post(signPlain("POST", "/api/v1/notes", body))).status, 201);
    assert.equal((await server.get("/api/v1/notes?limit=1", { headers: signPlain("GET", "/api/v1/notes?limit=1") })).status, 200);
    await refused(await server.get("/api/v1/notes?limit=2", { headers: signPlain("GET", "/api/v1/notes?limit=1") }), "signature_invalid");
    await refused(await post(signPlain("PUT", "/api/v1/notes", body)), "signature_invalid");
    await refused(await post(signPlain("POST", "/api/v1/notes", body, { t: now() - 3600 })), "signature_stale");
    await refused(await post(signPlain("POST", "/api/v1/notes", body, { k: "nobody" })), "signature_unknown_key");
    await refused(await post(signPlain("POST", "/api/v1/notes", body, { k: "other" })), "signature_invalid");
    await refused(await post({ "x-signature": "v1=what" }), "signature_malformed");
    const without = signPlain("POST", "/api/v1/notes", body);
    without["x-signature"] = without["x-signature"].replace(/b=[0-9a-f]+,/, "");
    await refused(await post(without), "signature_incomplete", /digest of the body/);
    const again = signPlain("POST", "/api/v1/notes", body);
    assert.equal((await post(again)).status, 201);
    await refused(await post(again), "signature_replayed");
    const forged = await post(signPlain("POST", "/api/v1/notes", body), JSON.stringify({ text: "forged" }));
    assert.equal(forged.status, 400, forged.text);
    assert.equal(forged.body.code, "digest_mismatch");
  });

  it("without nonces a request may come again", async () => {
    const headers = signPlain("GET", "/health/live");
    assert.equal((await server.get("/health/live", { headers })).status, 200);
    assert.equal((await server.get("/health/live", { headers })).status, 200);
    const answer = await server.get("/health/live");
    await refused(answer, "signature_required");
    assert.equal(answer.headers.get("accept-signature"), null);
  });

  it("what happens is counted", async () => {
    const { text } = await server.get("/metrics", { admin: true });
    assert.match(text, /purlin_signature_checks_total\{outcome="good"\} \d+/);
    assert.match(text, /purlin_signature_checks_total\{outcome="replayed"\} \d+/);
    assert.match(text, /purlin_signature_nonces \d+/);
  });

  it("preflights and unknown paths need no signature", async () => {
    assert.equal((await server.options("/api/v1/notes")).status, 204);
    assert.equal((await server.get("/api/v1/notes/a/b/c")).status, 404);
  });
});

describe("signed requests through a proxy", () => {
  const target = "/api/v1/notes";
  const uri = [["@method", "GET"], ["@target-uri", `https://api.example.com${target}`]];
  const parts = [["@method", "GET"], ["@scheme", "https"], ["@authority", "api.example.com"], ["@path", target]];
  const forwarded = { "x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "https", "x-forwarded-host": "API.example.com" };
  const start = (t, env) =>
    startPurlin(t, {
      contracts,
      config: `routes:\n  - match: ${target}\n    signature: { mode: required }\n`,
      env: { PURLIN_SIGNATURE_KEYS: `shared:hmac-sha256:${secret}`, ...env },
    });

  it("that is trusted: what the client wrote is what it signed", async (t) => {
    const server = await start(t, { TRUSTED_PROXIES: "127.0.0.0/8" });
    for (const covered of [uri, parts]) {
      const answer = await server.get(target, { headers: { ...forwarded, ...signMessage(covered) } });
      assert.equal(answer.status, 200, answer.text);
    }
    assert.equal((await server.get(target, { headers: signMessage(uri) })).body.code, "signature_invalid");
  });

  it("that is not: its word changes nothing", async (t) => {
    const server = await start(t, {});
    for (const covered of [uri, parts]) {
      const answer = await server.get(target, { headers: { ...forwarded, ...signMessage(covered) } });
      assert.equal(answer.body.code, "signature_invalid", answer.text);
    }
  });
});

describe("keys of signatures", () => {
  const rows = [
    ["no algorithm", "a", /signature\.keys: a: must be id:algorithm:secret/],
    ["unknown algorithm", "a:md5:0123456789abcdef", /the algorithm must be/],
    ["short secret", "a:hmac-sha256:short", /at least 16 bytes/],
    ["file that is not there", "a:ed25519:/nowhere/key.pem", /cannot be read/],
    ["not base64", "a:hmac-sha256:base64:%%%%", /is not base64/],
    ["twice", "a:hmac-sha256:0123456789abcdef,a:hmac-sha256:0123456789abcdef", /is named twice/],
  ];
  for (const [name, keys, message] of rows)
    it(name, (t) => {
      const folder = temporaryFolder(t);
      const env = environment(folder, writeContracts(folder, contracts), { PURLIN_SIGNATURE_KEYS: keys });
      const { code, stderr } = runPurlin(["check"], { env });
      assert.equal(code, 2);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /0123456789abcdef/);
    });

  it("policies need keys, components and ids that there are", (t) => {
    const folder = temporaryFolder(t);
    const contractsFolder = writeContracts(folder, contracts);
    const problems = (env) => runPurlin(["check"], { env: environment(folder, contractsFolder, { PURLIN_SIGNATURE_MODE: "required", ...env }) }).stderr;
    assert.match(problems({}), /signature\.mode: needs keys/);
    const PURLIN_SIGNATURE_KEYS = "a:hmac-sha256:0123456789abcdef";
    assert.match(problems({ PURLIN_SIGNATURE_KEYS, PURLIN_SIGNATURE_ACCEPT: "b" }), /names b, which is not/);
    assert.match(problems({ PURLIN_SIGNATURE_KEYS, PURLIN_SIGNATURE_COMPONENTS: "@nothing" }), /@nothing must be a component/);
    assert.equal(problems({ PURLIN_SIGNATURE_KEYS }), "");
  });
});

/* What docs/signatures.md says to do is done as it stands there, but for the port. */
describe("docs/signatures.md", () => {
  it("its examples sign what is let in", async (t) => {
    const folder = temporaryFolder(t);
    const page = readFileSync(path.join(root, "docs/signatures.md"), "utf8");
    const blocks = (language) => [...page.matchAll(new RegExp(`\n\`\`\`${language}\n([\\s\\S]*?)\n\`\`\``, "g"))].map((m) => m[1]);
    const [plain, pair, message] = blocks("sh");
    const scripts = blocks("js");
    assert.equal(scripts.length, 2);
    execFileSync("bash", ["-euo", "pipefail", "-c", pair], { cwd: folder });
    const server = await startPurlin(t, {
      contracts: { orders: "resource: orders\nfields:\n  item: { type: string, max: 20 }\nrules: { read: true, create: true }\n" },
      config: "routes:\n  - match: /api/v1/orders\n    signature: { mode: required }\n",
      env: {
        PURLIN_SIGNATURE_KEYS: `partner:ed25519:${folder}/partner.pem,shell:hmac-sha256:a-shared-secret-of-32-characters`,
      },
    });
    const here = (text) => text.replaceAll("127.0.0.1:8000", `127.0.0.1:${server.port}`);
    for (const text of [plain, message]) {
      const out = execFileSync("bash", ["-euo", "pipefail", "-c", here(text)], { cwd: folder, encoding: "utf8" });
      assert.equal(JSON.parse(out).item, "beam", out);
    }
    for (const text of scripts) {
      /* Where the library is found. */
      const found = here(text).replace('"http-message-signatures"', JSON.stringify(import.meta.resolve("http-message-signatures")));
      writeFileSync(path.join(folder, "example.mjs"), found);
      const out = execFileSync(process.execPath, ["example.mjs"], { cwd: folder, encoding: "utf8" });
      assert.match(out, /^201 .*"item":"beam"/);
    }
  });
});
