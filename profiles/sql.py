"""A table alias or parameter → the SQL fragments several rooms write: members of a root, the canonical join, live roots.

The table of profiles is named here and in statements about its own columns; who a row of another table belongs to is
always asked with ``join_root``, so that nobody forgets the second hop.
"""

from __future__ import annotations

from profiles.models import Profile

PROFILES = Profile._meta.db_table


def members(root: str) -> str:
    """``SELECT id`` of the root and of every profile merged into it; ``root`` is a parameter or a column."""
    return f"SELECT id FROM {PROFILES} WHERE canonical_id = {root}"


def member_array(root: str) -> str:
    """The same as an array, by which the planner always reads other tables through their index on the profile."""
    return f"ARRAY({members(root)})"


def join_root(
    owner: str, *, member: str = "p", root: str = "root", is_live: bool = False, kind: str = ""
) -> str:
    """Join the row of a profile and its root to what belongs to it: ``owner`` is the column with the profile's id.

    ``is_live`` keeps surviving profiles only; ``kind`` is LEFT for an outer join.
    """
    live = f" AND {live_root(root)}" if is_live else ""
    return (
        f"{kind} JOIN {PROFILES} {member} ON {member}.id = {owner}"
        f" {kind} JOIN {PROFILES} {root} ON {root}.id = {member}.canonical_id{live}"
    ).lstrip()


def live_root(alias: str) -> str:
    """The condition that a row is a surviving profile as everybody sees it: live rows are roots by constraint."""
    return f"{alias}.status = '{Profile.Status.LIVE}'"
