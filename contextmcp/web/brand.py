"""The style sheet with the configured brand colors.

The pages' Content-Security-Policy allows no inline styles, and a static file cannot depend on settings, so a view returns it.
"""

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

_WHITE, _BLACK = "#fff", "#000"


@cache_control(public=True, max_age=300)
@require_safe
def stylesheet(request: WSGIRequest) -> HttpResponse:
    """Return the colors for light and dark backgrounds, or an empty style sheet if none is configured."""
    if not settings.BRAND_COLOR:
        return HttpResponse("", content_type="text/css; charset=utf-8")
    light, dark = _variables(settings.BRAND_COLOR, _BLACK, _WHITE), _variables(settings.BRAND_COLOR_DARK, _WHITE, _BLACK)
    css = f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
    return HttpResponse(css, content_type="text/css; charset=utf-8")


def _variables(color: str, mixed_with: str, background: str) -> str:
    values = {
        "--accent": color,
        "--accent-hover": f"color-mix(in srgb, {color} 80%, {mixed_with})",
        "--on-accent": text_color(color),
        "--soft": f"color-mix(in srgb, {color} 12%, {background})",
    }
    return " ".join(f"{name}: {value};" for name, value in values.items())


def text_color(color: str) -> str:
    """Return white or black, whichever has the higher contrast on the color (WCAG 2.2, relative luminance)."""
    red, green, blue = (_linear(int(color[place : place + 2], 16) / 255) for place in (1, 3, 5))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return _WHITE if 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05 else _BLACK


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)
