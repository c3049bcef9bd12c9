"""The servers that this deployment puts behind its plans."""

from django.conf import settings

from entitlements.catalog import CATALOG

from .pricing import PricingError, Server, read_pricing


def load_servers() -> dict[str, Server]:
    """Return the servers that MCP_PRICING_FILE names.

    Raises:
        PricingError: the setting is missing, or the file is faulty.
    """
    if settings.MCP_PRICING_FILE is None:
        raise PricingError("MCP_PRICING_FILE is not set. It names the file with the servers and prices of the gateway.")
    return read_pricing(settings.MCP_PRICING_FILE, {feature.name: feature.kind for feature in CATALOG.features})
