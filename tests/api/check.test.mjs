/*
 * `purlin check` reads what the configuration names: certificates, their keys, authorities, keys of signatures; and tells of all that
 * is wrong with them, without serving.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { environment, runPurlin, temporaryFolder, writeContracts } from "../support/purlin.mjs";
import { makeAuthority } from "../support/certificates.mjs";

const contracts = { things: "resource: things\nfields:\n  name: { type: string }\nrules: { read: true }\n" };

/* A certificate of another time: `from` and `to` are days from now. */
function dated(folder, name, from, to) {
  const made = { cert: path.join(folder, `${name}.pem`), key: path.join(folder, `${name}.key`) };
  const at = (days) => new Date(Date.now() + days * 86400_000).toISOString().replace(/[-:T]|\..*/g, "").slice(0, 14) + "Z";
  const config = path.join(folder, `${name}.cnf`);
  writeFileSync(config, `[ca]\ndefault_ca=d\n[d]\ndatabase=${folder}/${name}.db\nnew_certs_dir=${folder}\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n`);
  writeFileSync(path.join(folder, `${name}.db`), "");
  const run = (args) => {
    const { status, stderr } = spawnSync("openssl", args, { encoding: "utf8" });
    assert.equal(status, 0, stderr);
  };
  const request = path.join(folder, `${name}.csr`);
  run(["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", made.key, "-out", request, "-subj", `/CN=${name}`]);
  run(["ca", "-batch", "-config", config, "-selfsign", "-keyfile", made.key, "-in", request, "-out", made.cert, "-startdate", at(from), "-enddate", at(to), "-notext"]);
  return made;
}

describe("purlin check", () => {
  let folder, good, other, check;
  const cleanups = [];
  after(() => cleanups.forEach((cleanup) => cleanup()));
  before(() => {
    folder = temporaryFolder({ after: (fn) => cleanups.push(fn) });
    const ca = makeAuthority(folder);
    good = ca.sign("good");
    other = ca.sign("other");
    const where = writeContracts(folder, contracts);
    check = (certs, env = {}) =>
      runPurlin(["check"], {
        env: environment(folder, where, {
          PURLIN_TLS_CERT: certs.map((c) => c.cert).join(","),
          PURLIN_TLS_KEY: certs.map((c) => c.key).join(","),
          ...env,
        }),
      });
  });

  it("takes what is good", () => {
    const { code, stdout, stderr } = check([good, other]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /valid/);
  });

  it("tells of everything that is wrong at once", () => {
    const ended = dated(folder, "ended", -10, -1), early = dated(folder, "early", 2, 10);
    const damaged = path.join(folder, "damaged.pem"), locked = path.join(folder, "locked.pem");
    writeFileSync(damaged, "no certificate");
    writeFileSync(locked, "");
    chmodSync(locked, 0);
    const { code, stdout, stderr } = check(
      [
        { cert: good.cert, key: other.key },
        { cert: path.join(folder, "missing.pem"), key: good.key },
        { cert: damaged, key: good.key },
        ended,
        early,
        good,
      ],
      {
        PURLIN_TLS_CLIENT_AUTH: "required",
        PURLIN_TLS_CLIENT_CA: damaged,
        PURLIN_TLS_CIPHERS: "NONE-SUCH",
      },
    );
    assert.equal(code, 2);
    assert.equal(stdout, "");
    for (const want of [
      /other\.key: is not the key of the first certificate in .*good\.pem/,
      /missing\.pem: there is no such file/,
      /damaged\.pem: holds no certificate/,
      /ended\.pem: the certificate ended at \d{4}-/,
      /early\.pem: the certificate does not begin before \d{4}-/,
      /damaged\.pem: holds no certificate of an authority/,
      /tls\.ciphers: names no cipher/,
    ])
      assert.match(stderr, want);
    assert.ok(!/good\.pem: /.test(stderr), "what is good is not complained of");
    if (process.getuid() !== 0) assert.match(check([{ cert: locked, key: good.key }]).stderr, /locked\.pem: the file may not be read/);
  });

  it("reads the keys of signatures", () => {
    const { code, stderr } = check([good], { PURLIN_SIGNATURE_KEYS: `a:ed25519:${folder}/nowhere.pem,b:hmac-sha256:short` });
    assert.equal(code, 2);
    assert.match(stderr, /a: its file cannot be read/);
    assert.match(stderr, /b: /);
  });
});
