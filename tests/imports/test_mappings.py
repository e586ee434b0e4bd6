"""Mappings are kept by name, by somebody, and the audit log says so."""

from __future__ import annotations

import pytest

from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.models import AuditEntry, User
from imports.models import SavedMapping
from imports.saved_mappings import keep_mapping
from tests.imports.files import upload

pytestmark = pytest.mark.django_db

TEXT = "email,first_name\nann@example.com,Ann\n"


def test_a_mapping_is_kept_and_replaced_under_its_name(ada: User, mira: User) -> None:
    job = upload(TEXT)
    with pytest.raises(Invalid) as refused:
        keep_mapping(import_id=job.pk, name="  ", options={}, actor=Actor.of_user(ada))
    assert refused.value.problems[0]["message"] == "Give the mapping a name to keep it."
    assert not SavedMapping.objects.exists()
    first = keep_mapping(
        import_id=job.pk, name=" Shop ", options={"policy": "overwrite"}, actor=Actor.of_user(ada)
    )
    assert (first.mapping.name, first.mapping.user, first.is_replaced) == ("Shop", ada, False)
    assert (first.mapping.mapping, first.mapping.headers) == (job.mapping, ["email", "first_name"])
    job.mapping = {"email": {"to": "email"}}
    job.save()
    second = keep_mapping(import_id=job.pk, name="Shop", options={}, actor=Actor.of_user(mira))
    assert (second.is_replaced, second.mapping.pk) == (True, first.mapping.pk)
    kept = SavedMapping.objects.get()
    assert (kept.mapping, kept.options, kept.user) == (job.mapping, {}, mira)
    told = AuditEntry.objects.filter(action="mapping.keep").order_by("pk")
    assert [(entry.user, entry.subject, entry.detail) for entry in told] == [
        (ada, f"mapping:{kept.pk}", {"import": job.pk, "columns": 2, "replaced": False}),
        (mira, f"mapping:{kept.pk}", {"import": job.pk, "columns": 1, "replaced": True}),
    ]
