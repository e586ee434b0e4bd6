"""The history of two profiles → findings that keep them separate on purpose: a decision, a lock, a veto; or
nothing links them.
"""

from __future__ import annotations

from cdp.times import day
from profiles.duplicates.why.findings import (
    DECISION,
    HARD,
    LOCK,
    NOWHERE,
    DisplayValue,
    Finding,
    Fix,
    PairHistory,
    SourceFix,
)
from profiles.duplicates.why.misplaced_values import MERGE
from profiles.duplicates.why.wording import describe_source, describe_trace
from profiles.models import DuplicatePair, IdentifierType

UNLOCK, REOPEN = "unlock", "reopen"


def before(history: PairHistory) -> list[Finding]:
    """Locks and decisions: while they stand nothing else matters."""
    findings = [
        Finding(
            "locked",
            f"#{side.id} is locked against merging.",
            stored_as=LOCK,
            profile_id=side.id,
            fix=Fix(UNLOCK, f"Unlock #{side.id}; then one of the other fixes can merge the two.", False),
        )
        for side in history.sides
        if side.root.is_locked
    ]
    for decision in history.decisions:
        if decision.verdict == DuplicatePair.Verdict.NOT_DUPLICATE:
            when = f" on {day(decision.at)}" if decision.at else ""
            findings.append(
                Finding(
                    "decided_apart",
                    f"{decision.decider} decided{when} that #{history.a.id} and #{history.b.id} are not duplicates. Imports and"
                    " calls respect that.",
                    stored_as=DECISION,
                    source=decision.decider,
                    via="decision",
                    at=decision.at,
                    fix=Fix(REOPEN, "Undo the decision; the two are suggested again.", False),
                )
            )
            break
    return findings


def objections(history: PairHistory, display: DisplayValue, *, is_same_id: bool) -> list[Finding]:
    """Different values of an identifier a person usually has one of, and the comparison's vetoes.

    ``is_same_id``: one identifier in two spellings was found, which would object to itself.
    """
    findings = [] if is_same_id else _other_ids(history, display)
    codes = {finding.code for finding in findings}
    for veto, text in history.vetoes.items():
        if veto == "identifiers" and codes:
            continue
        findings.append(Finding("veto", text, stored_as=NOWHERE, source="Comparison", via=f"veto {veto}"))
    return findings


def _other_ids(history: PairHistory, display: DisplayValue) -> list[Finding]:
    findings = []
    for spec in history.types.values():
        is_single = spec.row.max_per_profile == 1 or spec.row.proves_two_people
        if not is_single or spec.row.strength != IdentifierType.Strength.HARD:
            continue
        left, right = (
            next((trace for trace in side.traces if trace.resolves and trace.location == spec.name), None)
            for side in history.sides
        )
        if left is None or right is None or left.value == right.value:
            continue
        meaning = (
            "Different ones prove two people, as this type is set, so the two are never merged by themselves."
            if spec.row.proves_two_people
            else "That alone does not make them two people: duplicates often have two. No call or file merges two"
            " profiles that have one each; somebody decides."
        )
        displayed = [display(spec.name, trace.value) for trace in (left, right)]
        origin = right.origin
        findings.append(
            Finding(
                "different_ids",
                f"#{left.root_id} has the {history.label(spec.name).lower()} {displayed[0]} ({describe_source(left)}), #{right.root_id}"
                f" has {displayed[1]} ({describe_source(right)}). {meaning}",
                value=displayed[1],
                stored_as=HARD,
                profile_id=right.root_id,
                source=origin.source if origin else "",
                via=describe_trace(right),
                at=origin.at if origin else None,
                fix=Fix(
                    MERGE,
                    f"Only if your system gave one person two ids: merge #{left.root_id} and #{right.root_id}. From then"
                    " on both ids identify the merged profile.",
                    True,
                    SourceFix(
                        f"Give one person one {history.label(spec.name).lower()} in the system it comes from."
                    ),
                ),
                type=spec.name,
                raw=right.value,
            )
        )
    return findings


def by_transitive_link(history: PairHistory) -> list[Finding]:
    """The third profile both are likely to be, where the pair is suggested for that alone."""
    return [
        Finding(
            "by_third",
            f"Both are probably the same person as #{decision.via_id}, but have little in common. Open “Why separate?” for each"
            f" of them and #{decision.via_id}; once both are merged with it, these two are one.",
            stored_as=NOWHERE,
            source="Comparison",
            via="comparison",
        )
        for decision in history.decisions
        if decision.via_id is not None
        and decision.verdict in (DuplicatePair.Verdict.OPEN, DuplicatePair.Verdict.LATER)
    ]


def nothing(history: PairHistory) -> Finding:
    """No value is shared."""
    return Finding(
        "nothing_links",
        f"Nothing links #{history.a.id} and #{history.b.id}: no identifier, attribute or event of one has a value of the"
        " other.",
        stored_as=NOWHERE,
        fix=Fix(
            MERGE,
            "If you know that they are one person, look at the preview and merge them.",
            True,
            SourceFix("Send the same customer_id or e-mail from every system that knows the person."),
        ),
    )
