"""The requests that cause each event of the objects that this product uses, by the type of the event.

The calls are those of the trigger scripts of Stripe's CLI. If a script relies on something that this version of the API no longer has
(coupons on customers, sources) or on Checkout's undocumented endpoints, the event is triggered in the documented way.
`packages/stripe-simulator/README.md` lists the scripts that are out of scope.
"""

from typing import Any

Step = tuple[str, str, dict[str, Any]]
"""The name of the response (`!name` if the call must be refused), the call and its parameters. `<name.path>` refers to a response."""

NEW_YEAR, FEBRUARY = 1_577_836_800, 1_580_515_200
FAR_AHEAD = 1_893_456_000

CUSTOMER: Step = ("customer", "POST /v1/customers", {"description": "scripted"})
PAYER: Step = (
    "customer",
    "POST /v1/customers",
    {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}},
)
PRODUCT: Step = ("product", "POST /v1/products", {"name": "scripted"})
PRICE: Step = (
    "price",
    "POST /v1/prices",
    {"product": "<product.id>", "unit_amount": 1500, "currency": "usd", "recurring": {"interval": "month"}},
)
ONE_TIME: Step = ("price", "POST /v1/prices", {"product": "<product.id>", "unit_amount": 1500, "currency": "usd"})
COUPON: Step = ("coupon", "POST /v1/coupons", {"percent_off": 20})
TOUCH = {"metadata": {"foo": "bar"}}
ROW = {"price": "<price.id>"}
SUBSCRIBED: tuple[Step, ...] = (
    PAYER,
    PRODUCT,
    PRICE,
    ("subscription", "POST /v1/subscriptions", {"customer": "<customer.id>", "items": [ROW]}),
)
ITEM: Step = ("item", "POST /v1/invoiceitems", {"amount": 2000, "currency": "usd", "customer": "<customer.id>"})
INVOICE: Step = ("invoice", "POST /v1/invoices", {"customer": "<customer.id>", "pending_invoice_items_behavior": "include"})
DRAFT_INVOICE: tuple[Step, ...] = (CUSTOMER, ITEM, INVOICE)
FINALIZED_INVOICE: tuple[Step, ...] = (*DRAFT_INVOICE, ("done", "POST /v1/invoices/<invoice.id>/finalize", {}))
NOTE: Step = (
    "note",
    "POST /v1/credit_notes",
    {"invoice": "<invoice.id>", "lines": [{"type": "custom_line_item", "unit_amount": 1000, "quantity": 1, "description": "scripted"}]},
)
PORTAL: Step = (
    "configuration",
    "POST /v1/billing_portal/configurations",
    {"business_profile": {"headline": "scripted"}, "features": {"subscription_cancel": {"enabled": True}}},
)
ORDER = {
    "success_url": "https://stripe_api.test",
    "cancel_url": "https://stripe_api.test",
    "mode": "payment",
    "line_items": [{**ROW, "quantity": 2}],
}
CHECKOUT: tuple[Step, ...] = (PRODUCT, ONE_TIME, ("session", "POST /v1/checkout/sessions", ORDER))
EURO: tuple[Step, ...] = (
    PRODUCT,
    ("price", "POST /v1/prices", {"product": "<product.id>", "unit_amount": 1500, "currency": "eur"}),
    ("session", "POST /v1/checkout/sessions", {**ORDER, "payment_method_types": ["sepa_debit"]}),
)
CLOCK: Step = ("clock", "POST /v1/test_helpers/test_clocks", {"frozen_time": NEW_YEAR, "name": "scripted"})
ON_CLOCK: tuple[Step, ...] = (CLOCK, ("customer", "POST /v1/customers", {"test_clock": "<clock.id>"}), PRODUCT, PRICE)
TAXED = (CUSTOMER, ("tax_id", "POST /v1/customers/<customer.id>/tax_ids", {"type": "eu_vat", "value": "DE123456789"}))
MONTH = {"interval": "month", "interval_count": 1}


