"""Usage events that are stored in a folder on disk until the service has accepted them.

    buffer = EventBuffer("/var/lib/my-server/usage", client)
    buffer.record("sessions", organization_id="0198...")

`record` returns when the event is on the disk. The event is sent in the background, and once more after a crash, and counted once. API keys
are never written to the disk, so events name the customer by the ID of the organization.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
from typing_extensions import Self

from .delivery import INTERVAL_SECONDS, Delivery
from .errors import InvalidResponse
from .journal import DEFAULT_MAX_BYTES, Journal
from .refusals import CustomerNotFound, HoldAlreadyEnded, NotFound, ValidationFailed
from .types import BufferedEvent, BufferedRecord, BufferedSettlement, Customer, UsageEvent

if TYPE_CHECKING:
    from .client import Client

# Rejections that lose no usage of a call that was allowed locally: the service had counted the request before its response was lost, or the
# feature is not counted at all.
_NOTHING_TO_COUNT = frozenset({"idempotency_conflict", "validation_error"})
_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(BufferedRecord)


class EventBuffer:
    """A folder of events. Every process of a machine may use the same folder; create the buffer after a fork.

    Args:
        folder: on a local disk that survives a restart.
        client: sends the events. It needs a service key with the scope `usage:write`, and no event buffer of its own.
        max_bytes: from this size on, `record` raises `JournalFull`.
        interval: seconds from an event to its delivery, in which others join it.
    """

    def __init__(
        self, folder: Path | str, client: Client, *, max_bytes: int = DEFAULT_MAX_BYTES, interval: float = INTERVAL_SECONDS
    ) -> None:
        self._client = client
        self._journal = Journal(folder, max_bytes=max_bytes)
        self._delivery = Delivery(self._journal, self._deliver, interval=interval)
        self._delivery.start()

    def record(
        self,
        feature: str,
        amount: int = 1,
        *,
        organization_id: str,
        idempotency_key: str | None = None,
        occurred_at: datetime | None = None,
        properties: dict[str, Any] | None = None,
    ) -> str:
        """Store an event and return its idempotency key. `occurred_at` is aware, and now by default.

        Raises:
            JournalFull: the folder has reached its maximum size.
            OSError: the disk cannot be written.
        """
        key = idempotency_key or str(uuid4())
        event = UsageEvent(feature, amount, key, occurred_at or datetime.now(timezone.utc), properties=properties)
        self.append(BufferedEvent(organization_id, event))
        return key

    def append(self, record: BufferedRecord) -> None:
        """Store a record that the client made. Raises the errors of `record`."""
        self._journal.append(_encode(record))
        self._delivery.notify()

    def flush(self) -> int:
        """Send all pending records, and return their number. Raises `ContextMCPError` if the service does not accept them."""
        return self._delivery.flush()

    def is_empty(self) -> bool:
        """Return whether no event is pending."""
        return self._journal.is_empty()

    def close(self, timeout: float | None = 5.0) -> None:
        """Send the pending events, for at most `timeout` seconds. The rest stays on disk."""
        self._delivery.close(timeout)

    def __enter__(self) -> Self:
        """Return the buffer."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the buffer."""
        self.close()

    def _deliver(self, lines: Sequence[bytes]) -> dict[int, str]:
        rejected: dict[int, str] = {}
        events: dict[str, list[tuple[int, BufferedEvent]]] = {}
        for position, line in enumerate(lines):
            try:
                record = _decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                rejected[position] = f"damaged: {error}"
                continue
            if isinstance(record, BufferedEvent):
                events.setdefault(record.organization_id, []).append((position, record))
            elif reason := self._settle(record):
                rejected[position] = reason
        for organization_id, numbered in events.items():
            rejected |= self._send(organization_id, numbered)
        return rejected

    def _send(self, organization_id: str, numbered: Sequence[tuple[int, BufferedEvent]]) -> dict[int, str]:
        customer = Customer(organization_id=organization_id)
        try:
            answer = self._client.record_events([record.event for _, record in numbered], customer=customer)
        except (CustomerNotFound, ValidationFailed) as refusal:
            return {position: str(refusal) for position, _ in numbered}
        if len(answer.results) != len(numbered):
            raise InvalidResponse("The service returned a different number of results than there were events.")
        return {
            position: f"{result.code}: {result.detail}"
            for (position, record), result in zip(numbered, answer.results, strict=True)
            if result.status == "refused" and not (record.requested and result.code in _NOTHING_TO_COUNT)
        }

    def _settle(self, record: BufferedSettlement) -> str | None:
        try:
            customer = Customer(organization_id=record.organization_id)
            self._client.settle_hold_by_id(record.hold_id, record.amount, tool=record.tool, customer=customer)
        except (CustomerNotFound, HoldAlreadyEnded, NotFound, ValidationFailed) as refusal:
            return str(refusal)
        return None
