"""The simulator refuses what Stripe refuses, and never silently ignores a parameter."""

from typing import Any

import pytest
import requests
import stripe
from simulator_fixtures import START, Shop, pay, post
from stripe_simulator.parameters import Parameters, read_all
from stripe_simulator.testing import Running


def refused(call: Any, *arguments: Any) -> stripe.StripeError:
    with pytest.raises(stripe.StripeError) as caught:
        call(*arguments)
    return caught.value


class TestParameters:
    def test_reads_are_recorded_per_key(self) -> None:
        given = Parameters({"a": {"b": 1, "c": 2}, "rows": [{"x": 1}, {"x": 2, "y": 3}], "left": 0})
        assert given["a"]["b"] + given["rows"][0]["x"] + given["rows"][1]["x"] == 4
        assert list(given.unread()) == ["a[c]", "rows[1][y]", "left"]

    def test_accept_all_reads_nested_values(self) -> None:
        given = Parameters({"a": {"b": [{"c": 1}]}})
        assert read_all(given) == {"a": {"b": [{"c": 1}]}}
        assert list(given.unread()) == []

    def test_unpacking_reads_one_level(self) -> None:
        given = Parameters({"a": {"b": 1}, "c": 2})
        assert {**given}["c"] == 2
        assert list(given.unread()) == ["a[b]"]

    @pytest.mark.parametrize(
        ("more", "param"),
        [
            ({"backdate_start_date": START}, "backdate_start_date"),
            ({"billing_mode": {"type": "classic"}}, "billing_mode[type]"),
            ({"payment_settings": {"payment_method_types": ["paypal"]}}, "payment_settings[payment_method_types]"),
            ({"invoice_settings": {"issuer": {"type": "self"}}}, "invoice_settings"),
        ],
    )
    def test_a_parameter_without_an_effect_is_refused(self, simulator: Running, shop: Shop, more: dict[str, Any], param: str) -> None:
        customer = shop.customer()
        error = refused(lambda: shop.subscribe(customer, shop.price().id, **more))
        assert (error.http_status, error.error.param if error.error else None) == (501, param)
        assert shop.v1.subscriptions.list({"customer": customer.id}).data == []
        assert any(param in finding for finding in simulator.findings())

    def test_parameters_that_are_only_stored_are_accepted(self, shop: Shop) -> None:
        product = shop.v1.products.create({"name": "Pro", "marketing_features": [{"name": "Fast"}], "metadata": {"tier": "pro"}})
        assert shop.v1.products.retrieve(product.id).marketing_features[0].name == "Fast"
        price = shop.price(1000, transform_quantity={"divide_by": 10, "round": "up"})
        assert price.transform_quantity and price.transform_quantity.divide_by == 10

    def test_a_filter_without_an_effect_is_refused(self, shop: Shop) -> None:
        error = refused(shop.v1.balance_transactions.list, {"payout": "po_1"})
        assert error.http_status == 501


class TestExpansion:
    @pytest.mark.parametrize("path", ["email", "metadata", "invoice_settings.footer", "subscriptions.data.id"])
    def test_an_unknown_path_is_refused(self, shop: Shop, path: str) -> None:
        customer = shop.v1.customers.create({"email": "ann@example.com"})
        error = refused(shop.v1.customers.retrieve, customer.id, {"expand": [path]})
        assert error.http_status == 400
        assert f"This property cannot be expanded ({path})." in str(error)

    def test_the_error_for_a_list_suggests_data(self, shop: Shop) -> None:
        error = refused(shop.v1.subscriptions.list, {"expand": ["customer"]})
        assert "You may want to try expanding 'data.customer' instead." in str(error)

    def test_expand_follows_four_levels(self, shop: Shop) -> None:
        shop.v1.subscriptions.list({"expand": ["data.items.data.price"]})
        error = refused(shop.v1.subscriptions.list, {"expand": ["data.items.data.price.product"]})
        assert "You cannot expand more than 4 levels of a property." in str(error)

    def test_an_invalid_expand_changes_nothing(self, shop: Shop) -> None:
        refused(shop.v1.customers.create, {"email": "ann@example.com", "expand": ["nonsense"]})
        assert shop.v1.customers.list().data == []


class TestLists:
    def test_an_invoice_embeds_ten_lines_and_lists_all(self, shop: Shop) -> None:
        customer = shop.v1.customers.create({"email": "ann@example.com"})
        for number in range(12):
            shop.v1.invoice_items.create({"customer": customer.id, "amount": 100 + number, "currency": "usd"})
        invoice = shop.v1.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"})
        assert (len(invoice.lines.data), invoice.lines.has_more, invoice.total) == (10, True, 1266)
        assert len(list(shop.v1.invoices.line_items.list(invoice.id).auto_paging_iter())) == 12


