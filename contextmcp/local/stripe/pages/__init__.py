"""The pages that Stripe hosts: Checkout, the portal, invoices and their PDF, authentication, receipts."""

from collections.abc import Callable

from contextmcp.local.stripe.pages import authentication, checkout, invoice, portal
from contextmcp.local.stripe.pages.html import gone
from contextmcp.local.stripe.simulator import Answer, Request, Simulator, log

Page = Callable[[Simulator, Request, list[str]], Answer]
PAGES: dict[str, Page] = {
    "/c/pay/": checkout.respond,
    "/p/session/": portal.respond,
    "/i/": invoice.respond,
    "/receipts/": invoice.receipt,
    "/3ds/": authentication.respond,
}


def respond(sim: Simulator, request: Request) -> Answer:
    for prefix, page in PAGES.items():
        if request.path.startswith(prefix):
            try:
                return page(sim, request, request.path.removeprefix(prefix).strip("/").split("/"))
            except Exception:
                log.exception("The page %s failed", request.path)
                return gone("Something went wrong in the simulator; its log says what.", 500)
    return gone("There is no such page.")
