"""Money is an integer of minor units and a currency; it becomes text only at the very edge."""

from decimal import Decimal

# Stripe's list of currencies whose smallest unit is the unit itself.
ZERO_DECIMAL = frozenset(["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"])
SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}


def decimal_amount(minor: int, currency: str) -> Decimal:
    """900, "usd" to Decimal("9.00"); 900, "jpy" to Decimal("900")."""
    return Decimal(minor) if currency.lower() in ZERO_DECIMAL else Decimal(minor).scaleb(-2)


def format_amount(minor: int, currency: str) -> str:
    """900, "usd" to "$9.00"; -500, "sek" to "-5.00 SEK"."""
    sign = "-" if minor < 0 else ""
    number = f"{abs(decimal_amount(minor, currency)):,}"
    symbol = SYMBOLS.get(currency.lower())
    return f"{sign}{symbol}{number}" if symbol else f"{sign}{number} {currency.upper()}"
