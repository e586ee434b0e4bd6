"""Every call and mapping that “Why separate?” offers to copy is taken by the way in that it is for."""

from __future__ import annotations

from typing import Any

import pytest

from profiles.duplicates.why import Finding, find_profile_pair, why
from profiles.identity.lookup import find_profile
from profiles.models import Identifier, IdentifierType, Source
from tests.duplicates.causes import ANN, CAUSES, browser, made, root_of, shop_api, site
from tests.duplicates.real_calls import send
from tests.imports.files import applied

pytestmark = pytest.mark.django_db


def finding_of(a: int, b: int, code: str) -> Finding:
    (finding,) = [finding for finding in why(find_profile_pair(a, b)) if finding.code == code]
    return finding


def send_all(finding: Finding, **more: Any) -> None:
    """Every copyable fix of a finding."""
    sources = [fix.source for fix in finding.fixes if fix.source is not None and fix.source.code]
    assert sources
    source = finding.source if Source.objects.filter(name=finding.source, is_builtin=False).exists() else ""
    for fix in sources:
        send(fix, source=source or any_site(), **more)


def any_site() -> str:
    """Who sends where the finding names no tracked source."""
    return Source.objects.filter(is_builtin=False).order_by("pk").values_list("name", flat=True).first() or ""


FILES = {
    "column_mapped_to_an_attribute": (
        f"Nr,Mail,Name\nC-7,{ANN},Ann\n",
        {
            "Nr": {"to": "customer_id"},
            "Mail": {"to": "attributes.contact_mail"},
            "Name": {"to": "first_name"},
        },
    ),
}


@pytest.mark.parametrize("name", CAUSES)
def test_what_each_cause_offers_to_copy_is_taken(name: str) -> None:
    expected = CAUSES[name]()
    file, mapping = FILES.get(name, ("", {}))
    send_all(finding_of(expected.a, expected.b, expected.code), file=file, mapping=mapping)


def test_the_confirmation_that_is_offered_joins_all_who_wait() -> None:
    """Double opt-in of two browsers with one e-mail."""
    newsletter = site("Newsletter", needs_confirmation=True)
    newsletter("identify", anonymousId="b-1", traits={"email": ANN})
    newsletter("identify", anonymousId="b-2", traits={"email": ANN})
    finding = why(find_profile_pair(browser("b-1"), browser("b-2")))[0]
    assert finding.code == "pending_identifier"
    send_all(finding)
    assert browser("b-1") == browser("b-2") == root_of(f"email:{ANN}")


def test_a_server_that_sends_an_email_as_two_types_is_told_a_call_it_may_send() -> None:
    IdentifierType.objects.create(name="login", label="Login", normalizer="exact")
    send_ = site("Shop backend", "server")
    send_("identify", userId="7", context={"externalIds": [{"type": "login", "id": ANN}]})
    known = made(shop_api().post("profiles/", {"email": ANN}))
    other = root_of("customer_id:7")
    finding = finding_of(other, known, "email_as_other_id")
    assert finding.text == (
        f"Both are called by the e-mail {ANN} as Login here, E-mail there, as identifiers of two types, which are never"
        f" compared: #{other} by Shop backend (identify call, context.externalIds), #{known} by API key “shop backend”,"
        " email."
    )
    send_all(finding)


def test_whoever_leaves_out_the_country_code_is_told_and_not_the_other() -> None:
    IdentifierType.objects.filter(name="phone").update(priority=5)
    backend, kiosk = site("Shop backend", "server"), site("Kiosk", "server")
    backend("identify", userId="1", traits={"phone": "+48 601 100 200"})
    kiosk("identify", userId="2", traits={"phone": "601100200"})
    finding = finding_of(root_of("customer_id:1"), root_of("customer_id:2"), "phone_format")
    assert (finding.source, finding.profile_id) == ("Kiosk", root_of("customer_id:2"))
    send_all(finding)


def test_blanks_in_a_phone_are_nobodys_fault() -> None:
    backend, kiosk = site("Shop backend", "server"), site("Kiosk", "server")
    backend("identify", userId="1", traits={"phone": "+48 601 100 200"})
    kiosk("identify", userId="2", traits={"phone": "+48601100200"})
    codes = [
        finding.code for finding in why(find_profile_pair(root_of("customer_id:1"), root_of("customer_id:2")))
    ]
    assert codes == ["contact_type", "different_ids"]


def test_a_phone_written_over_the_api_names_the_person_to_correct() -> None:
    api = shop_api()
    first = made(api.post("profiles/", {"phone": "+48601100200", "first_name": "Ann"}))
    api.post("attributes/", {"name": "phone2"})
    second = made(api.post("profiles/", {"first_name": "Bob", "attributes": {"phone2": "601100200"}}))
    finding = finding_of(first, second, "phone_format")
    before = Identifier.objects.count()
    send_all(finding)
    assert find_profile(second).root.phone == "+48601100200"
    assert Identifier.objects.count() == before + 1


