"""Billing meters, and metered items that are billed in arrears."""

import pytest
import stripe
from simulator_fixtures import START, StripeApi, amounts

DAY = 86_400


def use(stripe_api: StripeApi, customer: str, value: int, identifier: str, at: int | None = None) -> None:
    event = {"event_name": "sessions", "payload": {"stripe_customer_id": customer, "value": str(value)}, "identifier": identifier}
    stripe_api.v1.billing.meter_events.create({**event, **({"timestamp": at} if at else {})})


def test_usage_is_billed_on_the_renewal(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    meter = stripe_api.meter()
    metered = stripe_api.price(2, recurring={"usage_type": "metered", "meter": meter.id})
    subscription = stripe_api.subscribe(customer, stripe_api.price(900).id, metered.id)
    assert amounts(stripe_api.latest(subscription.id)) == [900]
    stripe_api.advance(customer, START + 10 * DAY)
    use(stripe_api, customer.id, 100, "a")
    use(stripe_api, customer.id, 23, "b", START + 9 * DAY)
    end = stripe_api.end_of(subscription.id)
    assert amounts(stripe_api.v1.invoices.create_preview({"subscription": subscription.id})) == [900, 246]
    summary = stripe_api.v1.billing.meters.event_summaries.list(
        meter.id, {"customer": customer.id, "start_time": START, "end_time": end}
    ).data
    assert [each.aggregated_value for each in summary] == [123]
    days = {"customer": customer.id, "start_time": START, "end_time": end, "value_grouping_window": "day"}
    by_day = stripe_api.v1.billing.meters.event_summaries.list(meter.id, days).data
    assert [each.aggregated_value for each in by_day] == [100, 23]
    invoice = stripe_api.renew(customer, subscription.id)
    assert amounts(invoice) == [900, 246]
    assert amounts(stripe_api.renew(customer, subscription.id)) == [900, 0]


def test_a_monthly_meter_with_a_yearly_price(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    metered = stripe_api.price(2, recurring={"usage_type": "metered", "meter": stripe_api.meter().id})
    subscription = stripe_api.subscribe(customer, stripe_api.price(9000, "year").id)
    stripe_api.advance(customer, START + 40 * DAY)
    changed = stripe_api.v1.subscriptions.update(subscription.id, {"items": [{"price": metered.id}]})
    yearly, monthly = changed["items"].data
    assert yearly.current_period_end - START == 365 * DAY
    assert monthly.current_period_end == START + 59 * DAY  # the months of the subscription's anchor
    use(stripe_api, customer.id, 50, "a")
    stripe_api.advance(customer, monthly.current_period_end + 3_660)
    assert amounts(stripe_api.latest(subscription.id)) == [100]
    assert stripe_api.v1.subscriptions.retrieve(subscription.id)["items"].data[0].current_period_end == yearly.current_period_end


def test_usage_during_a_trial_is_free(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    metered = stripe_api.price(2, recurring={"usage_type": "metered", "meter": stripe_api.meter().id})
    subscription = stripe_api.subscribe(customer, stripe_api.price(900).id, metered.id, trial_period_days=14)
    use(stripe_api, customer.id, 50, "a")
    assert amounts(stripe_api.renew(customer, subscription.id)) == [900]


def test_usage_is_billed_when_the_subscription_ends(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    metered = stripe_api.price(20, recurring={"usage_type": "metered", "meter": stripe_api.meter().id})
    subscription = stripe_api.subscribe(customer, stripe_api.price(900).id, metered.id)
    use(stripe_api, customer.id, 50, "a")
    stripe_api.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    end = stripe_api.end_of(subscription.id)
    stripe_api.advance(customer, end + 3_660)
    invoice = stripe_api.latest(subscription.id)
    assert (amounts(invoice), invoice.status) == ([1000], "paid")


@pytest.mark.parametrize(
    ("mode", "used", "expected"),
    [("graduated", 5, [0]), ("graduated", 25, [0, 150, 500]), ("volume", 25, [250, 500]), ("volume", 5, [0])],
)
def test_tiers(stripe_api: StripeApi, mode: str, used: int, expected: list[int]) -> None:
    customer = stripe_api.customer()
    tiers = [{"up_to": 10, "unit_amount": 0}, {"up_to": "inf", "unit_amount": 10, "flat_amount": 500}]
    recurring = {"usage_type": "metered", "meter": stripe_api.meter().id}
    price = stripe_api.price(None, billing_scheme="tiered", tiers_mode=mode, tiers=tiers, recurring=recurring)
    subscription = stripe_api.subscribe(customer, price.id)
    use(stripe_api, customer.id, used, "a")
    assert amounts(stripe_api.v1.invoices.create_preview({"subscription": subscription.id})) == expected


def test_an_identifier_counts_once_and_can_be_canceled(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    meter = stripe_api.meter()
    use(stripe_api, customer.id, 5, "same")
    with pytest.raises(stripe.InvalidRequestError):
        use(stripe_api, customer.id, 5, "same")
    stripe_api.v1.billing.meter_event_adjustments.create({"event_name": "sessions", "type": "cancel", "cancel": {"identifier": "same"}})
    window = {"customer": customer.id, "start_time": START, "end_time": START + DAY}
    assert [each.aggregated_value for each in stripe_api.v1.billing.meters.event_summaries.list(meter.id, window).data] == [0]


def test_events_too_old_too_new_or_without_customer_are_refused(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    stripe_api.meter()
    for at in (START - 36 * DAY, START + 301):
        with pytest.raises(stripe.InvalidRequestError):
            use(stripe_api, customer.id, 1, "x", at)
    with pytest.raises(stripe.InvalidRequestError):
        use(stripe_api, "cus_nobody", 1, "x")
    with pytest.raises(stripe.InvalidRequestError):
        stripe_api.v1.billing.meter_events.create({"event_name": "other", "payload": {"stripe_customer_id": customer.id, "value": "1"}})


def test_the_event_stream_has_its_own_host(stripe_api: StripeApi, client: stripe.StripeClient) -> None:
    customer = stripe_api.customer()
    meter = stripe_api.meter()
    session = client.v2.billing.meter_event_session.create()
    payload = {"stripe_customer_id": customer.id, "value": "7"}
    client.v2.billing.meter_events.create({"event_name": "sessions", "payload": payload, "timestamp": "2026-01-01T00:00:00Z"})
    streaming = stripe.StripeClient(session.authentication_token, base_addresses=client._requestor._options.base_addresses or {})
    event = {"event_name": "sessions", "payload": payload, "timestamp": "2026-01-01T00:00:00Z"}
    streaming.v2.billing.meter_event_stream.create({"events": [event, event]})
    window = {"customer": customer.id, "start_time": START, "end_time": START + DAY}
    assert [each.aggregated_value for each in stripe_api.v1.billing.meters.event_summaries.list(meter.id, window).data] == [21]


def test_usage_reported_during_the_draft_is_on_the_invoice(stripe_api: StripeApi) -> None:
    """Usage reported before the invoice is finalized is billed with it; later usage is not."""
    customer = stripe_api.customer()
    metered = stripe_api.price(2, recurring={"usage_type": "metered", "meter": stripe_api.meter().id})
    subscription = stripe_api.subscribe(customer, stripe_api.price(900).id, metered.id)
    end = stripe_api.end_of(subscription.id)
    use(stripe_api, customer.id, 10, "a", START + 60)
    stripe_api.advance(customer, end + 300)
    assert amounts(stripe_api.latest(subscription.id)) == [900, 20]
    use(stripe_api, customer.id, 5, "b", end - 1)
    stripe_api.advance(customer, end + 2 * 3600)
    assert amounts(stripe_api.latest(subscription.id)) == [900, 30]
    use(stripe_api, customer.id, 7, "c", end - 1)
    assert amounts(stripe_api.renew(customer, subscription.id)) == [900, 0]
