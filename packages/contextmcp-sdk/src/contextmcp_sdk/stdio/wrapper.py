"""Run a stdio MCP server as a child process, and charge the tool calls that pass through.

Messages are forwarded byte for byte. A refused call does not reach the server; the wrapper responds with a result that a model can read.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

from contextmcp_sdk.charging import Outcome, charged_amount
from contextmcp_sdk.client_settings import KEY_VARIABLE
from contextmcp_sdk.denials import Denial

from .call_charges import CallCharges, Reservation
from .messages import Cancellation, LineRefusal, MessageId, ServerResponse, ToolCall, encode, read_client_line, read_server_line

log = logging.getLogger(__name__)
# Calls that are decided at the same time; others wait.
DECISION_THREADS = 8
# Seconds that the server gets to end after the client has closed its input, and after it was asked to terminate.
END_SECONDS, TERMINATE_SECONDS = 10.0, 5.0
# Seconds to read its remaining output after it has ended.
OUTPUT_SECONDS = 2.0


class Wrapper:
    """One wrapped server. `run` returns its exit status."""

    def __init__(self, command: Sequence[str], charges: CallCharges) -> None:
        self._charges = charges
        # The key is the wrapper's. The server never sees it.
        environment = {name: value for name, value in os.environ.items() if name != KEY_VARIABLE}
        self._child = subprocess.Popen(list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)  # noqa: S603
        assert self._child.stdin is not None and self._child.stdout is not None
        self._to_server: IO[bytes] = self._child.stdin
        self._from_server: IO[bytes] = self._child.stdout
        self._to_client = sys.stdout.buffer
        self._server_lock, self._client_lock, self._calls_lock = threading.Lock(), threading.Lock(), threading.Lock()
        # Charged calls by the ID of the request. None: the decision is pending.
        self._calls: dict[MessageId, Reservation | None] = {}
        self._deciders = ThreadPoolExecutor(DECISION_THREADS, "contextmcp-decision")

    def run(self) -> int:
        """Forward messages until the server ends, or the client closes its side. Return the server's exit status."""
        threading.Thread(target=self._read_client, name="contextmcp-client", daemon=True).start()
        server = threading.Thread(target=self._read_server, name="contextmcp-server", daemon=True)
        server.start()
        status = self._child.wait()
        # Other processes that the server has started may keep its output open.
        server.join(OUTPUT_SECONDS)
        with self._calls_lock:
            reservations = [each for each in self._calls.values() if each is not None]
            self._calls.clear()
        for reservation in reservations:
            self._finish(reservation, "upstream_failure")
        self._charges.close()
        return status if status >= 0 else 128 - status

    def terminate(self) -> None:
        """Ask the server to end, and kill it if it does not."""
        self._child.terminate()
        timer = threading.Timer(TERMINATE_SECONDS, self._child.kill)
        timer.daemon = True
        timer.start()

    def _read_client(self) -> None:
        for line in sys.stdin.buffer:
            try:
                self._on_client_line(line)
            except Exception:
                # The next lines are forwarded although this one failed.
                log.exception("a line of the client could not be forwarded")
        self._deciders.shutdown(wait=True)
        with self._server_lock:
            try:
                self._to_server.close()
            except OSError:
                log.debug("the server has already closed its input")
        self._end_child()

    def _read_server(self) -> None:
        for line in self._from_server:
            self._on_server_line(line)
        # The server has closed its output, so it cannot respond any more.
        self._end_child()

    def _on_client_line(self, line: bytes) -> None:
        try:
            message = read_client_line(line)
        except LineRefusal as refusal:
            self._respond(refusal.response)
            return
        if isinstance(message, ToolCall) and not self._charges.is_free(message.tool):
            with self._calls_lock:
                is_new = message.id not in self._calls
                self._calls.setdefault(message.id, None)
            if not is_new:
                self._respond(LineRefusal(-32600, "A request with this ID is in progress.", message.id).response)
                return
            self._deciders.submit(self._decide, message, line)
            return
        if isinstance(message, Cancellation):
            self._on_end(message.id, "cancelled", {})
        self._forward(line)

    def _decide(self, call: ToolCall, line: bytes) -> None:
        try:
            decision = self._charges.reserve(call.tool, call.arguments)
        except Exception:
            log.exception("a call could not be decided")
            self._forget(call.id)
            self._respond(LineRefusal(-32603, "The wrapper failed. See its log.", call.id).response)
            return
        if isinstance(decision, Denial):
            if self._forget(call.id):
                result = decision.result() | ({"resultType": "complete"} if call.needs_result_type else {})
                self._respond(encode({"jsonrpc": "2.0", "id": call.id, "result": result}))
            return
        with self._calls_lock:
            is_waited_for = call.id in self._calls
            if is_waited_for:
                self._calls[call.id] = decision
        if is_waited_for:
            self._forward(line)
        else:
            # The client has canceled the call.
            self._charges.finish(decision, None)

    def _on_server_line(self, line: bytes) -> None:
        # Without a call in progress, there is nothing to look for.
        response = read_server_line(line) if self._calls else None
        if isinstance(response, ServerResponse):
            try:
                self._on_end(response.id, response.outcome, response.meta)
            except Exception:
                # The client gets the response in any case.
                log.exception("a call could not be counted")
        self._respond(line)

    def _on_end(self, request_id: MessageId, outcome: Outcome, meta: object) -> None:
        with self._calls_lock:
            reservation = self._calls.pop(request_id, None)
        if reservation is not None:
            self._finish(reservation, outcome, meta)

    def _finish(self, reservation: Reservation, outcome: Outcome, meta: object = None) -> None:
        fields = meta if isinstance(meta, dict) else {}
        self._charges.finish(reservation, charged_amount(reservation.price, reservation.amount, outcome, fields))

    def _forget(self, request_id: MessageId) -> bool:
        """Remove the request from those in progress. Return whether the client still waits for its response."""
        with self._calls_lock:
            was_there = request_id in self._calls
            self._calls.pop(request_id, None)
        return was_there

    def _forward(self, line: bytes) -> None:
        with self._server_lock:
            try:
                self._to_server.write(line)
                self._to_server.flush()
            except (OSError, ValueError):
                log.debug("the server has closed its input")

    def _respond(self, line: bytes) -> None:
        with self._client_lock:
            try:
                self._to_client.write(line)
                self._to_client.flush()
            except (OSError, ValueError):
                # The client has disconnected, and the server has no other client.
                self.terminate()

    def _end_child(self) -> int:
        for seconds, end in ((END_SECONDS, self._child.terminate), (TERMINATE_SECONDS, self._child.kill)):
            try:
                return self._child.wait(seconds)
            except subprocess.TimeoutExpired:
                end()
        return self._child.wait()
