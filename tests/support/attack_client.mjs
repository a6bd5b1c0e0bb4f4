/*
 * tests/support/attack_client.mjs - The well-behaved client beside an attack: a process of its own, so that nothing but the server (and the
 * machine) can make it wait. An open loop: a request is due every so often, whatever became of those before it, and its time counts from when
 * it was made, waiting for a free kept connection included.
 *
 * Nine of ten requests read a list, one writes; four of five go over a few kept connections, one over a connection of its own. It comes from
 * 127.0.0.2, so that what is counted by address is its own.
 *
 *     const client = startClient(port);
 *     client.phase("before"); ... const { before } = await client.stop();   // { n, errors: [text], ms: [sorted], late: [sorted] }
 *
 * `late` is by how many milliseconds its own timer came late: what the machine, not the server, made it wait for.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { fileURLToPath } from "node:url";

export const clientAddress = "127.0.0.2";
const patienceMs = 5000;

export function startClient(port, { perSecond = 60 } = {}) {
  const child = fork(fileURLToPath(import.meta.url), [String(port), String(perSecond)]);
  const exited = once(child, "exit");
  return {
    ready: once(child, "message"),
    phase: (name) => child.send({ phase: name }),
    stop: async () => {
      child.send({ stop: true });
      const [results] = await Promise.race([once(child, "message"), exited.then(() => Promise.reject(new Error("the client ended")))]);
      child.disconnect();
      await exited;
      return results;
    },
    kill: () => child.kill("SIGKILL"),
  };
}

function run(port, perSecond) {
  const kept = new http.Agent({ keepAlive: true, maxSockets: 4 });
  const fresh = new http.Agent({ keepAlive: false });
  const phases = {};
  let phase, made = 0, open = 0, stopping = false;

  function ask() {
    const i = made++, mine = (phases[phase] ??= { n: 0, errors: [], ms: [], late: [] }), begun = performance.now();
    const writes = i % 10 === 7, own = i % 5 === 0;
    const body = writes ? JSON.stringify({ name: `row ${i}` }) : undefined;
    let over = false;
    const end = (error) => {
      if (over) return;
      over = true;
      open--;
      mine.n++;
      mine.ms.push(performance.now() - begun);
      if (error) mine.errors.push(`${error} (${writes ? "write" : "read"}, ${own ? "new" : "kept"} connection)`);
      if (stopping && open === 0) finish();
    };
    open++;
    const request = http.request(
      {
        host: "127.0.0.1", port, localAddress: clientAddress, agent: own ? fresh : kept, timeout: patienceMs,
        method: writes ? "POST" : "GET", path: writes ? "/api/v1/things" : "/api/v1/things?limit=3",
        headers: writes ? { "content-type": "application/json", "content-length": body.length } : {},
      },
      (answer) => {
        answer.resume();
        answer.on("end", () => end(answer.statusCode === (writes ? 201 : 200) ? undefined : `status ${answer.statusCode}`));
        answer.on("aborted", () => end("cut"));
      },
    );
    request.on("timeout", () => request.destroy(new Error(`nothing in ${patienceMs} ms`)));
    request.on("error", (error) => end(error.code ?? error.message));
    request.end(body);
  }

  function finish() {
    for (const one of Object.values(phases)) for (const list of [one.ms, one.late]) list.sort((a, b) => a - b);
    process.send(phases);
  }

  let due = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    if (!phase) return void (due = now);
    for (; due <= now; due += 1000 / perSecond) {
      ask();
      phases[phase].late.push(now - due);
    }
  }, 2);
  process.on("message", (message) => {
    phase = message.phase ?? phase;
    if (!message.stop) return;
    stopping = true;
    clearInterval(timer);
    if (open === 0) finish();
  });
  process.on("disconnect", () => process.exit(0));
  process.send({ ready: true });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) run(Number(process.argv[2]), Number(process.argv[3]));
