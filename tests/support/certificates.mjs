/*
 * tests/support/certificates.mjs - Certificates for tests, made by openssl: an authority, what it signs, and OCSP answers about it.
 *
 *     const ca = makeAuthority(folder);
 *     const site = ca.sign("site", { names: "DNS:a.example" });  // { cert, key }: paths
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

function openssl(args) {
  const { status, stdout, stderr } = spawnSync("openssl", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`openssl ${args.join(" ")}: ${stderr}`);
  return stdout;
}

const kinds = {
  ec: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
  rsa: ["-newkey", "rsa:2048"],
};

export function makeAuthority(folder, name = "authority") {
  const at = (file) => path.join(folder, file);
  const cert = at(`${name}.pem`), key = at(`${name}.key`);
  openssl(["req", "-x509", ...kinds.ec, "-nodes", "-keyout", key, "-out", cert, "-days", "30", "-subj", `/CN=${name}`,
    "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
  const ca = { cert, key, text: readFileSync(cert) };

  /* Sign a certificate into FILE.pem and FILE.key, or over `replaces`. */
  ca.sign = (file, { names = "DNS:localhost,IP:127.0.0.1", subject = `/CN=${file}`, kind = "ec", days = 20, usage = "serverAuth" } = {}) => {
    const made = { cert: at(`${file}.pem`), key: at(`${file}.key`) };
    openssl(["req", "-x509", "-CA", cert, "-CAkey", key, ...kinds[kind], "-nodes", "-keyout", made.key, "-out", made.cert,
      "-days", String(days), "-subj", subject, "-addext", "basicConstraints=critical,CA:FALSE",
      "-addext", `subjectAltName=${names}`, "-addext", `extendedKeyUsage=${usage}`]);
    return made;
  };

  /* An OCSP answer about a certificate, in DER: "good", or "revoked"; good until `days` from now. */
  ca.ocsp = (signed, { status = "good", days = 2 } = {}) => {
    const serial = openssl(["x509", "-in", signed.cert, "-noout", "-serial"]).trim().split("=")[1];
    const index = at(`${serial}.index`), request = at(`${serial}.request`), answer = at(`${serial}.${status}.der`);
    const state = status === "good" ? "V\t491231235959Z\t" : "R\t491231235959Z\t250101000000Z";
    writeFileSync(index, `${state}\t${serial}\tunknown\t/CN=x\n`);
    openssl(["ocsp", "-issuer", cert, "-cert", signed.cert, "-reqout", request]);
    openssl(["ocsp", "-index", index, "-rsigner", cert, "-rkey", key, "-CA", cert, "-reqin", request, "-respout", answer, "-ndays", String(days)]);
    return answer;
  };
  return ca;
}
