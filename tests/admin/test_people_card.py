"""The card: everything about one person with where it came from, and every small write on it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from cdp.models import Look, Mail, User
from profiles.builtin_sources import builtin_source
from profiles.consent.ledger import record_consent
from profiles.consent.lists import consent_lists
from profiles.editing import add_event, add_note, update_profile
from profiles.journal import Cause
from profiles.merging.merge import merge_profiles
from profiles.models import (
    Address,
    AttributeDefinition,
    Consent,
    DuplicatePair,
    Event,
    Identifier,
    Message,
    Note,
    Profile,
)
from profiles.privacy.delete import delete_profiles
from profiles.reading.provenance import provenance_of
from tests.profile_factory import make_profile
from tests.tracking.calls import call, holder, make_sender, send_item

pytestmark = pytest.mark.django_db

Login = Callable[[User], Client]
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def url(name: str, *args: Any) -> str:
    return reverse(f"admin:profiles_profile_{name}", args=args)


def text(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def post(client: Client, page: str, /, *args: Any, **data: Any) -> str:
    """Send a small form; the page it leads to."""
    response = client.post(url(page, *args), data, follow=True)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


@pytest.fixture
def ann(by_staff: dict[str, Any]) -> Profile:
    """Ann, with Anna merged into her, and something in every panel."""
    AttributeDefinition.objects.create(name="plan", label="Plan", sensitivity="none")
    ann = make_profile(
        first_name="Ann",
        last_name="Kowalska",
        email="ann@example.com",
        city="Warszawa",
        plan="pro",
        identifiers=[("customer_id", "C-20417")],
        tags=["vip"],
        source="import",
    )
    anna = make_profile(first_name="Anna", email="anna@old.example", city="Kraków", source="api")
    add_event(
        profile_id=anna.pk,
        name="Order Completed",
        properties={"order_id": "99213", "total": 140, "currency": "EUR", "email": "anna@old.example"},
        context={"userAgent": FIREFOX},
        actor=by_staff["actor"],
        source=builtin_source("web"),
    )
    add_note(profile_id=ann.pk, text="Very friendly.", **by_staff)
    merge_profiles(winner_id=ann.pk, loser_id=anna.pk, **by_staff)
    update_profile(profile_id=ann.pk, values={"city": "Łódź"}, **by_staff)
    record_consent(
        profile_id=ann.pk,
        channel="email",
        purpose="newsletter",
        state="granted",
        at=timezone.now(),
        **by_staff,
    )
    ann.refresh_from_db()
    return ann


@pytest.fixture
def client_of_ada(ada: User, as_user: Login) -> Client:
    return as_user(ada)


def test_the_card_says_everything_and_who_said_it(client_of_ada: Client, ann: Profile) -> None:
    page = text(client_of_ada, url("change", ann.pk))
    anna = Profile.objects.exclude(pk=ann.pk).get()
    for said in (
        "<h1>Ann Kowalska</h1>",
        '<span class="badge ok">recognized</span>',
        "can be e-mailed: newsletter",
        "C-20417",
        f"from merged #{anna.pk}",
        "Łódź",
        f"also: “Kraków” from #{anna.pk}",
        "ada · Staff",
        ">granted</span> newsletter",
        ">vip<",
        "Firefox on Linux",
        "<b>Order Completed</b> · 99213, 140.00 EUR",
        "City changed <b>Warszawa → Łódź</b>",
        "Very friendly.",
        "Merged into this profile:",
        f"#{anna.pk} into this profile",
        "merged from 2 profiles",
    ):
        assert said in page, said
    look = Look.objects.get(kind="card")
    assert ann.pk in look.profile_ids


def test_provenance_of_an_import_names_file_and_row(
    by_system: dict[str, Any], by_staff: dict[str, Any]
) -> None:
    ann = make_profile(first_name="Ann")
    by_import = {
        "actor": by_system["actor"],
        "source": builtin_source("import"),
        "cause": Cause("import", 88, 1204),
    }
    update_profile(profile_id=ann.pk, values={"city": "Kraków", "email": "ann@example.com"}, **by_import)
    update_profile(profile_id=ann.pk, values={"country": "PL"}, **by_staff)
    other = make_profile(postcode="31-147")
    merge_profiles(winner_id=ann.pk, loser_id=other.pk, **by_staff)
    with CaptureQueriesContext(connection) as queries:
        said = {key: found.text for key, found in provenance_of(ann.pk).items()}
    assert len(queries) == 1
    assert said["city"] == "import #88, row 1,204" == said["identifiers:email:ann@example.com"]
    assert said["country"] == "ada · Staff"
    assert said["postcode"] == f"merged from #{other.pk}"


def test_what_an_import_said_leads_there_for_who_may_look(
    by_system: dict[str, Any], as_user: Login, make_user: Callable[..., User], sam: User
) -> None:
    person = make_profile(first_name="Ann")
    by_import = {**by_system, "source": builtin_source("import"), "cause": Cause("import", 88, 1204)}
    update_profile(profile_id=person.pk, values={"city": "Kraków", "email": "ann@example.com"}, **by_import)
    link = f'<a href="{reverse("admin:imports_import_change", args=[88])}">import #88, row 1,204</a>'
    told = text(as_user(make_user("dana", "data admin")), url("change", person.pk))
    assert told.count(link) == 3  # city, the e-mail, the timeline
    assert link in text(as_user(make_user("dora", "data admin")), url("timeline", person.pk))
    told = text(as_user(sam), url("change", person.pk))
    assert "import #88, row 1,204" in told
    assert "/imports/import/88/" not in told


def test_old_ids_lead_to_the_survivor(client_of_ada: Client, ann: Profile) -> None:
    anna = Profile.objects.exclude(pk=ann.pk).get()
    response = client_of_ada.get(url("change", anna.pk), follow=True)
    assert response.redirect_chain == [(url("change", ann.pk), 302)]
    assert f"#{anna.pk} was merged into this profile." in response.content.decode()
    assert client_of_ada.get(url("change", 999_999_999)).status_code == 404
    assert client_of_ada.get("/admin/profiles/profile/99999999999999999999999/change/").status_code == 404


def test_a_deleted_person_is_read_only(client_of_ada: Client, ann: Profile, by_staff: dict[str, Any]) -> None:
    delete_profiles(profile_ids=[ann.pk], **by_staff)
    page = text(client_of_ada, url("change", ann.pk))
    assert "This person is deleted: not in any list, count or search." in page
    assert "Restore this person" in page
    assert "Edit profile" not in page
    assert "Add a note" not in page
    assert f"Profile #{ann.pk} is deleted." in post(client_of_ada, "note", ann.pk, text="x")
    assert Note.objects.count() == 1


def test_nothing_recorded_runs_in_the_browser(client_of_ada: Client, by_staff: dict[str, Any]) -> None:
    evil = "<img src=x onerror=alert(1)>"
    AttributeDefinition.objects.create(name="x", label=evil)
    ann = make_profile(
        first_name=evil, city=evil, x=evil, tags=["<i>t</i>"], identifiers=[("customer_id", evil)]
    )
    add_event(
        profile_id=ann.pk,
        name=evil,
        properties={evil: evil, "nested": {evil: [evil]}},
        context={"userAgent": evil},
        **by_staff,
    )
    add_note(profile_id=ann.pk, text=evil, **by_staff)
    page = text(client_of_ada, url("change", ann.pk))
    assert evil not in page
    assert "<i>t</i>" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert evil not in text(client_of_ada, url("edit", ann.pk))


def test_the_timeline_filters_and_goes_on(
    client_of_ada: Client, ann: Profile, by_staff: dict[str, Any]
) -> None:
    for number in range(40):
        add_note(profile_id=ann.pk, text=f"Note {number}", **by_staff)
    page = text(client_of_ada, url("change", ann.pk) + "?kind=note")
    assert page.count("<b>Order") == 0
    assert "Note 39" in page
    assert "Very friendly." not in page
    older = page.split('hx-get="' + url("timeline", ann.pk) + "?")[1].split('"')[0].replace("&amp;", "&")
    fragment = text(client_of_ada, url("timeline", ann.pk) + "?" + older)
    assert "Very friendly." in fragment
    assert "<html" not in fragment
    assert "Very friendly." in text(client_of_ada, url("change", ann.pk) + "?" + older)
    assert "No entry fits this filter." in text(client_of_ada, url("change", ann.pk) + "?name=Nothing")
    broken = client_of_ada.get(url("change", ann.pk) + "?older=x")
    assert broken.status_code == 302


def test_queries_do_not_grow_with_what_a_person_has(client_of_ada: Client, by_staff: dict[str, Any]) -> None:
    counts = []
    for size in (1, 40):
        ann = make_profile(email=f"ann{size}@example.com", tags=[f"t{n}" for n in range(size)])
        for number in range(size):
            other = make_profile(first_name=f"P{number}", email=f"p{size}-{number}@mail.example")
            merge_profiles(winner_id=ann.pk, loser_id=other.pk, **by_staff)
            add_event(profile_id=ann.pk, name=f"E{number}", context={"userAgent": FIREFOX}, **by_staff)
            add_note(profile_id=ann.pk, text="x", **by_staff)
            twin = make_profile()
            DuplicatePair.objects.create(a_id=ann.pk, b_id=twin.pk, reasons=[{"text": "same phone"}])
        consent_lists()  # kept for a while in each process
        with CaptureQueriesContext(connection) as queries:
            assert client_of_ada.get(url("change", ann.pk)).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 32


def test_masked_for_who_may_not_see(vic: User, as_user: Login, ann: Profile) -> None:
    DuplicatePair.objects.create(
        a=ann,
        b=make_profile(first_name="Hanna"),
        reasons=[{"type": "phone", "value": "+48600100200", "text": "same phone +48600100200"}],
    )
    page = text(as_user(vic), url("change", ann.pk))
    assert "Personal data is masked: your role does not include viewing it." in page
    for secret in (
        "Kowalska",
        "ann@example.com",
        "anna@old",
        "C-20417",
        "Very friendly",
        "+48600100200",
        "Hanna",
    ):
        assert secret not in page, secret
    for shown in ("A••• K•••", "a•••@e•••.com", "Łódź", "pro", "vip", "Order Completed"):
        assert shown in page, shown
    for write in ("Edit profile", "Add note", "Merge…", "GDPR export", "Delete…", "Undo…"):
        assert write not in page, write


# --- Small writes ---------------------------------------------------------------------------------------


def test_note_event_and_tags(client_of_ada: Client, ann: Profile) -> None:
    assert "The note was added." in post(client_of_ada, "note", ann.pk, text="Called back.")
    assert "Write a note." in post(client_of_ada, "note", ann.pk, text=" ")
    page = post(
        client_of_ada, "event", ann.pk, name="Called", properties="sku: SHOE-42\nprice: 89.5\nvip: true"
    )
    assert "The event “Called” was added." in page
    assert Event.objects.get(name__name="Called").properties == {"sku": "SHOE-42", "price": 89.5, "vip": True}
    for properties, said in (
        ("nonsense", "Line 1 of the properties is not “name: value”."),
        ("{bad", "The properties are not valid JSON."),
        ("x" * 40_000, "Properties have at most 32,000 characters."),
    ):
        assert said in post(client_of_ada, "event", ann.pk, name="X", properties=properties)
    assert "cannot have happened in the future" in post(
        client_of_ada, "event", ann.pk, name="X", occurred_at="2999-01-01T00:00"
    )
    assert "is not a date and time" in post(client_of_ada, "event", ann.pk, name="X", occurred_at="soon")
    assert not Event.objects.filter(name__name="X").exists()
    assert "The tag was added." in post(client_of_ada, "tag", ann.pk, tags="club")
    assert "They have that tag already." in post(client_of_ada, "tag", ann.pk, tags="VIP")
    assert "Name at least one tag." in post(client_of_ada, "tag", ann.pk, tags=" , ")
    assert "The tag was removed." in post(client_of_ada, "untag", ann.pk, tag="vip")
    assert list(Profile.objects.tagged("club")) == [ann]
    assert not Profile.objects.tagged("vip").exists()


def test_identifiers_addresses_and_the_lock(client_of_ada: Client, ann: Profile) -> None:
    other = make_profile(email="other@mail.example")
    assert "The identifier was added." in post(
        client_of_ada, "identifier", ann.pk, type="email", value="Second@Mail.example"
    )
    taken = post(client_of_ada, "identifier", ann.pk, type="email", value="other@mail.example")
    assert f"Email other@mail.example already belongs to profile #{other.pk}." in taken
    assert f'<a href="{url("change", other.pk)}">Open #{other.pk}</a>' in taken
    assert "Not an e-mail address" in post(client_of_ada, "identifier", ann.pk, type="email", value="x")
    removed = post(client_of_ada, "identifier_remove", ann.pk, type="email", value="second@mail.example")
    assert "The identifier was removed. The timeline keeps it." in removed
    assert not Identifier.objects.filter(value="second@mail.example").exists()
    assert "The address was added." in post(
        client_of_ada, "address", ann.pk, label="work", city="Kraków", country="Poland"
    )
    address = Address.objects.get()
    assert (address.city, address.country) == ("Kraków", "PL")
    assert "The address was removed." in post(client_of_ada, "address_remove", ann.pk, address.pk)
    assert "Locked against merging." in post(client_of_ada, "lock", ann.pk, locked="1")
    assert "Unlocked: this person can be merged again." in post(client_of_ada, "lock", ann.pk, locked="0")


def test_a_decision_about_consent(client_of_ada: Client, ann: Profile) -> None:
    said = post(
        client_of_ada,
        "consent",
        ann.pk,
        channel="SMS",
        purpose="marketing",
        state="granted",
        at="2026-01-01T10:00",
    )
    assert "sms / marketing is granted now." in said
    unknown = post(
        client_of_ada, "consent", ann.pk, channel="sms", purpose="surveys", state="granted", when="unknown"
    )
    assert "sms / surveys is withdrawn now." in unknown
    assert "Write “granted” or “withdrawn”." in post(
        client_of_ada, "consent", ann.pk, channel="sms", purpose="surveys"
    )
    times = Consent.objects.filter(channel="sms").order_by("id").values_list("at", flat=True)
    assert [at is None for at in times] == [False, True]


def test_an_email_needs_consent(client_of_ada: Client, ann: Profile) -> None:
    mail = {"subject": "Hello", "text": "Your parcel is here."}
    refused = post(client_of_ada, "message", ann.pk, purpose="marketing", **mail)
    assert (
        "Not sent: this person has not agreed to e-mail for “marketing”. Record their consent first."
        in refused
    )
    assert not Mail.objects.exists()
    assert "Write the subject of the e-mail." in post(
        client_of_ada, "message", ann.pk, purpose="newsletter", text="x"
    )
    assert "The e-mail “Hello” is on its way." in post(
        client_of_ada, "message", ann.pk, purpose="newsletter", **mail
    )
    sent = Message.objects.get()
    assert (sent.address, sent.mail.subject) == ("ann@example.com", "Hello")
    assert "E-mail <b>Hello</b>" in text(client_of_ada, url("change", ann.pk) + "?kind=message")
    nobody = make_profile(first_name="Bob")
    assert f"Profile #{nobody.pk} has no e-mail address." in post(
        client_of_ada, "message", nobody.pk, purpose="surveys", **mail
    )


def test_promoting_the_other_value(client_of_ada: Client, ann: Profile) -> None:
    from profiles.values.alternates import alternates

    others = alternates([ann.pk])[ann.pk]
    index = next(place for place, other in enumerate(others) if other["field"] == "city")
    form = {"field": "city", "index": index, "version": ann.version}
    assert "was changed by ada" in post(client_of_ada, "promote", ann.pk, **{**form, "version": 1})
    page = post(client_of_ada, "promote", ann.pk, **form)
    assert "The person now has the other value" in page.replace("&#x27;", "'")
    ann.refresh_from_db()
    assert ann.city == "Kraków"
    assert "That value is no longer there. Reload the card." in post(
        client_of_ada, "promote", ann.pk, field="city", index=99
    )


def test_suggested_duplicates(client_of_ada: Client, ann: Profile) -> None:
    twin = make_profile(first_name="Hanna", last_name="Kowalska")
    pair = DuplicatePair.objects.create(a=ann, b=twin, reasons=[{"text": "same phone"}])
    page = text(client_of_ada, url("change", ann.pk))
    assert "Hanna Kowalska" in page
    assert "same phone" in page
    assert "Saved: not a duplicate." in post(
        client_of_ada, "verdict", ann.pk, pair.pk, verdict="not_duplicate"
    )
    assert "Hanna" not in text(client_of_ada, url("change", ann.pk))
    assert "cannot be set as a verdict" in post(client_of_ada, "verdict", ann.pk, pair.pk, verdict="merged")


def test_the_gdpr_export_is_a_file(client_of_ada: Client, ann: Profile) -> None:
    response = client_of_ada.post(url("gdpr_export", ann.pk))
    assert response["Content-Disposition"] == f'attachment; filename="profile-{ann.pk}.json"'
    content = b"".join(response.streaming_content).decode()
    json.loads(content)
    assert "anna@old.example" in content
    assert client_of_ada.get(url("gdpr_export", ann.pk)).status_code == 405


WRITES = {
    "note": ("profiles.add_note", {"text": "x"}),
    "event": ("profiles.add_event", {"name": "x"}),
    "message": ("profiles.message_profile", {"subject": "x", "text": "x", "purpose": "newsletter"}),
    "tag": ("profiles.add_profiletag", {"tags": "club"}),
    "untag": ("profiles.delete_profiletag", {"tag": "vip"}),
    "consent": ("profiles.add_consent", {"channel": "sms", "purpose": "surveys", "state": "withdrawn"}),
    "identifier": ("profiles.add_identifier", {"type": "customer_id", "value": "C-9"}),
    "identifier_remove": ("profiles.delete_identifier", {"type": "customer_id", "value": "C-20417"}),
    "lock": ("profiles.change_profile", {"locked": "1"}),
    "address": ("profiles.add_address", {"city": "Kraków"}),
    "promote": ("profiles.change_profile", {"field": "city", "index": "0"}),
    "gdpr_export": ("profiles.export_profile", {}),
}


@pytest.mark.parametrize("name", WRITES)
def test_every_write_asks_for_its_right_and_for_post(
    name: str, vic: User, olga: User, ada: User, as_user: Login, ann: Profile
) -> None:
    permission, data = WRITES[name]
    before = Profile.objects.get(pk=ann.pk).version
    for user in (vic, olga):
        assert not user.has_perm(permission)
        assert as_user(user).post(url(name, ann.pk), data).status_code == 403
    assert Client().post(url(name, ann.pk), data).status_code == 302
    assert as_user(ada).get(url(name, ann.pk)).status_code == 405
    assert Profile.objects.get(pk=ann.pk).version == before
    assert as_user(ada).post(url(name, ann.pk), data).status_code in (200, 302)


def test_pages_need_the_right_to_see_people(olga: User, vic: User, as_user: Login, ann: Profile) -> None:
    for name, args in (("changelist", ()), ("change", (ann.pk,)), ("timeline", (ann.pk,))):
        assert as_user(olga).get(url(name, *args)).status_code == 403
        assert as_user(vic).get(url(name, *args)).status_code == 200
    for name, args in (
        ("add", ()),
        ("edit", (ann.pk,)),
        ("delete", (ann.pk,)),
        ("restore", (ann.pk,)),
        ("deleted", ()),
        ("merge", ()),
    ):
        assert as_user(vic).get(url(name, *args)).status_code == 403


def test_whether_somebody_may_be_mailed(client_of_ada: Client, by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann")
    assert ">no e-mail address</a>" in text(client_of_ada, url("change", ann.pk))
    update_profile(profile_id=ann.pk, values={"email": "ann@example.com"}, **by_staff)
    assert "do not e-mail: no consent recorded" in text(client_of_ada, url("change", ann.pk))
    for state, badge in (
        ("granted", "can be e-mailed: newsletter"),
        ("withdrawn", "do not e-mail: consent withdrawn"),
    ):
        consent = {"channel": "email", "purpose": "news", "state": state, "at": timezone.now()}
        record_consent(profile_id=ann.pk, **consent, **by_staff)
        assert badge in text(client_of_ada, url("change", ann.pk))


def test_each_address_is_listed_once_and_the_other_one_can_be_used(
    client_of_ada: Client, ann: Profile
) -> None:
    page = text(client_of_ada, url("change", ann.pk))
    contact = page.split('id="contact"')[1].split("</section>")[0]
    assert contact.count(">ann@example.com</span>") == 1
    assert contact.count(">anna@old.example</span>") == 1
    assert "also: “anna@old.example”" not in page
    assert 'aria-label="Use anna@old.example as E-mail"' in contact
    others = page.split('id="identifiers"')[1].split("</section>")[0]
    assert "C-20417" in others
    assert "example" not in others


def test_events_close_in_time_are_one_visit(client_of_ada: Client, by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann")
    start = timezone.now() - datetime.timedelta(days=5)
    order = {"total": 411, "currency": "EUR"}
    visit = [
        ("Product Viewed", {}),
        ("Added to Cart", {}),
        ("Checkout Started", {}),
        ("Order Completed", order),
    ]
    for minute, (name, properties) in enumerate(visit):
        at = start + datetime.timedelta(minutes=10 * minute)
        add_event(profile_id=ann.pk, name=name, properties=properties, occurred_at=at, **by_staff)
    late = start + datetime.timedelta(minutes=61)
    add_event(profile_id=ann.pk, name="Survey Answered", occurred_at=late, **by_staff)
    note = add_note(profile_id=ann.pk, text="In the middle of it.", **by_staff)
    Note.objects.filter(pk=note.pk).update(created_at=start + datetime.timedelta(minutes=15))
    page = text(client_of_ada, url("change", ann.pk))
    assert "<b>4 events</b> · cart → checkout → order 411.00 EUR" in page
    assert page.count('class="visit"') == 1
    visit_html = page.split('class="visit"')[1]
    assert "<b>Survey Answered</b>" in page.split('class="visit"')[0]
    assert "<b>Product Viewed</b>" in visit_html


def test_carts_are_listed(client_of_ada: Client) -> None:
    ann = make_profile(first_name="Ann", identifiers=[("customer_id", "C-1")])
    assert "Carts</h2>" not in text(client_of_ada, url("change", ann.pk))
    at = timezone.now() - datetime.timedelta(hours=2)
    properties = {"cart_id": "cart-4711", "sku": "A", "total": 411, "currency": "EUR"}
    item = {"type": "track", "event": "Added to Cart", "userId": "C-1", "timestamp": at.isoformat()}
    call(make_sender("server"), {**item, "properties": properties})
    panel = text(client_of_ada, url("change", ann.pk)).split('id="carts-title"')[1].split("</section>")[0]
    assert "cart-4711" in panel
    assert "Added to Cart · 411.00 EUR" in panel, panel
    assert "2 h ago</time> · 1 event · server" in panel


def test_tracked_decisions_and_their_context_are_words(ada: User, vic: User, as_user: Login) -> None:
    """Also where personal data is masked: channel, purpose and decision are nobody's."""
    sender = make_sender("server")
    context = {"locale": "en-GB", "os": {"name": "iOS"}, "colour": "red"}
    decision = {"channel": "email", "purpose": "newsletter", "userId": "C-1", "context": context}
    for state in ("granted", "withdrawn"):
        assert send_item(sender, "consent", state=state, **decision).outcome == "applied"
    person = holder("customer_id", "C-1")
    assert person is not None
    for user in (ada, vic):
        page = text(as_user(user), url("change", person.pk) + "?kind=event")
        for sentence in (
            "Agreed to <b>e-mail newsletter</b>",
            "Withdrew consent to <b>e-mail newsletter</b>",
        ):
            assert sentence in page
        for label in ("Language of the device", "Operating system", "Context: colour", "User id"):
            assert f"<dt>{label}</dt>" in page
        assert "context.locale" not in page


