"""Second factors are re-encrypted when API_KEY_SECRETS gets a new version."""

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from cryptography.fernet import InvalidToken
from django.core.management import call_command

from accounts.second_factors import MFAAdapter, reencrypt_second_factors
from tests.factories.accounts import UserFactory

pytestmark = pytest.mark.django_db
OLD, NEW = b"o" * 32, b"n" * 32


def test_second_factors_work_after_reencryption_without_the_old_secret(settings, capsys):
    settings.API_KEY_SECRETS = {1: OLD}
    user, secret = UserFactory(), generate_totp_secret()
    TOTP.activate(user, secret)
    codes = RecoveryCodes.activate(user).get_unused_codes()
    settings.API_KEY_SECRETS = {2: NEW, 1: OLD}
    call_command("reencrypt_secrets")
    assert "Second factors re-encrypted: 2" in capsys.readouterr().out
    settings.API_KEY_SECRETS = {2: NEW}
    totp = Authenticator.objects.get(type="totp")
    assert MFAAdapter().decrypt(totp.data["secret"]) == secret
    assert Authenticator.objects.get(type="recovery_codes").wrap().get_unused_codes() == codes
    assert reencrypt_second_factors() == 0


def test_a_second_factor_with_an_unknown_secret_is_unchanged(settings):
    settings.API_KEY_SECRETS = {1: OLD}
    TOTP.activate(UserFactory(), generate_totp_secret())
    before = Authenticator.objects.get().data
    settings.API_KEY_SECRETS = {2: NEW}
    assert reencrypt_second_factors() == 0
    assert Authenticator.objects.get().data == before
    with pytest.raises(InvalidToken):
        MFAAdapter().decrypt(before["secret"])
