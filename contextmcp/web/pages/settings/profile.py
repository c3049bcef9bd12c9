"""The page with the user's name, language and time zone."""

from django.contrib import messages
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext

from accounts.models import User
from accounts.services import profiles
from contextmcp.web import drafts
from contextmcp.web.decorators import user_action, user_page
from contextmcp.web.forms import valid
from contextmcp.web.settings_forms import ProfileForm


@user_page
def profile(request: WSGIRequest, user: User) -> HttpResponse:
    form = drafts.bind_form(request, None, "profile", ProfileForm, ProfileForm.of(user))
    return render(request, "web/settings/profile.html", {"form": form})


@user_action("profile", form="profile", keeps=("name", "language", "time_zone"))
def save_profile(request: WSGIRequest, user: User) -> HttpResponseBase:
    data = valid(ProfileForm(request.POST))
    profiles.update_profile(user, name=data["name"], language=data["language"], time_zone=data["time_zone"])
    messages.success(request, gettext("Profile saved."))
    return redirect("profile")
