"""`/_sim/...`: what the tests and the tour do to the simulator that nobody can do to Stripe."""

import json
import time
from collections.abc import Callable
from typing import Any

from contextmcp.local.stripe import dunning
from contextmcp.local.stripe.errors import Refusal
from contextmcp.local.stripe.kinds import Obj
from contextmcp.local.stripe.render import view
from contextmcp.local.stripe.resources import disputes, test_clocks
from contextmcp.local.stripe.routes import form
from contextmcp.local.stripe.simulator import Answer, Request, Simulator
from contextmcp.local.stripe.webhooks import Courier

CHAOS = {"seed": 0, "duplicate": 0.0, "shuffle": 0.0, "delay": 0.0, "drop": 0.0}


def respond(courier: Courier, sim: Simulator, request: Request) -> Answer:
    steps = request.path.removeprefix("/_sim/").strip("/").split("/")
    try:
        given = _given(request)
        result = _act(courier, sim, request.method, steps, given)
    except Refusal as refusal:
        return _json(refusal.status, refusal.body("control"))
    except (TypeError, ValueError) as problem:
        return _json(400, {"error": {"message": str(problem), "type": "invalid_request_error"}})
    return _json(200, result)


def _json(status: int, payload: Obj) -> Answer:
    return Answer(status, json.dumps(payload).encode(), {"Content-Type": "application/json"})


def _given(request: Request) -> Obj:
    given = form.decode(request.query)
    if request.body.lstrip().startswith("{"):
        return given | dict(json.loads(request.body))
    return given | form.decode(request.body)


def _act(courier: Courier, sim: Simulator, method: str, steps: list[str], given: Obj) -> Obj:
    simple: dict[tuple[str, ...], Callable[[], Obj]] = {
        ("GET", "ready"): lambda: {"ready": True, "base_url": sim.base_url},
        ("GET", "findings"): lambda: _findings(sim, given),
        ("DELETE", "findings"): lambda: {"removed": sim.store.run("DELETE FROM findings")},
        ("GET", "deliveries"): lambda: _deliveries(sim, given),
        ("POST", "drain"): lambda: {"drained": courier.drain(float(given.get("timeout", 30)))},
        ("POST", "reset"): lambda: _reset(sim),
        ("POST", "chaos"): lambda: _chaos(sim, given),
        ("GET", "chaos"): lambda: sim.store.setting("chaos", CHAOS),
        ("POST", "down"): lambda: _down(sim, given),
        ("POST", "dunning"): lambda: _dunning(sim, given),
        ("GET", "dunning"): lambda: dunning.settings(sim.store),
        ("POST", "disputes"): lambda: _dispute(sim, given),
        ("POST", "tick"): lambda: _tick(sim),
    }
    if action := simple.get((method, *steps)):
        return action()
    match (method, steps):
        case ("POST", ["events", event, "redeliver"]):
            return _redeliver(sim, event)
        case ("POST", ["customers", customer, "clock"]):
            with sim.unit() as unit:
                return view(unit, test_clocks.hang_on(unit, customer, given.get("test_clock") or given.get("clock")))
    raise Refusal(f"No control endpoint {method} /_sim/{'/'.join(steps)}", status=404)


def _findings(sim: Simulator, given: Obj) -> Obj:
    rows = sim.store.all("SELECT * FROM findings WHERE ? IS NULL OR kind = ? ORDER BY id", (given.get("kind"), given.get("kind")))
    found = [{**dict(row), "messages": row["messages"].split("\n")} for row in rows]
    return {"count": len(found), "findings": found}


def _deliveries(sim: Simulator, given: Obj) -> Obj:
    limit = int(given.get("limit", 100))
    rows = sim.store.all(
        "SELECT * FROM deliveries WHERE (? IS NULL OR event = ?) AND (? IS NULL OR state = ?) ORDER BY id DESC LIMIT ?",
        (given.get("event"), given.get("event"), given.get("state"), given.get("state"), limit),
    )
    totals = sim.store.all("SELECT state, COUNT(*) AS number FROM deliveries GROUP BY state")
    return {"totals": {row["state"]: row["number"] for row in totals}, "deliveries": [dict(row) for row in rows]}


def _reset(sim: Simulator) -> Obj:
    sim.reset()
    return {"reset": True}


def _chaos(sim: Simulator, given: Obj) -> Obj:
    unknown = set(given) - set(CHAOS)
    if unknown:
        raise ValueError(f"chaos knows {', '.join(CHAOS)}, not {', '.join(sorted(unknown))}")
    chosen = {**CHAOS, **{key: float(value) if key != "seed" else int(value) for key, value in given.items()}}
    with sim.store.lock:
        sim.store.set("chaos", chosen)
        sim.store.set("told", 0)  # the same seed plays the same dice again
    return chosen


def _down(sim: Simulator, given: Obj) -> Obj:
    on = str(given.get("on", "true")).lower() not in {"false", "0", "off"}
    seconds = float(given.get("seconds", 3600)) if on else 0.0
    sim.down_until = time.monotonic() + seconds
    return {"down": seconds > 0, "seconds": seconds}


def _dunning(sim: Simulator, given: Obj) -> Obj:
    days: Any = given.get("retries")
    if isinstance(days, dict):
        days = [days[key] for key in sorted(days, key=int)]
    chosen = dunning.change(sim.store, [float(day) for day in days] if days is not None else None, given.get("final"))
    return chosen


def _dispute(sim: Simulator, given: Obj) -> Obj:
    with sim.unit() as unit:
        return view(unit, disputes.open_dispute(unit, given["charge"], str(given.get("reason", "fraudulent")), given.get("amount")))


def _tick(sim: Simulator) -> Obj:
    ran = 0
    while sim.run_due():
        ran += 1
    return {"ran": ran}


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
    sim.news.set()
    return {"event": event, "deliveries": len(known)}
