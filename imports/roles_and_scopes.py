"""What the permissions of ``imports`` mean: which shipped role and API scope holds them, and their names for people."""

from cdp.roles_and_scopes import Rights, codes, manage

RIGHTS = Rights(
    roles={
        "data admin": codes("imports", "view_import", "add_import", "change_import", "undo_import")
        | manage("imports", "savedmapping"),
        "privacy officer": codes("imports", "view_import"),
    },
    scopes={"imports": codes("imports", "view_import", "add_import", "change_import", "undo_import")},
    labels={"imports.add_import": "Import", "imports.undo_import": "Undo an import"},
)
