"""Records on disk: bounded, in order, safe with concurrent processes, and intact after a crash."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from contextmcp_sdk.delivery import Delivery
from contextmcp_sdk.errors import ServiceUnreachable
from contextmcp_sdk.journal import MAX_SEGMENT_RECORDS, REJECTED, Journal, JournalFull

HOLDER = """
import sys
from contextmcp_sdk.journal import Journal
journal = Journal(sys.argv[1])
journal.append(b"theirs")
print("ready", flush=True)
sys.stdin.readline()
"""


def taken(journal):
    with journal.segments() as segments:
        found = []
        for segment in segments:
            found += segment.lines
            segment.remove()
        return found


def test_records_keep_their_order_over_many_files(tmp_path):
    journal = Journal(tmp_path / "folder")
    records = [f"record {number}".encode() for number in range(MAX_SEGMENT_RECORDS * 2 + 1)]
    for record in records:
        journal.append(record)
    assert list(Journal(tmp_path / "folder").lines()) == records
    assert (tmp_path / "folder").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "folder").iterdir())
    assert taken(journal) == records and journal.is_empty() and taken(journal) == []


def test_a_full_folder_refuses_and_has_room_again(tmp_path):
    journal = Journal(tmp_path, max_bytes=40)
    for _ in range(4):
        journal.append(b"123456789")
    with pytest.raises(JournalFull):
        journal.append(b"1")
    with pytest.raises(JournalFull):
        Journal(tmp_path, max_bytes=40).append(b"1")
    assert len(taken(journal)) == 4
    journal.append(b"1")
    for _ in range(5):
        journal.reject(b"123456789", "a\treason\n")
    assert (tmp_path / REJECTED).read_bytes() == b"a reason \t123456789\n"


def test_a_line_that_was_being_written_is_no_record(tmp_path):
    journal = Journal(tmp_path)
    journal.append(b"whole")
    journal.close()
    (path,) = tmp_path.iterdir()
    with path.open("ab") as file:
        file.write(b"torn")
    assert taken(Journal(tmp_path)) == [b"whole"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_is_an_error_and_damages_no_other_record(tmp_path):
    journal = Journal(tmp_path)
    journal.append(b"before")
    # From here on, writes fail with a full disk.
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, journal._segment.fileno())
    os.close(full)
    with pytest.raises(OSError, match="No space"):
        journal.append(b"refused")
    journal.append(b"after")
    assert taken(journal) == [b"before", b"after"]


def test_the_file_of_a_living_process_is_left_alone(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"ready\n"
        journal = Journal(tmp_path)
        assert taken(journal) == [] and not journal.is_empty() and list(journal.lines()) == [b"theirs"]
    finally:
        holder.kill()
        holder.wait()
    assert taken(journal) == [b"theirs"]


def test_threads_lose_nothing(tmp_path):
    """Files are taken while others are created, which must not remove a new one."""
    journal, found = Journal(tmp_path), []

    def write(name):
        for number in range(100):
            journal.append(f"{name} {number}".encode())

    writers = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for each in writers:
        each.start()
    other = Journal(tmp_path)
    while any(each.is_alive() for each in writers):
        found += taken(journal) + taken(other)
    found += taken(journal)
    assert sorted(found) == sorted(f"{name} {number}".encode() for name in range(4) for number in range(100))


def test_a_delivery_that_fails_is_repeated_and_what_is_rejected_is_kept(tmp_path):
    journal, delivered, failures = Journal(tmp_path), [], [ServiceUnreachable("away")]

    def deliver(lines):
        if failures:
            raise failures.pop()
        delivered.extend(lines)
        return {1: "never"} if len(lines) > 1 else {}

    delivery = Delivery(journal, deliver)
    for record in (b"one", b"two"):
        journal.append(record)
    with pytest.raises(ServiceUnreachable):
        delivery.flush()
    journal.append(b"three")
    assert delivery.flush() == 3 and delivered == [b"one", b"two", b"three"]
    assert (tmp_path / REJECTED).read_bytes() == b"never\ttwo\n"
    delivery.start()
    journal.append(b"four")
    delivery.close()
    assert delivered[-1] == b"four" and journal.is_empty()
