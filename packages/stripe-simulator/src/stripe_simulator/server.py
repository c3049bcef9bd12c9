"""A threaded HTTP/1.1 server with keep-alive. It starts quickly, and runs inside a test process or on its own."""

import logging
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from stripe_simulator import api, control, pages, resources, webhooks
from stripe_simulator.routes.match import preload
from stripe_simulator.simulator import Request, Response, Simulator

log = logging.getLogger("stripe_simulator")
__all__ = ["Server", "resources"]  # importing the resources registers their operations


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, sim: Simulator, port: int = 0, host: str = "127.0.0.1") -> None:
        # Load the document before clients can connect. The first load takes seconds, longer than the timeout of Stripe's clients.
        preload()
        super().__init__((host, port), Handler)
        self.sim = sim
        sim.base_url = f"http://{host}:{self.server_address[1]}"
        self.dispatcher = webhooks.WebhookDispatcher(sim)

    def begin(self) -> None:
        self.sim.start()
        self.dispatcher.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("A client at %s closed its connection early", client_address, exc_info=True)

    def end(self) -> None:
        self.server_close()
        self.sim.stopping.set()
        self.sim.deliveries_due.set()
        self.dispatcher.join()
        self.sim.stop()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode() if length else ""
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = _route(self.server, Request(self.command, parts.path, parts.query, headers, body))
        lines = [f"HTTP/1.1 {answer.status} {'OK' if answer.status < 400 else 'Refused'}", f"Content-Length: {len(answer.body)}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        self.wfile.write("\r\n".join([*lines, "", ""]).encode() + answer.body)

    do_GET = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815 - http.server calls these names

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


def _route(server: Server, request: Request) -> Response:
    sim = server.sim
    if request.path.startswith("/_sim/"):
        return control.respond(server.dispatcher, sim, request)
    if sim.is_down():
        return Response(
            503, b'{"error": {"type": "api_error", "message": "The simulator plays dead."}}', {"Content-Type": "application/json"}
        )
    if request.path.startswith(("/v1/", "/v2/")):
        return api.respond(sim, request)
    return pages.respond(sim, request)
