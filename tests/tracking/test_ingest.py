"""Whom calls are about and what becomes of them: identity from traffic, receipts, journal."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone

from cdp.ttl_cache import forget_all
from profiles.editing import set_lock
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import (
    AttributeDefinition,
    Change,
    Consent,
    DuplicatePair,
    Event,
    HeldMerge,
    Identifier,
    IdentifierType,
    LinkInterval,
    Merge,
    Profile,
    Receipt,
    Source,
)
from profiles.tracking.ingest.ingest import StrictModeRefused
from profiles.tracking.sources.user_hash import sign_user
from profiles.tracking.sources.write_keys import Sender
from tests.profile_factory import make_profile
from tests.tracking.calls import call, events_of, holder, identify, make_sender, receipts, send_item, track

pytestmark = pytest.mark.django_db


@pytest.fixture
def server(db: None) -> Sender:
    return make_sender("server")


@pytest.fixture
def web(db: None) -> Sender:
    return make_sender("web")


def ago(**delta: float) -> str:
    return (timezone.now() - datetime.timedelta(**delta)).isoformat()


# --- Anonymous becomes known ---------------------------------------------------------------------


def test_an_anonymous_visitor_becomes_known_and_keeps_their_history(web: Sender) -> None:
    track(web, "Product Viewed", anonymousId="b1", timestamp=ago(hours=1))
    visitor = holder("anonymous_id", "b1")
    assert (visitor.is_recognized, visitor.source_id) == (False, web.source.pk)

    result = identify(
        web, anonymousId="b1", userId="42", traits={"email": "Ann@Example.com", "firstName": "Ann"}
    )
    track(web, "Order Completed", userId="42")
    assert (result.outcome, result.profile_id) == ("applied", visitor.pk)
    profile = holder("customer_id", "42")
    assert profile.pk == visitor.pk == holder("email", "ann@example.com").pk
    assert (profile.is_recognized, profile.first_name, profile.email) == (True, "Ann", "ann@example.com")
    assert events_of(profile) == ["Product Viewed", "identify", "Order Completed"]
    change = Change.objects.get(profile=profile, kind="updated")
    assert (change.cause, change.cause_id) == ("event", Event.objects.get(kind="identify").pk)
    assert change.fields == {
        "email": [None, "ann@example.com"],
        "first_name": [None, "Ann"],
        "identifiers": [[], ["customer_id:42", "email:ann@example.com"]],
    }


def test_a_browser_joins_the_known_person_and_late_events_follow(web: Sender, server: Sender) -> None:
    identify(server, userId="42", traits={"firstName": "Ann"})
    known = holder("customer_id", "42")
    track(web, "Product Viewed", anonymousId="b1", timestamp=ago(hours=2))
    visitor = holder("anonymous_id", "b1")

    result = identify(web, anonymousId="b1", userId="42")
    assert (result.outcome, result.profile_id) == ("merged", known.pk)
    track(web, "Added to Cart", anonymousId="b1", timestamp=ago(hours=3))  # sent late by the browser
    assert events_of(known) == ["Added to Cart", "Product Viewed", "identify", "identify"]
    merge = Merge.objects.get()
    assert (merge.winner_id, merge.loser_id, merge.cause) == (known.pk, visitor.pk, "event")
    assert merge.cause_id == Event.objects.get(message_id=result.message_id).pk

    # What arrived by the browser goes back with it.
    unmerge_profiles(merge_id=merge.pk, actor=server_actor(), source=server.source)
    assert events_of(visitor) == ["Added to Cart", "Product Viewed"]
    assert events_of(known) == ["identify", "identify"]
    # And what staff decided binds traffic.
    again = identify(web, anonymousId="b1", userId="42")
    assert (again.outcome, again.code) == ("conflict", "verdict")
    assert again.profile_id == known.pk


def server_actor() -> Any:
    from cdp.actors import Actor

    return Actor.system()


def test_a_whole_visit_in_one_batch_makes_one_person(web: Sender) -> None:
    received = call(
        web,
        {"type": "page", "anonymousId": "b1", "name": "Home"},
        {"type": "track", "event": "Looked", "anonymousId": "b1"},
        {"type": "identify", "anonymousId": "b1", "userId": "42", "traits": {"email": "ann@example.com"}},
        {"type": "track", "event": "Bought", "userId": "42"},
        {"type": "track", "event": "Looked again", "anonymousId": "b1"},
    )
    assert [result.outcome for result in received.results] == ["applied"] * 5
    profile = Profile.objects.get()
    assert {result.profile_id for result in received.results} == {profile.pk}
    assert (profile.is_recognized, Merge.objects.count(), Event.objects.count()) == (True, 0, 5)
    # Each value is credited to the item that brought it, not to the one that came first.
    created, identified = Change.objects.order_by("pk")
    assert (created.kind, identified.kind) == ("created", "updated")
    assert created.fields["identifiers"] == [[], ["anonymous_id:b1"]]
    assert identified.fields["identifiers"] == [[], ["customer_id:42", "email:ann@example.com"]]
    assert identified.fields["email"] == [None, "ann@example.com"]
    kinds = dict(Event.objects.values_list("pk", "kind"))
    assert (kinds[created.cause_id], kinds[identified.cause_id]) == ("page", "identify")
    assert profile.first_seen_at <= profile.last_seen_at


def test_known_and_new_ids_together_attach_the_new_ones(server: Sender) -> None:
    ann = make_profile(email="ann@example.com")
    result = identify(
        server,
        userId="42",
        traits={"email": "ann@example.com"},
        context={"externalIds": [{"type": "phone", "id": "+48601234567"}, {"type": "shoe", "id": "9"}]},
    )
    assert (result.outcome, result.profile_id) == ("applied", ann.pk)
    assert holder("customer_id", "42").pk == ann.pk
    phone = Identifier.objects.get(type__name="phone", value="+48601234567")
    assert (phone.profile_id, phone.resolves) == (ann.pk, False)
    problem = Receipt.objects.get().problems[0]
    assert problem["message"] == (
        "“shoe” is not an identifier type. Known types: customer_id, email, phone, anonymous_id."
    )


# --- People who stay apart --------------------------------------------------------------


def test_two_family_members_with_one_email_stay_two(server: Sender) -> None:
    identify(server, userId="1", traits={"email": "home@example.com", "firstName": "Ann"})
    result = identify(server, userId="2", traits={"email": "home@example.com", "firstName": "Bob"})
    ann, bob = holder("customer_id", "1"), holder("customer_id", "2")
    assert ann.pk != bob.pk
    assert (result.outcome, result.code, result.profile_id) == ("conflict", "identifier_clash", bob.pk)
    assert result.message == "E-mail home@example.com belongs to another person; kept here for contact only."
    assert holder("email", "home@example.com").pk == ann.pk
    assert (bob.email, bob.first_name) == ("home@example.com", "Bob")
    pair = DuplicatePair.objects.get()
    assert ({pair.a_id, pair.b_id}, pair.verdict) == ({ann.pk, bob.pk}, "open")
    assert pair.reasons[0]["text"] == "Both came with the email home@example.com."
    # Said again, nothing new happens.
    identify(server, userId="2", traits={"email": "home@example.com"})
    assert (DuplicatePair.objects.count(), Identifier.objects.filter(type__name="email").count()) == (1, 2)


def test_two_known_people_are_never_merged_by_a_call(server: Sender) -> None:
    ann = make_profile(identifiers=[("customer_id", "1")])
    bob = make_profile(email="bob@example.com")
    result = identify(server, userId="1", traits={"email": "bob@example.com"})
    assert (result.outcome, result.profile_id) == ("conflict", ann.pk)
    assert (Merge.objects.count(), DuplicatePair.objects.count()) == (0, 1)
    assert holder("email", "bob@example.com").pk == bob.pk


def test_a_shared_browser_changes_hands_and_history_stays(web: Sender) -> None:
    track(web, "Ann looked", anonymousId="b1", timestamp=ago(hours=5))
    identify(web, anonymousId="b1", userId="1", timestamp=ago(hours=4))
    track(web, "Ann again", anonymousId="b1", timestamp=ago(hours=3))
    result = identify(web, anonymousId="b1", userId="2", timestamp=ago(hours=2))
    track(web, "Bob looked", anonymousId="b1", timestamp=ago(hours=1))
    ann, bob = holder("customer_id", "1"), holder("customer_id", "2")
    assert (result.outcome, result.profile_id, Merge.objects.count()) == ("applied", bob.pk, 0)
    assert holder("anonymous_id", "b1").pk == bob.pk

    track(web, "Ann, late", anonymousId="b1", timestamp=ago(hours=4.5))
    assert events_of(ann) == ["Ann looked", "Ann, late", "identify", "Ann again"]
    assert events_of(bob) == ["identify", "Bob looked"]
    assert list(LinkInterval.objects.values_list("profile_id", flat=True)) == [ann.pk, bob.pk]
    first, last = LinkInterval.objects.all()
    assert (first.started_at, first.ended_at, last.ended_at) == (None, last.started_at, None)
    # And back again.
    identify(web, anonymousId="b1", userId="1", timestamp=ago(minutes=30))
    track(web, "Ann is back", anonymousId="b1")
    assert events_of(ann)[-1] == "Ann is back"
    assert LinkInterval.objects.count() == 3


def test_a_browser_is_not_passed_on_within_a_batch_before_its_first_owner(web: Sender) -> None:
    received = call(
        web,
        {"type": "identify", "anonymousId": "b1", "userId": "1", "timestamp": ago(hours=3)},
        {"type": "track", "event": "A", "anonymousId": "b1", "timestamp": ago(hours=2.5)},
        {"type": "identify", "anonymousId": "b1", "userId": "2", "timestamp": ago(hours=2)},
        {"type": "track", "event": "B", "anonymousId": "b1", "timestamp": ago(hours=1)},
    )
    assert [result.outcome for result in received.results] == ["applied"] * 4
    ann, bob = holder("customer_id", "1"), holder("customer_id", "2")
    assert (events_of(ann), events_of(bob)) == (["identify", "A"], ["identify", "B"])
    rows = Identifier.objects.filter(type__name="anonymous_id", value="b1").values_list(
        "profile_id", "resolves"
    )
    assert set(rows) == {(ann.pk, False), (bob.pk, True)}


def test_what_a_call_gives_somebody_is_not_the_next_ones(server: Sender) -> None:
    """Both ids that lead to 1 are new in the call: what 1 holds already still keeps 2 and 3 apart."""
    identify(server, userId="1")
    call(
        server,
        {
            "type": "identify",
            "userId": "1",
            "anonymousId": "b1",
            "traits": {"email": "home@example.com"},
            "timestamp": ago(hours=2),
        },
        {"type": "identify", "userId": "2", "anonymousId": "b1", "timestamp": ago(hours=1)},
        {"type": "identify", "userId": "3", "traits": {"email": "home@example.com"}},
    )
    assert len({holder("customer_id", user).pk for user in "123"}) == 3
    assert Merge.objects.count() == 0


def test_a_browser_that_changes_hands_between_people_joined_in_the_same_call() -> None:
    server = make_sender("server", merges_recognized=True)
    identify(server, userId="1", anonymousId="b1")
    identify(server, userId="2")
    received = call(
        server,
        {"type": "track", "event": "A", "userId": "2", "anonymousId": "b2", "timestamp": ago(hours=3)},
        {"type": "identify", "userId": "1", "anonymousId": "b2", "timestamp": ago(hours=2)},
        {"type": "alias", "previousId": "b1", "userId": "2", "timestamp": ago(hours=1)},
    )
    assert [result.outcome for result in received.results] == ["applied", "applied", "merged"]
    assert holder("anonymous_id", "b2") == holder("customer_id", "1") == holder("customer_id", "2")
    assert Identifier.objects.filter(value="b2", resolves=True).count() == 1


def test_an_adopting_call_can_say_no(server: Sender) -> None:
    track(server, "Looked", anonymousId="b1")
    identify(server, anonymousId="b1", userId="1", context={"adopt": False})
    assert holder("anonymous_id", "b1").pk != holder("customer_id", "1").pk
    assert events_of(holder("customer_id", "1")) == ["identify"]


def test_a_browser_of_too_many_people_is_held(web: Sender, settings: Any) -> None:
    settings.CDP_BREAKER_PEOPLE = 3
    for hour, user in ((5, "1"), (4, "2")):
        identify(web, anonymousId="kiosk", userId=user, timestamp=ago(hours=hour))
    result = identify(web, anonymousId="kiosk", userId="3", timestamp=ago(hours=3))
    assert (result.outcome, result.code) == ("conflict", "held")
    assert (
        result.message
        == "Browser id kiosk would merge more people than allowed; it waits under Waiting merges."
    )
    held_merge = HeldMerge.objects.get()
    assert (held_merge.reason, held_merge.people, held_merge.count) == ("value", 3, 1)
    assert (held_merge.profile_id, held_merge.other_id) == (
        holder("customer_id", "3").pk,
        holder("customer_id", "2").pk,
    )
    identify(web, anonymousId="kiosk", userId="3", timestamp=ago(hours=2))
    held_merge.refresh_from_db()
    assert (HeldMerge.objects.count(), held_merge.count) == (1, 2)

    HeldMerge.objects.update(state="shared")
    identify(web, anonymousId="kiosk", userId="4")
    assert holder("anonymous_id", "kiosk").pk == holder("customer_id", "2").pk
    assert HeldMerge.objects.count() == 1


def test_a_source_that_merges_too_much_is_held(server: Sender) -> None:
    Source.objects.filter(pk=server.source.pk).update(merges_per_hour=1)
    server.source.refresh_from_db()
    for user in "12":
        identify(server, userId=user)
        track(server, anonymousId=f"b{user}")
    assert identify(server, userId="1", anonymousId="b1").outcome == "merged"
    result = identify(server, userId="2", anonymousId="b2")
    assert (result.outcome, result.code) == ("conflict", "held")
    assert (Merge.objects.count(), HeldMerge.objects.get().reason) == (1, "rate")


def test_locked_profiles_are_joined_by_nobody(server: Sender) -> None:
    identify(server, userId="1")
    track(server, anonymousId="b1")
    ann, visitor = holder("customer_id", "1"), holder("anonymous_id", "b1")
    set_lock(profile_id=ann.pk, is_locked=True, actor=server_actor(), source=server.source)
    result = identify(server, userId="1", anonymousId="b1")
    assert (result.outcome, result.profile_id, Merge.objects.count()) == ("conflict", ann.pk, 0)
    assert result.message == "Browser id b1 belongs to another person; it stays there."
    assert holder("anonymous_id", "b1").pk == visitor.pk


def test_alias(server: Sender, web: Sender) -> None:
    """Two recognized people: suggested, unless the source may merge them; a page's key never may."""
    track(web, "Looked", anonymousId="b1")
    assert send_item(web, "alias", previousId="b1", userId="1").outcome == "applied"
    assert events_of(holder("customer_id", "1")) == ["Looked", "alias"]
    identify(server, userId="2")
    may_merge: dict[str, Any] = {"merges_recognized": True}
    for sender in (web, server, make_sender("web", **may_merge)):
        refused = send_item(sender, "alias", previousId="1", userId="2")
        assert (refused.outcome, refused.code) == ("conflict", "identifier_clash")
        assert holder("customer_id", "1").pk != holder("customer_id", "2").pk
    pair = DuplicatePair.objects.get()
    assert {pair.a_id, pair.b_id} == {holder("customer_id", user).pk for user in "12"}
    assert (
        send_item(make_sender("server", **may_merge), "alias", previousId="1", userId="2").outcome == "merged"
    )
    assert holder("customer_id", "1").pk == holder("customer_id", "2").pk


