"""The audit log: written with the act, chained afterwards, and nobody rewrites it."""

from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test import Client, RequestFactory

from cdp import audit, audit_chain
from cdp.actors import Actor
from cdp.logs import request_address, request_id
from cdp.models import AuditEntry, User
from cdp.tasks import seal_audit

pytestmark = pytest.mark.django_db


def write(count: int) -> None:
    audit.record_many("profile.note", actor=Actor.system(), subjects=[f"profile:{n}" for n in range(count)])


def test_an_entry_tells_who_what_where_from_and_in_which_request(sam: User) -> None:
    tokens = request_id.set("req-12345678"), request_address.set("203.0.113.9")
    try:
        entry = audit.record(
            "profile.merge", actor=Actor.of_user(sam), subject="profile:7", detail={"loser": 9}
        )
    finally:
        request_id.reset(tokens[0])
        request_address.reset(tokens[1])
    entry.refresh_from_db()
    assert (entry.user_id, entry.actor, entry.action, entry.subject) == (
        sam.pk,
        "sam",
        "profile.merge",
        "profile:7",
    )
    assert (entry.detail, entry.request_id, entry.address) == ({"loser": 9}, "req-12345678", "203.0.113.9")
    assert entry.sealed is None


def test_an_address_that_is_none_is_left_out() -> None:
    token = request_address.set("")
    try:
        assert audit.record("login", actor=Actor.system()).address is None
    finally:
        request_address.reset(token)


def test_an_entry_goes_with_the_transaction_that_acted() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        audit.record("profile.update", actor=Actor.system())
        raise RuntimeError
    assert not AuditEntry.objects.exists()


def test_many_subjects_are_one_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        write(500)
    assert AuditEntry.objects.count() == 500


def test_sealing_chains_every_row_once_and_goes_on_where_it_stopped() -> None:
    write(5)
    assert (audit_chain.seal(limit=3), audit_chain.seal(limit=3), audit_chain.seal()) == (3, 2, 0)
    write(2)
    seal_audit()
    places = list(AuditEntry.objects.order_by("pk").values_list("sealed", flat=True))
    assert places == [1, 2, 3, 4, 5, 6, 7]
    verified = audit_chain.verify()
    assert verified.holds
    assert (verified.sealed, verified.unsealed, verified.head) == (
        7,
        0,
        AuditEntry.objects.get(sealed=7).digest,
    )


def test_verify_counts_what_is_not_sealed_yet() -> None:
    write(2)
    assert audit_chain.verify() == audit_chain.Verified(0, 2, "0" * 64)


def unguarded(sql: str, *params: Any) -> None:
    """What somebody with the database owner's rights could do."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE cdp_auditentry DISABLE TRIGGER USER")
        cursor.execute(sql, params)
        cursor.execute("ALTER TABLE cdp_auditentry ENABLE TRIGGER USER")


@pytest.mark.parametrize(
    ("tampering", "reason"),
    [
        (
            "UPDATE cdp_auditentry SET actor = 'nobody' WHERE sealed = 3",
            "The row or one before it was changed after it was sealed.",
        ),
        (
            "UPDATE cdp_auditentry SET detail = '{\"x\": 1}' WHERE sealed = 3",
            "The row or one before it was changed after it was sealed.",
        ),
        (
            "UPDATE cdp_auditentry SET at = at - interval '1 microsecond' WHERE sealed = 3",
            "The row or one before it was changed after it was sealed.",
        ),
        ("DELETE FROM cdp_auditentry WHERE sealed = 2", "Place 2 of the chain is missing before this row."),
    ],
)
def test_verify_names_the_first_row_that_does_not_fit(tampering: str, reason: str) -> None:
    write(5)
    audit_chain.seal()
    third = AuditEntry.objects.get(sealed=3).pk
    assert audit_chain.verify().holds
    unguarded(tampering)
    verified = audit_chain.verify()
    assert (verified.holds, verified.broken_id, verified.reason) == (False, third, reason)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE cdp_auditentry SET actor = 'nobody'",
        "UPDATE cdp_auditentry SET sealed = 99, digest = 'x', actor = 'nobody'",
        "UPDATE cdp_auditentry SET sealed = NULL",
        "DELETE FROM cdp_auditentry",
    ],
)
def test_the_database_refuses_to_change_or_remove_a_row(statement: str) -> None:
    write(1)
    audit_chain.seal()
    with pytest.raises(IntegrityError, match="The audit log is append-only"), transaction.atomic():
        connection.cursor().execute(statement)
    assert audit_chain.verify().holds


def test_the_database_refuses_to_empty_the_log() -> None:
    write(1)
    with (
        pytest.raises(DatabaseError, match="TRUNCATE refused"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("SET LOCAL cdp.may_empty_audit = off")
        cursor.execute("TRUNCATE cdp_auditentry")
    assert AuditEntry.objects.count() == 1


def test_a_row_cannot_be_sealed_twice() -> None:
    write(1)
    audit_chain.seal()
    with pytest.raises(IntegrityError), transaction.atomic():
        connection.cursor().execute("UPDATE cdp_auditentry SET sealed = 5, digest = 'other'")


def test_two_sealers_at_once_make_one_chain(two_connections: Any) -> None:
    write(200)
    counts = two_connections(audit_chain.seal, audit_chain.seal)
    assert sum(counts) == 200
    assert audit_chain.verify() == audit_chain.Verified(200, 0, AuditEntry.objects.get(sealed=200).digest)


def test_logins_logouts_and_failed_logins_are_recorded(ada: User) -> None:
    client = Client()
    client.post("/admin/login/", {"username": "ada", "password": "wrong"}, REMOTE_ADDR="203.0.113.5")
    client.post("/admin/login/", {"username": "ada", "password": "ada"}, REMOTE_ADDR="203.0.113.5")
    client.post("/admin/logout/", REMOTE_ADDR="203.0.113.5")
    rows = AuditEntry.objects.order_by("pk").values_list("action", "actor", "subject", "address")
    subject = f"user:{ada.pk}"
    assert list(rows) == [
        ("login.failed", "ada", subject, "203.0.113.5"),
        ("login", "ada", subject, "203.0.113.5"),
        ("logout", "ada", subject, "203.0.113.5"),
    ]


def test_a_password_typed_as_a_name_is_not_kept() -> None:
    request = RequestFactory().post("/admin/login/")
    assert authenticate(request, username="my-secret-password", password="x") is None
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.subject, entry.detail) == ("login.failed", "unknown", "", {})
