"""What staff see of people: each module registers its pages with the site, or its panels with the card."""

from profiles.admin import (  # noqa: F401
    card_about,
    card_activity,
    card_duplicates,
    consent_lists,
    definitions,
    pages,
    profile_urls,
    schemas,
    scorecard,
    tags,
)
from profiles.admin.duplicates import policy  # noqa: F401
from profiles.admin.duplicates import urls as duplicates_urls  # noqa: F401
from profiles.admin.tracking import urls as tracking_urls  # noqa: F401
