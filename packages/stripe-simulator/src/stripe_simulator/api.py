"""Handle API requests: authenticate, route, validate and execute them, once per idempotency key."""

import base64
import hashlib
import json
import re
import time
from typing import Any

from stripe_simulator import expansion
from stripe_simulator.errors import Refusal, invalid
from stripe_simulator.parameters import Parameters, require_all_read
from stripe_simulator.render import render
from stripe_simulator.routes import check, form, spec
from stripe_simulator.routes.match import Operation, match
from stripe_simulator.simulator import Request, Response, Simulator, log
from stripe_simulator.store import Store
from stripe_simulator.types import Obj, Params, dump_json, load_json, new_id

KEY = re.compile(r"(sk|rk)_test_[A-Za-z0-9]{24,}")
TOKEN = re.compile(r"mest_[A-Za-z0-9]+")  # a short-lived token of the meter event stream
KNOWN_VERSION = re.compile(r"20\d\d-\d\d-\d\d\.dahlia")


def respond(sim: Simulator, request: Request) -> Response:
    request_id = new_id("req", 14)
    headers = {"Request-Id": request_id, "Stripe-Version": request.headers.get("stripe-version", spec.VERSION)}
    key = request.headers.get("idempotency-key") if request.method == "POST" else None
    if key:
        headers["Idempotency-Key"] = key
    try:
        _authenticate(sim, request)
        _apply_configured_refusals(sim, request)
        target = match(request.method, request.path)
        parameters, body, query = _parameters(target, request)
        status, payload, replayed = _execute_once(sim, request, target, parameters, request_id, key)
    except Refusal as refusal:
        _record_finding(sim, request, refusal)
        return _json(refusal.status, refusal.body(request_id), headers)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        message = "An unexpected error occurred in the simulator. See its log."
        return _json(500, Refusal(message, status=500, kind="api_error").body(request_id), headers)
    if replayed:
        headers |= {"Idempotent-Replayed": "true", "Original-Request": request_id}
    elif status == 200:
        operation = f"{request.method} {target.path}"
        if messages := check.request_errors(target.method, target.path, body, query):
            sim.record_finding("request", operation, messages)
        if messages := check.response_errors(target.method, target.path, payload):
            sim.record_finding("response", operation, messages)
    return _json(status, payload, headers)


def _apply_configured_refusals(sim: Simulator, request: Request) -> None:
    for rule in sim.refusals:
        if request.method == rule["method"] and request.path.startswith(rule["prefix"]):
            raise Refusal(rule["message"], status=int(rule["status"]), code=rule.get("code"), param=rule.get("param"), unsaved=True)


def _json(status: int, payload: Obj, headers: dict[str, str]) -> Response:
    return Response(status, dump_json(payload).encode(), {"Content-Type": "application/json", **headers})


def _record_finding(sim: Simulator, request: Request, refusal: Refusal) -> None:
    """Record a request that the OpenAPI document forbids, so that a test run can report it at its end."""
    if refusal.code in {"parameter_unknown", "parameter_missing"} or refusal.status == 501:
        sim.record_finding("request", f"{request.method} {request.path}", [refusal.message])


