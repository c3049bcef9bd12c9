"""Users, organizations, members, and their keys."""

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
    """With a confirmed address, unless `confirmed=False`. `set_password` is left out unless asked for: `UserFactory(password=PASSWORD)`."""

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
    """With an owner, as sign-up makes it: `OrganizationFactory(name=..., owner=user)`."""

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
    """A member as tests meet them: `caller` is them signed in, `key` a key with every scope of their role (viewers get an owner's gift)."""

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
    """A key with these scopes, as if `membership` had made it while its role still allowed that."""
    role, membership.role = membership.role, "owner"
    try:
        return AuthManager(membership.organization).generate_key(Caller.member(membership), name, scopes, expires_at)[1]
    finally:
        membership.role = role
