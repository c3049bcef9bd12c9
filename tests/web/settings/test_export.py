"""An owner exports all data of the organization."""

import csv
import io
import json
import re
import time
import tracemalloc
import zipfile
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from accounts.errors import PermissionDenied
from accounts.manager import AuthManager
from accounts.models import AuditEvent, DataExport, DataExportChunk, Membership
from contextmcp.common.clock import now
from contextmcp.web import submissions
from contextmcp.web.errors import ExportInProgress, TooManyExports
from contextmcp.web.exports import archive, service
from tests.factories.accounts import PASSWORD
from tests.factories.oauth import connect_app
from tests.support.stripe import jobs, run
from usage.models import Grain, RefusalSummary, UsageSummary
from usage.tracker import UsageTracker
from usage.webhooks.manager import WebhookManager

pytestmark = pytest.mark.django_db
PAGE, REQUEST = "/account/settings/export/", "/account/settings/export/request/"
DAY = datetime(2026, 3, 1, tzinfo=UTC)


def build(owner) -> DataExport:
    export = service.request_export(owner.caller)
    service.build_export(export.pk)
    export.refresh_from_db()
    return export


def download(client, export: DataExport) -> zipfile.ZipFile:
    answer = client.get(reverse("download-export", args=[export.pk]), headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 200 and answer["Content-Type"] == "application/zip" and "Content-Encoding" not in answer
    return zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))


def table(file: zipfile.ZipFile, name: str) -> list[dict]:
    """Return the rows of a table, after a comparison of its two formats."""
    rows = json.loads(file.read(f"json/{name}.json"))
    lines = list(csv.DictReader(io.StringIO(file.read(f"csv/{name}.csv").decode())))
    assert len(lines) == len(rows)
    assert all(list(line) == list(row) for line, row in zip(lines, rows, strict=True))
    return rows


def test_from_the_request_to_the_file(acme, owner, admin, sign_in):
    key, raw = AuthManager(acme).generate_key(owner.caller, "=CI")
    _, secret = WebhookManager(acme).add(owner.caller, "https://hooks.acme.example/")
    connect_app(owner.membership)
    UsageTracker(acme).consume("sessions", 7)
    RefusalSummary.objects.create(organization=acme, minute=DAY, code="quota_exceeded", feature="sessions", key_id=key.pk, count=3)
    RefusalSummary.objects.create(
        organization=acme, minute=DAY + timedelta(hours=5), code="quota_exceeded", feature="sessions", key_id=key.pk, count=4
    )
    client = sign_in(owner)
    token = submissions.new_token()
    for _ in range(2):
        page = client.post(REQUEST, {"form_token": token}, follow=True).text
        assert "is being prepared" in page and "data-waiting" in page and "Request export" not in page
    ((_, name, arguments),) = jobs(service.TASK)
    run(name, **arguments)
    export = DataExport.objects.get()
    email = mail.outbox[-1]
    assert email.to == ["owner@acme.example"] and email.subject == "Your data export of Acme is ready"
    address = re.search(r"http://localhost:3001(/account/exports/\S+)", email.body)[1]
    assert reverse("download-export", args=[export.pk]) in client.get(address).text
    assert "Your export is ready" in client.get(PAGE).text and "data-waiting" not in client.get(reverse("export-state")).text
    file = download(client, export)
    assert file.testzip() is None
    contents = "".join(file.read(name).decode() for name in file.namelist())
    assert raw not in contents and raw[-20:] not in contents and secret not in contents and "whsec" not in contents
    assert [row["email"] for row in table(file, "members")] == ["owner@acme.example", "admin@acme.example"]
    assert table(file, "api_keys")[0]["name"] == "=CI" and "'=CI" in file.read("csv/api_keys.csv").decode()
    assert table(file, "webhook_endpoints")[0]["url"] == "https://hooks.acme.example/"
    assert len(table(file, "connected_apps")) == 1
    assert [(row["feature"], row["amount"]) for row in table(file, "usage_by_day")] == [("sessions", 7)]
    assert [(row["day"], row["count"]) for row in table(file, "refusals")] == [("2026-03-01T00:00:00Z", 7)]
    assert any("created the API key =CI" in row["sentence"] for row in table(file, "activity"))
    assert {table(file, name[4:-4]) is not None for name in file.namelist() if name.startswith("csv/")} == {True}
    assert "usage_by_day: Usage by day" in file.read("README.txt").decode()
    recorded = AuditEvent.objects.filter(organization=acme, action__startswith="export.").order_by("id")
    assert list(recorded.values_list("action", "actor_user__email")) == [
        ("export.requested", "owner@acme.example"),
        ("export.downloaded", "owner@acme.example"),
    ]


