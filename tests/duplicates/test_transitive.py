"""Transitive pairs: the same after a scan and after a change, explained, and removed with the links they
rest on.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from itertools import combinations
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp.errors import IdentifierTaken, Invalid
from cdp.invariants import violations
from cdp.jobs import run_to_end
from profiles.duplicates.finding import match_queue, transitive
from profiles.duplicates.finding.delete import erase
from profiles.duplicates.finding.invariants import INVARIANTS
from profiles.duplicates.finding.transitive import MAX_LINKS, DirectPair, TransitivePair, transitive_pairs
from profiles.duplicates.review.decide import decide, find_pair
from profiles.duplicates.review.explain import explain
from profiles.duplicates.scoring.model import shipped
from profiles.duplicates.training.synthetic_people import make_people
from profiles.duplicates.why.diagnose import profiles_of_pair, why
from profiles.editing import update_profile
from profiles.merging.batches.apply import start_batch
from profiles.merging.batches.freeze import make_batch
from profiles.merging.batches.preview import preview_batch
from profiles.merging.merge import merge_profiles
from profiles.models import DuplicateCase, DuplicatePair, MatchQueue, MatchRow, Profile
from profiles.pairs.suggestions import suggest
from profiles.pairs.verdicts import set_verdict
from profiles.privacy.delete import delete_profiles
from tests.duplicates.cast import ANN, make_ann, make_plain_profile, scan

PROBABLE = shipped().thresholds["probable"]


def link(a: int, b: int, score: float = 2.0, tier: str = "possible") -> DirectPair:
    return DirectPair(a, b, tier, score)


def test_by_the_likeliest_third_and_as_sure_as_the_weaker_link() -> None:
    assert transitive_pairs([link(1, 2, 5.0), link(2, 3, 1.0)]) == [TransitivePair(1, 3, 2, 1.0)]
    two_ways = [link(1, 2, 5.0), link(2, 3, 1.0), link(1, 4, 2.0), link(3, 4, 3.0)]
    assert TransitivePair(1, 3, 4, 2.0) in transitive_pairs(two_ways)
    assert transitive_pairs([*two_ways, link(1, 3, -1.0), link(2, 4)]) == []
    # What makes a pair certain counts, whatever it scores.
    assert transitive_pairs([link(1, 2, -2.0, "certain"), link(2, 3, 9.0)]) == [
        TransitivePair(1, 3, 2, PROBABLE)
    ]
    # Who may be everybody is nobody in between.
    many = [link(0, other) for other in range(1, MAX_LINKS + 2)]
    assert transitive_pairs(many) == []
    assert len(transitive_pairs(many[:-1])) == MAX_LINKS * (MAX_LINKS - 1) // 2


@given(
    st.dictionaries(
        st.tuples(st.integers(1, 9), st.integers(1, 9)).filter(lambda ids: ids[0] < ids[1]),
        st.sampled_from([-1.0, 0.5, 2.0, 7.0]),
    ),
    st.randoms(use_true_random=False),
)
def test_every_two_with_somebody_in_between(scores: dict[tuple[int, int], float], random: Random) -> None:
    links = [link(a, b, score) for (a, b), score in scores.items()]
    pairs = transitive_pairs(links)
    random.shuffle(links)
    assert transitive_pairs(links) == pairs
    linked = {frozenset(ids): score for ids, score in scores.items()}

    def best(a: int, b: int) -> float | None:
        ways = [
            min(linked[frozenset((a, c))], linked[frozenset((c, b))])
            for c in range(1, 10)
            if frozenset((a, c)) in linked and frozenset((c, b)) in linked and c not in (a, b)
        ]
        return max(ways) if ways and frozenset((a, b)) not in linked else None

    wanted = {(a, b): bits for a, b in combinations(range(1, 10), 2) if (bits := best(a, b)) is not None}
    assert {(pair.a, pair.b): pair.bits for pair in pairs} == wanted


# --- Against the database --------------------------------------------------------------------------------------


@pytest.fixture
def ann() -> list[int]:
    """Ann before she moved and married, in between, and after: the first and the last have a first name in common."""
    return [
        make_ann(phone="", city="Gdańsk").pk,
        make_ann(birth_date="").pk,
        make_ann(last_name="Obara", email="obara.a@web.de", birth_date="", city="").pk,
    ]


def violated() -> list[str]:
    """What is broken of what finding duplicates keeps; these people came without a journal."""
    names = {name for name, *_ in INVARIANTS}
    return [violation.name for violation in violations() if violation.name in names]


def bridged() -> list[tuple[int, int, int | None]]:
    return list(
        DuplicatePair.objects.filter(rule="through", verdict="open")
        .order_by("a_id", "b_id")
        .values_list("a_id", "b_id", "through_id")
    )


def compare_ends(way: str) -> None:
    if way == "scan":
        scan()
        return
    everybody = MatchRow.objects.values_list("pk", flat=True)
    MatchQueue.objects.bulk_create(MatchQueue(profile_id=pk) for pk in everybody)
    match_queue.work_off()


@pytest.mark.django_db
@pytest.mark.parametrize("way", ["scan", "queue"])
def test_it_is_possible_and_names_the_third(way: str, ann: list[int]) -> None:
    first, between, last = ann
    compare_ends(way)
    assert bridged() == [(first, last, between)]
    pair, weaker = (
        DuplicatePair.objects.select_related("a", "b").get(a_id=one, b_id=last) for one in (first, between)
    )
    assert (pair.tier, pair.veto, pair.score) == ("possible", "", pytest.approx(weaker.score))
    assert pair.found_by == ("scan" if way == "scan" else "change")
    *_, by_third = explain(pair)
    assert (by_third.label, by_third.text, by_third.tone) == (
        "Through a third profile",
        f"Both are probably the same person as #{between}",
        "good",
    )
    assert {"First names are equal", "Last names differ"} <= {one.text for one in explain(pair)}
    findings = why(profiles_of_pair(pair.pk))
    assert findings[0].code == "by_third"
    assert findings[0].text.startswith(
        f"Both are probably the same person as #{between}, but have little in common."
    )
    # Found again it is the same one, to which somebody may have been assigned; and it makes no group.
    compare_ends("scan" if way == "queue" else "queue")
    assert bridged() == [(first, last, between)]
    assert DuplicatePair.objects.filter(pk=pair.pk).exists()
    assert not DuplicateCase.objects.exists()


@pytest.mark.django_db
def test_a_change_of_whom_it_rests_on_takes_it_back(ann: list[int], by_staff: dict[str, Any]) -> None:
    first, between, last = ann
    scan()
    update_profile(profile_id=between, values={"phone": ""}, **by_staff)
    match_queue.work_off()
    assert bridged() == []
    update_profile(profile_id=between, values={"phone": "+48600100200"}, **by_staff)
    match_queue.work_off()
    assert bridged() == [(first, last, between)]
    # Once the two say it themselves, it rests on nobody.
    update_profile(profile_id=first, values={"phone": "+48600100200"}, **by_staff)
    match_queue.work_off()
    pair = DuplicatePair.objects.get(a_id=first, b_id=last)
    assert (pair.through_id, pair.rule == "through") == (None, False)


@pytest.mark.django_db
def test_a_veto_between_the_two_stands(ann: list[int], by_staff: dict[str, Any]) -> None:
    first, _, last = ann
    scan()
    update_profile(profile_id=last, values={"birth_date": "1955-12-01"}, **by_staff)
    match_queue.work_off()
    assert bridged() == []
    scan()
    assert not DuplicatePair.objects.filter(a_id=first, b_id=last).exists()


@pytest.mark.django_db
def test_it_goes_with_a_decision_and_comes_back_with_it(ann: list[int], by_staff: dict[str, Any]) -> None:
    first, between, last = ann
    scan()
    link_id = DuplicatePair.objects.get(a_id=between, b_id=last).pk
    decide(pair_id=link_id, verdict="later", **by_staff)
    assert len(bridged()) == 1
    decide(pair_id=link_id, verdict="not_duplicate", **by_staff)
    assert bridged() == []
    decide(pair_id=link_id, verdict="open", **by_staff)
    assert bridged() == [(first, last, between)]


@pytest.mark.django_db
def test_what_was_decided_about_it_stays(ann: list[int], by_staff: dict[str, Any]) -> None:
    first, _, last = ann
    scan()
    pair = DuplicatePair.objects.get(a_id=first, b_id=last)
    decide(pair_id=pair.pk, verdict="not_duplicate", **by_staff)
    scan()
    compare_ends("queue")
    assert (find_pair(pair.pk).verdict, bridged()) == ("not_duplicate", [])
    # Nor is the first suggested again with the profile the last was merged into.
    zoe = make_ann(
        first_name="Zoe", last_name="Quist", email="z@web.de", phone="", birth_date="", city="Oslo"
    ).pk
    merge_profiles(winner_id=zoe, loser_id=last, **by_staff)
    match_queue.work_off()
    assert all(last not in row and (first, zoe) != row[:2] for row in bridged())


@pytest.mark.django_db
def test_a_pair_decided_before_is_not_suggested(ann: list[int], by_staff: dict[str, Any]) -> None:
    first, _, last = ann
    set_verdict(a_id=first, b_id=last, verdict="not_duplicate", actor=by_staff["actor"])
    scan()
    assert bridged() == []


@pytest.mark.django_db
@pytest.mark.parametrize("gone", ["merged", "deleted", "erased"])
def test_it_goes_with_whom_it_rests_on(gone: str, ann: list[int], by_staff: dict[str, Any]) -> None:
    first, between, last = ann
    scan()
    if gone == "merged":
        merge_profiles(winner_id=first, loser_id=between, **by_staff)
    elif gone == "deleted":
        delete_profiles(profile_ids=[between], **by_staff)
    else:
        pair = DuplicatePair.objects.get(a_id=first, b_id=last)
        decide(pair_id=pair.pk, verdict="not_duplicate", **by_staff)
        erase([between])
    match_queue.work_off()
    assert bridged() == []
    assert not DuplicatePair.objects.filter(through_id=between).exists()
    # The survivor has what the third had, so the two are found by what they say themselves.
    own = DuplicatePair.objects.filter(a_id=first, b_id=last, verdict="open")
    assert own.exists() == (gone == "merged")
    assert violated() == []


@pytest.mark.django_db
@pytest.mark.parametrize("way", ["scan", "queue"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_source_may_suggest_it_too(
    way: str, is_first: bool, ann: list[int], by_staff: dict[str, Any]
) -> None:
    first, between, last = ann
    reason = {"code": "clash", "text": "Both came with the same cookie."}
    if is_first:
        suggest({(first, last): reason})
    compare_ends(way)
    if not is_first:
        suggest({(first, last): reason})
    pair = DuplicatePair.objects.get(a_id=first, b_id=last)
    assert (pair.through_id, pair.reasons, pair.found_by) == (between, [reason], "door")
    assert pair.score > 0
    # What it rested on goes; what the source suggested stays.
    update_profile(profile_id=between, values={"phone": "", "email": ""}, **by_staff)
    match_queue.work_off()
    pair.refresh_from_db()
    assert (pair.through_id, pair.reasons, pair.score, pair.rule) == (None, [reason], 0, "")


@pytest.mark.django_db
def test_a_merge_of_all_three_in_bulk(ann: list[int], by_staff: dict[str, Any]) -> None:
    scan()
    batch = make_batch(DuplicatePair.objects.order_by("-score"), **by_staff)
    batch = start_batch(
        batch_id=preview_batch(batch_id=batch.pk, actor=by_staff["actor"]).pk, actor=by_staff["actor"]
    )
    assert batch.job is not None
    assert run_to_end(batch.job).state == "done"
    match_queue.work_off()
    assert Profile.objects.filter(status="live", pk__in=ann).count() == 1
    assert not DuplicatePair.objects.filter(verdict="open").exists()
    assert violated() == []


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(4))
def test_after_each_change_they_are_what_all_links_make(seed: int, by_staff: dict[str, Any]) -> None:
    random = Random(seed)
    rows = make_people(rows=120, seed=seed, share=1.0, doubled=0.4).rows
    values = [{name: value for name, value in row.items() if value and name in ANN} for row in rows]
    ids = [
        make_plain_profile(**row).pk for row in values if row and is_date(row.get("birth_date", "1990-01-01"))
    ]
    scan()
    was = set(bridged())
    assert was
    seen = 0
    for _ in range(25):
        _change(random, ids, by_staff)
        match_queue.work_off()
        now = bridged()
        assert violated() == []
        transitive.rebuild()
        assert now == bridged()
        seen += set(now) != was
        was = set(now)
    assert seen


def is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _change(random: Random, ids: list[int], by_staff: dict[str, Any]) -> None:
    """Edit, merge, delete or separate a linked profile, preferably one of a transitive pair."""
    pairs = list(DuplicatePair.objects.filter(verdict="open").order_by("a_id", "b_id"))
    transitive_ids = {pk for row in bridged() for pk in row}
    pair = random.choice([first for first in pairs if {first.a_id, first.b_id} & transitive_ids] or pairs)
    first, second = random.sample([pair.a_id, pair.b_id], 2)
    match random.randrange(5):
        case 0:
            third = Profile.objects.get(pk=random.choice(ids))
            values = {name: getattr(third, name) or "" for name in ("phone", "email", "first_name")}
            # Some numbers have letters in them, and an edit before may have given the e-mail to somebody else.
            with suppress(Invalid, IdentifierTaken):
                update_profile(profile_id=first, values=values, **by_staff)
        case 1:
            update_profile(
                profile_id=first, values={random.choice(("phone", "birth_date", "city")): ""}, **by_staff
            )
        case 2 if pair.tier != "related":
            merge_profiles(winner_id=first, loser_id=second, **by_staff)
        case 3:
            delete_profiles(profile_ids=[first], **by_staff)
        case _:
            decide(pair_id=pair.pk, verdict="not_duplicate", **by_staff)