def paid(method: str = "pm_card_visa", name: str = "intent", **more: Any) -> Step:
    types = {"payment_method_types": ["card"], "payment_method": method}
    return (name, "POST /v1/payment_intents", {"amount": 2000, "currency": "usd", "confirm": True, **types, **more})


def attempted(method: str, refused: bool = False) -> tuple[Step, ...]:
    """Return calls that create an invoice paid with a card."""
    attach = ("method", f"POST /v1/payment_methods/{method}/attach", {"customer": "<customer.id>"})
    name = "!refused" if refused else "paid"
    return (CUSTOMER, attach, ITEM, INVOICE, (name, "POST /v1/invoices/<invoice.id>/pay", {"payment_method": "<method.id>"}))


def scheduled(**more: Any) -> tuple[Step, ...]:
    phases = [{"duration": MONTH, "items": [{**ROW, "quantity": quantity}]} for quantity in (1, 2)]
    params = {"customer": "<customer.id>", "start_date": "now", "phases": phases, **more}
    return (PAYER, PRODUCT, PRICE, ("schedule", "POST /v1/subscription_schedules", params))


def on_clock(to: int, **more: Any) -> tuple[Step, ...]:
    params = {"customer": "<customer.id>", "start_date": NEW_YEAR, **more}
    schedule = ("schedule", "POST /v1/subscription_schedules", params)
    return (*ON_CLOCK, schedule, ("later", "POST /v1/test_helpers/test_clocks/<clock.id>/advance", {"frozen_time": to}))


def disputed(*more: Step) -> tuple[Step, ...]:
    return (paid("pm_card_createDisputeInquiry"), ("disputes", "GET /v1/disputes", {"payment_intent": "<intent.id>"}), *more)


def debited(iban: str) -> tuple[Step, ...]:
    return (*EURO, ("page", "IBAN <session.url>", {"iban": iban}), ("bank", "POST /_sim/tick", {}))


DISCOUNTED: tuple[Step, ...] = (
    *SUBSCRIBED[:3],
    COUPON,
    ("subscription", "POST /v1/subscriptions", {"customer": "<customer.id>", "items": [ROW], "discounts": [{"coupon": "<coupon.id>"}]}),
)
CODE: Step = ("code", "POST /v1/promotion_codes", {"promotion": {"type": "coupon", "coupon": "<coupon.id>"}})
SETUP = {"payment_method_types": ["card"]}
TRIAL = {"customer": "<customer.id>", "items": [ROW]}
PAUSE = {"trial_settings": {"end_behavior": {"missing_payment_method": "pause"}}}
ADVANCE: Step = ("later", "POST /v1/test_helpers/test_clocks/<clock.id>/advance", {"frozen_time": FEBRUARY})

