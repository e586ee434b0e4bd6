"""What staff see of people: each module registers its pages with the site."""

from profiles.admin import definitions, tags  # noqa: F401
