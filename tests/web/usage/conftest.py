"""An organization whose usage month began some days ago, with usage of several keys, an app, members and tools."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from accounts.manager import AuthManager
from accounts.models import OAuthGrant, Organization
from contextmcp.common.clock import now
from tests.factories.accounts import Person
from tests.factories.usage import subscribe
from tests.web.usage.rows import record, spread
from usage.models import NO_KEY, NO_MEMBER, UsageEvent


@dataclass(frozen=True)
class Busy:
    """`keys` are the IDs by name; "app" is a connected app of the member, "gone" was deleted."""

    organization: Organization
    keys: dict[str, UUID]
    members: dict[str, int]

    def events(self) -> list[Any]:
        return list(UsageEvent.objects.filter(organization=self.organization, feature="sessions"))


@pytest.fixture
def busy(acme: Organization, owner: Person, member: Person) -> Busy:
    at = now(acme)
    subscribe(acme, starts_at=at - timedelta(days=100, hours=5, minutes=20))
    keys = {name: AuthManager(acme).generate_key(person.caller, name)[0].pk for name, person in (("CI", owner), ("Mine", member))}
    keys |= {"app": _app(member).pk, "gone": uuid4(), "": NO_KEY}
    members = {"owner": owner.user.pk, "member": member.user.pk, "former": 987_654_321, "": NO_MEMBER}
    rows = spread(7, at - timedelta(days=75), at, 400, list(keys.values()), list(members.values()), ["search", "translate", None])
    # A correction, and another feature.
    rows += [
        {"occurred_at": at - timedelta(days=2), "amount": -3, "key_id": keys["CI"], "member_id": owner.user.pk, "tool": None},
        {"occurred_at": at - timedelta(days=3), "amount": 50, "feature": "context_queries"},
    ]
    record(acme, *rows)
    return Busy(acme, keys, members)


def _app(person: Person) -> OAuthGrant:
    at = now()
    return OAuthGrant.objects.create(
        membership=person.membership,
        client_id="https://editor.example/client.json",
        client_name="Editor",
        code_digest=b"1",
        code_expires_at=at,
        code_challenge="x",
        redirect_uri="https://editor.example/",
    )


@pytest.fixture
def usage_page(sign_in: Callable[..., Any]) -> Callable[..., Any]:
    """Return the page's context for a member and a query string."""

    def shown(person: Person, **query: str) -> Any:
        answer = sign_in(person).get("/account/usage/", query)
        assert answer.status_code == 200
        return answer

    return shown
