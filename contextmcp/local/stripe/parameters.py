"""Parameters that notice whether they are read.

A handler may accept a parameter only if it acts on it. So a request's parameters come as `Parameters`, which remember what was
read of them, and whatever a handler left unread is refused with 501 after it ran: no caller can rely on a parameter that does nothing.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from contextmcp.local.stripe.errors import Refusal
from contextmcp.local.stripe.kinds import copied


class Parameters(dict[str, Any]):
    """A mapping that remembers which of its keys were read. Iterating over keys alone reads nothing; `{**it}` reads every key."""

    def __init__(self, values: dict[str, Any], seen: set[str] | None = None) -> None:
        super().__init__({key: _watched(value) for key, value in values.items()} if seen is None else values)
        self.seen: set[str] = set() if seen is None else seen

    def __getitem__(self, key: str) -> Any:
        self.seen.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.seen.add(key)
        return super().get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        self.seen.add(key)
        return super().pop(key, *default)

    def __contains__(self, key: object) -> bool:
        # A handler that asks whether a parameter is there has a branch for it.
        self.seen.add(str(key))
        return super().__contains__(key)

    def __iter__(self) -> Iterator[str]:
        # This override makes CPython read each value by `__getitem__` in `{**it}` rather than copy the table behind our back.
        return super().__iter__()

    def items(self) -> Any:
        self.seen.update(self)
        return super().items()

    def values(self) -> Any:
        self.seen.update(self)
        return super().values()

    def __or__(self, other: dict[str, Any]) -> "Parameters":  # type: ignore[override]  # narrower than a dict's: keys are names
        return Parameters(dict(zip(self, super().values(), strict=True)) | other, self.seen)

    def unread(self, path: str = "") -> Iterator[str]:
        """The names, as Stripe writes them (`a[b][0][c]`), of what nobody read."""
        for key, value in super().items():
            name = f"{path}[{key}]" if path else key
            if key not in self.seen:
                yield name
            else:
                yield from _unread(value, name)


def _watched(value: Any) -> Any:
    if isinstance(value, dict):
        return Parameters(value)
    return [_watched(item) for item in value] if isinstance(value, list) else value


def _unread(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, Parameters):
        yield from value.unread(name)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _unread(item, f"{name}[{number}]")


def take_all(value: Any) -> Any:
    """Take a value as it is, with all that is in it: for what Stripe, too, only stores and shows."""
    if isinstance(value, dict):
        for inner in value.values():
            take_all(inner)
    elif isinstance(value, list):
        for inner in value:
            take_all(inner)
    return copied(value)


def part(given: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Those of the named parameters that were given; reading them counts as reading the request's."""
    return {name: given[name] for name in names if name in given}


def without(given: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """All parameters but the named ones, still watched."""
    left = {name: dict.__getitem__(given, name) for name in given if name not in set(names)}
    return Parameters(left, given.seen) if isinstance(given, Parameters) else left


def unsupported(name: str, detail: str = "") -> Refusal:
    message = f"The local simulator does not act on the parameter `{name}`{detail}."
    return Refusal(message, status=501, kind="api_error", code="parameter_not_simulated", param=name, unsaved=True)


def only(given: dict[str, Any], name: str, *allowed: Any, of: str = "") -> None:
    """Accept a parameter (of the object `of`, if any) only with a value that changes nothing; refuse any other as not simulated."""
    if name in given and given[name] not in allowed:
        raise unsupported(f"{of}[{name}]" if of else name, f" with the value {given[name]!r}")


def need_all_read(given: Parameters) -> None:
    for name in given.unread():
        raise unsupported(name)
