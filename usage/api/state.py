"""Holds and levels."""

from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request

from usage import requests

from .base import UsageView, answer, key_of, raw
from .schemas import GiveBackSchema, GrantedItemSchema, GrantedSchema, LevelSchema, SettledSchema, SettleSchema, level_names

_SETTLED = {"id": "0197f3c2-6f0a-7d3e-9c54-2a1b7e60d9aa", "feature": "sessions", "state": "settled", "held": 5, "settled": 3}
_LEVEL = {"feature": "projects", "kind": "limit", "amount": 3, "used": 3, "limit": 10, "remaining": 7, "overage": 0, "resetsAt": None}


class SettleHold(UsageView):
    idempotent = True

    @extend_schema(
        operation_id="settle_hold",
        tags=["Usage"],
        summary="Count the true amount of a hold",
        description=(
            "What was used was used: it is counted even if it is more than was held, or the hold has expired. "
            "Needs a service key with the scope `usage:write`."
        ),
        request=SettleSchema,
        responses=SettledSchema,
        examples=[
            OpenApiExample("Less than held", {"amount": 3}, request_only=True),
            OpenApiExample("Settled", _SETTLED, response_only=True),
        ],
    )
    def post(self, request: Request, hold_id: UUID) -> HttpResponse:
        tracker = self.admit_service(request)
        key_of(request)  # A hold is settled once, with or without a key.
        return answer(tracker.settle(hold_id, requests.read(requests.SettleBody, raw(request)).amount))


class ReleaseHold(UsageView):
    idempotent = True

    @extend_schema(
        operation_id="release_hold",
        tags=["Usage"],
        summary="Count nothing of a hold",
        description="Needs a service key with the scope `usage:write`.",
        request=None,
        responses=SettledSchema,
        examples=[OpenApiExample("Released", {**_SETTLED, "state": "released", "settled": 0}, response_only=True)],
    )
    def post(self, request: Request, hold_id: UUID) -> HttpResponse:
        tracker = self.admit_service(request)
        key_of(request)
        requests.read(requests.EmptyBody, raw(request))
        return answer(tracker.release_hold(hold_id))


_FEATURE = OpenApiParameter("feature", level_names(), OpenApiParameter.PATH, description="What is in use, not used up.")


class StateLevel(UsageView):
    @extend_schema(
        operation_id="state_level",
        parameters=[_FEATURE],
        tags=["Usage"],
        summary="Say how much of a level is in use",
        description="The truth, even above the limit. Needs a service key with the scope `usage:write`.",
        request=LevelSchema,
        responses=GrantedItemSchema,
        examples=[OpenApiExample("Three projects", {"value": 3}, request_only=True), OpenApiExample("Noted", _LEVEL, response_only=True)],
    )
    def put(self, request: Request, feature: str) -> HttpResponse:
        tracker = self.admit_service(request)
        return answer(tracker.state_level(feature, requests.read(requests.LevelBody, raw(request)).value))


class ReleaseLevel(UsageView):
    idempotent = True

    @extend_schema(
        operation_id="release_level",
        parameters=[_FEATURE],
        tags=["Usage"],
        summary="Give back part of a level",
        description="Refused with `conflict` when less than that is in use. Needs a service key with the scope `usage:write`.",
        request=GiveBackSchema,
        responses=GrantedSchema,
        examples=[
            OpenApiExample("A project", {"amount": 1}, request_only=True),
            OpenApiExample("Given back", {"allowed": True, "recorded": True, **_LEVEL}, response_only=True),
        ],
    )
    def post(self, request: Request, feature: str) -> HttpResponse:
        tracker = self.admit_service(request)
        amount = requests.read(requests.AmountBody, raw(request)).amount
        granted = tracker.release(feature, amount, idempotency_key=key_of(request))
        return answer(granted.body, {"Idempotent-Replayed": "true"} if granted.replayed else None)
