"""The doctor names each invariant that does not hold, and is silent about a sound database."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from cdp import audit_chain
from cdp.invariants import AUDIT, repair, violations
from cdp.models import Job
from profiles.builtin_sources import builtin_source
from profiles.duplicates.finding import match_queue
from profiles.editing import add_event
from profiles.invariants import INVARIANTS, MATCH_ROWS
from profiles.merging.merge import merge_profiles
from profiles.models import (
    Cart,
    Change,
    DuplicateCase,
    DuplicatePair,
    Event,
    Identifier,
    IdentifierType,
    LinkInterval,
    MatchQueue,
    MatchRow,
    Merge,
    Profile,
    Receipt,
)
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_services(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the data is looked at here; the services have tests of their own."""
    monkeypatch.setattr(
        "cdp.management.commands.doctor.readiness",
        lambda: {"database": "ok", "broker": "does not answer"},
    )


@pytest.fixture
def three(by_staff: dict[str, Any]) -> list[Profile]:
    """The first has the second merged into it, which had the third."""
    people = [make_profile(email=f"{name}@example.com") for name in ("ann", "bob", "cy")]
    add_event(profile_id=people[2].pk, name="Page", **by_staff)
    merge_profiles(winner_id=people[1].pk, loser_id=people[2].pk, **by_staff)
    merge_profiles(winner_id=people[0].pk, loser_id=people[1].pk, **by_staff)
    return people


def update(**columns: Any) -> Any:
    return lambda pk: Profile.objects.filter(pk=pk).update(**columns)


def names() -> set[str]:
    return {violation.name for violation in violations()}


@pytest.mark.usefixtures("three")
def test_a_sound_database_is_clean() -> None:
    audit_chain.seal()
    assert violations() == []
    out = StringIO()
    call_command("doctor", stdout=out, no_color=True)
    lines = out.getvalue().splitlines()
    assert "  ok      pointers point straight at a surviving profile" in lines
    assert "  advice  broker" in lines
    assert sum(line.startswith("  ok") for line in lines) >= len(INVARIANTS) + 2


def test_each_invariant_notices_what_breaks_it(three: list[Profile]) -> None:
    root, middle, leaf = (person.pk for person in three)

    def breaks(*expected: int) -> None:
        by_name = {violation.name: violation for violation in violations()}
        assert by_name.keys() == {INVARIANTS[index].name for index in expected}
        for violation in by_name.values():
            assert (violation.count, violation.fix != "", len(violation.sample_ids)) == (1, True, 1)

    # A pointer to a merged profile; then the edge up is no longer between members of one person.
    Profile.objects.filter(pk=leaf).update(canonical_id=middle)
    breaks(0, 3, 4, 9)
    Profile.objects.filter(pk=leaf).update(canonical_id=root)

    Profile.objects.filter(pk=leaf).update(canonical_id=leaf, status="live")
    breaks(2, 3)
    Profile.objects.filter(pk=leaf).update(canonical_id=root, status="merged")

    Profile.objects.filter(pk=root).update(is_recognized=False)
    breaks(5)
    assert repair() == 1

    last = Merge.objects.get(loser_id=leaf)
    Merge.objects.filter(pk=last.pk).update(undone_at="2026-01-01T00:00:00Z")
    breaks(2, 4)
    # A circle: two merged profiles that lead to each other only.
    Merge.objects.filter(pk=last.pk).update(undone_at=None)
    top = Merge.objects.get(loser_id=middle)
    Merge.objects.filter(pk=top.pk).update(winner_id=leaf)
    counts = {violation.name: violation.count for violation in violations()}
    assert counts[INVARIANTS[4].name] == 2
    Merge.objects.filter(pk=top.pk).update(winner_id=root)

    phone = IdentifierType.objects.get(name="phone")
    Identifier.objects.create(type=phone, value="+48123", profile_id=leaf, source_id=1, resolves=True)
    breaks(8)
    assert repair() == 1

    Profile.objects.filter(pk=root).update(status="deleted")
    assert names() == {INVARIANTS[7].name}
    Profile.objects.filter(pk=root).update(status="live")

    Change.objects.filter(kind="merged", profile_id=root).delete()
    breaks(11)
    Change.objects.filter(profile_id=leaf).delete()
    assert INVARIANTS[10].name in names()


def test_a_changed_audit_log_is_noticed(by_staff: dict[str, Any]) -> None:
    make_profile(actor=by_staff["actor"])
    audit_chain.seal()
    assert violations() == []
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE cdp_auditentry DISABLE TRIGGER USER")
        cursor.execute("UPDATE cdp_auditentry SET actor = 'somebody else'")
        cursor.execute("ALTER TABLE cdp_auditentry ENABLE TRIGGER USER")
    (violation,) = violations()
    assert violation.name == AUDIT
    assert violation.fix.startswith("The row or one before it was changed after it was sealed.")


