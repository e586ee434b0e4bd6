"""Conditions about consent, origin, pairs, times of a profile, the past of attributes and of memberships: their edges."""

from __future__ import annotations

import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cdp.actors import Actor
from cdp.errors import Invalid
from profiles.builtin_sources import SOURCE_IDS, builtin_source
from profiles.editing import update_profile
from profiles.merging.merge import merge_profiles
from profiles.models import AttributeDefinition, Change, Consent, DuplicatePair, Merge, Profile, Source
from segments.evaluate.preview import ask
from segments.evaluate.statements import count_statement, verdict_statement
from segments.models import Membership, Segment
from segments.moments import Moment
from segments.person import load_people
from segments.rules.parse import parse_rule
from segments.vocabulary import Vocabulary
from tests.consent.test_reachable import shares
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db
DAY = datetime.timedelta(days=1)
SECOND = datetime.timedelta(seconds=1)
BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
Node = dict[str, Any]
EMAIL = {"channel": "email", "purpose": "newsletter"}
CHANNELS = "Known channels: email, phone, post, push, sms, whatsapp. An admin adds others under Privacy, Consent channels."


def day(number: float) -> datetime.datetime:
    return BEGIN + number * DAY


LATER = day(30)


def by() -> dict[str, Any]:
    return {"actor": Actor.system(), "source": builtin_source("staff")}


def who(node: Node, at: datetime.datetime = LATER) -> set[int]:
    """Who meets the condition, by SQL for everybody, SQL for each of them, and Python, which must say the same."""
    rule = parse_rule({"version": 1, "all": [node]}, Vocabulary())
    moment = Moment(at, ZoneInfo("UTC"))
    ids = list(Profile.objects.live().values_list("pk", flat=True))
    people = load_people(ids, rule.reads)
    found = {pk for pk in ids if rule.holds(people[pk], moment)}
    scoped = ask(verdict_statement(rule, 0, is_scoped=True), moment, ids)
    assert {pk for pk, is_in, _ in scoped if is_in} == found
    assert ask(count_statement(rule), moment)[0][1] == len(found)
    assert {pk: due for pk, _, due in scoped} == {pk: rule.next_breakpoint(people[pk], moment) for pk in ids}
    return found


def actual(node: Node, profile: Profile, at: datetime.datetime = LATER) -> str:
    rule = parse_rule({"version": 1, "all": [node]}, Vocabulary())
    person = load_people([profile.pk], rule.reads)[profile.pk]
    ((_, finding),) = rule.findings(person, Moment(at, ZoneInfo("UTC")))
    return finding.actual


