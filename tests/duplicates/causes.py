"""Ten ways one person becomes two profiles, each played through real channels: tracking calls, the API,
imports.

``CAUSES[name]()`` plays one and returns the expected finding; nothing here inserts a row.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.test import Client

from cdp.actors import Actor
from cdp.api.keys import create_key
from profiles.identity.lookup import find_profile
from profiles.models import Event, Identifier
from profiles.tracking.sources.sources import change_source, create_source
from tests.api.caller import Caller
from tests.imports.files import applied

ANN = "ann@example.com"


@dataclass(frozen=True, slots=True)
class Expected:
    """The finding a cause must give, and the two profiles it is about."""

    a: int
    b: int
    code: str
    value: str
    stored_as: str
    profile_id: int
    source: str
    via: str
    fix: str
    copy: str


def site(name: str = "Shop website", kind: str = "web", **settings: Any) -> Callable[..., Any]:
    """A source and how to call it: ``send("track", anonymousId="b-1", event="Seen")``."""
    made = create_source(name=name, kind=kind, actor=Actor.system())
    if settings:
        change_source(source_id=made.source.pk, changes=settings, actor=Actor.system())

    def send(call: str, **body: Any) -> Any:
        answer = Client(headers={"X-Write-Key": made.write_key}).post(
            f"/v1/{call}", json.dumps(body), content_type="application/json"
        )
        assert (answer.status_code, answer.json().get("rejected")) == (200, 0), answer.content
        return answer.json()

    return send


def shop_api(name: str = "shop backend") -> Caller:
    return Caller(create_key(name=name, scopes=["profiles:write", "admin", "pii"], actor=Actor.system()))


def made(answer: Any) -> int:
    assert answer.status_code in (200, 201), answer.data
    return int(answer.data["id"])


def root_of(ref: str) -> int:
    return find_profile(ref).root.pk


def browser(value: str) -> int:
    """The profile of a browser's last events, also when the browser changed hands."""
    return root_of(f"anonymous_id:{value}")


def update_instead_of_identify() -> Expected:
    send = site()
    send("page", anonymousId="b-1")
    send("update", anonymousId="b-1", traits={"email": ANN})
    known = made(shop_api().post("profiles/", {"email": ANN, "first_name": "Ann"}))
    visitor = browser("b-1")
    return Expected(
        visitor,
        known,
        "update_not_identify",
        ANN,
        "contact_value",
        visitor,
        "Shop website",
        "update call, traits.email",
        "promote_identifier",
        'cdp.push(["identify", {"email": "ann@example.com"}]);',
    )


def email_in_a_track() -> Expected:
    send = site()
    send("track", anonymousId="b-1", event="Newsletter", properties={"mail": "Ann@Example.com"})
    known = made(shop_api().post("profiles/", {"email": ANN}))
    visitor = browser("b-1")
    return Expected(
        visitor,
        known,
        "identifier_in_event",
        ANN,
        "event_property",
        visitor,
        "Shop website",
        "track “Newsletter”, properties.mail",
        "promote_identifier",
        'cdp.push(["identify", {"email": "ann@example.com"}]);',
    )


def column_mapped_to_an_attribute() -> Expected:
    shop_api().post("attributes/", {"name": "contact_mail"})
    job = applied(
        f"Nr,Mail,Name\nC-7,{ANN},Ann\n",
        name="crm.csv",
        mapping={
            "Nr": {"to": "customer_id"},
            "Mail": {"to": "attributes.contact_mail"},
            "Name": {"to": "first_name"},
        },
    )
    site("Shop backend", "server")("identify", anonymousId="b-1", traits={"email": ANN})
    row, known = root_of("customer_id:C-7"), root_of(f"email:{ANN}")
    return Expected(
        row,
        known,
        "import_column_attribute",
        ANN,
        "attribute",
        row,
        "Import",
        f"import #{job.pk} “crm.csv”, row 2, column “Mail” → attributes.contact_mail",
        "promote_identifier",
        '{"Mail": {"to": "email"}}',
    )


def email_in_another_case() -> Expected:
    send = site("Shop backend", "server")
    send("identify", userId="Ann@Example.com")
    applied(
        f"reference_no,first_name\n{ANN},Ann\n",
        mapping={"reference_no": {"to": "customer_id"}, "first_name": {"to": "first_name"}},
    )
    called, row = root_of("customer_id:Ann@Example.com"), root_of(f"customer_id:{ANN}")
    return Expected(
        called,
        row,
        "email_case",
        ANN,
        "hard_identifier",
        called,
        "Shop backend",
        "identify call, userId",
        "normalize_identifier",
        '"traits": {"email": "ann@example.com"}',
    )


