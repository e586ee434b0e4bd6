"""Rules that cannot be kept → a sentence and the exact place of everything that is wrong, over the API; never a 500."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.errors import Invalid
from profiles.models import AttributeDefinition, EventName, Tag
from profiles.tagging import delete_tag
from segments.models import Segment
from segments.rules.parse import known_kinds, parse_rule
from segments.vocabulary import Vocabulary
from tests.api.caller import Caller, refusal
from tests.profile_factory import make_profile
from tests.segments.filled import made

pytestmark = pytest.mark.django_db
OSLO = {"attribute": "city", "op": "eq", "value": "Oslo"}
ATTACKS = (
    "'; DROP TABLE segments_segment; -- \" OR 1=1",
    "%(ids)s %s {0} {value} :v0 $1 \\ \\' `",
    "</script> ~1/~0/a.b[*]?(@ > 1) _%",
)


@pytest.fixture
def api(db: None) -> Caller:
    return Caller(create_key(name="shop", scopes=["all"], actor=Actor.system()))


@pytest.fixture(autouse=True)
def _names(db: None) -> None:
    Tag.objects.create(name="vip")
    for name, kind in (
        ("points", "number"),
        ("renews_on", "date"),
        ("is_member", "boolean"),
        ("called_at", "datetime"),
    ):
        AttributeDefinition.objects.create(name=name, type=kind)


def nested(depth: int) -> dict[str, Any]:
    """A rule whose groups go that deep, the outermost counted."""
    rule: dict[str, Any] = {"all": [OSLO]}
    for _ in range(depth - 1):
        rule = {"any": [rule]}
    return rule


def one(**condition: Any) -> dict[str, Any]:
    return {"all": [condition]}


KNOWN_GROUP = "A rule begins with a group: all, any or none."
NO_COUNTRY = "Not a country. Write its English name or ISO code, for example Poland or PL."
WHOLE = "Write a whole number from 0 to 1,000,000."
# Rule → pointer within “rules” and sentence.
BAD: list[tuple[Any, str, str]] = [
    # What is no rule.
    (None, "", "This field may not be null."),
    ([], "", "Write this part of the rule as a JSON object."),
    ("all", "", "Write this part of the rule as a JSON object."),
    ({}, "", KNOWN_GROUP),
    ({"version": 1}, "", KNOWN_GROUP),
    (OSLO, "", KNOWN_GROUP),
    (
        {"version": 99, "all": [OSLO]},
        "/version",
        "Rules of version 99 are not known here; this is version 1.",
    ),
    (
        {"version": True, "all": [OSLO]},
        "/version",
        "Rules of version True are not known here; this is version 1.",
    ),
    (
        {"version": {"a": 1}, "all": [OSLO]},
        "/version",
        "Rules of version {'a': 1} are not known here; this is version 1.",
    ),
    # Groups.
    ({"all": []}, "/all", "This group is empty. Add a condition, or remove the group."),
    ({"all": {}}, "/all", "Write a list with at least one entry."),
    ({"all": None}, "/all", "Write a list with at least one entry."),
    (
        {"all": [OSLO, {"any": []}]},
        "/all/1/any",
        "This group is empty. Add a condition, or remove the group.",
    ),
    ({"all": [OSLO], "any": [OSLO]}, "/any", "“any” is not known here. Known: all."),
    ({"all": [OSLO], "a/b~c": 1}, "/a~1b~0c", "“a/b~c” is not known here. Known: all."),
    ({"all": ["Oslo"]}, "/all/0", "Write this part of the rule as a JSON object."),
    ({"all": [{"not": [OSLO]}]}, "/all/0/not", "Write this part of the rule as a JSON object."),
    ({"all": [{"not": OSLO, "tag": "vip"}]}, "/all/0/tag", "“tag” is not known here. Known: not."),
    ({"all": [{**OSLO, "off": "yes"}]}, "/all/0/off", "Write true or false."),
    ({"all": [{**OSLO, "off": True}]}, "", "Every condition of this rule is switched off. Switch one on."),
    (nested(11), "/any/0" * 10, "Groups go at most 10 deep."),
    ({"all": [OSLO] * 1_000}, "", "At most 200 conditions in a rule; this has 1,000."),
    # Conditions.
    (
        {"all": [{}]},
        "/all/0",
        f"There is no such condition. A condition has one of: {', '.join(sorted(known_kinds()))}.",
    ),
    (
        one(color="red"),
        "/all/0",
        f"There is no such condition. A condition has one of: {', '.join(sorted(known_kinds()))}.",
    ),
    (one(attribute="shoe_size", op="exists"), "/all/0/attribute", "There is no attribute “shoe_size”."),
    (one(attribute=7), "/all/0/attribute", "Write a text here."),
    (
        one(attribute="city", op="like", value="x"),
        "/all/0/op",
        "“like” is none of eq, ne, in, not_in, contains, not_contains, starts, ends.",
    ),
    (
        one(attribute="city", op=["eq"], value="x"),
        "/all/0/op",
        "“['eq']” is none of eq, ne, in, not_in, contains, not_contains, starts, ends.",
    ),
    (one(attribute="city", op="eq"), "/all/0/value", "Write a text here."),
    (one(attribute="city", op="eq", value=7), "/all/0/value", "Write a text here."),
    (one(attribute="city", op="eq", value={"$ne": 1}), "/all/0/value", "Write a text here."),
    (
        one(attribute="city", op="eq", value="x" * 1_001),
        "/all/0/value",
        "At most 1,000 characters; this has 1,001.",
    ),
    (one(attribute="city", op="in", value="Oslo"), "/all/0/value", "Write a list of values."),
    (one(attribute="city", op="in", value=["Oslo", 7]), "/all/0/value/1", "Write a text here."),
    (
        one(attribute="city", op="in", value=["x"] * 1_001),
        "/all/0/value",
        "At most 1,000 values; this has 1,001.",
    ),
    (
        one(attribute="city", op="eq", value="x", values=[]),
        "/all/0/values",
        "“values” is not known here. Known: attribute, exactly, op, value.",
    ),
    (
        one(attribute="city", op="exists", value="x"),
        "/all/0/value",
        "“value” is not known here. Known: attribute, op.",
    ),
    (one(attribute="country", op="in", value=["PL", "Polnd"]), "/all/0/value/1", NO_COUNTRY),
    (one(attribute="country", op="eq", value="Polnd"), "/all/0/value", NO_COUNTRY),
    (one(attribute="points", op="gt", value="100"), "/all/0/value", "Write a number."),
    (one(attribute="points", op="gt", value=True), "/all/0/value", "Write a number."),
    (one(attribute="points", op="gt", value=10**15), "/all/0/value", "Write a number of at most 15 digits."),
    (
        one(attribute="points", op="between", value=[5, 1]),
        "/all/0/value",
        "Write two values, the smaller one first.",
    ),
    (
        one(attribute="points", op="eq", value=1, exactly=True),
        "/all/0/exactly",
        "Only texts are compared exactly or not.",
    ),
    (one(attribute="is_member", op="eq", value="yes"), "/all/0/value", "Write true or false."),
    (
        one(attribute="renews_on", op="before", value="2026-02-30"),
        "/all/0/value",
        "Write a date like 2026-03-01.",
    ),
    (
        one(attribute="renews_on", op="in_last", value={"hours": 3}),
        "/all/0/value/hours",
        "“hours” is not known here. Known: days.",
    ),
    (
        one(attribute="renews_on", op="in_last", value={"days": 0}),
        "/all/0/value/days",
        "Write a whole number from 1 to 36,600.",
    ),
    (
        one(attribute="called_at", op="before", value="2026-03-01 10:00"),
        "/all/0/value",
        "Write a time with its zone, like 2026-03-01T14:30:00Z.",
    ),
    (
        one(attribute="called_at", op="in_last", value=3),
        "/all/0/value",
        "Write this part of the rule as a JSON object.",
    ),
    (one(tag="gone"), "/all/0/tag", "There is no tag “gone”."),
    (one(tag="gone", id=True), "/all/0/tag", "There is no tag “gone”."),
    (one(tag=["vip"]), "/all/0/tag", "Write a text here."),
    (one(type="human"), "/all/0/type", "“human” is none of recognized, anonymous."),
    (one(identifier="passport"), "/all/0/identifier", "There is no identifier type “passport”."),
    (
        one(identifier="email", op="guessed"),
        "/all/0/op",
        "“guessed” is none of exists, verified, pending, identifies.",
    ),
    (one(segment=10**30), "/all/0/segment", "This number is out of range."),
    (one(segment=999_999), "/all/0/segment", "There is no segment #999999."),
    (one(segment="7"), "/all/0/segment", "Write the number of a segment."),
    (one(segment=True), "/all/0/segment", "Write the number of a segment."),
    # Events.
    (one(event=""), "/all/0/event", "Write a text here."),
    (one(event="x" * 256), "/all/0/event", "At most 255 characters; this has 256."),
    (one(event="View", kind="email"), "/all/0/kind", "“email” is none of track, page, screen."),
    (one(event="View", count=3), "/all/0/count", "Write this part of the rule as a JSON object."),
    (one(event="View", count={"op": "gte", "value": 1.5}), "/all/0/count/value", WHOLE),
    (one(event="View", count={"op": "gte", "value": -1}), "/all/0/count/value", WHOLE),
    (
        one(event="View", count={"op": "between", "value": [1]}),
        "/all/0/count/value",
        "Write two numbers, the smaller one first.",
    ),
    (one(event="View", count={"op": "between", "value": [1, "x"]}), "/all/0/count/value/1", WHOLE),
    (
        one(event="View", within={}),
        "/all/0/within",
        "Give one of minutes, hours, days, or after and before, or a calendar word.",
    ),
    (
        one(event="View", within={"months": 1}),
        "/all/0/within/months",
        "“months” is not known here. Known: after, before, calendar, days, hours, minutes.",
    ),
    (
        one(event="View", within={"days": 1, "hours": 1}),
        "/all/0/within",
        "Give one of minutes, hours, days, or after and before, or a calendar word.",
    ),
    (
        one(event="View", within={"days": 1_099}),
        "/all/0/within/days",
        "Write a whole number from 1 to 1,098.",
    ),
    (
        one(event="View", within={"days": [7, 1]}),
        "/all/0/within/days",
        "The first number must be smaller than the second.",
    ),
    (
        one(event="View", within={"days": [1, "x"]}),
        "/all/0/within/days/1",
        "Write a whole number from 1 to 1,098.",
    ),
    (
        one(event="View", within={"after": "yesterday"}),
        "/all/0/within/after",
        "Write a time with its zone, like 2026-03-01T14:30:00Z.",
    ),
    (
        one(event="View", within={"after": "2026-03-01T00:00:00Z", "before": "2026-02-01T00:00:00Z"}),
        "/all/0/within/before",
        "This time must be later than the other one.",
    ),
    (
        one(event="View", within={"calendar": "tomorrow"}),
        "/all/0/within/calendar",
        "“tomorrow” is none of today, yesterday, this_week, last_week, this_month, last_month, this_year.",
    ),
    (one(event="View", where={}), "/all/0/where", "Write a list with at least one entry."),
    (
        one(event="View", where=[{"property": "a..b", "value": 1}]),
        "/all/0/where/0/property",
        "Write a name, or a path like products.*.sku of at most six names.",
    ),
    (
        one(event="View", where=[{"property": 'a"]', "value": 1}]),
        "/all/0/where/0/property",
        "Write a name, or a path like products.*.sku of at most six names.",
    ),
    (
        one(
            event="View",
            where=[
                {"property": "price", "op": "gt", "value": 1},
                {"property": "price", "op": "near", "value": 1},
            ],
        ),
        "/all/0/where/1/op",
        "“near” is none of eq, ne, in, not_in, gt, gte, lt, lte, between.",
    ),
    (
        one(event="View", where=[{"property": "x", "value": 1}] * 21),
        "/all/0/where",
        "At most 20 entries; this has 21.",
    ),
    (
        one(event="View", since={"event": "Buy", "count": {"value": 1}}),
        "/all/0/since/count",
        "“count” is not known here. Known: event, kind, where, within.",
    ),
]


def test_each_says_what_is_wrong_and_where(api: Caller) -> None:
    """One test for the table: a world of its own for each line would cost more than all lines."""
    wrong = []
    for rules, pointer, message in BAD:
        answer = api.post("segments/preview/", {"rules": rules})
        errors = [(error["pointer"], error["message"]) for error in answer.data["errors"]]
        if (answer.status_code, errors) != (400, [(f"/rules{pointer}", message)]):
            wrong.append((rules, answer.status_code, errors))
    assert wrong == []
    # Saving reads them in the same way.
    for rules, pointer, message in BAD[::10]:
        answer = api.post("segments/", {"name": "a", "rules": rules})
        assert refusal(answer) == (400, message)
        assert answer.data["errors"][0]["pointer"] == f"/rules{pointer}"
    assert not Segment.objects.exists()


def test_all_problems_at_once(api: Caller) -> None:
    rules = {
        "all": [
            one(tag="gone")["all"][0],
            OSLO,
            {"any": [{"type": "x"}, {"attribute": "city", "op": "in", "value": [1, "a", 2]}]},
        ]
    }
    answer = api.post("segments/", {"name": "a", "rules": rules})
    assert [error["pointer"] for error in answer.data["errors"]] == [
        "/rules/all/0/tag",
        "/rules/all/2/any/0/type",
        "/rules/all/2/any/1/value/0",
        "/rules/all/2/any/1/value/2",
    ]


def test_what_is_gone(api: Caller, by_staff: dict[str, Any]) -> None:
    """A deleted tag, attribute or segment is named, where it stands."""
    tag = Tag.objects.create(name="gone")
    plan = AttributeDefinition.objects.create(name="plan")
    other = made(api, "Other", OSLO)
    rules = {"all": [{"tag": "gone"}, {"attribute": "plan", "op": "exists"}, {"segment": other}]}
    kept = api.post("segments/", {"name": "a", "rules": rules}).data
    delete_tag(tag_id=tag.pk, **by_staff)
    plan.delete()
    api.delete(f"segments/{other}/")
    answer = api.patch(f"segments/{kept['id']}/", {"rules": kept["rules"]})
    assert [(error["pointer"], error["message"]) for error in answer.data["errors"]] == [
        ("/rules/all/0/tag", "There is no tag “gone”."),
        ("/rules/all/1/attribute", "There is no attribute “plan”."),
        ("/rules/all/2/segment", f"There is no segment #{other}."),
    ]
    api.delete(f"segments/{kept['id']}/")
    back = api.post(f"segments/{kept['id']}/restore/")
    assert (back.status_code, len(back.data["errors"])) == (400, 3)


def test_circles(api: Caller) -> None:
    first = made(api, "First", OSLO)
    second = made(api, "Second", {"not": {"segment": first}})
    third = made(api, "Third", {"segment": second})
    for pk, name in ((third, "Third"), (first, "First")):
        rules = {"all": [OSLO, {"any": [{"segment": pk}]}]}
        sentence = f"“{name}” is made from this segment, so this would be a circle."
        for answer in (
            api.patch(f"segments/{first}/", {"rules": rules}),
            api.post("segments/preview/", {"rules": rules, "segment": first}),
        ):
            assert refusal(answer) == (400, sentence)
            assert answer.data["errors"][0]["pointer"] == "/rules/all/1/any/0/segment"


def test_names_and_bodies(api: Caller) -> None:
    rules = {"all": [OSLO]}
    for body, pointer, message in (
        ({"rules": rules}, "/name", "This field is required."),
        ({"name": "", "rules": rules}, "/name", "This field may not be blank."),
        ({"name": "  ", "rules": rules}, "/name", "Give the segment a name."),
        ({"name": 7, "rules": rules}, "/name", "Send a text."),
        (
            {"name": "x" * 121, "rules": rules},
            "/name",
            "Ensure this value has at most 120 characters (it has 121).",
        ),
        ({"name": "a\x07b", "rules": rules}, "/name", "A name has no control characters."),
        ({"name": "a", "kind": "magic", "rules": rules}, "/kind", '"magic" is not a valid choice.'),
        (
            {"name": "a", "kind": "static", "rules": rules},
            "/rules",
            "A segment by hand has no rule. Make one by rule instead.",
        ),
        ({"name": "a", "rules": rules, "state": "live"}, "/state", "There is no field “state” here."),
    ):
        answer = api.post("segments/", body)
        assert answer.status_code == 400, body
        (error,) = answer.data["errors"]
        assert (error["pointer"], error["message"].startswith(message)) == (pointer, True), error
    deep = b'{"name": "a", "rules": ' + b'{"not": ' * 60 + b"1" + b"}" * 60 + b"}"
    assert refusal(api.post("segments/", deep)) == (400, "The body is nested deeper than 40 levels.")
    assert not Segment.objects.exists()


@pytest.mark.parametrize("attack", ATTACKS)
def test_quotes_and_sql_are_text(api: Caller, attack: str) -> None:
    """In every value and name: kept, counted, filled, explained and said as they are."""
    Tag.objects.create(name=attack[:50])
    EventName.objects.create(name=attack)
    ann = make_profile(first_name=attack, city=attack)
    path = attack.replace('"', "").replace(".", "-")
    rules = {
        "any": [
            {"attribute": "city", "op": "contains", "value": attack},
            {"attribute": "city", "op": "in", "value": [attack], "exactly": True},
            {"tag": attack[:50]},
            {
                "event": attack,
                "where": [
                    {"property": path, "value": attack},
                    {"property": "a", "op": "starts", "value": attack},
                ],
            },
            {"event": "page", "kind": "page", "where": [{"property": "x", "op": "ends", "value": attack}]},
            {"event": attack, "kind": "screen", "since": {"event": attack}},
        ]
    }
    preview = api.post("segments/preview/", {"rules": rules}).data
    assert (preview["count"], [row["id"] for row in preview["sample"]]) == (1, [ann.pk])
    pk = made(api, attack, *rules["any"], group="any", description=attack)
    kept = api.get(f"segments/{pk}/").data
    assert (kept["name"], kept["description"], kept["members"]) == (attack, attack, 1)
    assert attack in kept["text"]
    assert api.get(f"segments/{pk}/explain/{ann.pk}/").data["conditions"][1]["holds"] is True
    found = api.get("segments/?q=%25").data["results"]
    assert [row["id"] for row in found] == ([pk] if "%" in attack else []), "no pattern"
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM segments_segment")
        assert cursor.fetchone() == (1,)


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 10**9),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(["", "eq", "city", "vip", "*", "today", "2026-01-01", *ATTACKS]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "all",
                    "any",
                    "none",
                    "not",
                    "off",
                    "version",
                    "op",
                    "value",
                    "within",
                    "where",
                    "count",
                    "since",
                    "property",
                    "days",
                    "after",
                    "before",
                    "calendar",
                    "exactly",
                    "id",
                    "name",
                    *sorted(known_kinds()),
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(json_values)
@settings(max_examples=60)
def test_whatever_is_sent_is_read_or_refused_with_places(raw: Any) -> None:
    """Every problem has a pointer that leads somewhere in the rule, or to what is missing there."""
    try:
        rule = parse_rule(raw, Vocabulary())
    except Invalid as error:
        for problem in error.problems:
            assert problem["message"]
            walk(raw, problem["field"])
        return
    assert parse_rule(rule.json, Vocabulary()).json == rule.json


def walk(raw: Any, pointer: str) -> None:
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:] if step]
    for number, step in enumerate(steps):
        if isinstance(raw, list):
            raw = raw[int(step)]
        else:
            assert isinstance(raw, dict), (pointer, raw)
            if step not in raw:
                assert number == len(steps) - 1, pointer
                return
            raw = raw[step]
