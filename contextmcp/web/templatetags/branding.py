"""The product's brand, for every template."""

from django import template
from django.conf import settings
from django.utils.translation import gettext, gettext_noop

from contextmcp.web.brand import text_color

register = template.Library()
# The default of the setting PRODUCT_TAGLINE, for the extraction of texts.
gettext_noop("Full context for every AI coding tool")


@register.simple_tag
def product_name() -> str:
    return str(settings.PRODUCT_NAME)


@register.simple_tag
def product_tagline() -> str:
    """Return the tagline. The default one has translations; that of a deployment is shown as it is."""
    return gettext(settings.PRODUCT_TAGLINE) if settings.PRODUCT_TAGLINE else ""


@register.simple_tag
def support_email() -> str:
    """Return the address of the support; empty if none is configured."""
    return str(settings.SUPPORT_EMAIL)


@register.simple_tag
def brand_color(default: str = "") -> str:
    """Return the color of links and buttons, or the default if none is configured."""
    return settings.BRAND_COLOR or default


@register.simple_tag
def brand_text_color(default: str) -> str:
    """Return the color of text on the color of buttons."""
    return text_color(settings.BRAND_COLOR or default)
