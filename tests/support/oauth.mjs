/*
 * tests/support/oauth.mjs - A server with OAuth clients, and a browser without scripts: cookies, forms, redirects one at a time.
 */
import { createHash, randomBytes, webcrypto } from "node:crypto";
import { password, people } from "./auth.mjs";
import { startPurlin } from "./purlin.mjs";

// The clients of npm use it as a global, which Node.js 18 does not have.
globalThis.crypto ??= webcrypto;
globalThis.CryptoKey ??= webcrypto.CryptoKey;

export const redirect = "https://app.example.org/callback";
export const webSecret = "web-secret-0123456789", serviceSecret = "service secret: 100% & more+", otherSecret = "other-secret-0123456789";

export const config = `
roles:
  reader: { permissions: ["reports:read", "notes:read"] }
  writer: { permissions: ["reports:create", "notes:*"] }
oauth:
  scopes:
    notes.read: { description: Read your notes, roles: [reader] }
    notes.write: { description: Write notes for you, roles: [writer] }
    reports: { description: Make reports, permissions: ["reports:create"] }
  clients:
    - { id: web, name: "Web <App> & Co", secret: ${webSecret}, redirect_uris: ["${redirect}", "https://app.example.org/other?a=1"], scopes: [openid, profile, email, offline_access, notes.read, notes.write] }
    - { id: other, secret: ${otherSecret}, redirect_uris: ["${redirect}"], scopes: [openid, notes.read] }
    - { id: ours, redirect_uris: ["https://ours.example.org/cb"], scopes: [openid, offline_access], trusted: true }
    - { id: native, name: A native app, redirect_uris: ["http://127.0.0.1/cb", "http://[::1]/cb", "com.example.app:/cb"], scopes: [openid, notes.read] }
    - { id: brief, secret: ${otherSecret}, redirect_uris: ["${redirect}"], grants: [authorization_code], scopes: [openid] }
    - { id: service, secret: "${serviceSecret}", grants: [client_credentials], scopes: [notes.read, reports] }
`;

const cheap = { PURLIN_AUTH_PASSWORD_MEMORY: "8MiB", PURLIN_AUTH_PASSWORD_PASSES: "1" };
export const contracts = {
  ...people,
  reports: `resource: reports
fields: { text: { type: string, max: 200, required: true } }
rules: { read: '"reader" in @roles', create: '"writer" in @roles' }
`,
};
export const startOauth = (t, { env = {}, text = config, ...rest } = {}) => startPurlin(t, { contracts, config: text, env: { ...cheap, ...env }, ...rest });

export function pkce() {
  const verifier = randomBytes(32).toString("base64url");
  return { verifier, challenge: createHash("sha256").update(verifier).digest("base64url") };
}

/* The parameters of a good authorization request; null leaves one out. */
export function request(overrides = {}) {
  const { challenge, verifier } = pkce();
  const params = {
    response_type: "code", client_id: "web", redirect_uri: redirect, scope: "openid", state: "st<a>te&1", nonce: "n-1",
    code_challenge: challenge, code_challenge_method: "S256", ...overrides,
  };
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== null));
  return { verifier, params, query };
}

/* POST a form: { status, headers, body }. */
export async function post(server, path, form, headers = {}) {
  const answer = await fetch(`${server.url}${path}`, { method: "POST", redirect: "manual", headers, body: form instanceof URLSearchParams ? form : new URLSearchParams(form) });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, text, body: /json/.test(answer.headers.get("content-type") ?? "") ? JSON.parse(text) : undefined };
}
export const basic = (id, secret) => ({ Authorization: `Basic ${btoa(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`)}` });

const unescape = (text) => text.replace(/&(amp|lt|gt|quot|#39);/g, (_, name) => ({ amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" })[name]);

export class Browser {
  constructor(server) {
    this.server = server;
    this.jar = new Map();
  }

  /* One request; what a browser keeps of the answer is kept. */
  async go(path, { method = "GET", form, headers = {} } = {}) {
    const answer = await fetch(new URL(path, this.server.url), {
      method,
      redirect: "manual",
      headers: { ...(this.jar.size ? { Cookie: [...this.jar].map(([name, value]) => `${name}=${value}`).join("; ") } : {}), ...headers },
      body: form && new URLSearchParams(form),
    });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (value) this.jar.set(name, value);
      else this.jar.delete(name);
    }
    const location = answer.headers.get("location");
    return { status: answer.status, headers: answer.headers, text: await answer.text(), location: location && new URL(location, this.server.url) };
  }

  authorize(query) {
    return this.go(`/oauth/authorize?${query}`);
  }

  /* Fill in the form of a page, and send it from that page. */
  submit(page, fields, headers = { "Sec-Fetch-Site": "same-origin", Origin: this.server.url }) {
    const action = unescape(/<form method="post" action="([^"]*)"/.exec(page.text)[1]);
    const hidden = Object.fromEntries([...page.text.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)].map(([, name, value]) => [unescape(name), unescape(value)]));
    return this.go(action, { method: "POST", form: { ...hidden, ...fields }, headers });
  }

  signIn(page, email, secret = password) {
    return this.submit(page, { email, password: secret });
  }

  /* All of it: sign in if asked, agree if asked. Returns where the client is called. */
  async through(query, email) {
    let answer = await this.authorize(query);
    if (/action="\/oauth\/login"/.test(answer.text)) answer = await this.signIn(answer, email);
    if (/action="\/oauth\/consent"/.test(answer.text)) answer = await this.submit(answer, { decision: "allow" });
    if (!answer.location) throw new Error(`${answer.status} ${answer.text}`);
    return answer.location;
  }
}

/* A whole code flow: the token endpoint's answer. */
export async function tokensOf(server, email, overrides = {}, secret = webSecret) {
  const asked = request(overrides);
  const location = await new Browser(server).through(asked.query, email);
  return post(server, "/oauth/token", {
    grant_type: "authorization_code", code: location.searchParams.get("code"), redirect_uri: asked.params.redirect_uri, code_verifier: asked.verifier,
    client_id: asked.params.client_id, ...(secret ? { client_secret: secret } : {}),
  });
}
