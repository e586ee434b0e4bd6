"""A channel (staff, api, import, system, web) → the source that ships for it."""

from functools import lru_cache

from profiles.models import Source

# Fixed ids, so that set-based writers need no look-up.
SOURCE_IDS = {"staff": 1, "api": 2, "import": 3, "system": 4, "web": 5}


@lru_cache(maxsize=8)
def builtin_source(channel: str) -> Source:
    """The shipped source of a channel. One query per process and channel."""
    return Source.objects.get(pk=SOURCE_IDS[channel])
