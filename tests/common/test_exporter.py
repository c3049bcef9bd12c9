"""The worker's responses to probes and to Prometheus."""

import http.client

import pytest

from contextmcp.common import exporter


@pytest.mark.django_db(transaction=True)
def test_liveness_is_open_and_metrics_need_the_token(settings):
    settings.METRICS_TOKEN = "secret"
    server = exporter.start(0)
    try:
        client = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)

        def get(path, **headers):
            client.request("GET", path, headers=headers)
            answer = client.getresponse()
            return answer.status, answer.read()

        assert get("/livez") == (200, b'{"status": "ok"}')
        assert get("/metrics")[0] == get("/metrics", Authorization="Bearer wrong")[0] == get("/else")[0] == 404
        status, body = get("/metrics", Authorization="Bearer secret")
        assert status == 200 and b"http_request_seconds" in body
    finally:
        server.shutdown()
        server.server_close()
