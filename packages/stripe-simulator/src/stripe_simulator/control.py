"""The control endpoints at `/_sim/...`, with which tests and the demo tour do what Stripe's API does not offer."""

import json
import time
from collections.abc import Callable
from typing import Any

from stripe_simulator import debits, dunning
from stripe_simulator.errors import Refusal
from stripe_simulator.render import view
from stripe_simulator.resources import disputes, test_clocks
from stripe_simulator.routes import form
from stripe_simulator.simulator import Request, Response, Simulator
from stripe_simulator.types import Obj
from stripe_simulator.webhooks import WebhookDispatcher

CHAOS = {"seed": 0, "duplicate": 0.0, "shuffle": 0.0, "delay": 0.0, "drop": 0.0}


def respond(dispatcher: WebhookDispatcher, sim: Simulator, request: Request) -> Response:
    steps = request.path.removeprefix("/_sim/").strip("/").split("/")
    try:
        data = _parameters(request)
        result = _act(dispatcher, sim, request.method, steps, data)
    except Refusal as refusal:
        return _json(refusal.status, refusal.body("control"))
    except (TypeError, ValueError) as problem:
        return _json(400, {"error": {"message": str(problem), "type": "invalid_request_error"}})
    return _json(200, result)


def _json(status: int, payload: Obj) -> Response:
    return Response(status, json.dumps(payload).encode(), {"Content-Type": "application/json"})


def _parameters(request: Request) -> Obj:
    data = form.decode(request.query)
    if request.body.lstrip().startswith("{"):
        return data | dict(json.loads(request.body))
    return data | form.decode(request.body)


def _act(dispatcher: WebhookDispatcher, sim: Simulator, method: str, steps: list[str], data: Obj) -> Obj:
    simple: dict[tuple[str, ...], Callable[[], Obj]] = {
        ("GET", "ready"): lambda: {"ready": True, "base_url": sim.base_url},
        ("GET", "findings"): lambda: _findings(sim, data),
        ("DELETE", "findings"): lambda: {"removed": sim.store.run("DELETE FROM findings")},
        ("GET", "deliveries"): lambda: _deliveries(sim, data),
        ("POST", "drain"): lambda: {"drained": dispatcher.drain(float(data.get("timeout", 30)))},
        ("POST", "reset"): lambda: _reset(sim),
        ("POST", "chaos"): lambda: _chaos(sim, data),
        ("GET", "chaos"): lambda: sim.store.setting("chaos", CHAOS),
        ("POST", "down"): lambda: _down(sim, data),
        ("POST", "refusals"): lambda: _refuse(sim, data),
        ("DELETE", "refusals"): lambda: _refuse(sim, {}),
        ("POST", "dunning"): lambda: _dunning(sim, data),
        ("GET", "dunning"): lambda: dunning.settings(sim.store),
        ("POST", "debits"): lambda: debits.configure(sim.store, None if data.get("days") is None else float(data["days"])),
        ("POST", "disputes"): lambda: _dispute(sim, data),
        ("POST", "tick"): lambda: _tick(sim),
    }
    if action := simple.get((method, *steps)):
        return action()
    match (method, steps):
        case ("POST", ["events", event, "redeliver"]):
            return _redeliver(sim, event)
        case ("POST", ["customers", customer, "clock"]):
            with sim.unit() as unit:
                return view(unit, test_clocks.attach_customer(unit, customer, data.get("test_clock") or data.get("clock")))
    raise Refusal(f"No control endpoint {method} /_sim/{'/'.join(steps)}", status=404)


def _findings(sim: Simulator, data: Obj) -> Obj:
    rows = sim.store.all("SELECT * FROM findings WHERE ? IS NULL OR kind = ? ORDER BY id", (data.get("kind"), data.get("kind")))
    findings = [{**dict(row), "messages": row["messages"].split("\n")} for row in rows]
    return {"count": len(findings), "findings": findings}


def _deliveries(sim: Simulator, data: Obj) -> Obj:
    limit = int(data.get("limit", 100))
    rows = sim.store.all(
        "SELECT * FROM deliveries WHERE (? IS NULL OR event = ?) AND (? IS NULL OR state = ?) ORDER BY id DESC LIMIT ?",
        (data.get("event"), data.get("event"), data.get("state"), data.get("state"), limit),
    )
    totals = sim.store.all("SELECT state, COUNT(*) AS number FROM deliveries GROUP BY state")
    return {"totals": {row["state"]: row["number"] for row in totals}, "deliveries": [dict(row) for row in rows]}


def _reset(sim: Simulator) -> Obj:
    sim.reset()
    return {"reset": True}


def _chaos(sim: Simulator, data: Obj) -> Obj:
    unknown = set(data) - set(CHAOS)
    if unknown:
        raise ValueError(f"Unknown chaos settings: {', '.join(sorted(unknown))}. Use {', '.join(CHAOS)}.")
    settings = {**CHAOS, **{key: float(value) if key != "seed" else int(value) for key, value in data.items()}}
    with sim.store.lock:
        sim.store.set("chaos", settings)
        sim.store.set("told", 0)  # With this reset, the same seed produces the same sequence of faults again.
    return settings


def _down(sim: Simulator, data: Obj) -> Obj:
    on = str(data.get("on", "true")).lower() not in {"false", "0", "off"}
    seconds = float(data.get("seconds", 3600)) if on else 0.0
    sim.down_until = time.monotonic() + seconds
    return {"down": seconds > 0, "seconds": seconds}


def _refuse(sim: Simulator, data: Obj) -> Obj:
    """Refuse requests of `method` whose path begins with `prefix`, with this message, code, param and status. An empty body ends this."""
    sim.refusals = [*sim.refusals, {"method": "POST", "status": 400, **data}] if data else []
    return {"refusals": sim.refusals}


def _dunning(sim: Simulator, data: Obj) -> Obj:
    days: Any = data.get("retries")
    if isinstance(days, dict):
        days = [days[key] for key in sorted(days, key=int)]
    settings = dunning.configure(sim.store, [float(day) for day in days] if days is not None else None, data.get("final"))
    return settings


def _dispute(sim: Simulator, data: Obj) -> Obj:
    with sim.unit() as unit:
        return view(unit, disputes.open_dispute(unit, data["charge"], str(data.get("reason", "fraudulent")), data.get("amount")))


def _tick(sim: Simulator) -> Obj:
    completed = 0
    while sim.run_due():
        completed += 1
    return {"ran": completed}


def _redeliver(sim: Simulator, event: str) -> Obj:
    with sim.store.lock:
        row = sim.store.one("SELECT body FROM objects WHERE id = ? AND object = 'event'", (event,))
        if row is None:
            raise Refusal(f"No such event: '{event}'", status=404, code="resource_missing")
        known = {r["endpoint"] for r in sim.store.all("SELECT endpoint FROM deliveries WHERE event = ?", (event,))}
        known |= {endpoint["id"] for endpoint in sim.endpoints()}
        for endpoint in known:
            sim.store.run(
                "INSERT INTO deliveries (event, type, endpoint, due) VALUES (?, ?, ?, ?)",
                (event, json.loads(row["body"])["type"], endpoint, time.time()),
            )
    sim.deliveries_due.set()
    return {"event": event, "deliveries": len(known)}
