"""The pages that Stripe hosts: Checkout, the customer portal, invoices and their PDF, authentication, receipts."""

from collections.abc import Callable

from stripe_simulator.pages import authentication, checkout, invoice, portal
from stripe_simulator.pages.html import not_found
from stripe_simulator.simulator import Request, Response, Simulator, log

Page = Callable[[Simulator, Request, list[str]], Response]
PAGES: dict[str, Page] = {
    "/c/pay/": checkout.respond,
    "/p/session/": portal.respond,
    "/i/": invoice.respond,
    "/receipts/": invoice.receipt,
    "/3ds/": authentication.respond,
}


def respond(sim: Simulator, request: Request) -> Response:
    for prefix, page in PAGES.items():
        if request.path.startswith(prefix):
            try:
                return page(sim, request, request.path.removeprefix(prefix).strip("/").split("/"))
            except Exception:
                log.exception("The page %s failed", request.path)
                return not_found("An unexpected error occurred in the simulator. See its log.", 500)
    return not_found("There is no such page.")
