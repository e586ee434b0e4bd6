"""People held still for undos: the trees their merges make, locked, and what an undo is refused for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import F

from cdp.errors import NotFound, Refused, RuleForbids
from cdp.times import day
from profiles.identity import graph
from profiles.merging.wording import undoer
from profiles.models import Merge, Profile


@dataclass(frozen=True, slots=True)
class Tree:
    """One person held still: ``chain`` leads from the merge's winner up to the root; ``side`` goes back."""

    merge: Merge
    edges: list[Merge]
    chain: list[int]
    side: set[int]
    held: dict[int, Profile]

    @property
    def root(self) -> Profile:
        return self.held[self.chain[-1]]

    @property
    def loser(self) -> Profile:
        return self.held[self.merge.loser_id]


@dataclass(frozen=True, slots=True)
class Held:
    """Trees of different people; merges that are refused; and those of people another merge of whom is held."""

    trees: list[Tree]
    refused: dict[int, Refused]
    waiting: list[int]


def hold_trees(merge_ids: Sequence[int]) -> Held:
    """Hold each person these merges made, for the first of their merges. Four queries for any number."""
    graph.lock_graph()
    found = Merge.objects.filter(pk__in=merge_ids).select_related("undone_by", "undone_by_key")
    merges = {merge.pk: merge for merge in found.annotate(root_id=F("loser__canonical_id"))}
    refused: dict[int, Refused] = {}
    first: dict[int, int] = {}
    waiting = []
    for merge_id in merge_ids:
        merge = merges.get(merge_id)
        if merge is None:
            refused[merge_id] = NotFound(f"There is no merge {merge_id}.")
        elif merge.undone_at is not None:
            refused[merge_id] = RuleForbids(
                f"Merge {merge_id} was already undone by {undoer(merge)} on {day(merge.undone_at)}."
            )
        elif first.setdefault(merge.root_id, merge_id) != merge_id:
            waiting.append(merge_id)
    trees = []
    for tree in _trees(first):
        if refusal := _refusal(tree):
            refused[tree.merge.pk] = refusal
        else:
            trees.append(tree)
    return Held(trees, refused, waiting)


def _trees(first: dict[int, int]) -> list[Tree]:
    """By ``{root id: merge id}``. Two queries."""
    if not first:
        return []
    shapes: list[tuple[Merge, list[Merge], list[int], set[int]]] = []
    for root, edges in graph.active_merges(first).items():
        merge = next(edge for edge in edges if edge.pk == first[root])
        winner_of = {edge.loser_id: edge.winner_id for edge in edges}
        chain = graph.chain_up(merge.winner_id, winner_of)
        shapes.append((merge, edges, chain, graph.side_of(merge.loser_id, winner_of)))
    rows = graph.lock_profiles(pk for _, _, chain, side in shapes for pk in (*chain, *side))
    return [
        Tree(merge, edges, chain, side, {pk: rows[pk] for pk in (*chain, *side)})
        for merge, edges, chain, side in shapes
    ]


def _refusal(tree: Tree) -> Refused | None:
    root = tree.root
    if root.status == Profile.Status.DELETED:
        return RuleForbids(f"Profile #{root.pk} is deleted. Restore it first.")
    for profile, wanted in ((root, Profile.Status.LIVE), (tree.loser, Profile.Status.MERGED)):
        if profile.status != wanted:
            status = profile.get_status_display().lower()
            return RuleForbids(f"Profile #{profile.pk} is {status}; a merge with it cannot be undone.")
    return None
