"""The page on which an owner requests an export of all data, and the page of a finished export."""

from uuid import UUID

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.text import slugify

from accounts.models import User
from accounts.types import Caller
from contextmcp.web.decorators import member_action, member_page, user_page
from contextmcp.web.exports import service
from contextmcp.web.exports.archive import read_archive


@member_page
def data_export(request: WSGIRequest, caller: Caller) -> HttpResponse:
    caller.require(permission="organization:manage")
    return render(request, "web/settings/export.html", {"export": service.latest_export(caller.organization)})


@member_page
def export_state(request: WSGIRequest, caller: Caller) -> HttpResponse:
    """Return the part of the page that shows the newest export. The page requests it repeatedly until the export is finished."""
    caller.require(permission="organization:manage")
    return render(request, "web/settings/export_state.html", {"export": service.latest_export(caller.organization)})


@member_action("data-export", once=True)
def request_export(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    service.request_export(caller)
    return redirect("data-export")


@user_page
def finished_export(request: WSGIRequest, user: User, export_id: UUID) -> HttpResponse:
    """Show a finished export to owners of its organization, whichever organization they have selected, also after it was closed."""
    return render(request, "web/settings/finished_export.html", {"export": service.find_export(user, export_id)})


@user_page
def download_export(request: WSGIRequest, user: User, export_id: UUID) -> HttpResponseBase:
    """Send the file of an export part by part."""
    export = service.find_export(user, export_id)
    service.record_download(export, user)
    name = f"{slugify(export.organization.name) or 'organization'}-{export.created_at:%Y-%m-%d}.zip"
    # The file is compressed already. GZipMiddleware would compress it again.
    request.META.pop("HTTP_ACCEPT_ENCODING", None)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(read_archive(export), content_type="application/zip", headers=headers)
