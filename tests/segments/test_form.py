"""The builder's form: any rule is shown in inputs, and what they post is the same rule; what is typed wrong stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, reject, settings

from cdp.errors import Invalid
from segments.draft import Draft, apply, attach, controls_of, draft_of, read_draft, rule_json, starts
from segments.form.fields import Raw
from segments.form.suggestions import Suggestions
from segments.form.values import as_input, typed
from segments.kind_forms import FORMS, STARTS
from segments.models import Segment
from segments.rules.parse import known_kinds, parse_rule
from segments.vocabulary import Vocabulary
from tests.segments import rules as random_rules
from tests.segments.world import define_names

pytestmark = pytest.mark.django_db


def posted(root: Draft, suggestions: Suggestions) -> dict[str, str]:
    """What a browser sends of the form as it is drawn."""
    values = {}
    for part in root.walk():
        values[f"{part.path}--is"] = part.kind
        if part.is_not:
            values[f"{part.path}--not"] = "1"
        if part.is_off:
            values[f"{part.path}--off"] = "1"
        if part.is_group:
            values[f"{part.path}--match"] = part.match
            continue
        for control in controls_of(part, suggestions):
            if control.widget != "button" and (control.widget != "check" or control.value):
                values[control.name] = control.value
    return values


def test_every_rule_comes_back_as_it_was() -> None:
    define_names()
    Segment.objects.create(pk=1_000_001, name="Buyers", kind="static", state="live")
    vocabulary = Vocabulary()
    suggestions = Suggestions(True, vocabulary)

    @settings(max_examples=60)
    @given(random_rules.rules)
    def comes_back(rules: dict[str, Any]) -> None:
        shown = draft_of(rules)
        assume(_has_a_condition(shown))
        try:
            before = parse_rule(rule_json(shown), vocabulary)
        except Invalid:  # names what this small world has not
            reject()
        read = read_draft(posted(shown, suggestions), suggestions)
        assert parse_rule(rule_json(read), vocabulary).json == before.json

    comes_back()


def _has_a_condition(draft: Draft) -> bool:
    """Whether any condition is on; a rule without one is none."""
    if draft.is_off:
        return False
    return not draft.is_group or any(_has_a_condition(part) for part in draft.parts)


# A rule of each kind that has no random ones here; of kinds that are not installed the form alone is read.
EXAMPLES: list[Raw] = [
    {"cart": "open", "idle": {"hours": 24}, "contains": [{"property": "sku", "op": "eq", "value": "A"}]},
    {
        "sequence": [
            {"event": "A", "where": [{"property": "price", "op": "gt", "value": 2}]},
            {"kind": "page", "event": "B", "not": True},
        ],
        "no_longer_than": {"hours": 1},
        "within": {"days": [7, 14]},
    },
    {"visits": {"op": "between", "value": [3, 5]}, "within": {"days": 30}, "longer_than": {"minutes": 5}},
    {"split": {"of": 100, "from": 0, "to": 50, "salt": "half"}},
    {"ids": "customer_id", "values": ["C-1", "C-2"]},
    {"was": "points", "op": "gte", "value": 3},
    {"changed": "plan", "within": {"calendar": "today"}},
    {"consent": {"channel": "email", "purpose": "newsletter"}, "state": "withdrawn"},
    {"reachable": {"channel": "email"}},
    {"duplicate": True, "tier": "probable"},
    {"duplicate": True},
    {"entered": 7, "within": {"days": 7}},
    {"import": 88, "how": "created"},
    {"source": "shop", "how": "created"},
    {"profile": "last_seen_at", "op": "in_last", "value": {"days": 7}},
    {"profile": "first_seen_at", "op": "exists"},
]


@pytest.mark.parametrize("raw", EXAMPLES, ids=lambda raw: next(iter(raw)))
def test_forms_of_further_kinds(raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    define_names()
    suggestions, kind = Suggestions(), next(iter(raw))
    installed = {**known_kinds()}
    installed.setdefault(kind, type(kind, (), {"form": (), "starts": (), "label": kind, "key": kind}))
    monkeypatch.setattr("segments.draft.known_kinds", lambda: installed)
    monkeypatch.setattr("segments.rules.parse.known_kinds", lambda: installed)
    shown = draft_of({"all": [raw]})
    read = read_draft(posted(shown, suggestions), suggestions)
    without_types = _plain(read.parts[0].raw)
    # Numbers of segments are numbers, also of segments that are gone.
    assert without_types == raw


def _plain(value: Any) -> Any:
    """Without what the form says more of: the type of a property, and the shortest words."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items() if key != "type"}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def test_every_kind_that_is_installed_can_be_added_and_shown() -> None:
    define_names()
    suggestions = Suggestions()
    names = [name for name, _ in starts()]
    assert len(names) == len(set(names)) >= len(known_kinds())
    root = draft_of(None)
    for name in names:
        apply(root, f"add:{name}:c")
    assert len(root.parts) == len(names)
    for part in root.parts:
        assert controls_of(part, suggestions), part.kind
    read = read_draft(posted(root, suggestions), suggestions)
    assert [part.kind for part in read.parts] == [part.kind for part in root.parts]
    assert set(STARTS) == set(FORMS), "a form that nothing adds, or the other way round"


def test_what_is_typed_wrong_stays_and_is_named() -> None:
    suggestions = Suggestions()
    values = {"c--is": "group", "c0--is": "event", "c0-event": "View", "c0-within-mode": "last"}
    values |= {"c0-within-amount": "a week", "c0-within-unit": "days", "c1--is": "group"}
    root = read_draft(values, suggestions)
    raw = rule_json(root)
    assert raw["all"][0]["within"] == {"days": "a week"}
    with pytest.raises(Invalid) as caught:
        parse_rule(raw, Vocabulary())
    assert attach(root, caught.value.problems) == []
    assert root.parts[0].errors == [("within", "Write a whole number from 1 to 1,098.")]
    assert root.parts[1].errors == [("all", "This group is empty. Add a condition, or remove the group.")]
    amounts = [one for one in controls_of(root.parts[0], suggestions) if one.name == "c0-within-amount"]
    assert [(one.value, one.is_wrong) for one in amounts] == [("a week", True)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20", 20),
        ("-1.5", -1.5),
        ("1,5", 1.5),
        ("1,204", 1204),
        ("1,204.50", 1204.5),
        ("0,204", 0.204),
        ("1e-07", 1e-07),
        ("nan", "nan"),
        ("inf", "inf"),
        ("many", "many"),
        ("", ""),
    ],
)
def test_numbers_as_people_type_them(text: str, value: Any) -> None:
    assert typed(text, "number") == value


def test_times_are_those_of_the_workspace(settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Warsaw"
    assert typed("2026-07-01T10:00", "datetime") == "2026-07-01T08:00:00Z"
    assert as_input("2026-07-01T08:00:00Z", "datetime") == "2026-07-01T10:00"
    assert typed("soon", "datetime") == as_input("soon", "datetime") == "soon"
