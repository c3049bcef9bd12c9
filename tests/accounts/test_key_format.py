"""The format of API keys."""

import importlib
import re

import bcrypt
import pytest

from accounts import key_format
from accounts.errors import EnvironmentMismatch, InvalidKeyFormat
from contextmcp.common.logs import mask
from contextmcp.settings import base
from tests.support.properties import assume, given, settings, st

environments = st.sampled_from(["live", "test"])


def _key(environment, random):
    body = f"cmcp_sk_{environment}_{random}"
    return body + key_format.checksum(body)


# As `generate` creates them, but with hypothesis's random numbers.
generated = st.builds(_key, environments, st.text(key_format.ALPHABET, min_size=44, max_size=44))
test_keys = st.builds(_key, st.just("test"), st.text(key_format.ALPHABET, min_size=44, max_size=44))


@given(environments)
def test_a_key_has_the_documented_format_and_strength(environment):
    raw = key_format.generate(environment)
    assert re.fullmatch(rf"cmcp_sk_{environment}_[0-9A-Za-z]{{50}}", raw)
    assert len(raw) == key_format.LENGTH < 72
    assert 62**key_format.SECRET_LENGTH >= 2**178
    assert len(raw.split("_")) == 4


def test_a_key_parses_in_its_environment(settings):
    for environment in ("live", "test"):
        settings.KEY_ENVIRONMENT = environment
        raw = key_format.generate(environment)
        assert key_format.parse(raw) == key_format.ParsedKey(environment, raw[13:25])


def test_a_key_of_the_other_environment_is_refused():
    with pytest.raises(EnvironmentMismatch) as refusal:
        key_format.parse(key_format.generate("live"))
    assert refusal.value.details == {"expected": "test", "presented": "live"}


@given(st.data())
def test_one_changed_character_is_detected(data):
    raw = data.draw(test_keys)
    place = data.draw(st.integers(key_format.PREFIX_LENGTH, len(raw) - 1))
    other = data.draw(st.sampled_from([email for email in key_format.ALPHABET if email != raw[place]]))
    with pytest.raises(InvalidKeyFormat):
        key_format.parse(raw[:place] + other + raw[place + 1 :])


@given(st.data())
def test_two_swapped_characters_are_detected(data):
    raw = data.draw(test_keys)
    place = data.draw(st.integers(key_format.PREFIX_LENGTH, len(raw) - key_format.CHECKSUM_LENGTH - 2))
    assume(raw[place] != raw[place + 1])
    with pytest.raises(InvalidKeyFormat):
        key_format.parse(raw[:place] + raw[place + 1] + raw[place] + raw[place + 2 :])


@given(st.text(max_size=100) | st.text(min_size=50, max_size=50).map("cmcp_sk_test_".__add__))
def test_only_malformed_keys_are_refused(garbage):
    with pytest.raises(InvalidKeyFormat):
        key_format.parse(garbage)


@given(generated, st.integers(0, key_format.LENGTH - 1))
def test_a_truncated_key_is_refused(raw, length):
    with pytest.raises(InvalidKeyFormat):
        key_format.parse(raw[:length])


@settings(deadline=None)
@given(generated, generated)
def test_the_hashes_match_the_key_and_do_not_contain_it(raw, other):
    assume(raw != other)
    stored = key_format.hash_key(raw)
    assert key_format.verify_bcrypt(raw, stored.bcrypt_hash) and not key_format.verify_bcrypt(other, stored.bcrypt_hash)
    assert key_format.verify_hmac(raw, stored.hmac, stored.hmac_version) and not key_format.verify_hmac(
        other, stored.hmac, stored.hmac_version
    )
    assert raw[25:] not in repr(stored)


def test_keys_that_differ_in_the_last_character_differ():
    """bcrypt reads 72 bytes. A key is shorter, so all of it is verified."""
    raw = key_format.generate("test")
    assert not key_format.verify_bcrypt(raw[:-1] + ("0" if raw[-1] != "0" else "1"), key_format.hash_key(raw).bcrypt_hash)


def test_new_keys_are_made_under_the_newest_secret(settings):
    settings.API_KEY_SECRETS = {3: b"c" * 32, 1: b"a" * 32}
    raw = key_format.generate("test")
    stored = key_format.hash_key(raw)
    assert stored.hmac_version == 3
    assert stored.hmac == key_format.digest(raw, 3) != key_format.digest(raw, 1)


def test_production_uses_12_bcrypt_rounds(settings):
    assert importlib.reload(base).API_KEY_BCRYPT_ROUNDS == 12
    settings.API_KEY_BCRYPT_ROUNDS = 12
    stored = key_format.hash_key(key_format.generate("test")).bcrypt_hash
    assert stored.startswith("$2b$12$")
    assert bcrypt.checkpw(b"x", stored.encode()) is False


@given(generated)
def test_logs_mask_keys(raw):
    assert mask(f"Bearer {raw}!") == f"Bearer {raw[:13]}***!"
