/* tests/support/upstream.mjs - Servers for the client to talk to, and a way to ask for them through /proxy-client. */
import net from "node:net";
import { once } from "node:events";

/* A server of raw bytes: `handler` gets each socket. */
export async function rawServer(t, handler) {
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    socket.setNoDelay(true);
    handler(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { server, port: server.address().port, url: `http://127.0.0.1:${server.address().port}` };
}

/* Say the same bytes to every request. `ends`: close after them. `bytewise`: one at a time. */
export const answering = (bytes, { ends = false, bytewise = false } = {}) => (socket) => {
  const data = Buffer.from(bytes, "latin1");
  socket.on("data", async () => {
    if (!bytewise) return ends ? socket.end(data) : socket.write(data);
    for (const byte of data) {
      socket.write(Buffer.of(byte));
      await new Promise(setImmediate);
    }
  });
};

/* fetchIt(url, options of /proxy-client, options of fetch) -> what came of it. */
export const proxied = (proxy) => async (url, options = {}, init = {}) => {
  const query = new URLSearchParams({ url, ...options });
  const answer = await fetch(`${proxy.url}/proxy-client?${query}`, { redirect: "manual", ...init });
  const text = await answer.text();
  const problem = answer.headers.get("content-type") === "application/problem+json";
  const looksJson = text.startsWith("{");
  return {
    status: answer.status,
    headers: answer.headers,
    text,
    json: looksJson ? JSON.parse(text) : undefined,
    code: problem ? JSON.parse(text).code : undefined,
    attempts: Number(answer.headers.get("x-client-attempts")),
    reused: answer.headers.get("x-client-reused") === "1",
    stage: answer.headers.get("x-client-stage"),
    peer: answer.headers.get("x-client-peer"),
  };
};
