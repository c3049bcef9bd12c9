"""Sentences about API keys, service keys, connected apps and webhook endpoints."""

from contextmcp.web.activity.types import Kind

from .registry import Context, day, fixed, sentence

_KEY, _ENDPOINT = "accounts.apikey", "usage.webhookendpoint"


@sentence("key.created", kind=Kind.KEY, model=_KEY)
def _created(context: Context) -> str:
    name, ends = context.after("name"), context.after("expires_at")
    key = f"the API key {name}{f', which expires on {day(ends)}' if ends else ''}"
    return context.by_actor(f"created {key}", f"{key} was created")


@sentence("key.revoked", kind=Kind.KEY, model=_KEY)
def _revoked(context: Context) -> str:
    name = context.before("name")
    return context.by_actor(f"revoked the API key {name}", f"The API key {name} was revoked")


@sentence("key.rotated", kind=Kind.KEY, model=_KEY)
def _rotated(context: Context) -> str:
    key, ends = context.key_name(context.event.target), context.after("expires_at")
    until = f"; the old one expires on {day(ends)}" if ends else ""
    return context.by_actor(f"rotated {key}{until}", f"{key} was rotated{until}")


@sentence("key.taken_over", kind=Kind.KEY, model=_KEY)
def _taken_over(context: Context) -> str:
    key = context.key_name(context.event.target)
    return context.by_actor(f"took over {key} of a former member", f"{key} of a former member was taken over")


@sentence("key.all_revoked", kind=Kind.KEY)
def _all_revoked(context: Context) -> str:
    count = context.after("revoked")
    keys = f"all {count} API keys" if isinstance(count, int) and count > 1 else "all API keys"
    return context.by_actor(f"revoked {keys}", f"{keys} were revoked")


@sentence("key.reassigned", kind=Kind.KEY)
def _reassigned(context: Context) -> str:
    count = context.after("count") or 0
    keys = f"{count} API key{'' if count == 1 else 's'}" if count else "API keys"
    return context.by_actor(
        f"reassigned {keys} to {context.event.target}", f"{keys} {'was' if count == 1 else 'were'} reassigned to {context.event.target}"
    )


for _action, _verb in {"created": "created", "rotated": "rotated", "revoked": "revoked"}.items():
    fixed(
        f"service_key.{_action}",
        f"{_verb} a service key",
        f"A service key was {_verb}",
        kind=Kind.INTERNAL,
        shown=False,
        model="accounts.servicekey",
    )


@sentence("app.connected", kind=Kind.APP, model="accounts.oauthgrant", target=lambda event: (event.after or {}).get("grant"))
def _connected(context: Context) -> str:
    return context.by_actor(f"connected the app {context.event.target}", f"The app {context.event.target} was connected")


@sentence("app.disconnected", kind=Kind.APP, model="accounts.oauthgrant", target=lambda event: (event.before or {}).get("grant"))
def _disconnected(context: Context) -> str:
    user = context.before("user")
    owner = f" of {user}" if user and not (context.event.actor_user and context.event.actor_user.email == user) else ""
    app = f"the app {context.event.target}{owner}"
    return context.by_actor(f"disconnected {app}", f"{app} was disconnected")


def _endpoint(context: Context) -> str:
    url = context.after("url") or context.before("url")
    return f"the webhook endpoint {url}" if url else "a webhook endpoint"


def _of_endpoint(verb: str, context: Context) -> str:
    endpoint = _endpoint(context)
    return context.by_actor(f"{verb} {endpoint}", f"{endpoint} was {verb}")


for _verb in ("created", "changed", "deleted", "tested"):
    sentence(f"webhook_endpoint.{_verb}", kind=Kind.WEBHOOK, model=_ENDPOINT)(
        lambda context, verb=_verb: _of_endpoint(verb, context)  # type: ignore[misc]
    )


# An endpoint is disabled by the system. The customer sees the reason.
@sentence("webhook_endpoint.disabled", kind=Kind.WEBHOOK, model=_ENDPOINT, reason_shown=True)
def _disabled(context: Context) -> str:
    return _of_endpoint("disabled", context)


@sentence("webhook_endpoint.redelivered", kind=Kind.WEBHOOK, model=_ENDPOINT)
def _redelivered(context: Context) -> str:
    message = f"the webhook message {context.after('event_type') or ''}".rstrip()
    return context.by_actor(f"resent {message}", f"{message} was resent")


@sentence("webhook_endpoint.secret_rotated", kind=Kind.WEBHOOK, model=_ENDPOINT)
def _secret_rotated(context: Context) -> str:
    return context.by_actor("rotated the secret of a webhook endpoint", "The secret of a webhook endpoint was rotated")
