"""Drafts: the input of a refused form, stored in the session until the form's page is shown again."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from django import forms
from django.core.handlers.wsgi import WSGIRequest
from django.http import QueryDict

from accounts.types import Caller
from contextmcp.common.api import camel
from contextmcp.common.text import translated

SESSION_DRAFT = "form_draft"
# Forms can be posted without an account, so the amount of data stored in a session is limited.
MAX_VALUE_LENGTH = 500
MAX_VALUES = 20

AnyForm = TypeVar("AnyForm", bound=forms.Form)


@dataclass(frozen=True)
class Draft:
    """The input of one form. `form` is its name, `errors` the field errors (`{"field": ..., "message": ...}`)."""

    form: str
    organization: str
    values: dict[str, list[str]]
    errors: list[dict[str, Any]]


def save_draft(request: WSGIRequest, form: str, fields: Iterable[str], errors: Iterable[dict[str, Any]] = ()) -> None:
    """Store the posted values of `fields`. A session has one draft; a newer one replaces it."""
    present = [name for name in fields if name in request.POST]
    values = {name: [value[:MAX_VALUE_LENGTH] for value in request.POST.getlist(name)[:MAX_VALUES]] for name in present}
    if not values:
        return
    request.session[SESSION_DRAFT] = {
        "form": form,
        "organization": request.POST.get("acting_for", "")[:36],
        "values": values,
        "errors": [{"field": str(each["field"]), "message": translated(each["message"])} for each in errors][:MAX_VALUES],
    }


def bind_form(request: WSGIRequest, caller: Caller | None, name: str, form: Callable[[QueryDict], AnyForm], unbound: AnyForm) -> AnyForm:
    """Return `form` bound to its draft, or `unbound` if there is no draft for this form and organization.

    `caller` is None for forms of the user's own account.
    """
    draft = _take(request, name)
    if draft is None or draft.organization not in ("", str(caller.organization.pk) if caller else ""):
        return unbound
    data = QueryDict(mutable=True)
    for field, values in draft.values.items():
        data.setlist(field, values)
    bound = form(data)
    bound.full_clean()
    # Errors of services have the field names of the API (camelCase).
    names = {camel(field): field for field in bound.fields}
    for error in draft.errors:
        form_field = names.get(camel(error["field"]))
        if form_field and form_field not in bound.errors:
            bound.add_error(form_field, error["message"])
    return bound


def _take(request: WSGIRequest, name: str) -> Draft | None:
    stored = request.session.get(SESSION_DRAFT)
    if not isinstance(stored, dict) or stored.get("form") != name:
        return None
    del request.session[SESSION_DRAFT]
    return Draft(**stored)
