"""Deciding about held merges: block, shared device, merge, dismiss; the inbox and the API."""

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
from cdp.errors import Conflict, Invalid, NotFound, RuleForbids
from cdp.invariants import violations
from cdp.models import AuditEntry, User
from profiles.editing import set_lock
from profiles.models import Change, HeldMerge, Identifier, IdentifierType, LinkInterval, Merge, Profile
from profiles.tracking.pending.decide_held import decide_held_merge, decide_held_merges
from profiles.tracking.sources.write_keys import Sender
from tests.api.caller import Caller, refusal
from tests.profile_factory import make_profile
from tests.tracking.calls import call, events_of, holder, identify, make_sender, send_item, track

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()


def ago(**delta: float) -> str:
    return (timezone.now() - datetime.timedelta(**delta)).isoformat()


def who(user: str) -> Profile:
    profile = holder("customer_id", user)
    assert profile is not None
    return profile


def tablet() -> Profile:
    profile = holder("anonymous_id", "tablet")
    assert profile is not None
    return profile


@pytest.fixture
def web(db: None) -> Sender:
    return make_sender("web", name="Shop")


@pytest.fixture
def held_merge(web: Sender, settings: Any) -> HeldMerge:
    """A tablet that was people 1 and 2 before 3 and 4 came; 2 has it."""
    settings.CDP_BREAKER_PEOPLE = 3
    for hour, user in ((5, "1"), (4, "2"), (3, "3"), (2, "4")):
        identify(web, anonymousId="tablet", userId=user, timestamp=ago(hours=hour))
    first, _ = HeldMerge.objects.order_by("pk")
    return first


def decide(held_merge: HeldMerge, decision: str) -> Any:
    return decide_held_merge(held_merge_id=held_merge.pk, decision=decision, actor=SYSTEM)


def test_a_blocked_value_identifies_nobody(held_merge: HeldMerge, web: Sender) -> None:
    done = decide(held_merge, "block")
    assert done.message == "Browser id tablet is blocked: it identifies nobody from now on."
    assert (len(done.decided), set(HeldMerge.objects.values_list("state", flat=True))) == (2, {"blocked"})
    assert "tablet" in IdentifierType.objects.get(name="anonymous_id").blocked_values
    assert holder("anonymous_id", "tablet") is None
    change = Change.objects.latest("pk")
    assert (change.profile_id, change.fields) == (who("2").pk, {"blocked": [[], ["anonymous_id:tablet"]]})
    assert AuditEntry.objects.get(action="heldmerge.decide").detail["decided"] == 2
    from cdp.ttl_cache import forget_all

    forget_all()
    assert track(web, anonymousId="tablet").outcome == "blocked_value"
    assert identify(web, anonymousId="tablet", userId="5").outcome == "applied"
    assert violations() == []


def test_a_shared_device_joins_nobody_and_has_a_profile_of_its_own(
    held_merge: HeldMerge, web: Sender
) -> None:
    before = events_of(who("2"))
    done = decide(held_merge, "shared")
    assert done.message == "Browser id tablet is a shared device: nobody is merged by it from now on."
    assert (done.decided, tablet().pk, tablet().is_recognized) == (
        sorted(HeldMerge.objects.values_list("pk", flat=True)),
        done.profile_id,
        False,
    )
    rows = LinkInterval.objects.order_by("pk")
    assert [row.profile_id for row in rows] == [who("1").pk, who("2").pk, tablet().pk]
    assert (rows[1].ended_at, rows[2].ended_at) == (rows[2].started_at, None)

    track(web, "Looked", anonymousId="tablet")
    assert (events_of(tablet()), events_of(who("2"))) == (["Looked"], before)
    # What happened before and comes late is still theirs.
    track(web, "Late", anonymousId="tablet", timestamp=ago(hours=3.5))
    assert events_of(who("2")) == [*before, "Late"]
    # People who log in on it are themselves, and nobody else afterwards.
    result = identify(web, anonymousId="tablet", userId="5")
    assert (result.outcome, result.profile_id, Merge.objects.count()) == ("applied", who("5").pk, 0)
    (problem,) = result.problems
    assert (problem["code"], problem["pointer"], problem["value"]) == ("not_linked", "/anonymousId", "tablet")
    assert problem["message"] == (
        "This Browser id is a shared device's, so it was not given to the person; it stays with the event."
    )
    assert send_item(web, "alias", previousId="tablet", userId="6").outcome == "applied"
    call(web, {"type": "identify", "anonymousId": "tablet", "userId": "7"})
    assert (Merge.objects.count(), HeldMerge.objects.filter(state="open").count()) == (0, 0)
    assert len({who(user).pk for user in "1234567"} | {tablet().pk}) == 8
    track(web, "Looked again", anonymousId="tablet")
    assert events_of(tablet()) == ["Looked", "Looked again"]
    assert violations() == []


