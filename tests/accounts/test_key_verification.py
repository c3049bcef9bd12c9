"""Keys are verified by HMAC, and by bcrypt after a rotation of the secret."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from accounts import key_format, key_verification
from accounts.errors import KeyNotFound, VerificationBusy
from accounts.invalidation import watcher
from accounts.key_verification import Verifier
from accounts.manager import AuthManager
from accounts.models import ApiKey
from accounts.principal_cache import cache

OLD, NEW = b"o" * 32, b"n" * 32


@pytest.fixture
def bcrypt_calls(monkeypatch):
    """Record the keys that bcrypt verifies, and how many at a time."""
    calls, lock, real = [], threading.Lock(), key_format.verify_bcrypt
    bcrypt_calls = {"calls": calls, "now": 0, "most": 0}

    def bcrypt(raw, hashed):
        with lock:
            calls.append(raw)
            bcrypt_calls["now"] += 1
            bcrypt_calls["most"] = max(bcrypt_calls["most"], bcrypt_calls["now"])
        try:
            time.sleep(0.05)
            return real(raw, hashed)
        finally:
            with lock:
                bcrypt_calls["now"] -= 1

    monkeypatch.setattr(key_format, "verify_bcrypt", bcrypt)
    return bcrypt_calls


@pytest.fixture
def raw(settings, owner):
    settings.API_KEY_SECRETS = {1: OLD}
    return owner.key


def test_the_newest_secret_needs_no_bcrypt(raw, bcrypt_calls):
    AuthManager.authenticate(raw)
    assert bcrypt_calls["calls"] == []


@pytest.mark.parametrize(("secrets", "calls"), [({2: NEW, 1: OLD}, 0), ({2: NEW}, 1)], ids=["the old secret is known", "it is gone"])
def test_bcrypt_runs_once_after_the_old_secret_is_removed(raw, bcrypt_calls, settings, secrets, calls):
    settings.API_KEY_SECRETS = secrets
    for _ in range(3):
        AuthManager.authenticate(raw)
        cache.reset()
    assert bcrypt_calls["calls"] == [raw] * calls
    row = ApiKey.objects.get()
    assert (row.hmac_version, bytes(row.hmac)) == (2, key_format.digest(raw, 2))


@pytest.mark.parametrize("behind", [{1: OLD}, {1: OLD, 2: NEW}], ids=["it does not know the new secret", "it has it behind the old one"])
def test_a_row_never_moves_to_a_lower_version(raw, bcrypt_calls, settings, behind):
    settings.API_KEY_SECRETS = {2: NEW, 1: OLD}
    AuthManager.authenticate(raw)
    settings.API_KEY_SECRETS = behind
    for _ in range(2):
        cache.reset()
        AuthManager.authenticate(raw)
        assert ApiKey.objects.get().hmac_version == 2
    assert len(bcrypt_calls["calls"]) == (0 if 2 in behind else 2)


def _guess(raw, filler="x"):
    body = raw[:25] + filler * key_format.SECRET_LENGTH
    return body + key_format.checksum(body)


def test_a_guessed_key_is_refused_without_bcrypt(raw, bcrypt_calls, settings):
    settings.API_KEY_SECRETS = {2: NEW, 1: OLD}
    with pytest.raises(KeyNotFound):
        AuthManager.authenticate(_guess(raw))
    assert bcrypt_calls["calls"] == []
    assert ApiKey.objects.get().hmac_version == 1


def test_a_guessed_key_of_an_old_version_takes_one_bcrypt(raw, bcrypt_calls, settings, monkeypatch):
    monkeypatch.setattr(watcher, "is_fresh", lambda: True)
    settings.API_KEY_SECRETS = {2: NEW}
    for _ in range(3):
        with pytest.raises(KeyNotFound):
            AuthManager.authenticate(_guess(raw))
    assert len(bcrypt_calls["calls"]) == 1


def _in_threads(work, arguments):
    def run(argument):
        try:
            return work(argument)
        except (KeyNotFound, VerificationBusy) as refusal:
            return type(refusal)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(run, arguments))


@pytest.mark.django_db(transaction=True)
def test_concurrent_requests_with_one_key_share_one_bcrypt(raw, bcrypt_calls, settings):
    settings.API_KEY_SECRETS = {2: NEW}
    row, verifier = ApiKey.objects.get(), Verifier()
    assert _in_threads(lambda presented: verifier.verify(presented, row), [raw] * 20) == [None] * 20
    assert bcrypt_calls["calls"] == [raw]
    assert ApiKey.objects.get().hmac_version == 2


def test_a_stale_row_needs_no_second_bcrypt(raw, bcrypt_calls, settings):
    settings.API_KEY_SECRETS = {2: NEW}
    first, second, verifier = ApiKey.objects.get(), ApiKey.objects.get(), Verifier()
    verifier.verify(raw, first)
    verifier.verify(raw, second)
    assert bcrypt_calls["calls"] == [raw]
    with pytest.raises(KeyNotFound):
        verifier.verify(_guess(raw), second)
    assert bcrypt_calls["calls"] == [raw]


@pytest.mark.django_db(transaction=True)
def test_bcrypt_uses_two_threads_and_a_short_queue(raw, bcrypt_calls, settings):
    settings.API_KEY_SECRETS = {2: NEW}
    row, verifier = ApiKey.objects.get(), Verifier()
    guesses = [_guess(raw, email) for email in key_format.ALPHABET[:30]]
    answers = _in_threads(lambda presented: verifier.verify(presented, row), guesses)
    assert bcrypt_calls["most"] == key_verification.THREADS
    assert answers.count(KeyNotFound) >= key_verification.THREADS + key_verification.MAX_WAITING
    assert answers.count(VerificationBusy) == len(guesses) - answers.count(KeyNotFound) > 0
    assert verifier._in_progress == {}


def test_waiting_too_long_is_refused_and_caches_nothing(raw, bcrypt_calls, settings, monkeypatch):
    settings.API_KEY_SECRETS = {2: NEW}
    monkeypatch.setattr(key_verification, "WAIT_SECONDS", 0.01)
    over = threading.Event()
    for _ in range(key_verification.THREADS):
        key_verification.verifier._threads.submit(over.wait)
    with pytest.raises(VerificationBusy) as refusal:
        AuthManager.authenticate(raw)
    assert (refusal.value.code, refusal.value.status, refusal.value.details) == ("temporarily_unavailable", 503, {"retry_after": 1})
    assert key_verification.verifier._in_progress == {}
    over.set()
    monkeypatch.undo()
    AuthManager.authenticate(raw)


@pytest.mark.django_db(transaction=True)
def test_new_keys_are_hashed_in_the_same_threads(acme, owner, monkeypatch):
    real, lock, running = key_format.hash_key, threading.Lock(), {"now": 0, "most": 0}

    def fingerprints(raw):
        with lock:
            running["now"] += 1
            running["most"] = max(running.values())
        time.sleep(0.1)
        try:
            return real(raw)
        finally:
            with lock:
                running["now"] -= 1

    monkeypatch.setattr(key_format, "hash_key", fingerprints)
    answers = _in_threads(lambda number: AuthManager(acme).generate_key(owner.caller, f"key {number}"), range(12))
    assert running["most"] <= key_verification.THREADS
    assert answers.count(VerificationBusy) >= 12 - 2 * key_verification.HASHING
    assert ApiKey.objects.count() == 12 - answers.count(VerificationBusy) > 0


def test_bcrypt_threads_have_a_lower_priority():
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    assert Verifier()._threads.submit(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())).result() == min(19, ours + 10)
    assert os.getpriority(os.PRIO_PROCESS, 0) == ours
