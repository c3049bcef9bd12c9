"""Measure every page of the back office on a large deployment: `python -m tests.bench.backoffice [--scale 1]`.

Fills a database once (`manage.py seed_scale`) and opens each page, list, search and filter in this process, without network and
middleware of other processes. `--keep` keeps the database for the next run.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

from contextmcp.devstack import databases
from contextmcp.devstack.services import default_home, running
from contextmcp.devstack.supervisor import stop_on_signals

LIMIT_SECONDS, LIMIT_QUERIES = 1.0, 30
DATABASE = "contextmcp_scale"
SETTINGS = "contextmcp.settings.test"


@dataclass(frozen=True)
class Visit:
    """One request: its CPU and wall time in seconds, the time in queries, and their number."""

    path: str
    status: int
    seconds: float
    cpu: float
    queries: int
    bytes: int

    @property
    def fails(self) -> bool:
        return self.seconds > LIMIT_SECONDS or self.queries > LIMIT_QUERIES or self.status != 200

    def line(self) -> str:
        mark = "!" if self.fails else " "
        times = f"{self.seconds * 1000:7.0f} ms {self.cpu * 1000:6.0f} ms CPU"
        return f"{mark} {times} {self.queries:3} queries {self.bytes / 1000:6.0f} kB  {self.path}"


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.backoffice", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--keep", action="store_true", help="keep the database, and use one that was kept")
    parser.add_argument("--top", type=int, default=40, help="how many of the slowest pages are printed")
    parser.add_argument("--only", default="", help="only lists whose URL contains this")
    options = parser.parse_args(words)
    stop_on_signals()
    with running(default_home() / "scale", {}, durable=False) as services:
        name = f"{DATABASE}_{str(options.scale).replace('.', '_')}"
        url = databases.named(services.database_url, name)
        environment = {"DJANGO_SETTINGS_MODULE": SETTINGS, "DATABASE_URL": url, "REDIS_URL": services.redis_url, "LOG_LEVEL": "ERROR"}
        os.environ.update(environment)
        fresh = not databases.exists(services.database_url, name)
        if fresh:
            databases.create(services.database_url, name)
            databases.migrate(environment)
        try:
            return _measure(options, fresh=fresh)
        finally:
            if not options.keep:
                _disconnect()
                databases.drop(services.database_url, name)


def _disconnect() -> None:
    from django.db import connections

    connections.close_all()


def _measure(options: argparse.Namespace, *, fresh: bool) -> int:
    import django

    django.setup()
    from django.core.management import call_command

    if fresh:
        started = time.monotonic()
        call_command("seed_scale", scale=options.scale)
        print(f"Seeded in {time.monotonic() - started:.0f} s", flush=True)
    visits = _visits(options.only)
    slowest = sorted(visits, key=lambda visit: -visit.seconds)
    print("\n".join(visit.line() for visit in slowest[: options.top]))
    most = max(visits, key=lambda visit: visit.queries)
    failed = [visit for visit in visits if visit.fails]
    print(f"\n{len(visits)} pages; slowest {slowest[0].seconds:.2f} s; most queries {most.queries} ({most.path})")
    print(f"{len(failed)} over a limit of {LIMIT_SECONDS} s or {LIMIT_QUERIES} queries")
    return 1 if failed else 0


def _visits(only: str) -> list[Visit]:
    from django.contrib import admin
    from django.test import Client
    from django.test import client as test_client

    from accounts.models import User
    from tests.support import admin_pages

    # Copies of template contexts take more time than most pages.
    test_client.store_rendered_templates = lambda *arguments, **context: None  # type: ignore[attr-defined]
    client = Client()
    client.raise_request_exception = False
    owner = User.objects.filter(email="owner@scale.example").first()
    client.force_login(owner or User.objects.create_superuser("owner@scale.example", "x"))
    visits = [] if only else [_visit(client, "/admin/"), _visit(client, "/admin/")][1:]
    for model in admin_pages.models():
        path = admin_pages.changelist(model)
        if only not in path:
            continue
        row = admin_pages.middle(model)
        changes = _changes(admin.site._registry[model], path, client)
        queries = ["", *admin_pages.searches(model, row), *admin_pages.filters(changes)]
        if changes.paginator.next:
            queries.append(changes.paginator.next)
        visits += [_visit(client, path + query) for query in queries]
        if row is not None:
            visits.append(_visit(client, admin_pages.change(model, row)))
        print(f"{path} {max(visits[-len(queries) - 1 :], key=lambda visit: visit.seconds).line()}", flush=True)
    return visits


def _changes(model_admin: Any, path: str, client: Any) -> Any:
    from django.test import RequestFactory

    from accounts.models import User

    request = RequestFactory().get(path)
    request.user = User.objects.get(email="owner@scale.example")
    return model_admin.get_changelist_instance(request)


def _visit(client: Any, path: str) -> Visit:
    from django.db import connection

    count = 0

    def counting(execute: Any, *arguments: Any) -> Any:
        nonlocal count
        count += 1
        return execute(*arguments)

    started, cpu = time.perf_counter(), time.process_time()
    with connection.execute_wrapper(counting):
        answer = client.get(path)
    return Visit(path, answer.status_code, time.perf_counter() - started, time.process_time() - cpu, count, len(answer.content))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
