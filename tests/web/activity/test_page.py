"""The Activity page."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import audit
from tests.web.activity.rows import fill, insert_key

pytestmark = pytest.mark.django_db
# Two queries read the timeline, two fill the filter's lists, and the others occur on all pages.
MAX_QUERIES = 12


def test_an_owner_reads_what_happened(acme, owner, sign_in):
    audit.record("key.revoked", organization=acme, actor=owner.caller, before={"name": "CI"})
    text = sign_in(owner).get(reverse("activity")).text
    assert "Olga Owner revoked the API key CI." in text
    assert '<a href="/account/keys/">API keys</a>' in text


def test_pages_of_a_long_history_keep_the_filter(acme, owner, sign_in):
    fill(acme, owner.user, 120)
    client = sign_in(owner)
    with CaptureQueriesContext(connection) as requested:
        page = client.get(reverse("activity"), {"kind": "key"})
    statements = [each["sql"] for each in requested if 'FROM "entitlements_planversion"' not in each["sql"]]
    assert len(statements) <= MAX_QUERIES, statements
    seen = []
    while True:
        seen += [entry.sentence for entry in page.context["page"].entries]
        if not page.context["older"]:
            break
        page = client.get(f"{reverse('activity')}?{page.context['older']}")
    assert len(seen) == len(set(seen)) == 120


def test_the_filters_of_a_member_offer_only_what_they_may_see(acme, owner, member, sign_in):
    insert_key(acme, owner.user, "Secret project")
    form = sign_in(member).get(reverse("activity")).context["form"]
    assert "member" not in form.fields
    assert "payment" not in dict(form.fields["kind"].choices)
    assert form.fields["key"].choices == [("", "All")]
    form = sign_in(owner).get(reverse("activity")).context["form"]
    assert [label for _, label in form.fields["key"].choices] == ["All", "Secret project"]
    assert str(member.user.pk) in dict(form.fields["member"].choices)


@pytest.mark.parametrize("query", ["kind=payment", "kind=internal", "member=1", "key=11111111-1111-1111-1111-111111111111", "since=x"])
def test_a_filter_that_is_not_offered_is_not_applied(acme, member, sign_in, query):
    page = sign_in(member).get(f"{reverse('activity')}?{query}")
    assert page.status_code == 200
    assert [entry.sentence for entry in page.context["page"].entries] == ["Olga Owner created the organization Acme."]


def test_nothing_found_offers_to_clear_the_filter(acme, owner, sign_in):
    assert "No matching activity" in sign_in(owner).get(reverse("activity"), {"kind": "webhook"}).text


def test_an_invalid_position_shows_an_error(acme, owner, sign_in):
    page = sign_in(owner).get(reverse("activity"), {"before": "nonsense"})
    assert page.status_code == 422
    assert "The position in the list is not valid" in page.text


def test_members_of_other_organizations_read_only_their_own(acme, owner, stranger, sign_in):
    audit.record("key.revoked", organization=acme, actor=owner.caller, before={"name": "CI"})
    assert "API key CI" not in sign_in(stranger).get(reverse("activity")).text
