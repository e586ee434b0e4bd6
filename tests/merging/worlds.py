"""A few profiles in plain Python, and a plain statement of their values had a merge never happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from cdp.actors import Actor
from cdp.errors import RuleForbids
from profiles.builtin_sources import builtin_source
from profiles.editing import add_event, update_profile
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import Unmerged, unmerge_many, unmerge_profiles
from profiles.models import AttributeDefinition, Profile
from tests.profile_factory import make_profile

RULES = {"attributes.points": "sum", "attributes.best": "largest", "attributes.tier": "newest"}
FIELDS = ("first_name", "city", "birth_date", "attributes.plan", "attributes.likes", *RULES)
Row = dict[str, Any]


def ensure_attributes() -> None:
    AttributeDefinition.objects.get_or_create(name="plan", defaults={"type": "text"})
    AttributeDefinition.objects.get_or_create(name="likes", defaults={"type": "list"})
    for key, rule in RULES.items():
        kind = "text" if rule == "newest" else "number"
        defaults = {"type": kind, "merge_rule": rule}
        AttributeDefinition.objects.get_or_create(name=key.removeprefix("attributes."), defaults=defaults)


def combined(winner: Any, loser: Any, choice: str | None, rule: str = "", is_newer: bool = False) -> Any:
    """The rules of a merge written a second time, so that the product's are not compared with themselves."""
    if not loser:
        return winner
    if winner and rule and not choice:
        return {"sum": lambda: winner + loser, "largest": lambda: max(winner, loser)}.get(
            rule, lambda: loser if is_newer else winner
        )()
    if choice and winner != loser:
        return loser if choice == "loser" else winner
    if isinstance(winner, list):
        return winner + [item for item in loser if item not in winner]
    return winner or loser


@dataclass
class World:
    """Profiles, what was done to them, and which merges are undone."""

    ids: list[int]
    start: dict[int, Row]
    done: list[tuple[Any, ...]] = field(default_factory=list)
    undone: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, rows: list[Row]) -> World:
        ensure_attributes()
        ids = []
        for number, row in enumerate(rows):
            values = {key.removeprefix("attributes."): value for key, value in row.items()}
            ids.append(make_profile(last_name=f"No {number}", **values).pk)
        return cls(ids, {pk: dict(row) for pk, row in zip(ids, rows, strict=True)})

    def by(self) -> dict[str, Any]:
        return {"actor": Actor.system(), "source": builtin_source("staff")}

    def root(self, pk: int) -> int:
        return Profile.objects.get(pk=pk).canonical_id

    def merge(self, winner: int, loser: int, choices: dict[str, str]) -> None:
        try:
            made = merge_profiles(winner_id=winner, loser_id=loser, choices=choices, **self.by())
        except RuleForbids:
            assert self.root(winner) == self.root(loser)
            return
        self.done.append(("merge", made.merge_id, made.winner_id, made.loser_id, choices))

    def undo(self, *which: int) -> None:
        """One alone, or several at once."""
        if not (active := self.active()):
            return
        chosen = list(dict.fromkeys(active[choice % len(active)] for choice in which))
        if len(chosen) == 1:
            unmerge_profiles(merge_id=chosen[0], **self.by())
        else:
            done = unmerge_many(merge_ids=chosen, **self.by())
            assert {pk for pk, result in done.items() if isinstance(result, Unmerged)} == set(chosen)
        self.undone.update(chosen)

    def active(self) -> list[int]:
        return [step[1] for step in self.done if step[0] == "merge" and step[1] not in self.undone]

    def edit(self, pk: int, key: str, value: Any, through_member: bool) -> None:
        """Through a member's identifier, or on the surviving profile itself."""
        via = pk if through_member else None
        root = self.root(pk)
        changed = update_profile(profile_id=root, values={key: value}, via_id=via, **self.by()).fields
        if key in changed:
            self.done.append(("edit", via or root, key, *changed[key]))

    def visit(self, pk: int) -> None:
        add_event(profile_id=pk, name="Page", **self.by())

    def expected(self) -> dict[int, Row]:
        """Everything done, but for the merges that were undone, done to the rows of the start."""
        rows = {pk: dict(row) for pk, row in self.start.items()}
        above: dict[int, int] = {}
        # When each value came in, in steps; 0 for none.
        since = {pk: dict.fromkeys(FIELDS, number) for number, pk in enumerate(self.ids, 1)}
        for number, step in enumerate(self.done, 1000):
            if step[0] == "merge":
                _, merge_id, winner, loser, choices = step
                if merge_id in self.undone:
                    continue
                above[loser] = winner
                for key in FIELDS:
                    is_newer = since[loser][key] > since[winner][key]
                    before, theirs = rows[winner].get(key), rows[loser].get(key)
                    rows[winner][key] = combined(
                        before, theirs, choices.get(key), RULES.get(key, ""), is_newer
                    )
                    if rows[winner][key] != before:
                        since[winner][key] = since[loser][key]
            else:
                _, pk, key, old, new = step
                while pk in above:
                    pk = above[pk]
                rows[pk][key] = edited(rows[pk].get(key), old, new)
                since[pk][key] = number
        return {pk: {key: row.get(key) for key in FIELDS} for pk, row in rows.items()}

    def actual(self) -> dict[int, Row]:
        return {
            row.pk: {
                "first_name": row.first_name,
                "city": row.city,
                "birth_date": row.birth_date.isoformat() if row.birth_date else None,
                **{
                    key: row.attributes.get(key.removeprefix("attributes."))
                    for key in FIELDS
                    if key.startswith("attributes.")
                },
            }
            for row in Profile.objects.filter(pk__in=self.ids)
        }


def edited(before: Any, old: Any, new: Any) -> Any:
    """A list edit adds and removes items; any other edit sets the value."""
    if not isinstance(new, list) or before == old:
        return new
    kept = [item for item in before or [] if item in new or item not in (old or [])]
    return kept + [item for item in new if item not in (old or []) and item not in kept]


# Tables that tell what happened, decisions about pairs, and who is to be compared anew: an undo adds to them.
TELLING = {
    *("profiles_change", "profiles_merge", "profiles_mergebatch", "profiles_mergebatchrow"),
    *("profiles_duplicatepair", "profiles_matchqueue"),
}


def checksums() -> dict[str, str]:
    """A hash over every row of every table of profiles, but for the counters of changes."""
    tables = {
        model._meta.db_table for model in Profile._meta.apps.get_app_config("profiles").get_models()
    } - TELLING
    sums = {}
    with connection.cursor() as cursor:
        for table in sorted(tables):
            cursor.execute(
                "SELECT md5(coalesce(string_agg(row::text, E'\\n' ORDER BY row::text), '')) FROM"
                f" (SELECT to_jsonb(t) - 'version' - 'updated_at' AS row FROM {table} t) rows"
            )
            sums[table] = cursor.fetchone()[0]
    return sums
