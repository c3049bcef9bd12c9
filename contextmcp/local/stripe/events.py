"""What Stripe tells: an event is written with the change it tells of, its payload frozen, and with it what must be delivered."""

import random
import time
from typing import Any

from contextmcp.local.stripe.kinds import Obj, new_id, read, written
from contextmcp.local.stripe.render import view
from contextmcp.local.stripe.routes import spec
from contextmcp.local.stripe.shape import blank
from contextmcp.local.stripe.unit import Unit


def emit(unit: Unit, kind: str, obj: Obj, *, previous: Obj | None = None) -> Obj | None:
    """Tell `kind` about `obj`. An update that changed nothing is not told, as at Stripe."""
    now = view(unit, obj)
    data: Obj = {"object": now}
    if kind.endswith(".updated") and previous is None:
        before = unit.loaded.get(obj["id"])
        previous = difference(view(unit, read(before)), now) if before else {}
        if before and not previous:
            return None
    if previous is not None:
        data["previous_attributes"] = previous
    unit.loaded[obj["id"]] = written(obj)
    event = blank(
        "event",
        id=new_id("evt", 24),
        api_version=spec.VERSION,
        created=int(time.time()),  # real time always, on a test clock too
        data=data,
        type=kind,
        request={"id": unit.request_id, "idempotency_key": unit.idempotency_key},
    )
    event.pop("context", None)
    if unit.held is not None:
        unit.held.append(event)
    else:
        write(unit, event)
    return event


def updated(unit: Unit, obj: Obj, kind: str | None = None) -> None:
    """Save an object and tell what changed of it."""
    unit.save(obj)
    emit(unit, f"{kind or obj['object']}.updated", obj)


def difference(before: Obj, now: Obj) -> Obj:
    """The former values of what changed. Hashes are compared inside, lists and objects as a whole, as Stripe does."""
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
    unit.told.append(event)
    rows = [(event["id"], event["type"], endpoint["id"]) for endpoint in _listening(unit, event["type"])]
    event["pending_webhooks"] = len(rows)
    chaos = unit.store.setting("chaos") or {}
    dice = random.Random(f"{chaos.get('seed', 0)}:{unit.store.next_number('told')}")
    for row in rows:
        times = 2 if dice.random() < chaos.get("duplicate", 0) else 1
        for _ in range(times):
            wait = dice.random() * chaos.get("delay", 0) + (dice.random() * 2 if dice.random() < chaos.get("shuffle", 0) else 0)
            dropped = dice.random() < chaos.get("drop", 0)
            unit.store.run(
                "INSERT INTO deliveries (event, type, endpoint, due, state) VALUES (?, ?, ?, ?, ?)",
                (*row, time.time() + wait, "dropped" if dropped else "pending"),
            )


def _listening(unit: Unit, kind: str) -> list[Obj]:
    everyone = [*unit.endpoints, *(e for e in unit.find("webhook_endpoint") if e["status"] == "enabled")]
    return [endpoint for endpoint in everyone if "*" in endpoint["enabled_events"] or kind in endpoint["enabled_events"]]


def hold(unit: Unit) -> None:
    """Keep the events of what follows, to tell them in the order in which Stripe tells them."""
    unit.held = []


def release(unit: Unit, order: tuple[str, ...], drop: tuple[str, ...] = ()) -> None:
    """Tell what was held: first by its place in `order`, then as it happened; each object as it is in the end."""
    held, unit.held = unit.held or [], None
    last: dict[Any, Obj] = {}
    for event in held:
        last[event["data"]["object"].get("id")] = event["data"]["object"]
    ranked = sorted(held, key=lambda event: order.index(event["type"]) if event["type"] in order else len(order))
    for event in ranked:
        if event["type"] in drop:
            continue
        if event["type"] == "customer.subscription.created":
            event["data"]["object"] = last[event["data"]["object"]["id"]]
        write(unit, event)