def phone_in_two_formats() -> Expected:
    send = site("Shop backend", "server")
    send("identify", userId="42", traits={"phone": "600 100 200"})
    known = made(shop_api().post("profiles/", {"phone": "+48600100200", "email": ANN}))
    called = root_of("customer_id:42")
    return Expected(
        called,
        known,
        "phone_format",
        "+48600100200",
        "event_property",
        called,
        "Shop backend",
        "identify call, traits.phone",
        "normalize_identifier",
        '"traits": {"phone": "+48600100200"}',
    )


def email_changed() -> Expected:
    send = site()
    send("identify", anonymousId="b-1", traits={"email": "ann.old@example.com", "firstName": "Ann"})
    send("identify", anonymousId="b-1", traits={"email": ANN, "firstName": "Ann"})
    old, new = root_of("email:ann.old@example.com"), root_of(f"email:{ANN}")
    return Expected(
        old,
        new,
        "email_changed",
        ANN,
        "hard_identifier",
        new,
        "Shop website",
        "identify call, traits.email",
        "merge_profiles",
        'cdp.push(["identify", "YOUR-CUSTOMER-ID", {"email": "ann@example.com"}]);',
    )


def waits_for_double_opt_in() -> Expected:
    send = site("Newsletter", needs_confirmation=True)
    send("identify", anonymousId="b-1", traits={"email": ANN})
    known = made(shop_api().post("profiles/", {"email": ANN}))
    visitor = browser("b-1")
    return Expected(
        visitor,
        known,
        "pending_identifier",
        ANN,
        "pending_identifier",
        visitor,
        "Newsletter",
        "identify call, traits.email",
        "confirm_identifier",
        '/api/v1/identifiers/confirm/" -d \'{"type": "email", "value": "ann@example.com"}\'',
    )


def two_browsers_never_identified() -> Expected:
    send = site()
    send("page", anonymousId="b-1")
    send("page", anonymousId="b-2")
    first, second = browser("b-1"), browser("b-2")
    return Expected(
        first,
        second,
        "browsers_never_identified",
        "b-1",
        "soft_identifier",
        first,
        "Shop website",
        "page call, anonymousId",
        "join_browsers",
        'cdp.push(["identify", "YOUR-CUSTOMER-ID"',
    )


def id_under_attributes() -> Expected:
    api = shop_api()
    api.post("attributes/", {"name": "crm_id"})
    sent = made(api.post("profiles/", {"first_name": "Ann", "attributes": {"crm_id": "C-20417"}}))
    site("Shop backend", "server")("identify", userId="C-20417")
    known = root_of("customer_id:C-20417")
    return Expected(
        sent,
        known,
        "id_in_attributes",
        "C-20417",
        "attribute",
        sent,
        "API",
        "API key “shop backend”, attributes.crm_id",
        "promote_identifier",
        '{"identifiers": [{"type": "customer_id", "value": "C-20417"}]}',
    )


def shared_device() -> Expected:
    send = site("Tablet in the shop")
    send("identify", anonymousId="t-1", userId="1", traits={"firstName": "Ann"})
    send("identify", anonymousId="t-1", userId="2", traits={"firstName": "Bob"})
    ann, bob = root_of("customer_id:1"), root_of("customer_id:2")
    return Expected(
        ann,
        bob,
        "shared_device",
        "t-1",
        "soft_identifier",
        bob,
        "Tablet in the shop",
        "identify call, anonymousId",
        "join_browsers",
        'cdp.push(["reset"]);',
    )


CAUSES: dict[str, Callable[[], Expected]] = {
    cause.__name__: cause
    for cause in (
        update_instead_of_identify,
        email_in_a_track,
        column_mapped_to_an_attribute,
        email_in_another_case,
        phone_in_two_formats,
        email_changed,
        waits_for_double_opt_in,
        two_browsers_never_identified,
        id_under_attributes,
        shared_device,
    )
}


def events_of(root: int) -> int:
    return Event.objects.of_profiles(root).count()


def resolves_to(name: str, value: str) -> int | None:
    row = (
        Identifier.objects.resolving().filter(type__name=name, value=value).select_related("profile").first()
    )
    return row.profile.canonical_id if row else None
