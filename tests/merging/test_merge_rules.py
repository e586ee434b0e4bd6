"""What two values of an attribute become when two profiles are merged, and what each is again after the undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from cdp.jobs import run_to_end
from cdp.models import User
from profiles.editing import update_profile
from profiles.merging.batches.apply import start_batch
from profiles.merging.batches.freeze import BatchPair, make_batch
from profiles.merging.batches.preview import preview_batch
from profiles.merging.merge import merge_profiles
from profiles.merging.preview import preview_merge
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import AttributeDefinition, Merge, Profile
from profiles.reading.profiles import profile_view
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

By = dict[str, Any]
WIZARD = "/admin/profiles/profile/merge/"


def define(name: str, kind: str = "number", rule: str = "") -> None:
    AttributeDefinition.objects.create(name=name, type=kind, merge_rule=rule)


def value(profile: Profile, name: str) -> Any:
    return Profile.objects.get(pk=profile.pk).attributes.get(name)


def lost(profile: Profile) -> list[tuple[str, Any]]:
    view = profile_view(Profile.objects.get(pk=profile.pk))
    return [(row["field"], row["value"]) for row in view.alternates]


@pytest.mark.parametrize(
    ("kind", "rule", "winner", "loser", "result", "alternates"),
    [
        ("number", "sum", 1200, 300, 1500, []),
        ("number", "sum", 300, 300, 600, []),
        ("number", "sum", 0.1, 0.2, 0.3, []),
        ("number", "sum", -5, 5, 0, []),
        ("number", "largest", 3, 20, 20, [3]),
        ("number", "smallest", 3, 20, 3, [20]),
        ("date", "largest", "2024-12-01", "2025-01-01", "2025-01-01", ["2024-12-01"]),
        ("datetime", "smallest", "2025-01-01T10:00:00.5Z", "2025-01-01T10:00:00Z", "2025-01-01T10:00:00Z", ["2025-01-01T10:00:00.500000Z"]),
        ("text", "newest", "basic", "pro", "pro", ["basic"]),
        ("boolean", "newest", True, False, False, [True]),
        ("text", "fill", "basic", "pro", "basic", ["pro"]),
        ("list", "fill", ["tea"], ["jam"], ["tea"], []),
        ("list", "newest", ["tea"], ["jam"], ["jam"], []),
        ("list", "union", ["tea"], ["jam"], ["tea", "jam"], []),
    ],
)  # fmt: skip
def test_each_rule_its_preview_and_its_undo(
    kind: str, rule: str, winner: Any, loser: Any, result: Any, alternates: list[Any], by_staff: By
) -> None:
    define("it", kind, rule)
    ann, anna = make_profile(first_name="Ann", it=winner), make_profile(first_name="Ann", it=loser)
    before = value(ann, "it"), value(anna, "it")
    preview = preview_merge(winner_id=ann.pk, loser_id=anna.pk, **by_staff)
    row = next(row for row in preview.fields if row.field == "attributes.it")
    expected = {"fill": "winner"}.get(rule, rule)
    assert (row.result, row.rule, row.choosable) == (result, expected, True)
    done = merge_profiles(winner_id=ann.pk, loser_id=anna.pk, **by_staff)
    assert value(ann, "it") == result
    assert lost(ann) == [("attributes.it", value) for value in alternates]
    unmerge_profiles(merge_id=done.merge_id, **by_staff)
    assert (value(ann, "it"), value(anna, "it")) == before


def test_points_and_counters_add_up_unless_somebody_says_otherwise(by_staff: By) -> None:
    for name in ("loyalty_points", "visitCount", "points"):
        define(name)
    define("viewpoint", "text")
    define("discount")  # ends like a counter and is none
    define("bonus_points", rule="fill")
    values = {"loyalty_points": 1, "visitCount": 2, "points": 3, "discount": 4, "bonus_points": 5}
    ann, anna = make_profile(**values, viewpoint="a"), make_profile(**values, viewpoint="b")
    merge_profiles(winner_id=ann.pk, loser_id=anna.pk, **by_staff)
    assert Profile.objects.get(pk=ann.pk).attributes == {
        "loyalty_points": 2, "visitCount": 4, "points": 6, "discount": 4, "bonus_points": 5, "viewpoint": "a",
    }  # fmt: skip


def test_the_newest_is_when_a_value_came_in_not_when_it_was_merged(by_staff: By) -> None:
    define("tier", "text", "newest")
    ann, bob, cy = make_profile(tier="old"), make_profile(tier="b"), make_profile(tier="c")
    update_profile(profile_id=bob.pk, values={"attributes.tier": "newest"}, **by_staff)
    first = merge_profiles(winner_id=ann.pk, loser_id=bob.pk, **by_staff)
    assert value(ann, "tier") == "newest"
    # The merge came after cy's value; the value it took over came before that.
    update_profile(profile_id=cy.pk, values={"attributes.tier": "newer still"}, **by_staff)
    second = merge_profiles(winner_id=ann.pk, loser_id=cy.pk, **by_staff)
    assert value(ann, "tier") == "newer still"
    unmerge_profiles(merge_id=first.merge_id, **by_staff)
    assert (value(ann, "tier"), value(bob, "tier")) == ("newer still", "newest")
    unmerge_profiles(merge_id=second.merge_id, **by_staff)
    assert [value(profile, "tier") for profile in (ann, bob, cy)] == ["old", "newest", "newer still"]


def test_a_rule_changed_later_leaves_earlier_merges_as_they_were(by_staff: By) -> None:
    define("points")
    ann, bob, cy = make_profile(points=1200), make_profile(points=300), make_profile(points=7)
    first = merge_profiles(winner_id=ann.pk, loser_id=bob.pk, **by_staff)
    merge_profiles(winner_id=ann.pk, loser_id=cy.pk, **by_staff)
    assert (value(ann, "points"), lost(ann)) == (1507, [])
    AttributeDefinition.objects.filter(name="points").update(merge_rule="largest")
    unmerge_profiles(merge_id=first.merge_id, **by_staff)
    assert [value(profile, "points") for profile in (ann, bob)] == [1207, 300]


def test_a_total_somebody_changed_since_stays_and_is_named(by_staff: By) -> None:
    define("points")
    ann, anna = make_profile(points=1200), make_profile(points=300)
    done = merge_profiles(winner_id=ann.pk, loser_id=anna.pk, **by_staff)
    update_profile(profile_id=ann.pk, values={"attributes.points": 1400}, **by_staff)
    undone = unmerge_profiles(merge_id=done.merge_id, **by_staff)
    assert [row["field"] for row in undone.kept] == ["attributes.points"]
    assert (value(ann, "points"), value(anna, "points")) == (1400, 300)


def test_a_choice_counts_more_than_the_rule(by_staff: By) -> None:
    define("points")
    ann, anna = make_profile(points=1200), make_profile(points=300)
    choices = {"attributes.points": "loser"}
    done = merge_profiles(winner_id=ann.pk, loser_id=anna.pk, choices=choices, **by_staff)
    assert (value(ann, "points"), lost(ann)) == (300, [("attributes.points", 1200)])
    unmerge_profiles(merge_id=done.merge_id, **by_staff)
    assert (value(ann, "points"), value(anna, "points")) == (1200, 300)


def test_a_batch_keeps_the_rules_and_says_so_before(by_staff: By) -> None:
    define("points")
    define("tier", "text", "newest")
    people = [make_profile(points=number, tier=f"t{number}") for number in (1, 20, 300)]
    update_profile(profile_id=people[1].pk, values={"attributes.tier": "latest"}, **by_staff)
    pairs = [BatchPair(people[1].pk, people[2].pk), BatchPair(people[0].pk, people[1].pk)]
    batch = preview_batch(batch_id=make_batch(pairs, **by_staff).pk, actor=by_staff["actor"])
    assert batch.preview["ruled"] == {"attributes.points": 2, "attributes.tier": 2}
    run_to_end(start_batch(batch_id=batch.pk, actor=by_staff["actor"]).job)
    assert (value(people[0], "points"), value(people[0], "tier")) == (321, "latest")
    for merge in Merge.objects.active():
        unmerge_profiles(merge_id=merge.pk, **by_staff)
    assert [value(person, "points") for person in people] == [1, 20, 300]
    assert [value(person, "tier") for person in people] == ["t1", "latest", "t300"]


def test_the_pages_choose_the_rule_and_show_what_it_makes(
    ada: User, as_user: Callable[[User], Client]
) -> None:
    client = as_user(ada)
    data = {"name": "score", "type": "number", "merge_rule": "union", "sensitivity": "none", "choices": ""}
    add = "/admin/profiles/attributedefinition/add/"
    refused = client.post(add, data)
    assert refused.context["adminform"].errors == {
        "merge_rule": [
            "“Unite the two lists” is for attributes of type list of texts, not number. Choose another rule."
        ]
    }
    assert client.post(add, {**data, "merge_rule": "sum"}).status_code == 302
    ann, anna = make_profile(first_name="Ann", score=1200), make_profile(first_name="Ann", score=300)
    page = client.get(WIZARD, {"winner": ann.pk, "loser": anna.pk})
    html = " ".join(page.content.decode().split())
    assert 'name="choice.attributes.score" value="rule" checked> <span><b>1,500</b></span>' in html
    assert "added up" in html
    chosen = client.get(WIZARD, {"winner": ann.pk, "loser": anna.pk, "choice.attributes.score": "loser"})
    html = " ".join(chosen.content.decode().split())
    assert "As the attribute says" in html
    assert 'value="loser" checked' in html
    # The form as the first page filled it in: the rule decides.
    client.post(
        WIZARD,
        {
            "winner": ann.pk,
            "loser": anna.pk,
            "choice.attributes.score": "rule",
            "preview_hash": page.context["preview"].preview_hash,
        },
    )
    assert value(ann, "score") == 1500
