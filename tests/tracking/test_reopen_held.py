"""Taking back decisions about held merges: whatever was decided, the merge waits again and nothing is lost."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.errors import Conflict, NotFound
from cdp.invariants import violations
from cdp.models import AuditEntry, User
from cdp.ttl_cache import forget_all
from profiles.builtin_sources import builtin_source
from profiles.duplicates.review.decide_cluster import block_shared
from profiles.editing.identifiers import attach_identifier, detach_identifier
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import (
    Change,
    DuplicateCase,
    HeldMerge,
    Identifier,
    IdentifierType,
    LinkInterval,
    Merge,
    Profile,
)
from profiles.privacy.delete import delete_profiles
from profiles.tracking.pending.decide_held import decide_held_merge
from profiles.tracking.pending.reopen_held import MergedAnyway, reopen_held_merge
from profiles.tracking.sources.write_keys import Sender
from tests.api.caller import Caller, refusal
from tests.profile_factory import make_profile
from tests.tracking.calls import events_of, holder, identify, make_sender, track

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()


def who(user: str) -> Profile:
    profile = holder("customer_id", user)
    assert profile is not None
    return profile


def resolves_to(value: str = "tablet") -> int | None:
    profile = holder("anonymous_id", value)
    return profile.pk if profile else None


@pytest.fixture
def web(db: None) -> Sender:
    return make_sender("web", name="Shop")


@pytest.fixture
def held_merge(web: Sender, settings: Any) -> HeldMerge:
    """A tablet that was people 1 and 2 before 3 and 4 came; 2 has it. Two joins wait."""
    settings.CDP_BREAKER_PEOPLE = 3
    for hour, user in ((5, "1"), (4, "2"), (3, "3"), (2, "4")):
        at = (timezone.now() - datetime.timedelta(hours=hour)).isoformat()
        identify(web, anonymousId="tablet", userId=user, timestamp=at)
    first, _ = HeldMerge.objects.order_by("pk")
    return first


def decide(held_merge: HeldMerge, decision: str) -> Any:
    return decide_held_merge(held_merge_id=held_merge.pk, decision=decision, actor=SYSTEM)


def reopen(held_merge: HeldMerge) -> Any:
    done = reopen_held_merge(held_merge_id=held_merge.pk, actor=SYSTEM)
    forget_all()
    assert violations() == []
    return done


def links() -> list[tuple[int, Any, Any]]:
    rows = LinkInterval.objects.order_by("started_at", "pk")
    return sorted(rows.values_list("profile_id", "started_at", "ended_at"), key=str)


def states() -> list[str]:
    return list(HeldMerge.objects.order_by("pk").values_list("state", flat=True))


# --- Blocked ------------------------------------------------------------------------------------------------


def test_a_blocked_value_identifies_again(held_merge: HeldMerge, web: Sender) -> None:
    listed, before = IdentifierType.objects.get(name="anonymous_id").blocked_values, links()
    decide(held_merge, "block")
    done = reopen(held_merge)
    two = who("2").pk
    assert done.message == f"Browser id tablet is not blocked any more: it identifies #{two} again."
    assert (done.was, done.profile_id, states()) == ("blocked", two, ["open", "open"])
    assert done.reopened == sorted(HeldMerge.objects.values_list("pk", flat=True))
    assert (resolves_to(), links()) == (two, before)
    assert IdentifierType.objects.get(name="anonymous_id").blocked_values == listed
    change = Change.objects.latest("pk")
    assert (change.profile_id, change.fields) == (two, {"blocked": [["anonymous_id:tablet"], []]})
    detail = {"was": "blocked", "type": "anonymous_id", "reopened": 2}
    assert AuditEntry.objects.get(action="heldmerge.reopen").detail == detail
    held_merge.refresh_from_db()
    assert (held_merge.user_id, held_merge.decided_at, held_merge.effects) == (None, None, None)
    track(web, "Looked", anonymousId="tablet")
    assert "Looked" in events_of(who("2"))
    # And once more, by the other of the two.
    last = HeldMerge.objects.latest("pk")
    decide(last, "block")
    assert resolves_to() is None
    assert (reopen(last).profile_id, resolves_to()) == (two, two)


@pytest.mark.parametrize("state", ["open", "shared"])
def test_a_case_among_the_duplicates_is_as_before(held_merge: HeldMerge, state: str) -> None:
    case = DuplicateCase.objects.create(
        kind="shared_value", type=held_merge.type, value="tablet", state=state
    )
    decide(held_merge, "block")
    case.refresh_from_db()
    assert (case.state, case.decided_at is None) == ("blocked", False)
    reopen(held_merge)
    case.refresh_from_db()
    assert (case.state, case.decided_at is None) == (state, state == "open")


def test_a_block_decided_among_the_duplicates_is_taken_back_here_too(held_merge: HeldMerge) -> None:
    case = DuplicateCase.objects.create(kind="shared_value", type=held_merge.type, value="tablet")
    block_shared(case_id=case.pk, actor=SYSTEM)
    assert (states(), resolves_to()) == (["blocked", "blocked"], None)
    assert reopen(held_merge).profile_id == who("2").pk
    case.refresh_from_db()
    assert (case.state, states()) == ("open", ["open", "open"])


def test_a_value_that_was_blocked_before_stays_so(held_merge: HeldMerge) -> None:
    kind = held_merge.type
    kind.blocked_values = [*kind.blocked_values, "TABLET"]
    kind.save()
    decide(held_merge, "block")
    done = reopen(held_merge)
    assert done.message == (
        "The merge waits again. Browser id tablet stays blocked: it was already on the block list of its type. Remove it there."
    )
    assert (resolves_to(), states()) == (None, ["open", "open"])
    assert "TABLET" in IdentifierType.objects.get(pk=kind.pk).blocked_values


def test_what_somebody_else_has_by_now_stays_theirs(held_merge: HeldMerge, web: Sender) -> None:
    decide(held_merge, "block")
    kind = IdentifierType.objects.get(pk=held_merge.type_id)
    kind.blocked_values = [value for value in kind.blocked_values if value != "tablet"]
    kind.save()
    other = make_profile(first_name="Else")
    attach_identifier(
        profile_id=other.pk, type_name="anonymous_id", raw="tablet", actor=SYSTEM, source=web.source
    )
    done = reopen(held_merge)
    assert done.message == f"Browser id tablet is not blocked any more: it identifies #{other.pk}."
    assert resolves_to() == other.pk


@pytest.mark.parametrize("how", ["taken away", "deleted"])
def test_a_value_whose_person_is_gone_leads_to_nobody(held_merge: HeldMerge, web: Sender, how: str) -> None:
    decide(held_merge, "block")
    two = who("2")
    if how == "deleted":
        delete_profiles(profile_ids=[two.pk], actor=SYSTEM, source=web.source)
    else:
        Identifier.objects.filter(profile=two, value="tablet").delete()
    done = reopen(held_merge)
    assert (
        done.message
        == "Browser id tablet is not blocked any more: it identifies nobody until a call sends it."
    )
    assert (done.profile_id, resolves_to()) == (None, None)


def test_nobody_gets_more_values_than_they_may_have(web: Sender) -> None:
    kind = IdentifierType.objects.get(name="customer_id")
    assert kind.max_per_profile == 1
    ann, ben = make_profile(identifiers=[("customer_id", "7")]), make_profile(email="b@example.com")
    held_merge = HeldMerge.objects.create(
        source=web.source, reason="rate", type=kind, value="7", profile=ben, other=ann
    )
    decide(held_merge, "block")
    assert not Profile.objects.get(pk=ann.pk).is_recognized
    attach_identifier(profile_id=ann.pk, type_name="customer_id", raw="8", actor=SYSTEM, source=web.source)
    assert reopen(held_merge).profile_id is None
    assert holder("customer_id", "7") is None


# --- A shared device ----------------------------------------------------------------------------------------


def test_a_shared_device_nothing_came_from_is_as_before(held_merge: HeldMerge, web: Sender) -> None:
    before, two = links(), who("2").pk
    device = decide(held_merge, "shared").profile_id
    assert resolves_to() == device
    done = reopen(held_merge)
    assert done.message == f"Browser id tablet is not a shared device any more: it identifies #{two} again."
    assert (resolves_to(), links(), states()) == (two, before, ["open", "open"])
    assert Profile.objects.get(pk=device).status == "deleted"
    change = Change.objects.filter(profile_id=two).latest("pk")
    assert change.fields == {"shared": [["anonymous_id:tablet"], []]}
    # It joins again as it did.
    identify(web, anonymousId="tablet", userId="2")
    track(web, "Looked", anonymousId="tablet")
    assert "Looked" in events_of(who("2"))


def test_what_came_from_a_shared_device_meanwhile_stays_with_it(held_merge: HeldMerge, web: Sender) -> None:
    two = who("2").pk
    device = decide(held_merge, "shared").profile_id
    at = timezone.now().isoformat()
    track(web, "Looked", anonymousId="tablet")
    done = reopen(held_merge)
    assert done.message == (
        f"Browser id tablet is not a shared device any more: it identifies #{two} again."
        f" What arrived in the meantime stays with #{device}."
    )
    assert (resolves_to(), events_of(Profile.objects.get(pk=device))) == (two, ["Looked"])
    track(web, "Late", anonymousId="tablet", timestamp=at)
    track(web, "New", anonymousId="tablet")
    assert events_of(Profile.objects.get(pk=device)) == ["Late", "Looked"]
    assert "New" in events_of(who("2"))
    assert [row.profile_id for row in LinkInterval.objects.order_by("pk")] == [who("1").pk, two, device, two]
    assert Change.objects.filter(profile_id=device).latest("pk").fields == {
        "shared": [["anonymous_id:tablet"], []]
    }


def test_a_device_that_was_nobodys_before_just_waits_again(web: Sender) -> None:
    track(web, anonymousId="kiosk")
    device, other = holder("anonymous_id", "kiosk"), make_profile(email="a@example.com")
    assert device is not None
    kind = IdentifierType.objects.get(name="anonymous_id")
    held_merge = HeldMerge.objects.create(
        source=web.source, reason="rate", type=kind, value="kiosk", profile=other, other=device
    )
    decide(held_merge, "shared")
    assert (
        reopen(held_merge).message
        == f"Browser id kiosk is not a shared device any more: it identifies #{device.pk}."
    )
    assert (states(), LinkInterval.objects.count()) == (["open"], 0)


def test_a_shared_device_whose_person_lost_it_stays_where_it_is(held_merge: HeldMerge, web: Sender) -> None:
    two, device = who("2"), decide(held_merge, "shared").profile_id
    attach_identifier(
        profile_id=two.pk, type_name="anonymous_id", raw="other", actor=SYSTEM, source=web.source
    )
    detach_identifier(
        profile_id=two.pk, type_name="anonymous_id", raw="tablet", actor=SYSTEM, source=web.source
    )
    done = reopen(held_merge)
    assert done.message == f"Browser id tablet is not a shared device any more: it identifies #{device}."
    assert resolves_to() == device


def test_a_device_whose_own_profile_was_deleted_leads_back(held_merge: HeldMerge, web: Sender) -> None:
    two, device = who("2").pk, decide(held_merge, "shared").profile_id
    track(web, "Looked", anonymousId="tablet")
    delete_profiles(profile_ids=[device], actor=SYSTEM, source=web.source)
    done = reopen(held_merge)
    assert done.message == f"Browser id tablet is not a shared device any more: it identifies #{two} again."
    assert resolves_to() == two
    track(web, "New", anonymousId="tablet")
    assert "New" in events_of(who("2"))


# --- Merged, dismissed, open --------------------------------------------------------------------------------


def test_a_merge_is_taken_back_by_undoing_it(held_merge: HeldMerge) -> None:
    decide(held_merge, "merge")
    merge = Merge.objects.get()
    with pytest.raises(MergedAnyway) as refused:
        reopen_held_merge(held_merge_id=held_merge.pk, actor=SYSTEM)
    assert refused.value.message == (
        f"Waiting merge {held_merge.pk} was merged anyway, and the two are one person: undo merge {merge.pk},"
        " then it can be reopened."
    )
    unmerge_profiles(merge_id=merge.pk, actor=SYSTEM, source=builtin_source("staff"))
    done = reopen(held_merge)
    assert (done.message, done.reopened) == ("The merge waits again; its merge was undone.", [held_merge.pk])
    assert states() == ["open", "open"]


def test_two_whom_another_merge_joined(held_merge: HeldMerge) -> None:
    decide(held_merge, "merge")
    HeldMerge.objects.filter(pk=held_merge.pk).update(effects={"merge": None})
    with pytest.raises(MergedAnyway, match="one person: undo the merge that made them one, then"):
        reopen_held_merge(held_merge_id=held_merge.pk, actor=SYSTEM)


def test_a_dismissed_join_waits_again(held_merge: HeldMerge, web: Sender) -> None:
    decide(held_merge, "dismiss")
    done = reopen(held_merge)
    assert done.message == "The merge waits again. Dismissing it had changed nothing."
    assert (done.reopened, states()) == ([held_merge.pk], ["open", "open"])
    with pytest.raises(
        Conflict, match=f"^Waiting merge {held_merge.pk} is open: there is no decision to undo.$"
    ):
        reopen_held_merge(held_merge_id=held_merge.pk, actor=SYSTEM)
    with pytest.raises(NotFound, match="^There is no waiting merge 999.$"):
        reopen_held_merge(held_merge_id=999, actor=SYSTEM)
    decide(held_merge, "dismiss")
    identify(web, anonymousId="tablet", userId="3")
    newer = HeldMerge.objects.latest("pk")
    sentence = f"^Waiting merge {held_merge.pk} was asked for again and waits as waiting merge {newer.pk}; decide that one.$"
    with pytest.raises(Conflict, match=sentence):
        reopen_held_merge(held_merge_id=held_merge.pk, actor=SYSTEM)


def test_a_join_asked_for_again_meanwhile_waits_once(held_merge: HeldMerge, web: Sender) -> None:
    decide(held_merge, "block")
    again = HeldMerge.objects.create(
        source=web.source,
        reason="value",
        type=held_merge.type,
        value="tablet",
        profile=held_merge.profile,
        other=held_merge.other,
    )
    done = reopen(held_merge)
    assert done.message.endswith(" again. 1 merge waits already, requested again since then.")
    assert states() == ["dismissed", "open", "open"]
    assert again.pk not in done.reopened


# --- Doors --------------------------------------------------------------------------------------------------


def test_inbox(held_merge: HeldMerge, client: Client, ada: User, sam: User, olga: User) -> None:
    page = f"{reverse('admin:profiles_heldmerge_changelist')}?state=decided"
    address = reverse("admin:profiles_heldmerge_reopen", args=[held_merge.pk])
    decide(held_merge, "block")
    for person in (olga, sam):  # sam looks, does not decide
        client.force_login(person)
        assert client.post(address).status_code == 403
    assert "Undo the decision" not in client.get(page).content.decode()
    client.force_login(ada)
    assert client.get(address).status_code == 405
    with CaptureQueriesContext(connection) as few:
        assert client.get(page).content.decode().count(">Undo the decision</button>") == 1
    text = client.post(address, {"back": page}, follow=True).content.decode()
    assert f"Browser id tablet is not blocked any more: it identifies #{who('2').pk} again." in text
    assert "1 more with the same decision waits again as well." in text
    assert "Nothing was decided yet" in text
    assert "there is no decision to undo." in client.post(address, follow=True).content.decode()
    decide(held_merge, "merge")
    undo = reverse("admin:profiles_merge_undo", args=[Merge.objects.get().pk])
    with CaptureQueriesContext(connection) as one:
        text = client.get(page).content.decode()
    assert (text.count(">Undo the decision</button>"), text.count(f'href="{undo}"')) == (0, 1)
    assert len(one) == len(few)
    text = client.post(address, {"back": page}, follow=True).content.decode()
    assert text.count(f'href="{undo}"') == 2
    card = client.get(reverse("admin:profiles_profile_change", args=[who("2").pk])).content.decode()
    assert "unblocked" in card


def with_scopes(*scopes: str) -> Caller:
    return Caller(create_key(name="shop", scopes=scopes, actor=SYSTEM))


def test_api(held_merge: HeldMerge) -> None:
    path, api = f"held-joins/{held_merge.pk}/reopen/", with_scopes("admin", "merge", "pii")
    decide(held_merge, "shared")
    for weak in (with_scopes("exports"), with_scopes("profiles:write", "merge")):
        assert weak.post(path).status_code == 403
    tried = api.post(f"{path}?dry_run=true").data
    assert (tried["dry_run"], tried["state"], states()) == (True, "open", ["shared", "shared"])
    done = with_scopes("admin").post(path).data
    assert (done["id"], done["state"], done["was"], len(done["reopened"])) == (
        held_merge.pk,
        "open",
        "shared",
        2,
    )
    assert (done["message"], done["profile_id"]) == ("The merge waits again.", who("2").pk)
    assert refusal(api.post(path)) == (
        409,
        f"Waiting merge {held_merge.pk} is open: there is no decision to undo.",
    )
    assert api.post("held-joins/999/reopen/").status_code == 404
    decide(held_merge, "merge")
    refused, merge = api.post(path), Merge.objects.get().pk
    assert (refused.status_code, refused.data["code"]) == (422, "merged_anyway")
    assert (refused.data["merge_id"], refused.data["unmerge"]) == (merge, f"/api/v1/merges/{merge}/unmerge/")
    assert api.post(refused.data["unmerge"].removeprefix("/api/v1/")).status_code == 200
    done = api.post(path).data
    assert (done["message"], done["reopened"]) == (
        "The merge waits again; its merge was undone.",
        [held_merge.pk],
    )
