/*
 * Request smuggling over HTTP/2: what would be a second request, another header or another length once somebody writes it down as
 * HTTP/1.1. Each row is a stream among others of its connection; it ends in RST_STREAM with PROTOCOL_ERROR or in 400, never in /echo,
 * and the streams before and behind it are served (RFC 9113 8.1.1). What is well-formed comes back from /echo, byte by byte.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { startConformance } from "../support/conformance.mjs";
import { Frames, data, error, flag, frame, headers, post, type } from "../support/frames.mjs";
import { answersOf, exchange, hidden } from "../support/smuggling.mjs";

const { endHeaders, endStream } = flag;
const malformed = { reset: error.protocol };
const refused = (status) => ({ status });
const served = (body) => ({ body });

const fields = post("/echo");
const without = (name) => fields.filter(([n]) => n !== name);
const replace = (name, value) => fields.map(([n, v]) => [n, n === name ? value : v]);
/* A request in frames: header fields, then DATA (strings), of which the last ends the stream. */
const message = (list, ...bodies) => (stream) =>
  Buffer.concat([
    headers(stream, list, endHeaders | (bodies.length ? 0 : endStream)),
    ...bodies.map((body, i) => data(stream, body, i === bodies.length - 1 ? endStream : 0)),
  ]);
const withField = (name, value) => message([...fields, [name, value]], "abc");
const path = (value) => message(replace(":path", value), "abc");
const authority = (value) => message(replace(":authority", value), "abc");
const scheme = (value) => message(replace(":scheme", value), "abc");
const method = (value) => message(replace(":method", value), "abc");
const trailers = (list) => (stream) =>
  Buffer.concat([headers(stream, fields, endHeaders), data(stream, "abc", 0), headers(stream, list, endHeaders | endStream)]);
const second = `GET /echo HTTP/1.1\r\nhost: h\r\n\r\n`;