# --- Ids of messages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", [["a"], {"id": 1}, True, False, [], {}, "x" * 300, 7])
def test_each_message_is_stored_or_rejected_whatever_its_id(server: Sender, one: Any) -> None:
    items = [
        {"type": "track", "event": "A", "userId": "1", "messageId": one, "properties": {"n": n}} for n in "12"
    ]
    received = call(server, *items)
    outcomes = [result.outcome for result in received.results]
    if isinstance(one, (str, int)) and not isinstance(one, bool):
        assert outcomes == ["applied", "duplicate"]
        assert call(server, {**items[0], "messageId": f"{one}!"}).results[0].outcome == "applied"
    else:
        assert outcomes == ["invalid", "invalid"]
        assert [row.payload["properties"]["n"] for row in Receipt.objects.order_by("pk")] == ["1", "2"]
        assert call(server, items[0]).results[0].outcome == "invalid"
        assert Receipt.objects.filter(payload__isnull=False, resolved_at=None).count() == 3


def test_refused_messages_with_long_ids_wait_each_for_itself(server: Sender) -> None:
    for end in ("a", "b", "a"):
        track(server, "", userId="1", messageId="x" * 300 + end)
    assert receipts() == [
        ("invalid", "missing_event_name"),
        ("invalid", "missing_event_name"),
        ("duplicate", "duplicate_message"),
    ]


