"""Organizations with plans, plan versions beyond the catalogue's, and the moment a test plays in."""

from datetime import datetime
from typing import Any

import factory
import msgspec
from django.utils import timezone

from accounts.manager import AuthManager
from accounts.models import Organization, User
from entitlements.catalog import current
from entitlements.manager import EntitlementsManager
from entitlements.models import Grant, Override, PlanVersion
from entitlements.terms import Catalog, Term


class OwnerFactory(factory.django.DjangoModelFactory[User]):
    class Meta:
        model = User

    email = factory.Sequence(lambda number: f"owner-{number}@entitled.example")


def organization(name: str = "Acme") -> Organization:
    """One as sign-up makes it: with an owner, without a grant."""
    return AuthManager.create_organization(OwnerFactory(), name)


class PlanVersionFactory(factory.django.DjangoModelFactory[PlanVersion]):
    """The next version of Pro, as a release to come might publish it."""

    class Meta:
        model = PlanVersion

    plan = "pro"
    version = 2
    document = factory.LazyAttribute(lambda made: msgspec.structs.replace(current(made.plan), version=made.version).document())


class GrantFactory(factory.django.DjangoModelFactory[Grant]):
    class Meta:
        model = Grant

    organization = factory.LazyFunction(organization)
    plan_version = factory.LazyFunction(lambda: EntitlementsManager.version("pro"))
    source = "subscription"
    starts_at = factory.LazyFunction(timezone.now)
    anchor = factory.SelfAttribute("starts_at")


class OverrideFactory(factory.django.DjangoModelFactory[Override]):
    class Meta:
        model = Override

    organization = factory.LazyFunction(organization)
    feature = "sessions"
    value = 5
    reason = "A promise"


def next_catalog(**terms: Term) -> Catalog:
    """The catalogue with a version 2 of Pro that has other terms."""
    from entitlements.catalog import CATALOG

    pro = current("pro")
    following = msgspec.structs.replace(pro, version=2, features={**pro.features, **terms})
    return Catalog(CATALOG.features, tuple(following if plan.name == "pro" else plan for plan in CATALOG.plans))


def moment(text: str) -> datetime:
    """A day, or a time of day, in UTC."""
    return datetime.fromisoformat(f"{text}+00:00" if "T" in text else f"{text}T00:00+00:00")


def fields(made: Any, *names: str) -> tuple[Any, ...]:
    """The values of some attributes, to compare at once."""
    return tuple(getattr(made, name) for name in names)
