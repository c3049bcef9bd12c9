"""The document of the data model."""

import pytest
from django.core.management import CommandError, call_command

from contextmcp.common import data_model


def test_the_document_is_current():
    assert data_model.path().read_text() == data_model.document(), "run `make data-model`"


def test_every_table_has_a_description():
    assert [line for line in data_model.document().splitlines() if line.endswith("**: ")] == []


def test_an_outdated_document_is_refused_and_then_written(tmp_path, settings):
    settings.BASE_DIR = tmp_path
    (tmp_path / "docs").mkdir()
    data_model.path().write_text("# Data model\n")
    with pytest.raises(CommandError, match="outdated"):
        call_command("data_model", "--check")
    call_command("data_model")
    call_command("data_model", "--check")
    text = data_model.path().read_text()
    assert "    Organization ||--o{ Membership : organization" in text
    assert "        uuid organization_id FK" in text