# --- What a public key must not do --------------------------------------------------------------------------


def test_signed_users(web: Sender) -> None:
    Source.objects.filter(pk=web.source.pk).update(needs_user_hash=True)
    web.source.refresh_from_db()
    unsigned = identify(web, anonymousId="b1", userId="42", traits={"firstName": "Eve"})
    assert holder("customer_id", "42") is None
    assert (unsigned.outcome, Receipt.objects.get().problems[0]["code"]) == ("applied", "unverified_user")
    forged = identify(web, anonymousId="b1", userId="42", context={"userHash": "0" * 64})
    assert (forged.outcome, holder("customer_id", "42")) == ("applied", None)
    good = sign_user(web.source, "42")
    identify(web, anonymousId="b1", userId="42", context={"userHash": good})
    row = Identifier.objects.get(type__name="customer_id", value="42")
    assert (row.profile.canonical_id, row.is_verified) == (unsigned.profile_id, True)
    alone = identify(web, userId="43")
    assert (alone.outcome, alone.code) == ("invalid", "unverified_user")
    assert alone.message == "context.userHash is missing, so the userId was not used."


def test_a_public_key_overwrites_no_verified_address_and_clears_nothing(web: Sender, server: Sender) -> None:
    ann = make_profile(identifiers=[("customer_id", "1")], email="ann@example.com", city="Oslo")
    Identifier.objects.filter(type__name="email").update(is_verified=True)
    identify(web, userId="1", traits={"email": "eve@example.com", "city": None})
    ann.refresh_from_db()
    assert (ann.email, ann.city) == ("ann@example.com", "Oslo")
    problem = Receipt.objects.get().problems[-1]
    assert problem["message"] == (
        "email was not changed: the stored value is verified. The value sent is kept as an alternate."
    )
    identify(server, userId="1", traits={"email": "new@example.com", "city": None})
    ann.refresh_from_db()
    assert (ann.email, ann.city) == ("new@example.com", None)


