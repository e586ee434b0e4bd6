"""Advisory locks: each has a number of its own, and one transaction keeps it from all others."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
from django.db import transaction

from cdp.locks import Lock, take, take_slots, try_take, try_take_name

Together = Callable[..., list[Any]]


def test_no_two_locks_share_a_number() -> None:
    assert len(Lock.__members__) == len(set(Lock))


@pytest.mark.parametrize(
    ("hold", "attempt"),
    [
        (lambda: take(Lock.MERGE_GRAPH), lambda: try_take(Lock.MERGE_GRAPH)),
        (lambda: take(Lock.TRACKING_CALLS, is_shared=True), lambda: try_take(Lock.TRACKING_CALLS)),
        (lambda: try_take_name("key of ada"), lambda: try_take_name("key of ada")),
    ],
)
def test_a_lock_is_refused_until_its_transaction_ends(
    two_connections: Together, hold: Callable[[], Any], attempt: Callable[[], bool]
) -> None:
    held, refused = Event(), Event()

    def first() -> bool:
        with transaction.atomic():
            hold()
            held.set()
            return refused.wait(30)

    def second() -> list[bool]:
        assert held.wait(30)
        with transaction.atomic():
            before = [attempt(), try_take(Lock.AUDIT_SEAL), try_take_name("key of sam")]
        refused.set()
        return before

    assert two_connections(first, second) == [True, [False, True, True]]
    with transaction.atomic():
        assert attempt() is True


def test_a_shared_lock_is_shared(two_connections: Together) -> None:
    both = Event()

    def first() -> bool:
        with transaction.atomic():
            take(Lock.TRACKING_CALLS, is_shared=True)
            return both.wait(30)

    def second() -> bool:
        with transaction.atomic():
            take(Lock.TRACKING_CALLS, is_shared=True)
            both.set()
            return True

    assert two_connections(first, second) == [True, True]


def test_any_number_of_names_takes_few_locks(db: None, django_assert_num_queries: Any) -> None:
    from django.db import connection

    with django_assert_num_queries(1):
        take_slots(Lock.CARTS, [f"cart {number}" for number in range(500)], slots=8)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND pid = pg_backend_pid()",
            [int(Lock.CARTS)],
        )
        assert cursor.fetchone() == (15,)  # remainders from -7 to 7
