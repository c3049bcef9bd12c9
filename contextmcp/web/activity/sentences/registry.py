"""The registry of sentences, and the helpers that they share."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.dateformat import format as format_date

from accounts.models import AuditEvent
from contextmcp.web.activity.names import Names
from contextmcp.web.activity.types import Kind
from entitlements.catalog import CATALOG


@dataclass(frozen=True)
class Context:
    """An audit event with the names of its people and keys, and whether its sentence is for staff."""

    event: AuditEvent
    names: Names
    for_staff: bool

    @property
    def by(self) -> str:
        """Return the actor as the subject of a sentence, or an empty string for the system."""
        event = self.event
        if event.actor_service_key:
            return f"The service key {event.actor_service_key.name}" if self.for_staff else str(settings.PRODUCT_NAME)
        key = self.names.key(event.actor_key_id) if event.actor_key_id else ""
        if event.actor_user:
            person = self.names.person(event.actor_user)
            return f"{person} with the {key}" if key else f"{person} with an API key" if event.actor_key_id else person
        return f"The {key}" if key else "An API key" if event.actor_key_id else ""

    def by_actor(self, active: str, passive: str) -> str:
        """Return "{who} {active}.", or "{passive}." if the system acted. Both texts start in lower case and end without a period."""
        return f"{self.by} {active}." if self.by else f"{capitalized(passive)}."

    def before(self, name: str) -> Any:
        return (self.event.before or {}).get(name)

    def after(self, name: str) -> Any:
        return (self.event.after or {}).get(name)

    def key_name(self, key_id: str) -> str:
        """Return "the API key CI", or "an API key" if its name is unknown or may not be seen."""
        name = self.names.key_name(UUID(key_id)) if _is_uuid(key_id) else ""
        return f"the API key {name}" if name else "an API key"


@dataclass(frozen=True)
class Sentence:
    """How an action is described. `model` is the admin model of its object, whose key `target` returns.

    Customers see it only if it is `shown`, and the reason that was entered only with `reason_shown`.
    """

    kind: Kind
    render: Callable[[Context], str]
    shown: bool
    reason_shown: bool
    model: str
    target: Callable[[AuditEvent], Any]


_SENTENCES: dict[str, Sentence] = {}


def sentence(
    *actions: str,
    kind: Kind,
    shown: bool = True,
    reason_shown: bool = False,
    model: str = "",
    target: Callable[[AuditEvent], Any] = lambda event: event.target,
) -> Callable[[Callable[[Context], str]], Callable[[Context], str]]:
    """Register a function as the sentence of these actions."""

    def register(render: Callable[[Context], str]) -> Callable[[Context], str]:
        for action in actions:
            assert action not in _SENTENCES, action
            _SENTENCES[action] = Sentence(kind, render, shown, reason_shown, model, target)
        return render

    return register


def fixed(action: str, active: str, passive: str, **options: Any) -> None:
    """Register an action whose sentence depends only on who acted. "{target}" in the texts is the event's target."""
    sentence(action, **options)(
        lambda context: context.by_actor(
            active.replace("{target}", context.event.target), passive.replace("{target}", context.event.target)
        )
    )


def find(action: str) -> Sentence | None:
    return _SENTENCES.get(action)


def shown_actions(kinds: frozenset[Kind]) -> list[str]:
    """Return the actions of these kinds that customers see."""
    return [action for action, each in _SENTENCES.items() if each.shown and each.kind in kinds]


def actions_of(kinds: frozenset[Kind]) -> list[str]:
    return [action for action, each in _SENTENCES.items() if each.kind in kinds]


def matching_actions(text: str) -> list[str]:
    """Return the registered actions that contain `text`."""
    return [action for action in _SENTENCES if text in action]


def describe(context: Context) -> str:
    """Return the event's sentence. An action without one is described by its code."""
    known = find(context.event.action)
    text = known.render(context) if known else _generic(context)
    reason = context.event.reason
    if reason and (context.for_staff or (known and known.reason_shown)):
        return f"{text.removesuffix('.')}: “{reason}”"
    return text


def _generic(context: Context) -> str:
    words = context.event.action.replace(".", " ").replace("_", " ")
    target = f" ({context.event.target})" if context.event.target else ""
    return f"{capitalized(words)}{f' by {context.by}' if context.by else ''}{target}."


def capitalized(text: str) -> str:
    """Return the text with a capital at its beginning. Other letters, as of names, are kept."""
    return text[:1].upper() + text[1:]


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def day(text: Any) -> str:
    """Return the date of an ISO time: "May 3, 2026". Other texts are returned as they are."""
    try:
        return format_date(datetime.fromisoformat(str(text)), "F j, Y")
    except ValueError:
        return str(text)


def plan(context: Context, text: Any) -> str:
    """Return the title of a plan from "pro v2". Staff see the version as well."""
    name, _, version = str(text or "").partition(" ")
    title = CATALOG.plan_title(name) if name else "a plan"
    return f"{title} {version}" if version and context.for_staff else title


def amount(feature: str, number: int) -> str:
    """Return "1 session" or "5 sessions"."""
    return f"{number:,} {CATALOG.noun(feature, number)}"
