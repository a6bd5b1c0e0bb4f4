/*
 * tests/support/authenticator.mjs - An authenticator in software, and the browser around it: what navigator.credentials answers to
 * options in JSON. What a test wants wrong is wrong by the last argument.
 *
 *     const device = new Authenticator({ origin: "http://localhost:8000" });
 *     const credential = device.create(options), again = device.get(options);
 */
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";

const b64 = (bytes) => Buffer.from(bytes).toString("base64url");
const sha256 = (data) => createHash("sha256").update(data).digest();

/* CBOR in the canonical form, of numbers, bytes, texts, arrays and maps. */
function head(kind, number) {
  if (number < 24) return Buffer.from([(kind << 5) | number]);
  if (number < 0x100) return Buffer.from([(kind << 5) | 24, number]);
  if (number < 0x10000) return Buffer.from([(kind << 5) | 25, number >> 8, number & 255]);
  throw new Error("too large for this encoder");
}
export function cbor(value) {
  if (typeof value === "number") return value >= 0 ? head(0, value) : head(1, -1 - value);
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.length), value]);
  if (typeof value === "string") return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(cbor)]);
  return Buffer.concat([head(5, value.size), ...[...value].flat().map(cbor)]);
}

const makers = {
  [-7]: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  [-8]: () => generateKeyPairSync("ed25519"),
  [-257]: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
};
const coseOf = {
  [-7]: ({ x, y }) => new Map([[1, 2], [3, -7], [-1, 1], [-2, Buffer.from(x, "base64url")], [-3, Buffer.from(y, "base64url")]]),
  [-8]: ({ x }) => new Map([[1, 1], [3, -8], [-1, 6], [-2, Buffer.from(x, "base64url")]]),
  [-257]: ({ n, e }) => new Map([[1, 3], [3, -257], [-1, Buffer.from(n, "base64url")], [-2, Buffer.from(e, "base64url")]]),
};

export const UP = 1, UV = 4, BE = 8, BS = 16, AT = 64, ED = 128;

export class Authenticator {
  constructor({ origin, alg = -7, counts = true, flags = UP | UV }) {
    Object.assign(this, { origin, alg, counts, flags, count: 0, credentials: [] });
  }

  #clientData(type, options, wrong) {
    return Buffer.from(JSON.stringify({ type: wrong.type ?? type, challenge: wrong.challenge ?? options.challenge, origin: wrong.origin ?? this.origin, crossOrigin: wrong.crossOrigin ?? false }));
  }

  #head(rpId, wrong, more = 0) {
    const bytes = Buffer.alloc(37);
    sha256(wrong.rpId ?? rpId).copy(bytes);
    bytes[32] = (wrong.flags ?? this.flags) | more;
    bytes.writeUInt32BE(wrong.count ?? (this.counts ? ++this.count : 0), 33);
    return bytes;
  }

  create(options, wrong = {}) {
    const { publicKey, privateKey } = makers[this.alg]();
    const id = wrong.id ?? randomBytes(32), jwk = publicKey.export({ format: "jwk" });
    const credential = { id, privateKey, rpId: options.rp.id, user: options.user.id };
    const cose = wrong.cose ?? coseOf[this.alg](jwk);
    const idLen = Buffer.from([id.length >> 8, id.length & 255]);
    const authData = Buffer.concat([this.#head(options.rp.id, wrong, AT), Buffer.alloc(16, 7), idLen, id, cbor(cose), wrong.tail ?? Buffer.alloc(0)]);
    const object = wrong.object ?? cbor(new Map([["fmt", wrong.fmt ?? "none"], ["attStmt", wrong.statement ?? new Map()], ["authData", authData]]));
    this.credentials.push(credential);
    return {
      id: b64(wrong.outerId ?? id), rawId: b64(wrong.outerId ?? id), type: "public-key", authenticatorAttachment: "platform", clientExtensionResults: {},
      response: { clientDataJSON: b64(this.#clientData("webauthn.create", options, wrong)), attestationObject: b64(object), transports: ["internal", "hybrid", "telepathy"] },
    };
  }

  get(options, wrong = {}) {
    const allowed = options.allowCredentials?.map((c) => c.id) ?? [];
    const credential = wrong.credential ?? this.credentials.find((c) => c.rpId === options.rpId && (!allowed.length || allowed.includes(b64(c.id))));
    const authData = this.#head(options.rpId, wrong), client = this.#clientData("webauthn.get", options, wrong);
    const signature = sign(this.alg === -8 ? null : "sha256", Buffer.concat([authData, sha256(client)]), wrong.key ?? credential.privateKey);
    return {
      id: b64(credential.id), rawId: b64(credential.id), type: "public-key", authenticatorAttachment: "platform", clientExtensionResults: {},
      response: { clientDataJSON: b64(client), authenticatorData: b64(wrong.authData ?? authData), signature: b64(signature), ...(wrong.userHandle === null ? {} : { userHandle: wrong.userHandle ?? credential.user }) },
    };
  }
}
