"""The effects that operations yield. A driver performs each effect and sends its result to the operation, or raises its error there.

Every driver converts the connection errors of its own clients to `DatabaseUnreachable` and `CacheUnreachable`.
"""

from collections.abc import Callable, Generator
from datetime import datetime
from typing import Any, TypeVar

from msgspec import Struct

from usage.types import AuthorizeCommand, Command

T = TypeVar("T")


class DatabaseUnreachable(Exception):
    """PostgreSQL cannot be reached or does not respond in time. Whether a command was committed is not known."""


class CacheUnreachable(Exception):
    """Valkey cannot be reached, does not respond in time, or is not configured."""


class CallDatabase(Struct, gc=False):
    """Call a function that uses Django's ORM, and send its return value. Raises its exceptions, or `DatabaseUnreachable`."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


class ExecuteCommand(Struct, gc=False):
    """Decide a command and commit its changes. Sends a `CommandResult`. Raises `DatabaseUnreachable`."""

    command: Command


class ReadUnlocked(Struct, gc=False):
    """Read the rows that a command would change, without locks. Sends `LockedRows`. Raises `DatabaseUnreachable`."""

    command: AuthorizeCommand


class ReadBalances(Struct, gc=False):
    """Read an organization's balances in the period that starts at a time. Sends a list of `Balance`. Raises `DatabaseUnreachable`."""

    organization: bytes
    period_start: datetime


class EvalScript(Struct, gc=False):
    """Run a Lua script in Valkey and send its reply. Raises `CacheUnreachable`."""

    script: str
    keys: list[str]
    arguments: list[int]


class AppendToSpool(Struct, gc=False):
    """Write a granted command and its response to this machine's spool, and wait until they are on disk. Raises `OSError`."""

    command: AuthorizeCommand
    body: bytes


class CountDecision(Struct, gc=False):
    """Count a decision in the driver's metrics. `outcome` is `allowed` or the code of the refusal."""

    outcome: str


Effect = CallDatabase | ExecuteCommand | ReadUnlocked | ReadBalances | EvalScript | AppendToSpool | CountDecision
# A generator that yields effects and returns a T.
Operation = Generator[Effect, Any, T]
