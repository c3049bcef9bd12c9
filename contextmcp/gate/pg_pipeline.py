"""A connection to Postgres in libpq's pipeline mode: it sends several statements together and waits for the results on the event loop."""

import asyncio
import re
from collections.abc import Iterable, Mapping

from psycopg import errors, pq
from psycopg.pq import ConnStatus, ExecStatus

from usage.operations.effects import DatabaseUnreachable
from usage.store.codec import Query, Result

_PLACEHOLDER = re.compile("%b")
# Statements without parameters, which are sent as they are.
_CONTROL = frozenset({b"BEGIN", b"COMMIT", b"ROLLBACK"})


class ConnectionLost(DatabaseUnreachable):
    """The connection is lost. Whether the statements in progress were executed is not known."""

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


def to_dollar_params(statement: str) -> bytes:
    """Return the statement with `$1`, `$2`, ... in place of `%b`."""
    count = iter(range(1, 1_000))
    return _PLACEHOLDER.sub(lambda _: f"${next(count)}", statement).encode()


class PgPipeline:
    """One connection. `run` sends statements that were prepared under their names. Only one `run` may be in progress."""

    def __init__(self, address: bytes, statements: Mapping[bytes, str], settings: Iterable[str] = ()) -> None:
        """Connect, run the `settings` and prepare the `statements`. Blocks. Raises `ConnectionLost`."""
        connection = pq.PGconn.connect(address)
        if connection.status != ConnStatus.OK:
            raise ConnectionLost(connection.get_error_message())
        self._connection = connection
        # The file descriptor is needed to remove the socket from the event loop. A broken connection does not return it.
        self._socket = connection.socket
        for setting in settings:
            self._check(connection.exec_(setting.encode()))
        for name, statement in statements.items():
            self._check(connection.prepare(name, to_dollar_params(statement)))
        connection.nonblocking = 1
        connection.enter_pipeline_mode()
        self._waiting: asyncio.Future[list[Result]] | None = None
        self._results: list[Result] = []
        self._read = False
        self.broken = False

    @staticmethod
    def _check(result: Result) -> None:
        if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
            raise errors.lookup(bytes(result.error_field(pq.DiagnosticField.SQLSTATE) or b"XX000").decode())(result.get_error_message())

    def close(self) -> None:
        if not self.broken:
            self._fail(ConnectionLost("closed"))
        self._connection.finish()

    def abort(self) -> None:
        """Fail the pending statements with `ConnectionLost` after a timeout. The connection cannot be used again."""
        self._fail(ConnectionLost("no answer in time"))

    async def run(self, queries: list[Query]) -> list[Result]:
        """Return the result of each query. If one fails, its psycopg error is raised, and later queries were not executed."""
        if self.broken:
            raise ConnectionLost("broken")
        loop = asyncio.get_running_loop()
        connection = self._connection
        self._waiting = loop.create_future()
        self._results = []
        try:
            for name, values in queries:
                if name in _CONTROL:
                    connection.send_query_params(name, None)
                else:
                    connection.send_query_prepared(name, values, [1] * len(values), 1)
            connection.pipeline_sync()
            if not self._read:
                # The connection was opened in a thread, so the event loop can watch it only from now on.
                self._read = True
                loop.add_reader(self._socket, self._readable)
            if connection.flush():
                loop.add_writer(self._socket, self._writable)
        except errors.Error as error:
            raise ConnectionLost(str(error)) from None
        results = await self._waiting
        for result in results:
            self._check(result)
        return results

    def _writable(self) -> None:
        try:
            # Results must be read while writing. Otherwise the server stops reading until they are read, and both sides wait forever.
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
                if result is None:  # This ends the results of one statement. Two in a row end everything received so far.
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
                self._fail(ConnectionLost(connection.get_error_message()))
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
            self._waiting.set_exception(ConnectionLost(str(error)))
