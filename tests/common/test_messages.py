"""Texts are extracted and translated."""

from contextmcp.devstack import messages

MODULE = b"""
from django.utils.translation import gettext as _, ngettext, pgettext
_("Saved")
_("%(name)s left")
ngettext("%(n)s key", "%(n)s keys", 2)
pgettext("verb", "Open")
"""
TEMPLATE = """
<p title="{% translate "It's here" %}">{% blocktranslate trimmed count n=keys|length with name=me.name %}
  {{ n }} key of {{ name }}
  {% plural %}
  {{ n }} keys of {{ name }}
{% endblocktranslate %}</p>{% include "web/code.html" with label=_("API key") %}{% translate "Open" context "verb" %}
"""


def test_texts_are_extracted_from_modules_and_templates():
    assert list(messages.in_module(MODULE)) == [
        ("Saved", None),
        ("%(name)s left", None),
        (("%(n)s key", "%(n)s keys"), None),
        ("Open", "verb"),
    ]
    assert list(messages.in_template(TEMPLATE)) == [
        ("It's here", None),
        (("%(n)s key of %(name)s", "%(n)s keys of %(name)s"), None),
        ("API key", None),
        ("Open", "verb"),
    ]


def test_translations_are_complete_and_up_to_date():
    assert messages.faults() == []


def test_each_kind_of_fault_is_found(tmp_path):
    module = tmp_path / "accounts" / "texts.py"
    module.parent.mkdir()
    module.write_text('from django.utils.translation import gettext as _\n_("Saved")\n_("%(name)s left")\n')
    messages.update(tmp_path)
    assert "locale/fr/LC_MESSAGES/django.po: 'Saved' has no translation." in messages.faults(tmp_path)
    for language in messages.LANGUAGES:
        path = messages.po_file(language, tmp_path)
        path.write_text(path.read_text().replace('msgid "Saved"\nmsgstr ""', 'msgid "Saved"\nmsgstr "Gespeichert"'))
        path.write_text(path.read_text().replace('left"\nmsgstr ""', 'left"\nmsgstr "%(nom)s fort"'))
    found = messages.faults(tmp_path)
    assert [fault.partition(": ")[2] for fault in found[:2]] == [
        "run `make messages`.",
        "'%(name)s left' has the placeholders ['%(name)s'], its translation ['%(nom)s'].",
    ]
    messages.update(tmp_path)
    module.write_text(module.read_text() + '_("New")\n')
    assert [fault for fault in messages.faults(tmp_path) if "is not up to date" in fault or "New" in fault][:2] == [
        "locale/de/LC_MESSAGES/django.po is not up to date: run `make messages`.",
        "locale/de/LC_MESSAGES/django.po: 'New' has no translation.",
    ]
