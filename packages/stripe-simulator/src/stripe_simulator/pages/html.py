"""Plain HTML pages: one layout, escaped values, forms that work without scripts."""

from html import escape
from urllib.parse import parse_qsl

from stripe_simulator.simulator import Request, Response

STYLE = """
:root { color-scheme: light; font: 16px/1.5 system-ui, sans-serif; color: #1a1f36; background: #f6f8fb }
* { box-sizing: border-box } body { margin: 0 } a { color: #4338ca }
.notice { margin: 0; background: #fff4d6; padding: .4rem 1rem; font-size: .85rem; text-align: center }
main { display: grid; grid-template-columns: 1fr 1fr; gap: 2rem; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
main.one { grid-template-columns: 1fr; max-width: 44rem }
@media (max-width: 44rem) { main { grid-template-columns: 1fr } }
section { background: #fff; border: 1px solid #e3e8ee; border-radius: .75rem; padding: 1.5rem; margin-bottom: 1rem }
h1 { font-size: 1.3rem; margin: 0 0 .5rem } h2 { font-size: 1.05rem; margin: 0 0 .75rem }
label { display: block; font-size: .9rem; margin: .75rem 0 .2rem } .row { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem }
input, select { width: 100%; padding: .6rem; border: 1px solid #8792a2; border-radius: .4rem; font: inherit; background: #fff }
button, .button { display: inline-block; padding: .65rem 1.1rem; border: 0; border-radius: .4rem; background: #4338ca; color: #fff;
  font: inherit; font-weight: 600; cursor: pointer; text-decoration: none; margin-top: 1rem }
button.plain { background: #eef0f4; color: #1a1f36 } button.wide { width: 100% }
:focus-visible { outline: 3px solid #a5b4fc; outline-offset: 1px }
.error { background: #fdecec; color: #8f1010; border-radius: .4rem; padding: .6rem .8rem; margin: 0 0 1rem }
.big { font-size: 2rem; font-weight: 700; margin: .25rem 0 } .quiet { color: #545969; font-size: .9rem }
table { width: 100%; border-collapse: collapse } td, th { text-align: left; padding: .45rem 0; border-bottom: 1px solid #eef0f4 }
td.amount { text-align: right; white-space: nowrap }
"""


def esc(value: object) -> str:
    return escape("" if value is None else str(value))


def layout(title: str, body: str, *, one: bool = False) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{esc(title)}</title><link rel="icon" href="data:,"><style>{STYLE}</style></head><body>'
        f'<p class="notice">Local simulator: no real payment is made. Pay with the card 4242 4242 4242 4242.</p>'
        f"<main class='{'one' if one else 'two'}'>{body}</main></body></html>"
    )


def html(text: str, status: int = 200) -> Response:
    return Response(status, text.encode(), {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"})


def redirect(url: str) -> Response:
    return Response(303, b"", {"Location": url, "Cache-Control": "no-store"})


def not_found(message: str, status: int = 404) -> Response:
    return html(layout("Not here", f"<section><h1>{esc(message)}</h1></section>", one=True), status)


def error(message: str | None) -> str:
    return f'<p class="error" role="alert">{esc(message)}</p>' if message else ""


def form_data(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.body, keep_blank_values=True))
