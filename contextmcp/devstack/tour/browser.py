"""A browser without scripts: it follows redirects, keeps cookies and fills in forms."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import httpx

from .report import TIMEOUT_SECONDS

SKIPPED_INPUTS = frozenset({"submit", "button", "image", "reset"})


class PageError(Exception):
    """The page differs from what the step expected. The message quotes it."""


@dataclass
class Form:
    """A form of the page: its action, its fields with their values, and its submit buttons."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    checkboxes: set[str] = field(default_factory=set)
    buttons: list[tuple[str, str]] = field(default_factory=list)
    text: str = ""


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._select = ""
        self._textarea = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = Form(attributes.get("action", ""), attributes.get("method", "get").lower())
            self.forms.append(self._form)
        form = self._form
        if form is None:
            return
        name = attributes.get("name", "")
        if tag == "input" and name:
            self._input(form, name, attributes)
        elif tag == "button" and attributes.get("type", "submit") == "submit":
            form.buttons.append((name, attributes.get("value", "")))
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and ("selected" in attributes or self._select not in form.fields):
            form.fields[self._select] = attributes.get("value", "")
        elif tag == "textarea" and name:
            self._textarea = name
            form.fields[name] = ""

    def _input(self, form: Form, name: str, attributes: dict[str, str]) -> None:
        kind = attributes.get("type", "text").lower()
        if kind in {"submit", "image"}:
            form.buttons.append((name, attributes.get("value", "")))
        elif kind in {"checkbox", "radio"}:
            form.checkboxes.add(name)
            if "checked" in attributes:
                form.fields[name] = attributes.get("value", "on")
        elif kind not in SKIPPED_INPUTS:
            form.fields[name] = attributes.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._textarea = ""

    def handle_data(self, data: str) -> None:
        if self._form is None:
            return
        self._form.text += data
        if self._textarea:
            self._form.fields[self._textarea] += data


class Browser:
    """The cookies of one person and the current page."""

    def __init__(self) -> None:
        self.client = httpx.Client(follow_redirects=True, timeout=TIMEOUT_SECONDS)
        self.page: httpx.Response | None = None

    def close(self) -> None:
        self.client.close()

    @property
    def html(self) -> str:
        return self.page.text if self.page is not None else ""

    @property
    def address(self) -> str:
        return str(self.page.url) if self.page is not None else ""

    def open(self, url: str) -> httpx.Response:
        """Open a URL. A relative URL is resolved against the current page."""
        return self._arrive(self.client.get(urljoin(self.address, url)))

    def forms(self) -> list[Form]:
        parser = _Forms()
        parser.feed(self.html)
        return parser.forms

    def submit(
        self, values: Mapping[str, str | list[str]] | None = None, *, having: str = "", press: str = "", follow: bool = True
    ) -> httpx.Response:
        """Fill in and submit the first form that has every field of `values`, whose action or text contains `having`,
        and that has a button with the name or value `press`. Without `follow`, return a redirect as it is.
        """
        values = values or {}
        for form in self.forms():
            pressed = [button for button in form.buttons if press in button] if press else form.buttons[:1]
            if (
                (having in form.action or having in form.text)
                and set(values) <= form.fields.keys() | form.checkboxes
                and (pressed or not press)
            ):
                break
        else:
            available = [(form.action, sorted(form.fields)) for form in self.forms()]
            raise PageError(f"No form with {sorted(values)} {having!r} {press!r} at {self.address}; there are {available}")
        data = {**form.fields, **values, **{name: value for name, value in pressed[:1] if name}}
        target = urljoin(self.address, form.action or self.address)
        headers = {"Referer": self.address}
        if form.method == "get":
            return self._arrive(self.client.get(target, params=data, headers=headers))
        return self._arrive(self.client.post(target, data=data, headers=headers, follow_redirects=follow))

    def _arrive(self, response: httpx.Response) -> httpx.Response:
        self.page = response
        if response.status_code >= 400:
            raise PageError(f"{response.request.method} {response.url} answered {response.status_code}")
        return response


class Api:
    """A client of the REST API with an API key."""

    def __init__(self, base: str, key: str = "") -> None:
        self.base = base
        self.key = key
        self.client = httpx.Client(timeout=TIMEOUT_SECONDS)

    def close(self) -> None:
        self.client.close()

    def call(self, method: str, path: str, body: Any = None, *, key: str = "", base: str = "") -> httpx.Response:
        headers = {"Authorization": f"Bearer {key or self.key}"} if key or self.key else {}
        return self.client.request(method, (base or self.base) + path, json=body, headers=headers)

    def get(self, path: str) -> Any:
        """Return the JSON of a 2xx response. Raises `PageError`, which quotes any other response."""
        return self._expect(self._request_with_retries("GET", path))

    def post(self, path: str, body: Any = None) -> Any:
        return self._expect(self._request_with_retries("POST", path, {} if body is None else body))

    def _request_with_retries(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Repeat the call while the response is 503 with `Retry-After`: a worker holds the customer's lock, and nothing was changed."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            answer = self.call(method, path, body)
            if answer.status_code != 503 or "retry-after" not in answer.headers or time.monotonic() >= deadline:
                return answer
            time.sleep(int(answer.headers["retry-after"]))

    @staticmethod
    def _expect(answer: httpx.Response) -> Any:
        if answer.status_code >= 300:
            raise PageError(f"{answer.request.method} {answer.url.path} answered {answer.status_code}: {answer.text[:400]}")
        return answer.json() if answer.content else None
