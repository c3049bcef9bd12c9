"""Collect no garbage while tests are collected. Loaded first, by `-p tests.plugin_garbage`.

Thousands of tests, modules and schemas stay until the end. Looking through them again and again took more than half of the CPU of the
collection, in each process.
"""

import gc

import pytest

gc.disable()


def pytest_collection_finish() -> None:
    """Leave what exists now out of later collections."""
    gc.freeze()
    gc.enable()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Enable collections in the process that only distributes tests, because it collects none itself."""
    if session.config.getoption("numprocesses", None) and not hasattr(session.config, "workerinput"):
        gc.enable()
