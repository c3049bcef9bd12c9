"""Readiness and metrics. `contextmcp.common.asgi` handles liveness before Django; the view here is for other servers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage, staticfiles_storage
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse

from . import valkey

# Probes that other apps register: the name of a part, and a function that returns "ok" or a description of its fault. The status is
# "unavailable" if a part in REQUIRED has a fault.
PARTS: dict[str, Callable[[], str]] = {}
REQUIRED = {"database", "migrations", "static"}
# Workers send a heartbeat every two seconds (PROCRASTINATE_WORKER_DEFAULTS).
HEARTBEAT_SECONDS = 30
# Set once all migrations are applied; they stay applied while this process runs.
_migrated = False


def livez(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """Return 200 while requests can be served, with status `degraded` if a part that is not required has a fault, and 503 otherwise."""
    document = report({name: probe(check) for name, check in {**SHARED, "static": _static, "worker": _worker, **PARTS}.items()})
    return JsonResponse(document, status=503 if document["status"] == "unavailable" else 200)


def report(parts: Mapping[str, str]) -> dict[str, Any]:
    """Return the response of a readiness probe for the state of each part, which is "ok" or a description of the fault."""
    broken = {name for name, state in parts.items() if state != "ok"}
    return {"status": "unavailable" if broken & REQUIRED else "degraded" if broken else "ok", "parts": dict(parts)}


def probe(check: Callable[[], str]) -> str:
    """Run the check of one part of the system and return the part's state. Blocks while the check runs its query."""
    try:
        return check()
    except DatabaseError:
        return "unknown: the database is unreachable"


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "unreachable"
    return "ok"


def _migrations() -> str:
    global _migrated  # noqa: PLW0603 - checked until it succeeds, because the check takes 0.1 s
    if not _migrated:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return "not applied: run manage.py migrate"
        _migrated = True
    return "ok"


def _static() -> str:
    if isinstance(staticfiles_storage, ManifestStaticFilesStorage) and not Path(settings.STATIC_ROOT, "staticfiles.json").exists():
        return "missing: run manage.py collectstatic"
    return "ok"


def _worker() -> str:
    """Return "ok" if a worker is alive. Without a worker no webhook of Stripe is processed and no email is sent."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - make_interval(secs => %s)", [HEARTBEAT_SECONDS]
        )
        return "ok" if cursor.fetchone()[0] else "none is running"


def _cache() -> str:
    client = valkey.client()
    if client is None:
        return "not configured: features with a rate limit fail open or closed, as the catalog declares"
    try:
        client.ping()
    except valkey.Unavailable:
        return "unreachable: features with a rate limit fail open or closed, as the catalog declares"
    return "ok"


# What each kind of server depends on.
SHARED: dict[str, Callable[[], str]] = {"database": _database, "migrations": _migrations, "cache": _cache}
