"""What keeps two apart on purpose: a decision, a lock, a rule that objects; and that nothing links them at all."""

from __future__ import annotations

from profiles.duplicates.why.findings import DECISION, HARD, LOCK, NOWHERE, Case, Finding, Fix, See, SourceFix
from profiles.duplicates.why.misplaced_values import MERGE
from profiles.duplicates.why.wording import by_whom, via_of
from profiles.merging.wording import day
from profiles.models import DuplicatePair, IdentifierType

UNLOCK, REOPEN = "unlock", "reopen"


def before(case: Case) -> list[Finding]:
    """Locks and decisions: nothing else matters while they stand."""
    found = [
        Finding(
            "locked",
            f"#{side.id} is locked against merging.",
            stored_as=LOCK,
            profile_id=side.id,
            fix=Fix(UNLOCK, f"Unlock #{side.id}; then one of the other fixes can join the two.", False),
        )
        for side in case.sides
        if side.root.is_locked
    ]
    for decision in case.decisions:
        if decision.verdict == DuplicatePair.Verdict.NOT_DUPLICATE:
            when = f" on {day(decision.at)}" if decision.at else ""
            found.append(
                Finding(
                    "decided_apart",
                    f"{decision.who} decided{when} that #{case.a.id} and #{case.b.id} are not duplicates. Imports and"
                    " calls respect that.",
                    stored_as=DECISION,
                    source=decision.who,
                    via="decision",
                    at=decision.at,
                    fix=Fix(REOPEN, "Take the decision back; the two are suggested again.", False),
                )
            )
            break
    return found


def objections(case: Case, see: See, *, same: bool) -> list[Finding]:
    """Different values of an identifier of which a person has one, and what the comparison objects to.

    ``same``: an identifier spelled in two ways was found, and would object to itself.
    """
    found = [] if same else _other_ids(case, see)
    said = {one.code for one in found}
    for veto, text in case.vetoes.items():
        if veto == "identifiers" and said:
            continue
        found.append(Finding("veto", text, stored_as=NOWHERE, source="Comparison", via=f"veto {veto}"))
    return found


def _other_ids(case: Case, see: See) -> list[Finding]:
    found = []
    for spec in case.types.values():
        if spec.row.max_per_profile != 1 or spec.row.strength != IdentifierType.Strength.HARD:
            continue
        one, other = (
            next((trace for trace in side.traces if trace.leads and trace.place == spec.name), None)
            for side in case.sides
        )
        if one is None or other is None or one.value == other.value:
            continue
        shown = [see(spec.name, trace.value) for trace in (one, other)]
        origin = other.origin
        found.append(
            Finding(
                "different_ids",
                f"#{one.root_id} has the {case.label(spec.name).lower()} {shown[0]} ({by_whom(one)}), #{other.root_id}"
                f" has {shown[1]} ({by_whom(other)}). A person has one, so these are taken for two people.",
                value=shown[1],
                stored_as=HARD,
                profile_id=other.root_id,
                source=origin.source if origin else "",
                via=via_of(other),
                at=origin.at if origin else None,
                fix=Fix(
                    MERGE,
                    f"Only if your system gave one person two ids: join #{one.root_id} and #{other.root_id}. Both ids"
                    " lead to them from then on.",
                    True,
                    SourceFix(
                        f"Give one person one {case.label(spec.name).lower()} in the system it comes from."
                    ),
                ),
                type=spec.name,
                raw=other.value,
            )
        )
    return found


def by_third(case: Case) -> list[Finding]:
    """Whom both are likely to be, where the pair is suggested for that alone."""
    return [
        Finding(
            "by_third",
            f"Both are likely #{decision.through}, and say little of each other. Ask of each and #{decision.through}"
            " why they are two; once both are merged with it, these are one.",
            stored_as=NOWHERE,
            source="Comparison",
            via="comparison",
        )
        for decision in case.decisions
        if decision.through is not None
        and decision.verdict in (DuplicatePair.Verdict.OPEN, DuplicatePair.Verdict.LATER)
    ]


def nothing(case: Case) -> Finding:
    """No value of one is at the other."""
    return Finding(
        "nothing_links",
        f"Nothing links #{case.a.id} and #{case.b.id}: no identifier, attribute or event of one has a value of the"
        " other.",
        stored_as=NOWHERE,
        fix=Fix(
            MERGE,
            "If you know that they are one person, join them after a look at the preview.",
            True,
            SourceFix("Send the same customer_id or e-mail from every system that knows the person."),
        ),
    )
