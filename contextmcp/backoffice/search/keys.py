"""Search API keys and service keys by the public part of the key."""

import re
from collections.abc import Iterable

from accounts.key_format import PUBLIC_LENGTH
from accounts.models import ApiKey, ServiceKey
from contextmcp.common.clock import now

from .query import Query
from .results import Hit, Resolver, row_hit

# Shorter prefixes of a public ID match too many keys.
MIN_PUBLIC_LENGTH = 3
_PUBLIC_ID = re.compile(rf"[0-9A-Za-z]{{{PUBLIC_LENGTH}}}")


def _public_id(query: Query, kind: str) -> str:
    """Return the public ID to search for: that of the key in the query, or the query itself if it has a public ID's length."""
    if query.key is None:
        return query.text if _PUBLIC_ID.fullmatch(query.text) else ""
    is_long_enough = len(query.key.public_id) >= MIN_PUBLIC_LENGTH
    return query.key.public_id if query.key.kind == kind and is_long_enough else ""


def _api_keys(query: Query, start: int, stop: int) -> Iterable[Hit]:
    if query.uuid:
        rows = ApiKey.objects.filter(pk=query.uuid)
    elif public_id := _public_id(query, "sk"):
        rows = ApiKey.objects.filter(public_id__startswith=public_id)
    else:
        return
    for key in rows.select_related("organization").order_by("public_id")[start:stop]:
        yield row_hit(key, f"{key.name} ({key.hint})", str(key.organization), key.status(now(key.organization)))


def _service_keys(query: Query, start: int, stop: int) -> Iterable[Hit]:
    if query.uuid:
        rows = ServiceKey.objects.filter(pk=query.uuid)
    elif public_id := _public_id(query, "svc"):
        rows = ServiceKey.objects.filter(public_id__startswith=public_id)
    else:
        return
    for key in rows.order_by("public_id")[start:stop]:
        yield row_hit(key, str(key), "revoked" if key.revoked_at else "")


RESOLVERS = [
    Resolver("api-keys", "API keys", "accounts.view_apikey", _api_keys),
    Resolver("service-keys", "Service keys", "accounts.view_servicekey", _service_keys),
]
