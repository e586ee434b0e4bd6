"""Consent counts for the address: whose no it is, in every place that says whether somebody may be written to."""

from __future__ import annotations

import datetime
from datetime import UTC, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp.errors import RuleForbids
from cdp.limits import Count
from cdp.models import Mail
from profiles.bulk.csv_rows import column_names, rows
from profiles.consent.ledger import current_consents, record_consent
from profiles.consent.messaging import send_message
from profiles.consent.reach import reach_of
from profiles.consent.reachable import Reachability, consenting_ids, reachability
from profiles.editing import update_profile
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import Consent, Identifier, IdentifierType, Profile
from profiles.privacy.gdpr_export import export_profile
from profiles.search.filters import ProfileFilter
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

T0 = datetime.datetime(2025, 3, 1, 12, tzinfo=UTC)
KEY = ("email", "newsletter")


def day(n: int) -> datetime.datetime:
    return T0 + timedelta(days=n)


def shares(name: str, address: str = "berg@example.com", *, phone: str = "") -> Profile:
    """Somebody who has an address that somebody else has, too: for contact only."""
    person = make_profile(first_name=name, last_name="Berg")
    types = IdentifierType.objects.in_bulk(["email", "phone"], field_name="name")
    for kind, value in (("email", address), ("phone", phone)):
        if value:
            Identifier.objects.create(
                type=types[kind], value=value, profile=person, resolves=False, source=person.source
            )
            Profile.objects.filter(pk=person.pk).update(**{kind: value})
    person.refresh_from_db()
    return person


def say(person: Profile, state: str, at: int | None, by: dict[str, Any], key: Any = KEY, **more: Any) -> None:
    record_consent(
        profile_id=person.pk,
        channel=key[0],
        purpose=key[1],
        state=state,
        at=None if at is None else day(at),
        **more,
        **by,
    )


def reach(person: Profile, key: tuple[str, str] = KEY) -> Reachability:
    root = Profile.objects.get(pk=person.pk)
    return reachability([root], current_consents([root.pk]))[root.pk][key]


def listed(query: str) -> set[int]:
    filters = ProfileFilter({"consent": query})
    assert filters.form.is_valid()
    return set(filters.qs.values_list("pk", flat=True))


def test_a_later_no_of_anybody_with_the_address_counts(by_staff: dict[str, Any]) -> None:
    ann, ben, eve = shares("Ann"), shares("Ben"), shares("Eve", "eve@example.com")
    for person in (ann, ben, eve):
        say(person, "granted", 1, by_staff)
    assert reach(ben).is_reachable
    assert listed("email/newsletter") == {ann.pk, ben.pk, eve.pk}
    say(ann, "withdrawn", 2, by_staff)
    assert Consent.objects.get(state="withdrawn").address == "berg@example.com"
    found = reach(ben)
    assert not found.is_reachable
    assert found.consent.is_granted
    assert found.reason(with_name=True) == (
        f"Ann Berg (#{ann.pk}), who has the same address, said no on 3 Mar 2025."
    )
    assert found.reason() == f"#{ann.pk}, who has the same address, said no on 3 Mar 2025."
    assert listed("email/newsletter") == {eve.pk} == listed("email/newsletter:reachable")
    assert listed("email/newsletter:withdrawn") == {ann.pk, ben.pk}
    # Other channels and purposes are other questions.
    say(ben, "granted", 1, by_staff, ("email", "marketing"))
    assert reach(ben, ("email", "marketing")).is_reachable
    # A later yes of the address's other holder is theirs, and counts.
    say(ben, "granted", 3, by_staff)
    assert reach(ben).is_reachable
    assert not reach(ann).is_reachable


@pytest.mark.parametrize(
    ("yes_at", "no_at", "is_reachable"), [(2, 1, True), (2, 2, False), (2, 3, False), (2, None, False)]
)
def test_the_later_one_counts_and_a_tie_is_a_no(
    yes_at: int, no_at: int | None, is_reachable: bool, by_staff: dict[str, Any]
) -> None:
    ann, ben = shares("Ann"), shares("Ben")
    say(ann, "withdrawn", no_at, by_staff)
    say(ben, "granted", yes_at, by_staff)
    assert reach(ben).is_reachable == is_reachable
    assert listed("email/newsletter") == ({ben.pk} if is_reachable else set())


def test_a_no_stays_on_the_address_it_was_about(by_staff: dict[str, Any]) -> None:
    """Ann moves on to another address; what she said about the old one still counts for whoever has it."""
    ann, ben = shares("Ann"), shares("Ben")
    say(ben, "granted", 1, by_staff)
    say(ann, "withdrawn", 2, by_staff)
    update_profile(profile_id=ann.pk, values={"email": "ann@example.com"}, **by_staff)
    assert not reach(ben).is_reachable
    again = {"reason": "asked_in_person", "proof": {"seen": "at the fair"}}
    say(ann, "granted", 3, by_staff, **again)
    assert not reach(ben).is_reachable, "her new yes is about her new address"
    assert listed("email/newsletter") == {ann.pk}


