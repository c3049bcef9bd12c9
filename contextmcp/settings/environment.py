"""Functions that read environment variables. A missing or malformed one raises `ImproperlyConfigured` with a sentence that names it.

An empty variable, as in `.env.example`, counts as not set.
"""

import os
import re
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
_BOOLEAN_VALUES = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def text(name: str, default: str = "") -> str:
    """Return the variable's value, or the default."""
    return os.environ.get(name, "").strip() or default


def required(name: str, hint: str) -> str:
    """Return the variable's value. Raises `ImproperlyConfigured` with `hint` if it is not set."""
    value = text(name)
    if not value:
        raise ImproperlyConfigured(f"{name} is not set: {hint}.")
    return value


def matching(pattern: str) -> dict[str, str]:
    """Return the variables that are set and whose whole name matches the regular expression."""
    return {name: value for name in sorted(os.environ) if re.fullmatch(pattern, name) and (value := text(name))}


def comma_separated(name: str) -> list[str]:
    """Return the non-empty entries of a comma-separated variable."""
    return [part.strip() for part in text(name).split(",") if part.strip()]


def choice(name: str, default: str, options: Iterable[str]) -> str:
    value, known = text(name, default), sorted(options)
    if value not in known:
        raise ImproperlyConfigured(f'{name} is "{value}": it must be one of {", ".join(known)}.')
    return value


def subset(name: str, default: str, options: Iterable[str]) -> frozenset[str]:
    """Return the options that a comma-separated variable names, or an empty set for "none"."""
    value, known = text(name, default), sorted(options)
    chosen = frozenset(part.strip() for part in value.split(",") if part.strip()) - {"none"}
    if not chosen <= set(known):
        raise ImproperlyConfigured(f'{name} is "{value}": enter some of {", ".join(known)}, separated by commas, or none.')
    return chosen


def color(name: str, default: str = "") -> str:
    """Return a color such as "#0d6b5c" in lowercase."""
    value = text(name, default).lower()
    if value and not re.fullmatch("#[0-9a-f]{6}", value):
        raise ImproperlyConfigured(f'{name} is "{value}": it must be a color such as #0d6b5c.')
    return value


def boolean(name: str, default: bool) -> bool:
    value = text(name).lower()
    if value and value not in _BOOLEAN_VALUES:
        raise ImproperlyConfigured(f'{name} is "{value}": it must be true or false.')
    return _BOOLEAN_VALUES.get(value, default)


def integer(name: str, default: int, *, minimum: int, maximum: int | None = None) -> int:
    value = text(name, str(default))
    if not value.isdecimal() or int(value) < minimum or (maximum is not None and int(value) > maximum):
        allowed = f"{minimum} or more" if maximum is None else f"from {minimum} to {maximum}"
        raise ImproperlyConfigured(f'{name} is "{value}": it must be a whole number, {allowed}.')
    return int(value)


def url(name: str, value: str, schemes: Iterable[str]) -> str:
    """Return `value` if it has one of the schemes. A URL may contain a password, so the error does not repeat it."""
    if urlsplit(value).scheme not in schemes or "://" not in value:
        raise ImproperlyConfigured(f"{name} is malformed: it must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}.")
    return value


def share_metrics() -> None:
    """Create the directory that PROMETHEUS_MULTIPROC_DIR names, if it is set.

    prometheus_client reads the variable when it is imported, after the settings, and uses the current directory if it is empty.
    """
    folder = text("PROMETHEUS_MULTIPROC_DIR")
    if not folder:
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(f"PROMETHEUS_MULTIPROC_DIR cannot be created: {error.strerror}.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ImproperlyConfigured("PROMETHEUS_MULTIPROC_DIR is not writable for this process.")
