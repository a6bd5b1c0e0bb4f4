/* https as an operator meets it: certificates replaced under load, a certificate for development, and what testssl.sh says of it all. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import https from "node:https";
import path from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import tls from "node:tls";
import { makeAuthority } from "../support/certificates.mjs";
import { environment, runPurlin, startPurlin, temporaryFolder, writeContracts } from "../support/purlin.mjs";

const contracts = { things: "resource: things\nfields:\n  name: { type: string, max: 50, required: true }\nrules: { read: true, create: true, update: true, delete: true }\n" };
const tlsPort = (server) => Number(/https:\/\/127\.0\.0\.1:(\d+)/.exec(server.log.find((l) => l.msg === "server.ready").urls)[1]);

const get = (options) =>
  new Promise((resolve, reject) => {
    const request = https.get({ host: "127.0.0.1", servername: "localhost", path: "/api/v1/things", ...options }, (answer) => {
      const serial = answer.socket.getPeerCertificate().serialNumber;
      answer.resume();
      answer.on("end", () => resolve({ status: answer.statusCode, serial }));
      answer.on("error", reject);
    });
    request.on("error", reject);
  });

/* Wait for the next line of `msg`. */
async function logged(server, msg, act) {
  const before = server.log.filter((l) => l.msg === msg).length;
  act();
  for (let i = 0; i < 1500; i++) {
    const lines = server.log.filter((l) => l.msg === msg);
    if (lines.length > before) return lines.at(-1);
    await sleep(10);
  }
  throw new Error(`${msg} was not logged`);
}

describe("certificates under load", () => {
  it("are replaced without a failed request of 100 connections", async (t) => {
    const folder = temporaryFolder(t), ca = makeAuthority(folder);
    const made = Array.from({ length: 4 }, (_, i) => ca.sign(`site${i}`, { names: "DNS:localhost" }));
    const at = { cert: path.join(folder, "live.pem"), key: path.join(folder, "live.key") };
    /* As certbot does: beside, then renamed into place; key and certificate one after the other. */
    const install = ({ cert, key }) => {
      for (const [from, to] of [[key, at.key], [cert, at.cert]]) {
        copyFileSync(from, `${to}.new`);
        renameSync(`${to}.new`, to);
      }
    };
    install(made[0]);
    const server = await startPurlin(t, {
      contracts,
      folder,
      env: { PURLIN_TLS_PORT: "0", PURLIN_TLS_CERT: at.cert, PURLIN_TLS_KEY: at.key, PURLIN_TLS_WATCH: "100ms", PURLIN_RATE_MODE: "off", PURLIN_ACCESS_LOG: "off" },
    });
    const port = tlsPort(server), serials = new Set(), failures = [];
    let running = true, requests = 0;
    const load = Array.from({ length: 100 }, async (_, i) => {
      /* Most keep their connection; some make a new one for each request, without a session that remembers the certificate. */
      const agent = new https.Agent({ ca: ca.text, keepAlive: i % 5 !== 0, maxSockets: 1, maxCachedSessions: 0 });
      const seen = new Set();
      while (running) {
        try {
          const { status, serial } = await get({ port, agent });
          if (status !== 200) failures.push(status);
          requests++;
          serials.add(serial);
          seen.add(serial);
        } catch (error) {
          failures.push(error.message);
        }
      }
      agent.destroy();
      if (i % 5 !== 0) assert.equal(seen.size, 1, "an open connection keeps its certificate");
    });
    await sleep(200);
    await logged(server, "tls.certificate", () => install(made[1])); // seen by itself
    await sleep(200);
    await logged(server, "server.reloaded", () => (install(made[2]), server.child.kill("SIGHUP")));
    await sleep(200);
    const line = await logged(server, "tls.refused", () => copyFileSync(made[3].key, at.key)); // one file of two
    assert.match(line.problem, /live\.key: is not the key of the first certificate in .*live\.pem$/);
    await sleep(200);
    await logged(server, "tls.refused", () => writeFileSync(at.cert, "nonsense"));
    await logged(server, "tls.certificate", () => install(made[3]));
    await sleep(300);
    running = false;
    await Promise.all(load);
    assert.deepEqual(failures, []);
    assert.equal(serials.size, 4, "each of the good ones was served");
    assert.ok(requests > 500, `${requests} requests`);
    const metrics = (await server.get("/metrics")).text;
    assert.match(metrics, /^purlin_tls_reloads_total\{outcome="ok"\} [3-9]/m);
    assert.match(metrics, /^purlin_tls_reloads_total\{outcome="refused"\} [2-9]/m);
  });

  it("are refused at start and at SIGHUP with the reason", async (t) => {
    const folder = temporaryFolder(t), ca = makeAuthority(folder), site = ca.sign("site"), other = ca.sign("other");
    const contractsFolder = writeContracts(folder, contracts), empty = path.join(folder, "empty.pem");
    writeFileSync(empty, "");
    for (const [env, want] of [
      [{ PURLIN_TLS: "on" }, /tls\.cert.* is needed for https; `purlin cert dev` makes one/],
      [{ PURLIN_TLS_CERT: site.cert }, /tls\.key.* must name one file for each of tls\.cert/],
      [{ PURLIN_TLS_CERT: site.cert, PURLIN_TLS_KEY: `${site.key},${other.key}` }, /tls\.key/],
      [{ PURLIN_TLS_CERT: "/nowhere.pem", PURLIN_TLS_KEY: site.key }, /TLS: \/nowhere\.pem: there is no such file/],
      [{ PURLIN_TLS_CERT: empty, PURLIN_TLS_KEY: site.key }, /empty\.pem: holds no certificate in PEM/],
      [{ PURLIN_TLS_CERT: site.cert, PURLIN_TLS_KEY: site.cert }, /site\.pem: holds no private key in PEM/],
      [{ PURLIN_TLS_CERT: site.cert, PURLIN_TLS_KEY: other.key }, /other\.key: is not the key of the first certificate/],
      [{ PURLIN_TLS_CERT: site.cert, PURLIN_TLS_KEY: site.key, PURLIN_TLS_CIPHERS: "NONSENSE" }, /tls\.ciphers: names no cipher/],
      [{ PURLIN_TLS_CERT: site.cert, PURLIN_TLS_KEY: site.key, PURLIN_TLS_CLIENT_AUTH: "required" }, /tls\.client_ca.* is needed/],
      [{ PURLIN_TLS_CERT: site.cert, PURLIN_TLS_KEY: site.key, PURLIN_TLS_CLIENT_AUTH: "required", PURLIN_TLS_CLIENT_CA: empty }, /empty\.pem: holds no certificate of an authority/],
    ]) {
      const { code, stderr } = runPurlin(["serve"], { env: environment(folder, contractsFolder, env), cwd: folder });
      assert.equal(code, 2, stderr);
      assert.match(stderr, want);
    }
  });
});

