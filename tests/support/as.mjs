/*
 * tests/support/as.mjs - The engine's own server (tests/resource/server.c), whose callers are chosen by headers: a test can be any user or have
 * any role.
 *
 *     const api = await startAs(t, contracts);
 *     await api.post("/api/v1/posts", { title: "x" }, { user });
 */
import path from "node:path";
import { randomUUID } from "node:crypto";
import { purlinBin, startPurlin } from "./purlin.mjs";

const engineServer = path.join(path.dirname(purlinBin), "tests/resource/engine-server");

export async function startAs(t, contracts, options = {}) {
  const server = await startPurlin(t, { contracts, bin: engineServer, ...options });
  const api = { server };
  /* `as`: { user, roles, headers } */
  const call = (method, target, body, as = {}) =>
    server.request(method, target, {
      body,
      headers: {
        ...(as.user ? { "x-test-user": as.user } : {}),
        ...(as.roles ? { "x-test-roles": as.roles } : {}),
        ...(as.headers ?? {}),
      },
    });
  api.get = (target, as) => call("GET", target, undefined, as);
  api.head = (target, as) => call("HEAD", target, undefined, as);
  api.delete = (target, as) => call("DELETE", target, undefined, as);
  api.post = (target, body, as) => call("POST", target, body, as);
  api.put = (target, body, as) => call("PUT", target, body, as);
  api.patch = (target, body, as = {}) =>
    call("PATCH", target, typeof body === "string" ? body : JSON.stringify(body), {
      ...as,
      headers: { "content-type": Array.isArray(body) ? "application/json-patch+json" : "application/merge-patch+json", ...(as.headers ?? {}) },
    });
  return api;
}

export const anyId = () => randomUUID();

/* { "/title": "too_long", ... } of a problem. */
export const codes = (answer) => Object.fromEntries((answer.body?.errors ?? []).map((e) => [e.pointer, e.code]));

export const query = (params) => "?" + new URLSearchParams(params).toString();
