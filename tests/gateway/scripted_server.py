"""An upstream MCP server whose tools do what their names say: succeed, fail, hang, send garbage. Run it with a port."""

import asyncio
import json
import os
import sys
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

EVENT_STREAM = "text/event-stream"
Json = dict[str, Any]
Tool = Callable[[Json, Any, Reader, Writer], Awaitable[bool]]


def response(identifier: Any, **fields: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": identifier, **fields}).encode()


def result(identifier: Any, **fields: Any) -> bytes:
    return response(identifier, result={"content": [{"type": "text", "text": "done"}], "resultType": "complete", **fields})


class ScriptedServer:
    """Counts the calls of each tool, and the requests that were cancelled."""

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}
        self.cancelled = 0
        self.headers: dict[str, str] = {}
        # The requests whose answers are sent on the session's other stream.
        self.later: list[Any] = []

    async def serve(self, reader: Reader, writer: Writer) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
                body = await reader.readexactly(int(self.headers.get("content-length", 0)))
                if not await self.answer(head[0].split(" ")[0], json.loads(body) if body else {}, reader, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, method: str, message: Json, reader: Reader, writer: Writer) -> bool:
        """Answer one request. Return whether the connection is kept."""
        identifier, name = message.get("id"), message.get("params", {}).get("name", "")
        if method == "GET" and self.headers.get("last-event-id") == "answer-later":
            self.later, later = [], self.later
            return await self.stream(writer, [result(each) for each in later])
        if method == "GET":
            return await self.stream(writer, [b"{}"], [0.1] * 50)
        if method == "DELETE" or "id" not in message:
            return await self.document(writer, b"", 202)
        if message.get("method") == "test/state":
            state = {"calls": self.calls, "cancelled": self.cancelled, "headers": self.headers}
            return await self.document(writer, response(identifier, result=state))
        if message.get("method") == "tools/list":
            tools = [{"name": each, "inputSchema": {"type": "object"}} for each in ("free_tool", "succeed", "unpriced", "exclusive")]
            listed = response(identifier, result={"tools": tools, "nextCursor": "2", "ttlMs": 5, "cacheScope": "public"})
            if message.get("params", {}).get("stream"):
                return await self.stream(writer, [listed])
            return await self.document(writer, listed)
        if message.get("method") == "initialize":
            return await self.document(writer, response(identifier, result={}), session="upstream-session")
        if message.get("method") != "tools/call":
            return await self.document(writer, response(identifier, result={}))
        self.calls[name] = self.calls.get(name, 0) + 1
        tool: Tool = getattr(self, name, self.succeed)
        return await tool(message, identifier, reader, writer)

    async def document(self, writer: Writer, body: bytes, status: int = 200, session: str = "") -> bool:
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        head += f"Mcp-Session-Id: {session}\r\n" if session else ""
        writer.write(head.encode() + b"\r\n" + body)
        await writer.drain()
        return True

    async def stream(self, writer: Writer, events: list[bytes], pauses: Sequence[float] = (), *, end: bool = True) -> bool:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {EVENT_STREAM}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for number, event in enumerate(events):
            data = b"event: message\ndata: " + event + b"\n\n"
            writer.write(b"%x\r\n%s\r\n" % (len(data), data))
            await writer.drain()
            if number < len(pauses):
                await asyncio.sleep(pauses[number])
        if end:
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        return end

    async def succeed(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        return await self.document(writer, result(identifier))

    async def stream_progress(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        progress = json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}}).encode()
        return await self.stream(writer, [progress, progress, result(identifier)], [0.3, 0.3])

    async def stream_quickly(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        return await self.stream(writer, [b'{"jsonrpc":"2.0","method":"notifications/progress","params":{}}'] * 2 + [result(identifier)])

    async def report_amount(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        return await self.document(writer, result(identifier, _meta={"units": message["params"]["arguments"]["units"]}))

    async def echo_headers(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        return await self.document(writer, result(identifier, _meta={"headers": self.headers}))

    async def fail(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        return await self.document(writer, result(identifier, isError=True))

    async def fail_in_stream(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        return await self.stream(writer, [result(identifier, isError=True)])

    async def raise_error(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        return await self.document(writer, response(identifier, error={"code": -32603, "message": "no"}))

    async def refuse_parameters(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        return await self.document(writer, response(identifier, error={"code": -32602, "message": "no"}), 400)

    async def require_input(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        if "inputResponses" in message["params"]:
            return await self.succeed(message, identifier, reader, writer)
        return await self.document(writer, result(identifier, resultType="input_required", inputRequests={}))

    async def answer_another(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        return await self.document(writer, result("another"))

    async def send_garbage(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        return await self.document(writer, b"\xff\x00 garbage")

    async def send_no_http(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        writer.write(b"garbage\r\n\r\n")
        return False

    async def fail_with_500(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        return await self.document(writer, b"Traceback (most recent call last)", 500)

    async def close_mid_stream(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        return await self.stream(writer, [b"{}"], end=False)

    async def end_without_answer(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        return await self.stream(writer, [b"{}"])

    async def answer_later(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        self.later.append(identifier)
        return await self.stream(writer, [b"{}"])

    async def send_too_much(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (100 * 2**20))
        for _ in range(100):
            writer.write(b" " * 2**20)
            await writer.drain()
        return True

    async def send_too_much_in_stream(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        return await self.stream(writer, [b"x" * (100 * 2**20)])

    async def stream_forever(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        event = json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x" * 100_000}}).encode()
        try:
            return await self.stream(writer, [event] * 1_000_000)
        except ConnectionError:
            self.cancelled += 1
            raise

    async def hang(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        if not await reader.read(1):
            self.cancelled += 1
        return False

    async def die(self, message: Json, identifier: Any, reader: Reader, writer: Writer) -> bool:
        os._exit(1)


async def main(port: int) -> None:
    server = await asyncio.start_server(ScriptedServer().serve, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
