"""Changing the name and the billing email of an organization."""

import pytest

from tests.support.staff_actions import errors, message, rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(staff_with):
    return staff_with("accounts.change_organization")


def test_the_form_has_the_present_values(acme, staff):
    form = staff.open(acme, "change-details").context["form"]
    assert (form["name"].value(), form["email"].value()) == ("Acme", acme.email)


def test_name_and_address_change_with_one_event(acme, staff):
    before = acme.email
    form = staff.confirmation(acme, "change-details", name="Apex", email="bills@apex.example")
    assert message(staff.confirm(acme, "change-details", form)) == "The details of Apex were changed."
    acme.refresh_from_db()
    assert (acme.name, acme.email) == ("Apex", "bills@apex.example")
    event = staff.only_event("organization.changed")
    assert (event.before, event.after) == ({"name": "Acme", "email": before}, {"name": "Apex", "email": "bills@apex.example"})


def test_the_preview_shows_only_what_changes(acme, staff):
    assert rows(staff.preview(acme, "change-details", name=" Apex ", email=acme.email)) == {"Name": ("Acme", "Apex")}


def test_the_preview_says_that_stripe_is_updated(acme, staff, payer):
    acme.refresh_from_db()
    assert "Customer at Stripe" in rows(staff.preview(acme, "change-details", name="Apex", email=acme.email))


@pytest.mark.parametrize("name", ["Acme", "Visit www.apex.example"])
def test_unchanged_details_and_links_in_names_are_refused(acme, staff, name):
    page = staff.preview(acme, "change-details", name=name, email=acme.email)
    assert "preview" not in page.context
    assert "name" in errors(page)[2]
