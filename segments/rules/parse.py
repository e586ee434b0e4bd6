"""A rule as JSON → the tree of its conditions, with every problem and its place where something is wrong."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from typing import Any

from cdp.errors import Invalid
from segments import conditions
from segments.conditions.base import Condition, kinds
from segments.nodes import Node, all_problems, problem
from segments.rules.tree import GROUPS, VERSION, Group, Leaf, Negation, Part, Rule
from segments.vocabulary import Vocabulary

DEEPEST = 10
MOST_CONDITIONS = 200
MOST_PARTS = 200


@cache
def known_kinds() -> dict[str, type[Condition]]:
    """Key → kind, of every module in ``segments.conditions``."""
    for module in pkgutil.iter_modules(conditions.__path__):
        import_module(f"{conditions.__name__}.{module.name}")
    return dict(kinds.items())


def parse_rule(raw: Any, vocabulary: Vocabulary) -> Rule:
    """Raises Invalid with every problem; ``field`` of each is its place in the rule."""
    node = Node.of(raw)
    version = node.raw.get("version", VERSION)
    if version != VERSION or isinstance(version, bool):
        node.refuse(
            "version", f"Rules of version {str(version)[:20]} are not known here; this is version {VERSION}."
        )
    rest = Node({key: value for key, value in node.raw.items() if key != "version"})
    if not any(kind in rest for kind in GROUPS):
        node.refuse("", "A rule begins with a group: all, any or none.")
    count = _count(rest.raw, 0)
    if count > MOST_CONDITIONS:
        raise Invalid(
            [problem("", None, f"At most {MOST_CONDITIONS} conditions in a rule; this has {count:,}.")]
        )
    group = _group(rest, vocabulary, 1)
    if not list(group.leaves()):
        node.refuse("", "Every condition of this rule is switched off. Switch one on.")
    return Rule(group)


def _count(raw: Any, depth: int) -> int:
    """How many conditions there are, as far as groups may go."""
    if not isinstance(raw, dict) or depth > DEEPEST + 1:
        return 1
    for kind in GROUPS:
        if isinstance(raw.get(kind), list):
            return sum(_count(part, depth + 1) for part in raw[kind])
    return _count(raw["not"], depth + 1) if "not" in raw else 1


def _part(node: Node, vocabulary: Vocabulary, depth: int) -> Part:
    if depth > DEEPEST:
        node.refuse("", f"Groups go at most {DEEPEST} deep.")
    is_off = node.flag("off")
    inner = Node({key: value for key, value in node.raw.items() if key != "off"}, node.pointer)
    if any(kind in inner for kind in GROUPS):
        group = _group(inner, vocabulary, depth)
        return Group(group.kind, group.parts, group.pointer, is_off)
    if "not" in inner:
        inner.only("not")
        return Negation(_part(inner.child("not"), vocabulary, depth + 1), node.pointer, is_off)
    return Leaf(_condition(inner, vocabulary), node.pointer, is_off)


def _group(node: Node, vocabulary: Vocabulary, depth: int) -> Group:
    kinds_here = [kind for kind in GROUPS if kind in node]
    node.only(kinds_here[0])
    kind = kinds_here[0]
    if not node.raw[kind] and isinstance(node.raw[kind], list):
        node.refuse(kind, "This group is empty. Add a condition, or remove the group.")
    children = node.children(kind, most=MOST_PARTS)
    parts = all_problems([lambda child=child: _part(child, vocabulary, depth + 1) for child in children])
    return Group(kind, tuple(parts), node.pointer)


def _condition(node: Node, vocabulary: Vocabulary) -> Condition:
    found = [known for key, known in known_kinds().items() if key in node]
    if not found:
        known = ", ".join(sorted(known_kinds()))
        node.refuse("", f"There is no such condition. A condition has one of: {known}.")
    # “since” and “within” name no kind, so the keys of two kinds in one object are a mistake.
    return found[0].parse(node, vocabulary)
