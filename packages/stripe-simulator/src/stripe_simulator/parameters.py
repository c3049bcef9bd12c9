"""Parameters that record whether they were read.

A handler must act on each parameter that it accepts. The parameters of a request are therefore `Parameters`, which record what was
read. If a handler leaves one unread, the request is refused with 501, so no caller can rely on a parameter that has no effect.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from stripe_simulator.errors import Refusal
from stripe_simulator.types import deep_copy


class Parameters(dict[str, Any]):
    """A mapping that records which keys were read. Iterating over the keys reads nothing; `{**parameters}` reads every key."""

    def __init__(self, values: dict[str, Any], seen: set[str] | None = None) -> None:
        super().__init__({key: _recording(value) for key, value in values.items()} if seen is None else values)
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
        # A handler that tests whether a parameter is present has a branch for it.
        self.seen.add(str(key))
        return super().__contains__(key)

    def __iter__(self) -> Iterator[str]:
        # Without this override, CPython copies the internal table for `{**parameters}` and does not call `__getitem__`.
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
        """Return the names of unread parameters in Stripe's notation (`a[b][0][c]`)."""
        for key, value in super().items():
            name = f"{path}[{key}]" if path else key
            if key not in self.seen:
                yield name
            else:
                yield from _unread(value, name)


def _recording(value: Any) -> Any:
    if isinstance(value, dict):
        return Parameters(value)
    return [_recording(item) for item in value] if isinstance(value, list) else value


def _unread(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, Parameters):
        yield from value.unread(name)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _unread(item, f"{name}[{number}]")


def read_all(value: Any) -> Any:
    """Mark a value and everything in it as read: for parameters that Stripe itself only stores and returns."""
    if isinstance(value, dict):
        for inner in value.values():
            read_all(inner)
    elif isinstance(value, list):
        for inner in value:
            read_all(inner)
    return deep_copy(value)


def pick(params: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the named parameters that are present. Reading them counts as reading the request's parameters."""
    return {name: params[name] for name in names if name in params}


def omit(params: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return all parameters except these names. The result still records reads."""
    left = {name: dict.__getitem__(params, name) for name in params if name not in set(names)}
    return Parameters(left, params.seen) if isinstance(params, Parameters) else left


def unsupported(name: str, detail: str = "") -> Refusal:
    message = f"The local simulator does not act on the parameter `{name}`{detail}."
    return Refusal(message, status=501, kind="api_error", code="parameter_not_simulated", param=name, unsaved=True)


def accept_only(params: dict[str, Any], name: str, *allowed: Any, of: str = "") -> None:
    """Accept only the values of a parameter that have no effect. Refuse others as not simulated. `of` is the object that contains it."""
    if name in params and params[name] not in allowed:
        raise unsupported(f"{of}[{name}]" if of else name, f" with the value {params[name]!r}")


def require_all_read(params: Parameters) -> None:
    for name in params.unread():
        raise unsupported(name)
