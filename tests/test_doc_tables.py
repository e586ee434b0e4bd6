"""Tables in docs that say what the code does are what the code says:

DOCS=write pytest tests/test_doc_tables.py    # then review the diff of docs
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from django.conf import settings

from cdp.retention import listed
from cdp.roles_and_scopes import SCOPE_DESCRIPTIONS, rights_of_scope

DOCS = Path(settings.BASE_DIR) / "docs"


def scopes() -> list[tuple[str, ...]]:
    return [
        (f"`{scope}`", text, ", ".join(rights_of_scope(scope)) or "none")
        for scope, text in SCOPE_DESCRIPTIONS.items()
    ]


def retention() -> list[tuple[str, ...]]:
    return [
        (row.what, row.rule.sentence, f"`{row.rule.setting}`" if row.rule.setting else "") for row in listed()
    ]


TABLES = [
    ("security.md", ("scope", "what it does", "rights it has"), scopes),
    ("operations.md", ("what", "how long", "setting"), retention),
]


def as_lines(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        "| --- " * len(head) + "|",
        *(f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows),
    ]


@pytest.mark.parametrize(("name", "head", "rows"), TABLES, ids=[name for name, *_ in TABLES])
def test_a_table_says_what_the_code_does(name: str, head: tuple[str, ...], rows: object) -> None:
    assert callable(rows)
    expected = as_lines(head, rows())
    path = DOCS / name
    lines = path.read_text().split("\n")
    start = lines.index(expected[0])
    end = next(number for number in range(start, len(lines) + 1) if not lines[number].startswith("|"))
    if os.environ.get("DOCS") == "write":
        path.write_text("\n".join([*lines[:start], *expected, *lines[end:]]))
        lines[start:end] = expected
        end = start + len(expected)
    assert lines[start:end] == expected
