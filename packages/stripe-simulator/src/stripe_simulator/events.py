"""Events: each is written with the change that it reports, with a snapshot of the object and its pending deliveries."""

import random
import time
from typing import Any

from stripe_simulator.defaults import new_object
from stripe_simulator.render import view
from stripe_simulator.routes import spec
from stripe_simulator.types import Obj, dump_json, load_json, new_id
from stripe_simulator.unit_of_work import Unit


def emit(unit: Unit, kind: str, obj: Obj, *, previous: Obj | None = None) -> Obj | None:
    """Emit an event of type `kind` about `obj`. As at Stripe, an update that changes nothing emits no event."""
    now = view(unit, obj)
    data: Obj = {"object": now}
    if kind.endswith(".updated") and previous is None:
        before = unit.loaded.get(obj["id"])
        previous = difference(view(unit, load_json(before)), now) if before else {}
        if before and not previous:
            return None
    if previous is not None:
        data["previous_attributes"] = previous
    unit.loaded[obj["id"]] = dump_json(obj)
    event = new_object(
        "event",
        id=new_id("evt", 24),
        api_version=spec.VERSION,
        created=int(time.time()),  # always real time, even for an object on a test clock
        data=data,
        type=kind,
        request={"id": unit.request_id, "idempotency_key": unit.idempotency_key},
    )
    event.pop("context", None)
    if unit.held_events is not None:
        unit.held_events.append(event)
    else:
        write(unit, event)
    return event


def updated(unit: Unit, obj: Obj, kind: str | None = None) -> None:
    """Save an object and emit an event with its changed properties."""
    unit.save(obj)
    emit(unit, f"{kind or obj['object']}.updated", obj)


def difference(before: Obj, now: Obj) -> Obj:
    """Return the previous values of changed properties. As at Stripe, hashes are compared by key, lists and objects as a whole."""
    changed: Obj = {}
    for key in {**before, **now}:
        old, new = before.get(key), now.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict) and "id" not in old:
            changed[key] = difference(old, new)
        else:
            changed[key] = old
    return changed


def write(unit: Unit, event: Obj) -> None:
    unit.add(event)
    unit.emitted.append(event)
    rows = [(event["id"], event["type"], endpoint["id"]) for endpoint in _listening(unit, event["type"])]
    event["pending_webhooks"] = len(rows)
    chaos = unit.store.setting("chaos") or {}
    rng = random.Random(f"{chaos.get('seed', 0)}:{unit.store.next_number('told')}")
    for row in rows:
        times = 2 if rng.random() < chaos.get("duplicate", 0) else 1
        for _ in range(times):
            wait = rng.random() * chaos.get("delay", 0) + (rng.random() * 2 if rng.random() < chaos.get("shuffle", 0) else 0)
            dropped = rng.random() < chaos.get("drop", 0)
            unit.store.run(
                "INSERT INTO deliveries (event, type, endpoint, due, state) VALUES (?, ?, ?, ?, ?)",
                (*row, time.time() + wait, "dropped" if dropped else "pending"),
            )


def _listening(unit: Unit, kind: str) -> list[Obj]:
    endpoints = [*unit.endpoints, *(e for e in unit.find("webhook_endpoint") if e["status"] == "enabled")]
    return [endpoint for endpoint in endpoints if "*" in endpoint["enabled_events"] or kind in endpoint["enabled_events"]]


def hold(unit: Unit) -> None:
    """Hold back the events that follow, so that `release` can emit them in Stripe's order."""
    unit.held_events = []


def release(unit: Unit, order: tuple[str, ...], drop: tuple[str, ...] = ()) -> None:
    """Emit the held events: first by their position in `order`, then in sequence, each with the object's final state."""
    events, unit.held_events = unit.held_events or [], None
    last: dict[Any, Obj] = {}
    for event in events:
        last[event["data"]["object"].get("id")] = event["data"]["object"]
    ranked = sorted(events, key=lambda event: order.index(event["type"]) if event["type"] in order else len(order))
    for event in ranked:
        if event["type"] in drop:
            continue
        if event["type"] == "customer.subscription.created":
            event["data"]["object"] = last[event["data"]["object"]["id"]]
        write(unit, event)
