"""Two profiles → their consents side by side, and what will hold once they are merged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdp.times import iso
from profiles.consent.ledger import CurrentConsent, current_consents
from profiles.merging.preview_sections import Compare
from profiles.reading.profiles import ProfileView

Consents = Mapping[tuple[str, str], CurrentConsent]


def read_consents(winner_id: int, loser_id: int) -> Compare:
    """A row for each channel and purpose: each side's consent (granted, withdrawn, None), and what will hold.

    ``rule``: same, only (one side has any), latest, caution (a tie or an unknown time means no). One query.
    """
    before = current_consents([winner_id, loser_id])
    winner, loser = before.get(winner_id, {}), before.get(loser_id, {})

    def compare(result: ProfileView) -> list[dict[str, Any]]:
        return [_row(key, winner, loser, result.consents[key]) for key in sorted(result.consents)]

    return compare


def _row(key: tuple[str, str], winner: Consents, loser: Consents, result: CurrentConsent) -> dict[str, Any]:
    left, right = winner.get(key), loser.get(key)
    return {
        "channel": key[0],
        "purpose": key[1],
        "winner": left.state if left else None,
        "winner_at": iso(left.at) if left else None,
        "loser": right.state if right else None,
        "loser_at": iso(right.at) if right else None,
        "result": result.state,
        "rule": _rule(left, right, result),
    }


def _rule(left: CurrentConsent | None, right: CurrentConsent | None, result: CurrentConsent) -> str:
    if left is None or right is None:
        return "only"
    if left.state == right.state:
        return "same"
    if left.at is None or right.at is None or left.at == right.at:
        return "caution"
    return "latest" if result.at == max(left.at, right.at) else "caution"
