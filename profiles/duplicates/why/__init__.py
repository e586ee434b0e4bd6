"""Why two profiles are separate: what links them, where it is stored, who wrote it so, and what mends it (D3)."""

from profiles.duplicates.why.diagnose import Two, find_two, two_of_pair, why
from profiles.duplicates.why.findings import Finding, Fix, SourceFix
from profiles.duplicates.why.fixes import AppliedFix, FixPreview, apply_fix, preview_fix

__all__ = [
    "AppliedFix",
    "Finding",
    "Fix",
    "FixPreview",
    "SourceFix",
    "Two",
    "apply_fix",
    "find_two",
    "preview_fix",
    "two_of_pair",
    "why",
]
