"""One unit of work: the objects a request (or a due job) reads and changes, written back together or not at all."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from contextmcp.local.stripe.errors import missing
from contextmcp.local.stripe.kinds import Obj, ident, read, written
from contextmcp.local.stripe.store import Store

# Where an object hangs, for the lists that are asked for: the column `parent`.
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
# What it is looked up by: the column `tag`.
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
    endpoints: tuple[Obj, ...] = ()  # the endpoint given on the command line, which is no object of the API
    live: dict[str, Obj] = field(default_factory=dict)
    loaded: dict[str, str] = field(default_factory=dict)  # as it was when read, or when last told by an event
    written: dict[str, str] = field(default_factory=dict)  # as the store has it
    dirty: set[str] = field(default_factory=set)
    held: list[Obj] | None = None  # events waiting to be put in Stripe's order
    pretend: int | None = None  # a moment to look ahead from, for a preview
    told: list[Obj] = field(default_factory=list)

    # Time

    def now(self, about: Obj | str | None = None) -> int:
        """The time it is for an object: its test clock's, or the real one."""
        if self.pretend is not None:
            return self.pretend
        clock = self.clock_of(about)
        found = self.get(clock) if clock else None
        if found is None:
            return int(time.time())
        moment: int = found.get("_now") or found["frozen_time"]
        return moment

    def real_now(self) -> int:
        """The real time, for what no test clock moves."""
        return int(time.time())

    def clock_of(self, about: Obj | str | None) -> str | None:
        owner = self.get(about) if isinstance(about, str) else about
        if owner is None:
            return None
        if owner["object"] == "test_helpers.test_clock":
            return ident(owner)
        if clock := ident(owner.get("test_clock")):
            return clock
        customer = self.get(ident(owner.get("customer")) or "")
        return ident(customer.get("test_clock")) if customer else None

    # Objects

    def get(self, id: str) -> Obj | None:
        if not id:
            return None
        if id in self.live:
            return self.live[id]
        row = self.store.one("SELECT body FROM objects WHERE id = ?", (id,))
        return None if row is None else self._adopt(id, row["body"])

    def _adopt(self, id: str, body: str) -> Obj:
        if id not in self.live:
            self.live[id] = read(body)
            self.loaded[id] = self.written[id] = body
        return self.live[id]

    def need(self, kind: str, id: str, param: str | None = None, *, deleted: bool = False) -> Obj:
        found = self.get(id)
        if found is None or found["object"] != kind or (found.get("deleted") and not deleted):
            raise missing(kind, id, param)
        return found

    def add(self, obj: Obj) -> Obj:
        self.live[obj["id"]] = obj
        self.dirty.add(obj["id"])
        return obj

    def save(self, obj: Obj) -> None:
        self.dirty.add(obj["id"])

    def finish(self) -> None:
        """Before the commit: whatever differs from what is written, marked by `save` or not."""
        self.dirty |= {id for id, obj in self.live.items() if written(obj) != self.written.get(id)}
        self.flush()

    def flush(self) -> None:
        for id in sorted(self.dirty, key=list(self.live).index) if len(self.dirty) > 1 else self.dirty:
            self._write(self.live[id])
        self.dirty.clear()

    def _write(self, obj: Obj) -> None:
        kind = obj["object"]
        parent = ident(PARENT[kind](obj)) if kind in PARENT and not obj.get("deleted") else None
        body = written(obj)
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
                ident(obj.get("customer") or obj.get("_customer")),
                parent,
                tag,
                ident(obj.get("test_clock")),
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
        most: int | None = None,
        **columns: Any,
    ) -> list[Obj]:
        """Objects of a kind that are not deleted, newest first, by the columns customer, parent, tag and clock."""
        self.flush()
        asked = {name: value for name, value in columns.items() if value is not None}
        terms = "".join(f" AND {name} = ?" for name in asked)
        order = "" if oldest_first else " DESC"
        rows = self.store.all(
            f"SELECT id, body FROM objects WHERE object = ? AND deleted = 0{terms}{where} ORDER BY seq{order} LIMIT ?",
            (kind, *asked.values(), *arguments, -1 if most is None else most),
        )
        return [self._adopt(row["id"], row["body"]) for row in rows]

    def tombstone(self, obj: Obj) -> Obj:
        """A deleted object goes on answering, with nothing but its id."""
        gone = {"id": obj["id"], "object": obj["object"], "deleted": True, "created": obj.get("created")}
        self.live[obj["id"]] = gone
        self.dirty.add(obj["id"])
        return {key: gone[key] for key in ("id", "object", "deleted")}

    def forget(self, id: str) -> None:
        self.flush()
        self.live.pop(id, None)
        self.store.run("DELETE FROM objects WHERE id = ?", (id,))