def test_the_command_says_what_to_do_and_fails(three: list[Profile]) -> None:
    Profile.objects.filter(pk=three[0].pk).update(is_recognized=False)
    out = StringIO()
    with pytest.raises(CommandError, match="^1 thing is broken.$") as failed:
        call_command("doctor", "--json", stdout=out)
    assert failed.value.returncode == 1
    report = json.loads(out.getvalue())
    assert report["ok"] is False
    (finding,) = [finding for finding in report["findings"] if finding["state"] == "broken"]
    assert finding == {
        "part": "Data",
        "name": "recognized people have a main identifier, anonymous ones none",
        "state": "broken",
        "problem": f"1 row, for example {three[0].pk}.",
        "fix": "Run manage.py doctor --fix: it is derived from other rows and can be derived again.",
        "sample_ids": [three[0].pk],
    }
    out = StringIO()
    call_command("doctor", "--fix", stdout=out, no_color=True)
    assert out.getvalue().startswith("Derived again: 1 row.")
    assert Profile.objects.get(pk=three[0].pk).is_recognized


def test_what_tracking_keeps_is_looked_at(three: list[Profile]) -> None:
    kind, source = IdentifierType.objects.get(name="anonymous_id"), builtin_source("web")
    noon = timezone.now()
    hour = timedelta(hours=1)

    def noticed(name: str) -> bool:
        return names() == {name}

    Identifier.objects.filter(value="ann@example.com").update(is_pending=True)
    assert noticed("what waits for confirmation identifies nobody")
    assert repair() == 1  # others of them lead to her still
    Identifier.objects.filter(value="ann@example.com").update(is_pending=False)

    spans = [(None, noon), (noon, noon), (noon, noon + hour), (noon + hour, None)]
    hands = LinkInterval.objects.bulk_create(
        LinkInterval(type=kind, value="b1", profile=three[0], started_at=start, ended_at=end)
        for start, end in spans
    )
    assert names() == set()
    LinkInterval.objects.filter(pk=hands[2].pk).update(ended_at=noon + 2 * hour)
    assert noticed("a shared browser belonged to one person at a time")
    LinkInterval.objects.filter(pk=hands[2].pk).update(started_at=noon + hour, ended_at=noon)
    assert (
        "the time a shared browser belonged to somebody ends after it began, and one time at most is open"
        in names()
    )
    LinkInterval.objects.all().delete()

    cart = Cart.objects.create(
        profile=three[0], source=source, cart_id="c1", started_at=noon, last_event_at=noon
    )
    Cart.objects.update(superseded_by=cart)
    assert noticed("open carts gave way to no other, and none to itself")
    Cart.objects.update(superseded_by=None)
    Receipt.objects.create(source=source, kind="track", outcome="lost")
    assert noticed("every receipt has an outcome there is")


SPANS = [
    [(None, 2), (1, None)],
    [(None, 1), (1, 5), (3, None)],
    [(None, None), (2, 4), (3, 6)],
    [(None, 1), (None, 3), (2, None)],
    [(1, 4), (1, 2), (1, None)],
    [(None, 5), (5, 3), (5, None)],
    [(4, 1), (2, 6)],
    [(1, 9), (2, 3), (4, 5), (6, None)],
]


@pytest.mark.parametrize("spans", SPANS)
def test_times_of_a_browser_are_put_in_order(spans: list[tuple[int | None, int | None]]) -> None:
    """The next one's begin ends the one before; who has it now keeps it."""
    ann, kind, noon = make_profile(), IdentifierType.objects.get(name="anonymous_id"), timezone.now()

    def moment(hour: int | None) -> Any:
        return None if hour is None else noon + timedelta(hours=hour)

    for start, end in spans:
        LinkInterval.objects.create(
            type=kind, value="b1", profile=ann, started_at=moment(start), ended_at=moment(end)
        )
    others = [(None, moment(1)), (moment(1), moment(1)), (moment(1), None)]
    for start, end in others:
        LinkInterval.objects.create(type=kind, value="b2", profile=ann, started_at=start, ended_at=end)
    current = LinkInterval.objects.filter(value="b1", ended_at=None).first()
    assert names()
    assert names() <= {
        "a shared browser belonged to one person at a time",
        "the time a shared browser belonged to somebody ends after it began, and one time at most is open",
    }
    assert repair() > 0
    assert (names(), repair()) == (set(), 0)
    rows = LinkInterval.objects.filter(value="b2").order_by("pk").values_list("started_at", "ended_at")
    assert list(rows) == others
    if current is not None and current.started_at is not None:
        assert LinkInterval.objects.get(value="b1", ended_at=None) == current


