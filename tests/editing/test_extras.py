"""Notes, events, addresses and the merge lock, through the verbs staff and API use."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import pytest
from django.utils import timezone

from cdp.errors import Invalid, NotFound
from profiles.editing import add_address, add_event, add_note, remove_address, set_lock
from profiles.models import Change, Event
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def test_a_note_is_kept_and_an_empty_one_refused(by_staff: dict[str, Any]) -> None:
    ann = make_profile()
    note = add_note(profile_id=ann.pk, text="  Called back. \x00", **by_staff)
    assert (note.text, note.user.username) == ("Called back.", "ada")
    with pytest.raises(Invalid, match="Write a note."):
        add_note(profile_id=ann.pk, text=" \x00 ", **by_staff)
    with pytest.raises(Invalid, match="A note has at most 10,000 characters; this has 10,001."):
        add_note(profile_id=ann.pk, text="x" * 10_001, **by_staff)


def test_an_event_by_hand_counts_once_per_message_id(by_staff: dict[str, Any]) -> None:
    ann = make_profile()
    message = uuid.uuid4()
    then = timezone.now() - datetime.timedelta(days=3)
    add = {
        "profile_id": ann.pk,
        "name": " Called  support",
        "occurred_at": then,
        "message_id": message,
        **by_staff,
    }
    first, second = add_event(**add), add_event(**add)
    assert first == second
    assert (first.name.name, Event.objects.count()) == ("Called support", 1)
    ann.refresh_from_db()
    assert ann.first_seen_at == then
    assert ann.last_seen_at > then
    with pytest.raises(Invalid, match="An event cannot have happened in the future."):
        add_event(**{**add, "occurred_at": timezone.now() + datetime.timedelta(days=1)})
    with pytest.raises(Invalid, match="Give the event a name of 1 to 255 characters."):
        add_event(**{**add, "name": " "})


def test_addresses_come_and_go_and_are_remembered(by_staff: dict[str, Any]) -> None:
    ann, bob = make_profile(), make_profile()
    address = add_address(
        profile_id=ann.pk,
        values={"label": "work", "street": "Długa 1", "city": "Kraków", "country": "Poland"},
        **by_staff,
    )
    assert str(address) == "Długa 1, Kraków, PL"
    with pytest.raises(NotFound, match=f"Profile #{bob.pk} has no such address."):
        remove_address(profile_id=bob.pk, address_id=address.pk, **by_staff)
    remove_address(profile_id=ann.pk, address_id=address.pk, **by_staff)
    journal = (
        Change.objects.filter(profile=ann, kind="updated").order_by("id").values_list("fields", flat=True)
    )
    assert list(journal) == [
        {"addresses": [[], ["Długa 1, Kraków, PL"]]},
        {"addresses": [["Długa 1, Kraków, PL"], []]},
    ]
    with pytest.raises(Invalid, match="Give at least one line of the address."):
        add_address(profile_id=ann.pk, values={"label": "work"}, **by_staff)
    with pytest.raises(Invalid, match="Not a country"):
        add_address(profile_id=ann.pk, values={"country": "Atlantis"}, **by_staff)


def test_the_lock_is_recorded_once(by_staff: dict[str, Any]) -> None:
    ann = make_profile()
    for _ in range(2):
        assert set_lock(profile_id=ann.pk, is_locked=True, **by_staff).is_locked
    assert not set_lock(profile_id=ann.pk, is_locked=False, **by_staff).is_locked
    kinds = Change.objects.filter(profile=ann).order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["created", "locked", "unlocked"]


def test_what_arrives_by_a_losers_id_goes_back_with_the_loser(by_staff: dict[str, Any]) -> None:
    from profiles.editing import attach_identifier, update_profile
    from profiles.identity.lookup import find_profile
    from profiles.merging.merge import merge_profiles
    from profiles.merging.unmerge import unmerge_profiles

    ann, anna = make_profile(email="ann@example.com"), make_profile(email="anna@example.com")
    merge = merge_profiles(winner_id=ann.pk, loser_id=anna.pk, **by_staff)
    reference = find_profile("email:anna@example.com")
    assert (reference.root, reference.via_id) == (ann, anna.pk)
    by_old_address: dict[str, Any] = {"profile_id": reference.root.pk, "via_id": reference.via_id, **by_staff}
    add_event(name="Called", **by_old_address)
    add_note(text="By the old address.", **by_old_address)
    add_address(values={"city": "Brno"}, **by_old_address)
    attach_identifier(type_name="customer_id", raw="C-2", **by_old_address)
    update_profile(values={"city": "Brno", "phone": "+420601000000"}, **by_old_address)
    add_event(name="Bought", profile_id=ann.pk, **by_staff)
    unmerge_profiles(merge_id=merge.merge_id, **by_staff)
    for profile in (ann, anna):
        profile.refresh_from_db()
    assert (anna.city, anna.phone, ann.city, ann.phone) == ("Brno", "+420601000000", None, None)
    assert [event.name.name for event in anna.events.all()] == ["Called"]
    assert [event.name.name for event in ann.events.all()] == ["Bought"]
    assert (anna.notes.count(), anna.addresses.count(), ann.notes.count()) == (1, 1, 0)
    for ref in ("customer_id:C-2", "email:anna@example.com"):
        assert find_profile(ref).root == anna
    assert anna.is_recognized
