"""What the permissions of ``imports`` mean: which shipped role and API scope holds them, and what they are called."""

from cdp.roles_and_scopes import Right, Rights, codes, manage

RIGHTS = Rights(
    roles={
        "data admin": codes("imports", "view_import", "add_import", "change_import", "undo_import")
        | manage("imports", "savedmapping"),
        "privacy officer": codes("imports", "view_import"),
    },
    scopes={"imports": codes("imports", "view_import", "add_import", "change_import", "undo_import")},
    words=(
        Right("imports.view_import", "imports", "See imports and their reports"),
        Right(
            "imports.add_import",
            "imports",
            "Import files",
            codes("imports", "change_import") | manage("imports", "savedmapping"),
            needs="imports.view_import",
        ),
        Right("imports.undo_import", "imports", "Undo an import", needs="imports.view_import"),
    ),
)
