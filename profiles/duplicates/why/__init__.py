"""Why two profiles are separate: what links them, where it is stored, who wrote it so, and what mends it (D3)."""

from profiles.duplicates.why.diagnose import ProfilePair, find_profile_pair, profiles_of_pair, why
from profiles.duplicates.why.findings import Finding, Fix, SourceFix
from profiles.duplicates.why.fixes import AppliedFix, FixPreview, apply_fix, preview_fix

__all__ = [
    "AppliedFix",
    "Finding",
    "Fix",
    "FixPreview",
    "ProfilePair",
    "SourceFix",
    "apply_fix",
    "find_profile_pair",
    "preview_fix",
    "profiles_of_pair",
    "why",
]
