"""The client of upstream servers, against real sockets and every kind of bad answer."""

import asyncio

import pytest
import uvloop

from contextmcp.gateway.errors import UpstreamError, UpstreamUnavailable
from contextmcp.gateway.upstream import HIGH_WATER, Limits, UpstreamPool

QUICK = Limits(connect_seconds=2, head_seconds=0.5, idle_seconds=0.5)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Sends `pieces` for each request, and counts connections and requests."""

    def __init__(self, *pieces, close=False):
        self.pieces, self.close = pieces, close
        self.connections = self.requests = 0
        self.sent = 0
        self.bodies = []
        self.gone = asyncio.Event()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/mcp?a=b"
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
                self.bodies.append((head.split(b"\r\n")[0], await reader.readexactly(length)))
                for piece in self.pieces:
                    writer.write(piece)
                    await writer.drain()
                    self.sent += len(piece)
                    await asyncio.sleep(0)
                if self.close:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.gone.set()
            writer.close()


def run(*pieces, close=False, work=None, limits=QUICK):
    async def main():
        async with Server(*pieces, close=close) as server:
            pool = UpstreamPool(server.url, limits)
            try:
                return await work(pool, server)
            finally:
                pool.close()

    return uvloop.run(main())


async def fetch(pool):
    with await pool.send(b"POST", [(b"accept", b"application/json")], b"{}") as answer:
        body = b""
        while piece := await answer.read():
            body += piece
        return answer.status, body


@pytest.mark.parametrize(
    ("pieces", "close", "body"),
    [
        ([OK], False, b"{}"),
        ([OK[:10], OK[10:]], False, b"{}"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", b"1\r\n}\r\n0\r\n\r\n"], False, b"{}"),
        ([b"HTTP/1.1 200 OK\r\n\r\n{", b"}"], True, b"{}"),
        ([b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", OK], False, b"{}"),
        ([b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"], False, b""),
    ],
)
def test_answers_are_read_whole(pieces, close, body):
    async def work(pool, server):
        answers = [await fetch(pool) for _ in range(3)]
        assert server.bodies == [(b"POST /mcp?a=b HTTP/1.1", b"{}")] * 3
        assert server.connections == (3 if close else 1)
        return answers

    assert {answer for _, answer in run(*pieces, close=close, work=work)} == {body}


@pytest.mark.parametrize(
    ("pieces", "close"),
    [
        ([b"garbage\r\n\r\n"], True),
        ([b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"], True),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{"], True),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"], True),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"], True),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{"], False),
        ([], False),
        ([], True),
    ],
)
def test_bad_answers_are_errors_and_their_connections_are_not_kept(pieces, close):
    async def work(pool, server):
        for _ in range(2):
            with pytest.raises(UpstreamError):
                await fetch(pool)
        assert server.connections == 2

    run(*pieces, close=close, work=work)


def test_a_server_that_is_away_is_unavailable():
    async def main():
        async with Server(OK) as server:
            url = server.url
        with pytest.raises(UpstreamUnavailable):
            await fetch(UpstreamPool(url, QUICK))

    uvloop.run(main())


def test_bytes_that_nobody_asked_for_are_not_the_next_answer():
    async def work(pool, server):
        assert await fetch(pool) == (200, b"{}")
        await asyncio.sleep(0.05)
        assert await fetch(pool) == (200, b"{}")
        assert server.connections == 2

    run(OK, b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", work=work)


def test_a_slow_client_slows_the_server():
    async def work(pool, server):
        with await pool.send(b"POST", [], b"{}") as answer:
            assert await answer.read()
            await asyncio.sleep(0.3)
            stalled_at = server.sent
            await asyncio.sleep(0.3)
            assert server.sent == stalled_at < 16 * 2**20
            total = 0
            while piece := await answer.read():
                total += len(piece)
                assert len(piece) <= HIGH_WATER * 2
            return total

    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * 2**20)
    assert run(head, *[b"x" * 2**20] * 64, work=work) > 60 * 2**20


def test_leaving_an_answer_early_closes_its_connection():
    async def work(pool, server):
        with await pool.send(b"POST", [], b"{}") as answer:
            assert await answer.read()
        await asyncio.wait_for(server.gone.wait(), 5)

    run(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", work=work)


def test_connections_are_bounded():
    async def work(pool, server):
        held = [await pool.send(b"POST", [], b"{}") for _ in range(2)]
        with pytest.raises(UpstreamUnavailable):
            await fetch(pool)
        held[0].__exit__()
        assert await fetch(pool) == (200, b"{}")

    limits = Limits(connect_seconds=0.2, head_seconds=5, idle_seconds=5, max_connections=2)
    run(OK, work=work, limits=limits)
