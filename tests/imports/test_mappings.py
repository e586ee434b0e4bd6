"""Mappings are kept by name, by somebody, and the audit log says so."""

from __future__ import annotations

import pytest

from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.models import AuditEntry, User
from imports.mappings import save_mapping
from imports.models import SavedMapping
from tests.imports.files import upload

pytestmark = pytest.mark.django_db

TEXT = "email,first_name\nann@example.com,Ann\n"


def test_a_mapping_is_kept_and_replaced_under_its_name(ada: User, mira: User) -> None:
    import_ = upload(TEXT)
    with pytest.raises(Invalid) as refused:
        save_mapping(import_id=import_.pk, name="  ", options={}, actor=Actor.of_user(ada))
    assert refused.value.problems[0]["message"] == "Give the mapping a name to keep it."
    assert not SavedMapping.objects.exists()
    first = save_mapping(
        import_id=import_.pk, name=" Shop ", options={"policy": "overwrite"}, actor=Actor.of_user(ada)
    )
    assert (first.mapping.name, first.mapping.user, first.is_replaced) == ("Shop", ada, False)
    assert (first.mapping.mapping, first.mapping.headers) == (import_.mapping, ["email", "first_name"])
    import_.mapping = {"email": {"to": "email"}}
    import_.save()
    second = save_mapping(import_id=import_.pk, name="Shop", options={}, actor=Actor.of_user(mira))
    assert (second.is_replaced, second.mapping.pk) == (True, first.mapping.pk)
    saved = SavedMapping.objects.get()
    assert (saved.mapping, saved.options, saved.user) == (import_.mapping, {}, mira)
    entries = AuditEntry.objects.filter(action="mapping.keep").order_by("pk")
    assert [(entry.user, entry.subject, entry.detail) for entry in entries] == [
        (ada, f"mapping:{saved.pk}", {"import": import_.pk, "columns": 2, "replaced": False}),
        (mira, f"mapping:{saved.pk}", {"import": import_.pk, "columns": 1, "replaced": True}),
    ]
