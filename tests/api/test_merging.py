"""Merging through the API: the preview is the merge, every old id leads on, every merge is undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator

from profiles.merging.preview_sections import PreviewSection, sections
from profiles.models import Merge, Profile, Tag
from profiles.reading.profiles import ProfileView
from tests.api.caller import Caller, refusal
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def test_preview_merge_history_and_undo(api: Caller) -> None:
    ann = make_profile(first_name="Ann", email="ann@example.com")
    old = make_profile(first_name="Anna", last_name="Lee", identifiers=[("customer_id", "C1")], tags=["vip"])
    api.post(f"profiles/{old.pk}/events/", {"name": "Order Completed"})
    body = {"loser_id": old.pk, "choices": {"first_name": "loser"}}
    preview = api.post(f"profiles/{ann.pk}/merge/?dry_run=true", body).data
    assert preview["dry_run"] is True
    assert (preview["winner_id"], preview["loser_id"]) == (ann.pk, old.pk)
    assert preview.keys() >= {
        "preview_hash",
        "fields",
        "consents",
        "moved",
        "segments",
        "warnings",
        "result",
        "effects",
    }
    first_name = next(row for row in preview["fields"] if row["field"] == "first_name")
    assert {key: first_name[key] for key in ("winner", "loser", "result", "rule")} == {
        "winner": "Ann",
        "loser": "Anna",
        "result": "Anna",
        "rule": "choice",
    }
    assert preview["segments"] == {"entered": [], "left": []}
    assert Merge.objects.count() == 0

    merged = api.post(
        "profiles/email:ann@example.com/merge/", {**body, "preview_hash": preview["preview_hash"]}
    )
    assert merged.status_code == 200, merged.data
    winner = merged.data["winner"]
    assert (winner["id"], winner["first_name"], winner["last_name"], winner["tags"]) == (
        ann.pk,
        "Anna",
        "Lee",
        ["vip"],
    )
    assert merged.data["moved"]["events"] == 1
    unlike = {"version", "updated_at"}
    assert {k: v for k, v in preview["result"].items() if k not in unlike} == {
        k: v for k, v in winner.items() if k not in unlike
    }
    for ref in (old.pk, "customer_id:C1"):
        assert api.get(f"profiles/{ref}/").data["id"] == ann.pk
    assert winner["merged_ids"] == [old.pk]
    assert winner["alternates"] == [{"field": "first_name", "value": "Ann", "from_id": ann.pk}]
    resolved = api.post("resolve/", {"identifiers": [{"id": old.pk}, {"type": "customer_id", "value": "C1"}]})
    assert resolved.data["results"] == [{"id": ann.pk, "via": [old.pk]}] * 2
    assert len(api.get(f"profiles/{ann.pk}/events/").data["results"]) == 1

    merge_id = merged.data["merge_id"]
    rehearsed = api.post(f"merges/{merge_id}/unmerge/?dry_run=true").data
    assert (rehearsed["dry_run"], rehearsed["winner"]["first_name"]) == (True, "Ann")
    undone = api.post(f"merges/{merge_id}/unmerge/").data
    assert undone.keys() == {"merge_id", "winner", "loser", "kept"}
    assert (undone["winner"]["first_name"], undone["loser"]["id"], undone["kept"]) == ("Ann", old.pk, [])
    assert api.get("profiles/customer_id:C1/").data["id"] == old.pk
    assert refusal(api.post(f"merges/{merge_id}/unmerge/"))[0] == 422
    assert refusal(api.post("merges/999/unmerge/")) == (404, "There is no merge 999.")


def test_sections_of_another_app_are_in_the_preview(api: Caller) -> None:
    ann, anna = make_profile(first_name="Ann", tags=["vip"]), make_profile(first_name="Anna", tags=["new"])
    path, body = f"profiles/{ann.pk}/merge/?dry_run=true", {"loser_id": anna.pk}

    def read(winner_id: int, loser_id: int) -> Callable[[ProfileView], Any]:
        left = list(Tag.objects.filter(links__profile=loser_id).values_list("name", flat=True))
        return lambda result: {"entered": [tag.name for tag in result.tags], "left": left}

    own = sections["segments"]
    sections.unregister("segments")
    sections.register("segments", PreviewSection(read))
    try:
        preview = api.post(path, body).data
    finally:
        sections.unregister("segments")
        sections.register("segments", own)
    assert preview["segments"] == {"entered": ["new", "vip"], "left": ["new"]}
    assert preview["consents"] == []
    assert api.post(path, body).data["segments"] == {"entered": [], "left": []}

    sections.register("stub", PreviewSection(read))
    try:
        described = SchemaGenerator().get_schema(request=None, public=True)["components"]["schemas"]
    finally:
        sections.unregister("stub")
    assert {"consents", "segments", "stub"} <= described["MergePreview"]["properties"].keys()

    sections.register("fields", PreviewSection(read))
    try:
        with pytest.raises(ValueError, match="^The merge preview and a section of it both give “fields”.$"):
            api.post(path, body)
    finally:
        sections.unregister("fields")


def test_merge_that_may_not_be(api: Caller) -> None:
    ann, bob = make_profile(first_name="Ann"), make_profile(first_name="Bob")
    path = f"profiles/{ann.pk}/merge/"
    assert refusal(api.post(path, {"loser_id": ann.pk})) == (422, "A profile cannot be merged into itself.")
    assert refusal(api.post(path, {"loser_id": 9999})) == (404, "No profile “9999”.")
    assert refusal(api.post("profiles/9999/merge/", {"loser_id": ann.pk})) == (404, "No profile “9999”.")
    for wrong in ("bob", f"{bob.pk}.0", "", True, 1.5, [bob.pk]):
        assert refusal(api.post(path, {"loser_id": wrong})) == (400, "Send the id as a whole number.")
    assert refusal(api.post(path, {"loser_id": bob.pk, "choices": {"first_name": "both"}})) == (
        400,
        '"both" is not a valid choice.',
    )
    assert refusal(api.post(path, {"loser_id": bob.pk, "choices": {"shoe_size": "loser"}}))[0] == 400
    assert api.post(f"profiles/{bob.pk}/lock/").data["locked"] is True
    assert refusal(api.post(path, {"loser_id": bob.pk})) == (
        422,
        f"Profile #{bob.pk} is locked against merging. Unlock it first.",
    )
    assert api.post(f"profiles/{bob.pk}/unlock/").data["locked"] is False
    Profile.objects.filter(pk=bob.pk).update(status="erased")
    assert refusal(api.post(path, {"loser_id": bob.pk}))[0] == 422
    assert refusal(api.post(f"profiles/{bob.pk}/merge/", {"loser_id": ann.pk}))[0] == 422


def test_an_id_is_a_number_or_its_digits(api: Caller) -> None:
    ann, bob, cyd = (make_profile(first_name=name).pk for name in ("Ann", "Bob", "Cyd"))
    merged = api.post(f"profiles/{ann}/merge/", {"loser_id": str(bob)})
    assert (merged.status_code, merged.data["winner"]["merged_ids"]) == (200, [bob])
    batch = api.post("merges/bulk/?dry_run=true", {"pairs": [{"winner_id": str(ann), "loser_id": cyd}]})
    assert batch.data["preview"]["merges"] == 1
    resolved = api.post("resolve/", {"identifiers": [{"id": str(bob)}, {"id": cyd}, {"id": "7" * 19}]})
    assert [row["id"] for row in resolved.data["results"]] == [ann, cyd, None]


def test_stale_preview_is_a_409_and_nothing_is_merged(api: Caller) -> None:
    ann, bob = make_profile(first_name="Ann"), make_profile(first_name="Bob")
    seen = api.post(f"profiles/{ann.pk}/merge/?dry_run=true", {"loser_id": bob.pk}).data["preview_hash"]
    api.patch(f"profiles/{bob.pk}/", {"city": "Oslo"})
    answer = api.post(f"profiles/{ann.pk}/merge/", {"loser_id": bob.pk, "preview_hash": seen})
    sentence = f"Profile #{ann.pk} or #{bob.pk} changed since the preview. Nothing was merged; look again."
    assert refusal(answer) == (409, sentence)
    assert Merge.objects.count() == 0


def test_history_by_time_and_profile(api: Caller) -> None:
    people = [make_profile(first_name=name) for name in "ABCD"]
    first = api.post(f"profiles/{people[0].pk}/merge/", {"loser_id": people[1].pk}).data["merge_id"]
    second = api.post(f"profiles/{people[2].pk}/merge/", {"loser_id": people[3].pk}).data["merge_id"]
    rows = api.get("merges/?count=exact").data
    assert ([row["id"] for row in rows["results"]], rows["count"]) == ([second, first], 2)
    assert rows["results"][1]["actor"] == "shop"
    assert [row["id"] for row in api.get(f"merges/?profile={people[1].pk}").data["results"]] == [first]
    later = timezone.now().isoformat()
    assert api.get(f"merges/?since={later}").data["results"] == []
    api.post(f"merges/{first}/unmerge/")
    undone = api.get(f"merges/?since={later}").data["results"]
    assert [(row["id"], row["undone_by"]) for row in undone] == [(first, "shop")]
    assert api.get(f"merges/{first}/").data == undone[0]
    assert refusal(api.get("merges/?since=soon")) == (400, "since is a time such as 2024-05-01T12:00:00Z.")
    assert refusal(api.get("merges/999/")) == (404, "There is no merge 999.")


def test_alternate_is_promoted(api: Caller) -> None:
    ann, bob = make_profile(first_name="Ann"), make_profile(first_name="Bob")
    api.post(f"profiles/{ann.pk}/merge/", {"loser_id": bob.pk})
    path = f"profiles/{ann.pk}/alternates/promote/"
    assert api.post(path, {"field": "first_name", "value": "Bob"}).data["first_name"] == "Bob"
    assert refusal(api.post(path, {"field": "first_name", "value": "Zoe"})) == (
        404,
        f"Profile #{ann.pk} has no other First name like that.",
    )


def test_preview_is_masked_without_pii(with_scopes: Callable[..., Caller]) -> None:
    ann = make_profile(first_name="Annabel", email="ann@example.com")
    bob = make_profile(first_name="Robert", email="bob@example.com")
    merger = with_scopes("merge")
    preview = merger.post(f"profiles/{ann.pk}/merge/?dry_run=true", {"loser_id": bob.pk})
    merged = merger.post(f"profiles/{ann.pk}/merge/", {"loser_id": bob.pk})
    undone = merger.post(f"merges/{merged.data['merge_id']}/unmerge/?dry_run=true")
    text = (preview.content + merged.content + undone.content).decode()
    for secret in ("Annabel", "Robert", "ann@example.com", "bob@example.com"):
        assert secret not in text
    assert refusal(with_scopes("profiles:write").post(f"profiles/{ann.pk}/merge/", {"loser_id": bob.pk})) == (
        403,
        "The API key “shop” needs the scope merge for this.",
    )


def test_the_api_sets_a_merge_rule_and_shows_it_with_its_result(api: Caller) -> None:
    made = api.post("attributes/", {"name": "visits", "type": "number", "merge_rule": "sum"})
    assert (made.status_code, made.data["merge_rule"]) == (201, "sum")
    likes = api.post("attributes/", {"name": "likes", "type": "list"}).data
    assert likes["merge_rule"] == "union"
    assert api.post("attributes/", {"name": "loyalty_points", "type": "number"}).data["merge_rule"] == "sum"
    assert refusal(api.patch(f"attributes/{likes['id']}/", {"merge_rule": "sum"})) == (
        400,
        "“Add the two numbers” is for attributes of type number, not list of texts. Choose another rule.",
    )
    assert refusal(api.post("attributes/", {"name": "plan", "type": "text", "merge_rule": "largest"})) == (
        400,
        "“Take the larger value” is for attributes of type number, date and date and time, not text."
        " Choose another rule.",
    )
    ann, anna = make_profile(visits=1200), make_profile(visits=300)
    preview = api.post(f"profiles/{ann.pk}/merge/?dry_run=true", {"loser_id": anna.pk}).data
    row = next(row for row in preview["fields"] if row["field"] == "attributes.visits")
    assert (row["result"], row["rule"], row["merge_rule"]) == (1500, "sum", "sum")
    merged = api.post(f"profiles/{ann.pk}/merge/", {"loser_id": anna.pk}).data
    assert (merged["winner"]["attributes"], merged["winner"]["alternates"]) == ({"visits": 1500}, [])
    assert api.get(f"merges/{merged['merge_id']}/").data["rules"] == {"attributes.visits": "sum"}
    undone = api.post(f"merges/{merged['merge_id']}/unmerge/").data
    assert [undone[side]["attributes"]["visits"] for side in ("winner", "loser")] == [1200, 300]
