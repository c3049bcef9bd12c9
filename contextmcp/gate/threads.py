"""Run functions that use Django's ORM in threads, so that they do not block the event loop."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from django.db import close_old_connections

T = TypeVar("T")


def in_thread(threads: Executor, work: Callable[..., T], *values: object) -> "asyncio.Future[T]":
    """Run `work` with the context of this task (the request ID), and return its connection to the pool afterwards."""
    context = contextvars.copy_context()

    def run() -> T:
        close_old_connections()
        try:
            return work(*values)
        finally:
            close_old_connections()

    return asyncio.get_running_loop().run_in_executor(threads, context.run, run)