# --- Reading ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "problems"),
    [
        ({"consent": "email"}, {"/consent": "Write this part of the rule as a JSON object."}),
        (
            {"consent": {"channel": "pigeon"}, "state": "maybe"},
            {
                "/consent/channel": f"There is no channel “pigeon” of consents. {CHANNELS}",
                "/state": "“maybe” is none of granted, withdrawn, none.",
            },
        ),
        ({"reachable": {"purpose": "newsletter"}}, {"/reachable/channel": "Write a text here."}),
        (
            {"reachable": {"channel": "email", "state": "x"}},
            {"/reachable/state": "“state” is not known here. Known: channel, purpose."},
        ),
        (
            {"source": "shop"},
            {"/source": "There is no source “shop”. There are: API, Import, Staff, System, Web."},
        ),
        ({"source": "api", "how": "first"}, {"/how": "“first” is none of any, created."}),
        ({"import": "88"}, {"/import": "Write the number of an import."}),
        ({"import": 0}, {"/import": "Write the number of an import."}),
        (
            {"profile": "updated_at", "op": "before", "value": "2026-01-01T00:00:00Z"},
            {"/profile": "“updated_at” is none of created_at, first_seen_at, last_seen_at."},
        ),
        (
            {"profile": "created_at", "op": "exists"},
            {"/op": "Every profile was created some time. Compare with a time instead."},
        ),
        (
            {"profile": "last_seen_at", "op": "before", "value": "2026-01-01"},
            {"/value": "Write a time with its zone, like 2026-03-01T14:30:00Z."},
        ),
        (
            {"duplicate": False},
            {"/duplicate": "Write true. For people without duplicates, put “not” around it."},
        ),
        (
            {"duplicate": True, "tier": "sure"},
            {"/tier": "“sure” is none of certain, probable, possible, related."},
        ),
        ({"was": "mood", "op": "eq", "value": "x"}, {"/was": "There is no attribute “mood”."}),
        (
            {"was": "birth_date", "op": "in_last", "value": {"days": 2}},
            {"/op": "What an attribute once was is compared with fixed values, not with a span of time."},
        ),
        ({"changed": "mood"}, {"/changed": "There is no attribute “mood”."}),
        ({"changed": "city", "within": 7}, {"/within": "Write this part of the rule as a JSON object."}),
        ({"was_in": "7"}, {"/was_in": "Write the number of a segment."}),
        ({"entered": 7}, {"/entered": "There is no segment #7."}),
        ({"left": 7, "for": 1}, {"/for": "“for” is not known here. Known: left, within."}),
    ],
)
def test_what_is_wrong_and_where(node: Node, problems: dict[str, str]) -> None:
    with pytest.raises(Invalid) as error:
        parse_rule({"version": 1, "all": [node]}, Vocabulary())
    found = {problem["field"]: problem["message"] for problem in error.value.problems}
    assert found == {f"/all/0{place}": message for place, message in problems.items()}


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ({"consent": EMAIL}, "has agreed to e-mail newsletter"),
        (
            {"consent": {"channel": "E-Mail", "purpose": "News"}, "state": "withdrawn"},
            "decided about e-mail newsletter, but has not agreed to it",
        ),
        ({"consent": {"channel": "sms"}, "state": "none"}, "never decided about SMS for any purpose"),
        ({"reachable": EMAIL}, "is reachable by e-mail newsletter"),
        ({"source": "api"}, "came through API, with any of their merged profiles"),
        ({"source": "API", "how": "created"}, "was created through API"),
        ({"import": 88}, "was created or changed by import #88"),
        ({"import": 88, "how": "created"}, "was created by import #88"),
        (
            {"profile": "created_at", "op": "in_last", "value": {"days": 7}},
            "creation is in the last 7 days",
        ),
        ({"profile": "last_seen_at", "op": "exists"}, "last visit is known"),
        ({"duplicate": True}, "is in a pair of duplicates that nobody has decided"),
        (
            {"duplicate": True, "tier": "probable"},
            "is in a probable pair of duplicates that nobody has decided",
        ),
        ({"was": "city", "op": "eq", "value": "Oslo"}, "City at some time is “Oslo”"),
        ({"was": "city", "op": "exists"}, "City at some time had any value"),
        ({"changed": "city", "within": {"days": 7}}, "City changed in the last 7 days"),
        ({"changed": "city"}, "City changed"),
        ({"was_in": 1_000_001}, "was in the segment “Buyers” at some time"),
        (
            {"was_in": 1_000_001, "within": {"days": [1, 7]}},
            "was in the segment “Buyers” 1 to 7 days ago",
        ),
        ({"entered": 1_000_001, "within": {"days": 1}}, "entered the segment “Buyers” in the last 1 day"),
        ({"left": 1_000_001}, "left the segment “Buyers”"),
    ],
)
def test_what_it_says(node: Node, words: str) -> None:
    Segment.objects.create(pk=1_000_001, name="Buyers", kind="static", state="live")
    rule = parse_rule({"version": 1, "all": [node]}, Vocabulary())
    assert rule.words == f"People who meet all of these: {words}"
    again = parse_rule(rule.json, Vocabulary())
    assert (again.words, again.json) == (rule.words, rule.json)


@pytest.mark.parametrize("key", ["was_in", "entered", "left"])
def test_a_segment_is_not_made_from_its_own_past(key: str) -> None:
    first = Segment.objects.create(name="First", state="live", rules={"version": 1, "all": [{"tag": "x"}]})
    rules = {"version": 1, "all": [{"not": {key: first.pk, "within": {"days": 1}}}]}
    second = Segment.objects.create(name="Second", state="live", rules=rules)
    for segment, name in ((first, "First"), (second, "Second")):
        with pytest.raises(Invalid) as error:
            parse_rule({"version": 1, "all": [{"segment": segment.pk}]}, Vocabulary(segment_id=first.pk))
        assert error.value.problems[0]["message"] == (
            f"“{name}” is made from this segment, so this would be a circle."
        )


# --- Consent ------------------------------------------------------------------------------------------------


def decided(profile: Profile, state: str, number: float | None, **more: Any) -> None:
    values = {"channel": "email", "purpose": "newsletter", "address": profile.email or "", **more}
    Consent.objects.create(
        profile=profile,
        state=state,
        at=None if number is None else day(number),
        recorded_at=day(20),
        source_id=SOURCE_IDS["web"],
        **values,
    )