def test_a_no_comes_along_to_a_new_address(by_staff: dict[str, Any]) -> None:
    """She said no before she had the address: what holds for her counts for the address she has now."""
    ann, ben = make_profile(first_name="Ann"), shares("Ben")
    say(ben, "granted", 1, by_staff)
    say(ann, "withdrawn", 2, by_staff)
    assert Consent.objects.get(state="withdrawn").address == ""
    assert reach(ben).is_reachable
    Identifier.objects.create(
        type=IdentifierType.objects.get(name="email"),
        value="berg@example.com",
        profile=ann,
        resolves=False,
        source=ann.source,
    )
    Profile.objects.filter(pk=ann.pk).update(email="berg@example.com")
    assert not reach(ben).is_reachable
    assert listed("email/newsletter") == set()
    say(ann, "granted", 4, by_staff, reason="mistake", proof={"note": "mixed up with another Ann"})
    assert reach(ben).is_reachable


def test_phones_are_addresses_and_post_has_none(by_staff: dict[str, Any]) -> None:
    ann, ben = shares("Ann", phone="+48600100200"), shares("Ben", phone="+48600100200")
    for key in (("sms", "marketing"), ("whatsapp", "marketing"), ("post", "marketing")):
        say(ben, "granted", 1, by_staff, key)
    say(ann, "withdrawn", 2, by_staff, ("sms", "marketing"))
    say(ann, "withdrawn", 2, by_staff, ("post", "marketing"))
    assert reach(ben, ("sms", "marketing")).reason() == (
        f"#{ann.pk}, who has the same phone number, said no on 3 Mar 2025."
    )
    assert reach(ben, ("whatsapp", "marketing")).is_reachable
    assert reach(ben, ("post", "marketing")).is_reachable
    assert listed("sms/marketing") == set()
    assert listed("post") == {ben.pk}


