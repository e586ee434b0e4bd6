"""The webhook topics of ``profiles``, in words for people."""

TOPICS = {
    "profile.created": "A person was added",
    "profile.updated": "A person's values changed",
    "profile.merged": "Two profiles became one",
    "profile.unmerged": "A merge was undone",
    "profile.deleted": "A person was deleted",
    "profile.restored": "A deleted person was restored",
    "source.changed": "A source changed what it sends",
}
