"""Keys: made, rotated, revoked, adopted. A key is shown in the answer to the form that made it, and nowhere else."""

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
from contextmcp.site import clients
from contextmcp.site.forms import KeyForm, RotateForm, valid
from contextmcp.site.pages.start import pasted
from contextmcp.site.people import action, page


@dataclass(frozen=True)
class Row:
    """A key and what can be done with it."""

    key: ApiKey
    status: str
    is_mine: bool
    may_adopt: bool
    # Scopes beyond those that a new key has by default.
    extra_scopes: list[str]


def shown_keys(me: Caller) -> list[Row]:
    """The keys this member may see: those that work first, then by age."""
    present = now(me.organization)
    rows = [
        Row(
            key,
            key.status(present),
            key.creator_id == me.membership_id,
            key.creator_id is None and "users:manage" in me.permissions,
            sorted(set(key.scopes) - DEFAULT_KEY_SCOPES),
        )
        for key in AuthManager(me.organization).keys(me)
    ]
    return sorted(rows, key=lambda row: row.status not in {"active", "orphaned"})


@page
def keys(request: WSGIRequest, me: Caller) -> HttpResponse:
    rows = shown_keys(me)
    context = {
        "live": [row for row in rows if row.status in {"active", "orphaned"}],
        "over": [row for row in rows if row.status not in {"active", "orphaned"}][:20],
        "form": KeyForm(me, initial={"name": ""}),
        "rotate_form": RotateForm(),
        "configuration": clients.configuration(),
    }
    return render(request, "site/keys.html", context)


@action("keys")
def create_key(request: WSGIRequest, me: Caller) -> HttpResponse:
    form = KeyForm(me, request.POST)
    given = valid(form)
    key, raw = AuthManager(me.organization).generate_key(me, given["name"], given["scopes"] or None, form.expires_at())
    return render(request, "site/key_made.html", {"key": key, "raw": raw, **pasted(raw)})


@action("keys")
def rotate_key(request: WSGIRequest, me: Caller, key_id: UUID) -> HttpResponse:
    overlap = timedelta(seconds=int(valid(RotateForm(request.POST))["overlap"]))
    key, raw = AuthManager(me.organization).rotate_key(me, key_id, overlap)
    return render(request, "site/key_made.html", {"key": key, "raw": raw, **pasted(raw), "old": key.rotated_from})


@action("keys")
def revoke_key(request: WSGIRequest, me: Caller, key_id: UUID) -> HttpResponseBase:
    AuthManager(me.organization).revoke_key(me, key_id)
    messages.success(request, "The key is revoked. It stopped working everywhere.")
    return redirect("keys")


@action("keys")
def adopt_key(request: WSGIRequest, me: Caller, key_id: UUID) -> HttpResponse:
    key, raw = AuthManager(me.organization).adopt_key(me, key_id)
    return render(request, "site/key_made.html", {"key": key, "raw": raw, **pasted(raw), "adopted": True})
