"""What the permissions of ``segments`` mean: which shipped role and API scope holds them, and what they are called."""

from cdp.roles_and_scopes import Right, Rights, codes, manage

_READ = codes("segments", "view_segment", "view_membership")
_MANAGE = manage("segments", "segment") | _READ

RIGHTS = Rights(
    roles={
        "viewer": _READ,
        "support": _READ,
        "marketer": _MANAGE,
        "data admin": _MANAGE,
        "privacy officer": _READ,
    },
    scopes={"segments": _MANAGE, "profiles:read": _READ},
    words=(
        Right(
            "segments.view_segment",
            "segments",
            "See segments, and why somebody is in one",
            codes("segments", "view_membership"),
        ),
        Right(
            "segments.change_segment",
            "segments",
            "Build segments, and put people in by hand",
            codes("segments", "add_segment", "delete_segment"),
            needs="segments.view_segment",
        ),
    ),
)
