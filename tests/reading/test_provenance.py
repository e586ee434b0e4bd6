"""Each value of a card is credited to whoever set it, whatever was merged and undone since."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp.actors import Actor
from profiles.builtin_sources import builtin_source
from profiles.editing import update_profile
from profiles.journal import Cause
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import AttributeDefinition, Profile
from profiles.reading.provenance import provenance_of
from profiles.values.attributes import get_value
from tests.profile_factory import make_profile
from tests.tracking.calls import identify, make_sender

pytestmark = pytest.mark.django_db

BY_SYSTEM: dict[str, Any] = {"actor": Actor.system()}


def texts(profile: Profile) -> dict[str, str]:
    return {key: origin.text for key, origin in provenance_of(profile.pk).items()}


def edit(profile: Profile, number: int, **values: Any) -> None:
    """An edit of its own, so that the card can name it: row ``number`` of import #1."""
    named = {key if key in Profile.FIELDS else f"attributes.{key}": value for key, value in values.items()}
    update_profile(
        profile_id=profile.pk,
        values=named,
        source=builtin_source("import"),
        cause=Cause("import", 1, number),
        **BY_SYSTEM,
    )


def row(number: int) -> str:
    return f"import #1, row {number:,}"


def test_a_merge_leaves_the_winners_values_to_who_set_them(by_staff: dict[str, Any]) -> None:
    winner, loser = make_profile(last_name="W"), make_profile(last_name="L")
    edit(winner, 10, city="Oslo", birth_date="1990-01-02")
    edit(loser, 20, city="Rome", phone="+4790000000")
    update_profile(profile_id=loser.pk, values={"city": "Bergen"}, **by_staff)
    merge_id = merge_profiles(winner_id=winner.pk, loser_id=loser.pk, **by_staff).merge_id
    told = texts(winner)
    assert (told["city"], told["birth_date"]) == (row(10), row(10))
    assert told["phone"] == f"merged from #{loser.pk}"
    unmerge_profiles(merge_id=merge_id, **by_staff)
    told = texts(winner)
    assert (told["city"], told["birth_date"]) == (row(10), row(10))
    assert "phone" not in told
    assert (texts(loser)["city"], texts(loser)["phone"]) == ("ada · Staff", row(20))


def test_a_choice_and_its_undo(by_staff: dict[str, Any]) -> None:
    winner, loser = make_profile(city="Oslo"), make_profile(city="Rome")
    edit(winner, 10, city="Narvik")
    done = merge_profiles(winner_id=winner.pk, loser_id=loser.pk, choices={"city": "loser"}, **by_staff)
    assert texts(winner)["city"] == f"merged from #{loser.pk}"
    unmerge_profiles(merge_id=done.merge_id, **by_staff)
    assert texts(winner)["city"] == row(10)
    # Set again later to what the undone merge had put there.
    edit(winner, 30, city="Rome")
    assert texts(winner)["city"] == row(30)


def test_what_came_by_the_loser_while_it_was_merged_goes_back_with_it(by_staff: dict[str, Any]) -> None:
    sender = make_sender("server", name="Shop")
    winner = make_profile(identifiers=[("customer_id", "1")], city="Oslo")
    loser = make_profile(identifiers=[("customer_id", "2")], last_name="Lee")
    edit(winner, 10, city="Bergen")
    merge_id = merge_profiles(winner_id=winner.pk, loser_id=loser.pk, **by_staff).merge_id
    identify(sender, userId="2", anonymousId="b2", traits={"city": "Rome", "plan": "pro"})
    assert (texts(winner)["city"], texts(winner)["attributes.plan"]) == ("Shop", "Shop")
    unmerge_profiles(merge_id=merge_id, **by_staff)
    assert texts(winner)["city"] == row(10)
    told = texts(loser)
    assert (told["city"], told["attributes.plan"]) == ("Shop", "Shop")
    assert told["identifiers:anonymous_id:b2"] == "Shop"
    assert "identifiers:anonymous_id:b2" not in texts(winner)


