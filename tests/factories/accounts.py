"""Factories of users, organizations, members and keys."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import factory
from allauth.account.models import EmailAddress

from accounts.manager import AuthManager
from accounts.models import Membership, Organization, User
from accounts.types import Caller

PASSWORD = "correct horse battery"


class UserFactory(factory.django.DjangoModelFactory):
    """A user with a confirmed address, unless `confirmed=False`. The password is only set on request: `UserFactory(password=PASSWORD)`."""

    class Meta:
        model = User

    email = factory.Sequence(lambda number: f"user{number}@people.example")
    name = factory.Sequence(lambda number: f"User {number}")

    @classmethod
    def _create(cls, model_class, *args, password=None, confirmed=True, **kwargs):
        user = model_class.objects.create_user(password=password, **kwargs)
        EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=confirmed)
        return user


class OrganizationFactory(factory.django.DjangoModelFactory):
    """An organization with an owner, as sign-up creates it: `OrganizationFactory(name=..., owner=user)`."""

    class Meta:
        model = Organization

    name = factory.Sequence(lambda number: f"Organization {number}")

    @classmethod
    def _create(cls, model_class, *args, owner=None, **kwargs):
        return AuthManager.create_organization(owner or UserFactory(), kwargs["name"])


class MembershipFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Membership

    organization = factory.SubFactory(OrganizationFactory)
    user = factory.SubFactory(UserFactory)
    role = "member"


@dataclass(frozen=True)
class Person:
    """A member for tests: `caller` is the member signed in, `key` has every scope of the role (a viewer's key was created by an owner)."""

    membership: Membership

    @property
    def user(self) -> User:
        return self.membership.user

    @property
    def organization(self) -> Organization:
        return self.membership.organization

    @property
    def caller(self) -> Caller:
        return Caller.member(Membership.objects.select_related("organization", "user").get(pk=self.membership.pk))

    @cached_property
    def key(self) -> str:
        return key_of(self.membership, sorted(self.caller.scopes))


def key_of(membership: Membership, scopes: list[str], *, name: str = "A key", expires_at: datetime | None = None) -> str:
    """Return a key with these scopes, as if `membership` had created it while its role still allowed them."""
    role, membership.role = membership.role, "owner"
    try:
        return AuthManager(membership.organization).generate_key(Caller.member(membership), name, scopes, expires_at)[1]
    finally:
        membership.role = role
