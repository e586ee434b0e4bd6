"""The product's database role: works with every table, and can only add to the audit log, whatever it runs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from cdp import audit, audit_chain
from cdp.access_checks import database_role_is_limited
from cdp.actors import Actor
from cdp.database_roles import grant_rights, powers
from cdp.models import AuditEntry
from imports.models import Import
from imports.partitions import create_partition, drop_partition
from profiles.models import Tag

pytestmark = pytest.mark.django_db


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def role() -> str:
    """A role of this transaction alone."""
    name = f"cdp_test_{uuid.uuid4().hex[:12]}"
    run(f"CREATE ROLE {name}")
    return name


@contextmanager
def working_as(role: str) -> Iterator[None]:
    run(f"SET LOCAL ROLE {role}")
    yield
    run("RESET ROLE")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE cdp_auditentry SET actor = 'nobody'",
        "DELETE FROM cdp_auditentry",
        "SET LOCAL cdp.may_empty_audit = on; TRUNCATE cdp_auditentry",
        "ALTER TABLE cdp_auditentry DISABLE TRIGGER USER",
        "DROP TABLE cdp_auditentry",
        "DROP TRIGGER cdp_audit_append_only ON cdp_auditentry",
        "CREATE OR REPLACE FUNCTION cdp_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN OLD; END$$",
        "SET session_replication_role = replica",
    ],
)
def test_the_role_cannot_change_the_audit_log_nor_what_protects_it(role: str, statement: str) -> None:
    audit.record("profile.view", actor=Actor.system(), subject="profile:1")
    grant_rights(role)
    run(f"SET LOCAL ROLE {role}")
    with pytest.raises(DatabaseError, match="permission denied|must be owner"), transaction.atomic():
        run(statement)
    run("RESET ROLE")
    assert AuditEntry.objects.get().actor == "system"


def test_the_role_does_all_that_the_product_does(role: str) -> None:
    grant_rights(role)
    with working_as(role):
        audit.record("profile.view", actor=Actor.system(), subject="profile:1")
        assert (audit_chain.seal(), audit_chain.verify().holds) == (1, True)
        Tag.objects.create(name="vip").delete()
        import_ = Import(pk=4_000_000)
        create_partition(import_)
        run(f"ANALYZE {import_.partition}")
        drop_partition(import_)
        run("ANALYZE profiles_profile")
        run("CREATE TEMP TABLE step (line bigint) ON COMMIT DROP")
        assert powers().may_change_audit is False
        assert database_role_is_limited(None) == []
    assert grant_rights(role) == 0, "all was handed over"


def test_what_the_role_may_do_too_much_is_named_with_the_command(role: str) -> None:
    (superuser,) = database_role_is_limited(None)
    assert superuser.id == "cdp.W107"
    assert superuser.msg.endswith(
        "is a superuser: it may change the audit log and everything else on that server."
    )

    grant_rights(role)
    for statement in (
        f"GRANT DELETE ON cdp_auditentry TO {role}",
        f"ALTER TABLE cdp_auditentry OWNER TO {role}",
        f"ALTER ROLE {role} CREATEROLE",
    ):
        run(statement)
        with working_as(role):
            (finding,) = database_role_is_limited(None)
        assert (finding.id, finding.msg) == (
            "cdp.W108",
            f"The database role “{role}” may change and delete the audit log.",
        )
        assert f"python manage.py grant_rights {role}" in str(finding.hint)
        grant_rights(role)
        run(f"ALTER ROLE {role} NOCREATEROLE")
        with working_as(role):
            assert database_role_is_limited(None) == []

    # A migration of the owner's made a table, and nobody granted anything since.
    run("CREATE TABLE profiles_new (id bigint)")
    with working_as(role):
        (finding,) = database_role_is_limited(None)
    assert (finding.id, finding.msg) == (
        "cdp.E009",
        f"The database role “{role}” may not use 1 table, for example profiles_new.",
    )
    assert grant_rights(role) == 1
    with working_as(role):
        assert database_role_is_limited(None) == []


def test_the_command_says_why_it_cannot(role: str, capsys: Any) -> None:
    with pytest.raises(
        CommandError, match="^There is no role “nobody_there”. Create it first: CREATE ROLE nobody_there"
    ):
        call_command("grant_rights", "nobody_there")
    call_command("grant_rights", role)
    assert f"“{role}” may use every table (" in capsys.readouterr().out
    run(f"SET LOCAL ROLE {role}")
    with pytest.raises(
        CommandError, match=f"^This is connected as “{role}” itself, which would keep every right."
    ):
        call_command("grant_rights", role)
    run("RESET ROLE")
    stranger = f"{role}_x"
    run(f"CREATE ROLE {stranger}")
    run(f"SET LOCAL ROLE {stranger}")
    with pytest.raises(
        CommandError,
        match=f"It has to own the database and be a member of the role: GRANT {role} TO {stranger}.",
    ):
        call_command("grant_rights", role)