def test_a_value_that_another_merged_profile_has_as_well(by_staff: dict[str, Any]) -> None:
    winner = make_profile(last_name="W")
    first, second = make_profile(last_name="A"), make_profile(last_name="B")
    edit(first, 1, city="Rome")
    edit(second, 2, city="Rome")
    merge_id = merge_profiles(winner_id=winner.pk, loser_id=first.pk, **by_staff).merge_id
    merge_profiles(winner_id=winner.pk, loser_id=second.pk, **by_staff)
    unmerge_profiles(merge_id=merge_id, **by_staff)
    winner.refresh_from_db()
    assert winner.city == "Rome"
    assert texts(winner)["city"] == row(2)


# --- Any order of edits, merges and undos ------------------------------------------------------------------

FIELDS = st.sampled_from(["city", "last_name", "plan"])
VALUES = st.sampled_from(["x", "y", "z"])
WHO = st.integers(0, 2)
DEEDS = st.one_of(
    st.tuples(st.just("edit"), WHO, FIELDS, VALUES),
    st.tuples(st.just("edit"), WHO, FIELDS, VALUES),
    st.tuples(st.just("merge"), WHO, WHO, st.sampled_from(["winner", "loser"])),
    st.tuples(st.just("undo"), WHO),
)


def play(deeds: list[tuple[Any, ...]]) -> None:
    """Each edit has a number; a credited edit set this very value, on this profile or one merged into it."""
    AttributeDefinition.objects.create(name="plan", type="text")
    by: dict[str, Any] = {**BY_SYSTEM, "source": builtin_source("staff")}
    people = [make_profile(identifiers=[("customer_id", f"p-{n}")], first_name=f"P{n}") for n in range(3)]
    edits: dict[int, tuple[int, str, str]] = {}
    merges: list[int] = []
    for number, deed in enumerate(deeds, start=1):
        if deed[0] == "edit":
            _, who, field, value = deed
            root = Profile.objects.get(pk=people[who].pk).canonical_id
            if (
                get_value(Profile.objects.get(pk=root), "attributes.plan" if field == "plan" else field)
                == value
            ):
                continue
            edit(Profile(pk=root), number, **{field: value})
            edits[number] = (root, field, value)
        elif deed[0] == "merge":
            roots = [Profile.objects.get(pk=people[who].pk).canonical_id for who in deed[1:3]]
            if roots[0] != roots[1]:
                winner, loser = (Profile.objects.get(pk=pk) for pk in roots)
                choices = {"city": deed[3]} if winner.city and loser.city else {}
                done = merge_profiles(winner_id=winner.pk, loser_id=loser.pk, choices=choices, **by)
                merges.append(done.merge_id)
        elif merges:
            unmerge_profiles(merge_id=merges.pop(deed[1] % len(merges)), **by)
        for root in {Profile.objects.get(pk=person.pk).canonical_id for person in people}:
            check(root, edits, set(merges))


def check(root: int, edits: dict[int, tuple[int, str, str]], merges: set[int]) -> None:
    profile = Profile.objects.get(pk=root)
    members = set(Profile.objects.members_of(root).values_list("pk", flat=True))
    origins = provenance_of(root)
    for key, field in (("city", "city"), ("last_name", "last_name"), ("attributes.plan", "plan")):
        value = get_value(profile, key)
        if value is None:
            assert key not in origins
            continue
        origin = origins[key]
        assert origin.cause not in ("unmerge", "import_undo"), (key, origin)
        if origin.cause == "merge":
            assert origin.cause_id in merges
            assert origin.loser_id in members
        else:
            assert origin.line_no is not None
            on, edited, new = edits[origin.line_no]
            assert (on in members, edited, new) == (True, field, value)


@settings(max_examples=40)
@given(st.lists(DEEDS, min_size=2, max_size=9))
def test_a_credited_edit_set_the_value(deeds: list[tuple[Any, ...]]) -> None:
    with transaction.atomic():
        play(deeds)
        transaction.set_rollback(True)


@pytest.mark.soak
@settings(max_examples=2_000)
@given(st.lists(DEEDS, min_size=4, max_size=16))
def test_a_credited_edit_set_the_value_for_long(deeds: list[tuple[Any, ...]]) -> None:
    with transaction.atomic():
        play(deeds)
        transaction.set_rollback(True)
