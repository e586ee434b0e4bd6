"""A rule that is not saved yet → how many would come into its segment by it, and how many leave. Nothing is stored."""

from __future__ import annotations

from django.db import connection

from cdp.limits import time_limit
from segments.evaluate.moment import current_moment
from segments.evaluate.preview import MILLISECONDS, WORK_MEM
from segments.evaluate.statements import members_statement
from segments.rules.tree import Rule

_CHANGES = """
    SELECT count(*) FILTER (WHERE m.id IS NULL), count(*) FILTER (WHERE v.id IS NULL)
    FROM ({members}) v FULL JOIN (
        SELECT profile_id AS id FROM segments_membership
        WHERE segment_id = %(segment)s AND left_at IS NULL AND absorbed_by IS NULL
    ) m ON m.id = v.id
"""


def count_changes(rule: Rule, segment_id: int, *, milliseconds: int = MILLISECONDS) -> tuple[int, int]:
    """How many would come in and go out, were this its rule now; choices by hand count. Raises TooSlow."""
    statement = members_statement(rule, segment_id)
    with time_limit(milliseconds, work_mem=WORK_MEM):
        params = {**statement.params(current_moment()), "segment": segment_id}
        with connection.cursor() as cursor:
            cursor.execute(_CHANGES.format(members=statement.text), params)
            entered, left = cursor.fetchone()
    return entered, left
