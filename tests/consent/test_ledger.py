"""The ledger only grows, and what holds now is read from it in the strictest way."""

from __future__ import annotations

import datetime
from datetime import UTC, timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from cdp.actors import Actor
from cdp.errors import Forbidden, Invalid, NotFound
from cdp.models import AuditEntry, User
from profiles.builtin_sources import builtin_source
from profiles.consent.ledger import ConsentDecision, current_consents, decide, record_consent
from profiles.consent.reachable import reachability_of
from profiles.models import Change, Consent, Profile
from tests.profile_factory import make_profile

T0 = datetime.datetime(2026, 1, 1, tzinfo=UTC)
LATER = T0 + timedelta(days=300)


def day(n: int) -> datetime.datetime:
    return T0 + timedelta(days=n)


def yes(at: int | None, recorded: int = 300) -> ConsentDecision:
    return ConsentDecision("granted", None if at is None else day(at), day(recorded))


def no(at: int | None, recorded: int = 300) -> ConsentDecision:
    return ConsentDecision("withdrawn", None if at is None else day(at), day(recorded))


@pytest.mark.parametrize(
    ("decisions", "state"),
    [
        ([yes(1)], "granted"),
        ([no(1)], "withdrawn"),
        ([yes(1), no(2)], "withdrawn"),
        ([no(1), yes(2)], "granted"),
        ([yes(2), no(2)], "withdrawn"),  # a tie
        ([yes(None)], "withdrawn"),  # nobody knows when
        ([yes(None), yes(2)], "granted"),
        ([yes(None), no(1)], "withdrawn"),
        ([no(None, recorded=5), yes(4)], "withdrawn"),  # the no may have come after the yes
        ([no(None, recorded=5), yes(6)], "granted"),  # the no was written down before the yes was given
    ],
)
def test_the_rules(decisions: list[ConsentDecision], state: str) -> None:
    assert decide(decisions).state == state
    assert decide(decisions[::-1]).state == state


DECISION = st.builds(
    lambda state, at, recorded: ConsentDecision(state, None if at is None else day(at), day(recorded)),
    st.sampled_from(["granted", "withdrawn"]),
    st.none() | st.integers(0, 20),
    st.integers(20, 40),
)


@given(st.lists(DECISION, min_size=1, max_size=6), st.randoms())
def test_the_order_of_the_rows_says_nothing(decisions: list[ConsentDecision], random: Any) -> None:
    shuffled = decisions[:]
    random.shuffle(shuffled)
    assert decide(decisions).state == decide(shuffled).state


@given(st.lists(DECISION, min_size=1, max_size=6), DECISION)
def test_a_no_never_becomes_a_yes_without_a_later_yes(
    decisions: list[ConsentDecision], more: ConsentDecision
) -> None:
    before = decide(decisions)
    after = decide([*decisions, more])
    if before.state == "withdrawn" and after.state == "granted":
        assert more.state == "granted"
        assert more.at is not None
        noes = [
            decision.at or decision.recorded_at for decision in decisions if decision.state == "withdrawn"
        ]
        assert all(moment < more.at for moment in noes)


@given(st.lists(DECISION, max_size=6), st.integers(21, 60))
def test_a_no_taken_now_always_holds(decisions: list[ConsentDecision], when: int) -> None:
    assert decide([*decisions, no(max(when, 41))]).state == "withdrawn"


pytestmark = pytest.mark.django_db


def can_message(profile_id: int, channel: str, purpose: str) -> bool:
    reach = reachability_of(Profile.objects.get(pk=profile_id), channel, purpose)
    return reach is not None and reach.is_reachable


def consent(profile: Profile, by: dict[str, Any], state: str = "granted", **fields: Any) -> Consent:
    values: dict[str, Any] = {"channel": "email", "purpose": "newsletter", "at": T0, **fields}
    return record_consent(profile_id=profile.pk, state=state, **values, **by).consent