def test_a_no_of_somebody_with_the_same_address() -> None:
    ann, ben, cid = (shares(name, "we@example.com") for name in ("Ann", "Ben", "Cid"))
    reachable, granted = {"reachable": EMAIL}, {"consent": EMAIL, "state": "granted"}
    withdrawn, none = {"consent": EMAIL, "state": "withdrawn"}, {"consent": EMAIL, "state": "none"}
    decided(ann, "granted", 1)
    assert who(reachable) == who(granted) == {ann.pk}
    assert who(none) == {ben.pk, cid.pk}
    decided(ben, "withdrawn", 2)
    assert who(reachable) == who(granted) == set()
    assert who(withdrawn) == {ann.pk, ben.pk}
    assert actual(reachable, ann) == (f"#{ben.pk}, who has the same address, said no on 3 Jan 2026.")
    # Once more, later than the other's no.
    decided(ann, "granted", 3)
    assert who(reachable) == {ann.pk}
    assert actual(reachable, ann) == "They agreed on 4 Jan 2026."
    assert actual(reachable, cid) == "They never decided."
    # A no at the very time of a yes wins.
    decided(ann, "withdrawn", 3)
    assert who(withdrawn) == {ann.pk, ben.pk}


def test_agreed_without_an_address_or_a_time() -> None:
    ann = make_profile(first_name="Ann")
    ben = make_profile(first_name="Ben", email="ben@example.com")
    decided(ann, "granted", 1)
    decided(ann, "granted", 1, channel="post", purpose="marketing")
    decided(ben, "granted", None)
    assert who({"consent": EMAIL}) == {ann.pk}
    assert who({"reachable": EMAIL}) == set()
    assert actual({"reachable": EMAIL}, ann) == "There is no e-mail address."
    # Post needs no address; a yes of unknown time is none.
    assert who({"reachable": {"channel": "post"}}) == {ann.pk}
    assert who({"reachable": {"channel": "post", "purpose": "newsletter"}}) == set()
    assert who({"consent": EMAIL, "state": "withdrawn"}) == {ben.pk}
    assert who({"consent": {"channel": "post"}, "state": "none"}) == {ben.pk}
    assert actual({"reachable": {"channel": "email"}}, ben) == (
        "newsletter: Nobody knows when they agreed, which counts as a no."
    )


# --- Origin, times and pairs --------------------------------------------------------------------------------


def test_created_through_a_source_or_merged_with_somebody_who_was() -> None:
    ann, ben = make_profile(first_name="Ann", source="api"), make_profile(first_name="Ben", source="web")
    assert who({"source": "api"}) == who({"source": "api", "how": "created"}) == {ann.pk}
    merge_profiles(winner_id=ben.pk, loser_id=ann.pk, **by())
    assert who({"source": "api"}) == who({"source": "web", "how": "created"}) == {ben.pk}
    assert who({"source": "api", "how": "created"}) == set()
    assert actual({"source": "api"}, ben) == "a merged profile was"
    Source.objects.filter(name="API").update(name="Shop")
    assert who({"source": "API", "id": SOURCE_IDS["api"]}) == {ben.pk}


def touched(profile: Profile, kind: str, number: int = 88, cause: str = "import") -> None:
    Change.objects.create(
        profile=profile, kind=kind, cause=cause, cause_id=number, source_id=SOURCE_IDS["import"]
    )


def test_created_or_changed_by_an_import() -> None:
    ann, ben, cid = (make_profile(first_name=name) for name in ("Ann", "Ben", "Cid"))
    any_way, created = {"import": 88}, {"import": 88, "how": "created"}
    assert who(any_way) == set()
    touched(ann, "created")
    touched(ben, "updated")
    touched(cid, "updated", 89)
    touched(cid, "updated", cause="job")
    assert (who(any_way), who(created)) == ({ann.pk, ben.pk}, {ann.pk})
    assert actual(any_way, ben) == "it changed them, or created a merged profile"
    merge_profiles(winner_id=cid.pk, loser_id=ann.pk, **by())
    assert (who(any_way), who(created)) == ({cid.pk, ben.pk}, set())


