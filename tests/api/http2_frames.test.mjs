/*
 * HTTP/2 frame by frame (RFC 9113, RFC 7541): a row for each thing that a peer may do wrong, or oddly, and what it gets for it. The
 * rows follow the cases of h2spec, which Debian does not have.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { startConformance } from "../support/conformance.mjs";
import { Frames, data, error, fields, flag, frame, get, headers, integer, ping, post, preface, settings, type, u32 } from "../support/frames.mjs";

const { protocol, flowControl, streamClosed, frameSize, refused, cancel, compression, calm, none } = error;
const { endStream, endHeaders, padded, priority } = flag;
const ok = headers(1, get());
const without = (list, name) => list.filter(([n]) => n !== name);
const replace = (list, name, value) => list.map(([n, v]) => [n, n === name ? value : v]);
const goaway = (code) => ({ goaway: code });
const reset = (code, stream = 1) => ({ resets: { [stream]: code } });
const status = (code, stream = 1) => ({ statuses: { [stream]: code } });
const fine = { statuses: { 9: 200 } };
const last = headers(9, get()); // asked for behind everything else: is the connection well?

/* A block of fields in pieces: HEADERS, then CONTINUATION. */
function pieces(stream, list, sizes, flags = endStream) {
  let block = fields(list);
  const out = [];
  for (const [i, size] of sizes.entries()) {
    const isLast = i === sizes.length - 1;
    const piece = isLast ? block : block.subarray(0, size);
    block = block.subarray(piece.length);
    out.push(frame(i ? type.continuation : type.headers, (i ? 0 : flags) | (isLast ? endHeaders : 0), stream, piece));
  }
  return Buffer.concat(out);
}

