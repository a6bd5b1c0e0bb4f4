/*
 * The one table of configuration keys. Order is the order of the documents.
 */
#include <stddef.h>

#include "base/macros.h"
#include "cmd/config.h"
#include "http/http.h"

#define SECOND INT64_C(1000000)
#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define DAY (86400 * SECOND)

const struct config_key config_keys[] = {
    { "env", "PURLIN_ENV", CONFIG_CHOICE, offsetof(struct config, env), "development",
      "development|production", 0, 0, false, false,
      "In production unsafe choices are refused at start, and the documents and metrics are closed "
      "unless opened." },

    { "server.host", "HOST", CONFIG_TEXT, offsetof(struct config, host), "127.0.0.1", NULL, 1, 255,
      false, false,
      "Address to listen on: an IPv4 or IPv6 address. `0.0.0.0` or `::` is every address." },
    { "server.port", "PORT", CONFIG_INTEGER, offsetof(struct config, port), "8000", NULL, 0, 65535,
      false, false, "Port to listen on; 0 takes a free one and prints it." },
    { "server.threads", "PURLIN_THREADS", CONFIG_INTEGER, offsetof(struct config, threads), "0",
      NULL, 0, 256, false, false,
      "Event loops, each on a thread of its own; 0 is one for each core." },
    { "server.grace", "PURLIN_GRACE", CONFIG_DURATION, offsetof(struct config, grace_us), "25s",
      NULL, 0, 600 * SECOND, false, true,
      "How long requests in flight may take to finish after SIGTERM." },
    { "server.drain_delay", "PURLIN_DRAIN_DELAY", CONFIG_DURATION,
      offsetof(struct config, drain_delay_us), "0s", NULL, 0, 60 * SECOND, false, true,
      "How long to go on accepting after `/health/ready` turned red, so that a balancer can "
      "notice." },
    { "server.request_timeout", "PURLIN_REQUEST_TIMEOUT", CONFIG_DURATION,
      offsetof(struct config, request_timeout_us), "30s", NULL, 100000, 3600 * SECOND, false, true,
      "Deadline of one request, queries included.", true },
    { "server.clear", "PURLIN_CLEAR", CONFIG_BOOLEAN, offsetof(struct config, clear), "on", NULL, 0,
      0, false, false, "Open the clear port; `off` serves other listeners only." },
    { "server.unix", "PURLIN_UNIX", CONFIG_TEXT, offsetof(struct config, unix_path), "", NULL, 0,
      100, false, false,
      "Path of a unix socket to listen on as well; none when empty. A socket of the same user that "
      "is there already is replaced." },
    { "server.unix_mode", "PURLIN_UNIX_MODE", CONFIG_TEXT, offsetof(struct config, unix_mode_text),
      "0660", NULL, 3, 4, false, false, "Permissions of the unix socket, in octal." },
    { "server.trusted_proxies", "TRUSTED_PROXIES", CONFIG_TEXT,
      offsetof(struct config, trusted_proxies), "", NULL, 0, 4096, false, true,
      "Addresses (comma-separated, with prefix lengths) of the proxies in front that terminate "
      "TLS. Production asks for it "
      "unless the server listens on loopback only." },

    { "server.proxy_protocol", "PURLIN_PROXY_PROTOCOL", CONFIG_BOOLEAN,
      offsetof(struct config, proxy_protocol), "off", NULL, 0, 0, false, false,
      "Trusted proxies begin each connection with a PROXY header (version 1 or 2), before TLS if "
      "there is TLS; a connection of theirs without one is closed. That of other peers is taken as "
      "it is." },
    { "server.forwarded", "PURLIN_FORWARDED", CONFIG_CHOICE, offsetof(struct config, forwarded),
      "auto", "auto|forwarded|x-forwarded|off", 0, 0, false, true,
      "Which headers of trusted proxies tell the client's address, scheme and host: `Forwarded` or "
      "`X-Forwarded-*`. `auto` takes the one that is there, and neither when both are there and "
      "disagree." },
    { "server.hosts", "PURLIN_HOSTS", CONFIG_TEXT, offsetof(struct config, hosts), "", NULL, 0,
      4096, false, true,
      "Names (comma-separated) that are answered to: `example.org`, `*.example.org`, or `*` for "
      "any; "
      "others get 421. Empty is any in development; production asks for it unless the server "
      "listens on loopback only. Health checks may use an address as well." },

    { "limits.enabled", "PURLIN_LIMITS", CONFIG_BOOLEAN, offsetof(struct config, limits_enabled),
      "on", NULL, 0, 0, false, false,
      "Rate limits and the shedding of load, contracts' limits included; `off` is for benchmarks "
      "and "
      "refused in production." },
    { "limits.line_bytes", "PURLIN_LIMITS_LINE_BYTES", CONFIG_BYTES,
      offsetof(struct config, line_bytes), "8KiB", NULL, 256, 64 * KIB, false, false,
      "Request line; beyond: 414." },
    { "limits.header_bytes", "PURLIN_LIMITS_HEADER_BYTES", CONFIG_BYTES,
      offsetof(struct config, header_bytes), "16KiB", NULL, 1024, 256 * KIB, false, false,
      "All request headers together; beyond: 431." },
    { "limits.headers", "PURLIN_LIMITS_HEADERS", CONFIG_INTEGER, offsetof(struct config, headers),
      "100", NULL, 8, 1000, false, false, "Number of request headers; beyond: 431." },
    { "limits.body_bytes", "PURLIN_LIMITS_BODY_BYTES", CONFIG_BYTES,
      offsetof(struct config, body_bytes), "1MiB", NULL, 1024, 64 * MIB, false, true,
      "Request body, counted as it arrives; beyond: 413.", true },
    { "limits.connections", "PURLIN_LIMITS_CONNECTIONS", CONFIG_INTEGER,
      offsetof(struct config, connections), "10000", NULL, 1, 1000000, false, false,
      "Open connections in all, over every listener; beyond: those that have asked for nothing "
      "make "
      "room, else 503." },
    { "limits.connections_per_address", "PURLIN_LIMITS_CONNECTIONS_PER_ADDRESS", CONFIG_INTEGER,
      offsetof(struct config, connections_per_address), "1000", NULL, 0, 1000000, false, false,
      "Open connections of one client address (IPv6: of one /64); beyond: 503. Trusted proxies and "
      "unix sockets are not counted; 0 counts nobody." },
    { "limits.accept_rate", "PURLIN_LIMITS_ACCEPT_RATE", CONFIG_INTEGER,
      offsetof(struct config, accept_rate), "0", NULL, 0, 10000000, false, false,
      "New connections a second that each listener takes; more wait in the kernel. 0 takes them as "
      "they come, a batch a turn, so that open connections are served in between." },
    { "limits.head_timeout", "PURLIN_LIMITS_HEAD_TIMEOUT", CONFIG_DURATION,
      offsetof(struct config, head_timeout_us), "10s", NULL, 100000, 300 * SECOND, false, false,
      "From the first byte of a request to the end of its headers; beyond: 408." },
    { "limits.body_timeout", "PURLIN_LIMITS_BODY_TIMEOUT", CONFIG_DURATION,
      offsetof(struct config, body_timeout_us), "10s", NULL, 100000, 300 * SECOND, false, false,
      "Without a byte of an expected body; beyond: 408." },
    { "limits.idle_timeout", "PURLIN_LIMITS_IDLE_TIMEOUT", CONFIG_DURATION,
      offsetof(struct config, idle_timeout_us), "75s", NULL, 100000, 3600 * SECOND, false, false,
      "A kept connection without a request; then it is closed." },
    { "limits.write_timeout", "PURLIN_LIMITS_WRITE_TIMEOUT", CONFIG_DURATION,
      offsetof(struct config, write_timeout_us), "30s", NULL, 100000, 3600 * SECOND, false, false,
      "Without the client taking a byte of the answer; then the connection is closed." },
    { "limits.body_rate", "PURLIN_LIMITS_BODY_RATE", CONFIG_INTEGER,
      offsetof(struct config, body_rate), "500", NULL, 1, 1000000, false, false,
      "Least bytes a second of a request body, after five seconds; below: 408. Also of an answer, "
      "over `limits.write_timeout`; below: closed." },
    { "limits.query_params", "PURLIN_LIMITS_QUERY_PARAMS", CONFIG_INTEGER,
      offsetof(struct config, query_params), "64", NULL, 1, HTTP_QUERY_MAX, false, true,
      "Number of query parameters; beyond: 400.", true },
    { "limits.json_depth", "PURLIN_LIMITS_JSON_DEPTH", CONFIG_INTEGER,
      offsetof(struct config, json_depth), "32", NULL, 1, 32, false, true,
      "Arrays and objects within each other in a JSON body; beyond: 413.", true },

    { "limits.handshake_timeout", "PURLIN_LIMITS_HANDSHAKE_TIMEOUT", CONFIG_DURATION,
      offsetof(struct config, handshake_timeout_us), "10s", NULL, 100000, 300 * SECOND, false,
      false, "From the connection to the end of its TLS handshake; then it is closed." },
    { "limits.handshakes", "PURLIN_LIMITS_HANDSHAKES", CONFIG_INTEGER,
      offsetof(struct config, handshakes), "1000", NULL, 1, 100000, false, false,
      "TLS handshakes under way on one loop; beyond: the oldest is closed." },

    { "tls.enabled", "PURLIN_TLS", CONFIG_CHOICE, offsetof(struct config, tls_enabled), "auto",
      "auto|on|off", 0, 0, false, false, "Listen for https. `auto` does when `tls.cert` is set." },
    { "tls.port", "PURLIN_TLS_PORT", CONFIG_INTEGER, offsetof(struct config, tls_port), "8443",
      NULL, 0, 65535, false, false,
      "Port of https, on the address of `server.host`; 0 takes a free one and prints it." },
    { "tls.public_port", "PURLIN_TLS_PUBLIC_PORT", CONFIG_INTEGER,
      offsetof(struct config, tls_public_port), "0", NULL, 0, 65535, false, false,
      "Port that clients reach https on, when something forwards it (443 to 8443): the redirect "
      "names it. 0: `tls.port`." },
    { "tls.cert", "PURLIN_TLS_CERT", CONFIG_TEXT, offsetof(struct config, tls_cert), "", NULL, 0,
      16384, false, true,
      "Certificate file (PEM, followed by the certificates that lead to its authority); several, "
      "comma-separated or as a list: a client gets the one for the name it asks for, else the "
      "first." },
    { "tls.key", "PURLIN_TLS_KEY", CONFIG_TEXT, offsetof(struct config, tls_key), "", NULL, 0,
      16384, false, true,
      "File of the private key (PEM, without a passphrase) of each certificate, in the same "
      "order." },
    { "tls.ocsp", "PURLIN_TLS_OCSP", CONFIG_TEXT, offsetof(struct config, tls_ocsp), "", NULL, 0,
      16384, false, true,
      "File of the OCSP answer (DER) to staple to each certificate, in the same order; an empty "
      "item for none. One that is out of date or about another certificate is left out." },
    { "tls.min_version", "PURLIN_TLS_MIN_VERSION", CONFIG_CHOICE,
      offsetof(struct config, tls_min_version), "1.2", "1.2|1.3", 0, 0, false, true,
      "Oldest version that is spoken." },
    { "tls.ciphers", "PURLIN_TLS_CIPHERS", CONFIG_TEXT, offsetof(struct config, tls_ciphers), "",
      NULL, 0, 4096, false, true,
      "Ciphers of TLS 1.2 in OpenSSL's words; empty: ECDHE with AES-GCM or ChaCha20. Those of "
      "TLS 1.3 are all good." },
    { "tls.client_auth", "PURLIN_TLS_CLIENT_AUTH", CONFIG_CHOICE,
      offsetof(struct config, tls_client_auth), "off", "off|optional|required", 0, 0, false, true,
      "Ask clients for a certificate; one that is shown must be good." },
    { "tls.client_ca", "PURLIN_TLS_CLIENT_CA", CONFIG_TEXT, offsetof(struct config, tls_client_ca),
      "", NULL, 0, 4096, false, true,
      "File of the authorities (PEM) whose certificates clients may show." },
    { "tls.redirect", "PURLIN_TLS_REDIRECT", CONFIG_BOOLEAN, offsetof(struct config, tls_redirect),
      "on", NULL, 0, 0, false, false,
      "Answer on the clear port with 308 to https; health, metrics and "
      "`/.well-known/acme-challenge/` are answered as they are." },
    { "tls.ticket_period", "PURLIN_TLS_TICKET_PERIOD", CONFIG_DURATION,
      offsetof(struct config, tls_ticket_period_us), "8h", NULL, 60 * SECOND, 3 * 86400 * SECOND,
      false, false,
      "How long a key for session tickets encrypts; it decrypts as long again, then it is "
      "wiped." },
    { "tls.watch", "PURLIN_TLS_WATCH", CONFIG_DURATION, offsetof(struct config, tls_watch_us), "5s",
      NULL, 0, 3600 * SECOND, false, false,
      "How often to see whether a file of TLS changed, and take it over; 0 leaves it to SIGHUP." },

    { "rate.requests", "PURLIN_RATE_REQUESTS", CONFIG_TEXT, offsetof(struct config, rate_requests),
      "1000/10s/ip", NULL, 0, 1024, false, true,
      "Limits of all requests but health and metrics: rules "
      "`[NAME=]COUNT/PERIOD[/BY[+BY]][;burst=N][;cost=N][;report]`, comma-separated, at most five. "
      "BY "
      "is ip (of IPv6 the /64), user, key, route, tenant or all. Empty: none. See docs/limits.md.",
      true },
    { "rate.writes", "PURLIN_RATE_WRITES", CONFIG_TEXT, offsetof(struct config, rate_writes),
      "300/10s/ip", NULL, 0, 1024, false, true, "Further ones of requests that are no GET or HEAD.",
      true },
    { "rate.credentials", "PURLIN_RATE_CREDENTIALS", CONFIG_TEXT,
      offsetof(struct config, rate_credentials), "20/minute/ip", NULL, 0, 1024, false, true,
      "Further ones of the paths under `/auth/` and `/oauth/`, and of wrong API keys anywhere; "
      "while "
      "they are exhausted, no key from there is looked at.",
      true },
    { "rate.cost", "PURLIN_RATE_COST", CONFIG_INTEGER, offsetof(struct config, rate_cost), "1",
      NULL, 1, 1000000, false, true, "How many requests one counts as.", true },
    { "rate.mode", "PURLIN_RATE_MODE", CONFIG_CHOICE, offsetof(struct config, rate_mode), "enforce",
      "enforce|report|off", 0, 0, false, true,
      "`report` counts what would be refused and refuses nothing.", true },
    { "rate.headers", "PURLIN_RATE_HEADERS", CONFIG_CHOICE, offsetof(struct config, rate_headers),
      "standard", "standard|both|off", 0, 0, false, true,
      "Tell clients what is left: `standard` by `RateLimit` and `RateLimit-Policy`, `both` by "
      "`X-RateLimit-*` too." },
    { "rate.exempt_roles", "PURLIN_RATE_EXEMPT_ROLES", CONFIG_TEXT,
      offsetof(struct config, rate_exempt_roles), "admin", NULL, 0, 512, false, true,
      "Roles (comma-separated) that are not limited; their requests are counted as exempt." },
    { "rate.exempt_addresses", "PURLIN_RATE_EXEMPT_ADDRESSES", CONFIG_TEXT,
      offsetof(struct config, rate_exempt_addresses), "", NULL, 0, 4096, false, true,
      "Addresses (comma-separated, with prefix lengths) of clients that are not limited." },
    { "rate.tenant_header", "PURLIN_RATE_TENANT_HEADER", CONFIG_TEXT,
      offsetof(struct config, rate_tenant_header), "", NULL, 0, 64, false, true,
      "The header that names the tenant, for rules by tenant; set by the proxy in front, as a "
      "client "
      "could choose any. Empty: the host is the tenant." },
    { "rate.keys", "PURLIN_RATE_KEYS", CONFIG_INTEGER, offsetof(struct config, rate_keys), "131072",
      NULL, 1024, 67108864, false, false,
      "How many keys (addresses, users, ...) are told apart at once, 24 bytes each; never more. "
      "Beyond "
      "it those that have spent least are forgotten first." },

    { "overload.target", "PURLIN_OVERLOAD_TARGET", CONFIG_DURATION,
      offsetof(struct config, overload_target_us), "50ms", NULL, 1000, 60 * SECOND, false, false,
      "Requests that wait longer than this for their turn on a loop, interval after interval, are "
      "too "
      "many: a part is refused with 503, reads first, then writes, then credentials, health "
      "never." },
    { "overload.interval", "PURLIN_OVERLOAD_INTERVAL", CONFIG_DURATION,
      offsetof(struct config, overload_interval_us), "100ms", NULL, 10000, 60 * SECOND, false,
      false, "How often that is looked at, and the part moved." },
    { "overload.in_flight_max", "PURLIN_OVERLOAD_IN_FLIGHT_MAX", CONFIG_INTEGER,
      offsetof(struct config, overload_in_flight), "4096", NULL, 16, 16384, false, false,
      "Requests under way on one loop; reads may take 80 % of the places, writes 90 %. Beyond: "
      "503." },
    { "overload.adaptive", "PURLIN_OVERLOAD_ADAPTIVE", CONFIG_BOOLEAN,
      offsetof(struct config, overload_adaptive), "off", NULL, 0, 0, false, false,
      "Lower that number by itself while answers take much longer than they do without company." },

    { "static.folder", "PURLIN_STATIC_FOLDER", CONFIG_TEXT, offsetof(struct config, static_folder),
      "", NULL, 0, 4096, false, false,
      "Folder of static files to serve; empty: none. Names with a hash (`app.3f9a0c11.js`) may be "
      "kept for ever." },
    { "static.path", "PURLIN_STATIC_PATH", CONFIG_TEXT, offsetof(struct config, static_path),
      "/static", NULL, 1, 512, false, false,
      "Path of that folder; `/` serves a front end from the root." },
    { "static.fallback", "PURLIN_STATIC_FALLBACK", CONFIG_TEXT,
      offsetof(struct config, static_fallback), "", NULL, 0, 512, false, false,
      "File of the folder that answers who asks for a page that is not there (`index.html`, for a "
      "front end that routes by itself)." },
    { "static.max_age", "PURLIN_STATIC_MAX_AGE", CONFIG_DURATION,
      offsetof(struct config, static_max_age_us), "0s", NULL, 0, 31536000 * SECOND, false, false,
      "How long clients may keep files without a hash in their name (pages aside); 0 has them ask "
      "each time, for a 304." },

    { "compression.enabled", "PURLIN_COMPRESSION", CONFIG_BOOLEAN,
      offsetof(struct config, compression), "on", NULL, 0, 0, false, true,
      "Compress answers with zstd, br or gzip, as the client accepts.", true },
    { "compression.min_bytes", "PURLIN_COMPRESSION_MIN_BYTES", CONFIG_BYTES,
      offsetof(struct config, compression_bytes_min), "1KiB", NULL, 1, 64 * MIB, false, true,
      "Smaller answers go out as they are.", true },
    { "compression.types", "PURLIN_COMPRESSION_TYPES", CONFIG_TEXT,
      offsetof(struct config, compression_types), "", NULL, 0, 2048, false, true,
      "Media types that are compressed (comma-separated, `text/*`, `*+json`); empty: text, JSON, "
      "JavaScript, XML and their like.",
      true },
    { "compression.with_cookies", "PURLIN_COMPRESSION_WITH_COOKIES", CONFIG_BOOLEAN,
      offsetof(struct config, compression_with_cookies), "off", NULL, 0, 0, false, true,
      "Compress answers to requests that carry cookies too. Off, because the length of a "
      "compressed "
      "answer tells what is in it (BREACH); turn it on where no answer holds a secret beside text "
      "that others chose.",
      true },
    { "compression.zstd_level", "PURLIN_COMPRESSION_ZSTD_LEVEL", CONFIG_INTEGER,
      offsetof(struct config, compression_zstd), "3", NULL, 1, 19, false, false,
      "Higher is smaller and slower." },
    { "compression.br_level", "PURLIN_COMPRESSION_BR_LEVEL", CONFIG_INTEGER,
      offsetof(struct config, compression_br), "4", NULL, 1, 11, false, false,
      "Higher is smaller and slower." },
    { "compression.gzip_level", "PURLIN_COMPRESSION_GZIP_LEVEL", CONFIG_INTEGER,
      offsetof(struct config, compression_gzip), "5", NULL, 1, 9, false, false,
      "Higher is smaller and slower." },
    { "compression.rate", "PURLIN_COMPRESSION_RATE", CONFIG_BYTES,
      offsetof(struct config, compression_rate), "32MiB", NULL, 1, 4 * GIB, false, false,
      "Bytes of answers that one loop compresses in a second; beyond, they go out plain." },
    { "compression.request_ratio", "PURLIN_COMPRESSION_REQUEST_RATIO", CONFIG_INTEGER,
      offsetof(struct config, compression_ratio_max), "200", NULL, 2, 100000, false, true,
      "How many times larger a compressed request body may become; beyond: 413. What it becomes "
      "must fit `limits.body_bytes` as well.",
      true },

    { "http2.enabled", "PURLIN_HTTP2", CONFIG_BOOLEAN, offsetof(struct config, http2_enabled), "on",
      NULL, 0, 0, false, false, "HTTP/2 beside HTTP/1.1; `off`: HTTP/1.1 alone." },
    { "http2.clear_text", "PURLIN_HTTP2_CLEAR_TEXT", CONFIG_BOOLEAN,
      offsetof(struct config, http2_clear_text), "on", NULL, 0, 0, false, false,
      "HTTP/2 without TLS for clients that begin with it (prior knowledge), on the same port: for "
      "use behind a proxy." },
    { "http2.streams", "PURLIN_HTTP2_STREAMS", CONFIG_INTEGER,
      offsetof(struct config, http2_streams), "100", NULL, 1, 10000, false, false,
      "Requests open at once on a connection; beyond: the stream is refused." },
    { "http2.stream_window", "PURLIN_HTTP2_STREAM_WINDOW", CONFIG_BYTES,
      offsetof(struct config, http2_stream_window), "65535", NULL, 1024, 16 * MIB, false, false,
      "Bytes of one request body that wait unread; the client then waits." },
    { "http2.connection_window", "PURLIN_HTTP2_CONNECTION_WINDOW", CONFIG_BYTES,
      offsetof(struct config, http2_connection_window), "256KiB", NULL, 65535, 64 * MIB, false,
      false, "The same for all request bodies of a connection together." },
    { "http2.resets", "PURLIN_HTTP2_RESETS", CONFIG_INTEGER, offsetof(struct config, http2_resets),
      "200", NULL, 10, 1000000, false, false,
      "Streams that a client may reset, or make the server reset, at once; a tenth of it comes "
      "back each second. Beyond: the connection ends with ENHANCE_YOUR_CALM." },
    { "http2.settings", "PURLIN_HTTP2_SETTINGS", CONFIG_INTEGER,
      offsetof(struct config, http2_settings), "50", NULL, 10, 1000000, false, false,
      "The same for SETTINGS frames." },
    { "http2.pings", "PURLIN_HTTP2_PINGS", CONFIG_INTEGER, offsetof(struct config, http2_pings),
      "100", NULL, 10, 1000000, false, false, "The same for PING frames." },
    { "http2.priorities", "PURLIN_HTTP2_PRIORITIES", CONFIG_INTEGER,
      offsetof(struct config, http2_priorities), "500", NULL, 10, 1000000, false, false,
      "The same for PRIORITY and PRIORITY_UPDATE frames." },
    { "http2.window_updates", "PURLIN_HTTP2_WINDOW_UPDATES", CONFIG_INTEGER,
      offsetof(struct config, http2_window_updates), "1000", NULL, 10, 1000000, false, false,
      "The same for WINDOW_UPDATE frames beyond four for each DATA frame that was sent." },
    { "http2.empty_frames", "PURLIN_HTTP2_EMPTY_FRAMES", CONFIG_INTEGER,
      offsetof(struct config, http2_empty_frames), "100", NULL, 10, 1000000, false, false,
      "The same for DATA frames that bring nothing, and for frames of unknown types." },

    { "database.url", "DATABASE_URL", CONFIG_TEXT, offsetof(struct config, database_url),
      "sqlite:data/purlin.db", NULL, 1, 4096, true, false, "`sqlite:PATH`." },
    { "database.migrations", "PURLIN_MIGRATIONS", CONFIG_TEXT, offsetof(struct config, migrations),
      "migrations", NULL, 1, 4096, false, false, "Folder of the numbered migration files." },
    { "database.auto_migrate", "PURLIN_AUTO_MIGRATE", CONFIG_CHOICE,
      offsetof(struct config, auto_migrate), "auto", "auto|on|off", 0, 0, false, false,
      "Bring the database to the contracts at start. `auto` does so in development, without ever "
      "losing data, and "
      "refuses to start on a difference in production." },
    { "database.readers", "PURLIN_DATABASE_READERS", CONFIG_INTEGER,
      offsetof(struct config, readers), "8", NULL, 1, 64, false, false,
      "Read connections that one loop may open." },
    { "database.write_queue", "PURLIN_DATABASE_WRITE_QUEUE", CONFIG_INTEGER,
      offsetof(struct config, write_queue), "4096", NULL, 16, 1000000, false, false,
      "Writes waiting for the writer; beyond: 503." },
    { "database.write_batch", "PURLIN_DATABASE_WRITE_BATCH", CONFIG_INTEGER,
      offsetof(struct config, write_batch), "256", NULL, 1, 10000, false, false,
      "Most writes in one commit." },
    { "database.wal_bytes", "PURLIN_DATABASE_WAL_BYTES", CONFIG_BYTES,
      offsetof(struct config, wal_bytes), "4MiB", NULL, 1 * MIB, 4 * GIB, false, false,
      "Size of the write-ahead log that starts a checkpoint." },
    { "database.mmap_bytes", "PURLIN_DATABASE_MMAP_BYTES", CONFIG_BYTES,
      offsetof(struct config, mmap_bytes), "256MiB", NULL, 0, 64 * GIB, false, false,
      "Most of the database file that readers map into memory. What is mapped counts as resident "
      "and is the system's to take back; 0 reads piece by piece, which makes lists slower." },

    { "contracts", "PURLIN_CONTRACTS", CONFIG_TEXT, offsetof(struct config, contracts), "contracts",
      NULL, 1, 4096, false, false, "Folder of the resource contracts, one YAML file each." },
    { "web.folder", "PURLIN_WEB", CONFIG_TEXT, offsetof(struct config, web), "web", NULL, 1, 4096,
      false, false, "Folder of the pages served at `/`." },
    { "web.swagger", "PURLIN_SWAGGER_UI", CONFIG_TEXT, offsetof(struct config, swagger),
      "node_modules/swagger-ui-dist", NULL, 1, 4096, false, false,
      "Folder of npm's swagger-ui-dist, for `/docs`." },
    { "admin_key", "PURLIN_ADMIN_KEY", CONFIG_TEXT, offsetof(struct config, admin_key), "", NULL, 0,
      512, true, false,
      "Bootstrap key: a request with it in `X-API-Key` has the role admin. At least 16 characters; "
      "none: no "
      "admin." },
    { "secret", "PURLIN_SECRET", CONFIG_TEXT, offsetof(struct config, secret), "", NULL, 0, 512,
      true, false,
      "Signs cursors; at least 16 characters, the same on every node. Empty: one is made and kept "
      "in the database." },

    { "secret_previous", "PURLIN_SECRET_PREVIOUS", CONFIG_TEXT,
      offsetof(struct config, secret_previous), "", NULL, 0, 512, true, false,
      "The secret before this one: CSRF tokens signed with it are still accepted, so that a new "
      "secret signs nobody out." },

    { "auth.issuer", "PURLIN_AUTH_ISSUER", CONFIG_TEXT, offsetof(struct config, auth_issuer), "",
      NULL, 0, 512, false, false,
      "URL of this server as clients know it, such as `https://api.example.org`: the issuer of "
      "tokens, and where links in mail lead. Empty is a guess: the address that is listened at, in "
      "production the first of `server.hosts`." },
    { "auth.audience", "PURLIN_AUTH_AUDIENCE", CONFIG_TEXT, offsetof(struct config, auth_audience),
      "", NULL, 0, 512, false, false, "Audience of access tokens. Empty: the issuer." },
    { "auth.sign_up", "PURLIN_AUTH_SIGN_UP", CONFIG_BOOLEAN, offsetof(struct config, auth_sign_up),
      "on", NULL, 0, 0, false, false,
      "Anybody may make an account at `/auth/signup`; `off`: only by invitation or `purlin user "
      "create`." },
    { "auth.verify_email", "PURLIN_AUTH_VERIFY_EMAIL", CONFIG_CHOICE,
      offsetof(struct config, auth_verify_email), "auto", "auto|on|off", 0, 0, false, false,
      "An account signs in only after its address was verified by mail, and sign-up tells nobody "
      "whether an address has one. `auto`: in production, where mail can be sent." },
    { "auth.pages", "PURLIN_AUTH_PAGES", CONFIG_TEXT, offsetof(struct config, auth_pages), "", NULL,
      0, 512, false, false,
      "URL under which the application has pages for the links in mail (`verify`, `recover`, "
      "`magic`, `email`, `restore`, `invitation`, each with `?token=`; `login`, `sessions`). "
      "Empty: `/auth/` of the issuer." },
    { "auth.passkey_origins", "PURLIN_AUTH_PASSKEY_ORIGINS", CONFIG_TEXT,
      offsetof(struct config, auth_passkey_origins), "", NULL, 0, 8192, false, false,
      "Further origins whose pages may use passkeys of the issuer's host, comma-separated: "
      "`https://app.example.org`, `http://localhost:3000`, and apps by "
      "`android:apk-key-hash:...`. Browsers find the pages at `/.well-known/webauthn`." },
    { "auth.delete_after", "PURLIN_AUTH_DELETE_AFTER", CONFIG_DURATION,
      offsetof(struct config, auth_delete_after_us), "14d", NULL, SECOND, 365 * DAY, false, false,
      "Between asking for the end of an account and its end; until then it can be restored." },
    { "auth.impersonate", "PURLIN_AUTH_IMPERSONATE", CONFIG_DURATION,
      offsetof(struct config, auth_impersonate_us), "15m", NULL, 60 * SECOND, 3600 * SECOND, false,
      false,
      "How long somebody with the permission `purlin:impersonate` acts as another person before "
      "they have to say again why." },
    { "auth.impersonate_admins", "PURLIN_AUTH_IMPERSONATE_ADMINS", CONFIG_BOOLEAN,
      offsetof(struct config, auth_impersonate_admins), "off", NULL, 0, 0, false, false,
      "Also as somebody who has that permission themselves." },
    { "auth.impersonate_mail", "PURLIN_AUTH_IMPERSONATE_MAIL", CONFIG_BOOLEAN,
      offsetof(struct config, auth_impersonate_mail), "off", NULL, 0, 0, false, false,
      "Tell the person by mail that somebody acts as them." },
    { "auth.algorithm", "PURLIN_AUTH_ALGORITHM", CONFIG_CHOICE,
      offsetof(struct config, auth_algorithm), "ES256", "ES256|RS256", 0, 0, false, false,
      "How access tokens are signed; a change makes new keys, tokens of the old ones stay good." },
    { "auth.lost_keys", "PURLIN_AUTH_LOST_KEYS", CONFIG_CHOICE,
      offsetof(struct config, auth_lost_keys), "refuse", "refuse|replace", 0, 0, false, false,
      "When the signing keys are sealed with a secret that is not known any more: refuse to start, "
      "or make new ones, which ends every access token." },
    { "auth.access_token", "PURLIN_AUTH_ACCESS_TOKEN", CONFIG_DURATION,
      offsetof(struct config, auth_access_us), "15m", NULL, 10 * SECOND, DAY, false, false,
      "Life of an access token." },
    { "auth.session", "PURLIN_AUTH_SESSION", CONFIG_DURATION,
      offsetof(struct config, auth_session_us), "30d", NULL, 60 * SECOND, 3650 * DAY, false, false,
      "Life of a session; then one signs in again." },
    { "auth.refresh_grace", "PURLIN_AUTH_REFRESH_GRACE", CONFIG_DURATION,
      offsetof(struct config, auth_refresh_grace_us), "30s", NULL, SECOND, 600 * SECOND, false,
      false,
      "For how long after a refresh the token before it is still exchanged, for tabs that ask at "
      "once. Beyond it, an old token that comes again ends the session." },
    { "auth.password_memory", "PURLIN_AUTH_PASSWORD_MEMORY", CONFIG_BYTES,
      offsetof(struct config, auth_password_bytes), "19MiB", NULL, 8 * MIB, 256 * MIB, false, false,
      "Memory that hashing one password takes (Argon2id)." },
    { "auth.password_passes", "PURLIN_AUTH_PASSWORD_PASSES", CONFIG_INTEGER,
      offsetof(struct config, auth_password_passes), "2", NULL, 1, 10, false, false,
      "Passes over that memory." },
    { "auth.password_threads", "PURLIN_AUTH_PASSWORD_THREADS", CONFIG_INTEGER,
      offsetof(struct config, auth_password_threads), "0", NULL, 0, 64, false, false,
      "Passwords that are hashed at once; 0: one for each two cores." },
    { "auth.password_queue", "PURLIN_AUTH_PASSWORD_QUEUE", CONFIG_INTEGER,
      offsetof(struct config, auth_password_queue), "64", NULL, 1, 10000, false, false,
      "Passwords that wait to be hashed; beyond: 503 with `Retry-After`." },
    { "auth.return_origins", "PURLIN_AUTH_RETURN_ORIGINS", CONFIG_TEXT,
      offsetof(struct config, auth_return_origins), "", NULL, 0, 4096, false, false,
      "Origins such as `https://app.example.org` that a sign-in elsewhere may return to, besides "
      "this server's own; comma-separated. The providers themselves are the map `auth.providers` "
      "of the file, issuers of tokens that are taken beside ours the list `auth.token_issuers`: "
      "see docs/sign-in-with.md and docs/auth.md." },

    { "oauth.enabled", "PURLIN_OAUTH_ENABLED", CONFIG_BOOLEAN,
      offsetof(struct config, oauth_enabled), "on", NULL, 0, 0, false, false,
      "OAuth 2.1 and OpenID Connect for other programs, where there is a contract `users`. Clients "
      "and scopes are lists of the file, `oauth.clients` and `oauth.scopes`: see docs/oauth.md." },

    { "headers.profile", "PURLIN_HEADERS_PROFILE", CONFIG_CHOICE,
      offsetof(struct config, headers_profile), "auto", "auto|api|html|download|off", 0, 0, false,
      true,
      "Protective headers: `auto` goes by the answer (pages `html`, attachments `download`, the "
      "rest `api`); `download` makes what is not a page an attachment; `off` is for a proxy in "
      "front that writes them.",
      true },
    { "headers.compat", "PURLIN_HEADERS_COMPAT", CONFIG_BOOLEAN,
      offsetof(struct config, headers_compat), "off", NULL, 0, 0, false, true,
      "Send `X-XSS-Protection: 1; mode=block`, which old audits ask for, instead of `0`, which is "
      "safer.",
      true },
    { "headers.hsts", "PURLIN_HEADERS_HSTS", CONFIG_DURATION,
      offsetof(struct config, headers_hsts_us), "730d", NULL, 0, 3650 * DAY, false, true,
      "How long browsers come back over TLS only (`Strict-Transport-Security`, sent over TLS "
      "only, and never for `localhost`); 0 sends none.",
      true },
    { "headers.hsts_subdomains", "PURLIN_HEADERS_HSTS_SUBDOMAINS", CONFIG_BOOLEAN,
      offsetof(struct config, headers_hsts_subdomains), "on", NULL, 0, 0, false, true,
      "The same for every host under this one.", true },
    { "headers.hsts_preload", "PURLIN_HEADERS_HSTS_PRELOAD", CONFIG_BOOLEAN,
      offsetof(struct config, headers_hsts_preload), "off", NULL, 0, 0, false, true,
      "Ask to be built into browsers as TLS only. Takes months to take back.", true },
    { "headers.csp", "PURLIN_HEADERS_CSP", CONFIG_TEXT, offsetof(struct config, headers_csp),
      HTTP_CSP_PAGE, NULL, 1, 4096, false, true,
      "`Content-Security-Policy` of pages that bring none of their own; answers of the API always "
      "have `default-src 'none'`.",
      true },
    { "headers.referrer", "PURLIN_HEADERS_REFERRER", CONFIG_CHOICE,
      offsetof(struct config, headers_referrer), "no-referrer",
      "no-referrer|same-origin|strict-origin|strict-origin-when-cross-origin|origin|"
      "origin-when-cross-origin",
      0, 0, false, true, "`Referrer-Policy`.", true },
    { "headers.permissions", "PURLIN_HEADERS_PERMISSIONS", CONFIG_TEXT,
      offsetof(struct config, headers_permissions), HTTP_PERMISSIONS, NULL, 1, 4096, false, true,
      "`Permissions-Policy`.", true },
    { "headers.resource_policy", "PURLIN_HEADERS_RESOURCE_POLICY", CONFIG_CHOICE,
      offsetof(struct config, headers_resource), "same-origin",
      "same-origin|same-site|cross-origin", 0, 0, false, true,
      "`Cross-Origin-Resource-Policy`: whose pages may embed what is here, images for instance.",
      true },

    { "cors.origins", "CORS_ORIGINS", CONFIG_TEXT, offsetof(struct config, cors_origins), "", NULL,
      0, 8192, false, true,
      "Origins whose pages may read the answers, comma-separated: `https://app.example.org`, "
      "`https://*.example.org` for all hosts under it, `null`; or `*` alone. Empty: none but our "
      "own.",
      true },
    { "cors.credentials", "PURLIN_CORS_CREDENTIALS", CONFIG_BOOLEAN,
      offsetof(struct config, cors_credentials), "off", NULL, 0, 0, false, true,
      "Those pages may send cookies. Refused together with `*` and `null`.", true },
    { "cors.headers", "PURLIN_CORS_HEADERS", CONFIG_TEXT, offsetof(struct config, cors_headers),
      HTTP_CORS_HEADERS, NULL, 1, 4096, false, true, "Request headers that those pages may set.",
      true },
    { "cors.expose", "PURLIN_CORS_EXPOSE", CONFIG_TEXT, offsetof(struct config, cors_expose),
      HTTP_CORS_EXPOSE, NULL, 1, 4096, false, true, "Response headers that those pages may read.",
      true },
    { "cors.max_age", "PURLIN_CORS_MAX_AGE", CONFIG_DURATION,
      offsetof(struct config, cors_max_age_us), "2h", NULL, SECOND, DAY, false, true,
      "How long browsers remember the answer to a preflight.", true },
    { "cors.private_network", "PURLIN_CORS_PRIVATE_NETWORK", CONFIG_BOOLEAN,
      offsetof(struct config, cors_private_network), "off", NULL, 0, 0, false, true,
      "Those pages may reach this server in a private network although they came from the "
      "internet.",
      true },

    { "csrf.enabled", "PURLIN_CSRF", CONFIG_BOOLEAN, offsetof(struct config, csrf_enabled), "on",
      NULL, 0, 0, false, true,
      "Requests that change something with a session cookie must come from our own pages. Bearer "
      "tokens and API keys are never asked. Off only for paths whose callers are no browsers.",
      true },
    { "csrf.token", "PURLIN_CSRF_TOKEN", CONFIG_CHOICE, offsetof(struct config, csrf_token),
      "always", "always|fallback", 0, 0, false, true,
      "When `X-CSRF-Token` is asked for: always, or only where the browser does not say where the "
      "request comes from.",
      true },
    { "csrf.same_site", "PURLIN_CSRF_SAME_SITE", CONFIG_BOOLEAN,
      offsetof(struct config, csrf_same_site), "off", NULL, 0, 0, false, true,
      "Pages of sibling hosts (`other.example.org`) count as our own.", true },
    { "csrf.origins", "PURLIN_CSRF_ORIGINS", CONFIG_TEXT, offsetof(struct config, csrf_origins), "",
      NULL, 0, 8192, false, true,
      "Further origins whose pages may use the session, comma-separated; those of `cors.origins` "
      "with `cors.credentials` may anyway.",
      true },
    { "csrf.sessions", "PURLIN_CSRF_SESSIONS", CONFIG_TEXT, offsetof(struct config, csrf_sessions),
      HTTP_SESSION_COOKIE, NULL, 1, 512, false, true, "Names of session cookies, comma-separated.",
      true },
    { "csrf.cookie", "PURLIN_CSRF_COOKIE", CONFIG_TEXT, offsetof(struct config, csrf_cookie),
      HTTP_CSRF_COOKIE, NULL, 1, 128, false, true, "Name of the cookie that holds the token.",
      true },
    { "csrf.ttl", "PURLIN_CSRF_TTL", CONFIG_DURATION, offsetof(struct config, csrf_ttl_us), "24h",
      NULL, 60 * SECOND, 30 * DAY, false, true,
      "How long a token holds; it is replaced after half of that.", true },

    { "api.limit_default", "PURLIN_API_LIMIT_DEFAULT", CONFIG_INTEGER,
      offsetof(struct config, limit_default), "20", NULL, 1, 1000, false, false,
      "Rows of a list when the client says nothing." },
    { "api.limit_max", "PURLIN_API_LIMIT_MAX", CONFIG_INTEGER, offsetof(struct config, limit_max),
      "100", NULL, 1, 1000, false, false, "Most rows of a list." },
    { "api.batch_max", "PURLIN_API_BATCH_MAX", CONFIG_INTEGER, offsetof(struct config, batch_max),
      "100", NULL, 1, 1000, false, false, "Most operations of one `POST /api/v1/batch`." },
    { "api.expand_depth", "PURLIN_API_EXPAND_DEPTH", CONFIG_INTEGER,
      offsetof(struct config, expand_depth), "3", NULL, 0, 3, false, false,
      "How deep `?expand=` may go." },
    { "api.idempotency_ttl", "PURLIN_API_IDEMPOTENCY_TTL", CONFIG_DURATION,
      offsetof(struct config, idempotency_ttl_us), "24h", NULL, 60 * SECOND, 30 * 86400 * SECOND,
      false, false, "How long the answer to an `Idempotency-Key` is kept." },
    { "api.require_if_match", "PURLIN_API_REQUIRE_IF_MATCH", CONFIG_BOOLEAN,
      offsetof(struct config, require_if_match), "off", NULL, 0, 0, false, false,
      "Refuse PUT, PATCH and DELETE without `If-Match` with 428." },
    { "api.deprecated", "PURLIN_API_DEPRECATED", CONFIG_TEXT,
      offsetof(struct config, api_deprecated), "", NULL, 0, 64, false, true,
      "Date since when these paths should not be built upon (`2027-01-31`): sent as `Deprecation`, "
      "and marked in `/openapi.json`.",
      true },
    { "api.sunset", "PURLIN_API_SUNSET", CONFIG_TEXT, offsetof(struct config, api_sunset), "", NULL,
      0, 64, false, true, "Date when these paths may go: sent as `Sunset`.", true },
    { "api.deprecation_link", "PURLIN_API_DEPRECATION_LINK", CONFIG_TEXT,
      offsetof(struct config, api_deprecation_link), "", NULL, 0, 512, false, true,
      "URL of a page about it: sent as `Link` with `rel=\"deprecation\"` and `rel=\"sunset\"`.",
      true },
    { "api.gone_after_sunset", "PURLIN_API_GONE_AFTER_SUNSET", CONFIG_BOOLEAN,
      offsetof(struct config, api_gone_after_sunset), "off", NULL, 0, 0, false, true,
      "Answer 410 once `api.sunset` has passed.", true },

    { "signature.mode", "PURLIN_SIGNATURE_MODE", CONFIG_CHOICE,
      offsetof(struct config, signature_mode), "off", "off|optional|required", 0, 0, false, true,
      "Signed requests ([signatures.md](signatures.md)): `required` refuses others with 401, "
      "`optional` verifies those that are signed.",
      true },
    { "signature.keys", "PURLIN_SIGNATURE_KEYS", CONFIG_TEXT,
      offsetof(struct config, signature_keys), "", NULL, 0, 16384, true, true,
      "Keys that requests are signed with, comma-separated: `id:hmac-sha256:SECRET` (or "
      "`base64:...`, or `file:PATH`), or `id:ALGORITHM:PATH` of a public key in PEM for ed25519, "
      "ecdsa-p256-sha256, ecdsa-p384-sha384, rsa-pss-sha512, rsa-v1_5-sha256. At most 64." },
    { "signature.accept", "PURLIN_SIGNATURE_ACCEPT", CONFIG_TEXT,
      offsetof(struct config, signature_accept), "", NULL, 0, 4096, false, true,
      "Ids of the keys that are accepted, comma-separated; empty: all of them.", true },
    { "signature.profile", "PURLIN_SIGNATURE_PROFILE", CONFIG_CHOICE,
      offsetof(struct config, signature_profile), "any", "any|rfc9421|hmac", 0, 0, false, true,
      "HTTP Message Signatures (`Signature-Input`, `Signature`), the plain profile "
      "(`X-Signature`), or either.",
      true },
    { "signature.components", "PURLIN_SIGNATURE_COMPONENTS", CONFIG_TEXT,
      offsetof(struct config, signature_components),
      "@method,@authority,@path,@query,content-digest", NULL, 0, 1024, false, true,
      "What an RFC 9421 signature must cover, as far as the request has it. `@target-uri` counts "
      "for its parts.",
      true },
    { "signature.tag", "PURLIN_SIGNATURE_TAG", CONFIG_TEXT, offsetof(struct config, signature_tag),
      "", NULL, 0, 64, false, true, "The `tag` that a signature must have; empty: any or none.",
      true },
    { "signature.max_age", "PURLIN_SIGNATURE_MAX_AGE", CONFIG_DURATION,
      offsetof(struct config, signature_max_age_us), "5m", NULL, 1 * SECOND, 3600 * SECOND, false,
      true, "How old a signature may be.", true },
    { "signature.clock_skew", "PURLIN_SIGNATURE_CLOCK_SKEW", CONFIG_DURATION,
      offsetof(struct config, signature_clock_skew_us), "30s", NULL, 0, 300 * SECOND, false, true,
      "How far a signer's clock may run ahead.", true },
    { "signature.nonce", "PURLIN_SIGNATURE_NONCE", CONFIG_CHOICE,
      offsetof(struct config, signature_nonce), "required", "off|optional|required", 0, 0, false,
      true,
      "`required`: each signature has a nonce, and each nonce is taken once. `optional` checks "
      "those there are; `off` lets a request be sent again while its signature is young enough.",
      true },
    { "signature.nonces", "PURLIN_SIGNATURE_NONCES", CONFIG_INTEGER,
      offsetof(struct config, signature_nonces), "100000", NULL, 16, 10000000, false, false,
      "Nonces that are remembered at once (32 bytes each); beyond: 503 until the oldest is past "
      "`signature.max_age`." },

    { "audit.keep", "PURLIN_AUDIT_KEEP", CONFIG_DURATION, offsetof(struct config, audit_keep_us),
      "0", NULL, 0, 3650 * 86400 * SECOND, false, false,
      "How long rows of the audit log ([audit.md](audit.md)) are kept: a day at least, or 0 for "
      "ever." },
    { "audit.lost_keys", "PURLIN_AUDIT_LOST_KEYS", CONFIG_CHOICE,
      offsetof(struct config, audit_lost_keys), "refuse", "refuse|replace", 0, 0, false, false,
      "What to do when a key of the audit log is sealed with a secret that is not known any more: "
      "refuse to start, or begin a new key; rows of the old one can then not be verified." },

    { "docs", "PURLIN_DOCS", CONFIG_CHOICE, offsetof(struct config, docs), "auto", "auto|on|off", 0,
      0, false, false, "`/docs` and `/openapi.json`; `auto` is on in development." },
    { "metrics", "PURLIN_METRICS", CONFIG_CHOICE, offsetof(struct config, metrics), "auto",
      "auto|public|admin|off", 0, 0, false, false,
      "Who may read `/metrics`; `auto` is public in development and admin in production." },
    { "health.aliases", "PURLIN_HEALTH_ALIASES", CONFIG_BOOLEAN,
      offsetof(struct config, health_aliases), "on", NULL, 0, 0, false, false,
      "Answer `/health`, `/livez`, `/readyz`, `/healthz`, `/api/health`, `/api/ready`, "
      "`/api/metrics` too." },

    { "log.level", "LOG_LEVEL", CONFIG_CHOICE, offsetof(struct config, log_level), "info",
      "debug|info|warn|error|off", 0, 0, false, true,
      "Least level of the lines that are written." },
    { "log.format", "LOG_FORMAT", CONFIG_CHOICE, offsetof(struct config, log_format), "auto",
      "auto|json|pretty", 0, 0, false, false, "`auto` is pretty on a terminal, JSON lines else." },
    { "log.access", "PURLIN_ACCESS_LOG", CONFIG_BOOLEAN, offsetof(struct config, access_log), "on",
      NULL, 0, 0, false, true,
      "One line for each request; successful health checks and metrics are left out." },

    { "client.ca_file", "PURLIN_CLIENT_CA_FILE", CONFIG_TEXT,
      offsetof(struct config, client_ca_file), "", NULL, 0, 4096, false, false,
      "PEM file of the certificate authorities that the servers we call are verified against; "
      "empty: the system's." },
    { "client.allow", "PURLIN_CLIENT_ALLOW", CONFIG_TEXT, offsetof(struct config, client_allow), "",
      NULL, 0, 4096, false, false,
      "Addresses (comma-separated, with prefix lengths) that URLs brought by users may lead to "
      "although they are private, local or otherwise not of the public internet." },
    { "client.connections", "PURLIN_CLIENT_CONNECTIONS", CONFIG_INTEGER,
      offsetof(struct config, client_connections), "512", NULL, 1, 100000, false, false,
      "Connections of one loop to other servers; beyond: requests wait." },
    { "client.host_connections", "PURLIN_CLIENT_HOST_CONNECTIONS", CONFIG_INTEGER,
      offsetof(struct config, client_host_connections), "64", NULL, 1, 100000, false, false,
      "Those to one of them." },
    { "client.idle_timeout", "PURLIN_CLIENT_IDLE_TIMEOUT", CONFIG_DURATION,
      offsetof(struct config, client_idle_timeout_us), "60s", NULL, 1000000, 3600 * SECOND, false,
      false, "How long a connection to another server is kept without a request." },

    { "mail.smtp_url", "SMTP_URL", CONFIG_TEXT, offsetof(struct config, mail_smtp_url), "", NULL, 0,
      2048, true, false,
      "The mail server: `smtp://user:password@mail.example.org:587`, or `smtps://` for TLS from "
      "the "
      "start. `smtp://` asks for STARTTLS unless the server is on this machine; `?starttls=off` "
      "and "
      "`?starttls=required` say otherwise. Empty: in development mail goes to `mail.folder`, in "
      "production what needs mail answers 503." },
    { "mail.from", "PURLIN_MAIL_FROM", CONFIG_TEXT, offsetof(struct config, mail_from), "", NULL, 0,
      400, false, false,
      "Who mail is from: `Example <no-reply@example.org>`. The name is what mails call the "
      "application. Needed with `mail.smtp_url`." },
    { "mail.reply_to", "PURLIN_MAIL_REPLY_TO", CONFIG_TEXT, offsetof(struct config, mail_reply_to),
      "", NULL, 0, 254, false, false, "Where answers go, if not to `mail.from`." },
    { "mail.templates", "PURLIN_MAIL_TEMPLATES", CONFIG_TEXT,
      offsetof(struct config, mail_templates), "", NULL, 0, 1000, false, false,
      "Folder of texts of your own, `KIND.txt` and `KIND.html`; `purlin mail templates` writes "
      "those that are used otherwise." },
    { "mail.folder", "PURLIN_MAIL_FOLDER", CONFIG_TEXT, offsetof(struct config, mail_folder),
      "data/mail", NULL, 1, 900, false, false,
      "Where development keeps mail that it does not send, the newest 200; "
      "`/console/mail` shows them." },
    { "mail.queue", "PURLIN_MAIL_QUEUE", CONFIG_INTEGER, offsetof(struct config, mail_queue),
      "10000", NULL, 1, 1000000, false, false,
      "Mails that may wait to be sent; beyond: what needs another answers 503." },
    { "mail.attempts", "PURLIN_MAIL_ATTEMPTS", CONFIG_INTEGER,
      offsetof(struct config, mail_attempts), "12", NULL, 1, 100, false, false,
      "How often one is tried, if its link or code does not end before." },
    { "mail.concurrency", "PURLIN_MAIL_CONCURRENCY", CONFIG_INTEGER,
      offsetof(struct config, mail_concurrency), "4", NULL, 1, 16, false, false,
      "Mails on their way at once; each has a connection and a thread." },
    { "mail.timeout", "PURLIN_MAIL_TIMEOUT", CONFIG_DURATION,
      offsetof(struct config, mail_timeout_us), "30s", NULL, 1 * SECOND, 300 * SECOND, false, false,
      "For the connection, and for each answer of the mail server; a mail may take four times as "
      "long." },
    { "mail.retry", "PURLIN_MAIL_RETRY", CONFIG_DURATION, offsetof(struct config, mail_retry_us),
      "5s", NULL, 10000, 3600 * SECOND, false, false,
      "Before the second attempt; the third waits three times as long, and so on up to an hour." },

    { "offload.threads", "PURLIN_OFFLOAD_THREADS", CONFIG_INTEGER,
      offsetof(struct config, offload_threads), "2", NULL, 1, 64, false, false,
      "Threads for work that blocks or burns CPU." },
    { "offload.queue", "PURLIN_OFFLOAD_QUEUE", CONFIG_INTEGER,
      offsetof(struct config, offload_queue), "64", NULL, 1, 10000, false, false,
      "Such work waiting; beyond: 503." },
};

const unsigned config_keys_len = ARRAY_LEN(config_keys);
