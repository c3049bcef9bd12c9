"""Pages for API keys. A new key is shown on its own page for a few minutes."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from accounts.manager import AuthManager
from accounts.models import ApiKey
from accounts.roles import DEFAULT_KEY_SCOPES, SCOPE_TITLES, Access
from accounts.types import Caller
from contextmcp.common.clock import now
from contextmcp.web import drafts, mcp_config, submissions
from contextmcp.web.decorators import member_action, member_page
from contextmcp.web.forms import KeyForm, RotateForm, valid
from usage.history_query import floor
from usage.selectors import key_events

LIVE = frozenset({"active", "orphaned"})
USAGE_DAYS = timedelta(days=30)


@dataclass(frozen=True)
class KeyRow:
    """A key and the actions that the member can take on it.

    `previous` is the rotated key that this one replaces, while both work. `calls` is the number of counted calls in the last 30 days.
    """

    key: ApiKey
    status: str
    is_mine: bool
    may_take_over: bool
    previous: ApiKey | None = None
    calls: int = 0

    @property
    def access(self) -> Access:
        return Access.of(self.key.scopes)

    @property
    def scope_titles(self) -> list[str]:
        """Return what the scopes allow, in the order of the form."""
        return [str(title) for scope, title in SCOPE_TITLES.items() if scope in self.key.scopes]

    @property
    def has_more_than_default(self) -> bool:
        return not DEFAULT_KEY_SCOPES.issuperset(self.key.scopes)


def shown_keys(caller: Caller, calls: dict[UUID, int] | None = None) -> list[KeyRow]:
    """Return the keys that the member may see: active and orphaned keys first, and newer keys before older ones.

    A rotated key that still works is part of the row of its successor.
    """
    present = now(caller.organization)
    keys = list(AuthManager(caller.organization).keys(caller))
    statuses = {key.pk: key.status(present) for key in keys}
    working = {key.pk: key for key in keys if statuses[key.pk] in LIVE}
    replaced = {key.rotated_from_id: key for key in keys if key.pk in working and key.rotated_from_id in working}
    rows = [
        KeyRow(
            key,
            statuses[key.pk],
            key.creator_id == caller.membership_id,
            key.creator_id is None and "users:manage" in caller.permissions,
            working.get(key.rotated_from_id) if key.rotated_from_id and statuses[key.pk] in LIVE else None,
            (calls or {}).get(key.pk, 0),
        )
        for key in keys
        if key.pk not in replaced
    ]
    return sorted(rows, key=lambda row: row.status not in LIVE)


@member_page
def keys(request: WSGIRequest, caller: Caller) -> HttpResponse:
    since = floor(now(caller.organization), "day") - USAGE_DAYS
    rows = shown_keys(caller, key_events(caller.organization, since))
    unbound = KeyForm(caller, initial={"name": "", "access": Access.USE})
    form = drafts.bind_form(request, caller, "key", lambda data: KeyForm(caller, data), unbound)
    context = {
        "live": [row for row in rows if row.status in LIVE],
        "over": [row for row in rows if row.status not in LIVE][:20],
        "sees_all": "users:manage" in caller.permissions,
        "form": form,
        "rotate_form": RotateForm(),
    }
    return render(request, "web/keys.html", context)


@member_action("keys", form="key", keeps=("name", "access", "scopes", "lifetime"), once=True)
def create_key(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    form = KeyForm(caller, request.POST)
    data = valid(form)
    key, raw = AuthManager(caller.organization).generate_key(caller, data["name"], form.chosen_scopes(), form.expires_at())
    return submissions.show_key(request, raw, key=str(key.pk))


@member_action("welcome", form="first-key", keeps=("name",), once=True)
def first_key(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    form = KeyForm(caller, {"name": _("My first key"), **request.POST.dict()})
    key, raw = AuthManager(caller.organization).generate_key(caller, valid(form)["name"])
    return submissions.show_key(request, raw, key=str(key.pk), step="welcome")


@member_action("keys", once=True)
def rotate_key(request: WSGIRequest, caller: Caller, key_id: UUID) -> HttpResponseBase:
    overlap = timedelta(seconds=int(valid(RotateForm(request.POST))["overlap"]))
    key, raw = AuthManager(caller.organization).rotate_key(caller, key_id, overlap)
    return submissions.show_key(request, raw, key=str(key.pk), replaces="rotated")


@member_action("keys", once=True)
def take_over_key(request: WSGIRequest, caller: Caller, key_id: UUID) -> HttpResponseBase:
    key, raw = AuthManager(caller.organization).take_over_key(caller, key_id)
    return submissions.show_key(request, raw, key=str(key.pk), replaces="taken_over")


@member_page
def new_key(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    """Show a new key. Reloading the page shows it again for a few minutes."""
    shown = submissions.shown_key(request)
    key = AuthManager(caller.organization).keys(caller).filter(pk=shown["key"]).first() if shown else None
    if shown is None or key is None:
        messages.info(request, _("An API key is shown only when it is created. Create or rotate a key to get a new one."))
        return redirect("keys")
    raw = shown["raw"]
    access = [str(title) for scope, title in SCOPE_TITLES.items() if scope in key.scopes]
    context = {
        "key": key,
        "shown": shown,
        "raw": raw,
        "access": access,
        "clients": mcp_config.clients(raw),
        "curl": mcp_config.curl_example(raw),
    }
    return render(request, "web/key_created.html", context)


@member_action("keys")
def delete_stored_key(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    """Delete the stored text of a new key after the user confirmed that they copied it."""
    shown = submissions.shown_key(request)
    return submissions.delete_stored_key(request, redirect("connect" if shown and shown.get("step") == "welcome" else "account"))


@member_action("keys")
def revoke_key(request: WSGIRequest, caller: Caller, key_id: UUID) -> HttpResponseBase:
    AuthManager(caller.organization).revoke_key(caller, key_id)
    messages.success(request, _("API key revoked. It no longer works."))
    return redirect("keys")
