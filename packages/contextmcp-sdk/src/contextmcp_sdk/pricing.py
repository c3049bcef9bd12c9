"""What each tool costs, in the format of the gateway's pricing file (docs/gateway.md).

    [servers.notes]
    default = "deny"

    [servers.notes.tools]
    "search_*" = { feature = "searches" }
    convert = { feature = "pages", amount = { argument = "pages", maximum = 100 } }

Here `url` and `timeout_seconds` have no effect, because there is no proxy. Prices of prompts and resources are refused: only the gateway
charges them.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from .refusals import ValidationFailed

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_AMOUNT = 1_000_000_000
DEFAULT_HOLD_SECONDS, MAX_HOLD_SECONDS = 900, 86_400
Amount = Annotated[int, Meta(ge=1, le=MAX_AMOUNT)]
# The outcome for the reservation of a failed call.
FailurePolicy = Literal["release", "charge"]
# How the list of tools shows those that the plan does not include.
UnavailableTools = Literal["hide", "mark", "show"]


class PricingError(Exception):
    """The prices cannot be used. The message lists every fault, one per line."""


class VariableAmount(Struct, frozen=True, forbid_unknown_fields=True):
    """An amount that the call determines, up to `maximum` units: an argument of the call, or a field of the result's `_meta`."""

    maximum: Amount
    argument: str | None = None
    result: str | None = None
    default: Amount | None = None


class Price(Struct, frozen=True, forbid_unknown_fields=True):
    """What one call costs: `amount` units of `feature`, and one unit of the rate limit `rate`."""

    feature: str
    amount: Amount | VariableAmount = 1
    rate: str | None = None
    hold_seconds: Annotated[int, Meta(ge=1, le=MAX_HOLD_SECONDS)] = DEFAULT_HOLD_SECONDS
    on_tool_error: FailurePolicy = "release"
    on_protocol_error: FailurePolicy = "release"
    on_upstream_failure: FailurePolicy = "release"
    on_cancel: FailurePolicy = "release"


# Calls without their own price are refused or free.
ToolPrice = Price | Literal["deny", "free"]


class _Server(Struct, frozen=True, forbid_unknown_fields=True):
    default: ToolPrice = "deny"
    tools: dict[str, ToolPrice] = {}
    url: str | None = None
    timeout_seconds: int = 300
    unavailable_tools: UnavailableTools = "hide"
    prompts: dict[str, ToolPrice] = {}
    resources: dict[str, ToolPrice] = {}


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    servers: dict[str, _Server]


class Pricing:
    """The prices of one server's tools: exact names first, then patterns in their order. `*` stands for any characters.

    Args:
        tools: prices by the name of the tool or a pattern, as in the file: `{"search_*": {"feature": "searches"}, "ping": "free"}`.
        default: the price of tools that are not named.
        name: identifies the server in the idempotency keys of calls.
        unavailable_tools: how the list of tools shows those that the plan does not include.

    Raises:
        PricingError: a price is not valid.
    """

    def __init__(
        self, tools: Mapping[str, Any], *, default: Any = "deny", name: str = "server", unavailable_tools: UnavailableTools = "hide"
    ) -> None:
        try:
            prices: dict[str, ToolPrice] = {tool: msgspec.convert(price, ToolPrice) for tool, price in tools.items()}
            self._default: ToolPrice = msgspec.convert(default, ToolPrice)
        except msgspec.ValidationError as error:
            raise PricingError(str(error)) from None
        faults = [f"{tool}: {fault}" for tool, price in [*prices.items(), ("default", self._default)] for fault in _faults(price)]
        if faults:
            raise PricingError("\n".join(faults))
        self.name, self.unavailable_tools = name, unavailable_tools
        self._exact = {tool: price for tool, price in prices.items() if "*" not in tool}
        self._patterns = [(_pattern(tool), price) for tool, price in prices.items() if "*" in tool]

    def price_of(self, tool: str) -> ToolPrice:
        """Return the price of a tool."""
        if (price := self._exact.get(tool)) is not None:
            return price
        for pattern, candidate in self._patterns:
            if pattern.fullmatch(tool):
                return candidate
        return self._default


def load_pricing(path: Path | str, server: str | None = None) -> Pricing:
    """Return the prices of one server in a pricing file, by default of the only one.

    Raises:
        PricingError: the file is missing or faulty, or does not name the server.
    """
    try:
        file = msgspec.convert(tomllib.loads(Path(path).read_text(encoding="utf-8")), _File)
    except OSError as error:
        raise PricingError(f"{path}: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise PricingError(f"{path}: {error}") from None
    if server is None and len(file.servers) != 1:
        if not file.servers:
            raise PricingError(f"{path}: the file has no servers.")
        raise PricingError(f"{path}: the file has several servers. Choose one of them: {', '.join(sorted(file.servers))}.")
    name = server or next(iter(file.servers))
    if name not in file.servers:
        raise PricingError(f"{path}: there is no server {name!r}.")
    prices = file.servers[name]
    if prices.prompts or prices.resources:
        raise PricingError(f"{path}: servers.{name}: only the gateway charges prompts and resources. Remove their prices.")
    try:
        tools, default = msgspec.to_builtins(prices.tools), msgspec.to_builtins(prices.default)
        return Pricing(tools, default=default, name=name, unavailable_tools=prices.unavailable_tools)
    except PricingError as error:
        raise PricingError("\n".join(f"{path}: servers.{name}.{fault}" for fault in str(error).splitlines())) from None


def reserved_amount(price: Price, arguments: Mapping[str, Any]) -> int:
    """Return the units to reserve for a call. Raises `ValidationFailed` if the argument with the amount is invalid."""
    amount = price.amount
    if isinstance(amount, int):
        return amount
    if amount.argument is None:
        return amount.maximum
    value = arguments.get(amount.argument, amount.default)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= amount.maximum:
        message = f"Give a whole number from 1 to {amount.maximum}."
        error = {"field": f"arguments.{amount.argument}", "message": message}
        raise ValidationFailed.locally(errors=[error])
    return value


def settled_amount(price: Price, reserved: int, meta: Mapping[str, Any]) -> int:
    """Return the units to charge for a result with this `_meta`: never more than `reserved`, and all if the field is missing."""
    amount = price.amount
    if isinstance(amount, int) or amount.result is None:
        return reserved
    value = meta.get(amount.result)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= reserved:
        return reserved
    return math.ceil(value)


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in name.split("*")), re.DOTALL)


def _faults(price: ToolPrice) -> list[str]:
    if not isinstance(price, Price) or isinstance(price.amount, int):
        return []
    if (price.amount.argument is None) == (price.amount.result is None):
        return ["amount: name either an argument or a field of the result."]
    return []
