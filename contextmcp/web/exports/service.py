"""Request, build, find and delete exports."""

from datetime import timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _
from procrastinate.contrib.django import app

from accounts import audit
from accounts.manager import AuthManager
from accounts.models import DataExport, DataExportChunk, Membership, Organization, User
from accounts.roles import Role
from accounts.types import Caller
from contextmcp.common.clock import now
from contextmcp.common.emails import EmailContent, send_email
from contextmcp.common.errors import NotFound
from contextmcp.common.locale import localized_for
from contextmcp.common.locks import Namespace, session_lock
from contextmcp.web.errors import ExportInProgress, TooManyExports

from .archive import write_archive
from .tables import readme, tables

log = structlog.get_logger(__name__)
TASK = "web.build_export"
LIFETIME = timedelta(days=7)
MAX_PER_DAY = 5
LOCK_SECONDS = 60.0
# A job that runs for longer has been lost, for example because its row was deleted by hand.
MAX_DURATION = timedelta(hours=12)
READY_EMAIL, FAILED_EMAIL = "data_export_ready", "data_export_failed"
State = DataExport.State


def request_export(caller: Caller) -> DataExport:
    """Queue an export of the caller's organization. An owner gets an email when it is ready.

    Raises:
        PermissionDenied, ReauthenticationRequired: the caller is not an owner who authenticated recently.
        ExportInProgress: another export is not finished yet.
        TooManyExports: `MAX_PER_DAY` were requested within a day.
    """
    caller.require(scope="organization:write", permission="organization:manage")
    caller.require_recent_authentication()
    assert caller.user is not None
    organization = caller.organization
    with transaction.atomic():
        if DataExport.objects.filter(organization=organization, created_at__gt=now() - timedelta(days=1)).count() >= MAX_PER_DAY:
            raise TooManyExports(limit=MAX_PER_DAY)
        try:
            with transaction.atomic():
                export = DataExport.objects.create(organization=organization, requested_by=caller.user)
        except IntegrityError:
            raise ExportInProgress from None
        audit.record("export.requested", organization=organization, actor=caller, target=export.pk)
        app.configure_task(TASK, queue="maintenance", lock=f"export:{export.pk}").defer(export_id=str(export.pk))
    return export


def latest_export(organization: Organization) -> DataExport | None:
    """Return the newest export, unless it has expired."""
    export = DataExport.objects.filter(organization=organization).first()
    return None if export is None or (export.expires_at and export.expires_at <= now()) else export


def find_export(user: User, export_id: UUID) -> DataExport:
    """Return a finished export of an organization that the user owns, also a closed one. Raises `NotFound`."""
    owned = Membership.objects.filter(user=user, role=Role.OWNER).values("organization_id")
    ready = DataExport.objects.select_related("organization").filter(state=State.READY, expires_at__gt=now())
    export = ready.filter(pk=export_id, organization_id__in=owned).first()
    if export is None:
        raise NotFound(_("This export does not exist, or it has expired. Request a new one."))
    return export


def record_download(export: DataExport, user: User) -> None:
    """Write the download to the audit log."""
    audit.record("export.downloaded", organization=export.organization, actor=user, target=export.pk)


def build_export(export_id: UUID) -> None:
    """Build the file of an export, and email its link. An attempt that was interrupted starts again."""
    # The job of a worker that is only slow may run a second time. Postgres releases the lock of a worker that was killed.
    with session_lock(Namespace.DATA_EXPORT, export_id, timeout=LOCK_SECONDS) as acquired:
        if acquired:
            _build(export_id)


def _build(export_id: UUID) -> None:
    unfinished = DataExport.objects.select_related("organization", "requested_by").filter(pk=export_id, state__in=DataExport.UNFINISHED)
    export = unfinished.first()
    if export is None:
        return
    unfinished.update(state=State.RUNNING)
    DataExportChunk.objects.filter(export=export).delete()
    try:
        # The member must still be an owner; what the file contains depends on their role.
        caller = AuthManager(export.organization).as_member(export.requested_by)
        caller.require(permission="organization:manage")
        export.size = write_archive(export, readme(export.organization), tables(caller))
    except Exception:
        log.exception("export.failed", export=str(export.pk), organization=str(export.organization_id))
        _finish(export, State.FAILED)
        return
    _finish(export, State.READY)


def _finish(export: DataExport, state: DataExport.State) -> None:
    present = now()
    with transaction.atomic():
        unfinished = DataExport.objects.filter(pk=export.pk, state__in=DataExport.UNFINISHED)
        ready = state is State.READY
        if not unfinished.update(state=state, size=export.size, finished_at=present, expires_at=present + LIFETIME if ready else None):
            return
        if ready:
            # The owner needs only the newest one.
            _delete(organization=export.organization_id, pk__lt=export.pk)
        else:
            DataExportChunk.objects.filter(export=export).delete()
        _send(export, ready=ready)


def _content(export: DataExport, *, ready: bool) -> EmailContent:
    values = {"organization": export.organization.name, "days": LIFETIME.days}
    if ready:
        title = gettext("Your data export of %(organization)s is ready")
        text = gettext("Download it within %(days)d days. You need to sign in as an owner of %(organization)s.")
        label, path = gettext("View export"), f"/account/exports/{export.pk}/"
    else:
        title = gettext("Your data export of %(organization)s could not be created")
        text = gettext("Something went wrong on our side. Request the export again.")
        label, path = gettext("Data export"), "/account/settings/export/"
    note = gettext("You receive this email because you requested this export.")
    return EmailContent(title % values, (text % values,), label, f"{settings.PUBLIC_URL}{path}", note=note)


def _send(export: DataExport, *, ready: bool) -> None:
    category = READY_EMAIL if ready else FAILED_EMAIL
    with localized_for(export.requested_by):
        content = _content(export, ready=ready)
        send_email(content, to=export.requested_by.email, category=category, reference=export.pk, organization_id=export.organization_id)


def purge() -> int:
    """Delete expired files and failed exports, and fail those whose job was lost. Return the number of deleted exports."""
    present = now()
    lost = DataExport.objects.filter(state__in=DataExport.UNFINISHED, created_at__lt=present - MAX_DURATION)
    for export in lost.select_related("organization", "requested_by"):
        log.error("export.lost", export=str(export.pk), organization=str(export.organization_id))
        _finish(export, State.FAILED)
    return _delete(expires_at__lte=present) + _delete(state=State.FAILED, created_at__lt=present - LIFETIME)


def _delete(**rows: object) -> int:
    return DataExport.objects.exclude(state__in=DataExport.UNFINISHED).filter(**rows).delete()[1].get("accounts.DataExport", 0)
