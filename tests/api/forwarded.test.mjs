/*
 * Whose request it is: what proxies say, believed from those that are trusted and nobody else. And which names are answered to.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { after, before, describe, it } from "node:test";
import { adminKey, startPurlin } from "../support/purlin.mjs";

const contracts = {
  things: "resource: things\nfields:\n  name: { type: string, max: 50, required: true }\nrules: { read: true, create: true, update: true, delete: true }\n",
};

/* fetch does not let a test set Host. */
async function ask(server, target, headers, options = {}) {
  const request = http.request({ host: "127.0.0.1", port: server.port, path: target, headers, agent: false, ...options });
  request.end();
  const [answer] = await once(request, "response");
  let text = "";
  for await (const chunk of answer) text += chunk;
  return { status: answer.statusCode, headers: answer.headers, body: text && /json/.test(answer.headers["content-type"] ?? "") ? JSON.parse(text) : text };
}

/* The address that the access log has for a request with these headers. */
async function clientOf(server, headers, options) {
  const id = `t${Math.random().toString(36).slice(2)}`;
  await ask(server, "/api/v1/things", { ...headers, "X-Request-Id": id }, options);
  for (let i = 0; i < 500; i++) {
    const line = server.log.find((entry) => entry.request_id === id);
    if (line) return line.client_ip;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("no access line");
}

function suite(name, env, body) {
  describe(name, () => {
    const cleanups = [];
    const own = {};
    before(async () => {
      Object.assign(own, { server: await startPurlin({ after: (fn) => cleanups.push(fn) }, { contracts, env }) });
    });
    after(async () => {
      for (const cleanup of cleanups.reverse()) await cleanup();
    });
    body(own);
  });
}

function table(own, cases) {
  for (const [what, headers, want] of cases)
    it(what, async () => assert.equal(await clientOf(own.server, headers), want));
}

suite("a peer that nobody trusts", {}, (own) => {
  table(own, [
    ["is who it is", {}, "127.0.0.1"],
    ["whatever X-Forwarded-For says", { "X-Forwarded-For": "203.0.113.9" }, "127.0.0.1"],
    ["whatever Forwarded says", { Forwarded: "for=203.0.113.9" }, "127.0.0.1"],
    ["whatever both say", { Forwarded: "for=203.0.113.9", "X-Forwarded-For": "203.0.113.9" }, "127.0.0.1"],
  ]);
  it("asks for no https URL in clear (RFC 9110 7.4)", async () => {
    for (const target of ["https://h/api/v1/things", "HTTPS://h/health/live"]) {
      const answer = await ask(own.server, target, {});
      assert.equal(answer.status, 421);
      assert.match(answer.body.type, /http\/misdirected$/);
    }
    assert.equal((await ask(own.server, "http://h/api/v1/things", {})).status, 200);
  });
  it("and is named once as a proxy that may be missing in the list", () => {
    const lines = own.server.log.filter((entry) => entry.msg === "http.unlisted_proxy");
    assert.equal(lines.length, 1);
    assert.equal(lines[0].peer, "127.0.0.1");
    assert.match(lines[0].hint, /server\.trusted_proxies/);
  });
});

suite("a trusted proxy", { TRUSTED_PROXIES: "127.0.0.0/8, 10.0.0.0/8, 2001:db8:ffff::/48" }, (own) => {
  table(own, [
    ["says nothing", {}, "127.0.0.1"],
    ["names the client", { "X-Forwarded-For": "203.0.113.9" }, "203.0.113.9"],
    ["names it in IPv6, in any spelling", { "X-Forwarded-For": "2001:DB8:0::1" }, "2001:db8::1"],
    ["with a port", { "X-Forwarded-For": "203.0.113.9:1234" }, "203.0.113.9"],
    ["with brackets and a port", { "X-Forwarded-For": "[2001:db8::1]:1234" }, "2001:db8::1"],
    ["appends to what the client made up", { "X-Forwarded-For": "1.1.1.1, 203.0.113.9" }, "203.0.113.9"],
    ["is the last of several that are trusted", { "X-Forwarded-For": "1.1.1.1, 203.0.113.9, 10.1.2.3, 2001:db8:ffff::7" }, "203.0.113.9"],
    ["writes lines of its own", { "X-Forwarded-For": ["1.1.1.1", "203.0.113.9", "10.1.2.3"] }, "203.0.113.9"],
    ["forwards for a proxy alone", { "X-Forwarded-For": "10.1.2.3" }, "10.1.2.3"],
    ["has it from nobody known", { "X-Forwarded-For": "203.0.113.9, unknown" }, "127.0.0.1"],
    ["has it from nobody known behind another", { "X-Forwarded-For": "garbage, 10.1.2.3" }, "10.1.2.3"],
    ["writes Forwarded", { Forwarded: "for=203.0.113.9" }, "203.0.113.9"],
    ["writes Forwarded in IPv6", { Forwarded: 'for="[2001:db8::1]:99";proto=https' }, "2001:db8::1"],
    ["is the last of several in Forwarded", { Forwarded: "for=1.1.1.1, for=203.0.113.9;by=_x, for=10.0.0.2" }, "203.0.113.9"],
    ["hides whom it has it from", { Forwarded: "for=203.0.113.9, for=_hidden" }, "127.0.0.1"],
    ["cannot be misled by an open quote", { Forwarded: 'for="1.1.1.1, for=203.0.113.9' }, "127.0.0.1"],
    ["says the same in both families", { Forwarded: "for=203.0.113.9", "X-Forwarded-For": "203.0.113.9" }, "203.0.113.9"],
    ["lets one family through as the client sent it", { Forwarded: "for=1.1.1.1", "X-Forwarded-For": "203.0.113.9" }, "127.0.0.1"],
    ["is far away", { "X-Forwarded-For": `203.0.113.9, ${Array(23).fill("10.0.0.1").join(", ")}` }, "203.0.113.9"],
    ["is farther away than anybody goes", { "X-Forwarded-For": `203.0.113.9, ${Array(300).fill("10.0.0.1").join(",")}` }, "10.0.0.1"],
  ]);
  it("may ask for an https URL, which it had over TLS", async () => {
    assert.equal((await ask(own.server, "https://h/api/v1/things", {})).status, 200);
  });
  it("is told once that its headers disagree", () => {
    assert.equal(own.server.log.filter((entry) => entry.msg === "http.forwarded_conflict").length, 1);
    assert.equal(own.server.log.filter((entry) => entry.msg === "http.unlisted_proxy").length, 0);
  });
});

suite("a proxy that writes X-Forwarded-For", { TRUSTED_PROXIES: "127.0.0.1", PURLIN_FORWARDED: "x-forwarded" }, (own) =>
  table(own, [
    ["is believed there", { Forwarded: "for=1.1.1.1", "X-Forwarded-For": "203.0.113.9" }, "203.0.113.9"],
    ["and not elsewhere", { Forwarded: "for=1.1.1.1" }, "127.0.0.1"],
  ]),
);

suite("a proxy that writes Forwarded", { TRUSTED_PROXIES: "127.0.0.1", PURLIN_FORWARDED: "forwarded" }, (own) =>
  table(own, [
    ["is believed there", { Forwarded: "for=203.0.113.9", "X-Forwarded-For": "1.1.1.1" }, "203.0.113.9"],
    ["and not elsewhere", { "X-Forwarded-For": "1.1.1.1" }, "127.0.0.1"],
  ]),
);

suite("a proxy that writes nothing", { TRUSTED_PROXIES: "127.0.0.1", PURLIN_FORWARDED: "off" }, (own) =>
  table(own, [
    ["passes on what clients make up", { "X-Forwarded-For": "1.1.1.1", "X-Forwarded-Host": "evil.example" }, "127.0.0.1"],
    ["in either family", { Forwarded: "for=1.1.1.1" }, "127.0.0.1"],
  ]),
);

suite("names", { TRUSTED_PROXIES: "127.0.0.1", PURLIN_HOSTS: "api.example.org, *.shop.example" }, (own) => {
  const cases = [
    ["api.example.org", 200],
    ["API.Example.Org:8000", 200],
    ["api.example.org.", 200],
    ["de.shop.example", 200],
    ["a.b.shop.example:80", 200],
    ["shop.example", 421],
    ["evil.example", 421],
    ["api.example.org.evil.example", 421],
    ["127.0.0.1", 421],
    ["[::1]:8000", 421],
  ];
  for (const [host, status] of cases)
    it(`${host}: ${status}`, async () => {
      const answer = await ask(own.server, "/api/v1/things", { Host: host });
      assert.equal(answer.status, status);
      if (status === 421) {
        assert.equal(answer.headers["content-type"], "application/problem+json");
        assert.match(answer.body.type, /http\/unknown-host$/);
        assert.ok(answer.headers["x-request-id"]);
      }
    });
  it("a proxy may name the host", async () => {
    const headers = { Host: "backend.internal" };
    for (const extra of [{ "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "api.example.org" }, { Forwarded: "for=203.0.113.9;host=api.example.org" }])
      assert.equal((await ask(own.server, "/api/v1/things", { ...headers, ...extra })).status, 200);
    assert.equal((await ask(own.server, "/api/v1/things", { ...headers, "X-Forwarded-Host": "evil.example" })).status, 421);
    assert.equal((await ask(own.server, "/api/v1/things", { ...headers, "X-Forwarded-Host": "api.example.org/evil" })).status, 421);
  });
  it("balancers ask an address for its health", async () => {
    for (const host of ["127.0.0.1", "10.1.2.3:8000", "[2001:db8::1]:8000"])
      for (const path of ["/health/live", "/health/ready"]) assert.equal((await ask(own.server, path, { Host: host })).status, 200);
    assert.equal((await ask(own.server, "/health/live", { Host: "evil.example" })).status, 421);
    assert.equal((await ask(own.server, "/api/v1/things", { Host: "127.0.0.1", "X-API-Key": adminKey })).status, 421);
  });
});
