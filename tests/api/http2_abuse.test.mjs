/*
 * HTTP/2 under attack: each kind of flood ends its connection with ENHANCE_YOUR_CALM and is counted, while another client goes on as
 * if nothing were; what stays below its budget passes.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { after, before, describe, it } from "node:test";
import { Frames, data, error, fields, flag, frame, get, headers, integer, ping, post, settings, type, u32 } from "../support/frames.mjs";
import { readMetrics } from "../support/prometheus.mjs";
import { adminKey, startPurlin } from "../support/purlin.mjs";

const { endHeaders, endStream } = flag;
const contracts = {
  things: "resource: things\nfields:\n  name: { type: string, max: 50 }\nrules: { read: true, create: true, update: true, delete: true }\n",
};
const repeat = (n, make) => Buffer.concat(Array.from({ length: n }, (_, i) => make(i)));
const open = post("/api/v1/things", [["content-type", "application/json"]]);
const short = [...open, ["content-length", "1"]];
const reset = (stream) => frame(type.reset, 0, stream, u32(error.cancel));

/* What is sent over and over, and how often is too often: [kind, frames before, one frame, budget]. */
const floods = [
  ["rapid_reset", null, (i) => Buffer.concat([headers(2 * i + 1, open, endHeaders), reset(2 * i + 1)]), 200],
  ["made_you_reset", null, (i) => Buffer.concat([headers(2 * i + 1, short, endHeaders), data(2 * i + 1, "more")]), 200],
  ["settings", null, () => frame(type.settings, 0, 0, settings([[4, 65535]])), 50],
  ["ping", null, () => ping(), 100],
  ["priority", null, (i) => frame(type.priority, 0, 2 * i + 1, Buffer.from([0, 0, 0, 0, 5])), 500],
  ["priority", null, () => frame(type.priorityUpdate, 0, 0, Buffer.concat([u32(1), Buffer.from("u=1")])), 500],
  ["window_update", null, () => frame(type.window, 0, 0, u32(1)), 1000],
  ["empty_frames", headers(1, open, endHeaders), () => data(1, "", 0), 100],
  ["empty_frames", headers(1, open, endHeaders), () => data(1, [2, 0, 0], flag.padded), 100],
  ["unknown_frames", null, () => frame(0xbe, 0, 0, Buffer.from("grease")), 100],
];

/* Header blocks that are too much at once. */
const blocks = [
  ["continuation", Buffer.concat([frame(type.headers, endStream, 1, fields(get())), repeat(20, () => frame(type.continuation, 0, 1, fields([["a", "b"]])))])],
  ["continuation", Buffer.concat([frame(type.headers, endStream, 1), repeat(20, () => frame(type.continuation, 0, 1))])],
  [
    // A field of 3,900 bytes goes into the table once and is then asked for 8,000 times, a byte each.
    "header_bomb",
    headers(1, Buffer.concat([fields(get()), fields([["x", "y".repeat(3900)]], 0x40), Buffer.alloc(8000, 0xbe)])),
  ],
];