def test_two_on_one_device_are_kept_apart_first_and_merged_only_by_choice() -> None:
    tablet = site("Tablet")
    tablet("identify", anonymousId="t-1", userId="1", traits={"firstName": "Maria", "lastName": "Nowak"})
    tablet("identify", anonymousId="t-1", userId="2", traits={"firstName": "Jan", "lastName": "Nowak"})
    finding = finding_of(root_of("customer_id:1"), root_of("customer_id:2"), "shared_device")
    assert [(fix.code, fix.merges) for fix in finding.fixes] == [
        ("keep_apart", False),
        ("join_browsers", True),
    ]
    assert finding.fixes[0].text == (
        "Usually these are two people: mark them as not duplicates, and no import or call merges them from then on."
    )
    # One full name at one browser is rather one person with two numbers.
    tablet("identify", anonymousId="t-2", userId="3", traits={"firstName": "Ola", "lastName": "Kot"})
    tablet("identify", anonymousId="t-2", userId="4", traits={"firstName": "Ola", "lastName": "Kot"})
    finding = finding_of(root_of("customer_id:3"), root_of("customer_id:4"), "shared_device")
    assert [fix.code for fix in finding.fixes] == ["join_browsers", "keep_apart"]


def test_rows_without_an_identifier_are_told_a_mapping_that_is_taken() -> None:
    shop_api().post("attributes/", {"name": "contact"})
    file, mapping = (
        f"contact,city\n{ANN},Oslo\n",
        {"contact": {"to": "attributes.contact"}, "city": {"to": "city"}},
    )
    applied(file, mapping=mapping)
    row = find_profile(Identifier.objects.earliest("pk").profile_id).root
    other = made(shop_api().post("profiles/", {"email": "bob@example.com"}))
    finding = finding_of(row.pk, other, "row_without_identifier")
    send_all(finding, file=file, mapping=mapping)
    assert root_of(f"email:{ANN}")


# --- Values belong to the type they came as --------------------------------------------------------------


def test_the_item_that_said_it_is_named_whatever_stands_before_it() -> None:
    """A browser's first batch, as the snippet sends it: a page, then an update with an e-mail."""
    known = made(shop_api().post("profiles/", {"email": ANN}))
    send_ = site()
    send_(
        "batch",
        batch=[
            {"type": "page", "anonymousId": "b-1", "name": "Home"},
            {"type": "track", "event": "Seen", "anonymousId": "b-1"},
            {"type": "update", "anonymousId": "b-1", "traits": {"email": ANN}},
        ],
    )
    finding = finding_of(browser("b-1"), known, "update_not_identify")
    assert (finding.via, finding.stored_as) == ("update call, traits.email", "contact_value")
    assert f"has the e-mail {ANN} only in traits.email of an update call" in finding.text
    send_all(finding)


@pytest.mark.parametrize("first", ["page", "screen", "track"])
def test_each_value_of_a_first_batch_has_its_own_item(first: str) -> None:
    send_ = site("App", "server")
    known = made(shop_api().post("profiles/", {"email": ANN}))
    send_(
        "batch",
        batch=[
            {"type": first, "event": "Seen", "name": "Home", "anonymousId": "b-1"},
            {"type": "update", "anonymousId": "b-1", "traits": {"city": "Oslo"}},
            {"type": "update", "anonymousId": "b-1", "traits": {"email": ANN}},
            {"type": "identify", "anonymousId": "b-1", "userId": "7"},
        ],
    )
    visitor = root_of("customer_id:7")
    codes = [(finding.code, finding.via) for finding in why(find_profile_pair(visitor, known))]
    assert codes == [("update_not_identify", "update call, traits.email")]


def test_a_second_type_of_emails_makes_no_second_finding() -> None:
    IdentifierType.objects.create(name="work_email", label="Work e-mail", normalizer="email", priority=3)
    IdentifierType.objects.create(name="mobile", label="Mobile", normalizer="phone", priority=4)
    known = made(shop_api().post("profiles/", {"email": ANN, "phone": "+48601100200"}))
    send_ = site()
    send_(
        "track",
        anonymousId="b-1",
        event="Newsletter",
        properties={"mail": ANN, "contact": {"telephone": "+48601100200"}},
    )
    found = why(find_profile_pair(browser("b-1"), known))
    assert sorted((finding.code, finding.type) for finding in found) == [
        ("contact_type", "phone"),
        ("identifier_in_event", "email"),
    ]


