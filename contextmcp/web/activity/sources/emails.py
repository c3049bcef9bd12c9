"""Emails that concern the organization. Delivered and failed messages are kept for a month, without their text."""

from collections.abc import Sequence
from typing import ClassVar

from django.db.models import Q

from accounts.models import User
from contextmcp.common.admin_links import page_url
from contextmcp.common.models import OutgoingEmail
from contextmcp.web.activity.links import Link, undelivered
from contextmcp.web.activity.names import Names
from contextmcp.web.activity.types import Entry, Kind, Query

from .base import Item, Source, Stream, StreamRows


class EmailSource(Source):
    kinds: ClassVar = frozenset({Kind.EMAIL})

    def streams(self, query: Query) -> Sequence[StreamRows]:
        if query.key is not None:
            return ()
        rows = OutgoingEmail.objects.filter(organization_id=query.organization.pk)
        if query.email_categories is not None:
            allowed = Q(pk__in=[])
            for prefix in query.email_categories:
                allowed |= Q(category__startswith=prefix)
            rows = rows.filter(allowed)
        if query.member is not None:
            rows = rows.filter(recipients__contains=list(User.objects.filter(pk=query.member).values_list("email", flat=True)) or [""])
        if query.code:
            rows = rows.filter(category__startswith=query.code)
        return [StreamRows(Stream.EMAIL, rows, without=("text", "html"))]

    def describe(self, item: Item, query: Query, names: Names) -> Entry:
        email: OutgoingEmail = item.row
        link = Link(page_url("common.outgoingemail", email.pk)) if query.for_staff else _member_link(email, query)
        # The error is the mail server's text.
        detail = email.last_error if query.for_staff else ""
        return Entry(item.at, Kind.EMAIL, _sentence(email), link=link.url, action=link.action, detail=detail)


def _member_link(email: OutgoingEmail, query: Query) -> Link:
    return undelivered(email.category, query) if email.state == OutgoingEmail.State.FAILED else Link("")


def _sentence(email: OutgoingEmail) -> str:
    message = f"The email “{email.subject}” to {', '.join(email.recipients)}"
    if email.state == OutgoingEmail.State.SENT:
        return f"{message} was sent."
    if email.state == OutgoingEmail.State.FAILED:
        return f"{message} could not be delivered after {email.attempts} attempts."
    if email.attempts:
        return f"{message} has not been delivered yet. Attempts so far: {email.attempts}."
    return f"{message} is waiting to be sent."


SOURCE = EmailSource()
