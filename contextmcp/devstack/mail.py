"""A local mail server that stores messages instead of delivering them, and a page that shows them.

`/previews` shows all emails of the product with sample data in each language. A separate process renders them, because it needs Django.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import re
import sys
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from html import escape
from itertools import count
from urllib.parse import parse_qs, urlsplit

from aiosmtpd.smtp import SMTP, Envelope, Session

LARGEST = 10 * 1024 * 1024
KEPT = 500
LINK = re.compile(r"https?://[^\s<>\"']+")
PREVIEW = re.compile(r"/previews/(\d{1,6})\.html")


@dataclass(frozen=True)
class Mail:
    id: int
    to: list[str]
    sender: str
    subject: str
    received: str
    text: str
    html: str
    links: list[str]


class Mailbox:
    """Stores the latest messages and drops older ones."""

    def __init__(self) -> None:
        self.mails: deque[Mail] = deque(maxlen=KEPT)
        self.previews: list[dict[str, str]] = []
        self._ids = count(1)

    def add(self, recipients: list[str], raw: bytes) -> None:
        message = message_from_bytes(raw.replace(b"\r\n", b"\n"), policy=policy.default)
        bodies = {kind: message.get_body((kind,)) for kind in ("plain", "html")}
        text, html = (str(body.get_content()) if body else "" for body in bodies.values())
        self.mails.append(
            Mail(
                id=next(self._ids),
                to=recipients,
                sender=str(message["from"] or ""),
                subject=str(message["subject"] or ""),
                received=datetime.now(UTC).isoformat(timespec="seconds"),
                text=text,
                html=html,
                links=list(dict.fromkeys(link.rstrip(".,)") for link in LINK.findall(text))),
            )
        )


class MailboxHandler:
    """Stores each message that the SMTP server receives in the mailbox."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd calls it by this name
        assert isinstance(envelope.content, bytes)
        self._mailbox.add(envelope.rcpt_tos, envelope.content)
        return "250 OK"


async def http(mailbox: Mailbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Handle one request: `/` is the page, `/messages?to=` JSON (newest last), `/messages/<id>.html` the HTML of one message.

    `/previews` renders all emails, and `/previews/<number>.html` is the HTML of one of those that were rendered last.
    """
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode("latin-1")
    method, target, *_ = head.split(" ", 2)
    url = urlsplit(target)
    status, kind, body = "404 Not Found", "text/plain", "Not found"
    if method not in {"GET", "HEAD"}:
        status, body = "405 Method Not Allowed", "Read only"
    elif url.path == "/messages":
        to = parse_qs(url.query).get("to", [""])[0].lower()
        messages = [asdict(mail) for mail in mailbox.mails if not to or to in [address.lower() for address in mail.to]]
        status, kind, body = "200 OK", "application/json", json.dumps(messages)
    elif url.path == "/":
        status, kind, body = "200 OK", "text/html", page(mailbox)
    elif matches := [mail for mail in mailbox.mails if url.path == f"/messages/{mail.id}.html"]:
        status, kind, body = "200 OK", "text/html", matches[0].html
    elif url.path == "/previews":
        status, kind, body = "200 OK", "text/html", await previews(mailbox)
    elif (match := PREVIEW.fullmatch(url.path)) and int(match[1]) < len(mailbox.previews):
        status, kind, body = "200 OK", "text/html", mailbox.previews[int(match[1])]["html"]
    content = body.encode()
    headers = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {kind}; charset=utf-8",
        f"Content-Length: {len(content)}",
        # The HTML of a message is untrusted input, so scripts are forbidden.
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    writer.write("\r\n".join([*headers, "", ""]).encode() + (b"" if method == "HEAD" else content))


async def previews(mailbox: Mailbox) -> str:
    """Render all emails in another process, and return the page that shows them."""
    command = (sys.executable, "-m", "contextmcp.devstack.email_previews")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    output, errors = await process.communicate()
    if process.returncode:
        return document("Emails", f"<p>The emails cannot be rendered.</p><pre>{escape(errors.decode()[-4000:])}</pre>")
    mailbox.previews = json.loads(output)
    items = []
    for number, each in enumerate(mailbox.previews):
        frame = f"""<iframe sandbox title="{escape(each["subject"])}" src="/previews/{number}.html" loading="lazy"></iframe>"""
        items.append(
            f"""<article lang="{escape(each["language"])}"><header><h2>{escape(each["subject"])}</h2>
            <p>{escape(each["name"])} · {escape(each["language"])}</p></header>{frame}
            <details><summary>Text</summary><pre>{escape(each["text"])}</pre></details></article>"""
        )
    return document("Emails", f"<p>All emails of the product, with sample data. Reload the page to render them again.</p>{''.join(items)}")


def page(mailbox: Mailbox) -> str:
    items = "".join(item(mail) for mail in reversed(mailbox.mails)) or "<p>No emails yet. Reload the page after one was sent.</p>"
    introduction = """Emails that the product sent. They did not leave this machine. <a href="/messages">As JSON</a>
        · <a href="/previews">Previews of all emails</a>"""
    return document("Local mail", f"<p>{introduction}</p>{items}")


def document(title: str, content: str) -> str:
    style = """:root{color-scheme:light dark} body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}
        header p{margin:0;opacity:.75} iframe{background:#fff}
        article{overflow-wrap:anywhere;border:1px solid #8a949e;border-radius:8px;padding:1rem;margin:1rem 0} h2{margin:0;font-size:1.1rem}
        pre{white-space:pre-wrap;font:inherit} iframe{width:100%;height:22rem;border:1px solid #cbd2d9}"""
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
        <title>{title}</title><style>{style}</style><h1>{title}</h1>{content}</html>"""


def item(mail: Mail) -> str:
    links = "".join(f'<li><a href="{escape(link)}">{escape(link)}</a></li>' for link in mail.links)
    html = (
        f"""<details><summary>HTML</summary><iframe sandbox="allow-popups" title="HTML of {escape(mail.subject)}"
        src="/messages/{mail.id}.html" loading="lazy"></iframe></details>"""
        if mail.html
        else ""
    )
    return f"""<article><header><h2>{escape(mail.subject)}</h2>
        <p>to {escape(", ".join(mail.to))} from {escape(mail.sender)} at {escape(mail.received)}</p></header>
        <pre>{escape(mail.text)}</pre><ul>{links}</ul>{html}</article>"""


async def serve(smtp_port: int, http_port: int) -> None:
    # The library logs a warning for each unknown command, which is a client error.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    mailbox = Mailbox()
    loop = asyncio.get_running_loop()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client that disconnects or sends a line that is too long is a client error.
        with suppress(OSError, ValueError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await http(mailbox, reader, writer)
            await writer.drain()
        writer.close()

    def smtp() -> SMTP:
        # Without a name the library would look up this machine's name in the DNS for each connection.
        return SMTP(MailboxHandler(mailbox), hostname="localhost", data_size_limit=LARGEST, enable_SMTPUTF8=True, loop=loop)

    servers = [
        await loop.create_server(smtp, "127.0.0.1", smtp_port),
        await asyncio.start_server(answer, "127.0.0.1", http_port, limit=LARGEST),
    ]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.smtp_port, arguments.http_port))
