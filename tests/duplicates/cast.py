"""Profiles of people who occur twice, as imports of contact values leave them: without identifiers that
would merge them.
"""

from __future__ import annotations

from typing import Any

from django.db import connection

from cdp.actors import Actor
from cdp.jobs import run_to_end
from profiles.builtin_sources import builtin_source
from profiles.duplicates.finding.full_scan import start_scan
from profiles.models import DuplicatePair, Profile

ANN: dict[str, Any] = {
    "first_name": "Ann",
    "last_name": "Pucllar",
    "email": "ann.pucllar@web.de",
    "phone": "+48600100200",
    "birth_date": "1980-05-17",
    "city": "Gdańsk",
}


def make_ann(**changes: Any) -> Profile:
    return make_plain_profile(**{name: value for name, value in {**ANN, **changes}.items() if value})


def make_plain_profile(source: str = "api", **fields: Any) -> Profile:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('profiles_profile', 'id'))")
        number = cursor.fetchone()[0]
    return Profile.objects.create(pk=number, canonical_id=number, source=builtin_source(source), **fields)


def scan() -> dict[str, Any]:
    job = run_to_end(start_scan(actor=Actor.system()))
    assert job.state == "done", job.problem
    return job.result


def twins(count: int, *, start: int = 0) -> list[DuplicatePair]:
    """``count`` certain pairs, found by a scan; nobody is like anybody of another pair."""
    for number in range(start, start + count):
        named = {
            "first_name": f"F{number}ana",
            "last_name": f"L{number}berg",
            "birth_date": f"19{50 + number % 50}-03-{1 + number % 28:02}",
        }
        make_plain_profile(**named, email=f"f{number}.l{number}@web.de")
        make_plain_profile(**named, city="Oslo")
    scan()
    return list(DuplicatePair.objects.filter(tier="certain").order_by("pk"))
