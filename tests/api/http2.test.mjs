/* HTTP/2 as clients use it: Node's own client and curl, on the port that speaks HTTP/1.1 too. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:http2";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { makeAuthority } from "../support/certificates.mjs";
import { Frames, frame, get, headers, type, u32 } from "../support/frames.mjs";
import { adminKey, startPurlin, temporaryFolder } from "../support/purlin.mjs";
import { startConformance } from "../support/conformance.mjs";

const run = promisify(execFile);
const contracts = {
  things: `
resource: things
fields:
  name: { type: string, max: 100 }
  note: { type: text, max: 20000, optional: true }
rules: { read: true, create: true, update: true, delete: true }
`,
};

/* One request on a session: { status, headers, body }. */
async function request(session, headers, body) {
  const stream = session.request(headers);
  const chunks = [];
  stream.on("data", (chunk) => chunks.push(chunk));
  let answer;
  stream.on("response", (h) => (answer = h));
  if (body === undefined) stream.end();
  else stream.end(body);
  await once(stream, "close");
  if (!answer) throw new Error(`no answer: ${stream.rstCode}`);
  return { status: answer[":status"], headers: answer, body: Buffer.concat(chunks), reset: stream.rstCode };
}

describe("HTTP/2 with Node's client", () => {
  let server, session;
  const cleanups = [];
  before(async () => {
    server = await startConformance({ after: (fn) => cleanups.push(fn) });
    session = connect(server.url);
    await once(session, "connect");
  });
  after(async () => {
    session.close();
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  it("a hundred requests at once, each with its own answer", async () => {
    const bodies = Array.from({ length: 100 }, (_, i) => Buffer.from(`${i}:`.repeat(i + 1)));
    const answers = await Promise.all(
      bodies.map((body) => request(session, { ":path": "/echo", ":method": "POST", "content-type": "text/plain" }, body)),
    );
    for (const [i, answer] of answers.entries()) {
      assert.equal(answer.status, 200);
      assert.deepEqual(answer.body, bodies[i]);
      assert.equal(answer.headers["content-length"], String(bodies[i].length));
    }
  });

  it("uploads larger than every window", async () => {
    const body = randomBytes(1 << 20);
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => request(session, { ":path": "/echo", ":method": "POST" }, body)),
    );
    for (const answer of answers) {
      assert.equal(answer.status, 200);
      assert.ok(answer.body.equals(body));
    }
  });

  it("downloads through a window of 1,000 bytes", async () => {
    const small = connect(server.url, { settings: { initialWindowSize: 1000 } });
    const answers = await Promise.all(Array.from({ length: 10 }, () => request(small, { ":path": "/big" })));
    for (const answer of answers) {
      assert.equal(answer.status, 200);
      assert.equal(answer.body.length, 200_000);
    }
    small.close();
  });

  it("downloads through windows that are wide open, to a client that rests in between", async () => {
    const client = await Frames.open(server.url, { entries: [[1, 0], [4, 2 ** 31 - 1]] });
    client.send(frame(type.window, 0, 0, u32(2 ** 30)));
    client.socket.pause();
    const ids = Array.from({ length: 40 }, (_, i) => 2 * i + 1);
    client.send(...ids.map((id) => headers(id, get("/big"))));
    await request(session, { ":path": "/health/live" });
    client.socket.resume();
    for (const id of ids) assert.equal((await client.body(id)).length, 200_000);
    client.send(headers(101, get()));
    assert.equal(await client.status(101), 200);
    client.close();
  });

  it("HEAD has the headers of GET and no body", async () => {
    const head = await request(session, { ":path": "/big", ":method": "HEAD" });
    assert.equal(head.status, 200);
    assert.equal(head.headers["content-length"], "200000");
    assert.equal(head.body.length, 0);
  });

  it("no header fields that concern a connection; date, lower-case names", async () => {
    const answer = await request(session, { ":path": "/health/live" });
    assert.equal(answer.status, 200);
    assert.match(answer.headers.date, /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
    for (const name of ["connection", "keep-alive", "transfer-encoding", "upgrade"]) assert.ok(!(name in answer.headers), name);
    assert.equal(answer.headers["x-content-type-options"], "nosniff");
  });

  it("problems as over HTTP/1.1", async () => {
    for (const [headers, status, type] of [
      [{ ":path": "/nowhere" }, 404, "http/no-route"],
      [{ ":path": "/json", ":method": "GET" }, 405, "http/method-not-allowed"],
      [{ ":path": "/a%2fb" }, 400, "http/malformed"],
      [{ ":path": "/../etc/passwd" }, 400, "http/malformed"],
      [{ ":path": "/echo", ":method": "PROPFIND" }, 501, "http/method-not-implemented"],
      [{ ":path": `/${"a".repeat(9000)}` }, 414, "http/uri-too-long"],
      [{ ":path": "/echo", "x-large": "a".repeat(20_000) }, 431, "http/headers-too-large"],
      [{ ":path": "/echo", ...Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`x-${i}`, "1"])) }, 431, "http/headers-too-large"],
      [{ ":path": "/echo", expect: "something" }, 417, "http/expectation-failed"],
      [{ ":path": "/error" }, 500, "internal"],
    ]) {
      const answer = await request(session, headers);
      assert.equal(answer.status, status, JSON.stringify(headers).slice(0, 100));
      assert.match(answer.headers["content-type"], /application\/problem\+json/);
      assert.ok(JSON.parse(answer.body).type.endsWith(type));
    }
  });

  it("a body past the limit: 413 whatever was announced", async () => {
    const body = Buffer.alloc((1 << 20) + 1, "x");
    for (const length of [{}, { "content-length": body.length }]) {
      const answer = await request(session, { ":path": "/echo", ":method": "POST", ...length }, body);
      assert.equal(answer.status, 413);
    }
  });

  it("100-continue before the body", async () => {
    const stream = session.request({ ":path": "/echo", ":method": "POST", expect: "100-continue" });
    await once(stream, "continue");
    stream.end("now");
    const [headers] = await once(stream, "response");
    assert.equal(headers[":status"], 200);
    stream.setEncoding("utf8");
    let text = "";
    for await (const chunk of stream) text += chunk;
    assert.equal(text, "now");
  });

  it("a cancelled request leaves the connection as it was", async () => {
    for (let i = 0; i < 20; i++) {
      const stream = session.request({ ":path": "/big" });
      stream.close(8);
      await once(stream, "close");
    }
    assert.equal((await request(session, { ":path": "/health/live" })).status, 200);
  });

  it("an urgent answer overtakes others", async () => {
    // All windows shut; then what opens is the connection's, a little at a time.
    const slow = connect(server.url, { settings: { initialWindowSize: 200_000 } });
    await once(slow, "connect");
    const order = [];
    const ask = async (name, priority) => {
      await request(slow, { ":path": "/big", priority });
      order.push(name);
    };
    await Promise.all([ask("later", "u=7"), ask("usual", "u=3"), ask("urgent", "u=0")]);
    assert.equal(order[0], "urgent");
    assert.equal(order[2], "later");
    slow.close();
  });

  it("curl", async () => {
    const { stdout } = await run("curl", ["-sS", "--http2-prior-knowledge", "-w", "%{http_version} %{http_code}", "-o", "/dev/null", `${server.url}/big`]);
    assert.equal(stdout, "2 200");
  });

  it("HTTP/1.1 goes on beside it", async () => {
    const answer = await fetch(`${server.url}/health/live`);
    assert.equal(answer.status, 200);
  });
});

