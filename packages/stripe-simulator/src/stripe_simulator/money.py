"""Amounts: integers in minor units, rounded half away from zero, as Stripe rounds."""

from decimal import ROUND_HALF_UP, Decimal

ZERO_DECIMAL = {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"}
MULTIPLICATION_SIGN = "\u00d7"  # the multiplication sign, as in Stripe's "1 x plan"
SIGNS = {"usd": "$", "eur": "€", "gbp": "£"}


def round_half_up(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


def prorate(amount: int | Decimal, numerator: int, denominator: int) -> int:
    """Return `amount` prorated to a fraction of time."""
    return 0 if denominator <= 0 else round_half_up(Decimal(amount) * numerator / denominator)


def format_decimal(amount: Decimal) -> str:
    """Format a decimal as Stripe does: without exponent and trailing zeros."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_amount(amount: int | Decimal, currency: str) -> str:
    places = 0 if currency in ZERO_DECIMAL else 2
    value = Decimal(amount).scaleb(-places)
    text = f"{value:,.{places}f}" if value == round(value, places) else format_decimal(value)
    sign = SIGNS.get(currency)
    return f"{sign}{text}".replace(f"{sign}-", f"-{sign}") if sign else f"{text} {currency.upper()}"


def divide(total: int, weights: list[int]) -> list[int]:
    """Divide `total` in proportion to the weights, exact to the last unit."""
    whole_weight = sum(weights)
    allocated, out, cumulative_weight = 0, [], 0
    for weight in weights:
        cumulative_weight += weight
        allocated_before = prorate(total, cumulative_weight, whole_weight)
        out.append(allocated_before - allocated)
        allocated = allocated_before
    return out
