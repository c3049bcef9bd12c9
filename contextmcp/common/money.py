"""Money is an integer of minor units and a currency; it becomes text only at the very edge."""

from decimal import Decimal

from babel.numbers import format_currency

from . import locale

# Stripe's list of currencies whose smallest unit is the unit itself.
ZERO_DECIMAL = frozenset(["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"])
# And of those whose unit has a thousand of them.
THREE_DECIMAL = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])


def decimal_amount(minor: int, currency: str) -> Decimal:
    """900, "usd" to Decimal("9.00"); 900, "jpy" to Decimal("900"); 900, "kwd" to Decimal("0.900")."""
    code = currency.lower()
    return Decimal(minor).scaleb(0 if code in ZERO_DECIMAL else -3 if code in THREE_DECIMAL else -2)


def format_amount(minor: int, currency: str) -> str:
    """900, "usd" to "$9.00" for an American reader and to "9,00 $" for a German one."""
    amount = decimal_amount(minor, currency)
    # Not quantized: where CLDR gives a currency fewer digits than Stripe charges in, the cents are shown all the same.
    return str(format_currency(amount, currency.upper(), locale=locale.current.get(), decimal_quantization=False))
