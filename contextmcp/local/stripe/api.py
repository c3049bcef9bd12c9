"""A request to the API: authenticated, routed, read and checked by the document, answered once per idempotency key."""

import base64
import hashlib
import json
import re
import time
from typing import Any

from contextmcp.local.stripe import expansion
from contextmcp.local.stripe.errors import Refusal, invalid
from contextmcp.local.stripe.kinds import Obj, Params, new_id, read, written
from contextmcp.local.stripe.parameters import Parameters, need_all_read
from contextmcp.local.stripe.render import answer
from contextmcp.local.stripe.routes import check, form, spec
from contextmcp.local.stripe.routes.match import Match, match
from contextmcp.local.stripe.simulator import Answer, Request, Simulator, log
from contextmcp.local.stripe.store import Store

KEY = re.compile(r"(sk|rk)_test_[A-Za-z0-9]{24,}")
TOKEN = re.compile(r"mest_[A-Za-z0-9]+")  # a meter event stream's short-lived token
KNOWN_VERSION = re.compile(r"20\d\d-\d\d-\d\d\.dahlia")


def respond(sim: Simulator, request: Request) -> Answer:
    request_id = new_id("req", 14)
    headers = {"Request-Id": request_id, "Stripe-Version": request.headers.get("stripe-version", spec.VERSION)}
    key = request.headers.get("idempotency-key") if request.method == "POST" else None
    if key:
        headers["Idempotency-Key"] = key
    try:
        _authenticate(sim, request)
        found = match(request.method, request.path)
        parameters, body, query = _parameters(found, request)
        status, payload, replayed = _once(sim, request, found, parameters, request_id, key)
    except Refusal as refusal:
        _note(sim, request, refusal)
        return _json(refusal.status, refusal.body(request_id), headers)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        message = "An unknown error occurred in the local simulator; its log says what."
        return _json(500, Refusal(message, status=500, kind="api_error").body(request_id), headers)
    if replayed:
        headers |= {"Idempotent-Replayed": "true", "Original-Request": request_id}
    elif status == 200:
        operation = f"{request.method} {found.path}"
        if messages := check.request_errors(found.method, found.path, body, query):
            sim.finding("request", operation, messages)
        if messages := check.response_errors(found.method, found.path, payload):
            sim.finding("response", operation, messages)
    return _json(status, payload, headers)


def _json(status: int, payload: Obj, headers: dict[str, str]) -> Answer:
    return Answer(status, written(payload).encode(), {"Content-Type": "application/json", **headers})


def _note(sim: Simulator, request: Request, refusal: Refusal) -> None:
    """A request that the document forbids is a mistake of the caller's worth seeing after a whole run."""
    if refusal.code in {"parameter_unknown", "parameter_missing"} or refusal.status == 501:
        sim.finding("request", f"{request.method} {request.path}", [refusal.message])


def _authenticate(sim: Simulator, request: Request) -> None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        given = base64.b64decode(given).decode(errors="replace").rstrip(":")
    if not given:
        message = (
            "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth "
            "(e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
        raise Refusal(message, status=401, unsaved=True)
    stream = request.path == "/v2/billing/meter_event_stream" and TOKEN.fullmatch(given)
    if not stream and (not KEY.fullmatch(given) or (sim.secret_key and given != sim.secret_key)):
        raise Refusal(f"Invalid API Key provided: {given[:8]}{'*' * 12}{given[-4:]}", status=401, unsaved=True)
    version = request.headers.get("stripe-version")
    if version and not KNOWN_VERSION.fullmatch(version):
        raise invalid(f"Invalid Stripe API version: {version}")


def _parameters(found: Match, request: Request) -> tuple[Params, Params, Params]:
    """All parameters together, and the body's and the query's apart for the judge."""
    operation = found.operation
    fields = {p["name"]: p for p in operation.get("parameters", ()) if p["in"] == "query"}
    schema = {
        "type": "object",
        "properties": {name: p["schema"] for name, p in fields.items()},
        "required": [name for name, p in fields.items() if p.get("required")],
        "additionalProperties": False,
    }
    wanted: dict[str, Any]
    content: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
    if request.path.startswith("/v2/"):
        try:
            body = json.loads(request.body or "{}")
        except ValueError:
            raise invalid("The request's body is not JSON") from None
        wanted = content.get("application/json", {}).get("schema", {"type": "object", "properties": {}})
        body = form.coerce(body, {**wanted, "additionalProperties": False}, "")
    else:
        first: dict[str, Any] = next(iter(content.values()), {})
        wanted = first.get("schema", {"type": "object"})
        text = request.body if found.method == "post" else ""
        raw = form.decode(request.query)
        if found.method == "delete":  # its parameters may come either way, and the document has them in the body
            names = wanted.get("properties", {})
            given = {**form.decode(request.body), **{name: raw.pop(name) for name in list(raw) if name in names}}
        else:
            given = form.decode(text)
        body = form.coerce(given, {**wanted, "additionalProperties": False}, "")
        query = form.coerce(raw, schema, "")
        return {**query, **body, **found.arguments}, body, query
    return {**body, **found.arguments}, body, {}


def _once(sim: Simulator, request: Request, found: Match, parameters: Params, request_id: str, key: str | None) -> tuple[int, Obj, bool]:
    """Run the handler, or repeat what it answered the first time this key was used."""
    if not key:
        return 200, _run(sim, found, parameters, request_id, None), False
    fingerprint = hashlib.sha256(json.dumps([request.method, request.path, parameters], sort_keys=True).encode()).hexdigest()
    with sim.store.lock:  # the second of two at once waits, and is then a replay
        row = sim.store.one("SELECT * FROM replays WHERE key = ?", (key,))
        if row is not None:
            if row["fingerprint"] != fingerprint:
                raise Refusal(
                    "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                    f"Try using a key other than '{key}' if you meant to execute a different request.",
                    kind="idempotency_error",
                    unsaved=True,
                )
            return row["status"], read(row["body"]), True
        try:
            return 200, _run(sim, found, parameters, request_id, key, fingerprint), False
        except Refusal as refusal:
            if refusal.unsaved:
                raise
            payload = refusal.body(request_id)
            _remember(sim.store, key, fingerprint, refusal.status, payload)
            return refusal.status, payload, False


def _remember(store: Store, key: str, fingerprint: str, status: int, payload: Obj) -> None:
    store.run("INSERT INTO replays VALUES (?, ?, ?, ?, ?)", (key, fingerprint, status, written(payload), time.time()))


def _run(sim: Simulator, found: Match, parameters: Params, request_id: str, key: str | None, fingerprint: str = "") -> Obj:
    if found.handler is None:
        operation = f"{found.method.upper()} {found.path}"
        raise Refusal(f"The local simulator does not answer {operation}.", status=501, kind="api_error", unsaved=True)
    given = Parameters(parameters)
    given.seen.update(found.arguments)
    expand = given.pop("expand", [])
    expansion.check(found.method, found.path, expand)
    with sim.unit(request_id, key) as unit:
        result = found.handler(unit, given)
        need_all_read(given)
        payload = answer(unit, result, expand)
        if key:  # in the same transaction: a kill in between must not let a retry do it twice
            _remember(unit.store, key, fingerprint, 200, payload)
        return payload
    raise AssertionError("a unit of work ends by answering or refusing")
