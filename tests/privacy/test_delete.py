"""Deleting takes people out of sight and frees their identifiers; restoring brings them back as they were."""

from __future__ import annotations

from typing import Any

import pytest

from cdp.errors import NotFound, RuleForbids
from cdp.models import AuditEntry, OutboxMessage, Webhook
from profiles.editing import attach_identifier, detach_identifier
from profiles.identity.lookup import find_profile, resolve
from profiles.merging.merge import merge_profiles
from profiles.models import Change, Identifier, Profile
from profiles.privacy.delete import delete_profiles
from profiles.privacy.restore import Taken, restore_profile
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def test_a_deleted_person_leads_nowhere_and_comes_back_whole(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann", email="ann@example.com", identifiers=[("customer_id", "A1")])
    done = delete_profiles(profile_ids=[ann.pk], reason="asked by phone", **by_staff)
    assert (done.profile_ids, done.count, done.skipped) == ([ann.pk], 1, {})
    assert not Profile.objects.live().exists()
    with pytest.raises(NotFound):
        find_profile(ann.pk)
    assert resolve([("email", "ann@example.com"), ("customer_id", "A1")]) == {}
    assert find_profile(ann.pk, live_only=False).root.status == "deleted"

    back = restore_profile(profile_id=ann.pk, **by_staff)
    assert (back.profile.status, back.profile.version, back.taken) == ("live", 3, [])
    assert {"email:ann@example.com", "customer_id:A1"} < set(back.identifiers)
    assert find_profile("email:ann@example.com").root == ann
    ann.refresh_from_db()
    assert ann.is_recognized


def test_the_journal_and_the_log_tell_about_both(by_staff: dict[str, Any]) -> None:
    Webhook.objects.create(
        name="x", url="https://hooks.example.com/", topics=["profile.deleted", "profile.restored"]
    )
    ann = make_profile(email="ann@example.com")
    held = sorted(Identifier.objects.filter(profile=ann, resolves=True).values_list("pk", flat=True))
    delete_profiles(profile_ids=[ann.pk], reason="asked", **by_staff)
    restore_profile(profile_id=ann.pk, **by_staff)
    deleted, restored = Change.objects.exclude(kind="created").order_by("pk")
    assert (deleted.kind, deleted.fields) == ("deleted", {"status": ["live", "deleted"]})
    assert deleted.detail == {"released": held, "reason": "other", "note": "asked"}
    assert (restored.kind, restored.fields) == ("restored", {"status": ["deleted", "live"]})
    assert restored.detail == {"restored": held, "taken": []}
    actions = AuditEntry.objects.filter(subject=f"profile:{ann.pk}").order_by("pk")
    assert list(actions.values_list("action", flat=True))[-2:] == ["profile.delete", "profile.restore"]
    assert list(OutboxMessage.objects.order_by("pk").values_list("topic", "payload")) == [
        ("profile.deleted", {"profile_id": ann.pk, "profile_ids": [ann.pk]}),
        ("profile.restored", {"profile_id": ann.pk}),
    ]


def test_everybody_merged_goes_and_returns_along(by_staff: dict[str, Any]) -> None:
    ann, old = make_profile(email="ann@example.com"), make_profile(email="old@example.com")
    merge_profiles(winner_id=ann.pk, loser_id=old.pk, **by_staff)
    assert delete_profiles(profile_ids=[old.pk], **by_staff).profile_ids == [ann.pk]
    assert resolve([("email", "old@example.com")]) == {}
    restore_profile(profile_id=old.pk, **by_staff)
    assert find_profile("email:old@example.com").root == ann
    assert Profile.objects.get(pk=old.pk).status == "merged"


def test_what_somebody_took_meanwhile_stays_theirs(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann", email="ann@example.com", identifiers=[("customer_id", "A1")])
    delete_profiles(profile_ids=[ann.pk], **by_staff)
    ben = make_profile(email="ann@example.com")
    back = restore_profile(profile_id=ann.pk, **by_staff)
    assert back.taken == [Taken("email", "ann@example.com", ben.pk)]
    assert "customer_id:A1" in back.identifiers
    assert find_profile("email:ann@example.com").root == ben
    # Deleted once more and restored when it is free again: not released by the second deletion, so not given back.
    delete_profiles(profile_ids=[ann.pk], **by_staff)
    detach_identifier(profile_id=ben.pk, type_name="email", raw="ann@example.com", **by_staff)
    assert restore_profile(profile_id=ann.pk, **by_staff).taken == []
    attach_identifier(profile_id=ann.pk, type_name="email", raw="ann@example.com", **by_staff)
    assert find_profile("email:ann@example.com").root == ann


def test_contact_values_are_neither_released_nor_switched_on(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann", phone="+48600100200")
    delete_profiles(profile_ids=[ann.pk], **by_staff)
    restore_profile(profile_id=ann.pk, **by_staff)
    assert Identifier.objects.get(type__name="phone").resolves is False


def test_what_cannot_be_deleted_says_why_and_the_rest_goes(by_staff: dict[str, Any]) -> None:
    ann, gone, erased = (make_profile(first_name=name) for name in ("Ann", "Ben", "Eve"))
    delete_profiles(profile_ids=[gone.pk], **by_staff)
    Profile.objects.filter(pk=erased.pk).update(status="erased")
    done = delete_profiles(profile_ids=[ann.pk, gone.pk, erased.pk, 999_999], **by_staff)
    assert done.profile_ids == [ann.pk]
    assert done.skipped == {
        gone.pk: f"Profile #{gone.pk} is deleted already.",
        erased.pk: f"Profile #{erased.pk} was erased for ever.",
        999_999: "No profile “999999”.",
    }
    with pytest.raises(RuleForbids, match=f"Profile #{erased.pk} was erased for ever."):
        delete_profiles(profile_ids=[erased.pk], **by_staff)
    with pytest.raises(NotFound, match="No profile “999999”."):
        delete_profiles(profile_ids=[999_999], **by_staff)


def test_what_cannot_be_restored_says_why(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann")
    with pytest.raises(RuleForbids, match=f"Profile #{ann.pk} is not deleted."):
        restore_profile(profile_id=ann.pk, **by_staff)
    Profile.objects.filter(pk=ann.pk).update(status="erased")
    with pytest.raises(RuleForbids, match=f"Profile #{ann.pk} was erased; nothing is left to bring back."):
        restore_profile(profile_id=ann.pk, **by_staff)
    with pytest.raises(NotFound):
        restore_profile(profile_id=999_999, **by_staff)


def test_thousands_take_as_many_statements_as_one(
    by_staff: dict[str, Any], django_assert_max_num_queries: Any
) -> None:
    people = [make_profile(email=f"p{n}@example.com").pk for n in range(60)]
    with django_assert_max_num_queries(19):
        assert delete_profiles(profile_ids=people[:1], **by_staff).count == 1
    with django_assert_max_num_queries(19):
        assert delete_profiles(profile_ids=people, **by_staff).count == 59
    assert Change.objects.filter(kind="deleted").count() == 60
    assert AuditEntry.objects.filter(action="profile.delete").count() == 60


def test_two_deletions_at_once_delete_once(two_connections: Any, by_staff: dict[str, Any]) -> None:
    ann = make_profile(email="ann@example.com")
    results = two_connections(*[lambda: delete_profiles(profile_ids=[ann.pk], **by_staff)] * 2)
    assert sorted(type(result).__name__ for result in results) == ["Deleted", "RuleForbids"]
    assert Change.objects.filter(kind="deleted").count() == 1


def test_deleting_while_merging_leaves_one_of_two_clear_ends(
    two_connections: Any, by_staff: dict[str, Any]
) -> None:
    """Either the merge came first and both are deleted, or the deletion did and the merge is refused."""
    ann, ben = make_profile(email="ann@example.com"), make_profile(email="ben@example.com")
    merged, deleted = two_connections(
        lambda: merge_profiles(winner_id=ann.pk, loser_id=ben.pk, **by_staff),
        lambda: delete_profiles(profile_ids=[ben.pk], **by_staff),
    )
    ann.refresh_from_db()
    ben.refresh_from_db()
    assert not isinstance(deleted, Exception)
    if isinstance(merged, Exception):
        assert (ann.status, ben.status, ben.canonical_id) == ("live", "deleted", ben.pk)
    else:
        assert (ann.status, ben.status, ben.canonical_id) == ("deleted", "merged", ann.pk)
    assert resolve([("email", "ben@example.com")]) == {}
