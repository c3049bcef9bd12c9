"""HTTP server for `/livez` and `/metrics` of the worker, which serves no other requests."""

import logging
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from django.db import connection
from prometheus_client import CONTENT_TYPE_LATEST

from .metrics import permits, render

log = logging.getLogger(__name__)
# Limits how long a silent client occupies a thread.
TIMEOUT_SECONDS = 10


class _Handler(BaseHTTPRequestHandler):
    timeout = TIMEOUT_SECONDS

    def do_GET(self) -> None:
        if self.path == "/livez":
            self._answer(200, "application/json", b'{"status": "ok"}')
        elif self.path == "/metrics" and permits(self.headers.get("Authorization", "")):
            try:
                self._answer(200, CONTENT_TYPE_LATEST, render())
            finally:
                # Each HTTP connection has its own thread, so no later request would use the thread's database connection.
                connection.close()
        else:
            self._answer(404, "text/plain", b"")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Do not log requests: probes arrive every few seconds."""


def start(port: int) -> ThreadingHTTPServer:
    """Serve on `port` in a daemon thread. Raises `OSError` if the port is in use."""
    server = ThreadingHTTPServer(("", port), _Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, name="exporter", daemon=True).start()
    log.info("metrics are served on port %s", server.server_port)
    return server
