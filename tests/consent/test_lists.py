"""Channels and purposes are lists that an admin keeps; at every door nothing else is accepted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from cdp.errors import Invalid
from cdp.models import AuditEntry, User
from imports.columns import Context, UnknownTarget, guess_mapping, parse_target
from imports.mappings import load_context
from profiles.consent.ledger import record_consent
from profiles.consent.lists import consent_lists, read_lists
from profiles.consent.words import SHIPPED, Word, lists_of
from profiles.models import Consent, ConsentChannel, ConsentPurpose, Receipt
from tests.api.caller import Caller, refusal
from tests.imports.files import planned
from tests.profile_factory import make_profile
from tests.tracking.calls import make_sender, send_item

FAX = (
    "There is no channel “fax” of consents. Known channels: email, phone, post, push, sms, whatsapp. An admin adds others"
    " under Privacy, Consent channels."
)
Login = Callable[[User], Client]


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("E-mail", "email"),
        ("e_mail", "email"),
        (" EMAIL ", "email"),
        ("Mail", "email"),
        ("text message", "sms"),
        ("Whats-App", "whatsapp"),
        ("Phone Calls", None),
        ("phone call", "phone"),
        ("fax", None),
        ("", None),
    ],
)
def test_a_channel_in_any_spelling(raw: str, name: str | None) -> None:
    word = SHIPPED.channels.find(raw)
    assert (word and word.name) == name


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("News", "newsletter"),
        ("third party", "third_party"),
        ("Third-Party", "third_party"),
        ("thirdParty", "third_party"),
        ("offers", "marketing"),
        ("newsletter2", None),
    ],
)
def test_a_purpose_in_any_spelling(raw: str, name: str | None) -> None:
    word = SHIPPED.purposes.find(raw)
    assert (word and word.name) == name


@given(st.sampled_from([*SHIPPED.channels]), st.sampled_from(["", " ", "-", "_", "."]), st.booleans())
def test_case_and_what_parts_words_do_not_count(word: Word, between: str, is_upper: bool) -> None:
    spelled = between.join(word.name)
    found = SHIPPED.channels.find(spelled.upper() if is_upper else spelled)
    assert found == word


def test_a_name_is_never_a_spelling_of_another() -> None:
    lists = lists_of([Word("mail", "Letters"), Word("email", "E-mail", ("mail",))], ())
    assert lists.channels.find("Mail") == Word("mail", "Letters")


pytestmark = pytest.mark.django_db


@pytest.fixture
def archived() -> ConsentPurpose:
    purpose = ConsentPurpose.objects.create(name="club", label="The club", archived_at=timezone.now())
    consent_lists.forget()
    return purpose


def test_what_ships_is_there_and_stays_as_staff_left_it() -> None:
    from profiles.builtin import ensure_builtin

    lists = read_lists()
    assert {word.name: word.contact for word in lists.channels} == {
        "email": "email",
        "sms": "phone",
        "phone": "phone",
        "whatsapp": "phone",
        "post": "none",
        "push": "none",
    }
    assert [word.name for word in lists.purposes] == [
        *("analytics", "marketing", "newsletter", "personalization"),
        *("profiling", "surveys", "third_party", "transactional"),
    ]
    ConsentPurpose.objects.filter(name="newsletter").update(label="Weekly letter", synonyms=["weekly"])
    ConsentPurpose.objects.filter(name="surveys").delete()
    ensure_builtin()
    kept = read_lists().purposes
    assert (kept.find("weekly").label, kept.find("news")) == ("Weekly letter", None)
    assert kept.find("surveys").label == "Surveys"


# --- Every door -----------------------------------------------------------------------------------------------


def test_the_ledger_takes_nothing_else(by_staff: dict[str, Any], archived: ConsentPurpose) -> None:
    ann = make_profile(email="ann@example.com")
    decision = {"profile_id": ann.pk, "at": timezone.now(), **by_staff}
    with pytest.raises(Invalid, match="There is no channel “fax” of consents"):
        record_consent(channel="fax", purpose="newsletter", state="withdrawn", **decision)
    with pytest.raises(Invalid) as refused:
        record_consent(channel="email", purpose="Club", state="granted", **decision)
    assert refused.value.message.startswith(
        "The purpose “club” is archived, so nobody can agree to it any more. Known purposes: analytics, marketing"
    )
    # Whoever agreed before can always withdraw.
    record_consent(channel="E-Mail", purpose="Club", state="withdrawn", **decision)
    assert Consent.objects.values_list("channel", "purpose", "state").get() == ("email", "club", "withdrawn")


def test_the_api_takes_nothing_else(api: Caller) -> None:
    ann = make_profile(email="ann@example.com")
    path = f"profiles/{ann.pk}/consents/"
    refused = api.post(path, {"channel": "fax", "purpose": "moon", "state": "granted"})
    assert refusal(refused) == (400, FAX)
    assert [error["pointer"] for error in refused.data["errors"]] == ["/channel", "/purpose"]
    new = {
        "email": "ben@example.com",
        "consents": [
            {"channel": "email", "purpose": "news", "state": "granted"},
            {"channel": "fax", "purpose": "news", "state": "granted"},
        ],
    }
    refused = api.post("profiles/", new)
    assert refusal(refused) == (400, FAX)
    assert [error["pointer"] for error in refused.data["errors"]] == ["/consents/1/channel"]
    assert not Consent.objects.exists()
    assert api.post(path, {"channel": "E_Mail", "purpose": "News", "state": "granted"}).status_code == 201
    assert Consent.objects.values_list("channel", "purpose").get() == ("email", "newsletter")


def test_the_card_offers_the_list_and_takes_nothing_else(
    ada: User, as_user: Login, archived: ConsentPurpose
) -> None:
    ann, client = make_profile(email="ann@example.com"), as_user(ada)
    card = reverse("admin:profiles_profile_change", args=[ann.pk])
    page = client.get(card).content.decode()
    form = page.split('id="co-channel"')[1].split("</form>")[0]
    assert '<option value="whatsapp">WhatsApp</option>' in form
    assert '<option value="newsletter" selected>Newsletter</option>' in form
    assert "club" not in form
    sent = {"channel": "fax", "purpose": "newsletter", "state": "granted"}
    answer = client.post(reverse("admin:profiles_profile_consent", args=[ann.pk]), sent, follow=True)
    assert FAX in answer.content.decode()
    assert not Consent.objects.exists()


def test_tracking_lists_what_it_does_not_know() -> None:
    server = make_sender("server")
    decision = {"userId": "1", "state": "granted"}
    refused = send_item(server, "consent", channel="fax", purpose="newsletter", **decision)
    assert (refused.outcome, refused.code, refused.message) == ("invalid", "bad_consent", FAX)
    receipt = Receipt.objects.get()
    assert [(problem["pointer"], problem["message"]) for problem in receipt.problems] == [("/channel", FAX)]
    assert send_item(server, "consent", channel="E-mail", purpose="News", **decision).outcome == "applied"
    assert Consent.objects.values_list("channel", "purpose").get() == ("email", "newsletter")


def test_an_import_maps_to_nothing_else(archived: ConsentPurpose) -> None:
    context = load_context()
    with pytest.raises(UnknownTarget) as unknown:
        parse_target("consent.fax.newsletter", context)
    assert unknown.value.message == FAX
    with pytest.raises(UnknownTarget, match="The purpose “club” is archived"):
        parse_target("consent.email.club.at", context)
    assert parse_target("consent.E-Mail.News.at", context).to == "consent.email.newsletter.at"
    with pytest.raises(Invalid) as refused:
        planned("email,a\nann@example.com,yes\n", mapping={"email": "email", "a": "consent.email.moon"})
    assert refused.value.problems[0]["column"] == "a"
    assert refused.value.message.startswith(
        "There is no purpose “moon” of consents. Known purposes: analytics, "
    )


def test_columns_of_channels_there_are_not_are_left_to_a_person() -> None:
    """And those that staff added are guessed."""
    rows = [["yes"], ["no"]]
    assert guess_mapping(["SMS consent"], rows, Context()) == {"SMS consent": {"to": "consent.sms.marketing"}}
    without = Context(
        consents=lists_of([word for word in SHIPPED.channels if word.name != "sms"], SHIPPED.purposes)
    )
    assert guess_mapping(["SMS consent"], rows, without) == {"SMS consent": {"to": "ignore"}}
    fax = Context(consents=lists_of([*SHIPPED.channels, Word("fax", "Fax")], SHIPPED.purposes))
    assert guess_mapping(["Fax consent"], rows, fax) == {"Fax consent": {"to": "consent.fax.marketing"}}


def test_the_lists_filter_takes_nothing_else(ada: User, as_user: Login) -> None:
    client = as_user(ada)
    url = "/admin/profiles/profile/"
    page = client.get(f"{url}?consent=fax/newsletter").content.decode()
    assert "There is no channel “fax” of consents." in page
    ConsentPurpose.objects.create(name="wine_club", label="Wine club")
    consent_lists.forget()
    page = client.get(f"{url}?consent=E-Mail/wine-club").content.decode()
    assert 'aria-label="Change the filter: Consent given to e-mail wine club"' in page
    assert '<option value="sms/wine_club">SMS: wine club</option>' in page


# --- The pages and endpoints of the lists -----------------------------------------------------------------


def test_a_purpose_is_added_respelled_and_archived(make_user: Any, as_user: Login) -> None:
    client = as_user(make_user("pia", "privacy officer"))
    add = reverse("admin:profiles_consentpurpose_add")
    for sent, said in (
        ({"name": "Wine club"}, "Use small letters, digits and _, starting with a letter."),
        ({"name": "newsletter"}, "“newsletter” is a spelling of “Newsletter” already."),
        ({"name": "news_letter"}, "“news_letter” is a spelling of “Newsletter” already."),
        ({"name": "wine_club", "synonyms": "wine\r\nNEWS"}, "“NEWS” is a spelling of “Newsletter” already."),
        ({"name": "wine_club", "synonyms": "--"}, "“--” has no letter or digit."),
    ):
        assert said in client.post(add, sent).content.decode(), sent
    assert client.post(add, {"name": "wine_club", "synonyms": "wine\r\nWine-Club"}).status_code == 302
    club = ConsentPurpose.objects.get(name="wine_club")
    assert (club.label, club.synonyms, club.archived_at) == ("Wine club", ["wine"], None)
    assert consent_lists().purposes.find("Wine") is not None
    change = reverse("admin:profiles_consentpurpose_change", args=[club.pk])
    sent = {"name": "other", "label": "Club of wine", "synonyms": "wine", "archived": "on"}
    assert client.post(change, sent).status_code == 302
    club.refresh_from_db()
    assert (club.name, club.label) == ("wine_club", "Club of wine")
    assert club.archived_at is not None
    page = client.get(reverse("admin:profiles_consentpurpose_changelist")).content.decode()
    assert 'Club of wine <span class="badge">archived</span>' in page
    assert AuditEntry.objects.filter(
        action="consentpurpose.change", subject=f"consentpurpose:{club.pk}"
    ).exists()


def test_what_is_used_is_not_deleted(ada: User, as_user: Login, by_staff: dict[str, Any]) -> None:
    fax = ConsentChannel.objects.create(name="fax", label="Fax", contact="phone")
    consent_lists.forget()
    ann, client = make_profile(phone="+48600100200"), as_user(ada)
    delete = reverse("admin:profiles_consentchannel_delete", args=[fax.pk])
    assert client.get(delete).status_code == 200
    record_consent(
        profile_id=ann.pk, channel="fax", purpose="news", state="granted", at=timezone.now(), **by_staff
    )
    assert Consent.objects.get().address == "+48600100200"
    assert client.get(delete).status_code == 403
    page = client.get(reverse("admin:profiles_consentchannel_change", args=[fax.pk])).content.decode()
    assert 'name="contact"' not in page
    assert 'name="label"' in page
    listed = client.get(reverse("admin:profiles_consentchannel_changelist")).content.decode()
    row = listed.split("<code>fax</code>")[1].split("</tr>")[0]
    assert '<td class="field-decisions">1</td>' in row
    email = ConsentChannel.objects.get(name="email")
    assert client.get(reverse("admin:profiles_consentchannel_delete", args=[email.pk])).status_code == 403


def test_the_lists_over_the_api(api: Caller, with_scopes: Callable[..., Caller]) -> None:
    reader = with_scopes("profiles:read", name="reader")
    assert [row["name"] for row in reader.get("consent-channels/").data["results"]] == [
        *("email", "phone", "post", "push", "sms", "whatsapp")
    ]
    assert refusal(reader.post("consent-purposes/", {"name": "club"}))[0] == 403
    made = api.post("consent-purposes/", {"name": "club", "synonyms": ["the club"]})
    assert made.status_code == 201
    club = made.data
    assert (club["label"], club["synonyms"], club["archived"], club["decisions"]) == (
        "Club",
        ["the club"],
        False,
        0,
    )
    path = f"consent-purposes/{club['id']}/"
    assert api.patch(path, {"archived": True}).data["archived"] is True
    changed = api.patch(path, {"label": "Our club"}).data
    assert (changed["label"], changed["archived"], changed["synonyms"]) == ("Our club", True, ["the club"])
    assert api.patch(path, {"archived": False}).data["archived_at"] is None
    assert refusal(api.patch(path, {"name": "other"})) == (
        422,
        "The name of “Our club” cannot be changed: integrations send it. Change the label instead.",
    )
    assert refusal(api.patch(path, {"synonyms": ["news"]})) == (
        400,
        "“news” is a spelling of “Newsletter” already.",
    )
    ann = make_profile(email="ann@example.com")
    decision = {"channel": "email", "purpose": "the-club", "state": "granted"}
    assert api.post(f"profiles/{ann.pk}/consents/", decision).status_code == 201
    assert api.get(path).data["decisions"] == 1
    assert refusal(api.delete(path)) == (422, "People have decided about “Our club”. Archive it instead.")
    shipped = ConsentPurpose.objects.get(name="surveys")
    assert refusal(api.delete(f"consent-purposes/{shipped.pk}/")) == (
        422,
        "“Surveys” ships with the product and stays. Archive it instead.",
    )
    email = ConsentChannel.objects.get(name="email")
    assert refusal(api.patch(f"consent-channels/{email.pk}/", {"contact": "none"})) == (
        422,
        "The contact of “E-mail” cannot be changed: people have decided about it.",
    )
    free = api.post("consent-channels/", {"name": "fax", "contact": "phone"}).data
    assert api.delete(f"consent-channels/{free['id']}/").status_code == 204