describe("HTTP/2 under attack", () => {
  let server, bystander;
  const cleanups = [];
  before(async () => {
    server = await startPurlin({ after: (fn) => cleanups.push(fn) }, { contracts, env: { PURLIN_RATE_MODE: "off", PURLIN_THREADS: "1" } });
    bystander = connect(server.url);
    await once(bystander, "connect");
  });
  after(async () => {
    bystander.close();
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  const counted = async (kind) => {
    const text = (await server.get("/metrics", { admin: true })).text;
    return readMetrics(text).get("purlin_http2_abuse_total")?.samples.find((s) => s.labels.kind === kind)?.value ?? 0;
  };
  const bystanderIsServed = async () => {
    const stream = bystander.request({ ":path": "/api/v1/things?limit=1" });
    const [answer] = await once(stream, "response");
    assert.equal(answer[":status"], 200);
    stream.resume();
    await once(stream, "close");
  };
  const ends = async (client, kind, before) => {
    const goaway = await client.find(type.goaway);
    assert.ok(goaway, `${kind}: closed without a word`);
    assert.equal(goaway.payload.readUInt32BE(4), error.calm);
    await client.until(() => client.closed);
    client.close();
    assert.equal(await counted(kind), before + 1);
    await bystanderIsServed();
  };

  for (const [i, [kind, first, make, budget]] of floods.entries()) {
    it(`${kind} (${i}): past ${budget} the connection ends`, async () => {
      const before = await counted(kind);
      const client = await Frames.open(server.url);
      if (first) client.send(first);
      client.send(repeat(budget + budget / 2 + 5, make));
      await ends(client, kind, before);
    });
    it(`${kind} (${i}): half of ${budget} is fine`, async () => {
      const client = await Frames.open(server.url);
      if (first) client.send(first);
      client.send(repeat(budget / 2 - 2, make));
      client.send(headers(2001, get()));
      assert.equal(await client.status(2001), 200);
      client.close();
    });
  }

  for (const [i, [kind, bytes]] of blocks.entries())
    it(`${kind} (${i})`, async () => {
      const before = await counted(kind);
      const client = await Frames.open(server.url);
      client.send(bytes);
      await ends(client, kind, before);
    });

  for (const [what, undo] of [["a rapid reset", (id) => reset(id)], ["a reset that the server was made to send", (id) => data(id, "more")]])
  it(`${what} in one breath hands nothing to a handler`, async () => {
    const count = async () => {
      const samples = readMetrics((await server.get("/metrics", { admin: true })).text).get("http_server_request_duration_seconds").samples;
      return samples
        .filter((s) => s.name.endsWith("_count") && s.labels.http_route === "/api/v1/{resource}" && s.labels.network_protocol_version === "2")
        .reduce((sum, s) => sum + s.value, 0);
    };
    const client = await Frames.open(server.url);
    await client.find(type.settings);
    const before = await count();
    // One write of a few kilobytes: the server reads it at once.
    client.send(repeat(100, (i) => Buffer.concat([headers(2 * i + 1, short, endHeaders), undo(2 * i + 1)])));
    const outcome = await client.outcome();
    client.close();
    assert.equal(outcome.goaway, undefined);
    assert.deepEqual(outcome.statuses, {});
    assert.ok((await count()) - before <= 5);
  });

  it("a client that asks and does not read is not answered without end", async () => {
    const client = await Frames.open(server.url, { entries: [[1, 0], [4, 0]] });
    await client.find(type.settings);
    client.socket.pause();
    // Fifty answers of some kilobytes each wait behind a window that is shut.
    client.send(repeat(50, (i) => headers(2 * i + 1, get("/openapi.json"))));
    await bystanderIsServed();
    await bystanderIsServed();
    client.close();
    await bystanderIsServed();
  });

  it("an answer whose window stays shut is given up", async (t) => {
    const impatient = await startPurlin(t, { contracts, env: { PURLIN_LIMITS_WRITE_TIMEOUT: "300ms", PURLIN_THREADS: "1" } });
    const client = await Frames.open(impatient.url, { entries: [[1, 0], [4, 10]] });
    client.send(headers(1, get()));
    // A byte now and then does not count as opening it.
    const trickle = setInterval(() => client.send(frame(type.window, 0, 1, u32(1))), 100);
    const given = await client.find(type.reset, 1);
    clearInterval(trickle);
    assert.equal(given.payload.readUInt32BE(0), error.cancel);
    client.send(frame(type.settings, 0, 0, settings([[4, 65535]])), headers(3, get()));
    assert.equal(await client.status(3), 200);
    client.close();
    const text = (await impatient.get("/metrics", { admin: true })).text;
    assert.match(text, /purlin_http2_abuse_total\{kind="stalled_window"\} 1/);
  });

  it("what begins and does not go on ends", async (t) => {
    const impatient = await startPurlin(t, {
      contracts,
      env: { PURLIN_LIMITS_HEAD_TIMEOUT: "300ms", PURLIN_LIMITS_BODY_TIMEOUT: "300ms", PURLIN_LIMITS_IDLE_TIMEOUT: "400ms", PURLIN_THREADS: "1" },
    });
    const silent = await Frames.open(impatient.url, { greet: false });
    silent.send(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    const half = await Frames.open(impatient.url);
    half.send(frame(type.headers, endStream, 1, fields(get())));
    const idle = await Frames.open(impatient.url);
    idle.send(headers(1, get()));
    assert.equal(await idle.status(1), 200);
    const slow = await Frames.open(impatient.url);
    slow.send(headers(1, open, endHeaders), data(1, '{"na', 0));
    assert.equal(await slow.status(1), 408);
    for (const [client, code] of [[silent, error.calm], [half, error.calm], [idle, error.none]]) {
      const goaway = await client.find(type.goaway);
      assert.equal(goaway?.payload.readUInt32BE(4), code);
      await client.until(() => client.closed);
      client.close();
    }
    slow.close();
  });

  it("memory does not grow with floods", async () => {
    const resident = () => server.get("/metrics", { admin: true }).then((a) => readMetrics(a.text).get("process_resident_memory_bytes").samples[0].value);
    for (let i = 0; i < 5; i++) {
      const client = await Frames.open(server.url);
      client.send(repeat(400, (n) => Buffer.concat([headers(2 * n + 1, open, endHeaders), reset(2 * n + 1)])));
      await client.until(() => client.closed);
      client.close();
    }
    const before = await resident();
    for (let i = 0; i < 20; i++) {
      const client = await Frames.open(server.url);
      client.send(repeat(400, (n) => Buffer.concat([headers(2 * n + 1, open, endHeaders), reset(2 * n + 1)])));
      await client.until(() => client.closed);
      client.close();
    }
    await bystanderIsServed();
    // AddressSanitizer keeps freed memory for a while: its quarantine is not ours.
    assert.ok((await resident()) - before < (300 << 20));
  });
});
