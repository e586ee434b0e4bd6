"""“1 person”, never “1 people”: the helper, and every text of the product that counts something."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdp.plurals import counted, noun

PROJECT = Path(__file__).parent.parent
APPS = ("cdp", "profiles", "segments", "imports")
NOUNS = (
    "people profiles persons rows pairs addresses merges events cells lines days errors values columns identifiers tags"
    " items calls jobs imports browsers messages deliveries files names words times fields entries sources webhooks"
    " duplicates consents notes alternates decisions groups reasons attributes visitors minutes hours"
).split()
_PLURAL = re.compile(rf"^ (?:[a-z]+ )?({'|'.join(NOUNS)})\b")
# What is never one, or stands beside a sentence of its own for one: start of the text → why.
NEVER_ONE = {
    "people are written": "how many of a long list",
    "Of the newest": "a share of many",
    "more values cannot be stored": "the rest of a long list",
    "people wait for": "refused above fifty",
    "cells were read and": "sums of a file",
    "{len(ids):,} people are too many": "more than fits",
    "{len(ids):,} items are too many": "more than a limit",
    "The batch has {len(items):,} items; the limit": "more than a limit",
    "{len(value):,} names; ": "more than a limit",
    "The file has {columns:,} columns; at most": "more than a limit",
    "{loaded.profiles:,} made-up people": "demo data",
    "At most": "a limit and more than that",
    "{len(value):,} entries; the first": "more than a limit",
    "{merged:,} merged, {apart:,} not duplicates": "a state, not a noun",
}
_COUNT = re.compile(
    r"\{\{ ?[\w.]+\|(?:length\|)?(?:add:[-\w\"']+\|)?(?:number|length|intcomma|plain) ?\}\}"
    rf"(?:</b>)?(?:<span>)? ?(?:[a-z]+ )?({'|'.join(NOUNS)})\b(?!\{{\{{)"
)
# Templates: what is counted → why it is never one.
NEVER_ONE_THERE = {
    "call.repeats": "the first time and at least one more",
    "days": "a choice of periods of a week and more",
    "view.merged_ids|length|add:1": "the profile itself and at least one more",
    "limit": "a setting",
    "fewest": "a setting",
    "fewest_of_each": "a setting",
    "sampled": "the branch for more than one",
    "row.case.asked": "the branch for more than one",
    "compared.web": "no noun",
    "span": "a choice of periods of a week and more",
}


@pytest.mark.parametrize(
    ("count", "plural", "text"),
    [
        (1, "addresses", "1 address"),
        (2, "addresses", "2 addresses"),
        (1, "people", "1 person"),
        (0, "people", "0 people"),
        (1204, "people", "1,204 people"),
        (1, "profiles", "1 profile"),
        (1, "new people", "1 new person"),
        (1, "entries", "1 entry"),
        (1, "matches", "1 match"),
    ],
)
def test_a_count_and_its_noun(count: int, plural: str, text: str) -> None:
    assert counted(count, plural) == text
    assert noun(plural, count) == text.partition(" ")[2]


def _python_texts() -> Iterator[tuple[str, str]]:
    for app in APPS:
        for path in sorted((PROJECT / app).rglob("*.py")):
            if "migrations" in path.parts:
                continue
            tree = ast.parse(path.read_text())
            parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
            for node in ast.walk(tree):
                if isinstance(node, ast.JoinedStr):
                    yield from _counts_of(node, parents, f"{path.relative_to(PROJECT)}:{node.lineno}")


def _counts_of(text: ast.JoinedStr, parents: dict[ast.AST, ast.AST], place: str) -> Iterator[tuple[str, str]]:
    """Each count with a plural behind it, unless one is another branch or the count is a setting."""
    whole = ast.unparse(text)[2:-1]
    if isinstance(parents.get(text), ast.IfExp):
        return
    for value, behind in zip(text.values, text.values[1:], strict=False):
        if not (isinstance(value, ast.FormattedValue) and isinstance(behind, ast.Constant)):
            continue
        is_number = value.format_spec is not None and ast.unparse(value.format_spec) in ("f','", 'f","')
        is_setting = isinstance(value.value, ast.Name) and value.value.id.isupper()
        if is_number and not is_setting and _PLURAL.match(str(behind.value)):
            yield place, whole


def test_texts_of_the_code_never_say_one_people() -> None:
    wrong = [
        f"{place}: {text}" for place, text in _python_texts() if not any(known in text for known in NEVER_ONE)
    ]
    assert not wrong, "Say cdp.plurals.counted(…):\n" + "\n".join(wrong)


def test_templates_never_say_one_people() -> None:
    wrong = []
    for path in sorted((PROJECT / "templates").rglob("*.*")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for match in _COUNT.finditer(line):
                counted_name = match[0].split("}}")[0].strip("{ ")
                if any(counted_name.startswith(f"{known}|") for known in NEVER_ONE_THERE):
                    continue
                wrong.append(f"{path.relative_to(PROJECT)}:{number}: {match[0]}")
    assert not wrong, "Say |counted or |pluralize:\n" + "\n".join(wrong)
