"""Who is measured: Purlin and its peers, each ready to be started on the same rows, bytes and certificate."""
import os
import shutil
import subprocess

import data
import report
from harness import ROOT, WORK, MallocCounter, Server, free_port, instructions, repeat_requests, system_calls, wrk
from report import keep

PURLIN = os.path.join(ROOT, "build/release/purlin")
DB = os.path.join(WORK, "posts.db")


def prepared(cache={}):  # noqa: B006 - made once, on purpose
    if not cache:
        cache["it"] = data.write_paths(DB)
    return cache["it"]


def purlin_server(name="purlin", db=DB, contracts="bench/contracts", env=None):
    return Server(name, [PURLIN, "serve", "--config", "bench/purlin.yaml"], {
        "DATABASE_URL": "sqlite:" + db, "PURLIN_CONTRACTS": contracts, "PURLIN_THREADS": "1", "PURLIN_LIMITS": "off",
        "PURLIN_LIMITS_CONNECTIONS": "20000", "PURLIN_LIMITS_CONNECTIONS_PER_ADDRESS": "0",  # all come from one
        **(env or {})}, ready="/health/ready")


def fastify_server(db=DB):
    return Server("fastify", ["node", "bench/peers/fastify.mjs"], {"DATABASE": db, "NODE_ENV": "production"})


def fastapi_server(db=DB):
    return Server("fastapi", ["/usr/bin/python3", "-m", "uvicorn", "--app-dir", "bench/peers", "--loop", "uvloop",
                              "--http", "httptools", "--no-access-log", "--log-level", "warning", "--port", "{port}",
                              "fastapi_app:app"], {"DATABASE": db})


def tls_pair():
    """A certificate on P-256; its files, without their endings."""
    folder = os.path.join(WORK, "tls")
    if not os.path.exists(os.path.join(folder, "cert.pem")):
        subprocess.run([PURLIN, "cert", "dev", "--folder", folder, "--force"], check=True, stdout=subprocess.DEVNULL)
    return os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")


def purlin_tls_server(name="purlin"):
    cert, key = tls_pair()
    port = free_port()
    server = purlin_server(name, env={"PURLIN_TLS_PORT": str(port), "PURLIN_TLS_CERT": cert, "PURLIN_TLS_KEY": key,
                                      "PURLIN_TLS_REDIRECT": "off", "PURLIN_LIMITS_CONNECTIONS_PER_ADDRESS": "0"})
    server.secure_port = port
    return server


def nginx_conf(server, location, kind="text/plain", tls=""):
    """One worker, no log, connections kept; `location` is what is compared."""
    config = f"""
        daemon off; master_process off; worker_processes 1; pid {WORK}/nginx.pid; error_log {WORK}/nginx-error.log;
        worker_rlimit_nofile 30000;
        events {{ worker_connections 20000; }}
        http {{
            access_log off; server_tokens off; keepalive_requests 1000000000; keepalive_timeout 600s;
            client_body_temp_path {WORK}/nginx-body; proxy_temp_path {WORK}/nginx-proxy;
            fastcgi_temp_path {WORK}/nginx-fastcgi; uwsgi_temp_path {WORK}/nginx-uwsgi;
            scgi_temp_path {WORK}/nginx-scgi;
            geo $dollar {{ default '$'; }}
            server {{
                listen 127.0.0.1:{server.port} backlog=4096; listen 127.0.0.1:{server.h2_port} http2; {tls}
                default_type '{kind}';
                location / {{ {location} }}
            }}
        }}"""
    with open(os.path.join(WORK, f"{server.name}.conf"), "w", encoding="utf-8") as f:
        f.write(config)


def new_nginx(name="nginx"):
    server = Server(name, ["nginx", "-c", os.path.join(WORK, f"{name}.conf"), "-p", WORK], ready="/")
    server.h2_port = free_port()
    return server


# What a server says for itself, and what nginx says of a file.
OWN_HEADERS = {"date", "server", "content-length", "content-type", "connection", "keep-alive"}
FILE_HEADERS = OWN_HEADERS | {"etag", "last-modified", "accept-ranges", "vary"}


