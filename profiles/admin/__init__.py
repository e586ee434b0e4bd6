"""What staff see of people: each module registers its pages with the site."""

from profiles.admin import definitions, people, policy, schemas, scorecard, tags  # noqa: F401
from profiles.admin.duplicates import site as duplicates_site  # noqa: F401
from profiles.admin.tracking import site  # noqa: F401
