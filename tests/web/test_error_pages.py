"""Every error has a page in our layout."""

import pytest
from django.test import Client
from django.urls import reverse


def styled(answer, status, text):
    assert answer.status_code == status
    assert "web/site.css" in answer.text
    assert text in answer.text
    return True


def test_a_form_without_a_csrf_token(owner):
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner.user)
    answer = client.post(reverse("change-settings"), {"name": "x"})
    assert styled(answer, 403, "Your browser sent no cookies")
    assert f'href="{reverse("settings")}"' in answer.text


def test_a_second_sign_in_form_redirects(owner):
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner.user)
    assert client.post(reverse("account_login"), {"login": "x", "password": "y"}).url == "/"


def test_an_outdated_sign_in_form_links_back(db):
    client = Client(enforce_csrf_checks=True)
    client.cookies["csrftoken"] = "a" * 32
    answer = client.post(reverse("account_login"), {"login": "x", "password": "y"})
    assert styled(answer, 403, "This form is out of date")
    assert 'href="/accounts/login/"' in answer.text


def test_an_unsupported_method(owner, sign_in):
    answer = sign_in(owner).post(reverse("account"))
    assert styled(answer, 405, "opened this way")
    assert answer["Allow"] == "GET, HEAD"
    assert sign_in(owner).post("/api/plans").headers["Content-Type"] != "text/html; charset=utf-8"


def test_too_many_attempts(db, client, settings):
    settings.ACCOUNT_RATE_LIMITS = {"reset_password": "1/m/ip"}
    answers = [client.post(reverse("account_reset_password"), {"email": "a@b.example"}) for _ in range(2)]
    assert styled(answers[-1], 429, "Too many attempts")


@pytest.mark.parametrize("path", ["/nowhere/", "/account/keys/nonsense/rotate/"])
def test_a_page_that_does_not_exist(owner, sign_in, path):
    assert styled(sign_in(owner).get(path), 404, "Page not found")


def test_a_page_that_the_role_does_not_permit(viewer, sign_in):
    answer = sign_in(viewer).get(reverse("billing"))
    assert styled(answer, 403, "Access denied")
    assert "Your role (Viewer) does not allow this" in answer.text


def test_a_request_that_is_not_valid(client, settings, db):
    assert styled(client.get("/pricing/", headers={"Host": "evil.example"}), 400, "The request is not valid")
