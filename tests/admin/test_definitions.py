"""Managers of attributes and identifier types, and the setup page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from cdp.jobs import run_to_end
from cdp.models import AuditEntry, Job, User
from profiles.models import AttributeDefinition, Identifier, IdentifierType, Profile
from tests.profile_factory import make_profile

Login = Callable[[User], Client]


@pytest.fixture
def dan(make_user: Callable[..., User]) -> User:
    """The data admin."""
    return make_user("dan", "data admin")


def url(model: str, name: str, *objects: Any) -> str:
    return reverse(f"admin:profiles_{model}_{name}", args=[obj.pk for obj in objects])


def attribute(**fields: Any) -> dict[str, Any]:
    return {
        "name": "plan",
        "label": "",
        "type": "text",
        "sensitivity": "personal",
        "description": "",
        "choices": "",
        **fields,
    }


# --- Attributes -----------------------------------------------------------------------------------------


def test_register_an_attribute(dan: User, as_user: Login) -> None:
    client, add = as_user(dan), url("attributedefinition", "add")
    for sent, said in (
        ({"name": "email"}, "“email” is a name of the system. Choose another, for example “email_custom”."),
        ({"name": "Segments"}, "“Segments” is a name of the system."),
        ({"name": "two words"}, "Use letters, digits and _, starting with a letter."),
        ({"type": "choice"}, "List the values to choose from, one per line."),
    ):
        assert said in client.post(add, attribute(**sent)).content.decode(), sent
    assert not AttributeDefinition.objects.exists()
    assert client.post(add, attribute(type="choice", choices="free\r\n pro \r\n\r\nfree")).status_code == 302
    made = AttributeDefinition.objects.get()
    assert (made.name, made.type, made.choices) == ("plan", "choice", ["free", "pro"])
    assert (
        "There is an attribute “plan” already." in client.post(add, attribute(name="PLAN")).content.decode()
    )


def test_a_name_stays_and_a_used_type_too(dan: User, as_user: Login) -> None:
    plan = AttributeDefinition.objects.create(name="plan", type="text")
    client, change = as_user(dan), url("attributedefinition", "change", plan)
    assert client.post(change, attribute(name="level", type="number", label="Plan")).status_code == 302
    plan.refresh_from_db()
    assert (plan.name, plan.label, plan.type) == ("plan", "Plan", "number")  # nobody has one yet
    make_profile(first_name="Ann", plan="3")
    assert client.post(change, attribute(type="text", label="Level")).status_code == 302
    plan.refresh_from_db()
    assert (plan.label, plan.type) == ("Level", "number")


def test_a_used_attribute_is_not_deleted(dan: User, as_user: Login) -> None:
    plan = AttributeDefinition.objects.create(name="plan")
    ann = make_profile(first_name="Ann", plan="pro")
    client, delete = as_user(dan), url("attributedefinition", "delete", plan)
    assert "People have values of “plan”. Clear them first." in client.get(delete).content.decode()
    assert "People have values of “plan”." in client.post(delete, {"post": "yes"}).content.decode()
    assert AttributeDefinition.objects.exists()
    Profile.objects.filter(pk=ann.pk).update(attributes={})
    assert client.post(delete, {"post": "yes"}).status_code == 302
    assert not AttributeDefinition.objects.exists()


def test_attributes_in_as_csv(dan: User, as_user: Login) -> None:
    plan = AttributeDefinition.objects.create(name="plan", type="text")
    client = as_user(dan)

    def upload(rows: str) -> Any:
        file = SimpleUploadedFile("a.csv", rows.encode(), content_type="text/csv")
        return client.post(url("attributedefinition", "import"), {"import_file": file, "format": "0"})

    assert "is a name of the system" in upload("name,type\nemail,text\n").content.decode()
    preview = upload("name,label,type,allowed_values\nPLAN,Plan,number,\ncolor,Color,choice,red | blue\n")
    client.post(url("attributedefinition", "process_import"), preview.context["confirm_form"].initial)
    plan.refresh_from_db()
    assert (plan.name, plan.label, plan.type) == ("plan", "Plan", "text")
    assert AttributeDefinition.objects.get(name="color").choices == ["red", "blue"]


# --- Identifier types -----------------------------------------------------------------------------------


def kind(**fields: Any) -> dict[str, Any]:
    return {
        "name": "loyalty_card",
        "label": "Loyalty card",
        "strength": "hard",
        "is_unique": "on",
        "priority": "3",
        "normalizer": "exact",
        "max_per_profile": "3",
        "blocked_values": "",
        "blocked_patterns": "",
        **fields,
    }


def test_add_an_identifier_type(dan: User, as_user: Login) -> None:
    client, add = as_user(dan), url("identifiertype", "add")
    for sent, said in (
        ({"name": "Loyalty"}, "Use small letters, digits and _, starting with a letter."),
        ({"strength": "soft", "is_main": "on"}, "A soft type identifies a browser, not a person"),
        ({"is_unique": "", "is_main": "on"}, "A contact value identifies nobody"),
        ({"blocked_patterns": "0+\r\n("}, "“(” is not a regular expression"),
    ):
        assert said in client.post(add, kind(**sent)).content.decode(), sent
    assert client.post(add, kind(blocked_values="N/A\r\nnone", blocked_patterns="0+")).status_code == 302
    made = IdentifierType.objects.get(name="loyalty_card")
    assert (made.blocked_values, made.blocked_patterns, made.max_per_profile) == (["n/a", "none"], ["0+"], 3)


def test_a_type_in_use_keeps_how_its_values_are_read(dan: User, as_user: Login) -> None:
    made = IdentifierType.objects.create(name="loyalty_card")
    client, change = as_user(dan), url("identifiertype", "change", made)
    assert client.post(change, kind(normalizer="lower")).status_code == 302
    made.refresh_from_db()
    assert made.normalizer == "lower"
    make_profile(identifiers=[("loyalty_card", "L-1")])
    assert client.post(change, kind(normalizer="exact", label="Card")).status_code == 302
    made.refresh_from_db()
    assert (made.normalizer, made.label) == ("lower", "Card")
    assert client.post(url("identifiertype", "delete", made), {"post": "yes"}).status_code == 403


def test_shipped_types_stay(dan: User, as_user: Login) -> None:
    email = IdentifierType.objects.get(name="email")
    spare = IdentifierType.objects.create(name="spare")
    client = as_user(dan)
    assert client.post(url("identifiertype", "delete", email), {"post": "yes"}).status_code == 403
    assert client.post(url("identifiertype", "delete", spare), {"post": "yes"}).status_code == 302
    assert IdentifierType.objects.filter(name="email").exists()
    assert not IdentifierType.objects.filter(name="spare").exists()


def test_what_is_here_follows_a_changed_type(dan: User, as_user: Login) -> None:
    made = IdentifierType.objects.create(name="loyalty_card", is_unique=True)
    ann = make_profile(identifiers=[("loyalty_card", "L-1")])
    change = url("identifiertype", "change", made)
    as_user(dan).post(change, kind(is_main="on"))
    run_to_end(Job.objects.get())
    assert Profile.objects.get(pk=ann.pk).is_recognized
    answer = as_user(dan).post(change, kind(is_unique=""), follow=True)
    assert "Existing values of Loyalty card are being updated; see Jobs." in answer.content.decode()
    run_to_end(Job.objects.latest("pk"))
    assert not Profile.objects.get(pk=ann.pk).is_recognized
    assert not Identifier.objects.get(value="L-1").resolves


def test_definitions_only_for_who_may(vic: User, mira: User, olga: User, as_user: Login) -> None:
    plan = AttributeDefinition.objects.create(name="plan")
    for user in (vic, mira):
        client = as_user(user)
        for model in ("attributedefinition", "identifiertype"):
            assert client.get(url(model, "changelist")).status_code == 200
            assert client.post(url(model, "add"), {}).status_code == 403
        assert (
            client.post(url("attributedefinition", "change", plan), attribute(label="x")).status_code == 403
        )
        assert client.post(url("attributedefinition", "import"), {}).status_code == 403
        assert client.get(url("attributedefinition", "export")).status_code == 403
        assert client.get(reverse("admin:cdp_setup")).status_code == 403
    assert as_user(olga).get(url("identifiertype", "changelist")).status_code == 403
    plan.refresh_from_db()
    assert plan.label == ""


# --- Setup ----------------------------------------------------------------------------------------------


def test_choose_the_preset(dan: User, as_user: Login) -> None:
    client, setup = as_user(dan), reverse("admin:cdp_setup")
    assert 'value="customer_id_first" checked' in client.get(setup).content.decode()
    both = client.post(setup, {"preset": "email_first", "email_is_contact_only": "on"}).content.decode()
    assert "E-mail cannot come first while it is only a contact value. Choose one of the two." in both
    assert 'value="email_first" checked' in both
    saved = client.post(setup, {"preset": "email_first"}, follow=True).content.decode()
    assert "Saved. Imports, the API and forms follow this from now on." in saved
    priorities = dict(IdentifierType.objects.values_list("name", "priority"))
    assert priorities["email"] < priorities["customer_id"]
    assert AuditEntry.objects.get(action="identity.choose").detail["preset"] == "email_first"


def test_email_as_a_contact_value(dan: User, as_user: Login) -> None:
    ann = make_profile(identifiers=[("email", "ann@example.com")])
    sent = {"preset": "customer_id_first", "email_is_contact_only": "on"}
    answer = as_user(dan).post(reverse("admin:cdp_setup"), sent)
    job = Job.objects.get()
    assert answer["Location"] == reverse("admin:cdp_job_change", args=[job.pk])
    run_to_end(job)
    assert not Profile.objects.get(pk=ann.pk).is_recognized
    assert not Identifier.objects.get(value="ann@example.com").resolves