def test_only_owners_of_the_organization_get_it(people, sign_in, client):
    export = build(people["owner"])
    addresses = [reverse(name, args=[export.pk]) for name in ("finished-export", "download-export")]
    for role in ("admin", "member", "viewer", "stranger"):
        visitor = sign_in(people[role])
        assert [visitor.get(address).status_code for address in addresses] == [404, 404], role
        if role != "stranger":
            assert visitor.get(PAGE).status_code == visitor.get(reverse("export-state")).status_code == 403, role
            assert f'href="{PAGE}"' not in visitor.get(reverse("settings")).text
            visitor.post(REQUEST)
            with pytest.raises(PermissionDenied):
                service.request_export(people[role].caller)
    assert DataExport.objects.count() == 1
    assert client.get(addresses[1]).url.startswith("/accounts/login/?next=/account/exports/")
    owner = sign_in(people["owner"])
    assert owner.get(reverse("download-export", args=[uuid4()])).status_code == 404


def test_an_old_session_authenticates_again(owner, client):
    owner.user.set_password(PASSWORD)
    owner.user.save()
    client.force_login(owner.user)
    session = client.session
    session["signed_in_at"] = time.time() - 3600
    session.save()
    assert client.post(REQUEST).url.startswith("/accounts/reauthenticate/")
    assert not DataExport.objects.exists()


def test_it_expires(owner, sign_in):
    export = build(owner)
    client = sign_in(owner)
    DataExport.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert client.get(reverse("download-export", args=[export.pk])).status_code == 404
    assert "Request export" in client.get(PAGE).text
    assert service.purge() == 1
    assert not DataExport.objects.exists() and not DataExportChunk.objects.exists()


def test_owners_can_download_it_after_closing(acme, owner, sign_in):
    export = build(owner)
    AuthManager(acme).close(owner.caller)
    assert table(download(sign_in(owner), export), "organization")[0]["name"] == "Acme"


def test_one_at_a_time_and_few_a_day(acme, owner, sign_in):
    export = service.request_export(owner.caller)
    with pytest.raises(ExportInProgress):
        service.request_export(owner.caller)
    with pytest.raises(IntegrityError), transaction.atomic():
        DataExport.objects.create(organization=acme, requested_by=owner.user)
    assert "already being prepared" in sign_in(owner).post(REQUEST, follow=True).text
    service.build_export(export.pk)
    service.build_export(export.pk)
    assert len(mail.outbox) == 1
    newer = build(owner)
    assert list(DataExport.objects.all()) == [newer]
    rows = [DataExport(organization=acme, requested_by=owner.user, state=DataExport.State.FAILED) for _ in range(service.MAX_PER_DAY)]
    DataExport.objects.bulk_create(rows)
    with pytest.raises(TooManyExports):
        service.request_export(owner.caller)


def test_a_failure_is_reported(owner, sign_in, monkeypatch):
    monkeypatch.setattr(service, "tables", lambda caller: 1 / 0)
    export = build(owner)
    assert export.state == DataExport.State.FAILED and not DataExportChunk.objects.exists()
    assert [email.subject for email in mail.outbox] == ["Your data export of Acme could not be created"]
    page = sign_in(owner).get(PAGE).text
    assert "could not be created" in page and "Request new export" in page


def test_a_former_owner_gets_nothing(owner, admin):
    Membership.objects.filter(pk=admin.membership.pk).update(role="owner")
    export = service.request_export(owner.caller)
    owner.membership.role = "member"
    owner.membership.save()
    service.build_export(export.pk)
    export.refresh_from_db()
    assert export.state == DataExport.State.FAILED


def test_an_interrupted_job_starts_again_and_a_lost_one_fails(owner, sign_in):
    export = service.request_export(owner.caller)
    DataExport.objects.update(state=DataExport.State.RUNNING)
    DataExportChunk.objects.create(export=export, number=0, data=b"half of a file")
    service.build_export(export.pk)
    export.refresh_from_db()
    assert export.state == DataExport.State.READY
    assert download(sign_in(owner), export).testzip() is None
    lost = service.request_export(owner.caller)
    DataExport.objects.filter(pk=lost.pk).update(created_at=now() - service.MAX_DURATION - timedelta(minutes=1))
    service.purge()
    lost.refresh_from_db()
    assert lost.state == DataExport.State.FAILED


def test_many_rows_take_little_memory(acme, owner, sign_in, monkeypatch):
    """Chunks are stored while rows are read, so memory does not grow with the number of rows."""
    monkeypatch.setattr(archive, "CHUNK_BYTES", 16_384)
    rows = [
        UsageSummary(
            organization=acme, grain=Grain.DAY, bucket=DAY + timedelta(days=day), feature="sessions", key_id=uuid4(), amount=1, events=1
        )
        for day in range(30)
        for _ in range(700)
    ]
    UsageSummary.objects.bulk_create(rows, batch_size=5000)
    del rows
    tracemalloc.start()
    try:
        export = build(owner)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert export.state == DataExport.State.READY
    assert DataExportChunk.objects.count() == -(-export.size // 16_384) > 10
    assert peak < 12_000_000
    assert len(table(download(sign_in(owner), export), "usage_by_day")) == 21_000


def test_an_owner_of_another_organization_sees_nothing_of_it(owner, stranger):
    build(owner)
    assert service.latest_export(stranger.organization) is None
