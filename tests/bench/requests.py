"""Request bytes, as endless iterators. Requests that must differ are generated while sending."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence


def request(method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def cycle(ready: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the items in random order, so that two servers do not see the same neighbors."""
    ready = list(ready)
    random.Random(1).shuffle(ready)
    return itertools.cycle(ready)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def random_id() -> str:
    """Return a version 4 UUID: what most clients send, and the worst case for an index."""
    text = os.urandom(16).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:]}"


_counter = itertools.count()


def timed_id() -> str:
    """Return a version 7 UUID, which begins with its time."""
    text = f"{time.time_ns() // 1_000_000:012x}"
    rest = f"{next(_counter) & 0xFFF:03x}{os.urandom(8).hex()}"
    return f"{text[:8]}-{text[8:]}-7{rest[:3]}-8{rest[3:6]}-{rest[6:18]}"


def posts(path: str, heads: Sequence[dict[str, str]], body: Callable[[], bytes]) -> Iterator[bytes]:
    """Yield a request with a new body each time. Its length must not change."""
    length = len(body())
    starts = itertools.cycle([request("POST", path, b"x" * length, head)[:-length] for head in heads])
    while True:
        yield next(starts) + body()


def keyed(path: str, heads: Sequence[dict[str, str]], body: bytes, identify: Callable[[], str] = random_id) -> Iterator[bytes]:
    """Yield the same body with a new Idempotency-Key each time."""
    marker = "0" * 36
    parts = [request("POST", path, body, {**head, "Idempotency-Key": marker}).split(marker.encode(), 1) for head in heads]
    for before, after in itertools.cycle(parts):
        yield before + identify().encode() + after


def event(identify: Callable[[], str] = random_id) -> bytes:
    """Return one event of 150 bytes, as a client sends it."""
    return (
        f'{{"feature":"sessions","amount":1,"idempotencyKey":"{identify()}","properties":{{"tool":"search","server":"github"}}}}'
    ).encode()


def dated(identify: Callable[[], str], seconds: int) -> bytes:
    """Return an event that occurred within the last `seconds`."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - random.randrange(seconds)))
    return event(identify)[:-1] + f',"occurredAt":"{moment}"}}'.encode()


def batches(path: str, heads: Sequence[dict[str, str]], size: int, identify: Callable[[], str], ready: int) -> Iterator[bytes]:
    """Yield batches. `ready` of them are generated in advance, because generating one takes as long as the server needs for it."""

    def make(number: int) -> bytes:
        events = b",".join(dated(identify, 3600) for _ in range(size))
        return request("POST", path, b'{"events":[' + events + b"]}", heads[number % len(heads)])

    created = [make(number) for number in range(ready)]
    return itertools.chain(created, map(make, itertools.count(ready)))


def webhooks(path: str, secret: str) -> Iterator[bytes]:
    """Yield new signed Stripe events of 3 kB: a subscription with 3 items that have 20 metadata keys each."""
    price = {"id": "price_bench", "object": "price", "metadata": {f"k{number}": "v" * 30 for number in range(20)}}
    items = {"object": "list", "data": [{"id": f"si_{number}", "object": "subscription_item", "price": price} for number in range(3)]}
    subscription = {"id": "sub_bench", "object": "subscription", "customer": "CUSTOMER", "items": items}
    whole = {
        "id": "IDENTITY",
        "object": "event",
        "api_version": "2026-05-27.dahlia",
        "created": int(time.time()),
        "livemode": False,
        "type": "customer.subscription.updated",
        "data": {"object": subscription},
    }
    template = json.dumps(whole)
    while True:
        body = template.replace("IDENTITY", f"evt_{os.urandom(12).hex()}").replace("CUSTOMER", f"cus_{random.randrange(1000)}").encode()
        moment = str(int(time.time()))
        signed = hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
        yield request("POST", path, body, {"Stripe-Signature": f"t={moment},v1={signed}"})