def test_consents(web: Sender, server: Sender) -> None:
    decision = {"channel": "email", "purpose": "newsletter", "anonymousId": "b1"}
    bare = send_item(web, "consent", state="granted", **decision)
    assert (bare.outcome, bare.code) == ("invalid", "consent_without_wording")
    assert send_item(web, "consent", state="maybe", **decision).code == "bad_consent"
    assert send_item(web, "consent", state="granted", wording="v1", **decision).outcome == "applied"
    assert send_item(web, "consent", state="withdrawn", **decision).outcome == "applied"
    upgrade = send_item(web, "consent", state="granted", wording="v2", **decision)
    assert (upgrade.outcome, upgrade.code) == ("conflict", "consent_upgrade")
    assert list(Consent.objects.order_by("pk").values_list("state", flat=True)) == ["granted", "withdrawn"]
    bare = send_item(server, "consent", state="granted", **decision)
    assert (bare.outcome, bare.code) == ("conflict", "consent_upgrade")
    assert Consent.objects.count() == 2
    again = {"reason": "double_opt_in", "proof": {"confirmed_from": "192.0.2.7"}}
    assert send_item(server, "consent", state="granted", **again, **decision).outcome == "applied"
    row = Consent.objects.order_by("pk").last()
    assert (row.state, row.reason, row.proof["proof"]) == (
        "granted",
        "double_opt_in",
        {"confirmed_from": "192.0.2.7"},
    )
    assert Consent.objects.count() == 3