def test_a_visit_that_goes_on_on_the_next_page_says_so(
    client_of_ada: Client, by_staff: dict[str, Any]
) -> None:
    ann = make_profile(first_name="Ann")
    start = timezone.now() - datetime.timedelta(hours=5)
    for second in range(35):
        at = start + datetime.timedelta(seconds=second)
        add_event(profile_id=ann.pk, name="Product Viewed", occurred_at=at, **by_staff)
    assert "<b>30+ events</b>" in text(client_of_ada, url("change", ann.pk) + "?kind=event")


def test_the_short_address_of_a_card(client_of_ada: Client, ann: Profile) -> None:
    anna = Profile.objects.exclude(pk=ann.pk).get()
    assert client_of_ada.get(f"/admin/profiles/profile/{anna.pk}/").url == url("change", ann.pk)
    assert client_of_ada.get("/admin/profiles/profile/999999999/").status_code == 404


def test_a_recognized_person_without_a_name_is_not_called_anonymous(client_of_ada: Client) -> None:
    known = make_profile(identifiers=[("customer_id", "C-1")])
    assert f"<h1>Profile #{known.pk}</h1>" in text(client_of_ada, url("change", known.pk))
    unknown = make_profile(identifiers=[("anonymous_id", "b-1")])
    assert f"<h1>Anonymous #{unknown.pk}</h1>" in text(client_of_ada, url("change", unknown.pk))


def test_a_merged_id_in_any_address_leads_on_with_a_note(
    ada: User, as_user: Callable[[User], Client], by_staff: dict[str, Any]
) -> None:
    ann, anna = make_profile(first_name="Ann"), make_profile(first_name="Anna")
    merge_profiles(winner_id=ann.pk, loser_id=anna.pk, **by_staff)
    client = as_user(ada)
    for address in (f"/admin/profiles/profile/{anna.pk}/", f"/admin/profiles/profile/{anna.pk}/change/"):
        page = client.get(address, follow=True)
        assert page.redirect_chain[-1][0] == f"/admin/profiles/profile/{ann.pk}/change/"
        assert page.content.decode().count(f"#{anna.pk} was merged into this profile.") == 1
    plain = client.get(f"/admin/profiles/profile/{ann.pk}/", follow=True).content.decode()
    assert "was merged into this profile." not in plain
    assert client.get("/admin/profiles/profile/999999999/").status_code == 404
