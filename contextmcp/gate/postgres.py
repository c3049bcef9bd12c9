"""A connection to Postgres that sends several statements in one go and waits on the event loop: libpq's pipeline mode, without layers."""

import asyncio
import re
from collections.abc import Iterable
from typing import Any

from psycopg import errors, pq
from psycopg.pq import ConnStatus, ExecStatus

Result = Any
Query = tuple[bytes, list[bytes | None]]
_PLACE = re.compile("%b")


class Gone(Exception):
    """The connection is lost. Whether what was under way happened is not known."""


def numbered(statement: str) -> bytes:
    """`%b` to `$1`, `$2`, ..."""
    count = iter(range(1, 1_000))
    return _PLACE.sub(lambda _: f"${next(count)}", statement).encode()


class Pipe:
    """One connection. `run` sends statements prepared under their names; only one `run` at a time."""

    def __init__(self, address: bytes, statements: dict[bytes, str], settings: Iterable[str] = ()) -> None:
        """Blocks; raises `Gone`."""
        connection = pq.PGconn.connect(address)
        if connection.status != ConnStatus.OK:
            raise Gone(connection.get_error_message())
        self._connection = connection
        # Kept: a broken connection does not tell any more, yet the loop must forget it.
        self._socket = connection.socket
        for setting in settings:
            self._must(connection.exec_(setting.encode()))
        for name, statement in statements.items():
            self._must(connection.prepare(name, numbered(statement)))
        connection.nonblocking = 1
        connection.enter_pipeline_mode()
        self._waiting: asyncio.Future[list[Result]] | None = None
        self._results: list[Result] = []
        self._read = False
        self.broken = False

    @staticmethod
    def _must(result: Result) -> None:
        if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
            raise errors.lookup(bytes(result.error_field(pq.DiagnosticField.SQLSTATE) or b"XX000").decode())(result.get_error_message())

    def close(self) -> None:
        if not self.broken:
            self._fail(Gone("closed"))
        self._connection.finish()

    def give_up(self) -> None:
        """It takes too long: whoever waits gets `Gone`, and the connection is of no use any more."""
        self._fail(Gone("no answer in time"))

    async def run(self, queries: list[Query]) -> list[Result]:
        """A result for each. The first that failed is raised as psycopg's error for it; those after it did not happen."""
        if self.broken:
            raise Gone("broken")
        loop = asyncio.get_running_loop()
        connection = self._connection
        self._waiting = loop.create_future()
        self._results = []
        try:
            for name, values in queries:
                if name in _PLAIN:
                    connection.send_query_params(name, None)
                else:
                    connection.send_query_prepared(name, values, [1] * len(values), 1)
            connection.pipeline_sync()
            if not self._read:
                # Made in a thread, it meets its loop here. From then on it is read whenever there is something.
                self._read = True
                loop.add_reader(self._socket, self._readable)
            if connection.flush():
                loop.add_writer(self._socket, self._writable)
        except errors.Error as error:
            raise Gone(str(error)) from None
        results = await self._waiting
        for result in results:
            self._must(result)
        return results

    def _writable(self) -> None:
        try:
            # What the server answers meanwhile must be read, or both sides wait for each other for ever.
            self._connection.consume_input()
            if not self._connection.flush():
                asyncio.get_running_loop().remove_writer(self._socket)
        except errors.Error as error:
            self._fail(error)

    def _readable(self) -> None:
        connection = self._connection
        try:
            connection.consume_input()
            ended = False
            while not connection.is_busy():
                result = connection.get_result()
                if result is None:  # The end of one statement's results; twice, of all that came.
                    if ended:
                        break
                    ended = True
                    continue
                ended = False
                if result.status == ExecStatus.PIPELINE_SYNC:
                    self._finish()
                    return
                self._results.append(result)
            if connection.status != ConnStatus.OK:
                self._fail(Gone(connection.get_error_message()))
        except errors.Error as error:
            self._fail(error)

    def _finish(self) -> None:
        waiting = self._waiting
        if waiting is not None and not waiting.done():
            waiting.set_result(self._results)

    def _fail(self, error: BaseException) -> None:
        self.broken = True
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        loop.remove_writer(self._socket)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Gone(str(error)))


_PLAIN = frozenset({b"BEGIN", b"COMMIT", b"ROLLBACK"})