def test_without_an_address_nobody_is_reachable(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann")
    say(ann, "granted", 1, by_staff)
    assert reach(ann).reason() == "There is no e-mail address."
    assert listed("email/newsletter") == {ann.pk}
    assert listed("email/newsletter:reachable") == set()
    say(ann, "granted", None, by_staff, ("email", "surveys"))
    assert reach(ann, ("email", "surveys")).reason() == "Nobody knows when they agreed, which counts as a no."


def test_merged_people_are_one_person_and_apart_again_two(by_staff: dict[str, Any]) -> None:
    ann, ben = shares("Ann"), shares("Ben")
    say(ben, "granted", 3, by_staff)
    say(ann, "withdrawn", 2, by_staff)
    say(ben, "withdrawn", 1, by_staff, ("email", "marketing"))
    say(ann, "granted", 1, by_staff, ("email", "surveys"))
    merge = merge_profiles(winner_id=ann.pk, loser_id=ben.pk, **by_staff)
    assert reach(ann).is_reachable
    unmerge_profiles(merge_id=merge.merge_id, **by_staff)
    assert not reach(ann).is_reachable
    assert reach(ben).is_reachable
    say(ann, "withdrawn", 3, by_staff)
    assert not reach(ben).is_reachable


# --- The two forms of the rule agree ----------------------------------------------------------------------

_DECISION = st.tuples(
    st.integers(0, 3),  # whose
    st.sampled_from(["granted", "withdrawn"]),
    st.none() | st.integers(1, 4),
    st.integers(1, 5),  # recorded
    st.sampled_from(["", "a@example.com", "b@example.com"]),  # about
)
_ADDRESSES = st.lists(st.sampled_from(["", "a@example.com", "b@example.com"]), min_size=4, max_size=4)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(addresses=_ADDRESSES, ledger=st.lists(_DECISION, max_size=9), merged=st.booleans())
def test_the_rule_for_some_and_its_twin_for_all_agree(
    db: None, addresses: list[str], ledger: list[Any], merged: bool
) -> None:
    Consent.objects.all().delete()
    people = [shares(f"P{number}", address) for number, address in enumerate(addresses)]
    for whose, state, at, recorded, about in ledger:
        row = Consent.objects.create(
            profile=people[whose],
            channel="email",
            purpose="newsletter",
            state=state,
            at=None if at is None else day(at),
            address=about,
            source=people[whose].source,
        )
        Consent.objects.filter(pk=row.pk).update(recorded_at=day(recorded))
    if merged:
        Profile.objects.filter(pk=people[3].pk).update(canonical=people[2], status="merged")
    roots = list(Profile.objects.filter(pk__in=[person.pk for person in people], status="live"))
    found = reachability(roots, current_consents([root.pk for root in roots]))
    ids = [root.pk for root in roots]
    for with_address in (False, True):
        by_rule = {
            pk
            for pk, own in found.items()
            if (one := own.get(KEY)) is not None
            and one.consent.is_granted
            and one.other is None
            and (one.has_address or not with_address)
        }
        for among in (None, Profile.objects.filter(pk__in=ids).values("pk")):
            twin = consenting_ids("email", "newsletter", with_address=with_address, among=among)
            assert (
                set(Profile.objects.filter(pk__in=twin, pk__gte=min(ids)).values_list("pk", flat=True))
                == by_rule
            )
    # Nobody is in neither list, nobody in both.
    asked = {pk for pk, own in found.items() if KEY in own}
    assert (listed("email/newsletter") | listed("email/newsletter:withdrawn")) & set(ids) == asked
    assert listed("email/newsletter") & listed("email/newsletter:withdrawn") & set(ids) == set()


# --- Wherever it is said ------------------------------------------------------------------------------------


@pytest.fixture
def pair(by_staff: dict[str, Any]) -> tuple[Profile, Profile]:
    """Ann said no about the address that Ben, who agreed before, has, too."""
    ann, ben = shares("Ann"), shares("Ben")
    say(ben, "granted", 1, by_staff)
    say(ann, "withdrawn", 2, by_staff)
    return ann, ben


def test_nothing_is_sent_to_the_address(pair: tuple[Profile, Profile], by_staff: dict[str, Any]) -> None:
    ann, ben = pair
    mail = {"subject": "Hello", "text": "News.", "purpose": "News", **by_staff}
    with pytest.raises(RuleForbids) as refused:
        send_message(profile_id=ben.pk, **mail)
    assert refused.value.message == (
        f"Not sent: Ann Berg (#{ann.pk}), who has the same address, said no on 3 Mar 2025."
    )
    assert not Mail.objects.exists()
    say(ben, "granted", 3, by_staff)
    assert send_message(profile_id=ben.pk, **mail).purpose == "newsletter"


def test_the_figures_and_exports_of_a_list_say_so(
    pair: tuple[Profile, Profile], by_staff: dict[str, Any]
) -> None:
    ann, ben = pair
    eve = shares("Eve", "eve@example.com")
    say(eve, "granted", 1, by_staff)
    filters = ProfileFilter({})
    assert filters.form.is_valid()
    figures = reach_of(filters, Count(3, is_exact=True))
    assert figures is not None
    assert (figures.reachable, figures.withdrawn, figures.undecided) == (1, 2, 0)
    names = column_names(["email", "reachable.email.newsletter", "reachable.sms.marketing"])
    assert names == ["id", "type", "email", "reachable.email.newsletter", "reachable.sms.marketing"]
    cells = rows([ann.pk, ben.pk, eve.pk], names, can_view_pii=True)
    assert [row[3:] for row in cells] == [["false", "false"], ["false", "false"], ["true", "false"]]
    assert "reachable.email.newsletter" in column_names(["reachable"])


def test_the_card_says_whose_no_it_is(pair: tuple[Profile, Profile], vic: Any, as_user: Any) -> None:
    """Without the right to personal data only by the number."""
    ann, ben = pair
    seen = as_user(vic).get(reverse("admin:profiles_profile_change", args=[ben.pk])).content.decode()
    assert f"Not reachable: #{ann.pk}, who has the same address, said no on 3 Mar 2025." in seen
    assert "Ann Berg" not in seen
    assert "do not e-mail: somebody with the same address said no" in seen


def test_the_card_names_them_for_who_may_see_people(
    pair: tuple[Profile, Profile], ada: Any, as_user: Any
) -> None:
    ann, ben = pair
    client: Client = as_user(ada)
    seen = client.get(reverse("admin:profiles_profile_change", args=[ben.pk])).content.decode()
    assert f"Not reachable: Ann Berg (#{ann.pk}), who has the same address, said no on 3 Mar 2025." in seen
    listed_page = client.get("/admin/profiles/profile/?consent=email/newsletter:withdrawn").content.decode()
    assert ">address said no</span>" in listed_page


def test_the_access_file_names_nobody_else(pair: tuple[Profile, Profile], by_staff: dict[str, Any]) -> None:
    _, ben = pair
    now = export_profile(profile_id=ben.pk, actor=by_staff["actor"])["consents"]["now"][0]
    assert (now["state"], now["reachable"], now["reason"]) == (
        "granted",
        False,
        "Somebody else with the same address said no later, which counts for the address.",
    )
