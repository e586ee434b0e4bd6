"""Two profiles → the findings that explain why they are separate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cdp.errors import NotFound, RuleForbids
from profiles.duplicates.why import browsers, kept_apart, misplaced_values
from profiles.duplicates.why.findings import DisplayValue, Finding, PairHistory
from profiles.duplicates.why.load import read_pair_history
from profiles.duplicates.why.shared_values import read_types, shared_values_of
from profiles.identity.lookup import find_profile
from profiles.masking import mask_identifier
from profiles.models import DuplicatePair, Profile


@dataclass(frozen=True, slots=True)
class ProfilePair:
    """Two surviving, different profiles."""

    a: Profile
    b: Profile


def find_profile_pair(a_ref: str | int, b_ref: str | int) -> ProfilePair:
    """The surviving profiles of any two ids. Raises NotFound; RuleForbids when both are one profile."""
    a, b = find_profile(a_ref).root, find_profile(b_ref).root
    if a.pk == b.pk:
        raise RuleForbids(f"“{a_ref}” and “{b_ref}” are one person already: #{a.pk}.")
    return ProfilePair(a, b)


def profiles_of_pair(pair_id: int) -> ProfilePair:
    """The surviving profiles of a suggested pair. Raises NotFound, RuleForbids."""
    pair = DuplicatePair.objects.filter(pk=pair_id).values_list("a_id", "b_id").first()
    if pair is None:
        raise NotFound(f"There is no pair {pair_id}.")
    return find_profile_pair(*pair)


def _unmasked(_type: str, value: str) -> str:
    return value


def value_display(can_view_pii: bool) -> DisplayValue:
    """How values are displayed: as they are, or masked."""
    return _unmasked if can_view_pii else mask_identifier


def why(profiles: ProfilePair, *, display: DisplayValue = _unmasked, base_url: str = "") -> list[Finding]:
    """Why these two are separate: at least one finding; what must be resolved first is first.

    Values and sentences contain personal data as ``display`` returns it; ``base_url`` is used in calls to
    copy. A fixed number of queries; of each profile's events the newest 2,000 are read.
    """
    history = read_pair_history(profiles.a, profiles.b, base_url=base_url)
    read_types(history)
    return findings_of(history, display)


def findings_of(history: PairHistory, display: Callable[[str, str], str]) -> list[Finding]:
    """The findings of a history. Pure."""
    shared_values = shared_values_of(history)
    misplaced = misplaced_values.find(history, shared_values, display)
    # A shared phone or the like links two profiles, and still says little.
    has_shared_value = any(finding.code != "contact_type" for finding in misplaced)
    browser_findings = browsers.find(history, display, has_shared_value=has_shared_value)
    is_same_id = any(finding.code in ("email_case", "email_as_other_id") for finding in misplaced)
    objections = kept_apart.objections(history, display, is_same_id=is_same_id)
    findings = [
        *kept_apart.before(history),
        *kept_apart.by_transitive_link(history),
        *misplaced,
        *browser_findings,
        *objections,
    ]
    if not any((misplaced, browser_findings)) and not any(
        finding.code == "different_ids" for finding in objections
    ):
        findings.append(kept_apart.nothing(history))
    return findings
