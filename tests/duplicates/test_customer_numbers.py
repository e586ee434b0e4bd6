"""Different customer numbers rule nothing out, unless an admin says so of their type."""

from __future__ import annotations

from typing import Any

import pytest

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.roles_and_scopes import SCOPES
from profiles.duplicates.finding import match_queue
from profiles.duplicates.why import find_profile_pair, why
from profiles.merging.merge import merge_profiles
from profiles.models import DuplicatePair, IdentifierType, Profile
from tests.api.caller import Caller, refusal
from tests.duplicates.cast import ANN, scan
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(db: None) -> Caller:
    return Caller(create_key(name="all", scopes=list(SCOPES), actor=Actor.system()))


def numbered(number: str, type_name: str = "customer_id", **changes: Any) -> Profile:
    return make_profile(**{**ANN, "email": None, **changes}, identifiers=[(type_name, number)])


def pair_of(a: Profile, b: Profile) -> tuple[str, str]:
    pair = DuplicatePair.objects.get(a=a, b=b)
    return pair.tier, pair.veto


def test_two_numbers_of_one_person_are_found_and_both_lead_there(by_staff: dict[str, Any]) -> None:
    first, second = numbered("K-1"), numbered("K-2", phone=None)
    scan()
    assert pair_of(first, second) == ("certain", "")
    (finding,) = [
        item for item in why(find_profile_pair(first.pk, second.pk)) if item.code == "different_ids"
    ]
    assert "That alone does not make them two people: duplicates often have two." in finding.text
    done = merge_profiles(winner_id=first.pk, loser_id=second.pk, **by_staff)
    for number in ("K-1", "K-2"):
        row = Profile.objects.get(identifiers__value=number)
        assert row.canonical_id == done.winner_id


def test_numbers_of_a_type_that_proves_two_people_do(by_staff: dict[str, Any]) -> None:
    IdentifierType.objects.create(
        name="national_id", label="National id", normalizer="exact", max_per_profile=1, proves_two_people=True
    )
    first, second = numbered("80051700001", "national_id"), numbered("80051700002", "national_id")
    same = numbered("80051700001", "customer_id", phone=None)
    scan()
    assert pair_of(first, second) == ("related", "identifiers")
    assert pair_of(first, same)[0] == "certain"
    (finding,) = [
        item for item in why(find_profile_pair(first.pk, second.pk)) if item.code == "different_ids"
    ]
    assert "Different ones prove two people, as this type is set" in finding.text
    # A change compares as a scan does.
    match_queue.refresh([first.pk, second.pk])
    assert pair_of(first, second) == ("related", "identifiers")


def test_only_what_can_prove_it_may_be_set_so(api: Caller) -> None:
    body = {"name": "national_id", "proves_two_people": True}
    assert api.post("identifier-types/", body).data["proves_two_people"] is True
    soft = api.post("identifier-types/", {"name": "device", "strength": "soft", "proves_two_people": True})
    assert refusal(soft)[0] == 400
    assert "one person has several, so different values prove nothing." in str(soft.data)
    mail = api.post("identifier-types/", {"name": "mail2", "normalizer": "email", "proves_two_people": True})
    assert "One person has several e-mails and phones, so different ones prove nothing." in str(mail.data)
