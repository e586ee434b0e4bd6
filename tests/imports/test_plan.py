"""The plan: every row gets an outcome, and no profile is changed."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from cdp.actors import Actor
from imports import stage
from imports.admin.report_rows import sampled_changes
from imports.downloads import plan_csv
from imports.files.blocks import BLOCK
from imports.models import Row
from profiles.consent.ledger import current_consents, record_consent
from profiles.identity.types import identifier_types
from profiles.merging.merge import merge_profiles
from profiles.models import AttributeDefinition, DuplicatePair, Identifier, Profile, ProfileTag, Tag
from tests.imports.files import applied, apply, outcomes, planned, some, summed
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db

TWO = "reference_id,first_name,email\nC1,Ann,ann@example.com\nC2,Bob,bob@example.com\n"


def fields_of(import_: Any) -> dict[int, dict[str, Any]]:
    """``{line: what an update changes}``."""
    rows = Row.objects.filter(import_id=import_.pk, diff__isnull=False)
    return dict(rows.order_by("line").values_list("line", "diff"))


def test_new_people_and_the_same_file_again() -> None:
    import_ = planned(TWO)
    assert (import_.state, import_.problem, some(import_)) == ("planned", "", {"created": 2})
    assert not Profile.objects.exists()
    import_ = apply(import_)
    assert (import_.state, some(import_)) == ("done", {"created": 2})
    ann = Profile.objects.get(email="ann@example.com")
    assert (ann.first_name, ann.is_recognized, ann.canonical_id, ann.source.name) == (
        "Ann",
        True,
        ann.pk,
        "Import",
    )
    stored = ann.identifiers.values_list("type__name", "value", "resolves").exclude(type__name="anonymous_id")
    assert sorted(stored) == [("customer_id", "C1", True), ("email", "ann@example.com", True)]
    browser = ann.identifiers.get(type__name="anonymous_id").value
    change = ann.changes.get()
    assert (change.kind, change.cause, change.cause_id, change.line) == ("created", "import", import_.pk, 2)
    assert change.fields == {
        "first_name": [None, "Ann"],
        "email": [None, "ann@example.com"],
        "identifiers": [[], ["customer_id:C1", "email:ann@example.com", f"anonymous_id:{browser}"]],
    }
    again = applied(TWO)
    assert some(again) == {"unchanged": 2}
    assert [warning["code"] for warning in again.warnings] == ["same_file"]
    assert again.warnings[0]["message"].startswith(f"This is the same file as import #{import_.pk} of ")
    assert (Profile.objects.count(), Identifier.objects.count()) == (2, 6)


def test_a_known_profile_gets_what_is_missing() -> None:
    ann = make_profile(email="ann@example.com", first_name="Ann")
    import_ = planned("email,first_name,city,phone\n ANN@Example.com ,Anna,Kraków,+48 600 100 200\n")
    assert outcomes(import_) == {2: "updated"}
    import_ = apply(import_)
    ann.refresh_from_db()
    assert (ann.first_name, ann.city, ann.phone, ann.version) == ("Ann", "Kraków", "+48600100200", 2)
    change = ann.changes.get(cause="import")
    assert change.fields == {
        "city": [None, "Kraków"],
        "phone": [None, "+48600100200"],
        "identifiers": [[], ["phone:+48600100200"]],
    }
    phone = ann.identifiers.get(type__name="phone")
    assert (phone.resolves, phone.raw) == (False, "+48 600 100 200")


def test_policies() -> None:
    ann = make_profile(email="ann@example.com", first_name="Ann", city="Kraków")
    text = "email,first_name,last_name,city,country,language\nann@example.com,Anna,Lee,Gdańsk,,pl\n"
    mapping = {
        "email": "email",
        "first_name": {"to": "first_name", "policy": "overwrite"},
        "last_name": {"to": "last_name", "policy": "never"},
        "city": {"to": "city"},
        "country": {"to": "country", "policy": "overwrite"},
        "language": {"to": "language"},
    }
    import_ = applied(text, mapping=mapping)
    assert fields_of(import_) == {2: {"first_name": ["Ann", "Anna"], "language": [None, "pl"]}}
    ann.refresh_from_db()
    assert (ann.first_name, ann.last_name, ann.city, ann.language) == ("Anna", None, "Kraków", "pl")
    new = applied(text.replace("ann@", "new@"), mapping=mapping)
    assert some(new) == {"created": 1}
    assert Profile.objects.get(email="new@example.com").last_name == "Lee"


def test_the_marker_clears_and_an_empty_cell_keeps() -> None:
    ann = make_profile(email="ann@example.com", first_name="Ann", city="Kraków", tags=["vip"])
    import_ = applied("email,first_name,city,tags\nann@example.com,<clear>,,<clear>\n")
    assert fields_of(import_) == {2: {"first_name": ["Ann", None], "tags": [["vip"], []]}}
    ann.refresh_from_db()
    assert (ann.first_name, ann.city) == (None, "Kraków")
    assert not ProfileTag.objects.exists()
    assert some(applied("email,first_name,city,tags\nann@example.com,<clear>,,<clear>\n")) == {"unchanged": 1}


def test_custom_attributes() -> None:
    AttributeDefinition.objects.create(name="plan", type="choice", choices=["free", "pro"])
    AttributeDefinition.objects.create(name="points", type="number")
    AttributeDefinition.objects.create(name="hobbies", type="list")
    ann = make_profile(email="ann@example.com", plan="free", hobbies=["chess"])
    text = 'email,plan,points,hobbies\nann@example.com,PRO,12.5,"chess,golf"\nbob@example.com,gold,,\n,free,1,golf\n'
    mapping = {
        "email": "email",
        "plan": {"to": "attributes.plan", "policy": "overwrite"},
        "points": "attributes.points",
        "hobbies": {"to": "attributes.hobbies", "policy": "append"},
    }
    import_ = applied(text, mapping=mapping, options={"bad_cells": "reject_row"})
    assert outcomes(import_) == {2: "updated", 3: "failed", 4: "created"}
    assert fields_of(import_)[2] == {
        "attributes.plan": ["free", "pro"],
        "attributes.points": [None, 12.5],
        "attributes.hobbies": [["chess"], ["chess", "golf"]],
    }
    ann.refresh_from_db()
    assert ann.attributes == {"plan": "pro", "points": 12.5, "hobbies": ["chess", "golf"]}
    new = Profile.objects.exclude(pk=ann.pk).get()
    assert new.attributes == {"plan": "free", "points": 1, "hobbies": ["golf"]}
    assert new.changes.get().fields["attributes.points"] == [None, 1]
    assert new.is_recognized is False
    assert "1 row has no identifier" in next(
        w["message"] for w in import_.warnings if w["code"] == "no_identifier"
    )


def test_tags_are_added_in_their_registered_spelling() -> None:
    Tag.objects.create(name="VIP")
    ann = make_profile(email="ann@example.com", tags=["club"])
    text = 'email,tags\nann@example.com,"vip,Club,new"\nbob@example.com,"vip,vip"\n'
    import_ = applied(text)
    assert fields_of(import_) == {2: {"tags": [[], ["VIP", "new"]]}}
    assert sorted(Tag.objects.values_list("name", flat=True)) == ["VIP", "club", "new"]
    assert set(ProfileTag.objects.filter(profile=ann).values_list("tag__name", flat=True)) == {
        "club",
        "VIP",
        "new",
    }
    assert Profile.objects.get(email="bob@example.com").changes.get().fields["tags"] == [[], ["VIP"]]
    assert some(applied(text)) == {"unchanged": 2}
    import_ = applied(text, mapping={"email": "email", "tags": {"to": "tags", "policy": "overwrite"}})
    assert some(import_) == {"unchanged": 2}
    import_ = applied(
        "email,tags\nann@example.com,new\n",
        mapping={"email": "email", "tags": {"to": "tags", "policy": "overwrite"}},
    )
    assert fields_of(import_) == {2: {"tags": [["VIP", "club"], []]}}
    assert list(ProfileTag.objects.filter(profile=ann).values_list("tag__name", flat=True)) == ["new"]


def test_a_no_never_becomes_a_yes(by_staff: dict[str, Any]) -> None:
    no = make_profile(email="no@example.com")
    record_consent(
        profile_id=no.pk, channel="email", purpose="newsletter", state="withdrawn", at=None, **by_staff
    )
    text = (
        "email,newsletter,proof\nno@example.com,granted,form\nnew@example.com,granted,form 12\n"
        "other@example.com,withdrawn,\nunproved@example.com,granted,\n"
    )
    mapping = {
        "email": "email",
        "newsletter": "consent.email.newsletter",
        "proof": "consent.email.newsletter.proof",
    }
    import_ = applied(text, mapping=mapping)
    assert outcomes(import_) == {2: "unchanged", 3: "created", 4: "created", 5: "created"}
    states = {
        profile.email: {
            key: current.state for key, current in current_consents([profile.pk]).get(profile.pk, {}).items()
        }
        for profile in Profile.objects.all()
    }
    newsletter = ("email", "newsletter")
    assert states == {
        "no@example.com": {newsletter: "withdrawn"},
        "new@example.com": {newsletter: "granted"},
        "other@example.com": {newsletter: "withdrawn"},
        "unproved@example.com": {},
    }
    messages = [warning["message"] for warning in import_.warnings]
    assert (
        "This person withdrew the consent, so it stays withdrawn. An import ends a no only with a reason and a proof,"
        " given by somebody who may." in messages
    )
    assert (
        "Granted without proof, so the consent is not changed. Also map a column with the proof." in messages
    )
    import_ = applied(
        "email,newsletter\nnew@example.com,no\n", mapping={k: mapping[k] for k in ("email", "newsletter")}
    )
    assert fields_of(import_) == {
        2: {"consents": [["email/newsletter=granted"], ["email/newsletter=withdrawn"]]}
    }
    new = Profile.objects.get(email="new@example.com")
    assert current_consents([new.pk])[new.pk][newsletter].state == "withdrawn"


def test_rejected_rows_name_line_column_and_reason() -> None:
    from imports.report import row_problems

    text = "email,birth_date,first_name\nanna.example.com,31/02/1990,A\nok@example.com,1990-02-28,B\nx@example.com,1\n"
    import_ = planned(text, options={"bad_cells": "reject_row"})
    assert some(import_) == {"created": 1, "failed": 2}
    assert [(p["line"], p["column"], p["value"], p["message"]) for p in row_problems(import_)] == [
        (2, "email", "anna.example.com", "Not an e-mail address: “@” is missing."),
        (2, "birth_date", "31/02/1990", "Not a date. Write YYYY-MM-DD, for example 1990-02-28."),
        (4, None, "2 cells", "The header has 3 columns; this row has 2. No cell was moved."),
    ]
    assert summed(apply(import_))
    assert Profile.objects.count() == 1


def test_a_blocked_value_is_absent_with_a_warning() -> None:
    import_ = applied("email,first_name\nnull,Ann\ntest@test.com,Bob\n")
    assert some(import_) == {"created": 2}
    assert not Identifier.objects.filter(type__name="email").exists()
    blocked = next(
        warning for warning in import_.warnings if warning["code"] == "value" and warning["line"] == 2
    )
    assert blocked["message"] == "“null” is a placeholder that identifies nobody; it was ignored."
    assert (blocked["column"], blocked["count"], blocked["line"]) == ("email", 1, 2)


# --- Two profiles ---------------------------------------------------------------------------------------


def test_the_stronger_identifier_wins_and_the_pair_is_suggested() -> None:
    first = make_profile(identifiers=[("customer_id", "C1")], first_name="Ann")
    second = make_profile(email="shared@example.com", first_name="Bob")
    text = "customer_id,email,city\nC1,shared@example.com,Kraków\n"
    import_ = planned(text)
    assert outcomes(import_) == {2: "updated"}
    clash = next(warning for warning in import_.warnings if warning["code"] == "two_people")
    assert clash["message"].startswith("1 row has identifiers of more than one person, the first in line 2.")
    apply(import_)
    kept = first.identifiers.get(type__name="email")
    assert (kept.value, kept.resolves) == ("shared@example.com", False)
    assert Identifier.objects.get(value="shared@example.com", resolves=True).profile == second
    pair = DuplicatePair.objects.get()
    assert (pair.a, pair.b, pair.verdict) == (first, second, "open")
    assert pair.reasons[0]["text"] == "Both came with the email shared@example.com."
    assert some(applied(text)) == {"unchanged": 1}
    strict = planned(
        "customer_id,email,city\nC1,shared@example.com,Gdańsk\n", options={"on_conflict": "hold"}
    )
    assert outcomes(strict) == {2: "conflict"}
    assert Row.objects.get(import_id=strict.pk).problems[0]["message"] == (
        f"The identifiers of this row belong to more than one profile: customer_id to #{first.pk}, email to #{second.pk}. It was left out."
    )


def test_a_family_with_one_address_stays_two_profiles() -> None:
    mother = make_profile(identifiers=[("customer_id", "C1")], email="family@example.com")
    text = "customer_id,email,first_name\nC2,family@example.com,Sue\n"
    import_ = applied(text)
    assert outcomes(import_) == {2: "created"}
    daughter = Profile.objects.get(first_name="Sue")
    assert daughter.identifiers.get(type__name="email").resolves is False
    assert DuplicatePair.objects.get().a == mother
    assert some(applied(text)) == {"unchanged": 1}
    # The same where nobody has a customer id yet.
    father = make_profile(email="old@example.com")
    text = "customer_id,email,first_name\nC5,old@example.com,Jim\nC6,old@example.com,Joe\n,old@example.com,\n"
    import_ = applied(text)
    assert outcomes(import_) == {2: "updated", 3: "created", 4: "duplicate_in_file"}
    assert father.identifiers.filter(value="C5", resolves=True).exists()
    joe = Profile.objects.get(first_name="Joe")
    assert joe.identifiers.get(type__name="email").resolves is False
    assert some(applied(text)) == {"unchanged": 2, "duplicate_in_file": 1}
    # The same inside one file.
    text = "customer_id,email,first_name\nC3,home@example.com,Tom\nC4,home@example.com,Tim\n"
    import_ = applied(text)
    assert outcomes(import_) == {2: "created", 3: "created"}
    assert DuplicatePair.objects.count() == 3
    assert some(applied(text)) == {"unchanged": 2}


def test_a_merged_profile_stands_for_its_survivor(by_staff: dict[str, Any]) -> None:
    ann, old = make_profile(email="ann@example.com"), make_profile(email="old@example.com")
    merge_profiles(winner_id=ann.pk, loser_id=old.pk, **by_staff)
    import_ = applied("email,city\nold@example.com,Kraków\nann@example.com,Gdańsk\n")
    assert outcomes(import_) == {2: "updated", 3: "duplicate_in_file"}
    ann.refresh_from_db()
    old.refresh_from_db()
    assert (ann.city, old.city) == ("Kraków", None)
    assert ann.changes.get(cause="import").via_id == old.pk


def test_no_more_values_of_a_type_than_allowed() -> None:
    identifier_types()["email"].row.__class__.objects.filter(name="email").update(max_per_profile=1)
    ann = make_profile(identifiers=[("customer_id", "C1")], email="ann@example.com")
    import_ = applied("customer_id,email\nC1,second@example.com\n")
    assert outcomes(import_) == {2: "updated"}
    stored = dict(ann.identifiers.filter(type__name="email").values_list("value", "resolves"))
    assert stored == {"ann@example.com": True, "second@example.com": False}


# --- The same profile twice -----------------------------------------------------------------------------


def test_rows_of_the_same_profile_are_folded_into_the_first() -> None:
    text = (
        "customer_id,email,first_name,city,tags\nC1,,Ann,,vip\n,bob@example.com,Bob,,\n"
        'C1,ann@example.com,Anna,Kraków,"club,vip"\n,ANN@example.com,,Gdańsk,\n'
    )
    import_ = applied(text)
    assert outcomes(import_) == {2: "created", 3: "created", 4: "duplicate_in_file", 5: "duplicate_in_file"}
    ann = Profile.objects.get(first_name="Ann")
    assert (ann.city, ann.email) == ("Kraków", "ann@example.com")
    assert sorted(ProfileTag.objects.filter(profile=ann).values_list("tag__name", flat=True)) == [
        "club",
        "vip",
    ]
    assert Identifier.objects.filter(profile=ann, resolves=True).count() == 3
    assert some(applied(text)) == {"unchanged": 2, "duplicate_in_file": 2}


def test_overwrite_takes_the_last_row() -> None:
    ann = make_profile(email="ann@example.com", city="Kraków")
    text = "email,city\nann@example.com,Gdańsk\nann@example.com,Poznań\nann@example.com,\n"
    import_ = applied(text, options={"policy": "overwrite"})
    assert outcomes(import_) == {2: "updated", 3: "duplicate_in_file", 4: "duplicate_in_file"}
    ann.refresh_from_db()
    assert ann.city == "Poznań"
    assert fields_of(import_) == {2: {"city": ["Kraków", "Poznań"]}}


def test_two_addresses_of_the_same_profile() -> None:
    text = "customer_id,mail,mail 2\nC1,a@example.com,b@example.com\nC2,c@example.com,c@example.com\n"
    mapping = {"customer_id": "customer_id", "mail": "email", "mail 2": "identifier.email"}
    applied(text, mapping=mapping)
    values = Identifier.objects.filter(type__name="email").values_list("value", flat=True)
    assert sorted(values) == ["a@example.com", "b@example.com", "c@example.com"]
    assert some(applied(text, mapping=mapping)) == {"unchanged": 2}


# --- Everything at once ------------------------------------------------------------------------------------


def messy_csv(chance: random.Random, rows: int) -> str:
    """Rows that share, repeat, lack and misspell identifiers, some of them invalid."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["customer_id", "email", "card", "first_name", "city", "birth_date", "tags"])

    def pick(prefix: str, suffix: str = "") -> str:
        return f"{prefix}{chance.randrange(rows)}{suffix}" if chance.random() < 0.55 else ""

    for _ in range(rows):
        row = [
            pick("C"),
            chance.choice([pick("p", "@example.com"), pick("P", "@Example.com "), "null"]),
            pick("L"),
            chance.choice(["Ann", "Bob", ""]),
            chance.choice(["Kraków", "Gdańsk", "", "<clear>"]),
            chance.choice(["1990-01-02", "", "", "", "31/02/1990"]),
            chance.choice(["vip", "vip,club", "", ""]),
        ]
        if not any(row[:4]):
            row[3] = "Cy"  # a row without any cell is skipped, not counted
        writer.writerow(row if chance.random() > 0.03 else row[:4])
    return out.getvalue()


