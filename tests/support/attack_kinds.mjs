/*
 * tests/support/attack_kinds.mjs - The attacks: what each sends and by what means, and how the server shows that it saw it.
 *
 *   what      a few words for the table
 *   tool      flags of slowhttptest; its connections all come from 127.0.0.1, so that whether the bound by address holds is a matter of `capped`
 *   sender    a way of attack_sender.mjs and its options
 *   payload   of attack_payloads.mjs, for the sender; the attack's own name when nothing is said
 *   capped    run under the bound by address that Purlin has by itself; else nobody is counted by address
 *   path      what slowhttptest asks for, over so many `connections`
 *   seen      [metric, labels]: at least one of them must grow
 */
const refusals = (status) => ["purlin_http_refusals_total", { http_response_status_code: String(status) }];
const answers = (status) => ["http_server_request_duration_seconds", { http_response_status_code: String(status) }];
const abuse = (kind) => ["purlin_http2_abuse_total", { kind }];
const overAddress = ["purlin_connections_refused_total", { reason: "address" }];
const accepted = ["purlin_connections_accepted_total", {}];
const frames = (connections) => ({ way: "frames", connections });

/* The bound by address is 1000. */
const capped = { what: "the same, 1,500 from one address", capped: true, connections: 1500, seen: [overAddress] };
const slowHeaders = { connections: 800, tool: ["-H", "-i", "1", "-x", "24"], path: "/api/v1/things" };
const slowBodies = { connections: 800, tool: ["-B", "-i", "2", "-x", "24", "-s", "8192", "-f", "application/json"], path: "/api/v1/things" };
const slowReads = { connections: 800, tool: ["-X", "-n", "1", "-w", "512", "-y", "1024", "-z", "32", "-k", "2"], path: "/static/large.bin" };

export const kinds = {
  "slow-headers": { what: "heads that never end", ...slowHeaders, seen: [refusals(408)] },
  "slow-headers-capped": { ...slowHeaders, ...capped },
  "slow-bodies": { what: "bodies of a few bytes now and then", ...slowBodies, seen: [answers(408)] },
  "slow-bodies-capped": { ...slowBodies, ...capped, seen: [overAddress, answers(429)] },
  "slow-reads": { what: "answers of 1 MiB, taken by 32 bytes a second", ...slowReads, seen: [["purlin_http_stalled_total", {}]] },
  "slow-reads-capped": { ...slowReads, ...capped },
  "rapid-reset": { what: "HTTP/2 requests, reset at once", sender: frames(16), seen: [abuse("rapid_reset")] },
  "made-you-reset": { what: "HTTP/2 requests that the server must reset", sender: frames(16), seen: [abuse("made_you_reset")] },
  continuation: { what: "a header block of CONTINUATION frames without end", sender: frames(16), seen: [abuse("continuation")] },
  settings: { what: "SETTINGS frames without end", sender: frames(16), seen: [abuse("settings")] },
  ping: { what: "PING frames without end", sender: frames(16), seen: [abuse("ping")] },
  "hpack-bomb": { what: "blocks of 1 KB that decode to 4 MB", sender: frames(16), seen: [abuse("header_bomb")] },
  "header-bomb": { what: "100,000 headers, 4 MiB in one, a line of 1 MiB", sender: { way: "requests", connections: 16 }, seen: [refusals(431), refusals(414)] },
  "decompression-bomb": { what: "gzip, br and zstd bodies, up to 1:10,000", sender: { way: "requests", connections: 16 }, seen: [answers(413)] },
  "range-bomb": { what: "1,300 ranges that overlap, 1,200 far apart", sender: { way: "requests", connections: 16 }, seen: [answers(416)] },
  "hash-collision": { what: "16,384 names of one hash, 100,000 names, 100,000 deep", sender: { way: "requests", connections: 16 }, seen: [answers(413), answers(422)] },
  "connection-flood": { what: "connections that say nothing", sender: { way: "connections", most: 12_000, atOnce: 64 }, seen: [["purlin_connections_refused_total", { reason: "silent" }]] },
  "connection-churn": { what: "connections opened and reset", sender: { way: "connections", most: 1000, atOnce: 64, churn: true }, seen: [accepted] },
};
