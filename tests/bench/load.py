"""A small HTTP/1.1 load generator: keep-alive, no pipelining, one thread with epoll.

It takes about 10 µs of CPU per request, little more than wrk, creates a new body for each request where that matters, and checks
every response.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

TIMEOUT_SECONDS = 40.0
# A larger buffer costs three times as much, because Python allocates it for every response.
CHUNK = 1 << 14


class UnexpectedAnswer(Exception):
    """A response was not the expected one. A rate of error responses is meaningless."""


@dataclass
class Stream:
    """Requests of one kind. With `rate` (per second) they are sent when due, whatever the server does; otherwise as fast as it responds."""

    port: int
    requests: Iterator[bytes]
    connections: int = 16
    rate: float | None = None
    statuses: frozenset[bytes] = frozenset({b"200"})
    # Text that the body must contain, because some responses have status 200 whatever they mean.
    expect: bytes = b""
    # If False, requests that are pending at the end are dropped.
    awaited: bool = True


@dataclass
class Drive:
    """The result of one stream. Latencies are in seconds; in a paced stream they start when the request was due."""

    latencies: list[float] = field(default_factory=list)
    done: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        return self.done / self.seconds

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class _Connection:
    __slots__ = ("began", "drive", "read", "socket", "stream")

    def __init__(self, stream: Stream, drive: Drive) -> None:
        self.stream, self.drive = stream, drive
        self.socket = socket.create_connection(("127.0.0.1", stream.port), TIMEOUT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A whole batch of events fits, so sending one does not delay the others.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.began = 0.0
        self.read = b""


def present(port: int, requests: list[bytes], connections: int = 16) -> None:
    """Return an iterator that sends each body once."""
    remaining = iter(requests)
    while True:
        try:
            drive([Stream(port, remaining, min(connections, len(requests)))], TIMEOUT_SECONDS)
        except StopIteration:
            return


@dataclass
class _Pace:
    """The due times of a paced stream, and its idle connections."""

    stream: Stream
    due: float
    free: list[_Connection]


def drive(streams: list[Stream], seconds: float) -> list[Drive]:
    """Run all streams together. Responses before the end are counted; pending ones are then awaited."""
    drives = [Drive(seconds=seconds) for _ in streams]
    epoll = select.epoll()
    open_: dict[int, _Connection] = {}
    paces: list[_Pace] = []
    try:
        for stream, one in zip(streams, drives, strict=True):
            fresh = [_Connection(stream, one) for _ in range(stream.connections)]
            for connection in fresh:
                open_[connection.socket.fileno()] = connection
                epoll.register(connection.socket.fileno(), select.EPOLLIN)
            if stream.rate is not None:
                paces.append(_Pace(stream, time.perf_counter(), fresh))
        _run(epoll, open_, paces, seconds)
    finally:
        epoll.close()
        for connection in open_.values():
            connection.socket.close()
    return drives


def _run(epoll: select.epoll, open_: dict[int, _Connection], paces: list[_Pace], seconds: float) -> None:
    clock = time.perf_counter
    end = clock() + seconds
    waiting = 0
    free = {id(pace.stream): pace.free for pace in paces}
    for connection in open_.values():
        if connection.stream.rate is None:
            _send(connection, clock())
            waiting += connection.stream.awaited
    now = clock()
    while now < end or waiting:
        if now > end + TIMEOUT_SECONDS:
            raise UnexpectedAnswer(f"{waiting} requests were not answered within {TIMEOUT_SECONDS:.0f} s.")
        ready = epoll.poll(_timeout(paces, now, end))
        for fd, _ in ready:
            connection = open_[fd]
            if not _receive(connection):
                continue
            now = clock()
            drive = connection.drive
            paced = connection.stream.rate is not None
            if now < end or paced:
                # In a paced stream late responses count too. Omitting them would favor slow servers.
                drive.latencies.append(now - connection.began)
            if now < end:
                drive.done += 1
                if not paced:
                    _send(connection, clock())
                    continue
            waiting -= connection.stream.awaited
            if paced:
                free[id(connection.stream)].append(connection)
        now = clock()
        for pace in paces:
            while pace.due <= now < end and pace.free:
                _send(pace.free.pop(), pace.due)
                pace.due += 1 / (pace.stream.rate or 1)
                waiting += pace.stream.awaited


def _timeout(paces: list[_Pace], now: float, end: float) -> float:
    if now >= end:
        return 1.0
    nearest = min((pace.due for pace in paces if pace.free), default=end)
    return max(0.0, min(nearest, end) - now)


def _send(connection: _Connection, started: float) -> None:
    connection.began = started
    connection.socket.sendall(next(connection.stream.requests))


def _receive(connection: _Connection) -> bool:
    """Read what has arrived. Return whether the response is complete."""
    data = connection.socket.recv(CHUNK)
    if not data:
        raise UnexpectedAnswer(f"The server closed a connection after {connection.read[:300]!r}.")
    if connection.read:
        data = connection.read + data
    split = data.find(b"\r\n\r\n")
    if split < 0 or not _complete(data, split):
        connection.read = data
        return False
    connection.read = b""
    stream = connection.stream
    if data[9:12] not in stream.statuses or (stream.expect and stream.expect not in data):
        raise UnexpectedAnswer(data[:1000].decode(errors="replace"))
    return True


def _complete(data: bytes, split: int) -> bool:
    place = data.find(b"content-length: ", 0, split)
    if place < 0:
        head = data[:split].lower()
        if b"transfer-encoding: chunked" in head:
            return data.endswith(b"0\r\n\r\n")
        place = head.find(b"content-length: ")
        if place < 0:
            raise UnexpectedAnswer(f"An answer without a length: {data[:300]!r}")
    end = data.find(b"\r", place)
    return len(data) >= split + 4 + int(data[place + 16 : end])
