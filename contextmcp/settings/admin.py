"""Theme and navigation of the admin (django-unfold)."""

from typing import Any

from django.templatetags.static import static

# Shares of white (positive) or black (negative) that make the shades of a color, from light to dark.
# fmt: off
_SHADES = {
    "50": 0.93, "100": 0.84, "200": 0.68, "300": 0.5, "400": 0.3, "500": 0.12,
    "600": 0.0, "700": -0.18, "800": -0.34, "900": -0.46, "950": -0.7,
}
# fmt: on


def theme(product: str, color: str) -> dict[str, Any]:
    """Return django-unfold's settings. An empty `color` keeps the default one."""
    colors = {**_THEME["COLORS"], "primary": _shades(color)} if color else _THEME["COLORS"]
    return {**_THEME, "SITE_TITLE": product, "SITE_HEADER": product, "COLORS": colors}


def _shades(color: str) -> dict[str, str]:
    channels = [int(color[place : place + 2], 16) for place in (1, 3, 5)]
    return {name: " ".join(str(_blend(channel, share)) for channel in channels) for name, share in _SHADES.items()}


def _blend(channel: int, share: float) -> int:
    return round(channel + (255 - channel) * share if share > 0 else channel * (1 + share))


_THEME: dict[str, Any] = {
    "SITE_SUBHEADER": "Admin (times in UTC)",
    "SITE_URL": "/pricing/",
    "SITE_ICON": lambda request: static("web/mark.svg"),
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("web/mark.svg")}],
    "STYLES": [lambda request: static("web/admin.css")],
    "SCRIPTS": [lambda request: static("web/admin.js")],
    "SHOW_HISTORY": False,
    "SHOW_BACK_BUTTON": True,
    "BORDER_RADIUS": "10px",
    "ENVIRONMENT": "contextmcp.backoffice.navigation.environment",
    "DASHBOARD_CALLBACK": "contextmcp.backoffice.home.home",
    "COLORS": {
        "base": {
            "50": "250 249 246",
            "100": "242 240 234",
            "200": "227 223 213",
            "300": "205 200 188",
            "400": "150 147 138",
            "500": "104 101 92",
            "600": "82 80 73",
            "700": "60 61 56",
            "800": "43 46 42",
            "900": "25 28 26",
            "950": "17 19 17",
        },
        "primary": {
            "50": "237 247 244",
            "100": "214 237 231",
            "200": "173 219 208",
            "300": "127 218 198",
            "400": "92 201 177",
            "500": "34 150 129",
            "600": "13 107 92",
            "700": "9 88 75",
            "800": "9 71 61",
            "900": "9 58 50",
            "950": "4 33 28",
        },
    },
    "SIDEBAR": {"show_search": False, "navigation": "contextmcp.backoffice.navigation.navigation"},
}
