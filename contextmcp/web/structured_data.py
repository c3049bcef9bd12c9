"""The pricing page's data for search engines: schema.org's Product with an Offer for each price, as JSON-LD."""

import json
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from contextmcp.common.money import decimal_amount
from entitlements.catalog import CATALOG, Plan, Price
from entitlements.manager import EntitlementsManager

# Codes of UN/CEFACT Recommendation 20, which schema.org's `unitCode` uses.
_UNIT_CODES = {"month": "MON", "year": "ANN"}
_ESCAPES = {ord(">"): "\\u003E", ord("<"): "\\u003C", ord("&"): "\\u0026"}


def product_data() -> SafeString:
    """Return the JSON of a `script` element. Characters that could end the element are escaped, as Django's `json_script` does."""
    plans = [plan for plan in EntitlementsManager.plans() if plan.name not in CATALOG.contacts]
    document = {
        "@context": "https://schema.org",
        "@type": "Product",
        "name": settings.PRODUCT_NAME,
        "description": settings.PRODUCT_TAGLINE,
        "brand": {"@type": "Brand", "name": settings.PRODUCT_NAME},
        "offers": [offer for plan in plans for offer in _offers(plan)],
    }
    return mark_safe(json.dumps(document, separators=(",", ":")).translate(_ESCAPES))  # noqa: S308


def _offers(plan: Plan) -> list[dict[str, Any]]:
    offer = {
        "@type": "Offer",
        "name": plan.title,
        "description": plan.summary,
        "url": f"{settings.PUBLIC_URL}{reverse('pricing')}",
        "availability": "https://schema.org/InStock",
    }
    if not plan.prices:
        return [offer | {"price": "0", "priceCurrency": CATALOG.currency.upper()}]
    return [offer | _price(price) for price in plan.prices]


def _price(price: Price) -> dict[str, Any]:
    amount = {"price": str(decimal_amount(price.amount, price.currency)), "priceCurrency": price.currency.upper()}
    unit = {"billingDuration": 1, "unitCode": _UNIT_CODES[price.interval]}
    return amount | {"priceSpecification": {"@type": "UnitPriceSpecification", **amount, **unit}}
