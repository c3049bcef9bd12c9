"""Connections to the gate that are idle, send incomplete requests, or are open when the server stops."""

import asyncio
import socket
import tracemalloc
from contextlib import asynccontextmanager, suppress

import pytest

from contextmcp.gate import http1
from contextmcp.gate import http_server as site_module
from contextmcp.gate.http1 import Connection, HttpResponse, HttpServer

TIMEOUT_SECONDS = 60


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    for name, seconds in {"IDLE_SECONDS": 0.3, "HEADER_SECONDS": 0.6, "BODY_SECONDS": 0.6}.items():
        monkeypatch.setattr(http1, name, seconds)
    monkeypatch.setattr(site_module, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(site_module, "DRAIN_SECONDS", 0.0)


async def answer(request):
    """Respond after the number of seconds in the query, with a body repeated as often as the path says."""
    await asyncio.sleep(float(request.query))
    return HttpResponse(200, [], b"done" * int(request.path[1:] or 1))


@asynccontextmanager
async def served():
    site = HttpServer(answer, lambda status: HttpResponse(status, [], b""), 1000)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(site), "127.0.0.1", 0)
    try:
        yield site, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await site.shut_down(1)


async def connect(port, sent):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    await writer.drain()
    return reader, writer


def ask(seconds):
    return f"GET /?{seconds} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def to_its_end(reader, writer):
    output = await asyncio.wait_for(reader.read(), TIMEOUT_SECONDS)
    writer.close()
    return output


def test_idle_connections_are_closed():
    async def main():
        async with served() as (_, port):
            reader, writer = await connect(port, ask(0))
            for _ in range(4):
                await asyncio.wait_for(reader.readuntil(b"done"), TIMEOUT_SECONDS)
                await asyncio.sleep(0.1)
                writer.write(ask(0))
            assert (await to_its_end(reader, writer)).endswith(b"done")

    asyncio.run(main())


@pytest.mark.parametrize(
    "begun",
    [
        b"GET / HTTP/1.1\r\nX-Endless: ",
        b"GET / HTTP/1.1\r\nX-",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Endless: ",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;",
    ],
)
def test_oversized_requests_are_refused_early(monkeypatch, begun):
    monkeypatch.setattr(http1, "HEADER_SECONDS", 600)
    monkeypatch.setattr(http1, "BODY_SECONDS", 600)

    async def main():
        async with served() as (site, port):
            reader, writer = await connect(port, begun)
            output = b""
            # A reset may arrive before the response if the client continues to send.
            with suppress(ConnectionError):
                for _ in range(4 * http1.MAX_HEADER_BYTES // 4096):
                    writer.write(b"x" * 4096)
                    await writer.drain()
                    await asyncio.sleep(0.001)
                output = await to_its_end(reader, writer)
            assert output == b"" or output.startswith(b"HTTP/1.1 4")
            assert not site.connections

    asyncio.run(main())


def test_clients_that_do_not_read_are_closed():
    async def main():
        async with served() as (site, port):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", port))
            one.setblocking(False)
            with suppress(BlockingIOError):
                for _ in range(100_000):
                    one.send(ask(0) * 500)
                    await asyncio.sleep(0)
            async with asyncio.timeout(TIMEOUT_SECONDS):
                while site.connections:
                    await asyncio.sleep(0.05)
            one.close()

    asyncio.run(main())


def test_a_stopping_server_completes_long_responses():
    async def main():
        async with served() as (site, port):
            reader, writer = await connect(port, b"GET /5000000?0 HTTP/1.1\r\n\r\n")
            async with asyncio.timeout(TIMEOUT_SECONDS):
                while not any(each._full for each in site.connections):
                    await asyncio.sleep(0)
            await site.shut_down(1)
            assert (await to_its_end(reader, writer)).count(b"done") == 5_000_000

    asyncio.run(main())


def test_small_chunks_take_no_additional_memory(monkeypatch):
    async def main():
        async with served() as (site, port):
            site.max_body_bytes = 200_000
            monkeypatch.setattr(http1, "BODY_SECONDS", 600)
            tracemalloc.start()
            _, writer = await connect(port, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"2\r\nxy\r\n" * 100_000)
            (connection,) = site.connections
            async with asyncio.timeout(TIMEOUT_SECONDS):
                while connection._size < 200_000:
                    await asyncio.sleep(0.01)
            held = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, http1.__file__)])
            tracemalloc.stop()
            assert sum(each.size for each in held.statistics("filename")) < 2 * site.max_body_bytes
            writer.close()

    asyncio.run(main())


def test_incomplete_request_is_closed_but_a_slow_response_is_not():
    async def main():
        async with served() as (_, port):
            slow, patient = await connect(port, b"GET / HTTP/1.1\r\nHost:"), await connect(port, ask(1.5))
            assert await to_its_end(*slow) == b""
            assert (await asyncio.wait_for(patient[0].readuntil(b"done"), TIMEOUT_SECONDS)).startswith(b"HTTP/1.1 200 OK")
            patient[1].close()

    asyncio.run(main())


def test_a_stopping_server_answers_pending_requests():
    async def main():
        async with served() as (site, port):
            requested, idle = await connect(port, ask(0.2) + ask(0)), await connect(port, b"")
            while not site.tasks:
                await asyncio.sleep(0.01)
            await site.shut_down(TIMEOUT_SECONDS)
            output = await to_its_end(*requested)
            assert output.count(b"200 OK") == 1
            assert b"connection: close" in output
            assert await to_its_end(*idle) == b""
            assert not site.connections

    asyncio.run(main())


def test_a_stopping_server_aborts_slow_requests():
    async def main():
        async with served() as (site, port):
            requested = await connect(port, ask(30))
            while not site.tasks:
                await asyncio.sleep(0.01)
            await site.shut_down(0.1)
            assert await to_its_end(*requested) == b""

    asyncio.run(main())
