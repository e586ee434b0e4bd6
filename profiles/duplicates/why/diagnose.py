"""The question itself: two people in, findings out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cdp.errors import NotFound, RuleForbids
from profiles.duplicates.why import browsers, kept_apart, misplaced_values
from profiles.duplicates.why.findings import Case, Finding, See
from profiles.duplicates.why.load import read_case
from profiles.duplicates.why.shared_values import links_of, read_types
from profiles.identity.resolve import find_profile
from profiles.masking import mask_identifier
from profiles.models import DuplicatePair, Profile


@dataclass(frozen=True, slots=True)
class Two:
    """Two surviving, different profiles."""

    a: Profile
    b: Profile


def find_two(a_ref: str | int, b_ref: str | int) -> Two:
    """The two people behind any ids they have or had. Raises NotFound, RuleForbids when both are one person."""
    a, b = find_profile(a_ref).root, find_profile(b_ref).root
    if a.pk == b.pk:
        raise RuleForbids(f"“{a_ref}” and “{b_ref}” are one person already: #{a.pk}.")
    return Two(a, b)


def two_of_pair(pair_id: int) -> Two:
    """The two people of a suggested pair. Raises NotFound, RuleForbids."""
    pair = DuplicatePair.objects.filter(pk=pair_id).values_list("a_id", "b_id").first()
    if pair is None:
        raise NotFound(f"There is no pair {pair_id}.")
    return find_two(*pair)


def _open(_type: str, value: str) -> str:
    return value


def seen_by(is_open: bool) -> See:
    """How values are shown: as they are, or masked."""
    return _open if is_open else mask_identifier


def why(two: Two, *, see: See = _open, base_url: str = "") -> list[Finding]:
    """Why these two are separate: at least one finding, what must be dealt with first at the top.

    Values and sentences hold personal data as ``see`` shows it; ``base_url`` stands in the calls to copy. A fixed
    number of queries, whatever the two have; of each profile's events the newest 2,000.
    """
    case = read_case(two.a, two.b, base_url=base_url)
    read_types(case)
    return findings_of(case, see)


def findings_of(case: Case, see: Callable[[str, str], str]) -> list[Finding]:
    """The findings of a case that was read. Pure."""
    links = links_of(case)
    linked = misplaced_values.find(case, links, see)
    # A phone or the like may be shared: it links, and still says little.
    is_linked = any(one.code != "contact_type" for one in linked)
    said = browsers.find(case, see, is_linked=is_linked)
    same = any(one.code in ("email_case", "email_as_other_id") for one in linked)
    objected = kept_apart.objections(case, see, same=same)
    found = [*kept_apart.before(case), *kept_apart.by_third(case), *linked, *said, *objected]
    if not any((linked, said)) and not any(one.code == "different_ids" for one in objected):
        found.append(kept_apart.nothing(case))
    return found
