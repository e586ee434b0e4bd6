"""Identifiers resolve to one surviving profile, in any format, whichever way they come."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from cdp.errors import IdentifierTaken, Invalid, NotFound, RuleForbids
from profiles.editing import attach_identifier, detach_identifier
from profiles.identity.lookup import find_profile, resolve
from profiles.models import Change, Identifier, IdentifierType, Profile
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def test_any_format_resolves_to_the_same_profile() -> None:
    ann = make_profile(email="Ann@Example.com", phone="+48 600 100 200", identifiers=[("customer_id", "C-1")])
    for ref in (str(ann.pk), f"#{ann.pk}", "email: ANN＠example.com", "customer_id:C-1"):
        assert find_profile(ref).root == ann
    assert ann.is_recognized
    # A phone is contact-only: kept, found by search, but does not resolve.
    assert not Identifier.objects.get(type__name="phone").resolves
    for ref in (
        "phone:+48600100200",
        "email:bob@example.com",
        "999999999",
        "email:",
        "nonsense",
        "badge:7",
        "9" * 30,
    ):
        with pytest.raises(NotFound, match="No profile"):
            find_profile(ref)


def test_resolves_many_in_one_query(django_assert_num_queries: Any) -> None:
    profiles = [make_profile(email=f"p{n}@example.com") for n in range(5)]
    pairs = [("email", f"p{n}@example.com") for n in range(5)] + [("email", "nobody@example.com")]
    with django_assert_num_queries(1):
        hits = resolve(pairs)
    assert [hits[pair].root_id for pair in pairs[:5]] == [profile.pk for profile in profiles]
    assert pairs[5] not in hits
    with django_assert_num_queries(0):
        assert resolve([]) == {}


def test_a_hard_identifier_is_on_one_profile_only(by_staff: dict[str, Any]) -> None:
    ann = make_profile(email="ann@example.com")
    bob = make_profile(first_name="Bob")
    with pytest.raises(IdentifierTaken) as taken:
        attach_identifier(profile_id=bob.pk, type_name="email", raw="ANN@example.com", **by_staff)
    assert taken.value.message == f"email ann@example.com already belongs to profile #{ann.pk}."
    with pytest.raises(IntegrityError), transaction.atomic():
        mail = Identifier.objects.get(type__name="email")
        Identifier.objects.create(type=mail.type, value=mail.value, profile=bob, source=mail.source)
    # The family phone is on both.
    for profile in (ann, bob):
        assert attach_identifier(
            profile_id=profile.pk, type_name="phone", raw="+48600100200", **by_staff
        ).is_new


def test_an_identifier_makes_recognized_and_its_loss_anonymous(by_staff: dict[str, Any]) -> None:
    bob = make_profile(first_name="Bob")
    assert bob.type == "anonymous"
    attach_identifier(profile_id=bob.pk, type_name="customer_id", raw="C-9", **by_staff)
    bob.refresh_from_db()
    assert (bob.type, bob.version) == ("recognized", 2)
    again = attach_identifier(profile_id=bob.pk, type_name="customer_id", raw="C-9", **by_staff)
    assert not again.is_new
    with pytest.raises(RuleForbids) as refused:
        attach_identifier(profile_id=bob.pk, type_name="customer_id", raw="C-10", **by_staff)
    assert refused.value.message == "One person has at most 1 customer_id; this would make 2: C-10, C-9."
    detach_identifier(profile_id=bob.pk, type_name="customer_id", raw="C-9", **by_staff)
    bob.refresh_from_db()
    assert bob.type == "anonymous"
    journal = [
        change.fields.get("identifiers") for change in Change.objects.filter(profile=bob, kind="updated")
    ]
    assert journal == [[["customer_id:C-9"], []], [[], ["customer_id:C-9"]]]
    with pytest.raises(NotFound, match="has no customer_id “C-9”"):
        detach_identifier(profile_id=bob.pk, type_name="customer_id", raw="C-9", **by_staff)


def test_the_last_browser_id_stays(by_staff: dict[str, Any]) -> None:
    bob = make_profile(first_name="Bob")
    browser = Identifier.objects.get(profile=bob, type__name="anonymous_id")
    with pytest.raises(RuleForbids) as refused:
        detach_identifier(profile_id=bob.pk, type_name="anonymous_id", raw=browser.value, **by_staff)
    assert refused.value.message == "Every profile keeps at least one browser id; this is the last."
    attach_identifier(profile_id=bob.pk, type_name="anonymous_id", raw="own-browser-1", **by_staff)
    detach_identifier(profile_id=bob.pk, type_name="anonymous_id", raw=browser.value, **by_staff)
    assert find_profile("anonymous_id:own-browser-1").root == bob


@pytest.mark.parametrize(
    "value",
    [
        "null",
        "N/A",
        "test@test.com",
        "0000000000",
        "00000000-0000-0000-0000-000000000000",
        "#BEZUG!",
        "k. A.",
    ],
)
@pytest.mark.parametrize("listed", [[], ["mine"]])
def test_a_blocked_value_counts_as_absent(value: str, listed: list[str], by_staff: dict[str, Any]) -> None:
    IdentifierType.objects.update(blocked_values=listed, blocked_patterns=[])  # an own list only adds
    profile = make_profile(first_name="Eve", identifiers=[("customer_id", value)])
    assert not Identifier.objects.filter(type__name="customer_id").exists()
    with pytest.raises(Invalid) as refused:
        attach_identifier(profile_id=profile.pk, type_name="customer_id", raw=value, **by_staff)
    assert refused.value.message == f"“{value}” is a placeholder that identifies nobody; it was ignored."


def test_an_admins_own_type_and_blocked_pattern(by_staff: dict[str, Any]) -> None:
    IdentifierType.objects.create(name="loyalty_card", normalizer="lower", blocked_patterns=["demo-.*"])
    ann = make_profile(first_name="Ann", identifiers=[("loyalty_card", "LC-77")])
    assert find_profile("loyalty_card:lc-77").root == ann
    assert not Profile.objects.get(pk=ann.pk).is_recognized  # not a main type
    with pytest.raises(Invalid, match="identifies nobody"):
        attach_identifier(profile_id=ann.pk, type_name="loyalty_card", raw="DEMO-1", **by_staff)
    with pytest.raises(Invalid) as refused:
        attach_identifier(profile_id=ann.pk, type_name="badge", raw="1", **by_staff)
    assert refused.value.message == (
        "“badge” is not an identifier type. Known types: customer_id, email, phone, anonymous_id, loyalty_card."
    )
