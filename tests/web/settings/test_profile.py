"""The page with the user's name, language and time zone."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.services import profiles
from contextmcp.common.errors import ValidationFailed
from tests.factories.accounts import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    return UserFactory(email="ada@new.example", name="Ada")


def save(client: Client, **values: str):
    return client.post(reverse("save-profile"), {"name": "Ada", "language": "", "time_zone": "", **values}, follow=True)


def test_a_user_without_an_organization_changes_the_profile(user, sign_in):
    client = sign_in(user)
    page = save(client, name="  Ada   Lovelace ", language="de", time_zone="Europe/Berlin").text
    user.refresh_from_db()
    assert (user.name, user.language, user.time_zone) == ("Ada Lovelace", "de", "Europe/Berlin")
    assert "Profile saved." in page
    assert 'value="Ada Lovelace"' in page
    assert '<option value="de" selected>Deutsch</option>' in page
    assert '<option value="Europe/Berlin" selected>Berlin</option>' in page
    save(client, name="Ada Lovelace", language="de", time_zone="Europe/Berlin")
    assert AuditEvent.objects.get(action="user.profile_changed").after["name"] == "Ada Lovelace"


def test_refused_input_is_kept(user, sign_in):
    client = sign_in(user)
    for field, wrong in {"name": "x" * 151, "language": "xx", "time_zone": "Mars/Olympus"}.items():
        page = save(client, **{"name": "Grace", field: wrong}).text
        assert "note error" in page
        assert ('value="Grace"' in page) is (field != "name")
        assert 'aria-invalid="true"' in page
    assert 'value="Grace"' not in client.get(reverse("profile")).text
    user.refresh_from_db()
    assert user.name == "Ada"


def test_other_names_of_time_zones_are_kept(user, sign_in):
    profiles.update_profile(user, name="Ada", language="", time_zone="US/Pacific")
    assert '<option value="US/Pacific" selected>' in sign_in(user).get(reverse("profile")).text


def test_the_service_checks_what_no_form_offers(user):
    for values in ({"language": "xx"}, {"time_zone": "../../etc/passwd"}, {"name": "a\0b"}):
        with pytest.raises(ValidationFailed):
            profiles.update_profile(user, **{"name": "Ada", "language": "", "time_zone": "", **values})


def test_the_form_of_an_ended_session_keeps_its_input(user, client):
    sent = client.post(reverse("save-profile"), {"name": "Grace", "language": "", "time_zone": "Asia/Tokyo"})
    assert sent.url.startswith("/accounts/login/?next=")
    client.force_login(user)
    page = client.get(reverse("profile")).text
    assert 'value="Grace"' in page and '<option value="Asia/Tokyo" selected>' in page


def test_visitors_sign_in_first(client, db):
    assert client.get(reverse("profile")).url.startswith("/accounts/login/")
