"""Addresses that wait for their owner's confirmation are listed, and the share that is confirmed in the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cdp.models import User
from profiles.models import Identifier, Profile
from profiles.privacy.delete import delete_profiles
from profiles.tracking.pending.unconfirmed import ConfirmedShare, confirmed_share
from profiles.tracking.sources.write_keys import Sender
from tests.api.caller import Caller, refusal
from tests.tracking.calls import holder, identify, make_sender

pytestmark = pytest.mark.django_db
PAGE = reverse("admin:profiles_source_unconfirmed")


@pytest.fixture
def letter(db: None) -> Sender:
    return make_sender("web", name="Letter", needs_confirmation=True)


def sign_up(sender: Sender, *names: str) -> None:
    for name in names:
        identify(sender, anonymousId=f"b-{name}", traits={"email": f"{name}@example.com", "firstName": name})


def values(answer: Any) -> list[str]:
    return [row["value"] for row in answer.data["results"]]


def test_who_waits_until_they_confirm(
    letter: Sender, with_scopes: Callable[..., Caller], by_staff: dict[str, Any]
) -> None:
    api = with_scopes("all")
    empty = api.get("unconfirmed-identifiers/").data
    assert (empty["results"], empty["share"]["percent"]) == ([], None)
    sign_up(letter, "ann", "bob", "cy", "dee")
    identify(make_sender("server"), userId="1", traits={"email": "eve@example.com"})
    answer = api.get("unconfirmed-identifiers/")
    assert values(answer) == [f"{name}@example.com" for name in ("dee", "cy", "bob", "ann")]
    row = answer.data["results"][-1]
    assert (row["type"], row["source"]) == ("email", "Letter")
    assert row["profile_id"] == Identifier.objects.get(value="ann@example.com").profile_id
    confirmed = api.post(row["confirm"], {})
    assert confirmed.status_code == 200
    dee = Identifier.objects.get(value="dee@example.com").profile_id
    delete_profiles(profile_ids=[dee], actor=by_staff["actor"], source=by_staff["source"])
    answer = api.get("unconfirmed-identifiers/?source=letter&type=email&count=exact")
    assert (values(answer), answer.data["count"]) == (["cy@example.com", "bob@example.com"], 2)
    share = answer.data["share"]
    assert (share["confirmed"], share["days"]) == (1, 30)
    assert holder("email", "ann@example.com") is not None


def test_an_address_a_page_adds_to_a_known_person_is_listed_too(with_scopes: Callable[..., Caller]) -> None:
    identify(make_sender("server"), userId="42")
    identify(make_sender("web", name="Site"), userId="42", traits={"email": "eve@example.com"})
    (row,) = with_scopes("all").get("unconfirmed-identifiers/").data["results"]
    assert (row["value"], row["source"]) == ("eve@example.com", "Site")


def test_without_the_right_to_see_personal_data(letter: Sender, with_scopes: Callable[..., Caller]) -> None:
    sign_up(letter, "ann")
    answer = with_scopes("profiles:read").get("unconfirmed-identifiers/")
    assert "ann@example.com" not in answer.content.decode()
    assert answer.data["results"][0]["confirm"] is None


def test_what_is_not_there_is_named(letter: Sender, with_scopes: Callable[..., Caller]) -> None:
    api = with_scopes("all")
    assert refusal(api.get("unconfirmed-identifiers/?source=nowhere")) == (
        400,
        "There is no source “nowhere”.",
    )
    status, sentence = refusal(api.get("unconfirmed-identifiers/?type=shoe_size"))
    assert status == 400
    assert sentence.startswith("“shoe_size” is not an identifier type. Known types: ")


def test_the_page(letter: Sender, ada: User, client: Client) -> None:
    client.force_login(ada)
    assert "No address waits" in client.get(PAGE).content.decode()
    sign_up(letter, "ann", "bob", "cy", "dee")
    ann = Profile.objects.get(first_name="ann")
    address = reverse("admin:profiles_profile_identifier_confirm", args=[ann.pk])
    client.post(address, {"type": "email", "value": "ann@example.com"})
    assert "ann@example.com is confirmed" in client.get(PAGE).content.decode()
    page = client.get(PAGE).content.decode()
    assert "ann@example.com" not in page
    assert page.index("dee@example.com") < page.index("bob@example.com")
    assert "1 of 4 addresses at sources that ask for confirmation were confirmed: <b>25 %</b>" in " ".join(
        page.split()
    )
    assert "There is no source “x”." in client.get(PAGE + "?source=x").content.decode()


def test_as_many_queries_for_many(letter: Sender, ada: User, client: Client) -> None:
    client.force_login(ada)
    counts = []
    for names in (["p0"], [f"q{n}" for n in range(60)]):
        sign_up(letter, *names)
        client.get(PAGE)
        with CaptureQueriesContext(connection) as caught:
            page = client.get(PAGE).content.decode()
        counts.append(len(caught))
    assert counts[0] == counts[1]
    assert "Older" in page
    older = client.get(PAGE + page.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&"))
    assert older.content.decode().count("@example.com") >= 11


@pytest.mark.parametrize(
    ("waiting", "confirmed", "percent"), [(0, 0, None), (1, 0, 0), (0, 1, 100), (1, 2, 67), (10_000, 1, 0)]
)
def test_the_share(waiting: int, confirmed: int, percent: int | None) -> None:
    share = ConfirmedShare(waiting, confirmed)
    assert (share.percent, share.is_capped) == (percent, waiting == 10_000)


def test_the_share_counts_the_sources_that_ask(letter: Sender) -> None:
    sign_up(letter, "ann", "bob")
    sign_up(make_sender("web"), "cy")
    Identifier.objects.filter(value="bob@example.com").update(is_pending=False, is_verified=True)
    assert confirmed_share() == ConfirmedShare(waiting=1, confirmed=1)
