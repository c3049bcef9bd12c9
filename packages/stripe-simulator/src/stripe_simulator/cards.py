"""Stripe's test cards: their numbers, their tokens and their behavior."""

from dataclasses import dataclass

from stripe_simulator.errors import Refusal, declined

MESSAGES = {
    "card_declined": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "incorrect_number": "Your card number is incorrect.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
}


@dataclass(frozen=True)
class Card:
    number: str
    brand: str = "visa"
    funding: str = "credit"
    attach_decline: tuple[str, str | None] | None = None  # error code and decline code when the card is attached or set up
    charge_decline: tuple[str, str | None] | None = None  # error code and decline code only when the card is charged
    authentication: str = ""  # when authentication is required: "unless_setup" or "always"
    dispute: str = ""  # reason of a dispute that opens as soon as the card is charged, or "inquiry"

    @property
    def last4(self) -> str:
        return self.number[-4:]

    def refusal(self, reason: tuple[str, str | None], *, keep: bool = False, **extra: object) -> Refusal:
        code, decline_code = reason
        return declined(message_of(reason), decline_code, code=code, keep=keep, **extra)


def message_of(reason: tuple[str, str | None]) -> str:
    code, decline_code = reason
    return MESSAGES.get(decline_code or "") or MESSAGES.get(code) or MESSAGES["card_declined"]


_CARDS = (
    (Card("4242424242424242"), "visa"),
    (Card("4000056655665556", funding="debit"), "visa_debit"),
    (Card("5555555555554444", "mastercard"), "mastercard"),
    (Card("5200828282828210", "mastercard", "debit"), "mastercard_debit"),
    (Card("378282246310005", "amex"), "amex"),
    (Card("6011111111111117", "discover"), "discover"),
    (Card("3056930009020004", "diners"), "diners"),
    (Card("3566002020360505", "jcb"), "jcb"),
    (Card("6200000000000005", "unionpay"), "unionpay"),
    (Card("4000002760000016"), "nl"),
    (Card("4000000000000002", attach_decline=("card_declined", "generic_decline")), "chargeDeclined"),
    (Card("4000000000009995", attach_decline=("card_declined", "insufficient_funds")), "chargeDeclinedInsufficientFunds"),
    (Card("4000000000009987", attach_decline=("card_declined", "lost_card")), "chargeDeclinedLostCard"),
    (Card("4000000000009979", attach_decline=("card_declined", "stolen_card")), "chargeDeclinedStolenCard"),
    (Card("4000000000000069", attach_decline=("expired_card", None)), "chargeDeclinedExpiredCard"),
    (Card("4000000000000127", attach_decline=("incorrect_cvc", None)), "chargeDeclinedIncorrectCvc"),
    (Card("4000000000000119", attach_decline=("processing_error", None)), "chargeDeclinedProcessingError"),
    (Card("4000000000000341", charge_decline=("card_declined", "generic_decline")), "chargeCustomerFail"),
    (Card("4000002500003155", authentication="unless_setup"), "authenticationRequiredOnSetup"),
    (Card("4000002760003184", authentication="always"), "authenticationRequired"),
    (
        Card("4000008260003178", authentication="always", charge_decline=("card_declined", "insufficient_funds")),
        "authenticationRequiredChargeDeclinedInsufficientFunds",
    ),
    (Card("4000000000003220", authentication="always"), "threeDSecure2Required"),
    (Card("4000000000003063", authentication="always"), "threeDSecureRequired"),
    (Card("4000000000003055"), "threeDSecureOptional"),
    (Card("4000000000000259", dispute="fraudulent"), "createDispute"),
    (Card("4000000000002685", dispute="product_not_received"), "createDisputeProductNotReceived"),
    (Card("4000000000001976", dispute="inquiry"), "createDisputeInquiry"),
)
BY_NUMBER = {card.number: card for card, _ in _CARDS}
BY_NAME = {name: card for card, name in _CARDS} | {f"visa_{name}": card for card, name in _CARDS if name.startswith("charge")}


def of_token(token: str) -> Card | None:
    """Return the card of a test payment method or token, such as `pm_card_visa` or `tok_visa`."""
    for prefix in ("pm_card_", "tok_"):
        if token.startswith(prefix):
            return BY_NAME.get(token.removeprefix(prefix))
    return None


def of_number(number: str) -> Card:
    digits = "".join(character for character in number if character.isdigit())
    card = BY_NUMBER.get(digits)
    if card is None:
        reason = ("incorrect_number", None)
        raise declined(MESSAGES["incorrect_number"], None, code=reason[0], param="number")
    return card