describe("purlin cert dev", () => {
  it("makes what https can be tried with, once", async (t) => {
    const folder = temporaryFolder(t), env = environment(folder, folder);
    const cert = (...args) => runPurlin(["cert", ...args], { env, cwd: folder });
    const made = cert("dev", "--host", "app.test", "--host", "192.0.2.7");
    assert.equal(made.code, 0, made.stderr);
    const at = (file) => path.join(folder, "data/tls", file);
    assert.equal(statSync(at("key.pem")).mode & 0o777, 0o600);
    const server = await startPurlin(t, { contracts, folder, env: { PURLIN_TLS_PORT: "0", PURLIN_TLS_CERT: at("cert.pem"), PURLIN_TLS_KEY: at("key.pem") } });
    for (const name of ["localhost", "app.test"]) {
      const socket = tls.connect({ port: tlsPort(server), host: "127.0.0.1", servername: name, ca: readFileSync(at("ca.pem")) });
      await once(socket, "secureConnect");
      assert.equal(socket.authorized, true);
      assert.match(socket.getPeerCertificate().subjectaltname, /IP Address:192\.0\.2\.7/);
      socket.destroy();
    }
    assert.ok(!existsSync(at("ca.key")), "nothing else can be signed");
    const again = cert("dev");
    assert.equal(again.code, 1);
    assert.match(again.stderr, /already; --force replaces it/);
    assert.equal(cert("dev", "--force", "--days", "10").code, 0);
    for (const wrong of [[], ["prod"], ["dev", "--days", "0"], ["dev", "--days", "826"], ["dev", "--host", "a,DNS:b"], ["dev", "--host", ""], ["dev", "x"]])
      assert.equal(cert(...wrong).code, 2, wrong.join(" "));
    assert.equal(cert("--help").code, 0);
    writeFileSync(path.join(folder, "file"), "");
    assert.equal(cert("dev", "--folder", "file/x").code, 1);
  });
});

describe("testssl.sh", () => {
  /* What it says of a certificate that no public authority signed, and of a server whose clients choose nothing. */
  const notOurs = /^(cert_ocspURL|cert_crlDistributionPoints|cert_revocation|OCSP_stapling|DNS_CAArecord|cert_notAfter|cert_expirationStatus|cert_trust_wildcard|cert_chain_of_trust|certificate_transparency|scanTime|engine_problem|HSTS.*)/;

  it("finds nothing to complain of", { timeout: 600_000 }, async (t) => {
    const folder = temporaryFolder(t), ca = makeAuthority(folder), site = ca.sign("site", { days: 90 });
    const server = await startPurlin(t, { contracts, folder, env: { PURLIN_TLS_PORT: "0", PURLIN_TLS_CERT: site.cert, PURLIN_TLS_KEY: site.key } });
    const report = path.join(folder, "report.json");
    const child = spawn(
      "testssl",
      ["--color", "0", "--quiet", "--warnings", "off", "--add-ca", ca.cert, "--ip", "127.0.0.1", "--nodns", "none",
        "--fast", "-p", "-s", "-P", "-S", "-U", "--jsonfile", report, `https://localhost:${tlsPort(server)}`],
      { cwd: folder, stdio: "ignore" },
    );
    t.after(() => child.kill());
    const [code] = await once(child, "exit");
    const findings = JSON.parse(readFileSync(report, "utf8"));
    const of = (id) => findings.find((f) => f.id === id)?.finding ?? "";
    assert.match(of("TLS1_3"), /^offered/);
    assert.match(of("TLS1_2"), /^offered/);
    assert.match(of("TLS1_1"), /^not offered/);
    assert.ok(findings.length > 60, `${findings.length} findings, exit ${code}`);
    const bad = findings.filter((f) => /^(LOW|MEDIUM|HIGH|CRITICAL|FATAL)$/.test(f.severity) && !notOurs.test(f.id));
    assert.deepEqual(bad.map((f) => `${f.severity} ${f.id}: ${f.finding}`), []);
  });
});
