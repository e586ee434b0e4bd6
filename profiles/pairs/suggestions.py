"""Two profiles that came with one value and stay separate → a suggested pair with the source's reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from cdp.sql import ask

# Told often enough: a file that is imported every week would add a reason each time.
MAX_REASONS = 10
# Ends ``INSERT INTO profiles_duplicatepair AS d``. What a search found before keeps its score and is from then on
# suggested; a pair somebody decided about stays as it is.
ON_CONFLICT = f"""
    ON CONFLICT (a_id, b_id) DO UPDATE SET reasons = d.reasons || excluded.reasons, found_by = excluded.found_by
    WHERE d.verdict IN ('open', 'later') AND NOT d.reasons @> excluded.reasons
        AND jsonb_array_length(d.reasons) < {MAX_REASONS}
"""


def suggest(reasons: Mapping[tuple[int, int], dict[str, Any]]) -> None:
    """``{(lower id, higher id): {code, type, value, source, text}}``. One query, none without pairs.

    Pairs of somebody who was deleted or merged meanwhile are left out; nobody is until the transaction ends.
    """
    if not reasons:
        return
    pairs = sorted(reasons)
    ask(
        "INSERT INTO profiles_duplicatepair AS d (a_id, b_id, verdict, reasons)"
        " SELECT s.a, s.b, 'open', s.r::jsonb FROM unnest(%b::bigint[], %b::bigint[], %b::text[]) AS s (a, b, r)"
        " JOIN profiles_profile a ON a.id = s.a AND a.status = 'live'"
        f" JOIN profiles_profile b ON b.id = s.b AND b.status = 'live' FOR SHARE OF a, b {ON_CONFLICT}",
        [
            [a for a, _ in pairs],
            [b for _, b in pairs],
            [orjson.dumps([reasons[pair]]).decode() for pair in pairs],
        ],
    )
