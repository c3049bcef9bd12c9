"""General behavior of the API: keys, versions, errors, pagination, expansion, idempotency."""

import pytest
import requests
import stripe
from simulator_fixtures import StripeApi
from stripe_simulator.testing import KEY, Running


def call(
    simulator: Running, method: str, path: str, data: dict[str, str] | None = None, key: str = KEY, **headers: str
) -> requests.Response:
    headers = {"Authorization": f"Bearer {key}", **headers}
    return requests.request(method, simulator.base_url + path, data=data, headers=headers, timeout=10)


@pytest.mark.parametrize("key", ["", "sk_test_short", "sk_live_" + "a" * 24, "pk_test_" + "a" * 24])
def test_only_secret_test_keys_are_accepted(simulator: Running, key: str) -> None:
    answer = call(simulator, "GET", "/v1/account", key=key)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_responses_contain_the_request_id_and_version(simulator: Running) -> None:
    answer = call(simulator, "GET", "/v1/account", **{"Stripe-Version": stripe.api_version})
    assert answer.headers["Request-Id"].startswith("req_")
    assert answer.headers["Stripe-Version"] == stripe.api_version
    assert call(simulator, "GET", "/v1/account", **{"Stripe-Version": "yesterday"}).status_code == 400


@pytest.mark.parametrize(
    ("data", "code", "param"),
    [
        ({"wallet": "x"}, "parameter_unknown", "wallet"),
        ({"address[planet]": "earth"}, "parameter_unknown", "address[planet]"),
        ({"balance": "much"}, "parameter_invalid_integer", "balance"),
    ],
)
def test_undocumented_parameters_are_refused(simulator: Running, data: dict[str, str], code: str, param: str) -> None:
    answer = call(simulator, "POST", "/v1/customers", data)
    assert (answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["param"]) == (400, code, param)


def test_a_missing_parameter_is_named(simulator: Running) -> None:
    answer = call(simulator, "POST", "/v1/products", {"description": "x"})
    assert (answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["param"]) == (400, "parameter_missing", "name")


def test_an_invalid_request_is_recorded_as_a_finding(simulator: Running) -> None:
    call(simulator, "POST", "/v1/customers", {"wallet": "x"})
    data = requests.get(simulator.base_url + "/_sim/findings", timeout=5).json()
    assert data["count"] == 1
    assert data["findings"][0]["kind"] == "request"


def test_unknown_objects_and_paths_are_not_found(simulator: Running, stripe_api: StripeApi) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        stripe_api.v1.customers.retrieve("cus_nobody")
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.InvalidRequestError) as referred:
        stripe_api.v1.prices.create({"currency": "usd", "product": "prod_nothing", "unit_amount": 1})
    assert (referred.value.http_status, referred.value.param) == (400, "product")
    assert call(simulator, "GET", "/v1/nonsense").status_code == 404
    assert call(simulator, "GET", "/v1/topups").status_code == 501


def test_metadata_is_merged_and_cleared(stripe_api: StripeApi) -> None:
    customer = stripe_api.v1.customers.create({"metadata": {"a": "1", "b": "2"}})
    changed = stripe_api.v1.customers.update(customer.id, {"metadata": {"b": "", "c": "3"}})
    assert changed.to_dict()["metadata"] == {"a": "1", "c": "3"}
    assert stripe_api.v1.customers.update(customer.id, {"metadata": ""}).to_dict()["metadata"] == {}


def test_lists_are_paginated_newest_first(stripe_api: StripeApi) -> None:
    created = [stripe_api.v1.customers.create({"email": f"{number}@example.com"}).id for number in range(5)]
    first = stripe_api.v1.customers.list({"limit": 2})
    assert ([c.id for c in first.data], first.has_more) == (created[:2:-1], True)
    following = stripe_api.v1.customers.list({"limit": 2, "starting_after": first.data[-1].id})
    assert [c.id for c in following.data] == [created[2], created[1]]
    back = stripe_api.v1.customers.list({"limit": 2, "ending_before": following.data[0].id})
    assert [c.id for c in back.data] == created[:2:-1]
    assert [c.id for c in stripe_api.v1.customers.list({"limit": 2}).auto_paging_iter()] == created[::-1]
    assert [c.id for c in stripe_api.v1.customers.list({"email": "3@example.com"}).data] == [created[3]]
    assert stripe_api.v1.customers.list({"created": {"gt": 4_000_000_000}}).data == []