SCRIPTS: dict[str, tuple[Step, ...]] = {
    "billing.meter.created": (
        ("meter", "POST /v1/billing/meters", {"display_name": "m", "event_name": "m", "default_aggregation": {"formula": "sum"}}),
    ),
    "billing_portal.configuration.created": (PORTAL,),
    "billing_portal.configuration.updated": (PORTAL, ("again", "POST /v1/billing_portal/configurations/<configuration.id>", TOUCH)),
    "billing_portal.session.created": (CUSTOMER, ("session", "POST /v1/billing_portal/sessions", {"customer": "<customer.id>"})),
    "charge.captured": (paid(capture_method="manual"), ("captured", "POST /v1/payment_intents/<intent.id>/capture", {})),
    "charge.dispute.closed": disputed(("closed", "POST /v1/disputes/<disputes.data.0.id>/close", {})),
    "charge.dispute.created": disputed(),
    "charge.dispute.funds_withdrawn": (paid("pm_card_createDispute"),),
    "charge.dispute.funds_reinstated": (
        paid("pm_card_createDispute"),
        ("disputes", "GET /v1/disputes", {"payment_intent": "<intent.id>"}),
        ("won", "POST /v1/disputes/<disputes.data.0.id>", {"evidence": {"uncategorized_text": "winning_evidence"}}),
    ),
    "charge.dispute.updated": disputed(("touched", "POST /v1/disputes/<disputes.data.0.id>", TOUCH)),
    "charge.failed": (paid("pm_card_visa_chargeDeclined", "!refused"),),
    "charge.refund.updated": (paid(), ("refund", "POST /v1/refunds", {"payment_intent": "<intent.id>"})),
    "charge.refunded": (paid(), ("refund", "POST /v1/refunds", {"payment_intent": "<intent.id>"})),
    "charge.succeeded": (paid(),),
    "checkout.session.async_payment_failed": debited("IT60X0542811101000000123456"),
    "checkout.session.async_payment_succeeded": debited("AT611904300234573201"),
    "checkout.session.completed": (*CHECKOUT, ("page", "CARD <session.url>", {})),
    "checkout.session.expired": (*CHECKOUT, ("expired", "POST /v1/checkout/sessions/<session.id>/expire", {})),
    "coupon.created": (COUPON,),
    "coupon.deleted": (COUPON, ("gone", "DELETE /v1/coupons/<coupon.id>", {})),
    "coupon.updated": (COUPON, ("touched", "POST /v1/coupons/<coupon.id>", TOUCH)),
    "credit_note.created": (*FINALIZED_INVOICE, NOTE),
    "credit_note.updated": (*FINALIZED_INVOICE, NOTE, ("touched", "POST /v1/credit_notes/<note.id>", {**TOUCH, "memo": "scripted"})),
    "credit_note.voided": (*FINALIZED_INVOICE, NOTE, ("void", "POST /v1/credit_notes/<note.id>/void", {})),
    "customer.created": (CUSTOMER,),
    "customer.deleted": (CUSTOMER, ("gone", "DELETE /v1/customers/<customer.id>", {})),
    "customer.discount.created": DISCOUNTED,
    "customer.discount.deleted": (*DISCOUNTED, ("plain", "POST /v1/subscriptions/<subscription.id>", {"discounts": ""})),
    "customer.subscription.created": SUBSCRIBED,
    "customer.subscription.deleted": (*SUBSCRIBED, ("gone", "DELETE /v1/subscriptions/<subscription.id>", {})),
    "customer.subscription.paused": (
        CUSTOMER,
        PRODUCT,
        PRICE,
        ("subscription", "POST /v1/subscriptions", {**TRIAL, "trial_period_days": 7, **PAUSE}),
        ("paused", "POST /v1/subscriptions/<subscription.id>", {"trial_end": "now"}),
    ),
    "customer.subscription.resumed": (
        CUSTOMER,
        PRODUCT,
        PRICE,
        ("subscription", "POST /v1/subscriptions", {**TRIAL, "trial_period_days": 7, **PAUSE}),
        ("paused", "POST /v1/subscriptions/<subscription.id>", {"trial_end": "now"}),
        ("method", "POST /v1/payment_methods/pm_card_visa/attach", {"customer": "<customer.id>"}),
        ("card", "POST /v1/customers/<customer.id>", {"invoice_settings": {"default_payment_method": "<method.id>"}}),
        ("resumed", "POST /v1/subscriptions/<subscription.id>/resume", {"billing_cycle_anchor": "now"}),
    ),
    "customer.subscription.trial_will_end": (
        CUSTOMER,
        PRODUCT,
        PRICE,
        ("subscription", "POST /v1/subscriptions", {**TRIAL, "trial_period_days": 1}),
    ),
    "customer.subscription.updated": (*SUBSCRIBED, ("touched", "POST /v1/subscriptions/<subscription.id>", TOUCH)),
    "customer.tax_id.created": TAXED,
    "customer.tax_id.deleted": (*TAXED, ("gone", "DELETE /v1/customers/<customer.id>/tax_ids/<tax_id.id>", {})),
    "customer.updated": (CUSTOMER, ("touched", "POST /v1/customers/<customer.id>", TOUCH)),
    "invoice.created": DRAFT_INVOICE,
    "invoice.deleted": (*DRAFT_INVOICE, ("gone", "DELETE /v1/invoices/<invoice.id>", {})),
    "invoice.finalized": FINALIZED_INVOICE,
    "invoice.marked_uncollectible": (*FINALIZED_INVOICE, ("bad", "POST /v1/invoices/<invoice.id>/mark_uncollectible", {})),
    "invoice.paid": attempted("pm_card_visa"),
    "invoice.payment_action_required": attempted("pm_card_threeDSecure2Required", refused=True),
    "invoice.payment_failed": attempted("pm_card_chargeCustomerFail", refused=True),
    "invoice.payment_succeeded": attempted("pm_card_visa"),
    "invoice.sent": (
        CUSTOMER,
        ITEM,
        (*INVOICE[:2], {**INVOICE[2], "collection_method": "send_invoice", "days_until_due": 7}),
        ("sent", "POST /v1/invoices/<invoice.id>/send", {}),
    ),
    "invoice.updated": (*DRAFT_INVOICE, ("touched", "POST /v1/invoices/<invoice.id>", TOUCH)),
    "invoice.voided": (*FINALIZED_INVOICE, ("void", "POST /v1/invoices/<invoice.id>/void", {})),
    "invoice_payment.paid": attempted("pm_card_visa"),
    "invoiceitem.created": (CUSTOMER, ITEM),
    "invoiceitem.deleted": (CUSTOMER, ITEM, ("gone", "DELETE /v1/invoiceitems/<item.id>", {})),
    "payment_intent.amount_capturable_updated": (
        paid(capture_method="manual", confirmation_method="manual", return_url="https://stripe_api.test"),
    ),
    "payment_intent.canceled": (
        ("intent", "POST /v1/payment_intents", {"amount": 2000, "currency": "usd"}),
        ("canceled", "POST /v1/payment_intents/<intent.id>/cancel", {"cancellation_reason": "requested_by_customer"}),
    ),
    "payment_intent.created": (("intent", "POST /v1/payment_intents", {"amount": 2000, "currency": "usd", **SETUP}),),
    "payment_intent.payment_failed": (paid("pm_card_chargeDeclined", "!refused"),),
    "payment_intent.processing": (
        (
            "method",
            "POST /v1/payment_methods",
            {
                "type": "sepa_debit",
                "sepa_debit": {"iban": "AT321904300235473204"},
                "billing_details": {"name": "Bob", "email": "bob@example.com"},
            },
        ),
        paid(
            "<method.id>",
            currency="eur",
            payment_method_types=["sepa_debit"],
            mandate_data={"customer_acceptance": {"accepted_at": 1_590_590_577, "type": "offline"}},
        ),
    ),
    "payment_intent.requires_action": (paid("pm_card_authenticationRequired"),),
    "payment_intent.succeeded": (
        paid(shipping={"name": "Jenny", "address": {"line1": "1 Main St", "city": "Springfield", "postal_code": "00001", "country": "US"}}),
    ),
    "payment_method.attached": (CUSTOMER, ("method", "POST /v1/payment_methods/pm_card_visa/attach", {"customer": "<customer.id>"})),
    "payment_method.detached": (
        CUSTOMER,
        ("method", "POST /v1/payment_methods/pm_card_visa/attach", {"customer": "<customer.id>"}),
        ("gone", "POST /v1/payment_methods/<method.id>/detach", {}),
    ),
    "payment_method.updated": (
        CUSTOMER,
        ("setup", "POST /v1/setup_intents", {"customer": "<customer.id>", "payment_method": "pm_card_visa", "confirm": True}),
        ("touched", "POST /v1/payment_methods/<setup.payment_method>", TOUCH),
    ),
    "price.created": (PRODUCT, PRICE),
    "price.updated": (PRODUCT, PRICE, ("touched", "POST /v1/prices/<price.id>", TOUCH)),
    "product.created": (PRODUCT,),
    "product.deleted": (PRODUCT, ("gone", "DELETE /v1/products/<product.id>", {})),
    "product.updated": (PRODUCT, ("touched", "POST /v1/products/<product.id>", TOUCH)),
    "promotion_code.created": (COUPON, CODE),
    "promotion_code.updated": (COUPON, CODE, ("touched", "POST /v1/promotion_codes/<code.id>", TOUCH)),
    "setup_intent.canceled": (
        ("setup", "POST /v1/setup_intents", SETUP),
        ("canceled", "POST /v1/setup_intents/<setup.id>/cancel", {"cancellation_reason": "requested_by_customer"}),
    ),
    "setup_intent.created": (("setup", "POST /v1/setup_intents", SETUP),),
    "setup_intent.requires_action": (
        ("setup", "POST /v1/setup_intents", {"payment_method": "pm_card_authenticationRequired", "confirm": True}),
    ),
    "setup_intent.setup_failed": (
        ("!refused", "POST /v1/setup_intents", {"payment_method": "pm_card_chargeDeclined", "confirm": True, **SETUP}),
    ),
    "setup_intent.succeeded": (("setup", "POST /v1/setup_intents", {"payment_method": "pm_card_visa", "confirm": True, **SETUP}),),
    # Aborted: the subscription was canceled because a payment failed.
    "subscription_schedule.aborted": (
        *ON_CLOCK,
        ("method", "POST /v1/payment_methods/pm_card_chargeCustomerFail/attach", {"customer": "<customer.id>"}),
        ("card", "POST /v1/customers/<customer.id>", {"balance": -1500, "invoice_settings": {"default_payment_method": "<method.id>"}}),
        (
            "schedule",
            "POST /v1/subscription_schedules",
            {"customer": "<customer.id>", "start_date": NEW_YEAR, "phases": [{"duration": {"interval": "year"}, "items": [ROW]}]},
        ),
        ("renewed", "POST /v1/test_helpers/test_clocks/<clock.id>/advance", {"frozen_time": FEBRUARY}),
        ("over", "POST /v1/test_helpers/test_clocks/<clock.id>/advance", {"frozen_time": FEBRUARY + 20 * 86_400}),
    ),
    "subscription_schedule.canceled": (
        *scheduled(start_date=FAR_AHEAD),
        ("canceled", "POST /v1/subscription_schedules/<schedule.id>/cancel", {}),
    ),
    "subscription_schedule.completed": on_clock(
        FEBRUARY, end_behavior="cancel", phases=[{"duration": MONTH, "items": [{**ROW, "quantity": 1}]}]
    ),
    "subscription_schedule.created": scheduled(),
    "subscription_schedule.expiring": on_clock(
        1_579_651_200, end_behavior="cancel", phases=[{"end_date": 1_580_256_000, "items": [{**ROW, "quantity": 1}]}]
    ),
    "subscription_schedule.released": (*scheduled(), ("free", "POST /v1/subscription_schedules/<schedule.id>/release", {})),
    "subscription_schedule.updated": (*scheduled(), ("touched", "POST /v1/subscription_schedules/<schedule.id>", TOUCH)),
    "test_helpers.test_clock.advancing": (CLOCK, ADVANCE),
    "test_helpers.test_clock.created": (CLOCK,),
    "test_helpers.test_clock.deleted": (CLOCK, ("gone", "DELETE /v1/test_helpers/test_clocks/<clock.id>", {})),
    "test_helpers.test_clock.ready": (CLOCK, ADVANCE),
}