const cases = {
  "3.4 preface": {
    "bytes that are no preface after it began": [{ raw: Buffer.from("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n") }, { closed: true }],
    "a first frame that is not SETTINGS": [{ greet: false }, preface, ping(), goaway(protocol)],
    "SETTINGS with ACK first": [{ greet: false }, preface, frame(type.settings, flag.ack, 0), goaway(protocol)],
  },
  "4.1 frames": {
    "an unknown type is ignored": [frame(0xf0, 0xff, 0, Buffer.alloc(8)), last, fine],
    "an unknown type on a stream is ignored": [headers(1, post(), endHeaders), frame(0xf0, 0, 1, Buffer.alloc(8)), data(1, "x"), status(200)],
    "unknown flags are ignored": [ping("01234567", 0xfe & ~flag.ack), last, fine],
    "the reserved bit is ignored": [Buffer.concat([ok.subarray(0, 5), u32(0x80000001), ok.subarray(9)]), status(200)],
  },
  "4.2 frame sizes": {
    "DATA of 16,384 bytes": [headers(1, post(), endHeaders), data(1, Buffer.alloc(16384)), status(200)],
    "DATA larger than that": [headers(1, post(), endHeaders), data(1, Buffer.alloc(16385)), { either: [goaway(frameSize), reset(frameSize)] }],
    "HEADERS larger than that": [headers(1, [...get(), ["x", "a".repeat(16500)]]), goaway(frameSize)],
  },
  "4.3 header blocks": {
    "a bad index": [headers(1, Buffer.concat([fields(get()), integer(200, 7, 0x80)])), goaway(compression)],
    "index 0": [headers(1, Buffer.concat([fields(get()), Buffer.from([0x80])])), goaway(compression)],
    "a frame of another stream inside a block": [frame(type.headers, endStream, 1, fields(get())), headers(3, get()), goaway(protocol)],
    "another frame of the same stream inside a block": [frame(type.headers, endStream, 1, fields(get())), data(1, "x"), goaway(protocol)],
    "an unknown frame inside a block": [frame(type.headers, endStream, 1, fields(get())), frame(0xf0, 0, 1), goaway(protocol)],
    "a block that ends inside a field": [headers(1, fields(get()).subarray(0, -2)), goaway(compression)],
  },
  "5.1 states": {
    "idle: DATA": [data(1, "x"), goaway(protocol)],
    "idle: RST_STREAM": [frame(type.reset, 0, 1, u32(cancel)), goaway(protocol)],
    "idle: WINDOW_UPDATE": [frame(type.window, 0, 1, u32(100)), goaway(protocol)],
    "idle: CONTINUATION": [frame(type.continuation, endHeaders, 1, fields(get())), goaway(protocol)],
    "half closed: DATA": [headers(1, get("/slow-is-not-there")), data(1, "x"), { either: [goaway(streamClosed), reset(streamClosed)] }],
    "half closed: HEADERS": [headers(1, get()), headers(1, get()), { either: [goaway(streamClosed), reset(streamClosed)] }],
    "half closed: CONTINUATION": [headers(1, get()), frame(type.continuation, endHeaders, 1, fields(get())), goaway(protocol)],
    "reset, then DATA": [headers(1, post(), endHeaders), frame(type.reset, 0, 1, u32(cancel)), data(1, "x"), last, { either: [fine, goaway(streamClosed), reset(streamClosed)] }],
    "reset, then HEADERS": [headers(1, post(), endHeaders), frame(type.reset, 0, 1, u32(cancel)), headers(1, get()), { either: [goaway(streamClosed), goaway(protocol), reset(streamClosed)] }],
    "closed: WINDOW_UPDATE is ignored": [{ wait: ok }, frame(type.window, 0, 1, u32(100)), last, fine],
    "closed: RST_STREAM is ignored": [{ wait: ok }, frame(type.reset, 0, 1, u32(cancel)), last, fine],
    "closed: HEADERS": [{ wait: ok }, headers(1, get()), { either: [goaway(streamClosed), goaway(protocol), reset(streamClosed)] }],
  },
  "5.1.1 stream numbers": {
    "an even one": [headers(2, get()), goaway(protocol)],
    "a lower one than before": [headers(5, get()), headers(3, get()), { either: [goaway(protocol), goaway(streamClosed)] }],
    "numbers may be skipped": [headers(101, get()), status(200, 101)],
  },
  "5.1.2 concurrency": {
    "more streams than were granted": [
      ...Array.from({ length: 101 }, (_, i) => headers(2 * i + 1, post(), endHeaders)),
      { either: [goaway(protocol), reset(refused, 201), reset(protocol, 201)] },
    ],
  },
  "5.3 priorities": {
    "HEADERS that depend on themselves": [frame(type.headers, endStream | endHeaders | priority, 1, Buffer.concat([u32(1), Buffer.from([10]), fields(get())])), { either: [goaway(protocol), reset(protocol), status(200)] }],
    "PRIORITY of 4 bytes": [headers(1, post(), endHeaders), frame(type.priority, 0, 1, Buffer.alloc(4)), { either: [goaway(frameSize), reset(frameSize)] }],
    "PRIORITY of stream 0": [frame(type.priority, 0, 0, Buffer.alloc(5)), goaway(protocol)],
    "PRIORITY of an idle stream": [frame(type.priority, 0, 21, Buffer.concat([u32(0), Buffer.from([5])])), last, fine],
    "PRIORITY_UPDATE of an idle stream": [frame(type.priorityUpdate, 0, 0, Buffer.concat([u32(9), Buffer.from("u=1, i")])), last, fine],
    "PRIORITY_UPDATE on a stream": [frame(type.priorityUpdate, 0, 1, Buffer.concat([u32(9), Buffer.from("u=1")])), goaway(protocol)],
    "a priority that is no field value": [headers(1, get("/health/live", [["priority", "u=999, ==="]])), status(200)],
  },
  "6.1 DATA": {
    "on stream 0": [data(0, "x"), goaway(protocol)],
    "padding": [headers(1, post(), endHeaders), data(1, [3, 120, 0, 0, 0], endStream | padded), status(200)],
    "padding longer than the frame": [headers(1, post(), endHeaders), data(1, [9, 120], endStream | padded), goaway(protocol)],
    "padding without its length": [headers(1, post(), endHeaders), data(1, "", endStream | padded), { either: [goaway(protocol), goaway(frameSize)] }],
  },
  "6.2 HEADERS": {
    "on stream 0": [headers(0, get()), goaway(protocol)],
    "padding": [frame(type.headers, endStream | endHeaders | padded, 1, Buffer.concat([Buffer.from([2]), fields(get()), Buffer.alloc(2)])), status(200)],
    "padding longer than the frame": [frame(type.headers, endStream | endHeaders | padded, 1, Buffer.from([9, 0])), goaway(protocol)],
    "a priority": [frame(type.headers, endStream | endHeaders | priority, 1, Buffer.concat([u32(0), Buffer.from([10]), fields(get())])), status(200)],
    "in three frames": [pieces(1, get(), [5, 20, 0]), status(200)],
    "in frames, some empty": [pieces(1, get(), [0, 10, 0, 0]), status(200)],
  },
  "6.4 RST_STREAM": {
    "on stream 0": [frame(type.reset, 0, 0, u32(cancel)), goaway(protocol)],
    "of 3 bytes": [headers(1, post(), endHeaders), frame(type.reset, 0, 1, Buffer.alloc(3)), goaway(frameSize)],
    "of 5 bytes": [headers(1, post(), endHeaders), frame(type.reset, 0, 1, Buffer.alloc(5)), goaway(frameSize)],
    "with a code nobody knows": [headers(1, post(), endHeaders), frame(type.reset, 0, 1, u32(0xffffffff)), last, fine],
  },
  "6.5 SETTINGS": {
    "on a stream": [frame(type.settings, 0, 1), goaway(protocol)],
    "ACK with a payload": [frame(type.settings, flag.ack, 0, Buffer.alloc(6)), goaway(frameSize)],
    "of 5 bytes": [frame(type.settings, 0, 0, Buffer.alloc(5)), goaway(frameSize)],
    "ENABLE_PUSH 2": [frame(type.settings, 0, 0, settings([[2, 2]])), goaway(protocol)],
    "INITIAL_WINDOW_SIZE 2^31": [frame(type.settings, 0, 0, settings([[4, 2 ** 31]])), goaway(flowControl)],
    "MAX_FRAME_SIZE 16,383": [frame(type.settings, 0, 0, settings([[5, 16383]])), goaway(protocol)],
    "MAX_FRAME_SIZE 2^24": [frame(type.settings, 0, 0, settings([[5, 2 ** 24]])), goaway(protocol)],
    "a number nobody knows": [frame(type.settings, 0, 0, settings([[0xff, 1]])), last, fine],
    "33 entries": [frame(type.settings, 0, 0, settings(Array.from({ length: 33 }, () => [0xff, 1]))), goaway(calm)],
    "NO_RFC7540_PRIORITIES 2": [frame(type.settings, 0, 0, settings([[9, 2]])), goaway(protocol)],
  },
  "6.6 PUSH_PROMISE": {
    "from a client": [headers(1, post(), endHeaders), frame(type.push, endHeaders, 1, Buffer.concat([u32(2), fields(get())])), goaway(protocol)],
  },
  "6.7 PING": {
    "on a stream": [frame(type.ping, 0, 1, Buffer.alloc(8)), goaway(protocol)],
    "of 6 bytes": [frame(type.ping, 0, 0, Buffer.alloc(6)), goaway(frameSize)],
    "ACK that nobody asked for": [ping("01234567", flag.ack), last, fine],
  },
  "6.8 GOAWAY": {
    "on a stream": [frame(type.goaway, 0, 1, Buffer.alloc(8)), goaway(protocol)],
    "of 4 bytes": [frame(type.goaway, 0, 0, Buffer.alloc(4)), goaway(frameSize)],
  },
  "6.9 WINDOW_UPDATE": {
    "of 0 on the connection": [frame(type.window, 0, 0, u32(0)), goaway(protocol)],
    "of 0 on a stream": [headers(1, post(), endHeaders), frame(type.window, 0, 1, u32(0)), { either: [goaway(protocol), reset(protocol)] }],
    "of 3 bytes": [frame(type.window, 0, 0, Buffer.alloc(3)), goaway(frameSize)],
    "the connection's past 2^31-1": [frame(type.window, 0, 0, u32(0x7fffffff)), frame(type.window, 0, 0, u32(0x7fffffff)), goaway(flowControl)],
    "a stream's past 2^31-1": [headers(1, post(), endHeaders), frame(type.window, 0, 1, u32(0x7fffffff)), { either: [goaway(flowControl), reset(flowControl)] }],
    "a stream's past 2^31-1 by SETTINGS": [
      headers(1, post(), endHeaders), frame(type.window, 0, 1, u32(0x7fff0000 - 65535)), frame(type.settings, 0, 0, settings([[4, 0x7fffffff]])),
      { either: [goaway(flowControl), reset(flowControl)] },
    ],
    "DATA past the stream's window": [
      headers(1, post(), endHeaders), ...Array.from({ length: 20 }, () => data(1, Buffer.alloc(16384), 0)),
      { either: [goaway(flowControl), reset(flowControl), reset(none)] },
    ],
  },
  "6.10 CONTINUATION": {
    "without HEADERS": [frame(type.continuation, endHeaders, 1, fields(get())), goaway(protocol)],
    "on stream 0": [frame(type.headers, endStream, 1, fields(get())), frame(type.continuation, endHeaders, 0), goaway(protocol)],
    "of another stream": [frame(type.headers, endStream, 1, fields(get())), frame(type.continuation, endHeaders, 3), goaway(protocol)],
    "after the end of the block": [frame(type.headers, endHeaders, 1, fields(post())), frame(type.continuation, endHeaders, 1, fields([["a", "b"]])), goaway(protocol)],
  },
  "8.1 messages": {
    "a body": [headers(1, post(), endHeaders), data(1, "abc"), status(200)],
    "a body with its length": [headers(1, post("/echo", [["content-length", "3"]]), endHeaders), data(1, "abc"), status(200)],
    "less than its length": [headers(1, post("/echo", [["content-length", "4"]]), endHeaders), data(1, "abc"), reset(protocol)],
    "more than its length": [headers(1, post("/echo", [["content-length", "2"]]), endHeaders), data(1, "abc"), reset(protocol)],
    "a length and no body": [headers(1, post("/echo", [["content-length", "2"]])), reset(protocol)],
    "a length in two DATA frames": [headers(1, post("/echo", [["content-length", "4"]]), endHeaders), data(1, "ab", 0), data(1, "c"), reset(protocol)],
    "lengths that differ": [headers(1, post("/echo", [["content-length", "3"], ["content-length", "4"]]), endHeaders), data(1, "abc"), reset(protocol)],
    "a length twice": [headers(1, post("/echo", [["content-length", "3"], ["content-length", "3"]]), endHeaders), data(1, "abc"), { either: [reset(protocol), status(400)] }],
    "a length that is no number": [headers(1, post("/echo", [["content-length", "+3"]]), endHeaders), data(1, "abc"), reset(protocol)],
    "trailers": [headers(1, post(), endHeaders), data(1, "abc", 0), headers(1, [["x-checksum", "1"]]), status(200)],
    "trailers without END_STREAM": [headers(1, post(), endHeaders), data(1, "abc", 0), headers(1, [["x-checksum", "1"]], endHeaders), { either: [reset(protocol), goaway(protocol)] }],
    "trailers with a pseudo-header field": [headers(1, post(), endHeaders), data(1, "abc", 0), headers(1, [[":method", "GET"]]), reset(protocol)],
    "trailers in upper case": [headers(1, post(), endHeaders), data(1, "abc", 0), headers(1, [["X-Checksum", "1"]]), reset(protocol)],
  },
  "8.2 fields": {
    "a name in upper case": [headers(1, get("/health/live", [["X-Upper", "1"]])), reset(protocol)],
    "a name with a space": [headers(1, get("/health/live", [["x y", "1"]])), reset(protocol)],
    "a name with a colon": [headers(1, get("/health/live", [["x:y", "1"]])), reset(protocol)],
    "an empty name": [headers(1, get("/health/live", [["", "1"]])), reset(protocol)],
    "a value with a line break": [headers(1, get("/health/live", [["x", "a\r\nb: c"]])), reset(protocol)],
    "a value with a zero byte": [headers(1, get("/health/live", [["x", "a\0b"]])), reset(protocol)],
    "a value that begins with a space": [headers(1, get("/health/live", [["x", " a"]])), reset(protocol)],
    "a value that ends with a tab": [headers(1, get("/health/live", [["x", "a\t"]])), reset(protocol)],
    "connection": [headers(1, get("/health/live", [["connection", "close"]])), reset(protocol)],
    "keep-alive": [headers(1, get("/health/live", [["keep-alive", "1"]])), reset(protocol)],
    "proxy-connection": [headers(1, get("/health/live", [["proxy-connection", "close"]])), reset(protocol)],
    "transfer-encoding": [headers(1, post("/echo", [["transfer-encoding", "chunked"]]), endHeaders), data(1, "0\r\n\r\n"), reset(protocol)],
    "upgrade": [headers(1, get("/health/live", [["upgrade", "h2c"]])), reset(protocol)],
    "te: trailers": [headers(1, get("/health/live", [["te", "trailers"]])), status(200)],
    "te: gzip": [headers(1, get("/health/live", [["te", "trailers, gzip"]])), reset(protocol)],
    "cookies in crumbs": [headers(1, get("/health/live", [["cookie", "a=1"], ["x", "y"], ["cookie", "b=2"], ["cookie", "c=3"]])), status(200)],
    "authorization twice": [headers(1, get("/health/live", [["authorization", "a"], ["authorization", "b"]])), status(400)],
  },
  "8.3 pseudo-header fields": {
    "one that nobody knows": [headers(1, [[":test", "1"], ...get()]), reset(protocol)],
    "one of answers": [headers(1, [...get(), [":status", "200"]]), reset(protocol)],
    "after a field": [headers(1, [...without(get(), ":path"), ["x", "1"], [":path", "/"]]), reset(protocol)],
    "no :method": [headers(1, without(get(), ":method")), reset(protocol)],
    "no :scheme": [headers(1, without(get(), ":scheme")), reset(protocol)],
    "no :path": [headers(1, without(get(), ":path")), reset(protocol)],
    ":method twice": [headers(1, [[":method", "GET"], ...get()]), reset(protocol)],
    ":scheme twice": [headers(1, [[":scheme", "http"], ...get()]), reset(protocol)],
    ":path twice": [headers(1, [[":path", "/"], ...get()]), reset(protocol)],
    ":authority twice": [headers(1, [[":authority", "h"], ...get()]), reset(protocol)],
    "an empty :path": [headers(1, get("")), reset(protocol)],
    "an empty :method": [headers(1, replace(get(), ":method", "")), { either: [reset(protocol), status(400), status(501)] }],
    "a :path without a slash": [headers(1, get("health/live")), { either: [reset(protocol), status(400)] }],
    "a :path that is a URL": [headers(1, get("http://h/health/live")), { either: [reset(protocol), status(400)] }],
    "a :path with a fragment": [headers(1, get("/health/live#x")), { either: [reset(protocol), status(400)] }],
    "a :path with a space": [headers(1, get("/health /live")), { either: [reset(protocol), status(400)] }],
    "a :path with steps above the root": [headers(1, get("/../x")), status(400)],
    "a :path with an encoded slash": [headers(1, get("/a%2Fb")), status(400)],
    "OPTIONS *": [headers(1, replace(get("*"), ":method", "OPTIONS")), status(204)],
    "GET *": [headers(1, get("*")), { either: [reset(protocol), status(400)] }],
    "CONNECT": [headers(1, [[":method", "CONNECT"], [":authority", "h:443"]]), { either: [status(501), reset(protocol)] }],
    "CONNECT with a path": [headers(1, replace(get(), ":method", "CONNECT")), { either: [status(501), reset(protocol)] }],
    "extended CONNECT that nobody offered": [headers(1, [...replace(get(), ":method", "CONNECT"), [":protocol", "websocket"]]), reset(protocol)],
    "a method nobody knows": [headers(1, replace(get(), ":method", "BREW")), status(501)],
    "a method with a space": [headers(1, replace(get(), ":method", "GET /x")), { either: [reset(protocol), status(400), status(501)] }],
    "host instead of :authority": [headers(1, [...without(get(), ":authority"), ["host", "h"]]), status(200)],
    "host and :authority that agree": [headers(1, get("/health/live", [["host", "H"]])), status(200)],
    "host and :authority that do not": [headers(1, get("/health/live", [["host", "other"]])), { either: [reset(protocol), status(400)] }],
    "neither": [headers(1, without(get(), ":authority")), { either: [reset(protocol), status(400)] }],
    "host twice": [headers(1, get("/health/live", [["host", "h"], ["host", "h"]])), { either: [reset(protocol), status(400)] }],
    "an :authority with user information": [headers(1, replace(get(), ":authority", "a@h")), { either: [reset(protocol), status(400)] }],
    "an :authority with a path": [headers(1, replace(get(), ":authority", "h/x")), { either: [reset(protocol), status(400)] }],
    "a :scheme nobody serves": [headers(1, replace(get(), ":scheme", "ftp")), { either: [reset(protocol), status(400)] }],
    ":scheme https behind a proxy": [headers(1, replace(get(), ":scheme", "https")), status(200)],
  },
  "RFC 7541": {
    "a size of the table above the granted one": [headers(1, Buffer.concat([integer(4097, 5, 0x20), fields(get())])), goaway(compression)],
    "the granted size": [headers(1, Buffer.concat([integer(4096, 5, 0x20), fields(get())])), status(200)],
    "a size of the table after a field": [headers(1, Buffer.concat([fields(get()), integer(0, 5, 0x20)])), goaway(compression)],
    "Huffman code with eight bits of padding": [headers(1, Buffer.concat([fields(get()), Buffer.from([0x00, 0x01, 0x78, 0x82, 0x1f, 0xff])])), goaway(compression)],
    "Huffman code padded with zeros": [headers(1, Buffer.concat([fields(get()), Buffer.from([0x00, 0x01, 0x78, 0x81, 0x18])])), goaway(compression)],
    "Huffman code with EOS": [headers(1, Buffer.concat([fields(get()), Buffer.from([0x00, 0x01, 0x78, 0x84, 0xff, 0xff, 0xff, 0xff])])), goaway(compression)],
    "Huffman code that is right": [headers(1, Buffer.concat([fields(get()), Buffer.from([0x00, 0x01, 0x78, 0x81, 0x1f])])), status(200)],
    "a length that has no end": [headers(1, Buffer.concat([fields(get()), Buffer.from([0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])])), goaway(compression)],
    "an entry used after it was added": [headers(1, Buffer.concat([fields(get()), fields([["x-new", "1"]], 0x40), Buffer.from([0xbe])])), status(200)],
    "an entry that the size threw out": [headers(1, Buffer.concat([integer(0, 5, 0x20), fields(get()), fields([["x-new", "1"]], 0x40), Buffer.from([0xbe])])), goaway(compression)],
  },
};