# --- Traits ---------------------------------------------------------------------------------------------------


def test_traits(server: Sender) -> None:
    identify(
        server,
        userId="1",
        traits={"first_name": "Ann", "birthday": "31/02/1990", "plan": "pro", "visits": 3, "email": "nope"},
    )
    profile = holder("customer_id", "1")
    assert (profile.first_name, profile.birth_date, profile.email) == ("Ann", None, None)
    assert profile.attributes == {"plan": "pro", "visits": 3}
    assert dict(AttributeDefinition.objects.values_list("name", "type")) == {
        "plan": "text",
        "visits": "number",
    }
    problems = {problem["pointer"]: problem["code"] for problem in Receipt.objects.get().problems}
    assert set(problems.values()) == {"bad_trait"}
    assert Event.objects.get().properties["email"] == "nope"  # nothing is lost

    identify(server, userId="1", traits={"firstName": "Anna", "lastName": "Berg"}, timestamp=ago(days=3))
    profile.refresh_from_db()
    assert (profile.first_name, profile.last_name) == ("Ann", "Berg")  # late: fills, never overwrites
    assert Receipt.objects.latest("pk").problems[-1]["message"] == (
        "first_name was not changed: it arrived late, and a newer value is stored."
        " The value sent is kept as an alternate."
    )


def test_a_birth_date_is_a_day_or_midnight_utc(server: Sender) -> None:
    """The same rule as in imports and REST: which day any other moment was depends on the place."""
    for number, birthday in enumerate(("1993-01-12", "1993-01-12T00:00:00.000Z"), 1):
        identify(server, userId=str(number), traits={"birthday": birthday})
        assert str(holder("customer_id", str(number)).birth_date) == "1993-01-12"
    identify(server, userId="3", traits={"firstName": "Ann", "birthday": "1993-01-11T23:00:00.000Z"})
    ann = holder("customer_id", "3")
    assert (ann.first_name, ann.birth_date) == ("Ann", None)
    (problem,) = Receipt.objects.latest("pk").problems
    assert (problem["code"], problem["pointer"]) == ("bad_trait", "/traits/birth_date")
    assert problem["message"].startswith(
        "This is a moment, not a date: which day it was depends on the place."
    )