def _authenticate(sim: Simulator, request: Request) -> None:
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        credential = base64.b64decode(credential).decode(errors="replace").rstrip(":")
    if not credential:
        message = (
            "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth "
            "(e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
        raise Refusal(message, status=401, unsaved=True)
    stream = request.path == "/v2/billing/meter_event_stream" and TOKEN.fullmatch(credential)
    if not stream and (not KEY.fullmatch(credential) or (sim.secret_key and credential != sim.secret_key)):
        raise Refusal(f"Invalid API Key provided: {credential[:8]}{'*' * 12}{credential[-4:]}", status=401, unsaved=True)
    version = request.headers.get("stripe-version")
    if version and not KNOWN_VERSION.fullmatch(version):
        raise invalid(f"Invalid Stripe API version: {version}")


def _parameters(target: Operation, request: Request) -> tuple[Params, Params, Params]:
    """Return three mappings: all parameters, those of the body, and those of the query. The latter two are validated separately."""
    operation = target.operation
    fields = {p["name"]: p for p in operation.get("parameters", ()) if p["in"] == "query"}
    schema = {
        "type": "object",
        "properties": {name: p["schema"] for name, p in fields.items()},
        "required": [name for name, p in fields.items() if p.get("required")],
        "additionalProperties": False,
    }
    body_schema: dict[str, Any]
    content: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
    if request.path.startswith("/v2/"):
        try:
            body = json.loads(request.body or "{}")
        except ValueError:
            raise invalid("The request's body is not JSON") from None
        body_schema = content.get("application/json", {}).get("schema", {"type": "object", "properties": {}})
        body = form.coerce(body, {**body_schema, "additionalProperties": False}, "")
    else:
        first: dict[str, Any] = next(iter(content.values()), {})
        body_schema = first.get("schema", {"type": "object"})
        text = request.body if target.method == "post" else ""
        raw = form.decode(request.query)
        if target.method == "delete":  # Parameters of DELETE may be in the body or the query; the document lists them in the body.
            names = body_schema.get("properties", {})
            values = {**form.decode(request.body), **{name: raw.pop(name) for name in list(raw) if name in names}}
        else:
            values = form.decode(text)
        body = form.coerce(values, {**body_schema, "additionalProperties": False}, "")
        query = form.coerce(raw, schema, "")
        return {**query, **body, **target.arguments}, body, query
    return {**body, **target.arguments}, body, {}


def _execute_once(
    sim: Simulator, request: Request, target: Operation, parameters: Params, request_id: str, key: str | None
) -> tuple[int, Obj, bool]:
    """Run the handler, or return the stored response of the first request with this idempotency key."""
    if not key:
        return 200, _execute(sim, target, parameters, request_id, None), False
    fingerprint = hashlib.sha256(json.dumps([request.method, request.path, parameters], sort_keys=True).encode()).hexdigest()
    with sim.store.lock:  # The lock makes the second of two concurrent requests wait; it is then a replay.
        row = sim.store.one("SELECT * FROM replays WHERE key = ?", (key,))
        if row is not None:
            if row["fingerprint"] != fingerprint:
                raise Refusal(
                    "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                    f"Try using a key other than '{key}' if you meant to execute a different request.",
                    kind="idempotency_error",
                    unsaved=True,
                )
            return row["status"], load_json(row["body"]), True
        try:
            return 200, _execute(sim, target, parameters, request_id, key, fingerprint), False
        except Refusal as refusal:
            if refusal.unsaved:
                raise
            payload = refusal.body(request_id)
            _store_response(sim.store, key, fingerprint, refusal.status, payload)
            return refusal.status, payload, False


def _store_response(store: Store, key: str, fingerprint: str, status: int, payload: Obj) -> None:
    store.run("INSERT INTO replays VALUES (?, ?, ?, ?, ?)", (key, fingerprint, status, dump_json(payload), time.time()))


def _execute(sim: Simulator, target: Operation, parameters: Params, request_id: str, key: str | None, fingerprint: str = "") -> Obj:
    if target.handler is None:
        operation = f"{target.method.upper()} {target.path}"
        raise Refusal(f"The simulator does not support {operation}.", status=501, kind="api_error", unsaved=True)
    params = Parameters(parameters)
    params.seen.update(target.arguments)
    expand = params.pop("expand", [])
    expansion.check(target.method, target.path, expand)
    with sim.unit(request_id, key) as unit:
        result = target.handler(unit, params)
        require_all_read(params)
        payload = render(unit, result, expand)
        if key:  # In the same transaction, so that a retry after a crash cannot run the request twice.
            _store_response(unit.store, key, fingerprint, 200, payload)
        return payload
    raise AssertionError("unreachable: the unit of work returns or raises")
