"""Publish the catalog's plan versions. Idempotent."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from django.db import transaction

from accounts.audit import record
from contextmcp.common.locks import Namespace, lock_in_transaction
from entitlements.catalog import CATALOG
from entitlements.catalog_schema import Catalog, Plan
from entitlements.errors import PublishedVersionChanged, UnknownPlan
from entitlements.invalidation import invalidate
from entitlements.models import PlanVersion

from .actor import Actor

State = Literal["new", "published", "conflict", "behind"]


@dataclass(frozen=True)
class PublishChange:
    """The effect of publishing on one plan. `fields` maps a path such as "features.projects.value" to (before, after).

    State "behind": a later version is already published. "conflict": this version was published with other content.
    """

    plan: str
    version: int
    state: State
    fields: dict[str, tuple[Any, Any]] = field(default_factory=dict)


def plan_publish(catalog: Catalog = CATALOG) -> list[PublishChange]:
    """Return the changes that `publish` would make for each plan, including conflicts."""
    return [_change(plan) for plan in catalog.plans]


def publish(actor: Actor = None, catalog: Catalog = CATALOG, *, audited: bool = True) -> list[PublishChange]:
    """Publish all new versions in one transaction and return the changes. Raises `PublishedVersionChanged` on a conflict.

    Each version is recorded in the audit log, unless the caller records all of them (`audited` is False).
    """
    with transaction.atomic():
        lock_in_transaction(Namespace.CATALOG, "")
        changes = plan_publish(catalog)
        for change in changes:
            if change.state == "conflict":
                raise PublishedVersionChanged(plan=change.plan, version=change.version, fields=sorted(change.fields))
        new = [change for change in changes if change.state == "new"]
        for change in new:
            document = catalog.plan(change.plan).document()
            version = PlanVersion.objects.create(plan=change.plan, version=change.version, document=document)
            if audited:
                record("plan.published", organization=None, actor=actor, target=str(version), after=document)
        if new:
            invalidate(None)
    return changes


def version_of(plan: str, version: int | None = None) -> PlanVersion:
    """Return the published version, by default the newest. The declared version is published on first use. Raises `UnknownPlan`."""
    existing: PlanVersion | None = (
        PlanVersion.objects.filter(plan=plan, **({} if version is None else {"version": version})).order_by("-version").first()
    )
    if existing:
        return existing
    declared = CATALOG.plan(plan)
    if version not in (None, declared.version):
        raise UnknownPlan(errors=[{"field": "version", "message": f"{plan} has no version {version}."}])
    publish()
    published: PlanVersion = PlanVersion.objects.get(plan=plan, version=declared.version)
    return published


def _change(plan: Plan) -> PublishChange:
    versions = PlanVersion.objects.filter(plan=plan.name)
    same = versions.filter(version=plan.version).first()
    newest = versions.order_by("-version").first()
    if same:
        fields = dict(_differences(same.document, plan.document()))
        return PublishChange(plan.name, plan.version, "conflict" if fields else "published", fields)
    fields = dict(_differences(newest.document if newest else {}, plan.document()))
    return PublishChange(plan.name, plan.version, "behind" if newest and newest.version > plan.version else "new", fields)


def _differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            yield from _differences(before.get(name), after.get(name), f"{path}.{name}".lstrip("."))
    elif before != after:
        yield path, (before, after)
