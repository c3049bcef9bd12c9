"""Reading the environment. Whatever is missing or malformed stops start-up with one sentence that names the variable.

An empty variable, as `.env.example` has them, counts as none.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

REPOSITORY = Path(__file__).resolve().parents[2]
environ.Env.read_env(REPOSITORY / ".env")

DATABASE_SCHEMES = ("postgres", "postgresql")
CACHE_SCHEMES = ("redis", "rediss", "unix")
MAIL_SCHEMES = ("smtp", "smtps", "smtp+tls", "smtp+ssl", "consolemail", "dummymail", "filemail", "memorymail")
_SWITCHES = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def text(name: str, default: str = "") -> str:
    """The variable's value, or the default."""
    return os.environ.get(name, "").strip() or default


def required(name: str, hint: str) -> str:
    """The variable's value; without one, `hint` says what to give."""
    value = text(name)
    if not value:
        raise ImproperlyConfigured(f"{name} is not set: {hint}.")
    return value


def several(name: str) -> list[str]:
    """What stands between the commas."""
    return [part.strip() for part in text(name).split(",") if part.strip()]


def choice(name: str, default: str, options: Iterable[str]) -> str:
    value, known = text(name, default), sorted(options)
    if value not in known:
        raise ImproperlyConfigured(f'{name} is "{value}": it must be one of {", ".join(known)}.')
    return value


def switch(name: str, default: bool) -> bool:
    value = text(name).lower()
    if value and value not in _SWITCHES:
        raise ImproperlyConfigured(f'{name} is "{value}": it must be true or false.')
    return _SWITCHES.get(value, default)


def number(name: str, default: int, *, least: int) -> int:
    value = text(name, str(default))
    if not value.isdecimal() or int(value) < least:
        raise ImproperlyConfigured(f'{name} is "{value}": it must be a whole number, {least} or more.')
    return int(value)


def address(name: str, value: str, schemes: Iterable[str]) -> str:
    """`value`, if it begins with one of the schemes. An address may hold a password, so it is not repeated in the sentence."""
    if urlsplit(value).scheme not in schemes or "://" not in value:
        raise ImproperlyConfigured(f"{name} is malformed: it must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}.")
    return value
