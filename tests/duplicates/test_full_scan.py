"""A scan, and a change after it: pairs with reasons, cases, shared values; decisions stay."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cdp.actors import Actor
from cdp.errors import Forbidden
from cdp.jobs import run_to_end
from cdp.models import User
from profiles.duplicates.finding import match_queue
from profiles.duplicates.finding.full_scan import start_scan
from profiles.duplicates.review.explain import explain, summarize
from profiles.duplicates.training.synthetic_people import make_people
from profiles.editing import update_profile
from profiles.merging.merge import merge_profiles
from profiles.models import (
    DuplicateCase,
    DuplicatePair,
    FrequentValue,
    MatchBase,
    MatchQueue,
    MatchRow,
    Profile,
)
from profiles.pairs.verdicts import set_verdict
from profiles.privacy.delete import delete_profiles
from tests.duplicates.cast import ANN, make_ann, make_plain_profile, scan, twins

pytestmark = pytest.mark.django_db


def stored_pairs() -> list[tuple[int, int, str, str, str]]:
    return list(
        DuplicatePair.objects.order_by("a_id", "b_id").values_list("a_id", "b_id", "tier", "rule", "veto")
    )


@pytest.fixture
def family() -> dict[str, int]:
    ann = make_ann()
    again = make_ann(email="", phone="", city="")
    robert = make_ann(first_name="Robert", birth_date="1978-02-03")
    zoe = make_ann(
        first_name="Zoe", last_name="Quist", email="z@web.de", phone="", birth_date="", city="Oslo"
    )
    return {"ann": ann.pk, "again": again.pk, "robert": robert.pk, "zoe": zoe.pk}


@pytest.mark.parametrize("way", ["scan", "queue"])
def test_both_ways_find_the_same(family: dict[str, int], way: str) -> None:
    assert MatchQueue.objects.count() >= 4
    if way == "scan":
        result = scan()
        assert (result["people"], result["pairs"], result["new"]) == (4, 2, 2)
    else:
        match_queue.work_off()
    ann, again, robert = family["ann"], family["again"], family["robert"]
    assert stored_pairs() == [
        (ann, again, "certain", "name_and_birth_date", ""),
        (ann, robert, "related", "", "first_names"),
    ]
    assert MatchQueue.objects.count() == 0
    assert set(MatchRow.objects.values_list("pk", flat=True)) == set(family.values())
    pair = DuplicatePair.objects.select_related("a", "b").get(a_id=ann, b_id=again)
    summary = summarize(explain(pair))
    assert summary.startswith("First names are equal +"), summary
    assert {"Birth dates are equal", "the same name and birth date"} <= {
        reason.text for reason in explain(pair)
    }
    assert pair.found_by == ("scan" if way == "scan" else "change")


def test_many_people_get_the_same_pairs_either_way() -> None:
    people = make_people(rows=600, seed=31, share=1.0)
    for row in people.rows:
        make_plain_profile(**{name: value for name, value in row.items() if value and name in ANN})
    scan()

    def pairs() -> dict[Any, Any]:
        rows = DuplicatePair.objects.values_list(
            "a_id", "b_id", "tier", "rule", "veto", "through_id", "score", "evidence"
        )
        return {row[:2]: row[2:] for row in rows}

    bulk = pairs()
    assert len(bulk) > 50
    assert "through" in {rule for _, rule, *_ in bulk.values()}
    MatchQueue.objects.bulk_create(
        MatchQueue(profile_id=pk) for pk in MatchRow.objects.values_list("pk", flat=True)
    )
    match_queue.work_off()
    single = pairs()
    assert single.keys() == bulk.keys()
    for pair, (*names, score, evidence) in bulk.items():
        *again, score_again, evidence_again = single[pair]
        assert (names, evidence) == (again, evidence_again)
        assert score == pytest.approx(score_again, abs=1e-3)


def test_decisions_outlive_a_scan(family: dict[str, int], by_staff: dict[str, Any]) -> None:
    scan()
    set_verdict(a_id=family["ann"], b_id=family["again"], verdict="not_duplicate", actor=by_staff["actor"])
    assert scan()["new"] == 0
    assert DuplicatePair.objects.get(a_id=family["ann"], b_id=family["again"]).verdict == "not_duplicate"
    # Nor is it asked again about the person one of them became part of.
    merge_profiles(winner_id=family["zoe"], loser_id=family["again"], **by_staff)
    match_queue.work_off()
    assert not DuplicatePair.objects.filter(a_id=family["ann"], b_id=family["zoe"], verdict="open").exists()


def test_outdated_pairs_go_and_those_a_source_suggested_stay(
    family: dict[str, int], by_staff: dict[str, Any]
) -> None:
    ann, zoe = family["ann"], family["zoe"]
    DuplicatePair.objects.create(a_id=ann, b_id=zoe, reasons=[{"text": "Both came with the same cookie."}])
    scan()
    assert DuplicatePair.objects.get(a_id=ann, b_id=zoe).tier == "possible"
    again = DuplicatePair.objects.get(a_id=ann, b_id=family["again"])
    update_profile(
        profile_id=family["again"],
        values={"first_name": "Olaf", "last_name": "Berg", "birth_date": "1950-01-02"},
        **by_staff,
    )
    match_queue.work_off()
    assert not DuplicatePair.objects.filter(pk=again.pk).exists()
    assert DuplicatePair.objects.get(a_id=ann, b_id=zoe).reasons == [
        {"text": "Both came with the same cookie."}
    ]


def test_the_deleted_are_compared_with_nobody(family: dict[str, int], by_staff: dict[str, Any]) -> None:
    scan()
    delete_profiles(profile_ids=[family["again"]], **by_staff)
    match_queue.work_off()
    assert not MatchRow.objects.filter(pk=family["again"]).exists()
    assert not DuplicatePair.objects.filter(a_id=family["ann"], b_id=family["again"], verdict="open").exists()


def test_three_are_a_case_with_its_weakest_link(by_staff: dict[str, Any]) -> None:
    ids = [
        make_ann(email=f"a{number}@web.de", phone="" if number else ANN["phone"]).pk for number in range(3)
    ]
    assert scan()["cases"] == 1
    case = DuplicateCase.objects.get()
    assert (case.members, case.anchor, case.size, case.state, case.problem) == (ids, ids[0], 3, "open", "")
    assert case.weakest is not None
    assert case.pairs.count() == 3
    Profile.objects.filter(pk=ids[1]).update(is_locked=True)
    scan()
    case.refresh_from_db()
    assert case.problem == f"#{ids[1]} is locked against merging."
    set_verdict(a_id=ids[0], b_id=ids[1], verdict="not_duplicate", actor=by_staff["actor"])
    set_verdict(a_id=ids[1], b_id=ids[2], verdict="not_duplicate", actor=by_staff["actor"])
    scan()
    case.refresh_from_db()
    assert (case.state, DuplicateCase.objects.filter(state="open").count()) == ("gone", 0)


@pytest.mark.parametrize("way", ["scan", "queue"])
def test_a_case_outlives_its_weakest_link(way: str, by_staff: dict[str, Any]) -> None:
    ids = [
        make_ann(email=f"a{number}@web.de", phone="" if number else ANN["phone"]).pk for number in range(4)
    ]
    scan()
    case = DuplicateCase.objects.get()
    assert case.weakest is not None
    gone = case.weakest.b_id
    update_profile(
        profile_id=gone,
        values={"first_name": "Olaf", "last_name": "Berg", "birth_date": "1950-01-02", "city": "Oslo"},
        **by_staff,
    )
    scan() if way == "scan" else match_queue.work_off()
    connection.check_constraints()
    case.refresh_from_db()
    assert (case.state, case.members) == ("open", [pk for pk in ids if pk != gone])
    assert case.weakest is not None


def test_a_new_member_may_have_a_smaller_id_than_its_anchor(by_staff: dict[str, Any]) -> None:
    first = make_ann(
        first_name="Olaf", last_name="Berg", email="", phone="", birth_date="1950-01-02", city="Oslo"
    )
    ids = [make_ann(email=f"a{number}@web.de", phone="").pk for number in range(3)]
    scan()
    assert DuplicateCase.objects.get().members == ids
    update_profile(profile_id=first.pk, values=ANN, **by_staff)
    match_queue.work_off()
    case = DuplicateCase.objects.get(state="open")
    assert (case.anchor, case.members) == (first.pk, [first.pk, *ids])


def test_a_junk_address_of_many_is_a_case_and_makes_no_pairs() -> None:
    ids = [
        make_plain_profile(first_name=f"Name{number}", email="shared.desk@web.de").pk for number in range(250)
    ]
    result = scan()
    assert (result["shared_values"], result["cases"]) == (1, 0)
    case = DuplicateCase.objects.get()
    assert (case.kind, case.value, case.size, len(case.members)) == (
        "shared_value",
        "shared.desk@web.de",
        250,
        100,
    )
    assert case.type is not None
    assert case.type.name == "email"
    assert not DuplicatePair.objects.exists()
    assert FrequentValue.objects.filter(value="shared.desk@web.de", holders=250).exists()
    Profile.objects.filter(pk__in=ids).update(email=None)
    scan()
    case.refresh_from_db()
    assert (case.state, FrequentValue.objects.exists()) == ("gone", False)


def test_only_one_scan_at_a_time_and_only_who_may() -> None:
    job = start_scan(actor=Actor.system())
    assert start_scan(actor=Actor.system()).pk == job.pk
    with pytest.raises(Forbidden, match="may not scan everybody for duplicates."):
        start_scan(actor=Actor.of_user(User.objects.create(username="guest")))
    assert run_to_end(job).state == "done"
    assert MatchBase.current().job_id == job.pk


def test_comparing_the_changed_takes_eleven_queries_for_one_and_for_a_hundred() -> None:
    twins(50)
    everybody = list(MatchRow.objects.values_list("pk", flat=True))

    def cost(ids: list[int]) -> int:
        with CaptureQueriesContext(connection) as queries:
            match_queue.refresh(ids)
        return len(queries)

    assert (len(everybody), cost(everybody[:1]), cost(everybody)) == (100, 11, 11)
    Profile.objects.update(city="Oslo")
    assert (cost(everybody[:1]), cost(everybody)) == (11, 11)
