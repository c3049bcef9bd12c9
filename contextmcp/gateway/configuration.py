"""The upstream servers of this deployment."""

from django.conf import settings

from entitlements.catalog import CATALOG

from .pricing import PricingError, Server, read_pricing


def load_servers() -> dict[str, Server]:
    """Return the servers that MCP_PRICING_FILE names. If there is only one, MCP_UPSTREAM_URL replaces its URL.

    Raises:
        PricingError: the setting is missing, or the file is faulty.
    """
    if settings.MCP_PRICING_FILE is None:
        raise PricingError("MCP_PRICING_FILE is not set. It names the file with the servers and prices of the gateway.")
    kinds = {feature.name: feature.kind for feature in CATALOG.features}
    return read_pricing(settings.MCP_PRICING_FILE, kinds, upstream_url=settings.MCP_UPSTREAM_URL)