/* Does the outcome have everything that is expected? */
function fits(outcome, want) {
  if (want.either) return want.either.some((one) => fits(outcome, one));
  if (want.closed && !outcome.closed) return false;
  if (want.goaway !== undefined && outcome.goaway !== want.goaway) return false;
  for (const [stream, code] of Object.entries(want.resets ?? {})) if (outcome.resets[stream] !== code) return false;
  for (const [stream, code] of Object.entries(want.statuses ?? {})) if (outcome.statuses[stream] !== code) return false;
  return want.goaway !== undefined || want.closed || outcome.goaway === undefined;
}

describe("RFC 9113 frame by frame", () => {
  let server;
  const cleanups = [];
  before(async () => {
    server = await startConformance({ after: (fn) => cleanups.push(fn) });
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });
  for (const [chapter, rows] of Object.entries(cases))
    for (const [name, row] of Object.entries(rows)) {
      it(`${chapter}: ${name}`, async () => {
        const parts = row.slice(0, -1);
        const first = Buffer.isBuffer(parts[0]) ? {} : parts[0];
        const client = await Frames.open(server.url, { greet: !first.raw && first.greet !== false });
        for (const part of parts) {
          if (Buffer.isBuffer(part)) client.send(part);
          else if (part.raw) client.send(part.raw);
          else if (part.wait) {
            client.send(part.wait);
            await client.body(1);
          }
        }
        const want = row.at(-1);
        const wanted = (want.either ?? [want]).flatMap((one) => Object.keys(one.statuses ?? {}).map(Number));
        const outcome = await client.outcome();
        // An answer may take a moment longer than the ping behind it.
        if (!fits(outcome, want) && !outcome.closed && wanted.length)
          await client.until((frames) => frames.some((f) => wanted.includes(f.stream) && f.type <= type.reset));
        const final = fits(outcome, want) ? outcome : await client.outcome();
        client.close();
        assert.ok(fits(final, want), `${JSON.stringify(final)} is not ${JSON.stringify(want)}`);
      });
    }
});