def test_traits_nobody_registered_stay_in_the_event_when_told_so(server: Sender) -> None:
    Source.objects.filter(pk=server.source.pk).update(adopts_attributes=False)
    server.source.refresh_from_db()
    identify(server, userId="1", traits={"plan": "pro"})
    assert (holder("customer_id", "1").attributes, AttributeDefinition.objects.count()) == ({}, 0)
    assert Receipt.objects.get().problems[0]["code"] == "unknown_trait"


def test_update_changes_attributes_and_joins_nobody(server: Sender) -> None:
    bob = make_profile(email="bob@example.com")
    track(server, anonymousId="b1")
    result = send_item(
        server, "update", anonymousId="b1", traits={"email": "bob@example.com", "city": "Oslo"}
    )
    visitor = holder("anonymous_id", "b1")
    assert (result.outcome, result.profile_id) == ("applied", visitor.pk)
    assert (visitor.email, visitor.city, visitor.is_recognized) == ("bob@example.com", "Oslo", False)
    assert (Merge.objects.count(), holder("email", "bob@example.com").pk) == (0, bob.pk)
    problem = Receipt.objects.latest("pk").problems[0]
    assert problem["code"] == "identifier_as_attribute"
    assert problem["message"] == (
        "“email” looks like an e-mail address but identifies nobody there; send it as traits.email of identify."
    )


@pytest.mark.parametrize(
    ("kind", "item", "pointers"),
    [
        (
            "track",
            {"event": "Seen", "properties": {"a": {"b": {"c": {"contact_mail": "ann@example.com"}}}}},
            ["/properties/a/b/c/contact_mail"],
        ),
        (
            "track",
            {"event": "Seen", "properties": {"user": "u42", "friend_email": "bob@example.com"}},
            ["/properties/user"],
        ),
        ("page", {"properties": {"mails": ["ann@example.com", "-"]}}, ["/properties/mails/0"]),
        ("update", {"traits": {"crm": {"customer_no": 7}}}, ["/traits/crm/customer_no"]),
        (
            "identify",
            {"traits": {"email": "ann@example.com", "login": "ann@example.com", "crm": {"user_id": "9"}}},
            ["/traits/crm/user_id"],
        ),
    ],
)
def test_identifiers_in_hiding_are_reported(
    server: Sender, kind: str, item: dict[str, Any], pointers: list[str]
) -> None:
    assert send_item(server, kind, anonymousId="b1", **item).outcome == "applied"
    problems = Receipt.objects.get().problems or []
    assert [
        problem["pointer"] for problem in problems if problem["code"] == "identifier_as_attribute"
    ] == pointers


def test_an_id_in_the_browsers_id_is_reported(server: Sender, web: Sender) -> None:
    track(web, anonymousId="ann@example.com")
    (problem,) = Receipt.objects.latest("pk").problems
    assert (problem["code"], problem["pointer"], problem["message"]) == (
        "identifier_as_attribute",
        "/anonymousId",
        "“anonymousId” is an e-mail address, and a browser's id identifies a browser, not a person: send it as traits.email of"
        " identify, and leave anonymousId to the snippet or SDK.",
    )
    identify(server, userId="7", anonymousId="7")
    (problem,) = Receipt.objects.latest("pk").problems
    assert problem["message"].startswith("“anonymousId” is the id of a customer, and a browser's id")
    identify(server, userId="7", anonymousId="b1")
    assert Receipt.objects.latest("pk").problems is None


def test_an_email_that_does_not_identify(server: Sender) -> None:
    Source.objects.filter(pk=server.source.pk).update(identifies_by_email=False)
    server.source.refresh_from_db()
    make_profile(email="home@example.com")
    identify(server, userId="1", traits={"email": "home@example.com"})
    assert (DuplicatePair.objects.count(), holder("customer_id", "1").email) == (0, "home@example.com")


def test_double_opt_in_waits(server: Sender) -> None:
    Source.objects.filter(pk=server.source.pk).update(needs_confirmation=True)
    server.source.refresh_from_db()
    ann = make_profile(email="ann@example.com")
    identify(server, anonymousId="b1", traits={"email": "ann@example.com"})
    visitor = holder("anonymous_id", "b1")
    assert (visitor.pk != ann.pk, visitor.is_recognized) == (True, False)
    row = Identifier.objects.get(profile=visitor, type__name="email")
    assert (row.resolves, row.is_pending, row.is_verified) == (False, True, False)