class TestCurrencies:
    def test_a_customer_has_one_currency_while_it_is_in_use(self, shop: Shop) -> None:
        customer = shop.customer()
        subscription = shop.subscribe(customer, shop.price().id)
        euro = shop.v1.prices.create(
            {
                "product": shop.v1.products.create({"name": "Euro"}).id,
                "currency": "eur",
                "unit_amount": 900,
                "recurring": {"interval": "month"},
            }
        )
        assert "cannot combine currencies" in str(refused(lambda: shop.subscribe(customer, euro.id)))
        assert "cannot combine currencies" in str(refused(lambda: shop.checkout(euro.id, customer=customer.id)))
        item = {"customer": customer.id, "amount": 100, "currency": "eur"}
        assert "cannot combine currencies" in str(refused(shop.v1.invoice_items.create, item))
        shop.v1.subscriptions.cancel(subscription.id)
        assert shop.subscribe(customer, euro.id).currency == "eur"


class TestPromotionCodes:
    def code(self, shop: Shop, **more: Any) -> str:
        coupon = shop.v1.coupons.create({"percent_off": 25, "duration": "forever"})
        return shop.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, **more}).id

    def test_checkout_checks_restrictions_at_creation(self, shop: Shop) -> None:
        customer, price = shop.customer(), shop.price(1000).id
        other = shop.v1.customers.create({"email": "bob@example.com"})
        minimum = {"minimum_amount": 1001, "minimum_amount_currency": "usd"}
        for limits in ({"restrictions": minimum}, {"customer": other.id}, {"expires_at": START + 1}):
            code = self.code(shop, **limits)
            error = refused(lambda code=code: shop.checkout(price, customer=customer.id, discounts=[{"promotion_code": code}]))
            assert error.http_status == 400

    def test_first_time_and_redemption_limits_apply_everywhere(self, shop: Shop) -> None:
        customer, price = shop.customer(), shop.price(1000).id
        subscription = shop.subscribe(customer, price)
        first = self.code(shop, restrictions={"first_time_transaction": True})
        once = self.code(shop, max_redemptions=1)
        shop.subscribe(shop.customer(), price, discounts=[{"promotion_code": once}])
        for code in (first, once):
            rows = [{"promotion_code": code}]
            assert refused(lambda rows=rows: shop.checkout(price, customer=customer.id, discounts=rows)).http_status == 400
            assert refused(shop.v1.subscriptions.update, subscription.id, {"discounts": rows}).http_status == 400

    def test_a_minimum_amount_applies_to_changes(self, shop: Shop) -> None:
        subscription = shop.subscribe(shop.customer(), shop.price(1000).id)
        code = self.code(shop, restrictions={"minimum_amount": 2000, "minimum_amount_currency": "usd"})
        item = subscription["items"].data[0].id
        assert refused(shop.v1.subscriptions.update, subscription.id, {"discounts": [{"promotion_code": code}]}).http_status == 400
        both = {"items": [{"id": item, "price": shop.price(2500).id}], "discounts": [{"promotion_code": code}]}
        assert len(shop.v1.subscriptions.update(subscription.id, both).discounts) == 1


class TestSubscriptions:
    @pytest.mark.parametrize(("behavior", "status"), [("pause", "paused"), ("cancel", "canceled")])
    def test_ending_a_trial_early_requires_a_card(self, shop: Shop, behavior: str, status: str) -> None:
        settings = {"end_behavior": {"missing_payment_method": behavior}}
        subscription = shop.subscribe(shop.customer(None), shop.price().id, trial_period_days=7, trial_settings=settings)
        assert shop.v1.subscriptions.update(subscription.id, {"trial_end": "now"}).status == status
        told = {"paused": "customer.subscription.paused", "canceled": "customer.subscription.deleted"}[status]
        assert told in shop.event_types()

    def test_a_send_invoice_subscription_can_be_upgraded(self, shop: Shop) -> None:
        customer = shop.customer(None)
        subscription = shop.subscribe(customer, shop.price(1000).id, collection_method="send_invoice", days_until_due=14)
        item = subscription["items"].data[0].id
        change = {"items": [{"id": item, "price": shop.price(3000).id}], "proration_behavior": "always_invoice"}
        changed = shop.v1.subscriptions.update(subscription.id, change)  # type: ignore[arg-type]
        invoice = shop.latest(subscription.id)
        assert (changed.status, invoice.status, invoice.amount_due) == ("active", "open", 2000)
        assert "invoice.sent" in shop.event_types()

    def test_send_invoice_requires_a_due_date(self, shop: Shop) -> None:
        error = refused(lambda: shop.subscribe(shop.customer(), shop.price().id, collection_method="send_invoice"))
        assert error.error and error.error.param == "days_until_due"

    def test_another_customers_card_is_refused(self, shop: Shop) -> None:
        card = shop.card(shop.customer(None).id, "pm_card_visa")
        customer = shop.customer()
        error = refused(lambda: shop.subscribe(customer, shop.price().id, default_payment_method=card))
        assert error.code == "resource_missing"
        assert refused(shop.v1.payment_methods.attach, card, {"customer": customer.id}).http_status == 400

    def test_a_detached_card_is_not_used_again(self, shop: Shop) -> None:
        customer = shop.customer(None)
        card = shop.card(customer.id, "pm_card_visa")
        shop.v1.payment_methods.detach(card)
        assert "may not be used again" in str(refused(shop.v1.payment_methods.attach, card, {"customer": customer.id}))

    def test_metadata_limits_are_enforced(self, shop: Shop) -> None:
        for metadata in ({"k" * 41: "v"}, {"k": "v" * 501}, {str(number): "v" for number in range(51)}):
            assert refused(shop.v1.customers.create, {"metadata": metadata}).http_status == 400

    def test_a_card_that_paid_becomes_the_default_if_requested(self, shop: Shop) -> None:
        settings = {"save_default_payment_method": "on_subscription"}
        subscription = shop.subscribe(shop.customer(), shop.price().id, payment_settings=settings)
        assert subscription.default_payment_method is not None


