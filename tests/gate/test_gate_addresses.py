"""The gate honors the options of DATABASE_URL and REDIS_URL on real connections."""

import asyncio
import os
import ssl
import subprocess
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection

from contextmcp.gate import valkey_client
from contextmcp.gate.valkey_client import Unavailable, ValkeyClient
from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.support.gates import Http, gate_process

pytestmark = pytest.mark.django_db(transaction=True)


def url_with(query):
    parts = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    return parts._replace(query=f"{parts.query}&{query}".lstrip("&")).geturl()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("target_session_attrs=read-write", 200),
        ("target_session_attrs=standby", 503),
        ("options=-c%20application_name%3Dx%20-c%20work_mem%3D5MB", 200),
    ],
)
def test_options_of_the_database(transactional_db, query, status):
    key = Person(OrganizationFactory(owner=UserFactory()).memberships.get()).key
    with gate_process(DATABASE_URL=url_with(query)) as gate:
        assert Http(gate.port).post("/api/usage/authorize", {"feature": "sessions"}, key=key)[0] == status


@contextmanager
def tls_front(folder):
    """Yield the port of a TLS server in front of this run's Valkey, which requests client certificates."""
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run([*command, "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "cert.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    behind, loop, ready = urlsplit(settings.REDIS_URL), asyncio.new_event_loop(), threading.Event()
    ports = []

    async def pump(reader, writer):
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def relay(reader, writer):
        opened = (
            asyncio.open_unix_connection(behind.path) if behind.scheme == "unix" else asyncio.open_connection(behind.hostname, behind.port)
        )
        inner_reader, inner_writer = await opened
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer), return_exceptions=True)

    async def serve():
        server = await asyncio.start_server(relay, "localhost", 0, ssl=context)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()

    loop.create_task(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)


def test_valkey_over_tls_with_a_client_certificate(tmp_path, monkeypatch):
    monkeypatch.setattr(valkey_client, "TIMEOUT_SECONDS", 10.0)
    ask = {"text": "return 7", "keys": [], "values": []}
    certificate = f"ssl_certfile={tmp_path}/cert.pem&ssl_keyfile={tmp_path}/key.pem&socket_connect_timeout=10"
    with tls_front(tmp_path) as port:
        whole = f"rediss://localhost:{port}/0?ssl_ca_certs={tmp_path}/cert.pem&{certificate}"
        assert asyncio.run(ValkeyClient(whole).eval_script(**ask)) == 7
        assert asyncio.run(ValkeyClient(f"rediss://localhost:{port}/0?ssl_cert_reqs=none&{certificate}").eval_script(**ask)) == 7
        for incomplete in (f"ssl_ca_certs={tmp_path}/cert.pem&socket_connect_timeout=10", certificate):
            with pytest.raises(Unavailable):
                asyncio.run(ValkeyClient(f"rediss://localhost:{port}/0?{incomplete}").eval_script(**ask))
