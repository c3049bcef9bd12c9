"""Email arrives by SMTP and is shown as a page and as JSON."""

from __future__ import annotations

import json
import smtplib
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from contextmcp.devstack import ports


@pytest.fixture(scope="module")
def mail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    with ports.claims() as claims:
        smtp, http = claims.first_free(25500), claims.first_free(25600)
        command = [sys.executable, "-m", "contextmcp.devstack.mail", "--smtp-port", str(smtp), "--http-port", str(http)]
        problems = tmp_path_factory.mktemp("mail") / "stderr"
        with problems.open("wb") as stderr:
            process = subprocess.Popen(command, stderr=stderr)
        while ports.is_free(http):
            assert process.poll() is None
            time.sleep(0.02)
        yield smtp, f"http://127.0.0.1:{http}"
        process.kill()
        process.wait()
        assert problems.read_text() == ""


def send(port: int, *, to: list[str], subject: str = "Hello", text: str = "", html: str = "") -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ContextMCP <hello@contextmcp.example>", ", ".join(to), subject
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.send_message(message)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def test_an_email_is_shown_with_text_html_and_links(mail: tuple[int, str]) -> None:
    port, url = mail
    text = "Grüße!\n.a line with a dot\nGo to http://localhost:3001/invitations/a?b=c, please.\n"
    send(port, to=["Ann@acme.example"], subject="Ihre Einladung für später", text=text, html="<p>Go <b>there</b></p>")
    (result,) = json.loads(get(f"{url}/messages?to=ann@acme.example"))
    assert (result["to"], result["subject"]) == (["Ann@acme.example"], "Ihre Einladung für später")
    assert result["text"] == text
    assert result["html"].strip() == "<p>Go <b>there</b></p>"
    assert result["links"] == ["http://localhost:3001/invitations/a?b=c"]
    page = get(url)
    assert 'href="http://localhost:3001/invitations/a?b=c"' in page
    assert "Ihre Einladung für später" in page
    assert "<b>there</b>" in get(f"{url}/messages/{result['id']}.html")


def test_messages_are_filtered_by_recipient(mail: tuple[int, str]) -> None:
    port, url = mail
    send(port, to=["bob@acme.example", "eve@acme.example"], text="both")
    send(port, to=["eve@acme.example"], text="one")
    assert [each["text"].strip() for each in json.loads(get(f"{url}/messages?to=eve@acme.example"))] == ["both", "one"]
    assert [each["text"].strip() for each in json.loads(get(f"{url}/messages?to=bob@acme.example"))] == ["both"]


def test_markup_in_an_email_is_escaped(mail: tuple[int, str]) -> None:
    port, url = mail
    send(port, to=["mallory@acme.example"], subject="<script>alert(1)</script>", text="<img src=x onerror=alert(1)>")
    page = get(url)
    assert "<script>" not in page
    assert "<img" not in page


def test_invalid_commands_affect_no_other_client(mail: tuple[int, str]) -> None:
    port, url = mail
    for where in (port, int(url.rsplit(":", 1)[1])):
        with socket.create_connection(("127.0.0.1", where)) as client:
            client.sendall(b"\xff\xfe rubbish\r\nDATA\r\nunfinished")
        with socket.create_connection(("127.0.0.1", where)) as client:
            client.sendall(b"x\r\n\r\n" + b"y" * 100_000)
    send(port, to=["after@acme.example"], text="still there")
    assert len(json.loads(get(f"{url}/messages?to=after@acme.example"))) == 1
