"""Profiles about to be merged → the merge rules of their attributes, and when their values came in.

The times are found by the very replay an undo uses, so that it decides as the merge did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Q

from profiles.identity import graph
from profiles.merging.undo_replay import Times, build_history, is_newer, replay
from profiles.models import AttributeDefinition, Change, Profile
from profiles.values.attributes import CUSTOM
from profiles.values.merged_fields import MergeRule, row_values


def merge_rules(winner: Profile, loser: Profile) -> dict[str, str]:
    """``{field: rule}`` of the attributes both have. A query only where there are any."""
    names = winner.attributes.keys() & loser.attributes.keys()
    return _rules_of(AttributeDefinition.objects.filter(name__in=names)) if names else {}


def all_merge_rules() -> dict[str, str]:
    """``{field: rule}`` of every attribute. One query."""
    return _rules_of(AttributeDefinition.objects.all())


def _rules_of(definitions: Iterable[AttributeDefinition]) -> dict[str, str]:
    """Without those that say what a merge does anyway: fill what is empty, unite lists."""
    return {
        CUSTOM + definition.name: definition.rule
        for definition in definitions
        if definition.rule
        != (MergeRule.UNION if definition.type == AttributeDefinition.Type.LIST else MergeRule.FILL)
    }


def newest_of(rules: Mapping[str, str]) -> list[str]:
    """The fields whose newer value counts."""
    return [key for key, rule in rules.items() if rule == MergeRule.NEWEST]


def newer_on_loser(winner: Profile, loser: Profile, rules: Mapping[str, str]) -> set[str]:
    """The fields with the rule *newest* of which the loser has the newer value. Queries only where the two differ."""
    ours, theirs = row_values(winner), row_values(loser)
    differing = [key for key in newest_of(rules) if ours.get(key) != theirs.get(key)]
    if not differing:
        return set()
    times = value_times([winner, loser], differing)
    return {key for key in differing if is_newer(times[winner.pk], times[loser.pk], key)}


def value_times(roots: Iterable[Profile], fields: Iterable[str]) -> dict[int, Times]:
    """``{root: {field: when its value came in}}``; None where no journal entry says so. Three queries."""
    wanted = list(fields)
    roots = list(roots)
    ids = [root.pk for root in roots]
    merges = graph.active_merges(ids)
    rows: dict[int, dict[int, dict[str, Any]]] = {root.pk: {root.pk: row_values(root)} for root in roots}
    losers = Profile.objects.filter(canonical_id__in=[pk for pk in ids if merges.get(pk)])
    for row in losers.exclude(pk__in=ids).defer("search"):
        rows[row.canonical_id][row.pk] = row_values(row)
    root_of = {member: root for root, members in rows.items() for member in members}
    changes: dict[int, list[Change]] = {pk: [] for pk in ids}
    touching = Q(kind=Change.Kind.MERGED) | Q(fields__has_any_keys=wanted)
    for change in Change.objects.filter(touching, profile_id__in=list(root_of)).order_by("pk"):
        changes[root_of[change.profile_id]].append(change)
    times = {}
    for root in ids:
        history = build_history(rows[root], merges.get(root, []), changes[root], wanted)
        times[root] = replay(history).times[root]
    return times
