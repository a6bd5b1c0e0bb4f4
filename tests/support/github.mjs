/*
 * tests/support/github.mjs - GitHub as far as signing in goes: codes once, PKCE, errors answered with 200, numbers that stay while names
 * change hands, addresses of which one is the primary.
 */
import { createHash, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";

export async function startGithub(t) {
  const self = { clientId: "Iv1.0123456789abcdef", secret: "github-secret-0123456789", user: { id: 583231, login: "octocat", name: "The Octocat" },
    emails: [{ email: "octocat@users.noreply.example.org", primary: false, verified: true }, { email: "octo@example.org", primary: true, verified: true }],
    codes: new Map(), tokens: new Set(), isDown: false, requests: [] };
  const json = (response, body, status = 200) => response.writeHead(status, { "Content-Type": "application/json; charset=utf-8" }).end(JSON.stringify(body));
  const exchange = (form, response) => {
    const code = self.codes.get(form.get("code"));
    self.codes.delete(form.get("code"));
    if (form.get("client_id") !== self.clientId || form.get("client_secret") !== self.secret)
      return json(response, { error: "incorrect_client_credentials", error_description: "The client_id and/or client_secret passed are incorrect." });
    const challenge = createHash("sha256").update(form.get("code_verifier") ?? "").digest("base64url");
    if (!code || code.challenge !== challenge || code.redirect !== form.get("redirect_uri"))
      return json(response, { error: "bad_verification_code", error_description: "The code passed is incorrect or expired." });
    const token = `gho_${randomUUID()}`;
    self.tokens.add(token);
    json(response, { access_token: token, token_type: "bearer", scope: "read:user,user:email" });
  };
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, self.url);
    self.requests.push(url.pathname);
    if (self.isDown) return response.writeHead(502).end("<h1>unicorn</h1>");
    if (url.pathname === "/login/oauth/authorize") {
      const code = randomUUID(), back = new URL(url.searchParams.get("redirect_uri"));
      self.codes.set(code, { challenge: url.searchParams.get("code_challenge"), redirect: back.href });
      back.searchParams.set("code", code);
      back.searchParams.set("state", url.searchParams.get("state"));
      return response.writeHead(302, { Location: back.href }).end();
    }
    if (url.pathname === "/login/oauth/access_token") {
      let body = "";
      for await (const chunk of request) body += chunk;
      if (request.headers.accept !== "application/json") return response.writeHead(200, { "Content-Type": "application/x-www-form-urlencoded" }).end("access_token=x");
      return exchange(new URLSearchParams(body), response);
    }
    const token = request.headers.authorization?.replace(/^Bearer /, "");
    if (!self.tokens.has(token) || !request.headers["user-agent"]) return json(response, { message: "Bad credentials" }, 401);
    if (url.pathname === "/api/v3/user") return json(response, { ...self.user, email: null });
    if (url.pathname === "/api/v3/user/emails") return json(response, self.emails.map((one) => ({ visibility: null, ...one })));
    json(response, { message: "Not Found" }, 404);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  self.url = `http://127.0.0.1:${server.address().port}`;
  t.after(() => { server.closeAllConnections(); server.close(); });
  return self;
}
