"""The two people of a merge, held still: who they are, whether they may be joined, what comes over."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection

from cdp.errors import Invalid, NotFound, RuleForbids
from profiles.identity import graph
from profiles.models import AttributeDefinition, Profile
from profiles.values.attributes import CUSTOM
from profiles.values.merged_fields import SIDES

# What stays on the member it arrived at and so comes over with the pointer.
TABLES = {
    "identifiers": "profiles_identifier",
    "tags": "profiles_profiletag",
    "addresses": "profiles_address",
    "consents": "profiles_consent",
    "notes": "profiles_note",
    "messages": "profiles_message",
}
_MEMBERS = "ARRAY(SELECT id FROM profiles_profile WHERE canonical_id = %({root})s)"


ITSELF = "A profile cannot be merged into itself."


def unknown(profile_id: int) -> str:
    return f"No profile “{profile_id}”."


def already_one(winner_id: int, loser_id: int, root_id: int) -> str:
    return f"Profiles #{winner_id} and #{loser_id} are already merged: both are profile #{root_id}."


@dataclass(frozen=True, slots=True)
class Sides:
    """Both surviving profiles, locked. ``moved`` counts what the loser brings; ``state`` is the hash of both."""

    winner: Profile
    loser: Profile
    moved: dict[str, int]
    state: str


def hold_sides(winner_id: int, loser_id: int) -> Sides:
    """Lock the graph and both roots, and refuse what no merge may do. Five queries.

    Raises NotFound, or RuleForbids for a merge with oneself, of one person, or of somebody locked or gone.
    """
    if winner_id == loser_id:
        raise RuleForbids(ITSELF)
    graph.lock_graph()
    roots = graph.roots_of([winner_id, loser_id])
    for wanted in (winner_id, loser_id):
        if wanted not in roots:
            raise NotFound(unknown(wanted))
    winner_root, loser_root = roots[winner_id], roots[loser_id]
    if winner_root == loser_root:
        raise RuleForbids(already_one(winner_id, loser_id, winner_root))
    rows = graph.lock_profiles([winner_root], members_of=[loser_root])
    winner, loser = rows[winner_root], rows[loser_root]
    for profile in (winner, loser):
        check_mergeable(profile)
    parts = _parts(winner_root, loser_root)
    moved = {name: parts.get((loser_root, name), ("0", ""))[0] for name in ("profiles", *TABLES, "events")}
    state = [
        [p.pk, p.version, *(parts.get((p.pk, name)) for name in ("profiles", *TABLES))]
        for p in (winner, loser)
    ]
    digest = hashlib.sha256(json.dumps(state).encode()).hexdigest()
    return Sides(winner, loser, {name: int(count) for name, count in moved.items()}, digest)


def check_mergeable(profile: Profile) -> None:
    """RuleForbids when this root may not be in a merge."""
    if sentence := refusal(profile):
        raise RuleForbids(sentence)


def refusal(profile: Profile) -> str:
    """Why this root may not be in a merge, or ""."""
    if profile.status == Profile.Status.DELETED:
        return f"Profile #{profile.pk} is deleted. Restore it first."
    if profile.status != Profile.Status.LIVE:
        return f"Profile #{profile.pk} is {profile.get_status_display().lower()} and cannot be merged."
    if profile.is_locked:
        return f"Profile #{profile.pk} is locked against merging. Unlock it first."
    return ""


def _parts(winner_root: int, loser_root: int) -> dict[tuple[int, str], tuple[str, str]]:
    """``{(root, table): (count, mark)}``; the mark moves with whatever is added or taken away. One query.

    Events are counted on the loser alone and leave the hash as it is: they keep coming in. The members come
    as an array, so that each table is read through its index on the profile whatever the planner believes.
    """
    selects = [
        "SELECT canonical_id, 'profiles', count(*)::text, string_agg(id::text, ' ' ORDER BY id)"
        " FROM profiles_profile WHERE canonical_id IN (%(winner)s, %(loser)s) GROUP BY 1"
    ]
    selects += [
        f"SELECT %({root})s::bigint, '{name}', count(*)::text, coalesce(max(id), 0)::text"
        f" FROM {table} WHERE profile_id = ANY({_MEMBERS.format(root=root)})"
        for root in SIDES
        for name, table in TABLES.items()
    ]
    selects.append(
        "SELECT %(loser)s::bigint, 'events', count(*)::text, ''"
        f" FROM profiles_event WHERE profile_id = ANY({_MEMBERS.format(root='loser')})"
    )
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(selects), {"winner": winner_root, "loser": loser_root})
        return {(root, name): (count, mark) for root, name, count, mark in cursor.fetchall()}


def members_count(root_id: int) -> dict[str, int]:
    """What one person has of everything that stays on its members. One query."""
    parts = _parts(root_id, root_id)
    return {name: int(parts.get((root_id, name), ("0", ""))[0]) for name in ("profiles", *TABLES, "events")}


def check_choices(choices: Mapping[str, Any], winner: Profile, loser: Profile) -> None:
    """Invalid for a choice of an unknown field or side. A query only for an attribute neither has."""
    known = {*Profile.FIELDS, *(CUSTOM + name for row in (winner, loser) for name in row.attributes)}
    if not choices.keys() <= known:
        known |= {CUSTOM + name for name in AttributeDefinition.objects.values_list("name", flat=True)}
    problems = []
    for field, side in choices.items():
        if field not in known:
            problems.append(
                {"field": field, "value": side, "message": f"There is no field “{field}” to choose."}
            )
        elif side not in SIDES:
            message = f"Choose “winner” or “loser” for {field}, not “{side}”."
            problems.append({"field": field, "value": side, "message": message})
    if problems:
        raise Invalid(problems)
