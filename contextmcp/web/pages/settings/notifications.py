"""The page on which a member chooses which emails about the organization they get."""

from dataclasses import dataclass

from django.contrib import messages
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.translation import gettext

from accounts import notifications as choices
from accounts.authentication import memberships_of
from accounts.models import Organization
from accounts.notifications import Topic
from accounts.types import Caller
from contextmcp.web import drafts
from contextmcp.web.decorators import member_action, member_page
from contextmcp.web.forms import valid
from contextmcp.web.notification_topics import GROUPS, TOPICS
from contextmcp.web.settings_forms import NotificationForm


@dataclass(frozen=True)
class TopicRow:
    topic: Topic
    is_on: bool


@dataclass(frozen=True)
class Group:
    title: Promise
    rows: list[TopicRow]


@member_page
def notifications(request: WSGIRequest, caller: Caller) -> HttpResponse:
    states = choices.enabled_topics(caller, TOPICS)
    unbound = NotificationForm(initial={"topics": [name for name, is_on in states.items() if is_on]})
    form = drafts.bind_form(request, caller, "notifications", NotificationForm, unbound)
    selected = set(form["topics"].value() or ())
    groups = [
        Group(group.title, [TopicRow(topic, topic.name in selected) for topic in group.topics if topic.name in states]) for group in GROUPS
    ]
    context = {"groups": [group for group in groups if group.rows], "linked": _linked_organization(request, caller)}
    return render(request, "web/settings/notifications.html", context)


@member_action("notifications", form="notifications", keeps=("topics",))
def save_notifications(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    choices.choose_topics(caller, TOPICS, valid(NotificationForm(request.POST))["topics"])
    messages.success(request, gettext("Your choices were saved."))
    return redirect("notifications")


def _linked_organization(request: WSGIRequest, caller: Caller) -> Organization | None:
    """Return the user's other organization that the link of an email is about, because its choices are separate."""
    linked, user = request.GET.get("organization", ""), caller.user
    assert user is not None
    others = [each.organization for each in memberships_of(request, user) if each.organization_id != caller.organization.pk]
    return next((organization for organization in others if str(organization.pk) == linked), None)