# --- Once, and told -------------------------------------------------------------------------------------------


def test_a_message_has_one_effect(server: Sender) -> None:
    twice = {"type": "track", "event": "Bought", "userId": "1", "messageId": "m-1"}
    first = call(server, twice, twice)
    assert [result.outcome for result in first.results] == ["applied", "duplicate"]
    assert call(server, twice).results[0].code == "duplicate_message"
    assert (Event.objects.count(), Profile.objects.count()) == (1, 1)
    assert Event.objects.get().envelope["message_id"] == "m-1"
    # Another source may use the same id.
    assert call(make_sender(), twice).results[0].outcome == "applied"
    # A refused one waits once, however often it is sent.
    bad = {"type": "track", "userId": "1", "messageId": "m-2"}
    assert [call(server, bad).results[0].outcome for _ in range(2)] == ["invalid", "duplicate"]
    assert Receipt.objects.filter(payload__isnull=False).count() == 1


def test_every_item_has_an_outcome(server: Sender) -> None:
    items = [
        {"type": "track", "event": "A", "userId": "1"},
        "nonsense",
        {"type": "track", "event": "A"},
        {"type": "track", "event": "A", "userId": "null"},
        {"type": "dance", "userId": "1"},
        {"type": "identify", "userId": "undefined", "anonymousId": "b1"},
    ]
    received = call(server, *items)
    assert [result.outcome for result in received.results] == [
        "applied",
        "invalid",
        "invalid",
        "blocked_value",
        "invalid",
        "applied",
    ]
    assert Receipt.objects.count() == len(items)
    assert list(Receipt.objects.order_by("pk").values_list("payload", flat=True)) == [
        None,
        *items[1:5],
        None,
    ]
    assert Receipt.objects.latest("pk").problems[0]["code"] == "blocked_value"
    with pytest.raises(StrictModeRefused) as refused:
        call(server, *items, is_strict=True)
    assert len(refused.value.results) == 4
    assert Receipt.objects.count() == len(items)


def test_plain_events_cost_the_same_for_one_and_a_hundred(
    server: Sender, django_assert_num_queries: Any
) -> None:
    items = [{"type": "track", "event": "A", "anonymousId": f"b{n}"} for n in range(100)]
    call(server, *items)
    for count in (1, 100):
        call(server, {"type": "track", "event": "A", "anonymousId": "b0"})  # what is remembered for seconds
        with django_assert_num_queries(9):  # two are the transaction's
            call(server, *items[:count])
    with django_assert_num_queries(14):
        call(server, *[{"type": "identify", "anonymousId": f"c{n}", "userId": f"u{n}"} for n in range(100)])


# --- A userId of too many people ------------------------------------------------------------------------


def shared_user(number: int) -> dict[str, Any]:
    return {"userId": "u1", "traits": {"email": f"p{number}@shop.example", "firstName": f"First{number}"}}


@pytest.mark.parametrize("as_one_call", [False, True])
def test_a_user_id_with_too_many_addresses_is_held(server: Sender, as_one_call: bool) -> None:
    items = [{"type": "identify", **shared_user(number)} for number in range(1, 13)]
    if as_one_call:
        results = call(server, *items).results
    else:
        results = [call(server, item).results[0] for item in items]
    assert [result.outcome for result in results] == ["applied"] * 4 + ["conflict"] * 8
    assert results[4].code == "held"
    assert results[4].message == (
        "Customer id u1 would merge more people than allowed; it waits under Waiting merges."
    )
    owner = holder("customer_id", "u1")
    assert owner is not None
    assert (owner.first_name, owner.email) == ("First4", "p4@shop.example")
    assert sorted(owner.identifiers.filter(type__name="email").values_list("value", flat=True)) == [
        f"p{number}@shop.example" for number in range(1, 5)
    ]
    fifth = holder("email", "p5@shop.example")
    assert fifth is not None
    assert (fifth.pk != owner.pk, fifth.first_name) == (True, "First5")
    held = HeldMerge.objects.order_by("pk").first()
    assert held is not None
    assert (held.reason, held.value, held.people, held.other_id) == ("value", "u1", 5, owner.pk)
    assert HeldMerge.objects.count() == 8

    # The same again changes nobody else, and those who belong to the userId are known by it.
    assert identify(server, **shared_user(5)).outcome == "conflict"
    assert identify(server, **shared_user(2)).outcome == "applied"
    owner.refresh_from_db()
    assert owner.first_name == "First2"
    assert track(server, "Bought", userId="u1").profile_id == owner.pk
    assert HeldMerge.objects.count() == 8


