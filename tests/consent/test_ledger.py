"""The ledger only grows, and what holds now is read from it in the strictest way."""

from __future__ import annotations

import datetime
from datetime import UTC, timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from cdp.errors import Invalid, NotFound
from cdp.models import AuditEntry
from profiles.consent.ledger import ConsentDecision, can_message, current_consents, decide, record_consent
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


def consent(profile: Profile, by: dict[str, Any], state: str = "granted", **fields: Any) -> Consent:
    values: dict[str, Any] = {"channel": "email", "purpose": "newsletter", "at": T0, **fields}
    return record_consent(profile_id=profile.pk, state=state, **values, **by).consent


def test_a_decision_is_added_recorded_and_counted(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann")
    done = record_consent(
        profile_id=ann.pk,
        channel=" E-Mail ",
        purpose="Weekly news",
        state="Granted",
        at=T0,
        wording="2026-01",
        proof={"form": "/signup"},
        **by_staff,
    )
    row = Consent.objects.get()
    assert (row.channel, row.purpose, row.state, row.wording) == (
        "e-mail",
        "weekly_news",
        "granted",
        "2026-01",
    )
    assert row.proof == {"form": "/signup"}
    assert row.user_id == by_staff["actor"].user_id
    assert (done.current.state, done.current.at, done.current.source) == ("granted", T0, "Staff")
    change = Change.objects.order_by("pk").last()
    assert change is not None
    assert change.fields == {"consents": [[], ["e-mail/weekly_news=granted"]]}
    ann.refresh_from_db()
    assert ann.version == 2
    assert AuditEntry.objects.filter(action="profile.consent", subject=f"profile:{ann.pk}").count() == 1


def test_withdrawing_keeps_what_was_said_before(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann")
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
        make_profile(first_name="Ann"),
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
    consent(old, by_staff, at=LATER + timedelta(days=1))
    assert Consent.objects.order_by("pk").last().profile_id == ann.pk  # type: ignore[union-attr]
    assert can_message(ann.pk, "email", "newsletter")


def test_what_cannot_be_recorded_says_why(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann")
    tomorrow = timezone.now() + timedelta(days=1)
    with pytest.raises(Invalid) as refused:
        consent(ann, by_staff, "maybe", channel="", purpose="a,b", at=tomorrow)
    assert [(problem["field"], problem["message"]) for problem in refused.value.problems] == [
        ("channel", "A consent's channel is a word of up to 30 letters, digits and _, like “newsletter”."),
        ("purpose", "A consent's purpose is a word of up to 60 letters, digits and _, like “newsletter”."),
        ("state", "Write “granted” or “withdrawn”."),
        ("at", "A decision cannot be in the future. Check the time and its time zone."),
    ]
    with pytest.raises(NotFound):
        record_consent(
            profile_id=999_999, channel="email", purpose="newsletter", state="granted", at=T0, **by_staff
        )
    assert not Consent.objects.exists()
