"""Decisions about pairs and cases are carried out, remembered and taken back; stale ones are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cdp.actors import Actor
from cdp.errors import Invalid, NotFound, RuleForbids, Stale
from cdp.invariants import violations
from cdp.models import AuditEntry, User
from profiles.duplicates.finding import match_queue
from profiles.duplicates.review.decide import StalePair, assign, decide, decide_many, find_pair, state_of
from profiles.duplicates.review.decide_cluster import (
    block_shared,
    case_profiles,
    leave_shared,
    merge_case,
    separate_case,
)
from profiles.duplicates.review.decide_cluster import state_of as state_of_case
from profiles.editing import attach_identifier, update_profile
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import DuplicateCase, DuplicatePair, Identifier, IdentifierType, Merge, Profile
from profiles.pairs.verdicts import objection
from profiles.privacy.delete import delete_profiles
from tests.duplicates.cast import ANN, make_ann, make_plain_profile, scan, twins

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair() -> DuplicatePair:
    ann, again = make_ann(), make_ann(email="", phone="", city="")
    scan()
    return DuplicatePair.objects.get(a=ann, b=again)


def ids_of(pair: DuplicatePair) -> tuple[int, int]:
    return pair.a_id, pair.b_id


def test_a_merge_into_the_suggested_one_and_its_undo(pair: DuplicatePair, by_staff: dict[str, Any]) -> None:
    a, b = ids_of(pair)
    done = decide(pair_id=pair.pk, verdict="merge", state=state_of(find_pair(pair.pk)), **by_staff)
    assert (done.verdict, done.winner_id, done.loser_id, done.message) == (
        "merged",
        a,
        b,
        f"#{b} was merged into #{a}.",
    )
    pair.refresh_from_db()
    assert (pair.verdict, pair.user_id) == ("merged", by_staff["actor"].user_id)
    with pytest.raises(StalePair, match=rf"#{a} and #{b} were merged by ada on .*: they are #{a}\."):
        decide(pair_id=pair.pk, verdict="not_duplicate", **by_staff)
    assert done.merge_id is not None
    unmerge_profiles(merge_id=done.merge_id, **by_staff)
    pair.refresh_from_db()
    assert pair.verdict == "not_duplicate"
    scan()
    pair.refresh_from_db()
    assert pair.verdict == "not_duplicate"


def test_the_winner_is_chosen_and_must_be_one_of_the_two(
    pair: DuplicatePair, by_staff: dict[str, Any]
) -> None:
    a, b = ids_of(pair)
    stranger = make_ann(first_name="Zoe", email="z@web.de", phone="", birth_date="")
    with pytest.raises(Invalid, match=f"The winner is #{a} or #{b}, not #{stranger.pk}."):
        decide(pair_id=pair.pk, verdict="merge", winner_id=stranger.pk, **by_staff)
    done = decide(pair_id=pair.pk, verdict="merge", winner_id=b, choices={"last_name": "loser"}, **by_staff)
    assert (done.winner_id, Merge.objects.get().choices) == (b, {"last_name": "loser"})


def test_later_and_not_a_duplicate_are_taken_back(pair: DuplicatePair, by_staff: dict[str, Any]) -> None:
    a, b = ids_of(pair)
    message = decide(pair_id=pair.pk, verdict="later", days=3, **by_staff).message
    assert message.startswith(f"#{a} and #{b} come back on ")
    pair.refresh_from_db()
    assert pair.later_until is not None
    assert 2 <= (pair.later_until - timezone.now()).days <= 3
    DuplicatePair.objects.filter(pk=pair.pk).update(later_until=timezone.now())
    match_queue.work_off()
    pair.refresh_from_db()
    assert (pair.verdict, pair.later_until) == ("open", None)
    decide(pair_id=pair.pk, verdict="not_duplicate", **by_staff)
    with pytest.raises(StalePair, match=rf"ada decided on .* that #{a} and #{b} are not duplicates\."):
        decide(pair_id=pair.pk, verdict="merge", **by_staff)
    message = decide(pair_id=pair.pk, verdict="open", **by_staff).message
    assert message == f"#{a} and #{b} are back in the queue."
    pair.refresh_from_db()
    assert (pair.verdict, pair.user_id, pair.decided_at) == ("open", None, None)
    entries = AuditEntry.objects.filter(action="duplicate.verdict").order_by("pk")
    assert [row.detail["verdict"] for row in entries] == ["later", "not_duplicate", "open"]


def test_what_is_no_decision(pair: DuplicatePair, by_staff: dict[str, Any]) -> None:
    with pytest.raises(
        Invalid, match="“yes” cannot be set as a verdict: write merge, not_duplicate, later or open."
    ):
        decide(pair_id=pair.pk, verdict="yes", **by_staff)
    with pytest.raises(Invalid, match="A pair can be put off for 1 to 365 days."):
        decide(pair_id=pair.pk, verdict="later", days=0, **by_staff)
    with pytest.raises(NotFound, match=r"There is no pair 99999999\."):
        decide(pair_id=99_999_999, verdict="later", **by_staff)


def test_whoever_was_edited_meanwhile_is_shown_again(pair: DuplicatePair, by_staff: dict[str, Any]) -> None:
    seen = state_of(find_pair(pair.pk))
    update_profile(profile_id=pair.b_id, values={"city": "Bergen"}, **by_staff)
    with pytest.raises(StalePair, match="changed since you looked. Nothing was done; look again.") as caught:
        decide(pair_id=pair.pk, verdict="merge", state=seen, **by_staff)
    assert caught.value.pair is not None
    assert not Merge.objects.exists()
    decide(pair_id=pair.pk, verdict="merge", state=state_of(caught.value.pair), **by_staff)
    assert Merge.objects.count() == 1


def test_whoever_is_gone_meanwhile(pair: DuplicatePair, by_staff: dict[str, Any]) -> None:
    seen = state_of(find_pair(pair.pk))
    delete_profiles(profile_ids=[pair.b_id], **by_staff)
    with pytest.raises(StalePair, match=rf"Pair {pair.pk} is no longer suggested") as caught:
        decide(pair_id=pair.pk, verdict="merge", state=seen, **by_staff)
    assert caught.value.pair is None


def test_a_household_is_not_merged_from_the_queue(by_staff: dict[str, Any]) -> None:
    make_ann()
    make_ann(first_name="Robert", birth_date="1978-02-03")
    scan()
    pair = DuplicatePair.objects.get()
    with pytest.raises(RuleForbids, match="look like two people of one household or company"):
        decide(pair_id=pair.pk, verdict="merge", **by_staff)
    decide(pair_id=pair.pk, verdict="not_duplicate", **by_staff)


def test_two_who_decide_at_once(two_connections: Callable[..., list[Any]], transactional_db: None) -> None:
    (pair,) = twins(1)
    by = {"actor": Actor.system(), "source": Profile.objects.get(pk=pair.a_id).source}
    results = two_connections(
        lambda: decide(pair_id=pair.pk, verdict="merge", **by),
        lambda: decide(pair_id=pair.pk, verdict="not_duplicate", **by),
    )
    stale = [result for result in results if isinstance(result, StalePair)]
    assert len(stale) == 1, results
    pair.refresh_from_db()
    assert (pair.verdict == "merged") == Merge.objects.exists()
    # These two came from nowhere (until a merge tells of them), which is all there is to object to.
    assert {result.name for result in violations()} <= {"the journal has the origin of every profile"}


def test_many_are_decided_in_a_fixed_number_of_queries(by_staff: dict[str, Any]) -> None:
    actor = by_staff["actor"]
    pairs = twins(12)

    def cost(*ids: int, verdict: str) -> tuple[int, list[str]]:
        with CaptureQueriesContext(connection) as queries:
            done = decide_many(pair_ids=ids, verdict=verdict, actor=actor)
        assert [single.pair_id for single in done.decided] == [single for single in ids if single < 10**6]
        return len(queries), done.problems

    few, problems = cost(pairs[0].pk, verdict="not_duplicate")
    assert problems == []
    many = [pair.pk for pair in pairs[1:]]
    assert cost(*many, verdict="not_duplicate") == (few, [])
    assert cost(10**8, verdict="later")[1] == [
        "Pair 100000000 is no longer suggested: one of the two was changed, merged or erased. Nothing was done."
    ]
    assert set(DuplicatePair.objects.values_list("verdict", flat=True)) == {"not_duplicate"}
    single, more = (cost(*ids, verdict="open")[0] for ids in (many[:1], many[1:]))
    assert single == more
    with pytest.raises(Invalid, match="Many pairs are merged as a batch, with a preview of the whole."):
        decide_many(pair_ids=many, verdict="merge", actor=actor)


def test_taking_back_reaches_whoever_was_merged_into_them(
    pair: DuplicatePair, by_staff: dict[str, Any]
) -> None:
    """The decision was about profiles that are members by now; it binds the survivors, and is theirs to take back."""
    decide(pair_id=pair.pk, verdict="not_duplicate", **by_staff)
    zoe = make_ann(first_name="Zoe", email="z@web.de", phone="", birth_date="")
    merge_profiles(winner_id=zoe.pk, loser_id=pair.b_id, **by_staff)
    asked = DuplicatePair.objects.create(a_id=pair.a_id, b_id=zoe.pk, verdict="not_duplicate")
    assert objection(pair.a_id, zoe.pk)
    decide(pair_id=asked.pk, verdict="open", **by_staff)
    assert objection(pair.a_id, zoe.pk) == ""
    pair.refresh_from_db()
    assert (pair.verdict, pair.user_id, pair.decided_at) == ("open", None, None)


def test_assigning(pair: DuplicatePair, by_staff: dict[str, Any], sam: User) -> None:
    assert assign(pair_ids=[pair.pk], user_id=sam.pk, actor=by_staff["actor"]) == 1
    pair.refresh_from_db()
    assert pair.assignee == sam
    guest = User.objects.create(username="guest")
    with pytest.raises(Invalid, match="Choose a member of staff."):
        assign(pair_ids=[pair.pk], user_id=guest.pk, actor=by_staff["actor"])
    assert assign(pair_ids=[pair.pk], user_id=None, actor=by_staff["actor"]) == 1


# --- Cases --------------------------------------------------------------------------------------------------


@pytest.fixture
def case() -> DuplicateCase:
    for number in range(4):
        make_ann(email=f"a{number}@web.de", phone=ANN["phone"] if number == 0 else "")
    scan()
    return DuplicateCase.objects.get()


def test_a_group_is_merged_whole(case: DuplicateCase, by_staff: dict[str, Any]) -> None:
    seen = state_of_case(case, case_profiles(case))
    winner = case.members[2]
    done = merge_case(case_id=case.pk, winner_id=winner, state=seen, **by_staff)
    assert (done.message, len(done.merge_ids)) == (f"3 profiles merged into #{winner}.", 3)
    assert Profile.objects.filter(canonical_id=winner).count() == 4
    case.refresh_from_db()
    assert (case.state, case.user_id) == ("merged", by_staff["actor"].user_id)
    assert set(DuplicatePair.objects.values_list("verdict", flat=True)) == {"merged"}
    with pytest.raises(Stale, match=rf"Case {case.pk} is closed: merged\."):
        merge_case(case_id=case.pk, winner_id=winner, **by_staff)
    match_queue.work_off()
    assert scan()["cases"] == 0


def test_a_part_of_a_group_is_merged_and_the_rest_stays(
    case: DuplicateCase, by_staff: dict[str, Any]
) -> None:
    first, second, third, fourth = case.members
    merge_case(case_id=case.pk, winner_id=first, members=[first, second], **by_staff)
    match_queue.work_off()
    left = DuplicateCase.objects.get(state="open")
    assert left.members == [first, third, fourth]


def test_a_refused_member_keeps_the_group_as_it_was(case: DuplicateCase, by_staff: dict[str, Any]) -> None:
    Profile.objects.filter(pk=case.members[3]).update(is_locked=True)
    with pytest.raises(RuleForbids, match="is locked against merging. Unlock it first."):
        merge_case(case_id=case.pk, winner_id=case.members[0], **by_staff)
    assert not Merge.objects.exists()
    with pytest.raises(Invalid, match=r"#99999 is not in this case\."):
        merge_case(case_id=case.pk, winner_id=case.members[0], members=[99999], **by_staff)
    with pytest.raises(Invalid, match="Choose at least two people to merge."):
        merge_case(case_id=case.pk, winner_id=case.members[0], members=[], **by_staff)
    seen = state_of_case(case, case_profiles(case))
    update_profile(profile_id=case.members[1], values={"city": "Bergen"}, **by_staff)
    with pytest.raises(Stale, match="Somebody in this case changed since you looked."):
        merge_case(case_id=case.pk, winner_id=case.members[0], state=seen, **by_staff)


def test_a_group_of_different_people_is_never_suggested_again(
    case: DuplicateCase, by_staff: dict[str, Any]
) -> None:
    done = separate_case(case_id=case.pk, actor=by_staff["actor"])
    assert done.message == "All 4 are marked as different people (6 pairs)."
    assert (scan()["cases"], DuplicatePair.objects.filter(verdict="open").count()) == (0, 0)


def test_a_shared_value_is_blocked_or_left(by_staff: dict[str, Any]) -> None:
    people = [make_plain_profile(first_name=f"Name{number}", email="no@web.de") for number in range(210)]
    kind = IdentifierType.objects.get(name="email")
    attach_identifier(profile_id=people[0].pk, type_name="email", raw="no@web.de", **by_staff)
    scan()
    case = DuplicateCase.objects.get(kind="shared_value")
    leave_shared(case_id=case.pk, actor=by_staff["actor"])
    scan()
    case.refresh_from_db()
    assert case.state == "shared"
    DuplicateCase.objects.filter(pk=case.pk).update(state="open")
    done = block_shared(case_id=case.pk, actor=by_staff["actor"])
    assert done.message == f"{kind} no@web.de is blocked: it identifies nobody from now on."
    kind.refresh_from_db()
    case.refresh_from_db()
    assert ("no@web.de" in kind.blocked_values, case.state) == (True, "blocked")
    assert Identifier.objects.get(value="no@web.de").resolves is False
    scan()
    assert DuplicateCase.objects.filter(kind="shared_value").count() == 1
    with pytest.raises(RuleForbids, match=rf"Case {case.pk} is about a shared value\."):
        separate_case(case_id=case.pk, actor=by_staff["actor"])
