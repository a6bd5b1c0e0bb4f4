/*
 * tests/support/purlin.mjs - Start the real program for a test: its own folder, database and port; stopped by pid. Used by every
 * test in tests/api and tests/scenario.
 *
 *     const server = await startPurlin(t, { contracts: { posts: "resource: posts\n..." } });
 *     const answer = await server.get("/api/v1/posts");
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../", import.meta.url));
export const purlinBin = process.env.PURLIN_BIN ?? path.join(root, "build/debug/purlin");
export const adminKey = "test-admin-key-0123456789";

/* What is undone at the end of a test: servers are stopped before the folders go that they write to, whichever came first. */
const endings = new WeakMap();
function endingOf(t) {
  let ending = endings.get(t);
  if (!ending) {
    ending = { servers: [], folders: [] };
    endings.set(t, ending);
    t.after(async () => {
      const failures = [];
      for (const stop of ending.servers.reverse()) await stop().catch((error) => failures.push(error));
      for (const folder of ending.folders) rmSync(folder, { recursive: true, force: true });
      if (failures.length) throw failures[0];
    });
  }
  return ending;
}

/* A folder that goes when the test ends. */
export function temporaryFolder(t) {
  const folder = mkdtempSync(path.join(tmpdir(), "purlin-test-"));
  endingOf(t).folders.push(folder);
  return folder;
}

/* Write { name: yaml } into folder/contracts; returns the folder's path. */
export function writeContracts(folder, contracts) {
  const target = path.join(folder, "contracts");
  mkdirSync(target, { recursive: true });
  for (const [name, text] of Object.entries(contracts)) {
    const file = path.join(target, `${name}.yaml`); // "v1/posts": of an older version
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return target;
}

/* The environment of a server or tool in `folder`; nothing of the caller's own PURLIN_ or DATABASE_URL leaks in. */
export function environment(folder, contracts, extra = {}) {
  const clean = Object.fromEntries(
    Object.entries(process.env).filter(
      ([key]) => !/^(PURLIN_|DATABASE_URL|PORT$|HOST$|LOG_|SMTP_URL|TRUSTED_PROXIES)/.test(key),
    ),
  );
  return {
    ...clean,
    PORT: "0",
    DATABASE_URL: `sqlite:${folder}/purlin.db`,
    PURLIN_CONTRACTS: contracts,
    PURLIN_MIGRATIONS: `${folder}/migrations`,
    PURLIN_MAIL_FOLDER: `${folder}/mail`,
    PURLIN_WEB: path.join(root, "web"),
    PURLIN_SWAGGER_UI: path.join(root, "node_modules/swagger-ui-dist"),
    PURLIN_ADMIN_KEY: adminKey,
    PURLIN_THREADS: "2",
    // Tests of limits turn them on; to the others all requests come from one address. Production refuses it.
    ...(extra.PURLIN_ENV === "production" ? {} : { PURLIN_LIMITS: "off" }),
    LOG_FORMAT: "json",
    ...extra,
  };
}

/* Run a verb to its end: { code, stdout, stderr }. */
export function runPurlin(args, { env, cwd = root, input, timeout = 60_000 } = {}) {
  const result = spawnSync(purlinBin, args, { env, cwd, input, timeout, encoding: "utf8", maxBuffer: 64 << 20 });
  return { code: result.status, signal: result.signal, stdout: result.stdout, stderr: result.stderr };
}

/*
 * Start `purlin serve` and wait until it is ready. Options: contracts ({ name: yaml } or a folder's path), folder (kept by the caller),
 * config (the text of purlin.yaml), env, fds (descriptors that it gets, from 3 on). The test fails when the server ends by anything but what stop() asked for.
 */
export async function startPurlin(t, { contracts = path.join(root, "contracts"), folder, config, env = {}, bin = purlinBin, fds = [] } = {}) {
  const own = folder ? null : mkdtempSync(path.join(tmpdir(), "purlin-test-"));
  folder ??= own;
  if (config) writeFileSync(path.join(folder, "purlin.yaml"), config);
  const contractsFolder = typeof contracts === "string" ? contracts : writeContracts(folder, contracts);
  const child = spawn(bin, ["serve", ...(config ? ["--config", path.join(folder, "purlin.yaml")] : [])], {
    cwd: root,
    env: environment(folder, contractsFolder, env),
    stdio: ["ignore", "pipe", "pipe", ...fds],
  });
  const server = { child, folder, contractsFolder, pid: child.pid, log: [], stderr: "" };
  const exited = once(child, "exit");
  const ready = watchOutput(server);
  child.stderr.on("data", (chunk) => (server.stderr += chunk));
  const first = await Promise.race([ready, exited.then(() => null)]);
  if (!first && own) rmSync(own, { recursive: true, force: true });
  if (!first) throw new Error(`purlin serve ended before it was ready:\n${server.stderr}`);
  server.port = first.port;
  server.url = `http://127.0.0.1:${first.port}`;

  server.kill = async (signal = "SIGKILL") => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    const [code, by] = await exited;
    return { code, signal: by };
  };
  server.stop = () => server.kill("SIGTERM");
  server.request = async (method, target, { body, headers = {}, admin = false } = {}) => {
    const json = body !== undefined && typeof body !== "string" && !(body instanceof Uint8Array);
    const answer = await fetch(server.url + target, {
      method,
      redirect: "manual",
      headers: {
        ...(json ? { "content-type": "application/json" } : {}),
        ...(admin ? { "x-api-key": adminKey } : {}),
        ...headers,
      },
      body: json ? JSON.stringify(body) : body,
    });
    const text = await answer.text();
    const isJson = /json/.test(answer.headers.get("content-type") ?? "") && !/ndjson/.test(answer.headers.get("content-type"));
    return { status: answer.status, headers: answer.headers, text, body: isJson && text ? JSON.parse(text) : undefined };
  };
  for (const method of ["get", "post", "put", "patch", "delete", "head", "options"])
    server[method] = (target, options) => server.request(method.toUpperCase(), target, options);

  endingOf(t).servers.push(async () => {
    const { code, signal } = await server.stop();
    if (own) rmSync(own, { recursive: true, force: true }); // not before: it may be writing still
    const expected = code === 0 || signal === "SIGKILL" || server.mayFail;
    if (!expected) throw new Error(`purlin serve ended with ${code ?? signal}:\n${server.stderr}`);
  });
  return server;
}

/* Collect log lines; resolves with the ready line. */
function watchOutput(server) {
  let rest = "";
  return new Promise((resolve) => {
    server.child.stdout.setEncoding("utf8");
    server.child.stdout.on("data", (chunk) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        let entry;
        try {
          entry = JSON.parse(line);
        } catch {
          entry = { msg: "not json", line };
        }
        server.log.push(entry);
        if (entry.msg === "server.ready") resolve(entry);
      }
    });
  });
}
