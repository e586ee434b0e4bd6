"""A profile is created and changed by two verbs; both record everything in the journal."""

from __future__ import annotations

from typing import Any

import pytest

from cdp.errors import IdentifierTaken, Invalid, NotFound, Stale
from cdp.models import AuditEntry
from profiles.editing import attach_identifier, create_profile, update_profile
from profiles.models import AttributeDefinition, Change, Identifier, Profile
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def test_create_records_who_what_and_by_which_source(by_staff: dict[str, Any]) -> None:
    AttributeDefinition.objects.create(name="plan", type="choice", choices=["free", "pro"])
    made = create_profile(
        values={
            "first_name": " Ann ",
            "country": "Poland",
            "birth_date": "1990-02-28",
            "attributes.plan": "pro",
        },
        identifiers=[("customer_id", "C-1"), ("email", "null")],
        tags=["VIP"],
        **by_staff,
    )
    ann = Profile.objects.get(pk=made.profile.pk)
    assert (ann.first_name, ann.country, str(ann.birth_date), ann.attributes) == (
        "Ann",
        "PL",
        "1990-02-28",
        {"plan": "pro"},
    )
    assert made.warnings == ["“null” is a placeholder that identifies nobody; it was ignored."]
    assert ann.canonical_id == ann.pk
    browser = Identifier.objects.get(profile=ann, type__name="anonymous_id").value
    created, tagged = Change.objects.filter(profile=ann).order_by("id")
    assert created.fields == {
        "first_name": [None, "Ann"],
        "country": [None, "PL"],
        "birth_date": [None, "1990-02-28"],
        "attributes.plan": [None, "pro"],
        "identifiers": [[], ["customer_id:C-1", f"anonymous_id:{browser}"]],
    }
    assert (created.kind, created.user.username, created.source.channel) == ("created", "ada", "staff")
    assert tagged.fields == {"tags": [[], ["VIP"]]}
    assert AuditEntry.objects.filter(action="profile.create", subject=f"profile:{ann.pk}").count() == 1


def test_every_bad_value_is_named_at_once_and_nothing_is_kept(by_staff: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        create_profile(
            values={
                "email": "ann.example.com",
                "birth_date": "31/02/1990",
                "plan": "x",
                "attributes.plan": "y",
            },
            **by_staff,
        )
    assert [problem["message"] for problem in refused.value.problems] == [
        "Not an e-mail address: “@” is missing.",
        "Not a date. Write YYYY-MM-DD, for example 1990-02-28.",
        "There is no attribute “plan”. Custom attributes go under “attributes”.",
        "There is no attribute “plan”. Register it under Attributes first.",
    ]
    with pytest.raises(Invalid, match="Give at least a first name, a last name or one identifier."):
        create_profile(values={"first_name": "  "}, **by_staff)
    assert not Profile.objects.exists()
    assert not Change.objects.exists()


def test_update_changes_only_what_is_different(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann", city="Kraków", email="ann@example.com")
    done = update_profile(
        profile_id=ann.pk, values={"first_name": "Ann", "city": None, "email": "a@new.example"}, **by_staff
    )
    assert done.fields == {"city": ["Kraków", None], "email": ["ann@example.com", "a@new.example"]}
    ann.refresh_from_db()
    assert (ann.city, ann.email, ann.version) == (None, "a@new.example", 2)
    # Both e-mails lead here now.
    mails = (
        Identifier.objects.filter(type__name="email")
        .order_by("id")
        .values_list("value", "profile_id", "resolves")
    )
    assert list(mails) == [("ann@example.com", ann.pk, True), ("a@new.example", ann.pk, True)]
    same = update_profile(profile_id=ann.pk, values={"email": "A@NEW.example"}, **by_staff)
    assert same.fields == {}
    assert Change.objects.filter(profile=ann, kind="updated").count() == 1
    with pytest.raises(NotFound, match="No profile “0”."):
        update_profile(profile_id=0, values={"city": "x"}, **by_staff)


def test_an_email_of_somebody_else_is_refused(by_staff: dict[str, Any]) -> None:
    ann, bob = make_profile(email="ann@example.com"), make_profile(email="bob@example.com")
    with pytest.raises(IdentifierTaken):
        update_profile(profile_id=bob.pk, values={"email": "ann@example.com", "city": "Łódź"}, **by_staff)
    bob.refresh_from_db()
    assert (bob.email, bob.city) == ("bob@example.com", None)
    with pytest.raises(IdentifierTaken) as taken:
        create_profile(values={"first_name": "Eve"}, identifiers=[("email", "ann@example.com")], **by_staff)
    assert taken.value.profile_id == ann.pk


def test_the_second_of_two_editors_is_refused(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann")
    update_profile(profile_id=ann.pk, values={"city": "Gdańsk"}, expected_version=1, **by_staff)
    with pytest.raises(Stale) as stale:
        update_profile(profile_id=ann.pk, values={"city": "Sopot"}, expected_version=1, **by_staff)
    assert stale.value.message == (
        f"Profile #{ann.pk} was changed by ada since you opened it. Nothing was saved; look again and repeat."
    )
    ann.refresh_from_db()
    assert ann.city == "Gdańsk"


@pytest.mark.django_db(transaction=True)
def test_ten_makers_of_one_email_make_one_person(two_connections: Any) -> None:
    from cdp.actors import Actor
    from profiles.builtin_sources import builtin_source

    def make() -> Any:
        return create_profile(
            values={"email": "one@example.com"}, actor=Actor.system(), source=builtin_source("api")
        )

    results = two_connections(*[make] * 10)
    made = [result for result in results if not isinstance(result, Exception)]
    assert len(made) == 1
    assert all(isinstance(result, IdentifierTaken) for result in results if isinstance(result, Exception))
    assert Profile.objects.count() == 1


def test_an_email_given_as_an_identifier_is_the_contact_where_there_is_none(by_staff: dict[str, Any]) -> None:
    ann = make_profile(first_name="Ann")
    attach_identifier(profile_id=ann.pk, type_name="email", raw="Ann@Example.com", **by_staff)
    attach_identifier(profile_id=ann.pk, type_name="phone", raw="+48 600 100 200", **by_staff)
    ann.refresh_from_db()
    assert (ann.email, ann.phone) == ("ann@example.com", "+48600100200")
    change = Change.objects.filter(profile=ann, fields__has_key="email").get()
    assert change.fields == {
        "email": [None, "ann@example.com"],
        "identifiers": [[], ["email:ann@example.com"]],
    }
    attach_identifier(profile_id=ann.pk, type_name="email", raw="second@example.com", **by_staff)
    attach_identifier(profile_id=ann.pk, type_name="customer_id", raw="C1", **by_staff)
    ann.refresh_from_db()
    assert ann.email == "ann@example.com"

    bob = create_profile(identifiers=[("email", "Bob@Example.com")], **by_staff).profile
    assert bob.email == "bob@example.com"
    assert Change.objects.get(profile=bob).fields["email"] == [None, "bob@example.com"]
    cy = create_profile(
        values={"email": "cy@example.com"}, identifiers=[("email", "old@example.com")], **by_staff
    ).profile
    assert cy.email == "cy@example.com"
