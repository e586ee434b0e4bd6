"""Imports → those whose cells are not all accounted for, as SQL for ``manage.py doctor``."""

from __future__ import annotations

from cdp.invariants import Invariant, register_invariants

# The cells counted while the file was read, per column and beside the table, against the sums of their outcomes.
_SUMS = """
    SELECT i.id, r.count::bigint AS read, (SELECT sum(v::bigint) FROM jsonb_each_text(i.cells -> 'columns' -> (r.n::int - 1)) x (k, v)) AS accounted
    FROM imports_import i, jsonb_array_elements_text(i.cells -> 'read') WITH ORDINALITY AS r (count, n)
    WHERE i.cells ? 'columns'
    UNION ALL
    SELECT i.id, (SELECT sum(v::bigint) FROM jsonb_each_text(i.cells -> 'read_outside') x (k, v)),
        (SELECT sum(v::bigint) FROM jsonb_each_text(i.cells -> 'outside') x (k, v))
    FROM imports_import i WHERE i.cells ? 'columns'
"""

CELLS = Invariant(
    "every cell of an imported file has one outcome",
    f"SELECT DISTINCT id FROM ({_SUMS}) s WHERE coalesce(read, 0) <> coalesce(accounted, 0)",
    "The counts of cells in the import's report are wrong. Report it with the file's columns and mapping; compare the"
    " plan as CSV with the file.",
)


def register() -> None:
    register_invariants(CELLS)