def test_a_value_goes_to_the_type_it_is_named_like_or_the_other_has() -> None:
    IdentifierType.objects.create(name="work_email", label="Work e-mail", normalizer="email", priority=3)
    api = shop_api()
    known = made(api.post("profiles/", {"identifiers": [{"type": "work_email", "value": ANN}]}))
    send_ = site()
    send_("track", anonymousId="b-1", event="Newsletter", properties={"mail": ANN})
    (finding,) = why(find_profile_pair(browser("b-1"), known))
    assert (finding.code, finding.type) == ("identifier_in_event", "work_email")
    named = made(api.post("profiles/", {"email": "bob@example.com"}))
    send_("track", anonymousId="b-2", event="Newsletter", properties={"workEmail": "bob@example.com"})
    codes = [finding.code for finding in why(find_profile_pair(browser("b-2"), named))]
    assert codes == ["browser_never_identified"]


def test_one_address_as_two_types_of_email_is_found_once() -> None:
    IdentifierType.objects.create(name="work_email", label="Work e-mail", normalizer="email", priority=3)
    api = shop_api()
    work = made(api.post("profiles/", {"identifiers": [{"type": "work_email", "value": ANN}]}))
    home = made(api.post("profiles/", {"email": ANN}))
    (finding,) = why(find_profile_pair(work, home))
    assert finding.code == "email_as_other_id"
    send_all(finding)


# --- Ids where they identify nobody ------------------------------------------------------------------------


def test_an_email_sent_as_the_browsers_id_is_named() -> None:
    known = made(shop_api().post("profiles/", {"email": ANN}))
    send_ = site()
    send_("page", anonymousId="Ann@Example.com")
    visitor = browser("Ann@Example.com")
    (finding,) = why(find_profile_pair(visitor, known))
    assert (finding.code, finding.value, finding.stored_as, finding.profile_id) == (
        "id_in_soft_id",
        ANN,
        "soft_identifier",
        visitor,
    )
    assert finding.text == (
        f"#{visitor} has the e-mail {ANN} (written “Ann@Example.com”) only as its browser id, which identifies a browser and"
        f" not a person. #{known} has it as an identifier from API key “shop backend”, email."
    )
    assert (finding.source, finding.via) == ("Shop website", "page call, anonymousId")
    assert finding.fix is not None
    assert finding.fix.code == "promote_identifier"
    send_all(finding)


@pytest.mark.parametrize("kind", ["web", "server"])
def test_a_customer_id_sent_as_the_browsers_id_is_named(kind: str) -> None:
    backend = site("Shop backend", "server")
    backend("identify", userId="C-20417")
    site("App", kind)("track", anonymousId="C-20417", event="Seen")
    (finding,) = why(find_profile_pair(browser("C-20417"), root_of("customer_id:C-20417")))
    assert (finding.code, finding.value) == ("id_in_soft_id", "C-20417")
    send_all(finding)


def test_a_soft_type_of_ones_own_is_looked_into_as_well() -> None:
    IdentifierType.objects.create(name="device", label="Device", strength="soft", is_unique=True)
    known = made(shop_api().post("profiles/", {"email": ANN}))
    send_ = site("App", "server")
    send_("track", event="Seen", context={"externalIds": [{"type": "device", "id": ANN}]})
    (finding,) = why(find_profile_pair(root_of(f"device:{ANN}"), known))
    assert finding.code == "id_in_soft_id"
    assert finding.text.startswith(f"#{finding.profile_id} has the e-mail {ANN} only as its device, which")
    send_all(finding)


def test_an_email_as_the_browsers_id_is_named_even_where_nobody_has_it() -> None:
    known = made(shop_api().post("profiles/", {"email": "bob@example.com"}))
    site()("page", anonymousId=ANN)
    (finding,) = why(find_profile_pair(browser(ANN), known))
    assert (finding.code, finding.value) == ("id_in_soft_id", ANN)
    assert finding.text == (
        f"#{browser(ANN)} is an anonymous visitor: the e-mail {ANN} came only as its browser id, which identifies a browser"
        f" and not a person. No identifier of #{known} is the same."
    )
    send_all(finding)


def test_an_id_is_found_however_deep_it_is() -> None:
    known = made(shop_api().post("profiles/", {"email": ANN}))
    properties = {"a": {"b": {"c": {"d": {"e": [{"contact_mail": ANN}]}}}}}
    site()("track", anonymousId="b-1", event="Signed up", properties=properties)
    (finding,) = why(find_profile_pair(browser("b-1"), known))
    assert (finding.code, finding.via) == (
        "identifier_in_event",
        "track “Signed up”, properties.a.b.c.d.e.contact_mail",
    )
