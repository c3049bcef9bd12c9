"""Is it alive, is it ready, what does it count."""

from collections.abc import Callable

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from . import valkey

# Apps add their own: name to a function that says "ok" or what is wrong. A part named in REQUIRED makes the whole unready.
PARTS: dict[str, Callable[[], str]] = {}
REQUIRED = {"database"}


def livez(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """200 while the database answers; `degraded` where something the service can live without is missing."""
    parts = {name: probe() for name, probe in {"database": _database, "cache": _cache, **PARTS}.items()}
    broken = {name for name, state in parts.items() if state != "ok"}
    status = "unavailable" if broken & REQUIRED else "degraded" if broken else "ok"
    return JsonResponse({"status": status, "parts": parts}, status=503 if status == "unavailable" else 200)


def metrics(request: HttpRequest) -> HttpResponse:
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "unreachable"
    return "ok"


def _cache() -> str:
    client = valkey.client()
    if client is None:
        return "not configured: rate limits follow their declared policy"
    try:
        client.ping()
    except valkey.Unavailable:
        return "unreachable: rate limits follow their declared policy"
    return "ok"