def checksums() -> dict[str, Any]:
    """A number per table of profiles; changes when any row does."""
    tables = [name for name in connection.introspection.table_names() if name.startswith("profiles_")]
    sums = {}
    with connection.cursor() as cursor:
        for name in tables:
            cursor.execute(f"SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {name} t")
            sums[name] = cursor.fetchone()
    return sums


def test_a_file_of_many_batches_is_read_to_its_end() -> None:
    """The next batch is read while one is stored, and lines above the header are read beside both."""
    rows = 2 * stage.BATCH_ROWS + 7
    people = "".join(f"person-{number}@example.com,Graz\n" for number in range(rows))
    text = f"Report of all customers\n\nemail,city\n{people}"
    assert len(text) > 2 * BLOCK
    import_ = planned(text)
    assert (import_.state, import_.problem) == ("planned", "")
    assert some(import_) == {"created": rows, "skipped": 1}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("policy", ["fill_if_empty", "overwrite"])
def test_apply_does_exactly_the_plan(seed: int, policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from imports import apply as applying
    from imports import group
    from profiles.models import IdentifierType

    IdentifierType.objects.create(name="card", priority=4)
    monkeypatch.setattr(stage, "BATCH_ROWS", 37)
    monkeypatch.setattr(applying, "CHUNK_ROWS", 23)
    monkeypatch.setattr(group, "FOLD_ROWS", 11)
    monkeypatch.setattr(group, "ROWS_PER_PASS", 50)
    chance = random.Random(seed)
    options = {"policy": policy, "on_conflict": chance.choice(["stronger", "hold"])}
    applied(messy_csv(chance, 60), options=options)
    text = messy_csv(chance, 150)
    before = checksums()
    import_ = planned(text, options=options)
    assert checksums() == before
    plan = import_.counts
    assert (summed(import_), plan["rows"]) == (True, 150)
    profiles = Profile.objects.count()
    import_ = apply(import_)
    assert (import_.state, import_.counts) == ("done", plan)
    assert Profile.objects.count() == profiles + plan["created"]
    again = planned(text, options=options)
    left = {name: count for name, count in some(again).items() if name in ("created", "updated")}
    # What has no identifier is new each time; everything else is there now.
    anonymous = next((w["count"] for w in again.warnings if w["code"] == "no_identifier"), 0)
    assert left == ({"created": anonymous} if anonymous else {})


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Callable[[], None]:
    caplog.set_level("ERROR", "cdp.jobs")
    return lambda: None


def test_tags_are_said_to_be_added_not_to_fill_what_is_empty() -> None:
    make_profile(email="ada@example.com", tags=["gold"])
    import_ = planned("email,tags\nada@example.com,mu-new\n")
    (row,) = csv.DictReader(
        io.StringIO(b"".join(plan_csv(import_, actor=Actor.system())).decode("utf-8-sig"))
    )
    assert row["changes"] == "tags: added mu-new"
    (change,) = sampled_changes(import_, can_view_pii=True, can_view_stored=True)
    assert (change.field, change.old, change.new) == ("Tags", "", "added mu-new")
    mapping = {"email": {"to": "email"}, "tags": {"to": "tags", "policy": "overwrite"}}
    replaced = planned("email,tags\nada@example.com,mu-new\n", mapping=mapping)
    (row,) = csv.DictReader(
        io.StringIO(b"".join(plan_csv(replaced, actor=Actor.system())).decode("utf-8-sig"))
    )
    assert row["changes"] == "tags: added mu-new; removed gold"
    (change,) = sampled_changes(replaced, can_view_pii=True, can_view_stored=True)
    assert (change.old, change.new) == ("gold", "added mu-new; removed gold")
