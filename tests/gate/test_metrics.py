"""The gate's buffered counts have the same effect on the metrics as single observations."""

from contextmcp.common.middleware import REQUESTS
from contextmcp.gate import metrics
from contextmcp.gate.http_messages import HttpRequest

SECONDS = (0.0, 0.004, 0.005, 0.3, 9.0, 99.0)


def series(route):
    """Return every line of the histogram for the route, without the route."""
    return {
        (sample.name, *sorted(item for item in sample.labels.items() if item[0] != "route")): sample.value
        for metric in REQUESTS.collect()
        for sample in metric.samples
        if sample.labels.get("route") == route and sample.name.startswith("http_request_seconds") and not sample.name.endswith("_created")
    }


def test_flushing_equals_single_observations():
    metrics.flush()
    requested = HttpRequest("POST", "/api/usage/holds/x/settle", {})
    for seconds in SECONDS:
        metrics.observe(requested, 418, "", seconds)
        REQUESTS.labels("POST", "compared", "418").observe(seconds)
    assert not [each for each in series("other").items() if ("status", "418") in each[0]]
    for _ in range(2):
        metrics.flush()
    matches = {name: value for name, value in series("other").items() if ("status", "418") in name}
    assert matches == series("compared")
    assert any(name[0].endswith("_count") and value == len(SECONDS) for name, value in matches.items())


def test_unknown_methods_share_a_label():
    for method in ("BREW", "MAKE"):
        metrics.observe(HttpRequest(method, "/livez", {}), 405, "method_not_allowed", 0.001)
    metrics.flush()
    counts = {name: value for name, value in series("/livez").items() if name[0].endswith("_count") and ("status", "405") in name}
    assert counts == {("http_request_seconds_count", ("method", "other"), ("status", "405")): 2.0}