describe("HTTP/2 over TLS", () => {
  it("is chosen by ALPN; bodies both ways, past every window", async (t) => {
    const folder = temporaryFolder(t), ca = makeAuthority(folder), pair = ca.sign("site");
    const server = await startConformance(t, { TLS_PORT: "0", TLS_CERT: pair.cert, TLS_KEY: pair.key });
    const session = connect(server.tlsUrl, { ca: ca.text, servername: "localhost", settings: { initialWindowSize: 20_000 } });
    await once(session, "connect");
    assert.equal(session.alpnProtocol, "h2");
    const body = randomBytes(300_000);
    const echo = () => request(session, { ":path": "/echo", ":method": "POST" }, body);
    const big = () => request(session, { ":path": "/big" });
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => (i % 2 ? echo() : big())));
    for (const [i, answer] of answers.entries()) {
      assert.equal(answer.status, 200);
      assert.ok(i % 2 ? answer.body.equals(body) : answer.body.length === 200_000);
    }
    const small = await Promise.all(Array.from({ length: 100 }, () => request(session, { ":path": "/health/live" })));
    for (const answer of small) assert.equal(answer.body.toString(), '{"status":"pass"}');
    session.close();
    const { stdout } = await run("curl", ["-sS", "--cacert", ca.cert, "--http1.1", "-w", "%{http_version}", "-o", "/dev/null", server.tlsUrl.replace("127.0.0.1", "localhost") + "/big"]);
    assert.equal(stdout, "1.1");
  });
});

