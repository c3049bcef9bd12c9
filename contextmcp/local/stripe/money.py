"""Amounts: whole minor units, rounded half away from zero, as Stripe rounds."""

from decimal import ROUND_HALF_UP, Decimal

ZERO_DECIMAL = {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"}
TIMES = "\u00d7"  # as Stripe writes "1 times a plan"
SIGNS = {"usd": "$", "eur": "€", "gbp": "£"}


def whole(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


def part(amount: int | Decimal, numerator: int, denominator: int) -> int:
    """`amount` times a fraction of time."""
    return 0 if denominator <= 0 else whole(Decimal(amount) * numerator / denominator)


def plain(amount: Decimal) -> str:
    """A decimal as Stripe writes it: no exponent, no trailing zeros."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def spoken(amount: int | Decimal, currency: str) -> str:
    places = 0 if currency in ZERO_DECIMAL else 2
    value = Decimal(amount).scaleb(-places)
    text = f"{value:,.{places}f}" if value == round(value, places) else plain(value)
    sign = SIGNS.get(currency)
    return f"{sign}{text}".replace(f"{sign}-", f"-{sign}") if sign else f"{text} {currency.upper()}"


def shared(total: int, weights: list[int]) -> list[int]:
    """`total` dealt out by weight to the last unit."""
    whole_weight = sum(weights)
    dealt, out, seen = 0, [], 0
    for weight in weights:
        seen += weight
        upto = part(total, seen, whole_weight)
        out.append(upto - dealt)
        dealt = upto
    return out