def test_expand_follows_paths_and_refuses_invalid_ones(stripe_api: StripeApi) -> None:
    price = stripe_api.price()
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, price.id, expand=["latest_invoice.payments"])
    invoice = subscription.to_dict()["latest_invoice"]
    deep = stripe_api.v1.invoice_payments.list({"invoice": invoice["id"], "expand": ["data.payment.payment_intent.customer"]}).data[0]
    assert deep.to_dict()["payment"]["payment_intent"]["customer"]["id"] == customer.id
    listed = stripe_api.v1.subscriptions.list({"customer": customer.id, "expand": ["data.customer", "data.items.data.price"]}).data[0]
    assert listed.to_dict()["customer"]["id"] == customer.id
    assert listed.to_dict()["items"]["data"][0]["price"]["id"] == price.id
    with pytest.raises(stripe.InvalidRequestError) as error:
        stripe_api.v1.customers.retrieve(customer.id, {"expand": ["nonsense"]})
    assert "cannot be expanded" in str(error.value)


def test_requests_of_the_mirror_are_supported(simulator: Running, stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    price = stripe_api.price()
    subscription = stripe_api.subscribe(customer, price.id)
    invoice = stripe_api.latest(subscription.id)
    intent = stripe_api.v1.payment_intents.list({"customer": customer.id}).data[0]
    session = stripe_api.checkout(price.id, customer=customer.id)
    for path in (
        "account",
        f"customers/{customer.id}?expand[0]=default_source&expand[1]=sources",
        f"subscriptions/{subscription.id}",
        f"products/{price.product}",
        f"products/{price.product}/features",
        f"prices/{price.id}?expand[0]=currency_options&expand[1]=product&expand[2]=tiers",
        f"checkout/sessions/{session.id}?expand[0]=line_items&expand[1]=total_details.breakdown&expand[2]=line_items.data.discounts",
        f"invoices/{invoice.id}?expand[0]=discounts&expand[1]=lines.data.discounts",
        f"payment_intents/{intent.id}",
        f"payment_methods/{intent.payment_method}",
        f"charges/{intent.latest_charge}?expand[0]=balance_transaction",
    ):
        assert call(simulator, "GET", f"/v1/{path}").status_code == 200, path


def test_an_idempotency_key_replays_the_first_response(simulator: Running) -> None:
    first = call(simulator, "POST", "/v1/customers", {"name": "A"}, **{"Idempotency-Key": "one"})
    again = call(simulator, "POST", "/v1/customers", {"name": "A"}, **{"Idempotency-Key": "one"})
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    other = call(simulator, "POST", "/v1/customers", {"name": "B"}, **{"Idempotency-Key": "one"})
    assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")


def test_a_decline_is_replayed_and_an_invalid_request_is_not(simulator: Running, stripe_api: StripeApi) -> None:
    wrong = call(simulator, "POST", "/v1/customers", {"balance": "much"}, **{"Idempotency-Key": "two"})
    right = call(simulator, "POST", "/v1/customers", {"balance": "1"}, **{"Idempotency-Key": "two"})
    assert (wrong.status_code, right.status_code) == (400, 200)
    attach = ("POST", "/v1/payment_methods/pm_card_chargeDeclined/attach", {"customer": right.json()["id"]})
    declined = [call(simulator, *attach, **{"Idempotency-Key": "three"}) for _ in range(2)]
    assert [answer.status_code for answer in declined] == [402, 402]
    assert declined[0].json() == declined[1].json()


def test_deleted_objects_return_a_stub(stripe_api: StripeApi) -> None:
    customer = stripe_api.v1.customers.create({"name": "Gone"})
    assert stripe_api.v1.customers.delete(customer.id).deleted is True
    result = stripe_api.v1.customers.retrieve(customer.id)
    assert result.to_dict() == {"id": customer.id, "object": "customer", "deleted": True}
    with pytest.raises(stripe.InvalidRequestError):
        stripe_api.v1.customers.update(customer.id, {"name": "Back"})


def test_validation_finds_an_object_that_violates_the_document(_simulator: Running) -> None:
    _simulator.reset()
    customer = _simulator.client().v1.customers.create({"name": "A"})
    with _simulator.sim.unit() as unit:
        broken = unit.require("customer", customer.id)
        broken["balance"] = "a lot"
        broken["wallet"] = 1
        unit.save(broken)
    _simulator.client().v1.customers.retrieve(customer.id)
    assert len(_simulator.findings()) == 1
    assert "balance" in _simulator.findings()[0] or "wallet" in _simulator.findings()[0]


def test_a_saved_state_is_restored_after_a_reset(simulator: Running, client: stripe.StripeClient) -> None:
    kept = client.v1.customers.create({"name": "Kept"})
    state = simulator.save()
    later = client.v1.customers.create({"name": "Later"})
    simulator.reset()
    simulator.load(state)
    assert client.v1.customers.retrieve(kept.id).name == "Kept"
    assert [event.type for event in client.v1.events.list().data] == ["customer.created"]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.customers.retrieve(later.id)
    assert client.v1.customers.create({"name": "Next"}).id not in {kept.id, later.id}
