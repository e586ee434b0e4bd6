"""The shared SQL fragments: whoever a row belongs to, the surviving profile is found, and only live ones where asked."""

from __future__ import annotations

from typing import Any

import pytest

from cdp.sql import run
from profiles import sql
from profiles.merging.merge import merge_profiles
from profiles.models import Profile
from profiles.privacy.delete import delete_profiles
from tests.profile_factory import make_profile


@pytest.fixture
def merged(by_staff: dict[str, Any]) -> tuple[Profile, Profile]:
    winner, loser = make_profile(email="ann@example.com"), make_profile(email="anna@example.com")
    merge_profiles(winner_id=winner.pk, loser_id=loser.pk, **by_staff)
    return winner, loser


def owners(**options: Any) -> set[int]:
    """The roots of both e-mails."""
    rows = run(
        f"SELECT root.id FROM profiles_identifier i {sql.join_root('i.profile_id', **options)}"
        " WHERE i.value LIKE %s",
        ["ann%@example.com"],
    )
    return {root for (root,) in rows}


def test_members_of_a_root_are_the_root_and_what_was_merged_into_it(merged: tuple[Profile, Profile]) -> None:
    winner, loser = merged
    rows = run(sql.members("%s"), [winner.pk])
    assert {pk for (pk,) in rows} == {winner.pk, loser.pk}
    ((ids,),) = run(f"SELECT {sql.member_array('%(root)s')}", {"root": winner.pk})
    assert set(ids) == {winner.pk, loser.pk}
    assert run(sql.members("%s"), [loser.pk]) == []


def test_what_a_member_has_belongs_to_the_surviving_profile(
    merged: tuple[Profile, Profile], by_staff: dict[str, Any]
) -> None:
    winner, _ = merged
    assert owners() == {winner.pk} == owners(is_live=True)
    delete_profiles(profile_ids=[winner.pk], **by_staff)
    assert owners() == {winner.pk}
    assert owners(is_live=True) == set()
    assert owners(is_live=True, kind="LEFT") == {None}