def test_a_decision_is_added_recorded_and_counted(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann")
    done = record_consent(
        profile_id=ann.pk,
        channel=" E-Mail ",
        purpose="News-Letter",
        state="Granted",
        at=T0,
        wording="2026-01",
        proof={"form": "/signup"},
        **by_staff,
    )
    row = Consent.objects.get()
    assert (row.channel, row.purpose, row.state, row.wording) == (
        "email",
        "newsletter",
        "granted",
        "2026-01",
    )
    assert row.proof == {"form": "/signup"}
    assert row.user_id == by_staff["actor"].user_id
    assert (done.current.state, done.current.at, done.current.source) == ("granted", T0, "Staff")
    change = Change.objects.order_by("pk").last()
    assert change is not None
    assert change.fields == {"consents": [[], ["email/newsletter=granted"]]}
    ann.refresh_from_db()
    assert ann.version == 2
    assert AuditEntry.objects.filter(action="profile.consent", subject=f"profile:{ann.pk}").count() == 1


def test_withdrawing_keeps_what_was_said_before(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann", email="ann@example.com")
    consent(ann, by_staff)
    assert can_message(ann.pk, "email", "newsletter")
    assert not can_message(ann.pk, "email", "marketing")
    consent(ann, by_staff, "withdrawn", at=LATER)
    assert not can_message(ann.pk, "email", "newsletter")
    assert Consent.objects.count() == 2
    change = Change.objects.order_by("pk").last()
    assert change is not None
    assert change.fields == {"consents": [["email/newsletter=granted"], ["email/newsletter=withdrawn"]]}


def test_consents_are_read_over_everybody_merged_in_one_query(
    by_staff: dict[str, Any], django_assert_num_queries: Any
) -> None:
    ann, old, ben = (
        make_profile(first_name="Ann", email="ann@example.com"),
        make_profile(first_name="Ann"),
        make_profile(first_name="Ben"),
    )
    consent(ann, by_staff, at=T0)
    consent(old, by_staff, "withdrawn", at=LATER)
    consent(ben, by_staff, channel="sms")
    Profile.objects.filter(pk=old.pk).update(canonical=ann, status="merged")
    with django_assert_num_queries(1):
        current = current_consents([ann.pk, ben.pk])
    assert current[ann.pk]["email", "newsletter"].state == "withdrawn"
    assert current[ben.pk]["sms", "newsletter"].is_granted
    again = {"reason": "asked_in_writing", "proof": {"letter": "of 3 March"}}
    consent(old, by_staff, at=LATER + timedelta(days=1), **again)
    assert Consent.objects.order_by("pk").last().profile_id == ann.pk  # type: ignore[union-attr]
    assert can_message(ann.pk, "email", "newsletter")


def test_what_cannot_be_recorded_says_why(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann")
    tomorrow = timezone.now() + timedelta(days=1)
    with pytest.raises(Invalid) as refused:
        consent(ann, by_staff, "maybe", channel="", purpose="a,b", at=tomorrow)
    assert [(problem["field"], problem["message"]) for problem in refused.value.problems] == [
        (
            "channel",
            "Name the channel of the consent. Known channels: email, phone, post, push, sms, whatsapp. An admin adds"
            " others under Privacy, Consent channels.",
        ),
        (
            "purpose",
            "There is no purpose “a,b” of consents. Known purposes: analytics, marketing, newsletter, personalization,"
            " profiling, surveys, third_party, transactional. An admin adds others under Privacy, Consent purposes.",
        ),
        ("state", "Write “granted” or “withdrawn”."),
        ("at", "A decision cannot be in the future. Check the time and its time zone."),
    ]
    with pytest.raises(NotFound):
        record_consent(
            profile_id=999_999, channel="email", purpose="newsletter", state="granted", at=T0, **by_staff
        )
    assert not Consent.objects.exists()


# --- A yes after a no -----------------------------------------------------------------------------------

NO = "This person said no to e-mail newsletter on 1 Jan 2026."


def test_a_yes_after_a_no_needs_its_right_a_reason_and_a_proof(by_staff: dict[str, Any], sam: User) -> None:
    ann = make_profile(email="ann@example.com")
    consent(ann, by_staff, "withdrawn")
    again = {"at": day(5), "reason": "asked_by_phone", "proof": {"call": "of 6 January"}}
    by_sam = {"actor": Actor.of_user(sam), "source": builtin_source("staff")}
    with pytest.raises(Forbidden) as forbidden:
        consent(ann, by_sam, **again)
    assert forbidden.value.message == (
        f"{NO} Recording a yes now needs the permission profiles.regrant_consent. Your role does not include it."
    )
    with pytest.raises(Invalid) as refused:
        consent(ann, by_staff, at=day(5), proof={"call": " "})
    assert [(problem["field"], problem["message"]) for problem in refused.value.problems] == [
        (
            "reason",
            f"{NO} Give the reason for a yes now: one of asked_in_writing, asked_by_phone, asked_in_person,"
            " double_opt_in, mistake, other.",
        ),
        ("proof", f"{NO} Give the proof of the yes: where and how they agreed again."),
    ]
    with pytest.raises(Invalid, match="“because” is none of the reasons: asked_in_writing, "):
        consent(ann, by_staff, **{**again, "reason": "because"})
    assert Consent.objects.count() == 1
    row = consent(ann, by_staff, **again)
    assert (row.reason, row.proof, row.user_id) == (
        "asked_by_phone",
        {"call": "of 6 January"},
        by_staff["actor"].user_id,
    )
    assert can_message(ann.pk, "email", "newsletter")
    entry = AuditEntry.objects.filter(action="profile.consent").order_by("pk").last()
    assert entry is not None
    assert (entry.detail["reason"], entry.detail["after"]) == ("asked_by_phone", "withdrawn")


def test_what_ends_no_no_needs_neither(by_staff: dict[str, Any], mira: User) -> None:
    """A yes of unknown time was never a no; and an older yes, or one nobody can date, ends none."""
    ann = make_profile(email="ann@example.com")
    by_mira = {"actor": Actor.of_user(mira), "source": builtin_source("staff")}
    consent(ann, by_mira, at=None)
    consent(ann, by_mira, at=day(1))
    assert can_message(ann.pk, "email", "newsletter")
    consent(ann, by_mira, "withdrawn", at=day(9))
    consent(ann, by_mira, at=day(3))
    consent(ann, by_mira, at=None)
    assert not can_message(ann.pk, "email", "newsletter")
    with pytest.raises(Forbidden):
        consent(ann, by_mira, at=day(10))


@given(st.lists(DECISION, max_size=5), DECISION)
def test_whatever_turns_a_no_into_a_yes_is_a_yes_after_a_no(
    decisions: list[ConsentDecision], more: ConsentDecision
) -> None:
    before = decide(decisions) if decisions else None
    after = decide([*decisions, more])
    if before is not None and before.is_no and after.is_granted:
        assert more.state == "granted"
    if before is not None and not before.is_no and not before.is_granted:
        assert all(decision.state == "granted" and decision.at is None for decision in decisions)
