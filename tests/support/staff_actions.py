"""Helpers that act as staff on an organization: fill in a form, read the preview and confirm it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Organization, User
from tests.factories.accounts import PASSWORD, UserFactory

REASON = "Ticket 7"


class _Inputs(HTMLParser):
    """Collects the hidden inputs of the confirmation form."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fields = dict(attrs)
        if tag == "input" and fields.get("type") == "hidden" and fields.get("name") not in (None, "csrfmiddlewaretoken"):
            self.values.setdefault(str(fields["name"]), []).append(fields.get("value") or "")


@dataclass
class Staff:
    """A member of staff in a browser."""

    user: User
    client: Client

    @classmethod
    def make(cls, *permissions: str) -> Staff:
        user = UserFactory(is_staff=True, password=PASSWORD)
        for name in ("accounts.view_organization", *permissions):
            app, codename = name.split(".")
            user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
        client = Client()
        client.force_login(user)
        return cls(user, client)

    def url(self, organization: Organization, action: str) -> str:
        return reverse("backoffice:action", args=[organization.pk, action])

    def open(self, organization: Organization, action: str, **initial: str) -> Any:
        return self.client.get(self.url(organization, action), initial)

    def preview(self, organization: Organization, action: str, **values: Any) -> Any:
        return self.client.post(self.url(organization, action), {"reason": REASON, **values})

    def confirmation(self, organization: Organization, action: str, **values: Any) -> dict[str, Any]:
        """Return the form of the confirmation page."""
        page = self.preview(organization, action, **values)
        assert page.status_code == 200 and "preview" in page.context, errors(page)
        inputs = _Inputs()
        # Python's parser would need as long for the whole page as the product needs to render it.
        inputs.feed("".join(re.findall(r"<input\b[^>]*>", page.text)))
        return {**inputs.values, "confirmed": "1"}

    def confirm(self, organization: Organization, action: str, form: dict[str, Any]) -> Any:
        return self.client.post(self.url(organization, action), form)

    def act(self, organization: Organization, action: str, **values: Any) -> str:
        """Fill in, preview and confirm. Return the message."""
        answer = self.confirm(organization, action, self.confirmation(organization, action, **values))
        assert answer.status_code == 302, errors(answer)
        return message(answer)

    def events(self) -> list[AuditEvent]:
        """Return the audit events of this member of staff, oldest first, without those of sign-ins and of pages that were viewed."""
        events = AuditEvent.objects.filter(actor_user=self.user).order_by("pk")
        return list(events.exclude(action__startswith="user.signed_in").exclude(action__startswith="staff."))

    def only_event(self, action: str) -> AuditEvent:
        """Return the only audit event of this member of staff, and check its fields."""
        [event] = self.events()
        assert (event.action, event.reason) == (action, REASON), (event.action, event.reason)
        assert event.ip_address and event.request_id
        assert event.before is not None and event.after is not None, (event.before, event.after)
        return event


def message(answer: Any) -> str:
    """Return the last message that the response leaves for the next page."""
    return str(list(get_messages(answer.wsgi_request))[-1])


def rows(page: Any) -> dict[str, tuple[str, str]]:
    """Return the rows of a preview: label to before and after."""
    return {row.label: (row.before, row.after) for row in page.context["preview"].rows}


def errors(page: Any) -> Any:
    """Return the errors that the page shows."""
    if page.context is None:
        return page.status_code
    form = page.context.get("form")
    return (page.context.get("refusal"), page.context.get("error"), form.errors if form else None)
