"""A key or token that is pasted into the search of a list does not stay in a URL."""

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import ApiKey, User
from tests.factories.accounts import UserFactory, key_of

pytestmark = pytest.mark.django_db
TOKEN = "cmcp_at_" + "S" * 43
STRIPE_SECRET = "sk_test_" + "S" * 24


@pytest.fixture
def staff(sign_in):
    return sign_in(User.objects.create_superuser("root@staff.example", "x"))


@pytest.mark.parametrize(
    "path", ["accounts/organization/", "billing/invoice/", "accounts/auditevent/", "accounts/servicekey/", "accounts/apikey/"]
)
def test_a_key_in_any_list_opens_the_list_of_keys_without_its_secret(staff, owner, path):
    raw = key_of(owner.membership, ["usage:read"], name="Leaked")
    key = ApiKey.objects.get(name="Leaked")
    answer = staff.get(f"/admin/{path}", {"q": f"the key is {raw}", "after": "x"})
    assert (answer.status_code, answer.url) == (302, f"/admin/accounts/apikey/?q={key.public_id}")
    assert [row.pk for row in staff.get(answer.url).context["cl"].queryset] == [key.pk]


def test_other_secrets_are_removed_and_the_filters_kept(staff):
    for secret, rest in ((TOKEN, ""), (STRIPE_SECRET, "sk_test_%2A%2A%2A")):
        answer = staff.get("/admin/accounts/organization/", {"q": secret, "closed_at__isempty": "1"})
        assert answer.url == f"/admin/accounts/organization/?q={rest}&closed_at__isempty=1"
        assert staff.get(answer.url).status_code == 200


def test_fields_that_search_for_related_rows_keep_no_secret(staff):
    answer = staff.get("/admin/autocomplete/", {"term": STRIPE_SECRET, "app_label": "entitlements"})
    assert answer.url == "/admin/autocomplete/?term=sk_test_%2A%2A%2A&app_label=entitlements"


def test_staff_who_may_not_view_keys_stay_on_their_list(owner):
    raw = key_of(owner.membership, ["usage:read"])
    user = UserFactory(is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_organization"))
    client = Client()
    client.force_login(user)
    answer = client.get("/admin/accounts/organization/", {"q": raw})
    assert answer.url.startswith("/admin/accounts/organization/?q=")
    assert raw[-38:] not in answer.url


@pytest.mark.parametrize("text", ["acme", "cs_test_" + "a1" * 29, "in_1PqXabcdefgh", "ada@acme.example", "4F2A8C1B-0001"])
def test_ordinary_searches_are_not_redirected(staff, text):
    assert staff.get("/admin/billing/invoice/", {"q": text}).status_code == 200
