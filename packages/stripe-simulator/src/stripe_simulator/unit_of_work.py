"""A unit of work: the objects that a request or a job reads and changes are written back together or not at all."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from stripe_simulator.errors import resource_missing
from stripe_simulator.store import Store
from stripe_simulator.types import Obj, dump_json, id_of, load_json

# The column `parent`, by which lists of child objects are filtered.
PARENT: dict[str, Callable[[Obj], Any]] = {
    "price": lambda o: o["product"],
    "product_feature": lambda o: o["_product"],
    "invoice": lambda o: o.get("_subscription"),
    "invoiceitem": lambda o: o.get("invoice") or "pending",
    "invoice_payment": lambda o: o["invoice"],
    "charge": lambda o: o.get("payment_intent"),
    "refund": lambda o: o.get("charge"),
    "dispute": lambda o: o.get("charge"),
    "credit_note": lambda o: o["invoice"],
    "billing.meter_event": lambda o: o["event_name"],
    "checkout.session": lambda o: o.get("subscription"),
    "promotion_code": lambda o: o["promotion"]["coupon"],
    "discount": lambda o: o.get("subscription"),
    "subscription_schedule": lambda o: o.get("subscription"),
}
# The column `tag`, by which objects are looked up.
TAG: dict[str, Callable[[Obj], Any]] = {
    "price": lambda o: o.get("lookup_key"),
    "event": lambda o: o["type"],
    "promotion_code": lambda o: o["code"].lower(),
    "billing.meter": lambda o: o["event_name"],
    "billing.meter_event": lambda o: o["identifier"],
    "entitlements.feature": lambda o: o["lookup_key"],
    "customer": lambda o: o.get("email"),
    "invoice_payment": lambda o: o["payment"].get("payment_intent"),
    "checkout.session": lambda o: o.get("payment_intent"),
}


@dataclass
class Unit:
    store: Store
    base_url: str
    request_id: str | None = None
    idempotency_key: str | None = None
    endpoints: tuple[Obj, ...] = ()  # the endpoint from the command line, which is not an API object
    live: dict[str, Obj] = field(default_factory=dict)
    loaded: dict[str, str] = field(default_factory=dict)  # state when it was read, or at its last event
    written: dict[str, str] = field(default_factory=dict)  # state in the store
    dirty: set[str] = field(default_factory=set)
    held_events: list[Obj] | None = None  # events that wait to be emitted in Stripe's order
    pretend: int | None = None  # the time for which a preview is calculated
    emitted: list[Obj] = field(default_factory=list)

    def now(self, about: Obj | str | None = None) -> int:
        """Return the current time of an object, from its test clock or else the real time."""
        if self.pretend is not None:
            return self.pretend
        clock = self.clock_of(about)
        clock_object = self.get(clock) if clock else None
        if clock_object is None:
            return int(time.time())
        moment: int = clock_object.get("_now") or clock_object["frozen_time"]
        return moment

    def real_time(self) -> int:
        """Return the real time, for processes that test clocks do not affect."""
        return int(time.time())

    def clock_of(self, about: Obj | str | None) -> str | None:
        owner = self.get(about) if isinstance(about, str) else about
        if owner is None:
            return None
        if owner["object"] == "test_helpers.test_clock":
            return id_of(owner)
        if clock := id_of(owner.get("test_clock")):
            return clock
        customer = self.get(id_of(owner.get("customer")) or "")
        return id_of(customer.get("test_clock")) if customer else None

    def get(self, id: str) -> Obj | None:
        if not id:
            return None
        if id in self.live:
            return self.live[id]
        row = self.store.one("SELECT body FROM objects WHERE id = ?", (id,))
        return None if row is None else self._load(id, row["body"])

    def _load(self, id: str, body: str) -> Obj:
        if id not in self.live:
            self.live[id] = load_json(body)
            self.loaded[id] = self.written[id] = body
        return self.live[id]

    def require(self, kind: str, id: str, param: str | None = None, *, deleted: bool = False) -> Obj:
        obj = self.get(id)
        if obj is None or obj["object"] != kind or (obj.get("deleted") and not deleted):
            raise resource_missing(kind, id, param)
        return obj

    def add(self, obj: Obj) -> Obj:
        self.live[obj["id"]] = obj
        self.dirty.add(obj["id"])
        return obj

    def save(self, obj: Obj) -> None:
        self.dirty.add(obj["id"])

    def write_changes(self) -> None:
        """Before the commit, write all objects that differ from the store, whether or not `save` was called."""
        self.dirty |= {id for id, obj in self.live.items() if dump_json(obj) != self.written.get(id)}
        self.flush()

    def flush(self) -> None:
        for id in sorted(self.dirty, key=list(self.live).index) if len(self.dirty) > 1 else self.dirty:
            self._write(self.live[id])
        self.dirty.clear()

    def _write(self, obj: Obj) -> None:
        kind = obj["object"]
        parent = id_of(PARENT[kind](obj)) if kind in PARENT and not obj.get("deleted") else None
        body = dump_json(obj)
        self.written[obj["id"]] = body
        tag = TAG[kind](obj) if kind in TAG and not obj.get("deleted") else None
        self.store.run(
            "INSERT INTO objects (id, object, created, customer, parent, tag, clock, deleted, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET customer = excluded.customer, parent = excluded.parent, tag = excluded.tag, "
            "clock = excluded.clock, deleted = excluded.deleted, body = excluded.body",
            (
                obj["id"],
                kind,
                obj.get("created") or int(time.time()),
                id_of(obj.get("customer") or obj.get("_customer")),
                parent,
                tag,
                id_of(obj.get("test_clock")),
                int(bool(obj.get("deleted"))),
                body,
            ),
        )

    def find(
        self,
        kind: str,
        *,
        oldest_first: bool = False,
        where: str = "",
        arguments: Iterable[Any] = (),
        limit: int | None = None,
        **columns: Any,
    ) -> list[Obj]:
        """Return the objects of a kind that are not deleted, newest first, filtered by customer, parent, tag and clock."""
        self.flush()
        conditions = {name: value for name, value in columns.items() if value is not None}
        terms = "".join(f" AND {name} = ?" for name in conditions)
        order = "" if oldest_first else " DESC"
        rows = self.store.all(
            f"SELECT id, body FROM objects WHERE object = ? AND deleted = 0{terms}{where} ORDER BY seq{order} LIMIT ?",
            (kind, *conditions.values(), *arguments, -1 if limit is None else limit),
        )
        return [self._load(row["id"], row["body"]) for row in rows]

    def tombstone(self, obj: Obj) -> Obj:
        """Delete an object. As at Stripe, retrieving it then returns only its ID and `deleted`."""
        stub = {"id": obj["id"], "object": obj["object"], "deleted": True, "created": obj.get("created")}
        self.live[obj["id"]] = stub
        self.dirty.add(obj["id"])
        return {key: stub[key] for key in ("id", "object", "deleted")}

    def delete(self, id: str) -> None:
        self.flush()
        self.live.pop(id, None)
        self.store.run("DELETE FROM objects WHERE id = ?", (id,))
