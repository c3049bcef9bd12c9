"""What each tool, prompt and resource of an upstream server costs, read from a TOML file.

A file has one table per server:

    [servers.notes]
    url = "http://127.0.0.1:3000/mcp"
    default = "deny"

    [servers.notes.tools]
    "search_*" = { feature = "searches" }
    convert = { feature = "pages", amount = { argument = "pages", maximum = 100 } }
    transcribe = { feature = "minutes", amount = { maximum = 60, result = "minutes" } }
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from contextmcp.common.errors import ValidationFailed

MAX_AMOUNT = 1_000_000_000
# A longer call loses its reservation, so its charge may exceed the limit.
DEFAULT_HOLD_SECONDS, MAX_HOLD_SECONDS = 900, 86_400
# Timeouts for the start of a response, and between two parts of it.
DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS = 300, 3_600
Amount = Annotated[int, Meta(ge=1, le=MAX_AMOUNT)]
TOOL_CALL = "tools/call"
_SERVER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class PricingError(Exception):
    """The pricing file cannot be used. The message lists every fault, one per line."""


class Outcome(StrEnum):
    """The outcome for the reservation of a failed call."""

    RELEASE = "release"
    CHARGE = "charge"


class VariableAmount(Struct, frozen=True, forbid_unknown_fields=True):
    """An amount that the call determines: up to `maximum` units are reserved.

    With `argument`, the amount is that argument of the call, such as a number of pages. With `result`, `maximum` is reserved and the
    amount in that field of the result's `_meta` is charged.
    """

    maximum: Amount
    argument: str | None = None
    result: str | None = None
    # For a call without the argument. Without a default, such a call is refused.
    default: Amount | None = None


class Price(Struct, frozen=True, forbid_unknown_fields=True):
    """What one call costs: `amount` units of `feature`, and one unit of the rate limit `rate`."""

    feature: str
    amount: Amount | VariableAmount = 1
    rate: str | None = None
    hold_seconds: Annotated[int, Meta(ge=1, le=MAX_HOLD_SECONDS)] = DEFAULT_HOLD_SECONDS
    # The tool ran and reported an error (`isError`).
    on_tool_error: Outcome = Outcome.RELEASE
    # The server responded with a JSON-RPC error.
    on_protocol_error: Outcome = Outcome.RELEASE
    # The server failed, was unreachable or did not respond.
    on_upstream_failure: Outcome = Outcome.RELEASE
    # The client disconnected before the response.
    on_cancel: Outcome = Outcome.RELEASE


class Default(StrEnum):
    """The price of calls without their own entry."""

    DENY = "deny"
    FREE = "free"


class UnavailableTools(StrEnum):
    """How `tools/list` shows tools that the customer's plan does not include."""

    HIDE = "hide"
    MARK = "mark"
    SHOW = "show"


class ServerFile(Struct, frozen=True, forbid_unknown_fields=True):
    """One server's table."""

    url: str
    default: Default | Price = Default.DENY
    unavailable_tools: UnavailableTools = UnavailableTools.HIDE
    timeout_seconds: Annotated[int, Meta(ge=1, le=MAX_TIMEOUT_SECONDS)] = DEFAULT_TIMEOUT_SECONDS
    tools: dict[str, Price | Default] = {}
    prompts: dict[str, Price | Default] = {}
    resources: dict[str, Price | Default] = {}


class PricingFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    servers: dict[str, ServerFile]


class PriceTable:
    """The prices of one server's tools, prompts or resources: exact names first, then patterns in the order of the file."""

    def __init__(self, prices: Mapping[str, Price | Default], default: Price | Default) -> None:
        self._exact = {name: price for name, price in prices.items() if "*" not in name}
        self._patterns = [(_pattern(name), name, price) for name, price in prices.items() if "*" in name]
        self._default = default

    def price_of(self, name: str) -> Price | Default:
        """Return the price of `name`."""
        if (price := self._exact.get(name)) is not None:
            return price
        for pattern, _, candidate in self._patterns:
            if pattern.fullmatch(name):
                return candidate
        return self._default

    def entry_of(self, name: str) -> str:
        """Return the name or pattern of the file that sets the price of `name`, or an empty string for the default."""
        if name in self._exact:
            return name
        return next((entry for pattern, entry, _ in self._patterns if pattern.fullmatch(name)), "")