class TestTaxes:
    def test_automatic_tax_needs_a_head_office_and_a_location(self, shop: Shop) -> None:
        customer, price = shop.customer(), shop.price().id
        on = {"automatic_tax": {"enabled": True}}
        assert "head office" in str(refused(lambda: shop.subscribe(customer, price, **on)))
        assert "head office" in str(refused(lambda: shop.checkout(price, customer=customer.id, **on)))
        shop.v1.tax.settings.update({"head_office": {"address": {"country": "US", "state": "CA", "line1": "1 Main St"}}})
        assert refused(lambda: shop.subscribe(customer, price, **on)).code == "customer_tax_location_invalid"
        assert refused(lambda: shop.checkout(price, customer=customer.id, **on)).code == "customer_tax_location_invalid"
        session = shop.checkout(price, customer=customer.id, customer_update={"address": "auto"}, **on)
        assert pay(str(session.url)).status_code == 303
        assert shop.v1.customers.retrieve(customer.id).address is not None


class TestDebits:
    def session(self, shop: Shop, mode: str) -> stripe.checkout.Session:
        recurring: dict[str, Any] = {"recurring": {"interval": "month"}} if mode == "subscription" else {}
        product = shop.v1.products.create({"name": "Pro"}).id
        price = shop.v1.prices.create({"product": product, "currency": "eur", "unit_amount": 1500, **recurring})  # type: ignore[typeddict-item]
        customer = shop.v1.customers.create({"email": "ann@example.com"})
        types = ["sepa_debit"]
        return shop.checkout(price.id, mode=mode, customer=customer.id, payment_method_types=types)

    @pytest.mark.parametrize("mode", ["payment", "subscription"])
    @pytest.mark.parametrize(
        ("iban", "outcome", "status"),
        [("AT611904300234573201", "succeeded", "paid"), ("AT861904300235473202", "failed", "unpaid")],
    )
    def test_a_debit_settles_later(self, simulator: Running, shop: Shop, mode: str, iban: str, outcome: str, status: str) -> None:
        session = self.session(shop, mode)
        assert post(str(session.url), email="ann@example.com", billingName="Ann Example", iban=iban).status_code == 303
        done = shop.v1.events.list({"type": "checkout.session.completed"}).data
        assert done[0].data.object["payment_status"] == "unpaid"
        requests.post(simulator.base_url + "/_sim/tick", timeout=5)
        assert f"checkout.session.async_payment_{outcome}" in shop.event_types()
        again = shop.v1.checkout.sessions.retrieve(session.id)
        assert again.payment_status == status
        if mode == "subscription":
            state = shop.v1.subscriptions.retrieve(str(again.subscription)).status
            assert state == ("active" if outcome == "succeeded" else "past_due")


class TestMoney:
    def test_a_charged_back_charge_is_not_refunded(self, shop: Shop) -> None:
        customer = shop.customer("pm_card_createDispute")
        shop.subscribe(customer, shop.price().id)
        charge = shop.v1.charges.list({"customer": customer.id}).data[0]
        assert refused(shop.v1.refunds.create, {"charge": charge.id}).code == "charge_disputed"

    def test_an_authorized_charge_is_captured_once(self, shop: Shop) -> None:
        intent = shop.v1.payment_intents.create(
            {"amount": 2000, "currency": "usd", "capture_method": "manual", "payment_method": "pm_card_visa", "confirm": True}
        )
        assert (intent.status, intent.amount_capturable) == ("requires_capture", 2000)
        captured = shop.v1.payment_intents.capture(intent.id, {"amount_to_capture": 1500})
        assert (captured.status, captured.amount_received) == ("succeeded", 1500)
        assert refused(shop.v1.payment_intents.capture, intent.id).code == "payment_intent_unexpected_state"
