/*
 * tests/support/frames.mjs - A client of HTTP/2 that sends any frame, right or wrong, and sees what comes back. Header
 * fields are literal and without Huffman code; of answers it understands the status.
 */
import { once } from "node:events";
import { connect } from "node:net";

export const type = { data: 0, headers: 1, priority: 2, reset: 3, settings: 4, push: 5, ping: 6, goaway: 7, window: 8, continuation: 9, priorityUpdate: 16 };
export const flag = { ack: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 32 };
export const error = {
  none: 0, protocol: 1, internal: 2, flowControl: 3, settingsTimeout: 4, streamClosed: 5, frameSize: 6, refused: 7, cancel: 8,
  compression: 9, connect: 10, calm: 11,
};
export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export function frame(kind, flags, stream, payload = Buffer.alloc(0), { length = payload.length } = {}) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length, 0, 3);
  head[3] = kind;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, Buffer.from(payload)]);
}

export function u32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

export function settings(entries) {
  return Buffer.concat(
    entries.map(([id, value]) => {
      const bytes = Buffer.alloc(6);
      bytes.writeUInt16BE(id);
      bytes.writeUInt32BE(value, 2);
      return bytes;
    }),
  );
}

/* A length of HPACK with a prefix of `bits`; `first` has the bits before it. */
export function integer(value, bits, first = 0) {
  const most = (1 << bits) - 1;
  if (value < most) return Buffer.from([first | value]);
  const bytes = [first | most];
  for (value -= most; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  bytes.push(value);
  return Buffer.from(bytes);
}

/* [[name, value], ...] as literals without indexing (0x00) or with (0x40). */
export function fields(list, how = 0x00) {
  return Buffer.concat(
    list.flatMap(([name, value]) => {
      const [n, v] = [Buffer.from(name, "latin1"), Buffer.from(value, "latin1")];
      return [Buffer.from([how]), integer(n.length, 7), n, integer(v.length, 7), v];
    }),
  );
}

export const get = (path = "/health/live", more = []) => [
  [":method", "GET"], [":scheme", "http"], [":path", path], [":authority", "h"], ...more,
];
export const post = (path = "/echo", more = []) => [
  [":method", "POST"], [":scheme", "http"], [":path", path], [":authority", "h"], ...more,
];

export const headers = (stream, list, flags = flag.endStream | flag.endHeaders) =>
  frame(type.headers, flags, stream, Buffer.isBuffer(list) ? list : fields(list));
export const data = (stream, bytes, flags = flag.endStream) => frame(type.data, flags, stream, Buffer.from(bytes));
export const ping = (text = "01234567", flags = 0) => frame(type.ping, flags, 0, Buffer.from(text));

const staticStatus = { 8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500 };

/* The status of an answer whose table is empty: the first field of its block. */
function statusOf(block) {
  let at = 0;
  while ((block[at] & 0xe0) === 0x20) at++; // a new size of the table
  if (block[at] & 0x80) return staticStatus[block[at] & 0x7f];
  at++; // a literal whose name is entry 8
  const [length, huffman] = [block[at] & 0x7f, block[at] & 0x80];
  const text = block.subarray(at + 1, at + 1 + length);
  if (!huffman) return Number(text.toString());
  let bits = [...text].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  let digits = "";
  while (digits.length < 3) {
    const long = Number.parseInt(bits.slice(0, 5), 2) > 2; // 0, 1 and 2 have five bits, the others six
    digits += long ? Number.parseInt(bits.slice(0, 6), 2) - 0x19 + 3 : Number.parseInt(bits.slice(0, 5), 2);
    bits = bits.slice(long ? 6 : 5);
  }
  return Number(digits);
}

export class Frames {
  static async open(url, { greet = true, entries = [[1, 0]] } = {}) {
    const self = new Frames();
    const { hostname, port } = new URL(url);
    self.frames = [];
    self.rest = Buffer.alloc(0);
    self.closed = false;
    self.waiting = [];
    self.socket = connect({ host: hostname, port, noDelay: true, allowHalfOpen: true });
    self.socket.on("data", (bytes) => self.#take(bytes));
    for (const event of ["end", "close", "error"])
      self.socket.on(event, () => {
        self.closed = true;
        self.#wake();
      });
    await once(self.socket, "connect");
    if (greet) self.send(preface, frame(type.settings, 0, 0, settings(entries)));
    return self;
  }

  send(...parts) {
    if (!this.socket.writableEnded && !this.socket.destroyed) this.socket.write(Buffer.concat(parts));
  }

  #wake() {
    for (const wake of this.waiting.splice(0)) wake();
  }

  #take(bytes) {
    this.rest = Buffer.concat([this.rest, bytes]);
    while (this.rest.length >= 9) {
      const length = this.rest.readUIntBE(0, 3);
      if (this.rest.length < 9 + length) break;
      const payload = this.rest.subarray(9, 9 + length);
      this.frames.push({ type: this.rest[3], flags: this.rest[4], stream: this.rest.readUInt32BE(5), payload });
      this.rest = this.rest.subarray(9 + length);
    }
    this.#wake();
  }

  /* Wait until `look(frames)` returns something, or the server closed; at most ten seconds. */
  async until(look) {
    const patience = setTimeout(() => this.socket.destroy(new Error("nothing came in ten seconds")), 10_000);
    try {
      for (;;) {
        const found = look(this.frames);
        if (found || this.closed) return found;
        await new Promise((resolve) => this.waiting.push(resolve));
      }
    } finally {
      clearTimeout(patience);
    }
  }

  find(kind, stream) {
    return this.until((frames) => frames.find((f) => f.type === kind && (stream === undefined || f.stream === stream)));
  }

  async status(stream) {
    const answer = await this.until((frames) => frames.find((f) => f.type === type.headers && f.stream === stream));
    return answer && statusOf(answer.payload);
  }

  /* All bytes of DATA of a stream, once its end came. */
  async body(stream) {
    await this.until((frames) => frames.some((f) => f.stream === stream && f.flags & flag.endStream && f.type <= type.headers));
    return Buffer.concat(this.frames.filter((f) => f.type === type.data && f.stream === stream).map((f) => f.payload));
  }

  /* What the server made of everything sent: { goaway, resets: { stream: code }, statuses: { stream: status }, closed }. */
  async outcome() {
    this.send(ping("outcome!"));
    await this.until((frames) => frames.some((f) => f.type === type.ping && f.flags & flag.ack && f.payload.toString() === "outcome!"));
    const result = { closed: this.closed, resets: {}, statuses: {} };
    for (const f of this.frames) {
      if (f.type === type.goaway) result.goaway = f.payload.readUInt32BE(4);
      if (f.type === type.reset) result.resets[f.stream] = f.payload.readUInt32BE(0);
      if (f.type === type.headers) result.statuses[f.stream] ??= statusOf(f.payload);
    }
    return result;
  }

  close() {
    this.socket.destroy();
  }
}
