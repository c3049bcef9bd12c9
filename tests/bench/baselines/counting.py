"""Views that ingest, read and answer usage events with Django and DRF."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Sum
from django.http import HttpRequest, JsonResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tests.bench.baselines.models import Event, Hook, Hour

KEY = UUID(int=7)


class EventSerializer(serializers.Serializer):
    feature = serializers.ChoiceField(["sessions", "context_queries"])
    amount = serializers.IntegerField(min_value=-(10**9), max_value=10**9, default=1)
    idempotencyKey = serializers.CharField(max_length=255)  # noqa: N815 - as it is sent
    occurredAt = serializers.DateTimeField(required=False)  # noqa: N815
    properties = serializers.JSONField(required=False)


class BatchSerializer(serializers.Serializer):
    events = EventSerializer(many=True, max_length=1000)


def row(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "feature": event["feature"],
        "amount": event["amount"],
        "occurred_at": event.get("occurredAt") or dt.datetime.now(dt.UTC),
        "key_id": KEY,
        "member_id": 1,
        "properties": event.get("properties"),
    }


def organization(request: Request) -> UUID:
    return UUID(int=int(request.META["HTTP_X_ORGANIZATION"]))


class OneEvent(APIView):
    def post(self, request: Request) -> Response:
        serializer = EventSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        event = serializer.validated_data
        key = event["idempotencyKey"]
        _, created = Event.objects.get_or_create(organization_id=organization(request), idempotency_key=key, defaults=row(event))
        return Response({"accepted": int(created)})


class ManyEvents(APIView):
    def post(self, request: Request) -> Response:
        serializer = BatchSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        events, whose = serializer.validated_data["events"], organization(request)
        with transaction.atomic():
            rows = [Event(organization_id=whose, idempotency_key=event["idempotencyKey"], **row(event)) for event in events]
            Event.objects.bulk_create(rows, ignore_conflicts=True)
        return Response({"accepted": len(rows)})


class Current(APIView):
    """Return the month's usage of each meter, summed over its hours."""

    def get(self, request: Request) -> Response:
        first = dt.datetime.now(dt.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        hours = Hour.objects.filter(organization_id=int(request.META["HTTP_X_ORGANIZATION"]), bucket__gte=first)
        return Response({one["feature"]: one["used"] for one in hours.values("feature").annotate(used=Sum("amount"))})


def hook(request: HttpRequest) -> JsonResponse:
    """A webhook receiver that trusts its sender: it parses the body and inserts one row."""
    payload = json.loads(request.body)
    Hook.objects.create(id=payload["id"], type=payload["type"], payload=payload)
    return JsonResponse({"received": True})
