"""The simulator refuses what Stripe refuses, and never silently ignores a parameter."""

from typing import Any

import pytest
import requests
import stripe
from simulator_fixtures import START, StripeApi, pay, post
from stripe_simulator.parameters import Parameters, read_all
from stripe_simulator.testing import Running


def refusal_of(call: Any, *arguments: Any) -> stripe.StripeError:
    with pytest.raises(stripe.StripeError) as caught:
        call(*arguments)
    return caught.value


class TestParameters:
    def test_reads_are_recorded_per_key(self) -> None:
        params = Parameters({"a": {"b": 1, "c": 2}, "rows": [{"x": 1}, {"x": 2, "y": 3}], "left": 0})
        assert params["a"]["b"] + params["rows"][0]["x"] + params["rows"][1]["x"] == 4
        assert list(params.unread()) == ["a[c]", "rows[1][y]", "left"]

    def test_accept_all_reads_nested_values(self) -> None:
        params = Parameters({"a": {"b": [{"c": 1}]}})
        assert read_all(params) == {"a": {"b": [{"c": 1}]}}
        assert list(params.unread()) == []

    def test_unpacking_reads_one_level(self) -> None:
        params = Parameters({"a": {"b": 1}, "c": 2})
        assert {**params}["c"] == 2
        assert list(params.unread()) == ["a[b]"]

    @pytest.mark.parametrize(
        ("more", "param"),
        [
            ({"backdate_start_date": START}, "backdate_start_date"),
            ({"billing_mode": {"type": "classic"}}, "billing_mode[type]"),
            ({"payment_settings": {"payment_method_types": ["paypal"]}}, "payment_settings[payment_method_types]"),
            ({"invoice_settings": {"issuer": {"type": "self"}}}, "invoice_settings"),
        ],
    )
    def test_a_parameter_without_an_effect_is_refused(
        self, simulator: Running, stripe_api: StripeApi, more: dict[str, Any], param: str
    ) -> None:
        customer = stripe_api.customer()
        error = refusal_of(lambda: stripe_api.subscribe(customer, stripe_api.price().id, **more))
        assert (error.http_status, error.error.param if error.error else None) == (501, param)
        assert stripe_api.v1.subscriptions.list({"customer": customer.id}).data == []
        assert any(param in finding for finding in simulator.findings())

    def test_parameters_that_are_only_stored_are_accepted(self, stripe_api: StripeApi) -> None:
        product = stripe_api.v1.products.create({"name": "Pro", "marketing_features": [{"name": "Fast"}], "metadata": {"tier": "pro"}})
        assert stripe_api.v1.products.retrieve(product.id).marketing_features[0].name == "Fast"
        price = stripe_api.price(1000, transform_quantity={"divide_by": 10, "round": "up"})
        assert price.transform_quantity and price.transform_quantity.divide_by == 10

    def test_a_filter_without_an_effect_is_refused(self, stripe_api: StripeApi) -> None:
        error = refusal_of(stripe_api.v1.balance_transactions.list, {"payout": "po_1"})
        assert error.http_status == 501


class TestExpansion:
    @pytest.mark.parametrize("path", ["email", "metadata", "invoice_settings.footer", "subscriptions.data.id"])
    def test_an_unknown_path_is_refused(self, stripe_api: StripeApi, path: str) -> None:
        customer = stripe_api.v1.customers.create({"email": "ann@example.com"})
        error = refusal_of(stripe_api.v1.customers.retrieve, customer.id, {"expand": [path]})
        assert error.http_status == 400
        assert f"This property cannot be expanded ({path})." in str(error)

    def test_the_error_for_a_list_suggests_data(self, stripe_api: StripeApi) -> None:
        error = refusal_of(stripe_api.v1.subscriptions.list, {"expand": ["customer"]})
        assert "You may want to try expanding 'data.customer' instead." in str(error)

    def test_expand_follows_four_levels(self, stripe_api: StripeApi) -> None:
        stripe_api.v1.subscriptions.list({"expand": ["data.items.data.price"]})
        error = refusal_of(stripe_api.v1.subscriptions.list, {"expand": ["data.items.data.price.product"]})
        assert "You cannot expand more than 4 levels of a property." in str(error)

    def test_an_invalid_expand_changes_nothing(self, stripe_api: StripeApi) -> None:
        refusal_of(stripe_api.v1.customers.create, {"email": "ann@example.com", "expand": ["nonsense"]})
        assert stripe_api.v1.customers.list().data == []


