"""The made-up people: the same every time, nobody real, and consistent with what the verbs would have made."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db.models import F, Q

from imports.models import Import
from profiles.consent.ledger import current_consents
from profiles.consent.reachable import reachability
from profiles.demo import load
from profiles.demo.history import history_of
from profiles.demo.people import make_people
from profiles.demo.traffic import SHOP
from profiles.identity.types import identifier_types
from profiles.models import (
    Change,
    Consent,
    Event,
    HeldMerge,
    Identifier,
    Merge,
    Profile,
    ProfileTag,
    Receipt,
    Source,
)
from profiles.values.attributes import attribute_specs, clean_value, get_value

RESERVED = re.compile(r"[a-z0-9._]+@((example\.(com|org|net))|[a-z]+\.example)")
FICTION = re.compile(
    r"\+447700900\d{3}|\+1\d{3}55501\d{2}|\+3363998\d{4}|\+4917139200\d{2}|\+49176040690\d{2}|\+467017406[1-9]\d"
)


def people(seed: int = load.SEED) -> Any:
    return make_people(Random(seed), recognized=load.RECOGNIZED, anonymous=load.ANONYMOUS, twins=load.TWINS)


def test_the_same_people_and_histories_every_time() -> None:
    first, second = people(), people()
    assert first == second != people(1)
    assert [history_of(p, Random(1)) for p in first[:50]] == [history_of(p, Random(1)) for p in second[:50]]
    assert 1_990 < len(first) < 2_100


def test_nobody_real_can_be_reached() -> None:
    for person in people():
        if mail := person.values.get("email"):
            assert RESERVED.fullmatch(mail), mail
        if phone := person.values.get("phone"):
            assert FICTION.fullmatch(phone), phone


def test_what_leads_to_one_person_is_not_given_twice_but_phones_of_twins_are() -> None:
    everybody = people()
    mails = [person.values["email"] for person in everybody if person.values]
    ids = [person.customer_id for person in everybody if person.customer_id]
    browsers = [browser for person in everybody for browser in person.browsers]
    for values in (mails, ids, browsers):
        assert len(values) == len(set(values))
    twins = [person for person in everybody if person.twin_of is not None]
    assert len({twin.twin_kind for twin in twins}) == 6
    same_phone = [
        t for t in twins if t.values["phone"] and t.values["phone"] == everybody[t.twin_of].values["phone"]
    ]
    assert len(same_phone) > 20


@pytest.mark.django_db
def test_loading_once_makes_a_consistent_base_and_twice_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(load, "RECOGNIZED", 200)
    monkeypatch.setattr(load, "ANONYMOUS", 20)
    monkeypatch.setattr(load, "TWINS", 30)
    call_command("demo")
    output = capsys.readouterr().out
    assert re.fullmatch(
        r"250 made-up people with [\d,]+ events, .* and 14 merges\.\n"
        r"Received a day of tracking calls: \d+ applied, .*\d+ quarantined\.\n"
        r"Made 5 segments with [1-9]\d* people in them\.\n"
        r"Imported newsletter-signups-autumn\.csv: \d+ created, \d+ updated\.\n"
        r"Compared everybody: \d+ pairs suggested, \d+ groups\.\n",
        output,
    )
    imported = Import.objects.get()
    # One more has a birth date that cannot be read: the cell is left out, and the person goes in.
    assert (imported.state, imported.counts["rows"], imported.counts["failed"]) == ("done", 100, 2)
    assert imported.counts["updated"] > 10
    everybody = Profile.objects.count()
    visitors = Profile.objects.filter(source__name=SHOP).count()
    assert everybody == 250 + imported.counts["created"] + visitors
    assert set(Receipt.objects.values_list("outcome", flat=True)) == {
        *("applied", "blocked_value", "conflict", "duplicate", "invalid", "merged", "quarantined")
    }
    assert HeldMerge.objects.filter(value="store-tablet-1").exists()

    # What the README says to type works on it.
    (source_of_readme,) = re.findall(r'source create "(.+)"', (settings.BASE_DIR / "README.md").read_text())
    assert not Source.objects.filter(name__iexact=source_of_readme).exists()

    specs, types = attribute_specs(), identifier_types()
    for profile in Profile.objects.filter(canonical_id=F("pk")):
        for field in (*Profile.FIELDS, *(f"attributes.{name}" for name in profile.attributes)):
            value = get_value(profile, field)
            assert value is None or clean_value(specs[field], value) == value, (field, value)
    noes = Consent.objects.filter(channel="email", purpose="newsletter", state="withdrawn")
    shared = Identifier.objects.get(type__name="email", resolves=False, value__in=noes.values("address"))
    root = Profile.objects.get(pk=shared.profile_id)
    reach = reachability([root], current_consents([root.pk]))[root.pk]["email", "newsletter"]
    assert reach.consent.is_granted
    assert reach.other is not None
    for row in Identifier.objects.select_related("type"):
        assert types[row.type.name].clean(row.value) == row.value
        # An e-mail sent with update is kept for contact, and so is one that two share; a tablet in a store changed hands.
        is_odd = row.value == "store-tablet-1" or row.value.startswith("visitor") or row.pk == shared.pk
        assert row.resolves == row.type.is_unique or is_odd
    created = Change.objects.filter(kind="created").values_list("profile_id", flat=True)
    assert sorted(created) == sorted(Profile.objects.values_list("pk", flat=True))
    assert not Event.objects.filter(occurred_at__gt=F("received_at")).exists()
    assert not Profile.objects.filter(Q(last_seen_at__lt=F("first_seen_at"))).exists()
    assert Merge.objects.active().exclude(cause="event").count() == load.MERGED
    assert ProfileTag.objects.filter(tag__name="VIP").exists()

    newest = list(Profile.objects.live().order_by("-pk")[:50])
    bare = [
        profile.pk
        for profile in newest
        if not (profile.is_recognized and profile.first_name and profile.email)
    ]
    assert bare == []
    assert len({(profile.first_name, profile.last_name) for profile in newest}) > 45
    assert sum(bool(profile.city) for profile in newest) > 30
    old = Profile.objects.filter(pk__lt=Profile.objects.filter(is_recognized=True).order_by("pk")[0].pk)
    assert old.count() == 20  # the visitors

    call_command("demo")
    assert capsys.readouterr().out == "There are people already; nothing was added.\n"
    assert Profile.objects.count() == everybody