describe("HTTP/2 of the product", () => {
  let server, session;
  const cleanups = [];
  before(async () => {
    server = await startPurlin({ after: (fn) => cleanups.push(fn) }, { contracts });
    session = connect(server.url);
    await once(session, "connect");
  });
  after(async () => {
    session.close();
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  it("creates, reads, lists and exports", async () => {
    const json = { "content-type": "application/json" };
    const made = await Promise.all(
      Array.from({ length: 150 }, (_, i) =>
        request(session, { ":path": "/api/v1/things", ":method": "POST", ...json }, JSON.stringify({ name: `n${i}`, note: "x".repeat(5000) })),
      ),
    );
    assert.deepEqual([...new Set(made.map((m) => m.status))], [201]);
    const one = await request(session, { ":path": made[0].headers.location });
    assert.equal(JSON.parse(one.body).name, JSON.parse(made[0].body).name);
    const fresh = await request(session, { ":path": made[0].headers.location, "if-none-match": one.headers.etag });
    assert.equal(fresh.status, 304);
    assert.equal(fresh.body.length, 0);
    const out = await request(session, { ":path": "/api/v1/things/export?format=ndjson" });
    assert.equal(out.status, 200);
    assert.equal(out.body.toString().trim().split("\n").length, 150);
    const gone = await request(session, { ":path": made[0].headers.location, ":method": "DELETE" });
    assert.equal(gone.status, 204);
  });

  it("is told from HTTP/1.1 by logs and metrics", async () => {
    await request(session, { ":path": "/api/v1/things?limit=1" });
    const metrics = await request(session, { ":path": "/metrics", "x-api-key": adminKey });
    assert.match(metrics.body.toString(), /http_server_request_duration_seconds_count\{[^}]*network_protocol_version="2"\}/);
    assert.ok(server.log.some((line) => line.msg === "http.request" && line.http_version === "2"));
  });

  it("drains: requests in flight are answered, GOAWAY comes twice, the program ends with 0", async () => {
    const own = await startPurlin({ after: (fn) => cleanups.push(fn) }, { contracts });
    const busy = connect(own.url);
    await once(busy, "connect");
    const goaways = [];
    busy.on("goaway", (code, last) => goaways.push([code, last]));
    const stream = busy.request({ ":path": "/api/v1/things", ":method": "POST", "content-type": "application/json" });
    stream.write('{"name":');
    await request(busy, { ":path": "/health/live" }); // the first one has come, too
    const closed = once(busy, "close");
    const stopped = own.stop();
    while (goaways.length < 2) await once(busy, "goaway");
    stream.end('"late"}');
    const [headers] = await once(stream, "response");
    assert.equal(headers[":status"], 201);
    stream.resume();
    await closed;
    assert.deepEqual(goaways[0], [0, 2 ** 31 - 1]);
    assert.ok(goaways.length >= 2 && goaways[1][0] === 0 && goaways[1][1] < 100, JSON.stringify(goaways));
    assert.equal((await stopped).code, 0);
  });

  it("can be turned off", async () => {
    const off = await startPurlin({ after: (fn) => cleanups.push(fn) }, { contracts, env: { PURLIN_HTTP2_CLEAR_TEXT: "off" } });
    const refused = connect(off.url);
    const [reason] = await Promise.race([once(refused, "error"), once(refused, "close")]);
    assert.ok(reason === undefined || reason instanceof Error);
    assert.equal((await off.get("/health/live")).status, 200);
  });
});