class TestLists:
    def test_an_invoice_embeds_ten_lines_and_lists_all(self, stripe_api: StripeApi) -> None:
        customer = stripe_api.v1.customers.create({"email": "ann@example.com"})
        for number in range(12):
            stripe_api.v1.invoice_items.create({"customer": customer.id, "amount": 100 + number, "currency": "usd"})
        invoice = stripe_api.v1.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"})
        assert (len(invoice.lines.data), invoice.lines.has_more, invoice.total) == (10, True, 1266)
        assert len(list(stripe_api.v1.invoices.line_items.list(invoice.id).auto_paging_iter())) == 12


class TestCurrencies:
    def test_a_customer_has_one_currency_while_it_is_in_use(self, stripe_api: StripeApi) -> None:
        customer = stripe_api.customer()
        subscription = stripe_api.subscribe(customer, stripe_api.price().id)
        euro = stripe_api.v1.prices.create(
            {
                "product": stripe_api.v1.products.create({"name": "Euro"}).id,
                "currency": "eur",
                "unit_amount": 900,
                "recurring": {"interval": "month"},
            }
        )
        assert "cannot combine currencies" in str(refusal_of(lambda: stripe_api.subscribe(customer, euro.id)))
        assert "cannot combine currencies" in str(refusal_of(lambda: stripe_api.checkout(euro.id, customer=customer.id)))
        item = {"customer": customer.id, "amount": 100, "currency": "eur"}
        assert "cannot combine currencies" in str(refusal_of(stripe_api.v1.invoice_items.create, item))
        stripe_api.v1.subscriptions.cancel(subscription.id)
        assert stripe_api.subscribe(customer, euro.id).currency == "eur"


class TestPromotionCodes:
    def code(self, stripe_api: StripeApi, **more: Any) -> str:
        coupon = stripe_api.v1.coupons.create({"percent_off": 25, "duration": "forever"})
        return stripe_api.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, **more}).id

    def test_checkout_checks_restrictions_at_creation(self, stripe_api: StripeApi) -> None:
        customer, price = stripe_api.customer(), stripe_api.price(1000).id
        other = stripe_api.v1.customers.create({"email": "bob@example.com"})
        minimum = {"minimum_amount": 1001, "minimum_amount_currency": "usd"}
        for limits in ({"restrictions": minimum}, {"customer": other.id}, {"expires_at": START + 1}):
            code = self.code(stripe_api, **limits)
            error = refusal_of(lambda code=code: stripe_api.checkout(price, customer=customer.id, discounts=[{"promotion_code": code}]))
            assert error.http_status == 400

    def test_first_time_and_redemption_limits_apply_everywhere(self, stripe_api: StripeApi) -> None:
        customer, price = stripe_api.customer(), stripe_api.price(1000).id
        subscription = stripe_api.subscribe(customer, price)
        first = self.code(stripe_api, restrictions={"first_time_transaction": True})
        once = self.code(stripe_api, max_redemptions=1)
        stripe_api.subscribe(stripe_api.customer(), price, discounts=[{"promotion_code": once}])
        for code in (first, once):
            rows = [{"promotion_code": code}]
            assert refusal_of(lambda rows=rows: stripe_api.checkout(price, customer=customer.id, discounts=rows)).http_status == 400
            assert refusal_of(stripe_api.v1.subscriptions.update, subscription.id, {"discounts": rows}).http_status == 400

    def test_a_minimum_amount_applies_to_changes(self, stripe_api: StripeApi) -> None:
        subscription = stripe_api.subscribe(stripe_api.customer(), stripe_api.price(1000).id)
        code = self.code(stripe_api, restrictions={"minimum_amount": 2000, "minimum_amount_currency": "usd"})
        item = subscription["items"].data[0].id
        assert refusal_of(stripe_api.v1.subscriptions.update, subscription.id, {"discounts": [{"promotion_code": code}]}).http_status == 400
        both = {"items": [{"id": item, "price": stripe_api.price(2500).id}], "discounts": [{"promotion_code": code}]}
        assert len(stripe_api.v1.subscriptions.update(subscription.id, both).discounts) == 1


