"""Keys and sources from the command line: the last line printed is the secret alone, and it works."""

from __future__ import annotations

import hashlib

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from cdp.actors import Actor
from cdp.errors import Conflict, Invalid
from cdp.models import ApiKey, AuditEntry
from profiles.models import Source, WriteKey
from profiles.tracking.sources.sources import create_source
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


def lines(capsys: pytest.CaptureFixture[str], *command: str) -> list[str]:
    call_command(*command)
    return capsys.readouterr().out.splitlines()


def test_a_new_key_opens_what_its_scopes_say_until_it_is_revoked(capsys: pytest.CaptureFixture[str]) -> None:
    profile = make_profile(first_name="Ann")
    secret = lines(capsys, "apikey", "create", "shop", "--scopes", "profiles:read")[-1]
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    assert client.get(f"/api/v1/profiles/{profile.pk}/").status_code == 200
    assert client.delete(f"/api/v1/profiles/{profile.pk}/").status_code == 403
    key = ApiKey.objects.get()
    assert key.scopes == ["profiles:read"]
    assert secret not in (key.digest, key.prefix)
    assert lines(capsys, "apikey", "list") == [f"#{key.pk}  {key.prefix}…  shop  (profiles:read)"]
    assert lines(capsys, "apikey", "revoke", str(key.pk)) == [f"API key #{key.pk} “shop” is revoked."]
    assert client.get(f"/api/v1/profiles/{profile.pk}/").status_code == 401


def test_all_is_every_scope_and_a_wrong_one_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    lines(capsys, "apikey", "create", "everything", "--scopes", "all")
    assert len(ApiKey.objects.get().scopes) > 5
    with pytest.raises(CommandError, match="“cooking” is not a scope. Known scopes: profiles:read"):
        call_command("apikey", "create", "x", "--scopes", "cooking")
    with pytest.raises(CommandError, match="There is no key #99. “apikey list” shows them."):
        call_command("apikey", "revoke", "99")


@pytest.mark.parametrize(("kind", "door"), [("web", "web"), ("server", "api")])
def test_a_new_source_comes_with_a_write_key_kept_as_a_hash(
    kind: str, door: str, capsys: pytest.CaptureFixture[str]
) -> None:
    key = lines(capsys, "source", "create", "Shop website", "--kind", kind)[-1]
    source = Source.objects.get(name="Shop website")
    assert source.channel == door
    row = WriteKey.objects.get(source=source)
    assert (row.kind, row.prefix, row.digest) == (kind, key[:8], hashlib.sha256(key.encode()).hexdigest())
    assert AuditEntry.objects.filter(action="source.create", subject=f"source:{source.pk}").exists()
    assert f"#{source.pk}  Shop website  ({source.get_channel_display()})" in lines(capsys, "source", "list")


def test_a_source_that_cannot_be_made_says_why() -> None:
    call_command("source", "create", "Shop", "--kind", "web")
    with pytest.raises(CommandError, match="There is a source “shop” already."):
        call_command("source", "create", "shop", "--kind", "web")
    actor = Actor.system()
    with pytest.raises(Invalid) as refused:
        create_source(name=" ", kind="pigeon", actor=actor)
    assert [problem["message"] for problem in refused.value.problems] == [
        "Give the source a name of 1 to 60 characters.",
        "Write “web” or “server”.",
    ]
    with pytest.raises(Conflict):
        create_source(name="SHOP", kind="web", actor=actor)
