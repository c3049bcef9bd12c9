"""Key checks and counted calls with packages from PyPI."""

from __future__ import annotations

from django.db.models import F
from django.http import HttpRequest, JsonResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView
from rest_framework_api_key.permissions import HasAPIKey

from tests.bench.baselines.models import Quota

PERIOD = "2026-11"


def plain(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ok": True})


class Framework(APIView):
    def get(self, request: Request) -> Response:
        return Response({"ok": True})

    post = get


class Keyed(APIView):
    permission_classes = [HasAPIKey]

    def get(self, request: Request) -> Response:
        return Response({"ok": True})


class Throttle(SimpleRateThrottle):
    """The standard algorithm with its history limited to 100 entries. At a benchmark's rates it would otherwise do nothing else."""

    rate = "100000000/min"

    def get_cache_key(self, request: Request, view: APIView) -> str:
        return f"throttle:{request.META['HTTP_AUTHORIZATION'][8:16]}"

    def allow_request(self, request: Request, view: APIView) -> bool:
        self.key = self.get_cache_key(request, view)
        self.now = self.timer()
        self.history = [self.now, *self.cache.get(self.key, [])[:99]]
        self.cache.set(self.key, self.history, self.duration)
        return True


class Usual(APIView):
    """Check the key, throttle in Valkey and run one exact conditional UPDATE in Postgres: the most common choice."""

    permission_classes = [HasAPIKey]
    throttle_classes = [Throttle]

    def post(self, request: Request) -> Response:
        rows = Quota.objects.filter(organization_id=int(request.META["HTTP_X_ORGANIZATION"]), feature="sessions", period=PERIOD)
        if not rows.filter(used__lte=F("limit") - 1).update(used=F("used") + 1):
            return Response({"allowed": False}, status=429)
        quota = rows.get()
        return Response({"allowed": True, "remaining": quota.limit - quota.used})
