"""Pages for API keys. A new key is shown on its own page for a few minutes."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render

from accounts.manager import AuthManager
from accounts.models import ApiKey
from accounts.roles import DEFAULT_KEY_SCOPES
from accounts.types import Caller
from contextmcp.common.clock import now
from contextmcp.web import drafts, mcp_config, submissions
from contextmcp.web.decorators import member_action, member_page
from contextmcp.web.forms import KeyForm, RotateForm, valid


@dataclass(frozen=True)
class KeyRow:
    """A key and the actions that the member can take on it."""

    key: ApiKey
    status: str
    is_mine: bool
    may_take_over: bool
    # Scopes that a new key does not have by default.
    extra_scopes: list[str]


def shown_keys(caller: Caller) -> list[KeyRow]:
    """Return the keys that the member may see: active and orphaned keys first, and newer keys before older ones."""
    present = now(caller.organization)
    rows = [
        KeyRow(
            key,
            key.status(present),
            key.creator_id == caller.membership_id,
            key.creator_id is None and "users:manage" in caller.permissions,
            sorted(set(key.scopes) - DEFAULT_KEY_SCOPES),
        )
        for key in AuthManager(caller.organization).keys(caller)
    ]
    return sorted(rows, key=lambda row: row.status not in {"active", "orphaned"})


@member_page
def keys(request: WSGIRequest, caller: Caller) -> HttpResponse:
    rows = shown_keys(caller)
    form = drafts.bind_form(request, caller, "key", lambda data: KeyForm(caller, data), KeyForm(caller, initial={"name": ""}))
    context = {
        "live": [row for row in rows if row.status in {"active", "orphaned"}],
        "over": [row for row in rows if row.status not in {"active", "orphaned"}][:20],
        "sees_all": "users:manage" in caller.permissions,
        "form": form,
        "rotate_form": RotateForm(),
        "configuration": mcp_config.client_configuration(),
    }
    return render(request, "web/keys.html", context)


@member_action("keys", form="key", keeps=("name", "scopes", "lifetime"), once=True)
def create_key(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    form = KeyForm(caller, request.POST)
    data = valid(form)
    key, raw = AuthManager(caller.organization).generate_key(caller, data["name"], data["scopes"] or None, form.expires_at())
    return submissions.show_key(request, raw, key=str(key.pk))


@member_action("welcome", form="first-key", keeps=("name",), once=True)
def first_key(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    form = KeyForm(caller, {"name": "My first key", **request.POST.dict()})
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
        messages.info(request, "An API key is shown only when it is created. Create or rotate a key to get a new one.")
        return redirect("keys")
    raw = shown["raw"]
    context = {
        "key": key,
        "shown": shown,
        "raw": raw,
        "configuration": mcp_config.client_configuration(raw),
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
    messages.success(request, "API key revoked. It no longer works.")
    return redirect("keys")
