/* tests/support/auth.mjs - People who sign in: contracts to have them, and the requests they make. */
import assert from "node:assert/strict";

export const people = {
  users: `resource: users
fields:
  display_name: { type: string, min: 1, max: 60, required: true }
  email: { type: email, writeonly: true }
  karma: { type: integer, default: 0, readonly: true }
rules: { read: true, create: '"admin" in @roles', update: "id == @user", delete: "id == @user" }
`,
  notes: `resource: notes
fields:
  owner: { ref: users, default: "@user", immutable: true, on_delete: cascade }
  text: { type: string, max: 200, required: true }
rules: { read: "owner == @user", create: "@user != null", update: "owner == @user", delete: "owner == @user" }
`,
};

export const password = "correct horse battery staple";
let count = 0;
export const freshEmail = () => `person${++count}.${process.pid}@example.org`;

export const bearer = (tokens) => ({ Authorization: `Bearer ${tokens.access_token ?? tokens}` });

/* POST JSON under /auth: { status, body, headers }. */
export async function auth(server, path, body, headers = {}) {
  const answer = await fetch(`${server.url}/auth/${path}`, {
    method: "POST",
    headers: { ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: text ? JSON.parse(text) : undefined };
}

/* A new person, signed in: { email, access_token, refresh_token, ... }. */
export async function signUp(server, { email = freshEmail(), name = "Ada", ...rest } = {}) {
  const { status, body } = await auth(server, "signup", { email, password, profile: { display_name: name }, ...rest });
  assert.equal(status, 201, JSON.stringify(body));
  return { email, ...body };
}

export const login = (server, email, secret = password, rest = {}) => auth(server, "login", { email, password: secret, ...rest });

/* GET with a token: the status and the body. */
export async function get(server, path, headers = {}, method = "GET") {
  const answer = await fetch(`${server.url}${path}`, { method, headers });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: text ? JSON.parse(text) : undefined };
}

/* What a browser would send back of an answer's cookies. */
export function cookiesOf(answer) {
  const jar = {};
  for (const line of answer.headers.getSetCookie()) {
    const [pair, ...attributes] = line.split("; ");
    const at = pair.indexOf("=");
    jar[pair.slice(0, at)] = { value: pair.slice(at + 1), attributes };
  }
  return jar;
}
export const cookieHeader = (jar) => ({ Cookie: Object.entries(jar).map(([name, { value }]) => `${name}=${value}`).join("; ") });
