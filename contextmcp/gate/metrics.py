"""The metrics of the gate. The workers share their counters, and each of them returns the metrics of all."""

from bisect import bisect_left

from prometheus_client import Counter, Gauge, Histogram

from contextmcp.common.middleware import METHODS, REQUESTS

from .http_messages import HttpRequest

RESPONSES = Counter(
    "gate_responses_total", "Responses of the gate by route and error code; empty for successful responses", ["route", "code"]
)
REJECTED = Counter("gate_rejected_requests_total", "Requests that were rejected before they were complete", ["status"])
CONNECTIONS = Gauge("gate_connections", "Open connections", multiprocess_mode="livesum")
BUFFERED_BYTES = Gauge("gate_buffered_bytes", "Bytes of pending requests", multiprocess_mode="livesum")
EVICTIONS = Counter("gate_evicted_connections_total", "Connections without a verified key that were closed to make room for others")
DATABASE_ERRORS = Counter("gate_database_errors_total", "Batches that failed at Postgres, by SQLSTATE", ["state"])
BATCHES = Counter("gate_batches_total", "Transactions that decided requests")
BATCHED = Counter("gate_batched_requests_total", "Requests that were decided in transactions")
_HOLDS = "/api/usage/holds/"
# All other paths share one label, so that requests to guessed paths cannot create a series each.
_ROUTES = frozenset({"/api/usage/authorize", "/api/entitlements/check", "/api/usage/events", "/api/usage/current", "/livez", "/metrics"})


_BOUNDS = [float(bound) for bound in Histogram.DEFAULT_BUCKETS]


class _Series:
    """The responses of one method, route, status and code that `flush` has not added to the metrics yet."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * len(_BOUNDS)
        self.seconds = 0.0


_series: dict[tuple[str, str, int, str], _Series] = {}


def observe(request: "HttpRequest", status: int, code: str, seconds: float) -> None:
    """Count a response. `code` is its error code, or empty. `seconds` is the time from the request to the response.

    `flush` adds it to the metrics later, because their labels and locks would take a sixth of the time of a check.
    """
    # The labels of a known route are the method and path of the request, so repeated requests are found by the first lookup.
    series = _series.get((request.method, request.path, status, code))
    if series is None:
        series = _find_series(request.method, request.path, status, code)
    series.buckets[bisect_left(_BOUNDS, seconds)] += 1
    series.seconds += seconds


def _find_series(method: str, path: str, status: int, code: str) -> _Series:
    route = path if path in _ROUTES else f"{_HOLDS}<id>/{path.rpartition('/')[2]}" if status < 400 else "other"
    key = (method if method in METHODS else "other", route, status, code)
    series = _series.get(key)
    if series is None:
        series = _series[key] = _Series()
    return series


def flush() -> None:
    """Add the responses that were observed since the last call to the metrics."""
    for (method, route, status, code), series in _series.items():
        if not any(series.buckets):
            continue
        # The library has no way to add many observations at once; `tests/gate/test_metrics.py` compares this with `observe`.
        child = REQUESTS.labels(method, route, str(status))
        for bucket, count in zip(child._buckets, series.buckets, strict=True):
            if count:
                bucket.inc(count)
        child._sum.inc(series.seconds)
        RESPONSES.labels(route, code).inc(sum(series.buckets))
        series.buckets[:] = [0] * len(_BOUNDS)
        series.seconds = 0.0
