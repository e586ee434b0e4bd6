"""The questions of the columns page: dates and phone numbers once for the file, consents in sentences, tags, names."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client

from cdp.models import User
from imports.models import Import
from profiles.models import Consent, Profile
from tests.admin.test_imports_pages import apply, at, form, group, message_after, page, uploaded, work

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(make_user: Callable[..., User], as_user: Callable[[User], Client]) -> Client:
    return as_user(make_user("dana", "data admin"))


def checked(client: Client, import_: Import, *targets: str, **more: str) -> str:
    """The page after “Check again”."""
    answer = client.post(at(import_, "map/"), {**form(import_, *targets, **more), "check": "1"})
    assert answer.status_code == 302
    import_.refresh_from_db()
    return page(client, import_, "columns/")


def test_a_consent_is_read_out_in_sentences(client: Client) -> None:
    text = "email,Unsubscribed\nann@example.com,true\nbob@example.com,false\neve@example.com,perhaps\n"
    import_ = uploaded(client, text)
    shown = page(client, import_, "columns/")
    assert "“yes” in this column means subscribed unsubscribed" in shown
    assert "“true” in this column means: unsubscribed" in shown
    assert "“false” in this column means: nothing: no change" in shown
    assert group(client, import_, "needs-answer") == ["Unsubscribed"], "nobody knows “perhaps”"
    words = {"word.2": "perhaps", "word_means.2": "withdrawn", "meaning.2": "opted_out"}
    checked(client, import_, "email", "consent.email.newsletter", **words)
    assert import_.mapping["Unsubscribed"] == {
        "to": "consent.email.newsletter",
        "meaning": "opted_out",
        "values": {"perhaps": "withdrawn"},
    }
    assert group(client, import_, "goes-in") == ["email", "Unsubscribed"]
    client.post(at(import_, "map/"), form(import_, "email", "consent.email.newsletter", **words))
    apply(client, work(import_))
    states = {consent.profile.email: consent.state for consent in Consent.objects.select_related("profile")}
    assert states == {"ann@example.com": "withdrawn", "eve@example.com": "withdrawn"}


def test_a_consent_is_left_out_only_when_that_is_ticked(client: Client) -> None:
    import_ = uploaded(client, "email,Email Opt Out\nann@example.com,1\nbob@example.com,0\n")
    shown = checked(client, import_, "email", "ignore")
    assert group(client, import_, "needs-answer") == ["Email Opt Out"]
    assert "1 column that looks like a consent is left out" in shown
    assert "Leave out what this column says about consent: nobody is unsubscribed by it" in shown
    client.post(at(import_, "map/"), form(import_, "email", "ignore"))
    work(import_)
    answer = client.post(at(import_, "apply/"), {"revision": str(import_.revision), "back": at(import_)})
    assert "“Email Opt Out” looks like a consent and is left out" in message_after(client, answer)
    assert not Profile.objects.exists()
    checked(client, import_, "email", "ignore", **{"confirm.2": "on"})
    assert group(client, import_, "left-out") == ["Email Opt Out"]
    client.post(at(import_, "map/"), form(import_, "email", "ignore", **{"confirm.2": "on"}))
    apply(client, work(import_))
    assert (Profile.objects.count(), Consent.objects.count()) == (2, 0)


def test_dates_and_phones_are_asked_once_for_the_file(client: Client) -> None:
    text = (
        "email,born,phone\nann@example.com,03/04/1985,030 23125809\nbob@example.com,01/02/1990,030 23125810\n"
    )
    import_ = uploaded(client, text)
    shown = page(client, import_, "columns/")
    assert "Dates, phone numbers, cells that cannot be read 2 to answer" in shown
    assert "Dates like 03/04/1985 can be read in two ways." in shown
    assert "2 phone numbers have no country code." in shown
    targets = ("email", "birth_date", "phone")
    shown = checked(client, import_, *targets, date_order="dmy", phone_country="DE")
    assert "to answer" not in shown
    assert "1985-04-03" in shown or "3 April 1985" in shown
    assert "+493023125809" in shown
    checked(client, import_, *targets, date_order="dmy", phone_country="row", phone_otherwise="DE")
    assert (import_.options["date_order"], import_.options["phone_country"]) == ("dmy", "row:DE")
    client.post(at(import_, "map/"), form(import_, *targets))
    apply(client, work(import_))
    assert "The country in the row, else Germany" in page(client, import_)
    assert Profile.objects.get(email="bob@example.com").phone == "+493023125810"


def test_tags_names_and_repeats_are_shown_as_they_arrive(client: Client) -> None:
    text = "Name,Email,Tags,Colour\nHeike von Zabern,ann@example.com,vip;new,red\nBob Lee,ann@example.com,vip,blue\n"
    import_ = uploaded(client, text)
    content = client.get(at(import_, "columns/")).content.decode()
    assert re.search(r'name="separator\.3".*?<option value=";" selected>semicolon', content, re.DOTALL)
    shown = page(client, import_, "columns/")
    assert "vip · new" in shown
    assert "Heike | von Zabern" in shown
    assert "1 value stands in more than one row, one of them in 2: such rows become one person." in shown
    assert re.search(r"Colour.*has data", shown)
    checked(client, import_, "full_name", "email", "tags", "ignore", **{"separator.3": "|"})
    assert "vip;new" in page(client, import_, "columns/")
    assert import_.mapping["Tags"] == {"to": "tags", "separator": "|"}