def test_only_devices_are_shared(web: Sender) -> None:
    a, b = make_profile(email="a@example.com"), make_profile(email="b@example.com")
    kind = IdentifierType.objects.get(name="email")
    held_merge = HeldMerge.objects.create(
        source=web.source, reason="rate", type=kind, value="a@example.com", profile=b, other=a
    )
    with pytest.raises(RuleForbids, match="^E-mail a@example.com is not a device: only soft identifiers"):
        decide(held_merge, "shared")
    held_merge.refresh_from_db()
    assert held_merge.state == "open"
    decide(held_merge, "block")
    assert not Profile.objects.get(pk=a.pk).is_recognized
    assert violations() == []


def test_merging_anyway_makes_one_person_of_two(held_merge: HeldMerge) -> None:
    done = decide(held_merge, "merge")
    assert (done.decided, done.profile_id) == ([held_merge.pk], who("3").pk)
    assert who("3").pk == who("2").pk
    merge = Merge.objects.get()
    assert (merge.cause, done.message) == (
        "request",
        f"#{merge.loser_id} was merged into #{merge.winner_id}.",
    )
    assert HeldMerge.objects.filter(state="open").count() == 1
    with pytest.raises(
        Conflict, match=f"^Waiting merge {held_merge.pk} was decided already: merged anyway.$"
    ):
        decide(held_merge, "block")
    assert violations() == []


def test_what_may_not_be_merged_stays_open(held_merge: HeldMerge, web: Sender) -> None:
    set_lock(profile_id=who("3").pk, is_locked=True, actor=SYSTEM, source=web.source)
    with pytest.raises(RuleForbids, match="locked"):
        decide(held_merge, "merge")
    many = decide_held_merges(
        held_merge_ids=HeldMerge.objects.order_by("pk").values_list("pk", flat=True),
        decision="merge",
        actor=SYSTEM,
    )
    assert (len(many.decided), len(many.problems)) == (1, 1)
    held_merge.refresh_from_db()
    assert held_merge.state == "open"
    with pytest.raises(NotFound, match="^There is no waiting merge 999.$"):
        decide_held_merge(held_merge_id=999, decision="merge", actor=SYSTEM)
    with pytest.raises(Invalid, match="^The decision is one of block, shared, merge, dismiss, not “eat”.$"):
        decide(held_merge, "eat")


def test_a_dismissed_join_comes_back_when_it_is_asked_for_again(held_merge: HeldMerge, web: Sender) -> None:
    assert decide(held_merge, "dismiss").decided == [held_merge.pk]
    identify(web, anonymousId="tablet", userId="3", timestamp=ago(hours=1))
    assert sorted(HeldMerge.objects.filter(profile=held_merge.profile).values_list("state", flat=True)) == [
        "dismissed",
        "open",
    ]


# --- Doors -------------------------------------------------------------------------------------------------


def test_inbox(
    held_merge: HeldMerge, client: Client, ada: User, sam: User, olga: User, settings: Any
) -> None:
    page, address = reverse("admin:profiles_heldmerge_changelist"), reverse("admin:profiles_heldmerge_decide")
    client.force_login(olga)
    assert client.get(page).status_code == 403
    client.force_login(sam)  # looks, does not decide
    text = client.get(page).content.decode()
    assert "tablet was used by 4 people" in text
    assert "a family&#x27;s computer or a made-up value, not for one person." in text
    assert "Block this browser id" not in text
    assert client.post(address, {"do": f"block:{held_merge.pk}"}).status_code == 403
    client.force_login(ada)
    with CaptureQueriesContext(connection) as few:
        text = client.get(page).content.decode()
    assert text.count("Block this browser id") == 1
    assert text.index(">Shared device<") < text.index("Block this browser id")
    for person in (who("3"), who("4")):
        assert f"ids={person.pk}&amp;ids={who('2').pk}" in text
    for do in ("eat", "merge", f"merge:{held_merge.pk}"):  # merging goes through its preview alone
        text = client.post(address, {"do": do}, follow=True).content.decode()
        assert "Choose what to do with the cases." in text
    assert not Merge.objects.exists()
    assert (
        "Tick at least one case first." in client.post(address, {"do": "block"}, follow=True).content.decode()
    )
    text = client.post(address, {"do": f"shared:{held_merge.pk}", "back": page}, follow=True).content.decode()
    assert (
        "Browser id tablet is a shared device: nobody is merged by it from now on."
        " 2 merges waited for this; nobody was merged." in text
    )
    assert "No merge waits" in text
    decided = client.get(f"{page}?state=decided").content.decode()
    assert decided.count("shared device</span>") == 1
    assert "by ada" in decided
    assert "“eaten” is not a state." in client.get(f"{page}?state=eaten").content.decode()
    assert "No waiting merge fits" in client.get(f"{page}?source=Nobody").content.decode()
    # Many, with pages.
    kind = held_merge.type
    people = [make_profile() for _ in range(3)]
    HeldMerge.objects.bulk_create(
        HeldMerge(
            source=held_merge.source,
            reason="rate",
            type=kind,
            value=f"v{n}",
            profile=people[0],
            other=people[1],
        )
        for n in range(45)
    )
    with CaptureQueriesContext(connection) as many:
        first = client.get(page)
    assert len(many) == len(few)
    assert "had reached its limit of 1,000 automatic merges per hour" in first.content.decode()
    older = first.context["older_url"]
    second = client.get(page + older)
    third = client.get(page + second.context["older_url"])
    titles = [row.title for view in (first, second, third) for row in view.context["rows"]]
    assert titles == [f"v{n} would merge 2 people" for n in reversed(range(45))]
    assert (third.context["older_url"], first.context["newer_url"]) == ("", "")
    back = client.get(page + third.context["newer_url"])
    assert [row.title for row in back.context["rows"]] == [row.title for row in second.context["rows"]]
    ids = list(HeldMerge.objects.filter(state="open").values_list("pk", flat=True)[:3])
    text = client.post(address, {"do": "dismiss", "ids": ids}, follow=True).content.decode()
    assert "Decided. 3 merges waited for this; nobody was merged." in text


