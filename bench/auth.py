"""What it costs to know who asks: a row read with a token beside the same without, logins, and reads beside logins."""
import http.client
import json
import os
import shutil
import statistics
import subprocess
import threading
import time

from contenders import copy_of_db, prepared, purlin_server
from harness import LOAD_CORE, ROOT, WORK, instructions, interleave, wrk
from report import keep, row, title, verdict
import report

PASSWORD = "correct horse battery staple"
ISSUER = {"PURLIN_AUTH_ISSUER": "http://bench.test"}  # of servers on different ports: a token of one is good at the next
PEOPLE = """resource: users
fields:
  display_name: { type: string, min: 1, max: 60, required: true }
rules: { read: true, update: id == @user }
"""


def contracts():
    folder = os.path.join(WORK, "auth-contracts")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(os.path.join(ROOT, "bench/contracts"), folder)
    with open(os.path.join(folder, "users.yaml"), "w", encoding="ascii") as file:
        file.write(PEOPLE)
    return folder


def post(server, path, body, source=None, headers=None):
    """Status, headers and body of one request, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60, source_address=(source, 0) if source else None)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read() or b"null")
    finally:
        connection.close()


def sign_up(server, name):
    status, _, body = post(server, "/auth/signup", {"email": f"{name}@example.org", "password": PASSWORD,
                                                    "profile": {"display_name": name}})
    if status != 201:
        raise SystemExit(f"bench: sign-up answered {status}: {body}")
    return body


def parallel_logins(server, people, rounds, seconds):
    """`people` clients, each from an address of its own, sign in again and again; the statuses, whether each refusal says
    when to come back, and the latencies of those that got in."""
    until = time.perf_counter() + seconds
    found = []

    def one(i):
        # This thread's: off the server's core, and behind the load generator, whose waiting would count as the server's.
        os.sched_setaffinity(0, {int(LOAD_CORE)})
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        while time.perf_counter() < until:
            started = time.perf_counter()
            status, headers, _ = post(server, "/auth/login", {"email": f"p{i % rounds}@example.org", "password": PASSWORD},
                                      source=f"127.0.{1 + i // 200}.{1 + i % 200}")
            found.append((status, status == 200 or headers.get("Retry-After") is not None, time.perf_counter() - started))
            if status != 200:
                time.sleep(0.05)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def count_instructions(db, token, paths):
    """CPU of two runs differs by what else the machine does; instructions do not."""
    requests = [("GET", path, None) for path in paths[:500]]
    cost = {}
    for name, headers in (("without", {}), ("with", token)):
        cost[name] = instructions(lambda: purlin_server("purlin-callgrind", db, contracts(), ISSUER), requests, headers=headers)
        if cost[name] is None:
            return
        print(f"  {name + ' a token':34}{cost[name]:12,.0f} instructions", flush=True)
    keep("auth", {"instructions": cost})
    verdict("auth", "instructions, with / without", cost["with"] / cost["without"], 1.1, True)


def bench_auth():
    title("auth", "GET /api/v1/posts/{id} with a bearer token beside the same without, 64 connections")
    files, paths, _ = prepared()
    db = copy_of_db("auth")
    with purlin_server(db=db, contracts=contracts(), env=ISSUER) as server:
        tokens = sign_up(server, "reader")
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        seconds = report.options.seconds
        results = interleave(report.options.rounds, {
            "without": lambda: wrk(server, seconds, "get.lua", [files["row"]]),
            "with": lambda: wrk(server, seconds, "get.lua", [files["row"]], headers=bearer)})
        row("without a token", results["without"])
        row("with a token", results["with"])
        verdict("auth", "CPU, with / without", results["with"]["cpu_us"] / results["without"]["cpu_us"], 1.1, True)

        subprocess.run([os.path.join(ROOT, "build/release/bench/micro_jose")], check=True)
        times = []
        for _ in range(20):
            started = time.perf_counter()
            status, _, _ = post(server, "/auth/login", {"email": "reader@example.org", "password": PASSWORD})
            times.append((time.perf_counter() - started) * 1e3)
            if status != 200:
                raise SystemExit(f"bench: login answered {status}")
        print(f"  one login (Argon2id, 19 MiB, 2 passes): median {statistics.median(times):.1f} ms, "
              f"least {min(times):.1f} ms")

        for i in range(20):
            sign_up(server, f"p{i}")
        found = []
        thread = threading.Thread(target=lambda: found.extend(parallel_logins(server, 200, 20, seconds)))
        thread.start()
        beside = wrk(server, seconds, "get.lua", [files["row"]])
        thread.join()
        results["beside logins"] = beside
        row("reads beside 200 parallel logins", beside)
        counts = {}
        for status, _, _ in found:
            counts[status] = counts.get(status, 0) + 1
        print(f"  logins: {', '.join(f'{n} x {status}' for status, n in sorted(counts.items()))}; "
              f"slowest that got in {max((t for s, _, t in found if s == 200), default=0) * 1e3:.0f} ms")
        verdict("auth", "p99 of reads beside logins", beside["p99_ms"], 20, True, " ms")
        verdict("auth", "refusals without Retry-After", sum(not told for _, told, _ in found), 0, True)
    keep("auth", results)
    if not report.options.no_counts:
        count_instructions(db, bearer, paths["row"])
