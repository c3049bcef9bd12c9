"""Usage that is stored on disk until it is sent: it arrives exactly once, even if the caller or the service is killed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from contextmcp_sdk import Client, Customer, EventBuffer, Retries, ServiceUnreachable
from contextmcp_sdk.journal import REJECTED

from tests.sdk.conftest import sessions_used
from usage.models import UsageEvent

AWAY = "http://127.0.0.1:9"
RECORDER = """
import sys
from contextmcp_sdk import Client, EventBuffer

folder, key, url, organization = sys.argv[1:]
buffer = EventBuffer(folder, Client(key, url=url), interval=0.01)
while True:
    print(buffer.record("context_queries", organization_id=organization), flush=True)
"""


def counted(organization):
    return sorted(UsageEvent.objects.filter(organization=organization, feature="context_queries").values_list("amount", flat=True))


@pytest.mark.chaos
def test_events_of_a_killed_caller_arrive_once(tmp_path, vendor, vendor_key, url, organization):
    """SIGKILL hits the caller while it records and while its thread delivers: twice, so that a third process finds the files of two."""
    stored = []
    for _ in range(2):
        command = [sys.executable, "-c", RECORDER, str(tmp_path), vendor_key, url, str(organization.pk)]
        caller = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        stored += [caller.stdout.readline().strip() for _ in range(300)]
        caller.send_signal(signal.SIGKILL)
        # The last line may be incomplete. In that case `record` has not returned.
        stored += [line.strip() for line in caller.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        caller.wait()
    assert len(set(stored)) == len(stored) >= 600
    with EventBuffer(tmp_path, vendor) as buffer:
        buffer.flush()
        assert buffer.is_empty()
    amounts = counted(organization)
    # An event may have reached the disk without the caller's knowing it.
    assert set(amounts) == {1} and len(stored) <= len(amounts) <= len(stored) + 2
    assert not (tmp_path / REJECTED).exists()


def test_what_happens_during_an_outage_is_counted_afterwards(tmp_path, vendor, vendor_key, organization, key):
    customer = Customer(credential=key, organization_id=str(organization.pk))
    with Client(vendor_key, url=AWAY, retries=Retries(attempts=1)) as unreachable, EventBuffer(tmp_path, unreachable) as buffer:
        buffer.record("sessions", 2, organization_id=str(organization.pk))
        with pytest.raises(ServiceUnreachable):
            buffer.flush()
        settings = {"url": AWAY, "retries": Retries(attempts=1), "failure_mode": "fail_open", "event_buffer": buffer}
        with Client(vendor_key, customer=customer, **settings) as client:
            answer = client.authorize("sessions", 3, idempotency_key="lost answer")
            assert (answer.allowed, answer.recorded) == (True, True)
            with client.hold("sessions", 20) as hold:
                client.settle_hold(hold, 5)
            with pytest.raises(ZeroDivisionError), client.hold("sessions", 20):
                raise ZeroDivisionError
    # The service had counted the call before its response was lost, and it held units whose settlement is late.
    vendor.authorize("sessions", 3, idempotency_key="lost answer", customer=customer)
    held = vendor.open_hold("sessions", 7, customer=customer)
    with Client(vendor_key, url=AWAY, retries=Retries(attempts=1)) as unreachable, EventBuffer(tmp_path, unreachable) as buffer:
        unreachable.event_buffer = buffer
        assert unreachable.settle_hold(held, 6) is None
    assert sessions_used(organization) == 3 + 7
    with EventBuffer(tmp_path, vendor) as buffer:
        buffer.flush()
    assert sessions_used(organization) == 2 + 3 + 5 + 6
    assert not (tmp_path / REJECTED).exists()
    assert key not in "".join(path.read_text() for path in Path(tmp_path).iterdir() if path.is_file())


def test_a_refused_event_is_kept_for_a_person_and_delays_nothing(tmp_path, vendor, organization):
    with EventBuffer(tmp_path, vendor) as buffer:
        buffer.record("no_such_feature", organization_id=str(organization.pk))
        buffer.record("sessions", organization_id="01981a52-9c1e-7a3f-8f43-5d0c2b6e7a10")
        buffer.record("sessions", organization_id=str(organization.pk))
        deadline = time.monotonic() + 60
        while not buffer.is_empty() and time.monotonic() < deadline:
            time.sleep(0.05)
    assert sessions_used(organization) == 1
    rejected = (tmp_path / REJECTED).read_text()
    assert "validation_error" in rejected and "customer_not_found" in rejected
