"""
tests/support/smtp_server.py - A real mail server (Debian's python3-aiosmtpd) on a free port of loopback, for tests.

    python3 smtp_server.py [--cert FILE --key FILE [--tls]] [--login USER:PASSWORD] [--port PORT]

Prints a line of JSON for each event: {"ready": port}, {"mail": {...}}, {"refused": {...}}. What it refuses is said by the
recipient: rcpt-550@..., data-451@..., data-554-3@... (the first three times).
"""
import argparse
import asyncio
import email
import email.policy
import json
import logging
import re
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

parser = argparse.ArgumentParser()
parser.add_argument("--cert")
parser.add_argument("--key")
parser.add_argument("--tls", action="store_true", help="from the start, instead of STARTTLS")
parser.add_argument("--login")
parser.add_argument("--port", type=int, default=0)
args = parser.parse_args()
logging.getLogger("mail.log").setLevel(logging.ERROR)
tried = {}


def say(**event):
    print(json.dumps(event), flush=True)


def refusal(stage, address):
    """What to answer to this recipient at this stage, or None."""
    m = re.match(rf"{stage}-(\d{{3}})(?:-(\d+))?@", address)
    if not m:
        return None
    key = (stage, address)
    tried[key] = tried.get(key, 0) + 1
    if m[2] and tried[key] > int(m[2]):
        return None
    say(refused={"stage": stage, "to": address, "code": int(m[1])})
    return f"{m[1]} {m[1][0]}.7.1 not for {address}"


class Handler:
    async def handle_MAIL(self, server, session, envelope, address, options):
        if args.login and not session.authenticated:
            return "530 5.7.0 log in first"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        no = refusal("rcpt", address)
        if no:
            return no
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        for address in envelope.rcpt_tos:
            no = refusal("data", address)
            if no:
                return no
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        say(mail={
            "subject": message["subject"], "text": message.get_body(("plain",)).get_content(),
            "html": message.get_body(("html",)).get_content(), "id": message["message-id"],
            "defects": [str(d) for part in message.walk() for d in part.defects],
            "from": envelope.mail_from, "to": envelope.rcpt_tos, "data": envelope.content.decode("latin-1"),
            "tls": args.tls or session.ssl is not None, "helo": session.host_name, "login": bool(session.authenticated),
        })
        return "250 2.0.0 taken"


def authenticate(server, session, envelope, mechanism, data):
    login = f"{data.login.decode()}:{data.password.decode()}"
    return AuthResult(success=login == args.login, handled=False)


async def main():
    context = None
    if args.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.cert, args.key)

    def make():
        return SMTP(
            Handler(), hostname="mail.test",
            tls_context=None if args.tls else context,
            auth_required=False, auth_require_tls=bool(args.cert) and not args.tls,
            authenticator=authenticate if args.login else None)

    server = await asyncio.get_running_loop().create_server(
        make, "127.0.0.1", args.port, ssl=context if args.tls else None)
    say(ready=server.sockets[0].getsockname()[1])
    # Ends with whoever started it.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
