"""Plan versions to read; grants and overrides to give and to end."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from contextmcp.common.clock import now
from contextmcp.common.errors import DomainError

from .catalog import CATALOG
from .manager import EntitlementsManager
from .models import Grant, Override, PlanVersion
from .terms import valid_value
from .types import Kind, Source

GIVEN_BY_HAND = [Source.GIFT, Source.TRIAL, Source.STAFF]


class Kept(ModelAdmin):  # type: ignore[misc]
    """Rows that are history: nothing is deleted, nothing changed in place."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def each(self, request: HttpRequest, rows: QuerySet[Any], act: Callable[[Any], Any], done: str) -> None:
        """`act` on every row, saying how many went well and why the others did not."""
        count = 0
        for row in rows:
            try:
                act(row)
                count += 1
            except DomainError as refusal:
                self.message_user(request, f"{row}: {refusal.text}", messages.WARNING)
        if count:
            self.message_user(request, f"{count} {done}.", messages.SUCCESS)


@admin.register(PlanVersion)
class PlanVersionAdmin(Kept):
    list_display = ["plan", "version", "published_at", "subscribers"]
    list_filter = ["plan"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @display(description="Subscribers")  # type: ignore[untyped-decorator]
    def subscribers(self, version: PlanVersion) -> int:
        return EntitlementsManager.subscribers_of(version).count()


class GrantForm(forms.ModelForm):  # type: ignore[type-arg]
    """What staff say of a grant; the manager gives it."""

    source = forms.ChoiceField(choices=[(source.value, source.value) for source in GIVEN_BY_HAND], widget=UnfoldAdminSelectWidget)
    reason = forms.CharField(max_length=200, help_text="The organization's history shows it.", widget=UnfoldAdminTextInputWidget)

    class Meta:
        model = Grant
        fields = ["organization", "plan_version", "source", "starts_at", "ends_at", "reason"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # One that is only looked at has no fields.
        if starts_at := self.fields.get("starts_at"):
            starts_at.required = False
            starts_at.help_text = "Empty: now."
            starts_at.initial = None

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if given.get("organization") and given.get("ends_at"):
            starts = given.get("starts_at") or now(given["organization"])
            if given["ends_at"] <= starts:
                self.add_error("ends_at", "A grant ends after it starts.")
        return given


@admin.register(Grant)
class GrantAdmin(Kept):
    form = GrantForm
    list_display = ["organization", "plan_version", "source", "starts_at", "ends_at", "standing", "reason"]
    list_filter = ["source", "plan_version"]
    list_select_related = ["organization", "plan_version"]
    search_fields = ["organization__name", "organization__slug", "reference", "reason"]
    autocomplete_fields = ["organization"]
    actions = ["end_now"]

    @display(description="Standing", boolean=True)  # type: ignore[untyped-decorator]
    def standing(self, grant: Grant) -> bool:
        present = now(grant.organization)
        return grant.starts_at <= present and (grant.ends_at is None or grant.ends_at > present)

    def save_model(self, request: HttpRequest, obj: Grant, form: Any, change: bool) -> None:
        given = form.cleaned_data
        made = EntitlementsManager(obj.organization).grant(
            obj.plan_version,
            given["source"],
            reason=given["reason"],
            starts_at=given["starts_at"],
            ends_at=given["ends_at"],
            actor=request.user,  # type: ignore[arg-type]
        )
        obj.pk, obj.starts_at = made.pk, made.starts_at

    @admin.action(description="End the selected grants now", permissions=["add"])
    def end_now(self, request: HttpRequest, grants: QuerySet[Grant]) -> None:
        by_hand = grants.filter(source__in=GIVEN_BY_HAND).select_related("organization")
        if by_hand.count() < grants.count():
            self.message_user(request, "A subscription's grant ends with the subscription.", messages.WARNING)
        self.each(
            request,
            by_hand,
            lambda grant: EntitlementsManager(grant.organization).end_grant(grant, request.user),  # type: ignore[arg-type]
            "ended",
        )


class OverrideForm(forms.ModelForm):  # type: ignore[type-arg]
    feature = forms.ChoiceField(
        choices=[(feature.name, f"{feature.title} ({feature.kind})") for feature in CATALOG.features], widget=UnfoldAdminSelectWidget
    )
    value = forms.JSONField(
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="true or false for a flag, a whole number for anything else; empty is unlimited.",
    )
    reason = forms.CharField(max_length=200, widget=UnfoldAdminTextInputWidget)

    class Meta:
        model = Override
        fields = ["organization", "feature", "value", "until", "reason"]

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        declared = CATALOG.feature(given.get("feature", ""))
        if declared and "value" in given and not valid_value(declared.kind, given["value"]):
            flag = declared.kind is Kind.FLAG
            self.add_error("value", "true or false." if flag else "A whole number from 0, or nothing for unlimited.")
        if given.get("organization") and given.get("until") and given["until"] <= now(given["organization"]):
            self.add_error("until", "That moment is past.")
        return given


@admin.register(Override)
class OverrideAdmin(Kept):
    form = OverrideForm
    list_display = ["organization", "feature", "value", "until", "ended_at", "reason"]
    list_filter = ["feature"]
    list_select_related = ["organization"]
    search_fields = ["organization__name", "organization__slug", "reason"]
    autocomplete_fields = ["organization"]
    actions = ["end_now"]

    def save_model(self, request: HttpRequest, obj: Override, form: Any, change: bool) -> None:
        given = form.cleaned_data
        made = EntitlementsManager(obj.organization).override(
            given["feature"],
            given["value"],
            reason=given["reason"],
            until=given["until"],
            actor=request.user,  # type: ignore[arg-type]
        )
        obj.pk = made.pk

    @admin.action(description="End the selected overrides now", permissions=["add"])
    def end_now(self, request: HttpRequest, overrides: QuerySet[Override]) -> None:
        self.each(
            request,
            overrides.select_related("organization"),
            lambda one: EntitlementsManager(one.organization).end_override(one, request.user),  # type: ignore[arg-type]
            "ended",
        )
