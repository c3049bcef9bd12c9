"""Format amounts of money. Amounts are integers in minor units with a currency until they are displayed."""

import re
from decimal import Decimal

from babel.numbers import format_currency

from . import locale

# Stripe's zero-decimal currencies, whose minor unit is the currency unit itself.
ZERO_DECIMAL = frozenset(["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"])
# Stripe's three-decimal currencies, whose unit has 1,000 minor units.
THREE_DECIMAL = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])
_CODE_AND_DIGITS = re.compile(r"\b([A-Z]{3})(\d)")


def decimal_amount(minor: int, currency: str) -> Decimal:
    """Convert minor units to currency units: 900 is Decimal("9.00") in usd, Decimal("900") in jpy, Decimal("0.900") in kwd."""
    code = currency.lower()
    return Decimal(minor).scaleb(0 if code in ZERO_DECIMAL else -3 if code in THREE_DECIMAL else -2)


def format_amount(minor: int, currency: str) -> str:
    """Format minor units in the current locale: 900 usd is "$9.00" in en-US and "9,00 $" in de-DE."""
    amount = decimal_amount(minor, currency)
    # The amount is not quantized, because CLDR has fewer digits than Stripe for some currencies, and their cents must be shown.
    text = str(format_currency(amount, currency.upper(), locale=locale.current.get(), decimal_quantization=False))
    # Babel omits the space of CLDR between the code of a currency without a symbol and the digits: "SEK 10.50".
    return _CODE_AND_DIGITS.sub("\\1\u00a0\\2", text)
