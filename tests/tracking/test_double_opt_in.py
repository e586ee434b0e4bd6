"""Double opt-in: what waits resolves to nobody; what is confirmed resolves, merges two, or stays apart."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.errors import Conflict, Forbidden, Invalid, NotFound
from cdp.invariants import violations
from cdp.jobs import run_to_end
from cdp.models import AuditEntry, OutboxMessage, User
from profiles.builtin_sources import builtin_source
from profiles.editing import attach_identifier, detach_identifier, set_lock
from profiles.identity.change_rules import recheck_type
from profiles.identity.lookup import find_profile
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import Change, DuplicatePair, Identifier, IdentifierType, Merge, Profile
from profiles.pairs.verdicts import set_verdict
from profiles.privacy.delete import delete_profiles
from profiles.privacy.restore import restore_profile
from profiles.search.search import search
from profiles.tracking.pending.double_opt_in import ConfirmedIdentifier, confirm_identifier, confirm_waiting
from profiles.tracking.sources.write_keys import Sender
from tests.api.caller import Caller, refusal
from tests.imports.files import applied
from tests.profile_factory import make_profile
from tests.tracking.calls import events_of, holder, identify, make_sender

pytestmark = pytest.mark.django_db
ANN = "ann@example.com"


def by() -> dict[str, Any]:
    return {"actor": Actor.system(), "source": builtin_source("staff")}


@pytest.fixture
def shop(db: None) -> Sender:
    return make_sender("server", needs_confirmation=True)


def visitor(shop: Sender, browser: str = "b1", email: str = ANN) -> Profile:
    """An anonymous profile at which an address waits."""
    identify(shop, anonymousId=browser, traits={"email": email})
    profile = holder("anonymous_id", browser)
    assert profile is not None
    return profile


def confirm(profile: Profile, email: str = ANN, **more: Any) -> ConfirmedIdentifier:
    return confirm_identifier(profile_id=profile.pk, type_name="email", raw=email, **by(), **more)


def state(profile: Profile, value: str = ANN) -> tuple[bool, bool, bool]:
    """(leads, verified, waits) of the row on this very member."""
    row = Identifier.objects.get(profile=profile, value=value)
    return row.resolves, row.is_verified, row.is_pending


def test_a_free_value_leads_here_once_it_is_confirmed(shop: Sender) -> None:
    who = visitor(shop)
    assert (state(who), holder("email", ANN), who.is_recognized) == ((False, False, True), None, False)
    done = confirm(who, " Ann@Example.com ")
    assert (done.outcome, done.merged, done.message) == ("applied", False, f"E-mail {ANN} is confirmed.")
    assert (done.profile.pk, done.profile.is_recognized, state(who)) == (who.pk, True, (True, True, False))
    change = Change.objects.latest("pk")
    assert (change.profile_id, change.fields) == (who.pk, {"confirmed": [[], [f"email:{ANN}"]]})
    assert AuditEntry.objects.filter(action="profile.confirm", subject=f"profile:{who.pk}").count() == 1
    again = confirm(who)
    assert (again.outcome, again.message) == ("unchanged", f"E-mail {ANN} was confirmed before.")
    assert Change.objects.latest("pk") == change
    assert violations() == []


def test_what_the_person_does_not_hold_is_not_confirmed(shop: Sender) -> None:
    who = visitor(shop)
    with pytest.raises(NotFound, match=f"^Profile #{who.pk} has no email “x@example.com” to confirm.$"):
        confirm(who, "x@example.com")
    with pytest.raises(Invalid, match="identifies nobody"):
        confirm(who, "test@test.com")
    with pytest.raises(NotFound, match="No profile “999999”"):
        confirm_identifier(profile_id=999999, type_name="email", raw=ANN, **by())
    assert state(who) == (False, False, True)


def test_a_value_of_a_known_person_joins_the_visitor_to_them(shop: Sender) -> None:
    ann = make_profile(email=ANN)
    who = visitor(shop)
    with pytest.raises(Forbidden, match="confirming it would merge the two, and you may not merge"):
        confirm(who, may_merge=False)
    assert not Merge.objects.exists()
    done = confirm(who)
    assert (done.outcome, done.merged, done.profile.pk) == ("merged", True, ann.pk)
    assert done.message == f"E-mail {ANN} is confirmed; #{who.pk} was merged into #{ann.pk}, who had it."
    assert (state(ann), state(who)) == ((True, True, False), (False, True, False))
    assert events_of(ann) == ["identify"]
    assert confirm(who).outcome == "unchanged"
    assert Merge.objects.count() == 1
    # Taken back, each has what was theirs; the visitor's address is known to be theirs, too.
    unmerge_profiles(merge_id=Merge.objects.get().pk, **by())
    assert (state(ann), state(who)) == ((True, True, False), (False, True, False))
    assert confirm(who).outcome == "conflict"
    assert violations() == []


def test_an_anonymous_profile_with_the_value_joins_the_person_who_confirms(shop: Sender) -> None:
    email = IdentifierType.objects.get(name="email")
    IdentifierType.objects.filter(pk=email.pk).update(is_main=False)
    other = make_profile(email=ANN)
    ann = make_profile(identifiers=[("customer_id", "1")])
    assert not Profile.objects.get(pk=other.pk).is_recognized
    Identifier.objects.create(
        profile=ann, type=email, value=ANN, source=shop.source, resolves=False, is_pending=True
    )
    done = confirm(ann)
    assert (done.outcome, done.profile.pk) == ("merged", ann.pk)
    assert done.message == f"E-mail {ANN} is confirmed; #{other.pk}, who had it, was merged into #{ann.pk}."
    assert violations() == []


def test_two_known_people_are_suggested_and_stay_two(shop: Sender) -> None:
    ann = make_profile(email=ANN)
    identify(shop, userId="2", traits={"email": ANN})
    bob = holder("customer_id", "2")
    assert bob is not None
    assert not DuplicatePair.objects.exists()
    done = confirm(bob)
    assert (done.outcome, done.merged) == ("conflict", False)
    assert done.message == (
        f"E-mail {ANN} belongs to #{ann.pk}, and a confirmation never merges two recognized people."
        f" It was confirmed and kept at #{bob.pk} for contact only."
    )
    assert (state(ann)[0], state(bob)) == (True, (False, True, False))
    pair = DuplicatePair.objects.get()
    assert ({pair.a_id, pair.b_id}, pair.verdict) == ({ann.pk, bob.pk}, "open")
    count = Change.objects.count()
    assert (confirm(bob).outcome, Change.objects.count()) == ("conflict", count)
    assert violations() == []


def test_locks_and_verdicts_are_respected(shop: Sender) -> None:
    ann = make_profile(email=ANN)
    locked, decided = visitor(shop, "b1"), visitor(shop, "b2")
    set_lock(profile_id=locked.pk, is_locked=True, **by())
    set_verdict(a_id=ann.pk, b_id=decided.pk, verdict="not_duplicate", actor=Actor.system())
    assert f"and #{locked.pk} is locked against merging. It was" in confirm(locked).message
    done = confirm(decided)
    assert (done.outcome, f"that #{ann.pk} and #{decided.pk} are not duplicates. It" in done.message) == (
        "conflict",
        True,
    )
    assert not Merge.objects.exists()
    assert DuplicatePair.objects.get(b=decided).verdict == "not_duplicate"


def confirm_all(email: str = ANN) -> ConfirmedIdentifier:
    return confirm_waiting(type_name="email", raw=email, **by())


def test_one_waiting_person_is_found_by_the_value_alone(shop: Sender) -> None:
    one, two = visitor(shop, "b1"), visitor(shop, "b2")
    detach_identifier(profile_id=two.pk, type_name="email", raw=ANN, **by())
    assert (confirm_all().outcome, confirm_all().outcome) == ("applied", "unchanged")
    assert holder("email", ANN) == one
    with pytest.raises(NotFound, match="^Nobody waits for email “x@example.com” to be confirmed.$"):
        confirm_all("x@example.com")


def test_all_browsers_that_wait_for_a_value_become_one_person(shop: Sender) -> None:
    one, two, three = (visitor(shop, browser) for browser in ("b1", "b2", "b3"))
    set_lock(profile_id=three.pk, is_locked=True, **by())
    done = confirm_all()
    assert (done.outcome, done.merged, done.profile.pk) == ("merged", True, one.pk)
    assert done.message == (
        f"E-mail {ANN} is confirmed."
        f" E-mail {ANN} is confirmed; #{two.pk} was merged into #{one.pk}, who had it."
        f" E-mail {ANN} belongs to #{one.pk}, and #{three.pk} is locked against merging."
        f" It was confirmed and kept at #{three.pk} for contact only."
    )
    assert find_profile("anonymous_id:b2").root.pk == find_profile(f"email:{ANN}").root.pk == one.pk
    assert find_profile("anonymous_id:b3").root.pk == three.pk
    assert not Identifier.objects.filter(is_pending=True).exists()
    assert violations() == []
    unmerge_profiles(merge_id=Merge.objects.get().pk, **by())
    assert find_profile("anonymous_id:b2").root.pk == two.pk
    assert violations() == []


def test_a_known_person_among_those_who_wait_survives(shop: Sender) -> None:
    stranger = visitor(shop, "b1")
    identify(shop, userId="42", traits={"email": ANN})
    known = holder("customer_id", "42")
    assert known is not None
    done = confirm_all()
    assert (done.outcome, done.profile.pk) == ("merged", known.pk)
    assert find_profile(stranger.pk).root.pk == known.pk


def test_more_than_one_person_has_browsers_are_not_merged_at_once(
    shop: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("profiles.tracking.pending.double_opt_in.MAX_WAITING", 2)
    for number in range(3):
        visitor(shop, f"b{number}")
    with pytest.raises(
        Conflict,
        match=f"^3 people wait for email “{ANN}” to be confirmed, more than one person has browsers.",
    ):
        confirm_all()
    assert not Merge.objects.exists()


def recheck(kind: IdentifierType) -> None:
    job = recheck_type(type_id=kind.pk, actor=Actor.system())
    assert job is not None
    run_to_end(job)


def test_what_waits_leads_nowhere_whatever_happens_to_the_person(shop: Sender) -> None:
    who, other = visitor(shop), make_profile(first_name="Ann")
    with pytest.raises(NotFound):
        find_profile(f"email:{ANN}")
    recheck(IdentifierType.objects.get(name="email"))
    assert state(who) == (False, False, True)
    delete_profiles(profile_ids=[who.pk], reason="", **by())
    restore_profile(profile_id=who.pk, **by())
    assert state(who) == (False, False, True)
    merge_id = merge_profiles(winner_id=other.pk, loser_id=who.pk, **by()).merge_id
    assert state(who) == (False, False, True)
    assert violations() == []
    # Confirmed while it is merged away, the value goes back with the visitor.
    assert confirm(other).profile.pk == other.pk
    assert find_profile(f"email:{ANN}").root.pk == other.pk
    unmerge_profiles(merge_id=merge_id, **by())
    assert find_profile(f"email:{ANN}").root.pk == who.pk
    assert (Profile.objects.get(pk=who.pk).is_recognized, Profile.objects.get(pk=other.pk).is_recognized) == (
        True,
        False,
    )
    assert violations() == []


def test_a_value_somebody_else_waits_for_is_free(shop: Sender) -> None:
    who = visitor(shop)
    ann = make_profile(email=ANN)
    assert holder("email", ANN) == ann
    # A type that starts to lead counts nobody who only waits.
    email = IdentifierType.objects.get(name="email")
    Identifier.objects.filter(profile=ann).update(resolves=False)
    recheck(email)
    assert (holder("email", ANN), state(who)) == (ann, (False, False, True))


def test_staff_and_sources_that_ask_for_no_confirmation_need_none(shop: Sender) -> None:
    who = visitor(shop)
    done = attach_identifier(profile_id=who.pk, type_name="email", raw=ANN, **by())
    assert (done.is_new, state(who)) == (True, (True, False, False))
    identify(shop, userId="2", traits={"email": "bob@example.com"})
    identify(make_sender("server"), userId="2", traits={"email": "bob@example.com"})
    bob = holder("customer_id", "2")
    assert bob is not None
    assert (holder("email", "bob@example.com"), state(bob, "bob@example.com")) == (bob, (True, False, False))
    assert violations() == []


def test_a_file_confirms_nothing(shop: Sender) -> None:
    who = visitor(shop)
    job = applied(f"anonymous_id,email,city\nb1,{ANN},Oslo\n")
    who.refresh_from_db()
    assert (job.state, who.city, who.is_recognized) == ("done", "Oslo", False)
    assert state(who) == (False, False, True)
    assert violations() == []


def test_search_says_that_a_value_waits(shop: Sender) -> None:
    who = visitor(shop)
    with CaptureQueriesContext(connection) as queries:
        row = search(ANN).by_root[who.pk]
    assert row.explain() == f"Found by E-mail: {ANN} (waiting for confirmation)"
    ann = make_profile(email=ANN)
    assert search(ANN).by_root[ann.pk].explain() == f"Found by E-mail: {ANN}"
    assert len(queries) < 15


def test_webhooks_hear_of_it(shop: Sender) -> None:
    from cdp.models import Webhook

    Webhook.objects.create(name="a", url="https://203.0.113.1/", topics=["profile.updated"])
    who = visitor(shop)
    OutboxMessage.objects.all().delete()
    confirm(who)
    assert OutboxMessage.objects.get().payload["fields"] == ["identifiers"]


# --- Doors -------------------------------------------------------------------------------------------------


def with_scopes(*scopes: str) -> Caller:
    return Caller(create_key(name="shop", scopes=scopes, actor=Actor.system()))


def test_api(shop: Sender) -> None:
    who = visitor(shop)
    path = f"profiles/{who.pk}/identifiers/email/{ANN}/confirm/"
    for scopes in (["profiles:write", "pii"], ["merge", "pii"]):
        assert with_scopes(*scopes).post(path).status_code == 403
    api = with_scopes("profiles:write", "merge", "pii")
    rehearsed = api.post(f"{path}?dry_run=true").data
    assert (rehearsed["outcome"], rehearsed["dry_run"], state(who)) == ("applied", True, (False, False, True))
    assert api.get(f"profiles/{who.pk}/").data["identifiers"][0]["pending"] is True
    first = api.post(path, Idempotency_Key="k1")
    assert (first.status_code, first.data["outcome"], first.data["profile_id"]) == (200, "applied", who.pk)
    assert (first.data["identifier"]["pending"], first.data["identifier"]["verified"]) == (False, True)
    assert api.post(path, Idempotency_Key="k1").data == first.data
    assert api.post(path).data["outcome"] == "unchanged"
    masked = with_scopes("profiles:write", "merge").post(
        "identifiers/confirm/", {"type": "email", "value": ANN}
    )
    assert (masked.status_code, masked.data["outcome"], ANN in str(masked.data)) == (
        200,
        "unchanged",
        False,
    )
    wrong = api.post("identifiers/confirm/", {"type": "email", "value": "x@example.com"})
    assert refusal(wrong) == (404, "Nobody waits for email “x@example.com” to be confirmed.")
    assert api.post("identifiers/confirm/", {"type": "email"}).status_code == 400


def test_card(shop: Sender, client: Client, sam: User, vic: User) -> None:
    who = visitor(shop)
    card = reverse("admin:profiles_profile_change", args=[who.pk])
    address = reverse("admin:profiles_profile_identifier_confirm", args=[who.pk])
    client.force_login(vic)
    page = client.get(card).content.decode()
    assert ("waiting for confirmation" in page, address in page) == (True, False)
    assert client.post(address, {"type": "email", "value": ANN}).status_code == 403
    client.force_login(sam)
    page = client.get(card).content.decode()
    assert f'action="{address}"' in page
    assert "contact only" not in page
    page = client.post(address, {"type": "email", "value": ANN}, follow=True).content.decode()
    assert f"E-mail {ANN} is confirmed." in page
    assert "waiting for confirmation" not in page
    assert f"Identifier <b>email {ANN}</b> confirmed" in page
    assert state(who) == (True, True, False)
