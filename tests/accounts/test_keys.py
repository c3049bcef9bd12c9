"""The form of an API key."""

import importlib
import re

import bcrypt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from accounts import keys
from accounts.errors import EnvironmentMismatch, InvalidKeyFormat
from contextmcp.common.logs import mask
from contextmcp.settings import base

environments = st.sampled_from(["live", "test"])


def _key(environment, random):
    body = f"cmcp_sk_{environment}_{random}"
    return body + keys.checksum(body)


# As `generate` makes them, but from hypothesis's own dice.
made = st.builds(_key, environments, st.text(keys.ALPHABET, min_size=44, max_size=44))
test_keys = st.builds(_key, st.just("test"), st.text(keys.ALPHABET, min_size=44, max_size=44))


@given(environments)
def test_a_key_has_the_promised_form_and_strength(environment):
    raw = keys.generate(environment)
    assert re.fullmatch(rf"cmcp_sk_{environment}_[0-9A-Za-z]{{50}}", raw)
    assert len(raw) == keys.LENGTH < 72
    assert 62**keys.SECRET_LENGTH >= 2**178
    assert len(raw.split("_")) == 4


def test_it_is_recognised_where_it_belongs(settings):
    for environment in ("live", "test"):
        settings.KEY_ENVIRONMENT = environment
        raw = keys.generate(environment)
        assert keys.parse(raw) == keys.Presented(environment, raw[13:25])


def test_the_other_kind_is_told_apart():
    with pytest.raises(EnvironmentMismatch) as refusal:
        keys.parse(keys.generate("live"))
    assert refusal.value.details == {"expected": "test", "presented": "live"}


@given(st.data())
def test_one_changed_character_is_noticed(data):
    raw = data.draw(test_keys)
    place = data.draw(st.integers(keys.PREFIX_LENGTH, len(raw) - 1))
    other = data.draw(st.sampled_from([letter for letter in keys.ALPHABET if letter != raw[place]]))
    with pytest.raises(InvalidKeyFormat):
        keys.parse(raw[:place] + other + raw[place + 1 :])


@given(st.data())
def test_two_swapped_neighbours_are_noticed(data):
    raw = data.draw(test_keys)
    place = data.draw(st.integers(keys.PREFIX_LENGTH, len(raw) - keys.CHECKSUM_LENGTH - 2))
    assume(raw[place] != raw[place + 1])
    with pytest.raises(InvalidKeyFormat):
        keys.parse(raw[:place] + raw[place + 1] + raw[place] + raw[place + 2 :])


@given(st.text(max_size=100) | st.text(min_size=50, max_size=50).map("cmcp_sk_test_".__add__))
def test_garbage_is_refused_and_nothing_else(garbage):
    with pytest.raises(InvalidKeyFormat):
        keys.parse(garbage)


@given(made, st.integers(0, keys.LENGTH - 1))
def test_a_cut_key_is_refused(raw, length):
    with pytest.raises(InvalidKeyFormat):
        keys.parse(raw[:length])


@settings(deadline=None)
@given(made, made)
def test_its_fingerprints_recognise_it_and_do_not_contain_it(raw, other):
    assume(raw != other)
    stored = keys.fingerprints(raw)
    assert keys.bcrypt_agrees(raw, stored.bcrypt_hash) and not keys.bcrypt_agrees(other, stored.bcrypt_hash)
    assert keys.hmac_agrees(raw, stored.hmac, stored.hmac_version) and not keys.hmac_agrees(other, stored.hmac, stored.hmac_version)
    assert raw[25:] not in repr(stored)


def test_what_differs_only_at_the_end_is_another_key():
    """bcrypt reads 72 bytes; a key is shorter, so all of it counts."""
    raw = keys.generate("test")
    assert not keys.bcrypt_agrees(raw[:-1] + ("0" if raw[-1] != "0" else "1"), keys.fingerprints(raw).bcrypt_hash)


def test_new_keys_are_made_under_the_newest_secret(settings):
    settings.API_KEY_SECRETS = {3: b"c" * 32, 1: b"a" * 32}
    raw = keys.generate("test")
    stored = keys.fingerprints(raw)
    assert stored.hmac_version == 3
    assert stored.hmac == keys.digest(raw, 3) != keys.digest(raw, 1)


def test_everywhere_but_here_bcrypt_takes_12_rounds(settings):
    assert importlib.reload(base).API_KEY_BCRYPT_ROUNDS == 12
    settings.API_KEY_BCRYPT_ROUNDS = 12
    stored = keys.fingerprints(keys.generate("test")).bcrypt_hash
    assert stored.startswith("$2b$12$")
    assert bcrypt.checkpw(b"x", stored.encode()) is False


@given(made)
def test_logs_mask_it(raw):
    assert mask(f"Bearer {raw}!") == f"Bearer {raw[:13]}***!"
