"""Tags: on one or thousands in the same few queries; renamed, merged and deleted without losing track."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cdp.errors import Conflict, Invalid, NotFound
from profiles.models import Change, Profile, Tag
from profiles.tagging import count_profiles, delete_tag, merge_tags, rename_tag, tag_profiles, untag_profiles
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def tags_of(profile: Profile) -> list[str]:
    return sorted(profile.tag_links.values_list("tag__name", flat=True))


def test_tagging_is_published_for_those_it_changed(by_staff: dict[str, Any]) -> None:
    ann, bob = make_profile(tags=["VIP"]), make_profile()
    done = tag_profiles(profile_ids=[ann.pk, bob.pk], tag_names=["vip", " club  card"], **by_staff)
    assert (done.asked, done.changed) == (2, 2)
    assert tags_of(ann) == tags_of(bob) == ["VIP", "club card"]
    assert Change.objects.filter(profile=ann).latest("id").fields == {"tags": [[], ["club card"]]}
    assert tag_profiles(profile_ids=[ann.pk], tag_names=["vip"], **by_staff).changed == 0
    done = untag_profiles(profile_ids=[ann.pk, bob.pk], tag_names=["VIP", "unknown"], **by_staff)
    assert done.changed == 2
    assert Change.objects.filter(profile=bob).latest("id").fields == {"tags": [["VIP"], []]}
    with pytest.raises(Invalid, match="A tag has no comma and no line break."):
        tag_profiles(profile_ids=[ann.pk], tag_names=["a,b"], **by_staff)


def test_as_many_queries_for_one_as_for_a_hundred(by_staff: dict[str, Any]) -> None:
    profiles = [make_profile() for _ in range(100)]
    counts = []
    for some, name in ((profiles[:1], "one"), (profiles, "many")):
        with CaptureQueriesContext(
            connection,
        ) as captured:
            tag_profiles(profile_ids=[profile.pk for profile in some], tag_names=[name], **by_staff)
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_rename_merge_delete(by_staff: dict[str, Any]) -> None:
    ann, bob = make_profile(tags=["gold", "vip"]), make_profile(tags=["gold"])
    gold, vip = Tag.objects.get(name="gold"), Tag.objects.get(name="vip")
    with pytest.raises(Conflict) as taken:
        rename_tag(tag_id=gold.pk, name="VIP", **by_staff)
    assert taken.value.message == "There is a tag “VIP” already. Merge the two instead."
    assert rename_tag(tag_id=gold.pk, name="Gold card", **by_staff).name == "Gold card"
    merge_tags(winner_id=vip.pk, loser_id=gold.pk, **by_staff)
    assert tags_of(ann) == tags_of(bob) == ["vip"]
    assert not Tag.objects.filter(pk=gold.pk).exists()
    assert count_profiles(vip) == 2
    with pytest.raises(Invalid, match="Choose two different tags."):
        merge_tags(winner_id=vip.pk, loser_id=vip.pk, **by_staff)
    assert delete_tag(tag_id=vip.pk, **by_staff).changed == 2
    assert tags_of(ann) == []
    assert Change.objects.filter(profile=ann).latest("id").fields == {"tags": [["vip"], []]}
    with pytest.raises(NotFound, match=f"No tag #{vip.pk}."):
        delete_tag(tag_id=vip.pk, **by_staff)