const cases = {
  "names of fields": [
    ["in upper case", "9113 8.2.1", withField("X-Upper", "1"), malformed],
    ["one letter in upper case", "9113 8.2.1", withField("content-Length", "60"), malformed],
    ["empty", "9113 8.2.1", withField("", "1"), malformed],
    ["a colon inside", "9113 8.2.1", withField("x:y", "1"), malformed],
    ["a colon at the end", "9113 8.2.1", withField("x:", "1"), malformed],
    ["a colon and a value", "9113 8.2.1", withField("transfer-encoding: chunked", "1"), malformed],
    ["CR LF", "9113 8.2.1", withField("x: y\r\nz", "1"), malformed],
    ["CR LF and a whole request", "9113 8.2.1", withField(`x: y\r\n\r\n${second}z`, "1"), malformed],
    ["a CR", "9113 8.2.1", withField("x\r", "1"), malformed],
    ["an LF", "9113 8.2.1", withField("x\n", "1"), malformed],
    ["a NUL", "9113 8.2.1", withField("x\0", "1"), malformed],
    ["a space before", "9113 8.2.1", withField(" x", "1"), malformed],
    ["a space behind", "9113 8.2.1", withField("transfer-encoding ", "chunked"), malformed],
    ["a tab", "9113 8.2.1", withField("x\ty", "1"), malformed],
    ["DEL", "9113 8.2.1", withField("x\x7f", "1"), malformed],
    ["bytes past ASCII", "9113 8.2.1", withField("caf\xc3\xa9", "1"), malformed],
    ["a separator", "9110 5.1", withField("x(y)", "1"), malformed],
  ],
  "values of fields": [
    ["CR LF and another field", "9113 8.2.1", withField("x", "a\r\ntransfer-encoding: chunked"), malformed],
    ["CR LF CR LF and another request", "9113 8.2.1", withField("x", `a\r\n\r\n${second}`), malformed],
    ["an LF", "9113 8.2.1", withField("x", "a\nb: c"), malformed],
    ["a CR", "9113 8.2.1", withField("x", "a\rb: c"), malformed],
    ["a NUL", "9113 8.2.1", withField("x", "a\0b"), malformed],
    ["a NUL at the end", "9113 8.2.1", withField("x", "a\0"), malformed],
    ["a space before", "9113 8.2.1", withField("x", " a"), malformed],
    ["a space behind", "9113 8.2.1", withField("x", "a "), malformed],
    ["a tab before", "9113 8.2.1", withField("x", "\ta"), malformed],
    ["a tab behind", "9113 8.2.1", withField("x", "a\t"), malformed],
    ["a control byte", "9110 5.5", withField("x", "a\x01b"), malformed],
    ["DEL", "9110 5.5", withField("x", "a\x7f"), malformed],
    ["a space inside is fine", "9110 5.5", withField("x", "a b\tc"), served("abc")],
    ["empty is fine", "9110 5.5", withField("x", ""), served("abc")],
    ["bytes past ASCII are fine", "9110 5.5", withField("x", "caf\xc3\xa9"), served("abc")],
    ["a cookie with CR LF in a crumb", "9113 8.2.1", message([...fields, ["cookie", "a=1"], ["cookie", "b=2\r\nx: y"]], "abc"), malformed],
  ],
  "fields of a connection": [
    ["connection", "9113 8.2.2", withField("connection", "close"), malformed],
    ["connection that nominates content-length", "9113 8.2.2", withField("connection", "content-length"), malformed],
    ["keep-alive", "9113 8.2.2", withField("keep-alive", "timeout=5"), malformed],
    ["proxy-connection", "9113 8.2.2", withField("proxy-connection", "keep-alive"), malformed],
    ["upgrade", "9113 8.2.2", withField("upgrade", "h2c"), malformed],
    ["transfer-encoding", "9113 8.2.2", message([...fields, ["transfer-encoding", "chunked"]], `0\r\n\r\n${hidden}`), malformed],
    ["transfer-encoding: identity", "9113 8.2.2", withField("transfer-encoding", "identity"), malformed],
    ["transfer-encoding beside a length", "9113 8.2.2", message([...fields, ["content-length", "3"], ["transfer-encoding", "chunked"]], "abc"), malformed],
    ["te: trailers is fine", "9113 8.2.2", withField("te", "trailers"), served("abc")],
    ["te: gzip", "9113 8.2.2", withField("te", "gzip"), malformed],
    ["te: trailers, chunked", "9113 8.2.2", withField("te", "trailers, chunked"), malformed],
    ["te: chunked", "9113 8.2.2", withField("te", "chunked"), malformed],
    ["http2-settings is nobody's", "9113 3.1", withField("http2-settings", "AAMAAABk"), served("abc")],
  ],
  "pseudo-header fields": [
    ["as they should be", "9113 8.3.1", message(fields, "abc"), served("abc")],
    ["one that nobody knows", "9113 8.3", message([[":x", "1"], ...fields], "abc"), malformed],
    ["one of answers", "9113 8.3", message([...fields, [":status", "200"]], "abc"), malformed],
    ["a colon alone", "9113 8.3", message([[":", "1"], ...fields], "abc"), malformed],
    ["in upper case", "9113 8.2.1", message([...without(":path"), [":Path", "/echo"]], "abc"), malformed],
    ["behind a field", "9113 8.3", message([...without(":path"), ["x", "1"], [":path", "/echo"]], "abc"), malformed],
    [":authority behind a field", "9113 8.3", message([...without(":authority"), ["x", "1"], [":authority", "h"]], "abc"), malformed],
    [":method twice", "9113 8.3", message([[":method", "GET"], ...fields], "abc"), malformed],
    [":path twice, equal", "9113 8.3", message([[":path", "/echo"], ...fields], "abc"), malformed],
    [":path twice", "9113 8.3", message([[":path", "/big"], ...fields], "abc"), malformed],
    [":scheme twice", "9113 8.3", message([[":scheme", "https"], ...fields], "abc"), malformed],
    [":authority twice", "9113 8.3", message([[":authority", "other"], ...fields], "abc"), malformed],
    ["no :method", "9113 8.3.1", message(without(":method"), "abc"), malformed],
    ["no :path", "9113 8.3.1", message(without(":path"), "abc"), malformed],
    ["no :scheme", "9113 8.3.1", message(without(":scheme"), "abc"), malformed],
    ["none", "9113 8.3.1", message([["host", "h"]], "abc"), malformed],
    [":protocol, which was not offered", "8441 3", message([...replace(":method", "CONNECT"), [":protocol", "websocket"]], "abc"), malformed],
    [":protocol of POST", "8441 4", message([...fields, [":protocol", "websocket"]], "abc"), malformed],
    ["in trailers", "9113 8.1", trailers([[":path", "/big"]]), malformed],
    [":status in trailers", "9113 8.1", trailers([[":status", "200"]]), malformed],
  ],
  ":method": [
    ["in lower case is another one", "9110 9.1", method("post"), refused(501)],
    ["empty", "9110 9.1", method(""), malformed],
    ["a space and a target", "9110 9.1", method("GET /big"), malformed],
    ["a request line", "9110 9.1", method(`GET /big HTTP/1.1\r\nx:`), malformed],
    ["a tab", "9110 9.1", method("POST\t"), malformed],
    ["a NUL", "9110 9.1", method("POST\0"), malformed],
    ["CONNECT of an authority", "9113 8.5", message([[":method", "CONNECT"], [":authority", "h:80"]], "abc"), refused(501)],
    ["CONNECT with a path", "9113 8.5", method("CONNECT"), malformed],
    ["TRACE", "9110 9.3.8", method("TRACE"), refused(501)],
    ["PRI", "9113 3.4", method("PRI"), refused(501)],
  ],
  ":path": [
    ["empty", "9113 8.3.1", path(""), malformed],
    ["no slash", "9113 8.3.1", path("echo"), malformed],
    ["a URL", "9113 8.3.1", path("http://h/echo"), malformed],
    ["an authority", "9113 8.3.1", path("h:80"), malformed],
    ["* of POST", "9113 8.3.1", path("*"), malformed],
    ["a space", "9113 8.3.1", path("/echo /x"), malformed],
    ["a version", "9113 8.3.1", path("/echo HTTP/1.1"), malformed],
    ["CR LF", "9113 8.2.1", path("/echo HTTP/1.1\r\nx: y"), malformed],
    ["CR LF alone", "9113 8.2.1", path("/echo\r\n"), malformed],
    ["an LF", "9113 8.2.1", path("/echo\nx"), malformed],
    ["a CR", "9113 8.2.1", path("/echo\rx"), malformed],
    ["a NUL", "9113 8.2.1", path("/echo\0"), malformed],
    ["a tab", "9113 8.3.1", path("/echo\tx"), malformed],
    ["DEL", "9113 8.3.1", path("/echo\x7f"), malformed],
    ["a space before it", "9113 8.2.1", path(" /echo"), malformed],
    ["a space behind it", "9113 8.2.1", path("/echo "), malformed],
    ["a fragment", "9113 8.3.1", path("/echo#x"), refused(400)],
    ["a backslash", "3986 3.3", path("/echo\\x"), refused(400)],
    ["//h/echo", "3986 3.3", path("//h/echo"), refused(400)],
    ["/../echo", "3986 5.2.4", path("/../echo"), refused(400)],
    ["/x/..%2fecho", "3986 2.2", path("/x/..%2fecho"), refused(400)],
    ["encoded CR LF", "3986 2.1", path("/echo%0d%0ax"), refused(400)],
    ["bytes past ASCII", "3986 2", path("/caf\xc3\xa9"), refused(400)],
    ["a query is fine", "9113 8.3.1", path("/echo?a=b"), served("abc")],
  ],
  ":authority and host": [
    ["host alone", "9113 8.3.1", message([...without(":authority"), ["host", "h"]], "abc"), served("abc")],
    ["both, equal but for case", "9113 8.3.1", withField("host", "H"), served("abc")],
    ["both, different", "9113 8.3.1", withField("host", "other"), refused(400)],
    ["both, one with a port", "9113 8.3.1", withField("host", "h:80"), refused(400)],
    ["neither", "9113 8.3.1", message(without(":authority"), "abc"), malformed],
    ["host twice", "9110 7.2", message([...fields, ["host", "h"], ["host", "h"]], "abc"), malformed],
    ["host twice without :authority", "9110 7.2", message([...without(":authority"), ["host", "h"], ["host", "other"]], "abc"), malformed],
    ["an empty :authority beside a host", "9113 8.3.1", message([...replace(":authority", ""), ["host", "h"]], "abc"), malformed],
    ["user information", "9113 8.3.1", authority("user@h"), refused(400)],
    ["a path", "9113 8.3.1", authority("h/x"), malformed],
    ["a space", "9113 8.3.1", authority("h x"), malformed],
    ["a comma", "9110 7.2", authority("h,other"), refused(400)],
    ["an escape", "9110 4.2.3", authority("h%2eother"), refused(400)],
    ["CR LF", "9113 8.2.1", authority("h\r\nx: y"), malformed],
    ["a NUL", "9113 8.2.1", authority("h\0"), malformed],
    ["host with CR LF", "9113 8.2.1", message([...without(":authority"), ["host", "h\r\nx: y"]], "abc"), malformed],
    ["host with a path", "9110 7.2", message([...without(":authority"), ["host", "h/x"]], "abc"), malformed],
    ["a port that is none", "3986 3.2.3", authority("h:80x"), refused(400)],
  ],
  ":scheme": [
    ["https in clear, of a proxy that has TLS in front", "9113 8.3.1", scheme("https"), served("abc")],
    ["in upper case", "3986 3.1", scheme("HTTP"), served("abc")],
    ["empty", "9113 8.3.1", scheme(""), malformed],
    ["ftp", "9113 8.3.1", scheme("ftp"), refused(400)],
    ["a URL", "9113 8.3.1", scheme("http://other/x?"), malformed],
    ["a colon", "3986 3.1", scheme("http:"), malformed],
    ["a space", "3986 3.1", scheme("http "), malformed],
    ["CR LF", "9113 8.2.1", scheme("http\r\nx: y"), malformed],
  ],
  "content-length": [
    ["as it should be", "9113 8.1.1", message([...fields, ["content-length", "3"]], "abc"), served("abc")],
    ["in several frames", "9113 8.1.1", message([...fields, ["content-length", "6"]], "abc", "", "def"), served("abcdef")],
    ["less than comes", "9113 8.1.1", message([...fields, ["content-length", "2"]], "abc"), malformed],
    ["less than comes in several frames", "9113 8.1.1", message([...fields, ["content-length", "5"]], "abc", "def"), malformed],
    ["more than comes", "9113 8.1.1", message([...fields, ["content-length", "60"]], "abc"), malformed],
    ["0, and a request behind it", "9113 8.1.1", message([...fields, ["content-length", "0"]], hidden), malformed],
    ["none comes at all", "9113 8.1.1", message([...fields, ["content-length", "3"]]), malformed],
    ["none comes but an empty frame", "9113 8.1.1", message([...fields, ["content-length", "3"]], ""), malformed],
    ["0 and none comes", "9113 8.1.1", message([...fields, ["content-length", "0"]]), served("")],
    ["0 and an empty frame", "9113 8.1.1", message([...fields, ["content-length", "0"]], ""), served("")],
    ["less than comes, then trailers", "9113 8.1.1", (stream) => Buffer.concat([headers(stream, [...fields, ["content-length", "60"]], endHeaders), data(stream, "abc", 0), headers(stream, [["x", "y"]], endHeaders | endStream)]), malformed],
    ["twice, different", "9110 8.6", message([...fields, ["content-length", "3"], ["content-length", "60"]], "abc"), malformed],
    ["twice, equal", "9110 8.6", message([...fields, ["content-length", "3"], ["content-length", "3"]], "abc"), malformed],
    ["3, 3", "9110 8.6", message([...fields, ["content-length", "3, 3"]], "abc"), malformed],
    ["+3", "9110 8.6", message([...fields, ["content-length", "+3"]], "abc"), malformed],
    ["-1", "9110 8.6", message([...fields, ["content-length", "-1"]], "abc"), malformed],
    ["0x3", "9110 8.6", message([...fields, ["content-length", "0x3"]], "abc"), malformed],
    ["empty", "9110 8.6", message([...fields, ["content-length", ""]], "abc"), malformed],
    ["2^64 + 3", "9110 8.6", message([...fields, ["content-length", "18446744073709551619"]], "abc"), malformed],
    ["2^63", "9110 8.6", message([...fields, ["content-length", "9223372036854775808"]], "abc"), malformed],
    ["of a GET without a body", "9113 8.1.1", message([...replace(":method", "GET"), ["content-length", "3"]]), malformed],
    ["in trailers", "9110 6.5.1", trailers([["content-length", "60"]]), malformed],
  ],
  "bodies and trailers": [
    ["a body that is a request", "9113 8.1", message(fields, hidden), served(hidden)],
    ["a body that is the end of chunks", "9113 8.1", message(fields, `0\r\n\r\n${hidden}`), served(`0\r\n\r\n${hidden}`)],
    ["of GET", "9110 9.3.1", message(replace(":method", "GET"), hidden), served(hidden)],
    ["of DELETE", "9110 9.3.5", message(replace(":method", "DELETE"), hidden), served(hidden)],
    ["trailers are dropped", "9110 6.5.1", trailers([["x-sum", "1"], ["authorization", "x"]]), served("abc")],
    ["trailers of a name in upper case", "9113 8.2.1", trailers([["X-Sum", "1"]]), malformed],
    ["trailers with transfer-encoding", "9113 8.2.2", trailers([["transfer-encoding", "chunked"]]), malformed],
    ["trailers with CR LF", "9113 8.2.1", trailers([["x", "a\r\nb: c"]]), malformed],
    ["trailers that do not end the stream", "9113 8.1", (stream) => Buffer.concat([headers(stream, fields, endHeaders), data(stream, "abc", 0), headers(stream, [["x", "y"]], endHeaders)]), malformed],
  ],
};

