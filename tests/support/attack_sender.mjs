/*
 * tests/support/attack_sender.mjs - What attacks, but for slowhttptest: a process of its own with the least priority (nice 19). So it takes
 * what the server and the well-behaved client leave of the machine, and no more: on two cores a sender of equal rank would make the client
 * wait for a core, and its figures would tell about the machine's scheduler, not about the server.
 *
 * Connections come from many addresses (127.1.0.1 and on), as those of a botnet do: bounds by address do not help against them.
 *
 *     const sender = startSender(port, "requests", { name: "range-bomb", connections: 16 });
 *     await sender.stop();    // { connections, sent, statuses: { 416: 120 }, goaways: { 11: 3 }, closed, failed }
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import os from "node:os";
import { fileURLToPath } from "node:url";

export function startSender(port, way, options) {
  const child = fork(fileURLToPath(import.meta.url), [String(port), way, JSON.stringify(options)]);
  const exited = once(child, "exit");
  return {
    started: once(child, "message"), // its payload is made: from now on it sends
    stop: async () => {
      child.send({ stop: true });
      const [counts] = await Promise.race([once(child, "message"), exited.then(() => Promise.reject(new Error("the sender ended")))]);
      child.disconnect();
      await exited;
      return counts;
    },
    kill: () => child.kill("SIGKILL"),
  };
}

const counts = { connections: 0, sent: 0, bytes: 0, statuses: {}, goaways: {}, closed: 0, failed: {} };
const add = (table, key) => (table[key] = (table[key] ?? 0) + 1);
const addressOf = (i) => `127.1.${(i >> 8) % 4}.${1 + (i % 254)}`;
let stopping = false;
const open = new Set();

function connect(port, onData, onEnd) {
  const socket = net.connect({ host: "127.0.0.1", port, localAddress: addressOf(counts.connections++), noDelay: true });
  open.add(socket);
  socket.on("data", onData);
  socket.on("error", (error) => {
    // A reset is a server's way to close, too; what could not connect at all is something else.
    if (error.syscall === "connect") add(counts.failed, error.code);
  });
  socket.on("close", () => {
    open.delete(socket);
    counts.closed++;
    if (!stopping) onEnd();
  });
  return socket;
}

/* `connections` at once, each with one request after the other, on a connection of its own each. */
function requests(port, payloads, { connections }) {
  let next = 0;
  const one = () => {
    let head = "";
    const socket = connect(
      port,
      (bytes) => {
        if (head.length >= 12) return;
        head += bytes.toString("latin1", 0, 12 - head.length);
        if (head.length >= 12) add(counts.statuses, head.slice(9, 12));
      },
      // Never deeper than the stack, and never all at once.
      () => setImmediate(one),
    );
    const payload = payloads[next++ % payloads.length];
    counts.sent++;
    counts.bytes += payload.length;
    socket.write(payload);
  };
  for (let i = 0; i < connections; i++) one();
}

/* `connections` at once, each sending the same frames over and over until the server closes it. */
function frames(port, [greeting, flood], { connections }) {
  const one = () => {
    let rest = Buffer.alloc(0);
    const take = (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
        if (rest[3] === 7) add(counts.goaways, rest.readUInt32BE(9 + 4));
        rest = rest.subarray(9 + rest.readUIntBE(0, 3));
      }
    };
    const socket = connect(port, take, () => setImmediate(one));
    socket.write(greeting);
    const more = () => {
      while (!socket.destroyed && socket.writable) {
        counts.sent++;
        counts.bytes += flood.length;
        if (!socket.write(flood)) break;
      }
    };
    socket.on("drain", more);
    socket.once("connect", more);
  };
  for (let i = 0; i < connections; i++) one();
}

/* Connect and say nothing: as many as there may be, and go on trying; or `churn`: reset each as soon as it is open. `atOnce` of them are
 * being made at a time, so that the listening socket's queue holds no more than that of ours. */
function connections(port, _, { most, atOnce, churn }) {
  const one = () => {
    if (stopping) return;
    let settled = false;
    const next = () => {
      if (settled) return;
      settled = true;
      if (open.size < most) setImmediate(one);
      else setTimeout(one, 5);
    };
    const socket = connect(port, () => {}, next);
    counts.sent++;
    socket.once("connect", () => {
      if (churn) socket.resetAndDestroy();
      next();
    });
  };
  for (let i = 0; i < atOnce; i++) one();
}

async function run(port, way, options) {
  os.setPriority(0, os.constants.priority.PRIORITY_LOW);
  const { payloads } = await import("./attack_payloads.mjs");
  const made = payloads[options.payload]?.() ?? [];
  process.on("message", () => {
    stopping = true;
    // Resets: no connection of an attack lingers into the next one.
    for (const socket of open) socket.resetAndDestroy();
    setTimeout(() => process.send(counts), 50);
  });
  process.on("disconnect", () => process.exit(0));
  process.send({ started: true });
  ({ requests, frames, connections })[way](port, made, options);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) run(Number(process.argv[2]), process.argv[3], JSON.parse(process.argv[4]));