class Server:
    """An upstream server and its prices, by the method that uses them."""

    def __init__(self, name: str, file: ServerFile, feature_kinds: Mapping[str, str], *, is_only: bool = True) -> None:
        self.name, self.url, self.unavailable_tools = name, file.url, file.unavailable_tools
        self.timeout_seconds = file.timeout_seconds
        # The prefix of tool names in reports.
        self.label_prefix = "" if is_only else f"{name}/"
        self._kinds = feature_kinds
        self.tables = {
            TOOL_CALL: PriceTable(file.tools, file.default),
            # Prompts and resources are free unless the file names them, because clients read them without a request by the user.
            "prompts/get": PriceTable(file.prompts, Default.FREE),
            "resources/read": PriceTable(file.resources, Default.FREE),
        }

    def price_of(self, method: str, name: str | None) -> Price | Default:
        """Return the price of a request. Requests that use no tool, prompt or resource are free."""
        table = self.tables.get(method)
        return Default.FREE if table is None or name is None else table.price_of(name)

    def tool_entry(self, tool: str) -> str:
        """Return the tool as the file names it, with the server's name if there are several. Empty for a tool that the file omits."""
        entry = self.tables[TOOL_CALL].entry_of(tool)
        return f"{self.label_prefix}{entry}" if entry else ""

    def is_counted(self, price: Price) -> bool:
        """Return whether the price's feature is counted. Boolean features are not."""
        return self._kinds[price.feature] == "quota"


def read_pricing(path: Path, feature_kinds: Mapping[str, str], *, upstream_url: str = "") -> dict[str, Server]:
    """Return the servers of the file by name. `feature_kinds` maps the features of the catalog to their kinds.

    `upstream_url`, if it is not empty, is used instead of the URL of the file's only server.

    Raises:
        PricingError: with every fault of the file.
    """
    try:
        payload = tomllib.loads(path.read_text())
        file = msgspec.convert(payload, PricingFile)
    except OSError as error:
        raise PricingError(f"{path}: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise PricingError(f"{path}: {error}") from None
    if upstream_url:
        if len(file.servers) != 1:
            raise PricingError(f"{path}: MCP_UPSTREAM_URL is set, so that the file has to name exactly one server.")
        servers = {name: msgspec.structs.replace(server, url=upstream_url) for name, server in file.servers.items()}
        file = PricingFile(servers)
    faults = [fault for name, server in file.servers.items() for fault in _faults(name, server, feature_kinds)]
    if not file.servers:
        faults.append("servers: name at least one server.")
    if faults:
        raise PricingError("\n".join(f"{path}: {fault}" for fault in faults))
    is_only = len(file.servers) == 1
    return {name: Server(name, server, feature_kinds, is_only=is_only) for name, server in file.servers.items()}


def reserved_amount(price: Price, arguments: Mapping[str, Any]) -> int:
    """Return the number of units to reserve for a call.

    Raises:
        ValidationFailed: the price depends on an argument, and the call has no whole number in its range.
    """
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
        raise ValidationFailed(errors=[{"field": f"arguments.{amount.argument}", "message": message}])
    return value


def settled_amount(price: Price, reserved: int, meta: Mapping[str, Any]) -> int:
    """Return the number of units to charge for a result with this `_meta`: never more than `reserved`."""
    amount = price.amount
    if isinstance(amount, int) or amount.result is None:
        return reserved
    value = meta.get(amount.result)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= reserved:
        # A server that does not report the amount is charged in full, so that a bug in it never makes calls free.
        return reserved
    return math.ceil(value)


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in name.split("*")), re.DOTALL)


def _faults(name: str, server: ServerFile, kinds: Mapping[str, str]) -> list[str]:
    faults = []
    if not _SERVER_NAME.fullmatch(name):
        faults.append(f"servers.{name}: use lower-case letters, digits, hyphens and underscores, at most 63.")
    try:
        url = urlsplit(server.url)
        valid = url.scheme in ("http", "https") and bool(url.hostname) and not url.fragment and (url.port is None or url.port > 0)
    except ValueError:
        valid = False
    if not valid:
        faults.append(f"servers.{name}.url: {server.url!r} is not an http or https URL.")
    prices: dict[str, Price | Default] = {"default": server.default}
    for group in ("tools", "prompts", "resources"):
        prices |= {f"{group}.{entry}": price for entry, price in getattr(server, group).items()}
    for where, price in prices.items():
        if isinstance(price, Price):
            faults += [f"servers.{name}.{where}.{fault}" for fault in _price_faults(price, kinds)]
    return faults


def _price_faults(price: Price, kinds: Mapping[str, str]) -> list[str]:
    faults = []
    if price.feature not in kinds:
        faults.append(f"feature: the catalog has no feature {price.feature!r}.")
    elif kinds[price.feature] not in ("quota", "boolean"):
        faults.append(f"feature: {price.feature!r} is neither a quota nor a boolean feature. Name a rate limit as `rate`.")
    if price.rate is not None and kinds.get(price.rate) != "rate_limit":
        faults.append(f"rate: {price.rate!r} is not a rate limit of the catalog.")
    if isinstance(price.amount, VariableAmount) and (price.amount.argument is None) == (price.amount.result is None):
        faults.append("amount: name either an argument or a field of the result.")
    return faults
