"""A file is hashed while it comes in: neither storing it as an import nor an Idempotency-Key reads it again for that."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from cdp import uploads
from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.errors import Stale
from cdp.uploads import content_digest
from imports import upload
from imports.models import Import
from imports.upload import reread_import
from tests.imports.files import planned
from tests.imports.files import upload as uploaded

pytestmark = pytest.mark.django_db
TEXT = "email,first_name\n" + "".join(f"p{number}@example.com,Ann\n" for number in range(20_000))


@pytest.fixture
def no_hashing_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a received file was read again for its hash")

    monkeypatch.setattr(uploads.hashlib, "file_digest", refuse)


def test_a_received_file_has_its_hash_and_is_read_no_second_time(no_hashing_of_files: None) -> None:
    secret = create_key(name="a key", scopes=["imports"], actor=Actor.system()).secret

    def send(text: str) -> Any:
        return Client().post(
            "/api/v1/imports/",
            {"file": SimpleUploadedFile("people.csv", text.encode()), "options": "{}"},
            headers={"Authorization": f"Bearer {secret}", "Idempotency-Key": "one"},
        )

    first, again, other = send(TEXT), send(TEXT), send(TEXT + "x@example.com,Eve\n")
    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 422)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.json()["file"]["sha256"] == hashlib.sha256(TEXT.encode()).hexdigest()
    assert Import.objects.get().size == len(TEXT)


def test_a_file_that_came_by_no_request_is_hashed_and_left_at_its_start() -> None:
    file = SimpleUploadedFile("people.csv", TEXT.encode())
    file.read(100)
    assert content_digest(file) == hashlib.sha256(TEXT.encode()).hexdigest()
    assert file.tell() == 0


def test_a_file_is_read_anew_before_its_import_is_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who changes the import while the file is read is not waiting, and is not overwritten either."""
    import_, real = uploaded(TEXT), upload._sniff

    def meanwhile(*args: Any) -> Any:
        Import.objects.filter(pk=import_.pk).update(revision=7)
        return real(*args)

    monkeypatch.setattr(upload, "_sniff", meanwhile)
    with pytest.raises(Stale, match="^Somebody else changed the import in the meantime. Reload the page.$"):
        reread_import(import_id=import_.pk, options={"delimiter": ";"}, actor=Actor.system())
    import_.refresh_from_db()
    assert (import_.revision, import_.dialect["delimiter"]) == (7, ",")
    monkeypatch.setattr(upload, "_sniff", real)
    again = reread_import(import_id=import_.pk, options={"header_line": 2}, actor=Actor.system())
    assert (again.revision, again.headers) == (8, ["Column 1", "Column 2"])


def test_what_was_applied_cannot_be_read_anew() -> None:
    import_ = planned("email\nann@example.com\n")
    Import.objects.filter(pk=import_.pk).update(state="applying")
    with pytest.raises(Stale, match="^The import is applying and cannot be changed now.$"):
        reread_import(import_id=import_.pk, options={"delimiter": ";"}, actor=Actor.system())