class TestSubscriptions:
    @pytest.mark.parametrize(("behavior", "status"), [("pause", "paused"), ("cancel", "canceled")])
    def test_ending_a_trial_early_requires_a_card(self, stripe_api: StripeApi, behavior: str, status: str) -> None:
        settings = {"end_behavior": {"missing_payment_method": behavior}}
        subscription = stripe_api.subscribe(stripe_api.customer(None), stripe_api.price().id, trial_period_days=7, trial_settings=settings)
        assert stripe_api.v1.subscriptions.update(subscription.id, {"trial_end": "now"}).status == status
        result = {"paused": "customer.subscription.paused", "canceled": "customer.subscription.deleted"}[status]
        assert result in stripe_api.event_types()

    def test_a_send_invoice_subscription_can_be_upgraded(self, stripe_api: StripeApi) -> None:
        customer = stripe_api.customer(None)
        subscription = stripe_api.subscribe(customer, stripe_api.price(1000).id, collection_method="send_invoice", days_until_due=14)
        item = subscription["items"].data[0].id
        change = {"items": [{"id": item, "price": stripe_api.price(3000).id}], "proration_behavior": "always_invoice"}
        changed = stripe_api.v1.subscriptions.update(subscription.id, change)
        invoice = stripe_api.latest(subscription.id)
        assert (changed.status, invoice.status, invoice.amount_due) == ("active", "open", 2000)
        assert "invoice.sent" in stripe_api.event_types()

    def test_send_invoice_requires_a_due_date(self, stripe_api: StripeApi) -> None:
        error = refusal_of(lambda: stripe_api.subscribe(stripe_api.customer(), stripe_api.price().id, collection_method="send_invoice"))
        assert error.error and error.error.param == "days_until_due"

    def test_another_customers_card_is_refused(self, stripe_api: StripeApi) -> None:
        card = stripe_api.card(stripe_api.customer(None).id, "pm_card_visa")
        customer = stripe_api.customer()
        error = refusal_of(lambda: stripe_api.subscribe(customer, stripe_api.price().id, default_payment_method=card))
        assert error.code == "resource_missing"
        assert refusal_of(stripe_api.v1.payment_methods.attach, card, {"customer": customer.id}).http_status == 400

    def test_a_detached_card_is_not_used_again(self, stripe_api: StripeApi) -> None:
        customer = stripe_api.customer(None)
        card = stripe_api.card(customer.id, "pm_card_visa")
        stripe_api.v1.payment_methods.detach(card)
        assert "may not be used again" in str(refusal_of(stripe_api.v1.payment_methods.attach, card, {"customer": customer.id}))

    def test_metadata_limits_are_enforced(self, stripe_api: StripeApi) -> None:
        for metadata in ({"k" * 41: "v"}, {"k": "v" * 501}, {str(number): "v" for number in range(51)}):
            assert refusal_of(stripe_api.v1.customers.create, {"metadata": metadata}).http_status == 400

    def test_a_card_that_paid_becomes_the_default_if_requested(self, stripe_api: StripeApi) -> None:
        settings = {"save_default_payment_method": "on_subscription"}
        subscription = stripe_api.subscribe(stripe_api.customer(), stripe_api.price().id, payment_settings=settings)
        assert subscription.default_payment_method is not None