describe("request smuggling over HTTP/2", () => {
  let server;
  const cleanups = [];
  before(async () => {
    server = await startConformance({ after: (fn) => cleanups.push(fn) });
  });
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });
  const echoed = async () => {
    const bytes = "GET /echoed HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    return Number(answersOf(await exchange({ port: new URL(server.url).port }, bytes))[0].body);
  };

  for (const [chapter, rows] of Object.entries(cases)) {
    for (const [name, rfc, make, want] of rows) {
      it(`${chapter}: ${name} (RFC ${rfc})`, async () => {
        const count = await echoed();
        const client = await Frames.open(server.url);
        client.send(headers(1, fields, endHeaders), data(1, "be", 0)); // a stream that is open all along
        client.send(make(3));
        client.send(message(fields, "behind")(5), data(1, "fore"));
        const over = (frames) => frames.find((f) => f.stream === 3 && (f.type === type.reset || (f.type <= type.headers && f.flags & endStream)));
        const [one, five] = [await client.body(1), await client.body(5)];
        assert.ok(await client.until(over), "the stream has no end");
        assert.equal(String(one), "before");
        assert.equal(String(five), "behind");
        const { goaway, resets, statuses } = await client.outcome();
        assert.equal(goaway, undefined, "GOAWAY");
        if (want.reset !== undefined) {
          assert.equal(statuses[3], undefined);
          assert.equal(resets[3], want.reset);
        } else {
          assert.equal(statuses[3], want.status ?? 200);
          assert.ok(resets[3] === undefined || want.status, "answered and reset");
        }
        if (want.body !== undefined) assert.equal(String(await client.body(3)), want.body);
        client.close();
        assert.equal(await echoed(), count + 2 + (want.body === undefined ? 0 : 1), "what /echo served");
      });
    }
  }
});
