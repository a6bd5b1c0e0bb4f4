/* Behind the proxies that people have, configured as docs/listeners.md says. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import path from "node:path";
import { describe, it } from "node:test";
import { startPurlin, temporaryFolder } from "../support/purlin.mjs";

const contracts = { things: "resource: things\nfields:\n  name: { type: string, max: 50, required: true }\nrules: { read: true, create: true, update: true, delete: true }\n" };

async function until(what, seconds = 30) {
  for (let i = 0; i < seconds * 50; i++) {
    const found = await what();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("it did not happen in time");
}

const ask = (options) =>
  new Promise((resolve, reject) => {
    http.get({ path: "/api/v1/things", ...options }, (answer) => answer.resume().on("end", () => resolve(answer.statusCode))).on("error", reject);
  });

function run(t, program, args, options) {
  const child = spawn(program, args, options);
  const ended = once(child, "exit");
  t.after(async () => {
    child.kill();
    await ended;
  });
  return child;
}

async function clientOf(server, options) {
  const id = `x${Math.random().toString(36).slice(2)}`;
  assert.equal(await ask({ ...options, headers: { ...options.headers, "X-Request-Id": id } }), 200);
  return (await until(() => server.log.find((entry) => entry.request_id === id))).client_ip;
}

/* A listening socket for a child: { fd, port, give }; after give() it is the child's alone. */
async function socketFor() {
  const server = net.createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { fd: server._handle.fd, port: server.address().port, give: () => server.close() };
}

describe("behind HAProxy", () => {
  for (const version of ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,crc32c"]) {
    it(`with ${version}, clients have their own addresses, in logs and in limits`, async (t) => {
      const folder = temporaryFolder(t), front = await socketFor();
      const server = await startPurlin(t, {
        contracts,
        env: { TRUSTED_PROXIES: "127.0.0.2", PURLIN_PROXY_PROTOCOL: "on", PURLIN_LIMITS: "on", PURLIN_RATE_REQUESTS: "3/hour/ip" },
      });
      writeFileSync(
        path.join(folder, "haproxy.cfg"),
        `defaults
  mode tcp
  timeout connect 10s
  timeout client 30s
  timeout server 30s
frontend front
  bind fd@3
  unique-id-format %[uuid]
  default_backend purlin
backend purlin
  source 127.0.0.2
  server one 127.0.0.1:${server.port} ${version} check check-send-proxy inter 100ms
`,
      );
      run(t, "haproxy", ["-q", "-db", "-f", path.join(folder, "haproxy.cfg")], { stdio: ["ignore", "ignore", "inherit", front.fd] });
      front.give();
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      t.after(() => agent.destroy());
      const at = (localAddress) => ({ host: "127.0.0.1", port: front.port, localAddress });
      assert.equal(await clientOf(server, { ...at("127.0.0.7"), agent }), "127.0.0.7");
      assert.equal(await clientOf(server, { ...at("127.0.0.7"), agent, headers: { "X-Forwarded-For": "203.0.113.1" } }), "127.0.0.7", "a client says nothing about itself");
      assert.equal(await clientOf(server, { ...at("127.0.0.8"), agent: false }), "127.0.0.8");
      assert.equal(await ask({ ...at("127.0.0.7"), agent }), 200);
      assert.equal(await ask({ ...at("127.0.0.7"), agent: false }), 429, "of 3 an hour the fourth");
      assert.equal(await ask({ ...at("127.0.0.8"), agent: false }), 200);
      assert.match((await server.get("/metrics")).text, /purlin_connections_refused_total\{reason="proxy_header"\} 0\b/);
    });
  }
});

describe("behind nginx", () => {
  it("over a unix socket, clients are whom it names", async (t) => {
    const folder = temporaryFolder(t), at = (name) => path.join(folder, name);
    const server = await startPurlin(t, { contracts, env: { PURLIN_UNIX: at("p.sock"), PURLIN_UNIX_MODE: "0666", PURLIN_CLEAR: "off", TRUSTED_PROXIES: "unix" } });
    mkdirSync(at("tmp"));
    writeFileSync(
      at("nginx.conf"),
      `daemon off; master_process off; pid ${at("pid")}; error_log ${at("error.log")};
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path ${at("tmp")}; proxy_temp_path ${at("tmp")}; fastcgi_temp_path ${at("tmp")}; uwsgi_temp_path ${at("tmp")}; scgi_temp_path ${at("tmp")};
  set_real_ip_from unix:; real_ip_header X-Client;
  upstream purlin { server unix:${at("p.sock")}; keepalive 4; }
  server {
    listen unix:${at("front.sock")};
    location / {
      proxy_pass http://purlin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }
  }
}
`,
    );
    const check = spawnSync("nginx", ["-t", "-c", at("nginx.conf"), "-e", at("error.log")], { encoding: "utf8" });
    assert.equal(check.status, 0, check.stderr);
    run(t, "nginx", ["-c", at("nginx.conf"), "-e", at("error.log")], { stdio: "ignore" });
    await until(() => existsSync(at("front.sock")));
    const socketPath = at("front.sock");
    await until(() => ask({ socketPath, headers: { Host: "h" } }).then((status) => status === 200, () => false));
    for (const [ip, made] of [["203.0.113.1", undefined], ["203.0.113.2", "1.1.1.1"], ["2001:db8::5", "1.1.1.1, 2.2.2.2"]]) {
      const headers = { Host: "h", "X-Client": ip, ...(made ? { "X-Forwarded-For": made } : {}) };
      assert.equal(await clientOf(server, { socketPath, headers, agent: false }), ip);
    }
  });
});