def test_the_addresses_of_one_person_are_a_setting(server: Sender, settings: Any) -> None:
    settings.CDP_BREAKER_PEOPLE = 2
    assert identify(server, **shared_user(1)).outcome == "applied"
    assert identify(server, **shared_user(1)).outcome == "applied"
    assert identify(server, **shared_user(2)).outcome == "conflict"


# --- An e-mail or phone alone, and browser ids ------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"traits": {"email": "Ann@Example.com", "plan": "pro"}},
        {"traits": {"E-Mail Address": "ann@example.com"}},
        {"context": {"traits": {"email": "ann@example.com"}}},
        {"traits": {"email": "ann@example.com", "phone": "+48600100200"}, "userId": " "},
    ],
)
def test_a_server_identifies_by_the_email_alone(server: Sender, body: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann", email="ann@example.com")
    result = identify(server, **body)
    assert (result.outcome, result.profile_id) == ("applied", ann.pk)
    new = identify(server, traits={"email": "new@example.com", "firstName": "New"})
    assert new.outcome == "applied"
    assert holder("email", "new@example.com").pk == new.profile_id
    again = identify(server, traits={"email": "NEW@example.com", "city": "Oslo"})
    assert again.profile_id == new.profile_id
    assert Profile.objects.count() == 2


def test_a_phone_alone_identifies_where_its_type_does(server: Sender) -> None:
    refused = identify(server, traits={"phone": "+48600100200"})
    assert (refused.outcome, refused.code, refused.message) == (
        "invalid",
        "missing_identifier",
        "A phone is for contact only here and identifies nobody. Give a userId, an anonymousId or one of"
        " context.externalIds, or traits.email.",
    )
    IdentifierType.objects.filter(name="phone").update(is_unique=True)
    forget_all()
    done = identify(server, traits={"phone": "+48 600 100 200"})
    assert (done.outcome, holder("phone", "+48600100200").pk) == ("applied", done.profile_id)


def test_what_an_email_alone_needs_is_said(server: Sender, web: Sender) -> None:
    ids = "a userId, an anonymousId or one of context.externalIds"
    body = {"traits": {"email": "ann@example.com"}}

    def said(sender: Sender, sent: dict[str, Any]) -> str:
        result = identify(sender, **sent)
        assert (result.outcome, result.code) == ("invalid", "missing_identifier")
        return result.message

    assert said(web, body) == f"From a page an e-mail or phone alone identifies nobody. Give {ids}."
    assert said(server, {"traits": {"email": "not an address"}}) == (
        f"traits.email is no e-mail address, or the phone no number, so they say nobody. Give one that is, or {ids}."
    )
    switched_off = make_sender("server", name="off", identifies_by_email=False)
    assert said(switched_off, body) == (
        f"An e-mail identifies nobody at this source (its switch “an e-mail identifies” is off). Give {ids}."
    )
    opt_in = make_sender("server", name="opt-in", needs_confirmation=True)
    assert said(opt_in, body) == (
        f"An e-mail of this source identifies nobody before it is confirmed. Give {ids}."
    )
    blocked = identify(server, traits={"email": "test@test.com"})
    assert blocked.outcome == "blocked_value"
    assert Profile.objects.count() == 0


def test_every_profile_has_a_browser_id_from_the_start(server: Sender, web: Sender) -> None:
    send_item(server, "track", userId="1", event="Order Completed")
    identify(server, userId="2", traits={"email": "two@example.com"})
    identify(server, traits={"email": "three@example.com"})
    identify(web, userId="4", anonymousId="b4")
    for profile in Profile.objects.all():
        browsers = Identifier.objects.of_profiles(profile.pk).filter(type__name="anonymous_id", resolves=True)
        assert browsers.count() == 1, profile
        created = Change.objects.get(profile=profile, kind="created")
        assert f"anonymous_id:{browsers[0].value}" in created.fields["identifiers"][1]
    # Once, and as any other: calls by it are this person's.
    identify(server, userId="1", traits={"city": "Oslo"})
    value = Identifier.objects.get(profile=holder("customer_id", "1"), type__name="anonymous_id").value
    track(web, "Page", anonymousId=value)
    assert events_of(holder("customer_id", "1"))[-1] == "Page"
    assert Profile.objects.count() == 4