def test_leaving_a_case_dismisses_every_merge_of_its_value(
    held_merge: HeldMerge, client: Client, ada: User
) -> None:
    address = reverse("admin:profiles_heldmerge_decide")
    client.force_login(ada)
    assert client.post(address, {"do": "dismiss:999999"}).status_code == 302
    text = client.post(address, {"do": f"dismiss:{held_merge.pk}"}, follow=True).content.decode()
    assert "Decided. 2 merges waited for this; nobody was merged." in text
    assert set(HeldMerge.objects.values_list("state", flat=True)) == {"dismissed"}
    page = client.get(f"{reverse('admin:profiles_heldmerge_changelist')}?state=decided")
    assert [(row.title, row.case.merges) for row in page.context["rows"]] == [
        ("tablet was used by 4 people", 2)
    ]


def test_what_was_merged_on_its_preview_waits_no_more(
    held_merge: HeldMerge, client: Client, ada: User
) -> None:
    from profiles.merging.unmerge import unmerge_profiles

    page = reverse("admin:profiles_heldmerge_changelist")
    client.force_login(ada)
    wizard = client.get(
        reverse("admin:profiles_profile_merge"), {"ids": [who("3").pk, who("2").pk]}, follow=True
    )
    preview = wizard.context["preview"]
    sent = {"winner": preview.winner_id, "loser": preview.loser_id, "preview_hash": preview.preview_hash}
    client.post(reverse("admin:profiles_profile_merge"), sent)
    merge = Merge.objects.get()

    def waiting() -> list[list[int]]:
        rows = client.get(page).context["rows"]
        return [[candidate.profile.pk for candidate in row.candidates] for row in rows]

    assert waiting() == [[who("4").pk]]
    unmerge_profiles(merge_id=merge.pk, actor=SYSTEM, source=held_merge.source)
    assert waiting() == [[who("4").pk, who("3").pk]]


def with_scopes(*scopes: str) -> Caller:
    return Caller(create_key(name="shop", scopes=scopes, actor=SYSTEM))


def test_api(held_merge: HeldMerge, web: Sender) -> None:
    api = with_scopes("admin", "merge", "pii")
    rows = api.get("held-joins/?source=Shop").data["results"]
    assert [row["profile_id"] for row in rows] == [who("4").pk, who("3").pk]
    assert (rows[1]["value"], rows[1]["people"], rows[1]["other_id"]) == ("tablet", 3, who("2").pk)
    masked = with_scopes("admin").get("held-joins/").data["results"]
    assert {row["value"] for row in masked} == {"ta•••"}
    assert refusal(api.get("held-joins/?state=eaten"))[0] == 400
    assert api.get("held-joins/?sauce=1").status_code == 400
    path = f"held-joins/{held_merge.pk}/decide/"
    assert with_scopes("profiles:write").post(path, {"decision": "block"}).status_code == 403
    assert with_scopes("admin").post(path, {"decision": "merge"}).status_code == 403
    assert api.post(f"{path}?dry_run=true", {"decision": "merge"}).data["dry_run"] is True
    assert HeldMerge.objects.filter(state="open").count() == 2
    done = with_scopes("admin").post(path, {"decision": "shared"}).data
    assert (done["state"], done["message"], len(done["decided"])) == ("shared", "Shared device.", 2)
    assert refusal(api.post(path, {"decision": "merge"})) == (
        409,
        f"Waiting merge {held_merge.pk} was decided already: shared device.",
    )
    assert api.post("held-joins/999/decide/", {"decision": "merge"}).status_code == 404
    assert [row["state"] for row in api.get("held-joins/?state=decided").data["results"]] == ["shared"] * 2
    assert Identifier.objects.filter(value="tablet", resolves=True).count() == 1
