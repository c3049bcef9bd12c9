"""A client of the HTTP API for tests."""

import json
from typing import Any

from django.test import Client

from accounts import key_format
from tests.factories.service_keys import service_key

NOTHING: Any = object()


SERVICE_PATHS = ("/api/usage/events", "/api/usage/holds/", "/api/usage/gauges/")


def credentials(path: str, key: str) -> dict[str, str]:
    """Return the headers for a customer's key, or for the vendor's server, acting for that customer, where only a service key may write."""
    if path.startswith(SERVICE_PATHS) and not key_format.is_service_key(key):
        return {"Authorization": f"Bearer {service_key()}", "ContextMCP-Credential": key}
    return {"Authorization": f"Bearer {key}"}


class Api:
    """Send JSON with the key of a person, a raw key or none: `api.post("/api/...", {...}, by=owner)`."""

    def __init__(self) -> None:
        self.client = Client(raise_request_exception=True)

    def request(self, method: str, path: str, body: Any = NOTHING, *, by: Any = None, **headers: str) -> Any:
        """Send a request. `headers` are named in snake_case: `idempotency_key="k"`. A `body` of bytes is sent unchanged."""
        sent_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if by is not None:
            sent_headers |= credentials(path, getattr(by, "key", by))
        data = b"" if body is NOTHING else body if isinstance(body, bytes) else json.dumps(body, default=str)
        kind = sent_headers.pop("content-type", "application/json")
        return self.client.generic(method, path, data, content_type=kind, headers=sent_headers)

    def get(self, path: str, **options: Any) -> Any:
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any = NOTHING, **options: Any) -> Any:
        return self.request("POST", path, body, **options)

    def put(self, path: str, body: Any = NOTHING, **options: Any) -> Any:
        return self.request("PUT", path, body, **options)

    def patch(self, path: str, body: Any = NOTHING, **options: Any) -> Any:
        return self.request("PATCH", path, body, **options)

    def delete(self, path: str, **options: Any) -> Any:
        return self.request("DELETE", path, **options)


def problem(response: Any) -> tuple[int, str]:
    """Return the status and code of an error response, which must be a complete problem document."""
    assert response["Content-Type"] == "application/problem+json", response.content[:300]
    body = response.json()
    assert body["status"] == response.status_code
    assert body["detail"] and body["title"] and body["type"].endswith(body["code"])
    return response.status_code, body["code"]
