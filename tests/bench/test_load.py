"""The load generator, against a server with predefined responses."""

import itertools
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.bench.load import Stream, UnexpectedAnswer, drive
from tests.bench.requests import batches, random_id, request, timed_id

GET = request("GET", "/")


@contextmanager
def serving(*answers: bytes) -> Iterator[int]:
    """Answer each request of a connection with the next of `answers`, the last one repeatedly; b"" closes it."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for answer in itertools.chain(answers, itertools.repeat(answers[-1])):
                if not self.request.recv(65536) or not answer:
                    return
                # in two pieces, as networks deliver them
                self.request.sendall(answer[:20])
                self.request.sendall(answer[20:])

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def answer(status: str = "200 OK", body: bytes = b"{}") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def test_responses_are_counted():
    with serving(answer()) as port:
        result = drive([Stream(port, itertools.repeat(GET), connections=2)], 0.2)[0]
    assert result.done == len(result.latencies)
    assert result.done > 10
    assert result.rate == result.done / 0.2


@pytest.mark.parametrize("message", [answer("429 Too Many Requests"), answer("500 Oops"), b""])
def test_an_unexpected_status_is_not_counted(message):
    with serving(answer(), message) as port, pytest.raises(UnexpectedAnswer):
        drive([Stream(port, itertools.repeat(GET), connections=2)], 0.2)


def test_an_unexpected_body_is_not_counted():
    with serving(answer(body=b'{"allowed":false}')) as port, pytest.raises(UnexpectedAnswer, match="false"):
        drive([Stream(port, itertools.repeat(GET), connections=1, expect=b'"allowed":true')], 0.2)


def test_a_refusal_can_be_expected():
    with serving(answer("401 Unauthorized")) as port:
        assert drive([Stream(port, itertools.repeat(GET), 1, statuses=frozenset({b"401"}))], 0.1)[0].done


def test_a_chunked_answer_ends_with_its_last_chunk():
    with serving(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n") as port:
        assert drive([Stream(port, itertools.repeat(GET), 1)], 0.1)[0].done


def test_a_rate_is_kept():
    with serving(answer()) as port:
        result = drive([Stream(port, itertools.repeat(GET), connections=4, rate=100)], 0.5)[0]
    assert 30 <= result.done <= 51


def test_every_batch_is_different():
    created = batches("/x", [{}], 3, random_id, ready=2)
    assert len({next(created) for _ in range(4)}) == 4


@pytest.mark.parametrize(("identify", "version"), [(random_id, "4"), (timed_id, "7")])
def test_identifiers_are_uuids_of_their_version(identify, version):
    assert len(identify()) == 36
    assert identify()[14] == version
    assert identify() != identify()


def test_background_load_is_not_awaited():
    with serving(answer()) as port, serving(answer()[:10]) as silent:
        # Its first half alone is an incomplete response.
        other = Stream(silent, itertools.repeat(GET), connections=1, rate=100, awaited=False)
        assert drive([Stream(port, itertools.repeat(GET), 1), other], 0.1)[0].done
