"""DATABASE_URL and REDIS_URL: every option reaches Django, the gate and the watchers alike."""

import ssl
from unittest.mock import patch

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from psycopg.conninfo import conninfo_to_dict
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection

from contextmcp.common.db import connection_string
from contextmcp.settings.addresses import database, redis_connection

OPTIONS = {
    "sslmode": "verify-full",
    "sslrootcert": "/etc/ssl/root.pem",
    "sslcert": "/etc/ssl/client.pem",
    "sslkey": "/etc/ssl/client.key",
    "sslpassword": "secret",
    "sslcrl": "/etc/ssl/crl.pem",
    "sslnegotiation": "direct",
    "channel_binding": "require",
    "options": "-c search_path=contextmcp,public",
    "target_session_attrs": "read-write",
    "load_balance_hosts": "random",
    "gssencmode": "disable",
    "krbsrvname": "postgres",
    "passfile": "/etc/pgpass",
    "connect_timeout": "7",
    "keepalives_idle": "60",
    "tcp_user_timeout": "5000",
    "application_name": "mine",
}


def gate_options(url):
    with patch.dict(connections["default"].settings_dict, database(url)):
        return {name: str(value) for name, value in conninfo_to_dict(connection_string()).items()}


def django_options(url):
    with patch.dict(connections["default"].settings_dict, database(url)):
        return {name: str(value) for name, value in connections["default"].get_connection_params().items()}


@pytest.mark.parametrize("reader", [gate_options, django_options])
@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_reaches_every_connection(name, reader):
    value = OPTIONS[name]
    encoded = value.replace(" ", "%20").replace("=", "%3D").replace(",", "%2C")
    assert reader(f"postgres://user@host/name?{name}={encoded}")[name] == value


@pytest.mark.parametrize("reader", [gate_options, django_options])
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://us%40er:p%3Aa%2Fs%25s@host:5433/na%20me", {"user": "us@er", "password": "p:a/s%s", "port": "5433", "dbname": "na me"}),
        ("postgresql://user@%2Fvar%2Frun%2Fpostgresql/name", {"host": "/var/run/postgresql"}),
        ("postgres://user@/name?host=/var/run/postgresql&port=5433", {"host": "/var/run/postgresql", "port": "5433"}),
        ("postgres://user@one,two:5433/name?target_session_attrs=primary", {"host": "one,two", "port": ",5433"}),
        ("postgres://user@[2001:db8::1]:5433/name", {"host": "2001:db8::1", "port": "5433"}),
        ("postgres://user@host/name", {"connect_timeout": "3", "tcp_user_timeout": "10000"}),
    ],
)
def test_hosts_sockets_and_encoded_characters(url, expected, reader):
    options = reader(url)
    assert {name: options[name] for name in expected} == expected


@pytest.mark.parametrize(
    "url", ["postgres://user:hunter2@host/name?sslcrt=x", "postgres://user:hunter2@host", "postgres://user:hunter2@[host/name"]
)
def test_malformed_database_url_is_refused_without_showing_its_password(url):
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL is malformed") as error:
        database(url)
    assert "hunter2" not in str(error.value)


def test_redis_over_tls_with_certificates():
    url = "rediss://us%40er:p%3Aw@cache:6380/3?ssl_cert_reqs=optional&ssl_check_hostname=false&ssl_keyfile=k&ssl_certfile=c&ssl_ca_certs=ca"
    connection = redis_connection(url)
    assert isinstance(connection, SSLConnection)
    assert (connection.host, connection.port, connection.db) == ("cache", 6380, 3)
    assert (connection.username, connection.password) == ("us@er", "p:w")
    tls = connection.ssl_context
    assert (tls.keyfile, tls.certfile, tls.ca_certs, tls.check_hostname) == ("k", "c", "ca", False)
    assert tls.cert_reqs == ssl.CERT_OPTIONAL
    assert redis_connection("rediss://cache").ssl_context.cert_reqs == ssl.CERT_REQUIRED


def test_redis_on_a_unix_socket():
    connection = redis_connection("unix://user:pw@/run/va%20lkey.sock?db=2&client_name=gate&max_connections=5")
    assert isinstance(connection, UnixDomainSocketConnection)
    assert (connection.path, connection.db, connection.username, connection.client_name) == ("/run/va lkey.sock", 2, "user", "gate")


@pytest.mark.parametrize("query", ["db=x", "ssl_cert_req=none", "socket_timeout=soon"])
def test_a_cache_that_cannot_be_understood_is_refused_without_its_password(query):
    with pytest.raises(ImproperlyConfigured, match="REDIS_URL is malformed") as error:
        redis_connection(f"redis://:hunter2@host?{query}")
    assert "hunter2" not in str(error.value)