class TestTaxes:
    def test_automatic_tax_needs_a_head_office_and_a_location(self, stripe_api: StripeApi) -> None:
        customer, price = stripe_api.customer(), stripe_api.price().id
        on = {"automatic_tax": {"enabled": True}}
        assert "head office" in str(refusal_of(lambda: stripe_api.subscribe(customer, price, **on)))
        assert "head office" in str(refusal_of(lambda: stripe_api.checkout(price, customer=customer.id, **on)))
        stripe_api.v1.tax.settings.update({"head_office": {"address": {"country": "US", "state": "CA", "line1": "1 Main St"}}})
        assert refusal_of(lambda: stripe_api.subscribe(customer, price, **on)).code == "customer_tax_location_invalid"
        assert refusal_of(lambda: stripe_api.checkout(price, customer=customer.id, **on)).code == "customer_tax_location_invalid"
        session = stripe_api.checkout(price, customer=customer.id, customer_update={"address": "auto"}, **on)
        assert pay(str(session.url)).status_code == 303
        assert stripe_api.v1.customers.retrieve(customer.id).address is not None


class TestDebits:
    def session(self, stripe_api: StripeApi, mode: str) -> stripe.checkout.Session:
        recurring: dict[str, Any] = {"recurring": {"interval": "month"}} if mode == "subscription" else {}
        product = stripe_api.v1.products.create({"name": "Pro"}).id
        price = stripe_api.v1.prices.create({"product": product, "currency": "eur", "unit_amount": 1500, **recurring})
        customer = stripe_api.v1.customers.create({"email": "ann@example.com"})
        types = ["sepa_debit"]
        return stripe_api.checkout(price.id, mode=mode, customer=customer.id, payment_method_types=types)

    @pytest.mark.parametrize("mode", ["payment", "subscription"])
    @pytest.mark.parametrize(
        ("iban", "outcome", "status"),
        [("AT611904300234573201", "succeeded", "paid"), ("AT861904300235473202", "failed", "unpaid")],
    )
    def test_a_debit_settles_later(
        self, simulator: Running, stripe_api: StripeApi, mode: str, iban: str, outcome: str, status: str
    ) -> None:
        session = self.session(stripe_api, mode)
        assert post(str(session.url), email="ann@example.com", billingName="Ann Example", iban=iban).status_code == 303
        done = stripe_api.v1.events.list({"type": "checkout.session.completed"}).data
        assert done[0].data.object["payment_status"] == "unpaid"
        requests.post(simulator.base_url + "/_sim/tick", timeout=5)
        assert f"checkout.session.async_payment_{outcome}" in stripe_api.event_types()
        again = stripe_api.v1.checkout.sessions.retrieve(session.id)
        assert again.payment_status == status
        if mode == "subscription":
            state = stripe_api.v1.subscriptions.retrieve(str(again.subscription)).status
            assert state == ("active" if outcome == "succeeded" else "past_due")


class TestMoney:
    def test_a_charged_back_charge_is_not_refunded(self, stripe_api: StripeApi) -> None:
        customer = stripe_api.customer("pm_card_createDispute")
        stripe_api.subscribe(customer, stripe_api.price().id)
        charge = stripe_api.v1.charges.list({"customer": customer.id}).data[0]
        assert refusal_of(stripe_api.v1.refunds.create, {"charge": charge.id}).code == "charge_disputed"

    def test_an_authorized_charge_is_captured_once(self, stripe_api: StripeApi) -> None:
        intent = stripe_api.v1.payment_intents.create(
            {"amount": 2000, "currency": "usd", "capture_method": "manual", "payment_method": "pm_card_visa", "confirm": True}
        )
        assert (intent.status, intent.amount_capturable) == ("requires_capture", 2000)
        captured = stripe_api.v1.payment_intents.capture(intent.id, {"amount_to_capture": 1500})
        assert (captured.status, captured.amount_received) == ("succeeded", 1500)
        assert refusal_of(stripe_api.v1.payment_intents.capture, intent.id).code == "payment_intent_unexpected_state"