def test_times_of_a_profile() -> None:
    ann, ben = make_profile(first_name="Ann"), make_profile(first_name="Ben")
    Profile.objects.filter(pk=ann.pk).update(created_at=day(1), first_seen_at=day(2), last_seen_at=day(5))
    Profile.objects.filter(pk=ben.pk).update(created_at=day(3), first_seen_at=None, last_seen_at=None)
    week = {"op": "in_last", "value": {"days": 7}}
    seen = {"profile": "last_seen_at", **week}
    assert who(seen, day(5)) == {ann.pk}, "exactly now is in"
    assert who(seen, day(12) - SECOND) == {ann.pk}
    assert who(seen, day(12)) == set(), "exactly as old as the window is out"
    # Who was never seen is in neither of these.
    assert who({"profile": "last_seen_at", "op": "before", "value": "2027-01-01T00:00:00Z"}) == {ann.pk}
    assert who({"profile": "first_seen_at", "op": "exists"}) == {ann.pk}
    assert who({"not": seen}, day(12)) == {ann.pk, ben.pk}
    assert who({"profile": "created_at", **week}, day(9)) == {ben.pk}
    between = {"op": "between", "value": ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"]}
    assert who({"profile": "created_at", **between}) == {ann.pk}
    assert actual(seen, ben) == "unknown"


def test_open_pairs_of_people_in_use() -> None:
    ann, ben, cid, dan = (make_profile(first_name=name) for name in ("Ann", "Ben", "Cid", "Dan"))
    pair = DuplicatePair.objects.create(a=ann, b=ben, tier="probable")
    asked, certain = {"duplicate": True}, {"duplicate": True, "tier": "certain"}
    assert who(asked) == who({"duplicate": True, "tier": "probable"}) == {ann.pk, ben.pk}
    assert who(certain) == set()
    assert actual(asked, ann) == f"may be the same person as #{ben.pk}"
    for verdict in ("later", "not_duplicate"):
        DuplicatePair.objects.filter(pk=pair.pk).update(verdict=verdict)
        assert who(asked) == set()
    DuplicatePair.objects.filter(pk=pair.pk).update(verdict="open", tier="certain")
    # The pair is of whoever the two belong to now.
    merge_profiles(winner_id=cid.pk, loser_id=ben.pk, **by())
    assert who(certain) == {ann.pk, cid.pk}
    Profile.objects.filter(pk=ann.pk).update(status="deleted")
    assert who(asked) == set()
    assert actual(asked, dan) == "is in no such pair"


# --- The past of attributes ---------------------------------------------------------------------------------


def test_what_an_attribute_was() -> None:
    AttributeDefinition.objects.create(name="colors", type="list")
    AttributeDefinition.objects.create(name="points", type="number")
    ann = make_profile(first_name="Ann", city="Oslo", points=5, colors=["red"])
    ben = make_profile(first_name="Ben", city="Rome")
    oslo = {"was": "city", "op": "eq", "value": "OSLO"}
    assert who(oslo) == {ann.pk}, "now counts"
    update_profile(profile_id=ann.pk, values={"city": "Bergen", "attributes.colors": ["blue"]}, **by())
    update_profile(profile_id=ann.pk, values={"city": None}, **by())
    assert who(oslo) == {ann.pk}
    assert actual(oslo, ann) == "unknown, earlier Oslo, Bergen"
    assert who({"was": "city", "op": "exists"}) == {ann.pk, ben.pk}
    assert who({"was": "city", "op": "ne", "value": "Rome"}) == {ann.pk}
    assert who({"was": "points", "op": "gte", "value": 5}) == {ann.pk}
    assert who({"was": "points", "op": "lt", "value": 5}) == set()
    assert who({"was": "colors", "op": "eq", "value": "red"}) == {ann.pk}
    assert who({"was": "colors", "op": "ne", "value": "red"}) == {ann.pk}, "it was blue alone"
    assert who({"was": "country", "op": "ne", "value": "NO"}) == set(), "never known"
    # What was before the journal began, as its first old value.
    Change.objects.filter(profile=ann, kind="created").delete()
    assert who(oslo) == {ann.pk}
    merge_profiles(winner_id=ben.pk, loser_id=ann.pk, **by())
    assert who(oslo) == {ben.pk}


def test_that_an_attribute_changed() -> None:
    ann, ben = make_profile(first_name="Ann", city="Oslo"), make_profile(first_name="Ben", city="Rome")
    week = {"changed": "city", "within": {"days": 7}}
    assert who({"changed": "city"}, day(1_000)) == set(), "what it began with is no change"
    update_profile(profile_id=ann.pk, values={"city": "Bergen"}, **by())
    update_profile(profile_id=ben.pk, values={"first_name": "Benny"}, **by())
    Change.objects.filter(kind="updated").update(at=day(1))
    assert who(week, day(8) - SECOND) == {ann.pk}
    assert who(week, day(8)) == set()
    assert who({"changed": "city"}, day(1_000)) == {ann.pk}
    assert who({"changed": "city", "within": {"after": "2026-01-02T00:00:00Z"}}, day(8)) == {ann.pk}
    assert actual(week, ann) == "the last time on 2026-01-02 00:00 UTC"
    assert actual(week, ben) == "never"


# --- The past of memberships --------------------------------------------------------------------------------


def stay(profile: Profile, entered: float, left: float | None = None, **more: Any) -> Membership:
    segment, _ = Segment.objects.get_or_create(
        pk=1_000_001, defaults={"name": "Buyers", "kind": "static", "state": "live"}
    )
    return Membership.objects.create(
        segment=segment,
        profile=profile,
        entered_at=day(entered),
        left_at=None if left is None else day(left),
        left_by="" if left is None else "time",
        **{"entered_by": "event", **more},
    )


@pytest.mark.parametrize(
    ("node", "stays"),
    [
        # In from the second to the fifth day: the days, of twenty, on which the condition holds.
        ({"was_in": 1_000_001}, (2, 99)),
        ({"was_in": 1_000_001, "within": {"days": 3}}, (2, 8)),
        ({"was_in": 1_000_001, "within": {"days": [1, 3]}}, (3, 8)),
        ({"was_in": 1_000_001, "within": {"after": "2026-01-06T00:00:00Z"}}, (99, 99)),
        ({"was_in": 1_000_001, "within": {"after": "2026-01-05T23:59:59Z"}}, (2, 99)),
        ({"entered": 1_000_001, "within": {"days": 3}}, (2, 5)),
        ({"entered": 1_000_001}, (2, 99)),
        ({"left": 1_000_001, "within": {"days": 3}}, (5, 8)),
        ({"left": 1_000_001, "within": {"days": [1, 3]}}, (6, 8)),
    ],
)
def test_days_on_which_a_past_stay_counts(node: Node, stays: tuple[int, int]) -> None:
    ann, ben = make_profile(first_name="Ann"), make_profile(first_name="Ben")
    stay(ann, 2, 5)
    begin, end = stays
    for number in range(2, 20):
        for at in (day(number) - SECOND, day(number), day(number) + SECOND):
            # The row would not have been there, or not have ended.
            if at < day(2) or (at < day(5) and "after" in node.get("within", {})):
                continue
            assert who(node, at) == ({ann.pk} if day(begin) <= at < day(end) else set()), at
    assert actual(node, ben) == ("never in it" if "was_in" in node else "never")


def test_a_stay_that_goes_on() -> None:
    ann = make_profile(first_name="Ann")
    stay(ann, 2)
    assert who({"was_in": 1_000_001, "within": {"days": 1}}, day(20)) == {ann.pk}
    assert who({"left": 1_000_001}, day(20)) == set()
    assert who({"not": {"entered": 1_000_001, "within": {"days": 1}}}, day(20)) == {ann.pk}
    assert actual({"was_in": 1_000_001}, ann) == "in it since 2026-01-03 00:00 UTC"


def test_a_merge_with_a_member_is_no_entry() -> None:
    """Ben was in; by the merge Ann is, who goes out again: the person was in all the time, and came in once."""
    ann, ben = make_profile(first_name="Ann"), make_profile(first_name="Ben")
    merged = merge_profiles(winner_id=ann.pk, loser_id=ben.pk, **by())
    Merge.objects.filter(pk=merged.merge_id).update(created_at=day(10))
    stay(ben, 2, absorbed_by=merged.merge_id)
    stay(ann, 10, 12, entered_by="merge", entered_ref=merged.merge_id)
    assert who({"entered": 1_000_001, "within": {"days": 3}}, day(11)) == set()
    assert who({"entered": 1_000_001, "within": {"days": 3}}, day(4)) == {ann.pk}
    assert who({"was_in": 1_000_001, "within": {"days": [3, 5]}}, day(13)) == {ann.pk}
    assert who({"was_in": 1_000_001, "within": {"days": 3}}, day(15)) == set(), "the absorbed one ended"
