/*
 * tests/support/foreign.mjs - oidc-provider (npm) as a provider to sign in with: its people are what a test puts into `people`, its
 * interactions agree at once for whoever `person` names, and the browser of tests/support/oauth.mjs walks through it.
 */
import { once } from "node:events";
import { createServer } from "node:http";
import Provider from "oidc-provider";

export const clientId = "purlin", clientSecret = "provider-secret-0123456789";

const quiet = async (work) => {
  const { warn, info, error } = console; // it explains at length that its stores are for development
  Object.assign(console, { warn() {}, info() {}, error() {} });
  try { return await work(); } finally { Object.assign(console, { warn, info, error }); }
};

/* Runs until the test ends: { issuer, people, person, provider, clientToken(scope) }. `redirects` are Purlin's callbacks. */
export async function startProvider(t, { redirects = ["https://purlin.example.org/cb"], configuration = {} } = {}) {
  const self = { people: {}, person: null, requests: [] };
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  self.issuer = `http://127.0.0.1:${server.address().port}`;
  t.after(() => { server.closeAllConnections(); server.close(); });

  const setUp = (uris) => quiet(async () => {
    const provider = new Provider(self.issuer, {
      clients: [
        { client_id: clientId, client_secret: clientSecret, redirect_uris: uris, grant_types: ["authorization_code"], response_types: ["code"] },
        { client_id: "machine", client_secret: clientSecret, redirect_uris: [], grant_types: ["client_credentials"], response_types: [] },
      ],
      pkce: { required: () => true },
      claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
      conformIdTokenClaims: false,
      findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...self.people[id] }) }),
      interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: () => ({ scope: "reports:read", audience: "https://api.example.org", accessTokenFormat: "jwt" }),
        },
      },
      cookies: { keys: ["a key of the tests"] },
      ...configuration,
    });
    self.provider = provider;
    const handle = provider.callback();
    server.removeAllListeners("request");
    server.on("request", async (request, response) => {
      self.requests.push(`${request.method} ${request.url.split("?")[0]}`);
      if (self.isDown) return response.writeHead(503).end();
      if (!request.url.startsWith("/interaction/")) return handle(request, response);
      if (!self.person) return provider.interactionFinished(request, response, { error: "access_denied", error_description: "They said no" });
      const { params, session } = await provider.interactionDetails(request, response);
      const grant = new provider.Grant({ accountId: self.person, clientId: params.client_id });
      grant.addOIDCScope(params.scope);
      return provider.interactionFinished(request, response, {
        login: { accountId: session?.accountId ?? self.person }, consent: { grantId: await grant.save() },
      });
    });
  });
  self.register = setUp; // the callbacks are known only when Purlin listens
  await setUp(redirects);

  self.clientToken = async (scope = "reports:read") => {
    const answer = await fetch(`${self.issuer}/token`, {
      method: "POST",
      body: new URLSearchParams({ grant_type: "client_credentials", client_id: "machine", client_secret: clientSecret, resource: "https://api.example.org", ...(scope ? { scope } : {}) }),
    });
    const body = await answer.json();
    if (!body.access_token) throw new Error(JSON.stringify(body));
    return body.access_token;
  };
  return self;
}
