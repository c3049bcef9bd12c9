"""How the operator's desk looks (django-unfold). The colours are the site's own."""

from typing import Any

from django.templatetags.static import static

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "ContextMCP",
    "SITE_HEADER": "ContextMCP",
    "SITE_SUBHEADER": "Operator's desk",
    "SITE_URL": "/pricing/",
    "SITE_ICON": lambda request: static("site/mark.svg"),
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("site/mark.svg")}],
    "SHOW_HISTORY": False,
    "SHOW_BACK_BUTTON": True,
    "BORDER_RADIUS": "10px",
    "ENVIRONMENT": "contextmcp.site.desk.environment",
    "DASHBOARD_CALLBACK": "contextmcp.site.desk.dashboard",
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
    "SIDEBAR": {"show_search": True, "navigation": "contextmcp.site.desk.navigation"},
}
