"""What a call with a public key may say about a known person without a signature, and what it may not."""

from __future__ import annotations

from typing import Any

import pytest

from profiles.editing import create_profile, update_profile
from profiles.merging.merge import merge_profiles
from profiles.models import Identifier, Profile, Receipt
from profiles.tracking.sources.user_hash import sign_user
from profiles.tracking.sources.write_keys import Sender
from tests.tracking.calls import call, holder, identify, make_sender, send_item

pytestmark = pytest.mark.django_db

EVIL = "evil@example.com"


@pytest.fixture
def server(db: None) -> Sender:
    return make_sender("server")


@pytest.fixture
def web(db: None) -> Sender:
    return make_sender("web")


def person(user: str = "42") -> Profile:
    found = holder("customer_id", user)
    assert found is not None
    return found


def problems() -> list[tuple[str, str, Any]]:
    receipt = Receipt.objects.order_by("pk").last()
    assert receipt is not None
    return [(problem["code"], problem["pointer"], problem["value"]) for problem in receipt.problems or []]


@pytest.mark.parametrize("kind", ["identify", "update"])
def test_it_fills_what_is_empty_and_keeps_what_others_said(server: Sender, web: Sender, kind: str) -> None:
    identify(server, userId="42", traits={"firstName": "Ann", "email": "ann@example.com", "points": 9})
    traits = {"firstName": "Eve", "lastName": "Lee", "email": EVIL, "points": 0, "city": "Oslo"}
    result = send_item(web, kind, userId="42", anonymousId="b1", traits=traits)
    assert (result.outcome, result.profile_id) == ("applied", person().pk)
    ann = person()
    assert (ann.first_name, ann.last_name, ann.email, ann.city) == ("Ann", "Lee", "ann@example.com", "Oslo")
    assert ann.attributes == {"points": 9}
    kept = [problem for problem in problems() if problem[0] == "kept_value"]
    assert sorted(kept) == [
        ("kept_value", "/traits/email", EVIL),
        ("kept_value", "/traits/first_name", "Eve"),
        ("kept_value", "/traits/points", 0),
    ]
    receipt = Receipt.objects.order_by("pk").last()
    assert receipt is not None
    sentences = [problem["message"] for problem in receipt.problems or []]
    assert (
        "first_name was not changed: the call is not signed, and the stored value did not come from a page's call."
        " The value sent is kept as an alternate." in sentences
    )
    assert holder("email", EVIL) is None


def test_its_address_waits_for_confirmation_on_a_known_person(server: Sender, web: Sender) -> None:
    identify(server, userId="42")
    for _ in range(2):
        identify(web, userId="42", traits={"email": EVIL})
        assert ("waits_for_confirmation", "/traits/email", EVIL) in problems()
        row = Identifier.objects.get(value=EVIL)
        assert (row.profile_id, row.resolves, row.is_pending) == (person().pk, False, True)
    # The same through another door: any type, any place in the call.
    other = [{"type": "email", "id": "other@example.com"}]
    identify(web, userId="42", context={"externalIds": other})
    assert Identifier.objects.get(value="other@example.com").is_pending
    # A server's word, or a signature, and it waits no longer.
    identify(server, userId="42", traits={"email": EVIL})
    assert holder("email", EVIL) == person()
    signed = {"userHash": sign_user(web.source, "42")}
    identify(web, userId="42", traits={"email": "other@example.com"}, context=signed)
    assert holder("email", "other@example.com") == person()


def test_somebody_new_is_identified_at_once(web: Sender) -> None:
    identify(web, userId="42", anonymousId="b1", traits={"email": "ann@example.com", "firstName": "Ann"})
    assert holder("email", "ann@example.com") == person()
    identify(web, anonymousId="b2", traits={"email": "bob@example.com"})
    assert holder("email", "bob@example.com") == holder("anonymous_id", "b2")


def test_what_pages_said_pages_may_change(server: Sender, web: Sender) -> None:
    other = make_sender("web")
    identify(web, userId="42", traits={"firstName": "An", "plan": ["a", "b"], "age": 30})
    identify(other, userId="42", traits={"firstName": "Ann", "plan": ["c"], "age": 31})
    assert (person().first_name, person().attributes) == ("Ann", {"plan": ["c"], "age": 31})
    assert problems() == []
    # From here on a server says it.
    identify(server, userId="42", traits={"firstName": "Anna", "age": 32})
    identify(web, userId="42", traits={"firstName": "Eve", "age": 33, "plan": ["d"]})
    assert (person().first_name, person().attributes) == ("Anna", {"plan": ["d"], "age": 32})
    # A signature says that it is her.
    signed = {"userHash": sign_user(web.source, "42")}
    identify(web, userId="42", traits={"firstName": "Anne"}, context=signed)
    assert person().first_name == "Anne"


def test_staff_forms_and_merges_count_as_others(
    web: Sender, server: Sender, by_staff: dict[str, Any]
) -> None:
    values = {"email": "ann@example.com", "city": "Oslo"}
    ann = create_profile(values=values, identifiers=[("customer_id", "42")], **by_staff).profile
    identify(web, userId="42", traits={"city": "Rome", "firstName": "Ann"})
    assert (person().city, person().first_name) == ("Oslo", "Ann")
    update_profile(profile_id=ann.pk, values={"first_name": "Anna"}, **by_staff)
    identify(web, userId="42", traits={"firstName": "Eve"})
    assert person().first_name == "Anna"
    # What came over with a merge is whose it was on the other side.
    identify(web, userId="43", traits={"lastName": "Lee", "gender": "female"})
    identify(server, userId="43", traits={"street": "Karl Johans gate 1"})
    merge_profiles(winner_id=ann.pk, loser_id=person("43").pk, **by_staff)
    identify(web, userId="42", traits={"lastName": "Li", "street": "elsewhere"})
    assert (person().last_name, person().street) == ("Li", "Karl Johans gate 1")


def test_a_servers_key_in_a_page_says_what_pages_say(server: Sender) -> None:
    in_page = Sender(server.key_id, server.source, True)
    identify(server, userId="42", traits={"city": "Oslo"})
    identify(in_page, userId="42", traits={"city": "Rome", "firstName": "An"})
    identify(in_page, userId="42", traits={"firstName": "Ann"})
    assert (person().city, person().first_name) == ("Oslo", "Ann")


def test_several_items_of_one_call(server: Sender, web: Sender) -> None:
    identify(server, userId="42", traits={"city": "Oslo"})
    items = [
        {"type": "identify", "userId": "42", "traits": {"city": city, "state": city}} for city in ("A", "B")
    ]
    call(web, *items)
    assert (person().city, person().state) == ("Oslo", "B")
