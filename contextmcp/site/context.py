"""What every page may show."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def site(request: HttpRequest) -> dict[str, Any]:
    return {"PUBLIC_URL": settings.PUBLIC_URL}
