"""Changing what identifies a profile: the values already stored follow, and shared ones do not resolve."""

from __future__ import annotations

from typing import Any

import pytest

from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.jobs import run_to_end
from cdp.models import Job
from profiles.identity import change_rules
from profiles.identity.change_rules import IdentityRules, choose_identity, current_identity, recheck_type
from profiles.models import Identifier, IdentifierType, Profile
from tests.profile_factory import make_profile

SYSTEM = Actor.system()


def set_email(*, unique: bool) -> None:
    IdentifierType.objects.filter(name="email").update(is_unique=unique, is_main=unique)


def recheck(monkeypatch: pytest.MonkeyPatch, chunk: int = 2) -> Job:
    monkeypatch.setattr(change_rules, "CHUNK", chunk)
    job = recheck_type(type_id=IdentifierType.objects.get(name="email").pk, actor=SYSTEM)
    assert job is not None
    return run_to_end(job)


def leading() -> set[tuple[str, int]]:
    return set(
        Identifier.objects.filter(type__name="email", resolves=True).values_list("value", "profile_id")
    )


def test_off_and_on_again(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    profiles = [make_profile(identifiers=[("email", f"p{i}@example.com")]) for i in range(5)]
    before = leading()
    set_email(unique=False)
    job = recheck(monkeypatch)
    assert (job.state, job.done) == ("done", 5)
    assert leading() == set()
    assert not Profile.objects.recognized().exists()
    set_email(unique=True)
    recheck(monkeypatch)
    assert leading() == before
    assert Profile.objects.recognized().count() == len(profiles)


def test_a_shared_value_resolves_to_nothing(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    set_email(unique=False)
    ann, bob, cleo, dora = (
        make_profile(first_name=name, identifiers=[("email", address)])
        for name, address in (
            ("Ann", "family@example.com"),
            ("Bob", "family@example.com"),
            ("Cleo", "cleo@example.com"),
            ("Dora", "cleo@example.com"),
        )
    )
    # Dora is Cleo by now: two of her members have the value, and one of them resolves.
    Profile.objects.filter(pk=dora.pk).update(canonical=cleo, status=Profile.Status.MERGED)
    set_email(unique=True)
    recheck(monkeypatch)
    assert leading() == {("cleo@example.com", cleo.pk)}
    assert set(Profile.objects.recognized()) == {cleo}
    # A holder who was deleted does not stand in the way.
    Profile.objects.filter(pk=bob.pk).update(status=Profile.Status.DELETED)
    recheck(monkeypatch)
    assert leading() == {("cleo@example.com", cleo.pk), ("family@example.com", ann.pk)}


def test_nothing_to_do_without_values(db: None) -> None:
    assert recheck_type(type_id=IdentifierType.objects.get(name="email").pk, actor=SYSTEM) is None
    assert not Job.objects.exists()


def test_choose(db: None) -> None:
    assert current_identity() == IdentityRules("customer_id_first", email_is_contact_only=False)
    assert choose_identity(preset="email_first", email_is_contact_only=False, actor=SYSTEM) == []
    assert current_identity() == IdentityRules("email_first", email_is_contact_only=False)
    choose_identity(preset="customer_id_first", email_is_contact_only=True, actor=SYSTEM)
    assert current_identity() == IdentityRules("customer_id_first", email_is_contact_only=True)
    refused: list[tuple[dict[str, Any], str]] = [
        ({"preset": "email_first", "email_is_contact_only": True}, "E-mail cannot come first"),
        ({"preset": "moon", "email_is_contact_only": False}, "Choose customer_id_first or email_first."),
    ]
    for wanted, message in refused:
        with pytest.raises(Invalid, match=message):
            choose_identity(**wanted, actor=SYSTEM)
    assert current_identity() == IdentityRules("customer_id_first", email_is_contact_only=True)
