"""A customer's web server: it receives webhooks, stores them, and answers as configured."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class ReceivedRequest:
    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """`answers` are the next statuses, one per request; then 204. A number below 100 is a delay in seconds before 204."""

    def __init__(self) -> None:
        self.requests: list[ReceivedRequest] = []
        self.answers: list[float] = []
        self.redirect = ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append(ReceivedRequest(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                status = outer.answers.pop(0) if outer.answers else 204
                if status < 100:
                    time.sleep(status)
                    status = 204
                self.send_response(int(status))
                if outer.redirect:
                    self.send_header("Location", outer.redirect)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    def verified(self, secret: str) -> list[dict[str, Any]]:
        """Return the bodies, each verified with the reference implementation of Standard Webhooks."""
        from standardwebhooks.webhooks import Webhook

        return [Webhook(secret).verify(each.body, each.headers) for each in list(self.requests)]


@contextmanager
def running() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join(5)
