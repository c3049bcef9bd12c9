"""Where local mail ends up: an SMTP server that delivers to nobody, and a page that shows what it took."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from html import escape
from itertools import count
from urllib.parse import parse_qs, urlsplit

Handler = Callable[["Mailbox", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LARGEST = 10 * 1024 * 1024
KEPT = 500
LINK = re.compile(r"https?://[^\s<>\"']+")
REPLIES = {
    "HELO": "250 local",
    "EHLO": "250-local\r\n250-8BITMIME\r\n250 SMTPUTF8",
    "MAIL": "250 OK",
    "RCPT": "250 OK",
    "RSET": "250 OK",
    "NOOP": "250 OK",
    "DATA": "354 End with a dot",
    "QUIT": "221 Bye",
}


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
    """The newest mails; older ones are forgotten."""

    def __init__(self) -> None:
        self.mails: deque[Mail] = deque(maxlen=KEPT)
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


async def smtp(mailbox: Mailbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As much of SMTP as a client on the same machine speaks."""
    writer.write(b"220 local\r\n")
    recipients: list[str] = []
    while line := await reader.readline():
        words = line.decode(errors="replace").strip()
        command = words[:4].upper()
        if command in {"HELO", "EHLO", "MAIL", "RSET"}:
            recipients = []
        if command == "RCPT":
            address = re.search(r"<([^>]*)>", words)
            recipients.append(address[1] if address else words)
        writer.write(f"{REPLIES.get(command, '502 Unknown')}\r\n".encode())
        await writer.drain()
        if command == "DATA":
            body = bytearray()
            while (line := await reader.readline()) and line != b".\r\n" and len(body) < LARGEST:
                body += line[1:] if line.startswith(b"..") else line
            if line != b".\r\n":
                return
            mailbox.add(recipients, bytes(body))
            writer.write(b"250 Taken\r\n")
        if command == "QUIT":
            return


async def http(mailbox: Mailbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request, one answer: `/` is the page, `/messages?to=` is JSON (newest last), `/messages/<id>.html` one mail's HTML."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode("latin-1")
    method, target, *_ = head.split(" ", 2)
    url = urlsplit(target)
    status, kind, body = "404 Not Found", "text/plain", "Not found"
    if method not in {"GET", "HEAD"}:
        status, body = "405 Method Not Allowed", "Read only"
    elif url.path == "/messages":
        to = parse_qs(url.query).get("to", [""])[0].lower()
        chosen = [asdict(mail) for mail in mailbox.mails if not to or to in [address.lower() for address in mail.to]]
        status, kind, body = "200 OK", "application/json", json.dumps(chosen)
    elif url.path == "/":
        status, kind, body = "200 OK", "text/html", page(mailbox)
    elif found := [mail for mail in mailbox.mails if url.path == f"/messages/{mail.id}.html"]:
        status, kind, body = "200 OK", "text/html", found[0].html
    content = body.encode()
    headers = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {kind}; charset=utf-8",
        f"Content-Length: {len(content)}",
        # A mail's HTML is somebody's input: no scripts.
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    writer.write("\r\n".join([*headers, "", ""]).encode() + (b"" if method == "HEAD" else content))


def page(mailbox: Mailbox) -> str:
    items = "".join(item(mail) for mail in reversed(mailbox.mails)) or "<p>No mail yet. Reload after something was sent.</p>"
    style = """:root{color-scheme:light dark} body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}
        header p{margin:0;opacity:.75} iframe{background:#fff}
        article{overflow-wrap:anywhere;border:1px solid #8a949e;border-radius:8px;padding:1rem;margin:1rem 0} h2{margin:0;font-size:1.1rem}
        pre{white-space:pre-wrap;font:inherit} iframe{width:100%;height:22rem;border:1px solid #cbd2d9}"""
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
        <title>Local mail</title><style>{style}</style><h1>Local mail</h1>
        <p>What the product sent. Nothing left this machine. <a href="/messages">As JSON</a></p>{items}</html>"""


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
    mailbox = Mailbox()

    def closing(handle: Handler) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # A client that goes away, or speaks too long a line, concerns only itself.
            with suppress(OSError, ValueError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await handle(mailbox, reader, writer)
                await writer.drain()
            writer.close()

        return connection

    ports = ((smtp, smtp_port), (http, http_port))
    servers = [await asyncio.start_server(closing(handle), "127.0.0.1", port, limit=LARGEST) for handle, port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.smtp_port, arguments.http_port))
