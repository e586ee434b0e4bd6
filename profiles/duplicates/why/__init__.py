"""Two profiles → why they are separate: the value that links them, where it is stored, who wrote it, and
what fixes it.
"""

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
