"""URLs of the pages about the user's own account. They are below /accounts/, which staff who view the product as a member cannot open."""

from django.urls import path

from .pages import addresses, sessions
from .pages.settings import deletion, profile

urlpatterns = [
    path("profile/", profile.profile, name="profile"),
    path("profile/save/", profile.save_profile, name="save-profile"),
    path("delete/", deletion.delete_page, name="delete-page"),
    path("delete/confirm/", deletion.delete_account, name="delete-account"),
    path("sessions/", sessions.sessions, name="usersessions_list"),
    path("undo-email-change/<str:token>/", addresses.undo_email_change, name="undo-email-change"),
]