def headers_of(answer):
    head = answer.partition(b"\r\n\r\n")[0].decode("latin-1")
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(":")
        yield name.strip(), value.strip()


def add_headers(answer, own):
    """nginx's directives for the headers of a captured answer. What varies by request varies there too."""
    lines = []
    for name, value in headers_of(answer):
        if name.lower() == "x-request-id":
            lines.append(f"add_header {name} $request_id;")
        elif name.lower() not in own:
            lines.append("add_header %s '%s';" % (name, value.replace("'", "\\'")))
    return " ".join(lines)


def nginx_server(answer, secure=False):
    """nginx with the body and headers of a captured answer."""
    body = answer.partition(b"\r\n\r\n")[2]
    kind = dict((name.lower(), value) for name, value in headers_of(answer)).get("content-type", "text/plain")
    text = body.decode().replace("\\", "\\\\").replace("'", "\\'").replace("$", "${dollar}")
    server = new_nginx()
    tls = ""
    if secure:
        cert, key = tls_pair()
        server.secure_port = free_port()
        # As Purlin has it: the same versions, ciphers in the server's order, tickets with keys of its own.
        tls = (f"listen 127.0.0.1:{server.secure_port} ssl; ssl_certificate {cert}; ssl_certificate_key {key}; "
               "ssl_protocols TLSv1.2 TLSv1.3; ssl_prefer_server_ciphers on; ssl_ecdh_curve X25519:prime256v1; "
               "ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384;")
    nginx_conf(server, f"{add_headers(answer, OWN_HEADERS)} return 200 '{text}';", kind, tls)
    return server


def nginx_files(folder, answer, more=""):
    """nginx with a folder, kept open files, and the headers that Purlin gives with them."""
    server = new_nginx()
    nginx_conf(server, f"root {folder}; sendfile on; tcp_nopush on; open_file_cache max=1000; {more} "
               f"{add_headers(answer, FILE_HEADERS)}", "application/octet-stream")
    return server


def copy_of_db(name):
    """A database of its own for a contender that writes."""
    path = os.path.join(WORK, f"{name}.db")
    for ending in ("", "-wal", "-shm"):
        if os.path.exists(path + ending):
            os.unlink(path + ending)
    shutil.copyfile(DB, path)
    # On the disk before anybody is measured: else the contender's first sync of it writes our copy.
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
    return path


def capture(server, path, name):
    file = os.path.join(WORK, f"answer-{name}.http")
    answer = server.raw_answer(path)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"bench: {path} answered {answer[:60]!r}")
    with open(file, "wb") as f:
        f.write(answer)
    return file, answer


def counts(bench, requests, script=None, args=(), path="/", db=DB):
    """Instructions, system calls and allocations of one request of Purlin."""
    if report.options.no_counts:
        return
    said = []
    per_request = instructions(lambda: purlin_server("purlin-callgrind", db), requests)
    if per_request is not None:
        said.append(f"{per_request:,.0f} instructions")
        keep(bench, {"instructions": per_request})
    with purlin_server("purlin-strace", db) as server:
        load = lambda: wrk(server, 2, script, args, path)  # noqa: E731
        load()
        calls = system_calls(server, load)
    if calls is not None:
        said.append(f"{calls[0]:.2f} system calls (" + ", ".join(f"{k} {v:.2f}" for k, v in calls[1].items()) + ")")
        keep(bench, {"system_calls": calls[0]})
    counter = MallocCounter()
    with purlin_server("purlin-malloc", db, env=counter.env) as server:
        repeat_requests(server, 2000, requests)
        before = counter.read()
        repeat_requests(server, 2000, requests)
        per_request = (counter.read() - before) / 2000
    said.append(f"{per_request:.3f} heap allocations")
    keep(bench, {"allocations": per_request})
    print(f"  {'purlin, per warm request':34}" + ", ".join(said), flush=True)
