"""Publishing the catalogue: what it would do, and doing it. Safe to repeat."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from django.db import connection, transaction

from accounts.audit import record
from entitlements.catalog import CATALOG
from entitlements.errors import PublishedVersionChanged, UnknownPlan
from entitlements.models import PlanVersion
from entitlements.news import announce
from entitlements.terms import Catalog, Plan

from .actor import Actor

State = Literal["new", "published", "conflict", "behind"]


@dataclass(frozen=True)
class Change:
    """What publishing means for one plan. `fields` maps a path such as "features.projects.value" to (before, after).

    "behind": a later version is already published. "conflict": this version was published with other terms.
    """

    plan: str
    version: int
    state: State
    fields: dict[str, tuple[Any, Any]] = field(default_factory=dict)


def difference(catalog: Catalog = CATALOG) -> list[Change]:
    """What `publish` would do, plan by plan, and what it would refuse."""
    return [_change(plan) for plan in catalog.plans]


def publish(actor: Actor = None, catalog: Catalog = CATALOG) -> list[Change]:
    """Publish what is new, all or nothing, and say what was done. `PublishedVersionChanged` on a conflict."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('publish the catalogue', 0))")
        changes = difference(catalog)
        for change in changes:
            if change.state == "conflict":
                raise PublishedVersionChanged(plan=change.plan, version=change.version, fields=sorted(change.fields))
        new = [change for change in changes if change.state == "new"]
        for change in new:
            document = catalog.plan(change.plan).document()
            version = PlanVersion.objects.create(plan=change.plan, version=change.version, document=document)
            record("plan.published", organization=None, actor=actor, target=str(version), after=document)
        if new:
            announce(None)
    return changes


def version_of(plan: str, version: int | None = None) -> PlanVersion:
    """The published version, by default the newest. The one this release declares is published on first need."""
    found: PlanVersion | None = (
        PlanVersion.objects.filter(plan=plan, **({} if version is None else {"version": version})).order_by("-version").first()
    )
    if found:
        return found
    declared = CATALOG.plan(plan)
    if version not in (None, declared.version):
        raise UnknownPlan(errors=[{"field": "version", "message": f"{plan} has no version {version}."}])
    publish()
    published: PlanVersion = PlanVersion.objects.get(plan=plan, version=declared.version)
    return published


def _change(plan: Plan) -> Change:
    versions = PlanVersion.objects.filter(plan=plan.name)
    same = versions.filter(version=plan.version).first()
    newest = versions.order_by("-version").first()
    if same:
        fields = dict(_differences(same.document, plan.document()))
        return Change(plan.name, plan.version, "conflict" if fields else "published", fields)
    fields = dict(_differences(newest.document if newest else {}, plan.document()))
    return Change(plan.name, plan.version, "behind" if newest and newest.version > plan.version else "new", fields)


def _differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            yield from _differences(before.get(name), after.get(name), f"{path}.{name}".lstrip("."))
    elif before != after:
        yield path, (before, after)
