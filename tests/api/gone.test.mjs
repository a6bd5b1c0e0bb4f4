/* Clients who leave before the answer: nothing is lost that was acknowledged, nothing breaks, nothing stays behind. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startAs } from "../support/as.mjs";

const contracts = {
  things: `
resource: things
fields:
  name: { type: string, max: 50, required: true }
  note: { type: text, max: 60000 }
rules: { read: true, create: true, update: true, delete: true }
`,
};

it("clients leave in the middle of everything", async (t) => {
  const api = await startAs(t, contracts);
  const things = "/api/v1/things";
  const made = (await api.post(things, { name: "made", note: "x".repeat(50_000) })).body;
  for (let i = 0; i < 60; i++) await api.post(things, { name: `n${i}`, note: "y".repeat(20_000) });
  const body = JSON.stringify({ name: "gone" });
  const batch = JSON.stringify({ operations: Array(50).fill({ method: "POST", path: "/things", body: { name: "gone in a batch" } }) });
  const send = (method, path, text, more = "") =>
    `${method} ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n${more}\r\n${text}`;
  const requests = [
    () => send("POST", things, body),
    (i) => send("POST", things, body, `Idempotency-Key: gone-${i % 7}\r\n`),
    () => send("POST", "/api/v1/batch?mode=independent", batch),
    () => send("PATCH", `${things}/${made.id}`, JSON.stringify({ note: "z".repeat(50_000) })),
    () => `GET ${things}?limit=100 HTTP/1.1\r\nHost: a\r\n\r\n`,
    () => `GET ${things}/export HTTP/1.1\r\nHost: a\r\n\r\n`,
    () => send("POST", things, body).slice(0, -5),
  ];
  for (let round = 0; round < 10; round++) {
    await Promise.all(
      Array.from({ length: 70 }, async (_, i) => {
        const socket = connect(api.server.port, "127.0.0.1");
        socket.on("error", () => {});
        socket.write(requests[i % requests.length](i));
        await sleep(Math.random() * 8);
        if (i % 2) socket.resetAndDestroy();
        else socket.destroy();
      }),
    );
  }
  for (let i = 0; i < 7; i++) {
    const again = () => api.post(things, { name: "gone" }, { headers: { "idempotency-key": `gone-${i}` } });
    let answer = await again();
    for (let tries = 0; answer.status === 409 && tries < 50; tries++) {
      await sleep(20);
      answer = await again();
    }
    assert.equal(answer.status, 201, "no key is stuck");
  }
  assert.equal((await api.get(`${things}/${made.id}`)).status, 200);
});
