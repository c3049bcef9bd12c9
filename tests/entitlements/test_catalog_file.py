"""The catalog file: what it can contain, and that all its faults are reported at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils import translation

from contextmcp.devstack.services import REPOSITORY
from entitlements.catalog_file import read_catalog
from entitlements.catalog_schema import FeatureValue, Overage
from entitlements.types import Kind

EXAMPLES = sorted((REPOSITORY / "examples" / "catalogs").glob("*.toml"))
GOOD = """
currency = "eur"

[[features]]
name = "calls"
kind = "quota"
title = "Calls"

[[features]]
name = "sites"
kind = "gauge"
title = "Sites"

[[plans]]
name = "guest"
version = 1
title = "Guest"

[plans.features]
calls = 5
sites = 1

[[plans]]
name = "host"
version = 3
title = "Host"
recommended = true
prices = [{ interval = "year", amount = 4800, price_id_variable = "STRIPE_HOST_PRICE_ID" }]

[plans.features]
calls = { limit = 100, overage_unit_amount = 7 }
"""


@pytest.fixture
def file(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "catalog.toml"
        path.write_text(text)
        return path

    return write


def faults(path: Path) -> list[str]:
    with pytest.raises(ImproperlyConfigured) as refusal:
        read_catalog(path)
    first, *rest = str(refusal.value).splitlines()
    assert first == f'CATALOG_FILE is "{path}", which is not a valid catalog:'
    return rest


def test_a_plan_inherits_from_the_previous_plan(file):
    catalog = read_catalog(file(GOOD))
    guest, host = catalog.plans
    assert host.features == {"calls": FeatureValue(Kind.QUOTA, 100, Overage(7, "eur")), "sites": FeatureValue(Kind.GAUGE, 1)}
    assert (guest.features["calls"].value, host.price("year").currency, catalog.currency) == (5, "eur", "eur")
    assert (catalog.recommended, catalog.price_id_variables) == ("host", {("host", "year"): "STRIPE_HOST_PRICE_ID"})
    assert (catalog.main_meter.name, catalog.seats) == ("calls", None)


def test_a_plan_can_be_sold_by_agreement_and_questions_are_in_order(file):
    plan = '[[plans]]\nname = "chain"\nversion = 1\ntitle = "Chain"\ncontact = "mailto:sales@x.example"\n'
    plan += '[plans.features]\ncalls = "unlimited"\n'
    questions = '[[questions]]\nquestion = "Why?"\nanswer = "Because."\n[[questions]]\nquestion = "How?"\nanswer = "So."\n'
    catalog = read_catalog(file(GOOD + plan + questions))
    assert catalog.contacts == {"chain": "mailto:sales@x.example"} and not catalog.plan("chain").prices
    assert [(each.question, each.answer) for each in catalog.questions] == [("Why?", "Because."), ("How?", "So.")]


def test_all_faults_are_reported_at_once(file):
    text = (
        GOOD.replace('kind = "gauge"', 'kind = "gage"\ncolor = "red"')
        .replace("calls = 5", 'calls = "many"\nvisits = 3')
        .replace('title = "Guest"\n', "")
        .replace('interval = "year"', 'interval = "week"')
        .replace("version = 3", "version = 0")
    )
    assert faults(file(text)) == [
        '- The feature "sites" has "color", which is not one of answer, derived_from, failure_mode, group, highlight, home, kind, name, '
        "plural, question, singular, summary, title, unit.",
        "- The feature \"sites\": \"kind\" is 'gage': invalid enum value 'gage'.",
        '- The plan "guest" needs "title".',
        '- The plan "host": "version" is 0: expected `int` >= 1.',
        '- The plan "guest": "calls" must be true or false, a number, "unlimited", or a number with overage, such as '
        "{ limit = 100, overage_unit_amount = 5 }.",
        '- The plan "guest" names "visits", which is not a feature of the catalog.',
        "- The plan \"host\": price 1: \"interval\" is 'week': invalid enum value 'week'.",
    ]


def test_the_values_of_plans_are_checked_one_by_one(file):
    output = faults(file(GOOD.replace("calls = 5", 'calls = "many"\nvisits = 3\nsites = true').replace("sites = 1\n", "")))
    assert output == [
        '- The plan "guest": "calls" must be true or false, a number, "unlimited", or a number with overage, such as '
        "{ limit = 100, overage_unit_amount = 5 }.",
        '- The plan "guest" names "visits", which is not a feature of the catalog.',
        '- The plan "guest": "sites" cannot be True, because it is a gauge.',
        '- The plan "host": "sites" cannot be True, because it is a gauge.',
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('currency = "eur"', "", 'The file needs "currency".'),
        ('currency = "eur"', 'currency = "EUR"', 'The file: "currency" is'),
        ('name = "calls"', 'name = "Calls!"', "expected `str` matching regex"),
        ("[[features]]", "[[meters]]", 'The file needs "features".'),
        ('"STRIPE_HOST_PRICE_ID"', '"HOST_PRICE"', "expected `str` matching regex"),
        ('title = "Guest"', 'title = "Guest"\nrecommended = true', "Only one plan can be recommended, but guest, host are."),
        ("version = 3", 'version = 3\ncontact = "mailto:x@y.example"', '"contact", which only a plan without prices after the first'),
        ("version = 3", 'version = 3\ncontact = "javascript:x"', "expected `str` matching regex"),
        (
            'title = "Guest"',
            'title = "Guest"\ncontact = "https://x.example"',
            '"contact", which only a plan without prices after the first',
        ),
        ("[[plans]]", '[[questions]]\nquestion = "Why?"\n[[plans]]', 'Question 1 needs "answer".'),
        ("{ interval", '{ interval = "month", amount = 5, price_id_variable = "STRIPE_HOST_PRICE_ID" }, { interval', "more than one price"),
    ],
)
def test_each_fault_is_a_sentence(file, old, new, message):
    assert any(message in sentence for sentence in faults(file(GOOD.replace(old, new))))


@pytest.mark.parametrize(
    ("text", "message"), [("plans = [", "which is not TOML: "), (None, "which cannot be read: No such file or directory.")]
)
def test_a_file_that_cannot_be_read_is_named(file, tmp_path, text, message):
    path = tmp_path / "missing.toml" if text is None else file(text)
    with pytest.raises(ImproperlyConfigured) as refusal:
        read_catalog(path)
    assert str(refusal.value).startswith(f'CATALOG_FILE is "{path}", {message}')


def test_a_process_does_not_start_with_a_faulty_catalog(file):
    path = file(GOOD.replace("calls = 5", "calls = -5"))
    environment = {**os.environ, "CATALOG_FILE": str(path)}
    output = subprocess.run(
        [sys.executable, "manage.py", "check"], env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert output.returncode == 78
    assert output.stderr == (
        f'CATALOG_FILE is "{path}", which is not a valid catalog:\n- The plan "guest": "calls" cannot be -5, because it is a quota.\n'
    )


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_valid(path):
    assert read_catalog(path).recommended


def test_texts_are_translated_and_unknown_ones_are_faults(file):
    catalog = read_catalog(file(GOOD + '\n[translations.de]\n"Calls" = "Aufrufe"\n"calls" = "Aufrufe"\n"Host" = "Gastgeber"\n'))
    with translation.override("de"):
        assert (catalog.noun("calls"), catalog.feature_title("calls"), catalog.plan_title("host")) == ("Aufrufe", "Aufrufe", "Gastgeber")
        assert catalog.features[1].noun() == "sites"
    with translation.override("fr"):
        assert catalog.feature_title("calls") == "Calls"
    with pytest.raises(ImproperlyConfigured, match='The translations for "de" have "Callz", which is not a text of the catalog'):
        read_catalog(file(GOOD + '\n[translations.de]\n"Callz" = "Aufrufe"\n'))


def test_the_default_catalog_is_translated():
    catalog = read_catalog(REPOSITORY / "entitlements" / "catalog.toml")
    nouns = {feature.plural_noun for feature in catalog.features if feature.kind is Kind.BOOLEAN}
    texts = {text for feature in catalog.features for text in feature.texts} | {plan.summary for plan in catalog.plans}
    for language in ("de", "fr"):
        assert texts - nouns - catalog.translations[language].keys() == set()
