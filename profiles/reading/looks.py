"""A person → the looks at them; a login, key, time or file → whose data was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import QuerySet

from cdp import looks
from cdp.models import Look
from profiles.models import Profile


@dataclass(frozen=True, slots=True)
class SeenPerson:
    """A person of some looks: how often they were shown, first and last."""

    profile_id: int
    looks: int
    first_at: datetime
    last_at: datetime


def looks_at(profile_id: int) -> QuerySet[Look]:
    """Looks at the person behind an id, by any id they had. Three queries before."""
    root = Profile.objects.filter(pk=profile_id).values_list("canonical_id", flat=True).first()
    members = list(Profile.objects.members_of(root).values_list("pk", flat=True)) if root else [profile_id]
    return looks.looks_at(members)


def people_of(chosen: QuerySet[Look], *, after: int = 0, limit: int = 1000) -> list[SeenPerson]:
    """Whose data these looks showed, by id, those behind ``after``. One query; a breach asks for a login and a time."""
    sql, params = chosen.order_by().values("profile_ids", "at").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT person, count(*), min(at), max(at)"
            f" FROM ({sql}) AS look CROSS JOIN LATERAL unnest(look.profile_ids) AS person"
            " WHERE person > %s GROUP BY person ORDER BY person LIMIT %s",
            [*params, after, limit],
        )
        return [SeenPerson(*row) for row in cursor.fetchall()]