def test_every_finding_that_can_be_derived_is_put_right(three: list[Profile]) -> None:
    root, middle, leaf = (person.pk for person in three)
    breaking: list[dict[str, Any]] = [
        {"pk": leaf, "canonical_id": middle},
        {"pk": leaf, "canonical_id": leaf, "status": "live"},
        {"pk": middle, "canonical_id": leaf},
        {"pk": root, "is_recognized": False},
    ]
    before = list(Profile.objects.order_by("pk").values_list("pk", "canonical_id", "status", "is_recognized"))
    for columns in breaking:
        Profile.objects.filter(pk=columns.pop("pk")).update(**columns)
        assert names()
        assert repair() > 0
        assert names() == set()
        after = Profile.objects.order_by("pk").values_list("pk", "canonical_id", "status", "is_recognized")
        assert list(after) == before
    # A merge whose row is gone is none.
    Merge.objects.filter(loser_id=leaf).delete()
    assert repair() > 0
    assert names() == set()
    assert Profile.objects.get(pk=leaf).status == "live"
    # Somebody deleted has no identifiers; a cart gives way to another, not to itself.
    Profile.objects.filter(pk=leaf).update(status="deleted")
    source, noon = builtin_source("web"), timezone.now()
    for name in ("c1", "c2"):
        Cart.objects.create(profile_id=root, source=source, cart_id=name, started_at=noon, last_event_at=noon)
    one, two = Cart.objects.order_by("pk")
    Cart.objects.filter(pk=one.pk).update(superseded_by=two)
    Cart.objects.filter(pk=two.pk).update(superseded_by=two)
    assert len(names()) == 2
    assert repair() > 0
    assert names() == set()
    assert list(Cart.objects.order_by("pk").values_list("state", "superseded_by")) == [
        ("superseded", two.pk),
        ("open", None),
    ]


@pytest.mark.usefixtures("three")
def test_rows_of_small_tables_are_there_for_those_that_name_them() -> None:
    """High-volume tables have no foreign key to them."""
    named = Event.objects.values_list("name_id", flat=True).get()
    Event.objects.update(name_id=32001)
    assert names() == {"every event has a name and a source"}
    Event.objects.update(name_id=named)
    assert names() == set()
    Identifier.objects.filter(value="ann@example.com").update(source_id=32001)
    assert names() == {"every identifier has a type and a source"}


def twins(count: int) -> list[int]:
    """So many profiles of one person, compared already: one case."""
    traits = {"first_name": "Ann", "last_name": "Pucllar", "birth_date": "1980-05-17"}
    ids = [make_profile(**traits, email=f"twin{number}@web.de").pk for number in range(count)]
    match_queue.work_off()
    assert DuplicateCase.objects.get(state="open").members == ids
    return ids


def test_what_finding_duplicates_keeps_is_looked_at() -> None:
    ids = twins(4)
    assert names() == set()

    def breaks(name: str, *sample: int) -> None:
        (violation,) = violations()
        assert (violation.name, violation.sample_ids) == (name, [*sample])
        assert "doctor --fix" in violation.fix

    MatchRow.objects.filter(pk=ids[0]).update(city="oslo", keys=[1])
    breaks(MATCH_ROWS, ids[0])
    assert repair() == 1
    assert names() == set(), "marked as outdated, which is no fault"
    match_queue.refresh(ids)
    assert names() == set()

    case = DuplicateCase.objects.get(state="open")
    DuplicateCase.objects.update(members=[*ids, ids[-1] + 1])
    breaks("open cases are of live people, each linked to the others", case.pk)
    assert repair() == 1
    assert names() == set()
    # Only pairs hold the last one in, and somebody took them away by hand.
    DuplicatePair.objects.filter(b_id=ids[3]).update(case=None)
    # A scan has stored its pairs and derives the cases next; one that ended without that leaves them wrong.
    scan = Job.objects.create(kind="duplicates.scan", title="Scan", cursor={"step": "cases"}, is_system=True)
    assert names() == set()
    Job.objects.filter(pk=scan.pk).update(state="failed", finished_at=timezone.now())
    breaks("open cases are of live people, each linked to the others", case.pk)
    assert repair() == 1
    assert names() == set()


def test_the_dead_are_not_compared() -> None:
    ids = twins(3)
    Identifier.objects.filter(profile_id=ids[2]).update(resolves=False)
    update(status="deleted")(ids[2])
    assert names() == set(), "the queue knows"
    MatchQueue.objects.all().delete()
    kept = {
        "people are compared while they are live, and as one",
        "open pairs are of two live people, and rest on a live one",
    }
    assert names() == {*kept, MATCH_ROWS, "open cases are of live people, each linked to the others"}
    assert repair() >= 4
    assert names() == set()
    assert list(DuplicatePair.objects.values_list("a_id", "b_id")) == [(ids[0], ids[1])]
    assert not DuplicateCase.objects.filter(state="open").exists()


def test_a_pair_of_one_person_is_noticed() -> None:
    ann, bob = make_profile(first_name="Ann"), make_profile(first_name="Bob")
    pair = DuplicatePair.objects.create(a=ann, b=bob)
    update(status="merged", canonical=ann)(bob.pk)
    MatchQueue.objects.all().delete()
    sample_ids = {violation.name: violation.sample_ids for violation in violations()}
    assert sample_ids["open pairs are of two live people, and rest on a live one"] == [pair.pk]
