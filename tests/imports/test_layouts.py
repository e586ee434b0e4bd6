"""Files as other tools export people, through the real upload, guess and plan: what is off is printed per file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from cdp.actors import Actor
from imports.columns import Mapping, column_keys
from imports.mappings import load_context, map_import, read_mapping
from imports.models import Import, Row
from tests.imports.files import plan, upload

pytestmark = pytest.mark.django_db

FOLDER = Path(__file__).parent / "layouts"
EXPECTED: dict[str, Any] = tomllib.loads((FOLDER / "expected.toml").read_text())
# A person who is asked has to be asked: nothing of this may be guessed wrong.
CRITICAL = ("email", "phone", "customer_id", "reference_id", "identifier.", "consent.", "full_name")


def _answered(import_: Import, expected: dict[str, Any]) -> Mapping:
    """As a person answers the page: columns with the same name are left out, whoever looks like a consent is confirmed,
    and the country of the phone numbers is said where the file does not say it."""
    keys = column_keys(import_.headers)
    named = {keys[key] for key in import_.mapping if key in keys}
    mapping = {**import_.mapping} | {
        f"#{index + 1}": {"to": "ignore"} for index in range(len(import_.headers)) if index not in named
    }
    for entry in mapping.values():
        if entry["to"] == "ignore":
            entry["confirmed"] = True
    options = {}
    country, where = expected["phone_country"], import_.options["phone_country"]
    if len(country) == 2 and where in ("", "row"):
        options = {"phone_country": f"{where}:{country}" if where else country}
    map_import(import_id=import_.pk, mapping=mapping, options=options, actor=Actor.system())
    import_.refresh_from_db()
    return read_mapping(import_, load_context(import_.options))


def _off(import_: Import, mapping: Mapping, expected: dict[str, Any]) -> list[str]:
    """Columns that go elsewhere than they should."""
    by_index = {column.index: column for column in mapping.columns}
    off = []
    for index, wanted in enumerate(expected["columns"]):
        column = by_index[index]
        to, should = column.target.to, wanted["to"]
        is_left_to_people = should in ("ignore", "attributes.?") and to == "ignore"
        is_right = (
            to == should or is_left_to_people or (should == "attributes.?" and to.startswith("attributes."))
        )
        if not is_right or column.meaning != wanted.get("meaning", ""):
            off.append(f"{import_.headers[index]}: {to} {column.meaning}, should be {should}")
        separator = wanted.get("separator", ",")
        if is_right and (column.separator or ",").strip() != separator.strip() and to not in ("ignore",):
            off.append(f"{import_.headers[index]}: split at {column.separator!r}, should be {separator!r}")
    return off


def _withdrawn(import_: Import) -> dict[str, list[int]]:
    """channel.purpose → the rows, from 1, that say no."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.n, c.e ->> 0, c.e ->> 1 FROM (SELECT consents, row_number() OVER (ORDER BY line) AS n"
            f" FROM {import_.partition}) r, jsonb_array_elements(r.consents) AS c (e)"
            " WHERE c.e ->> 2 = 'withdrawn' ORDER BY 1"
        )
        found: dict[str, list[int]] = {}
        for number, channel, purpose in cursor.fetchall():
            found.setdefault(f"{channel}.{purpose}", []).append(number)
    return found


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_of_another_tool(name: str) -> None:
    expected = EXPECTED[name]
    import_ = upload((FOLDER / name).read_bytes(), name=name)
    mapping = _answered(import_, expected)
    off = _off(import_, mapping, expected)
    plan(import_)
    rejected = list(
        Row.objects.filter(import_id=import_.pk, outcome="failed").values_list("line", "problems")
    )
    share = 1 - len(off) / len(expected["columns"])
    print(
        f"{name}: {share:.0%} of {len(expected['columns'])} columns, {len(rejected)} rows rejected",
        *off,
        sep="\n  ",
    )
    assert share >= 0.95, off
    assert not [line for line in off if line.split(", should be ")[1].startswith(CRITICAL)], off
    assert (import_.counts["rows"], rejected) == (expected["rows"], [])
    assert import_.counts["rows"] - import_.counts["failed"] >= expected["accepted"]
    assert _withdrawn(import_) == expected["withdrawn"]
    constants = {
        column.target.to: column.const for column in mapping.columns if column.const and column.index is None
    }
    if name != "mailchimp_unsubscribed.csv":  # there the time of leaving says it
        assert constants == {entry["to"]: entry["const"] for entry in expected.get("constants", [])}
    left = {
        import_.headers[column.index or 0] for column in mapping.columns if column.target.kind == "ignore"
    }
    filled = {
        import_.headers[index]
        for index, wanted in enumerate(expected["columns"])
        if wanted["to"] == "attributes.?" and any(row[index] for row in import_.sample if index < len(row))
    }
    marked = {warning["message"] for warning in import_.warnings if warning["code"] == "columns_left_out"}
    unmarked = [header for header in filled & left if not any(header in message for message in marked)]
    assert unmarked == [], "a column with data that is left out is marked"
