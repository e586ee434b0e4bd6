"""What staff see of people: each module registers its pages with the site."""

from profiles.admin import definitions, pages, profile_urls, schemas, scorecard, tags  # noqa: F401
from profiles.admin.duplicates import policy  # noqa: F401
from profiles.admin.duplicates import urls as duplicates_urls  # noqa: F401
from profiles.admin.tracking import urls as tracking_urls  # noqa: F401
