"""expected.toml → the CSV files it describes, written beside it: `python -m tests.imports.layouts.make`.

Everything is seeded with the file's name, so the files never change unless the layout or a person does.
"""

import tomllib
from pathlib import Path
from typing import Any

from tests.imports.layouts import fill_business, fill_contacts, fill_marketing
from tests.imports.layouts.filling import Cells, Filling
from tests.imports.layouts.people import people

FOLDER = Path(__file__).parent
FILLINGS = {**fill_marketing.FILLINGS, **fill_business.FILLINGS, **fill_contacts.FILLINGS}
_LINE_ENDS = {"lf": "\n", "crlf": "\r\n"}
_PHP_QUOTES = '" \t\r\n\\'  # besides the delimiter: what makes PHP's fputcsv quote a cell


def main() -> None:
    layouts = tomllib.loads((FOLDER / "expected.toml").read_text(encoding="utf-8"))
    wrong = [line for name, layout in layouts.items() for line in _write(name, layout)]
    if wrong:
        raise SystemExit("expected.toml does not fit the files that were written:\n" + "\n".join(wrong))


def _write(name: str, layout: dict[str, Any]) -> list[str]:
    """Writes one file. Sentences about what expected.toml says wrongly of its rows."""
    headers = [column["header"] for column in layout["columns"]]
    rows = _rows(headers, name, FILLINGS[name.removesuffix(".csv")])
    end = _LINE_ENDS[layout["line_end"]]
    text = "".join(_line(cells, layout) + end for cells in [headers, *rows])
    (FOLDER / name).write_bytes(text.encode("utf-8-sig" if layout["bom"] else "utf-8"))
    withdrawn = _withdrawn(layout, rows)
    wrong = [] if layout["rows"] == len(rows) else [f"{name}: rows = {len(rows)}"]
    return wrong + ([] if layout["withdrawn"] == withdrawn else [f"{name}: withdrawn = {withdrawn}"])


def _rows(headers: list[str], name: str, filling: Filling) -> list[list[str]]:
    keys = [header if headers.count(header) == 1 else f"#{n}" for n, header in enumerate(headers, 1)]
    made = people(name, filling.countries.split(), filling.without_email, filling.twice)
    return [_row(filling.fill(person), keys) for person in made]


def _row(cells: Cells, keys: list[str]) -> list[str]:
    if unknown := cells.keys() - set(keys):
        raise KeyError(f"The layout has no columns {sorted(unknown)}.")
    return [cells.get(key, "") for key in keys]


def _line(cells: list[str], layout: dict[str, Any]) -> str:
    delimiter = layout["delimiter"]
    quoted = {
        "all": lambda cell: True,
        "filled": bool,
        "needed": lambda cell: any(sign in cell for sign in (delimiter, '"', "\r", "\n")),
        "php": lambda cell: any(sign in cell for sign in (delimiter, *_PHP_QUOTES)),
    }[layout["quoting"]]
    return delimiter.join('"{}"'.format(cell.replace('"', '""')) if quoted(cell) else cell for cell in cells)


def _withdrawn(layout: dict[str, Any], rows: list[list[str]]) -> dict[str, list[int]]:
    """channel.purpose → the rows, from 1, that say no, in a column or because the whole file does."""
    found: dict[str, list[int]] = {}
    for constant in layout.get("constants", []):
        if constant["const"] == "withdrawn":
            found[constant["to"].removeprefix("consent.")] = list(range(1, len(rows) + 1))
    for index, column in enumerate(layout["columns"]):
        if column["to"].startswith("consent.") and "values" in column:
            # An empty cell says nothing; a word that is not in the list is a mistake in the list.
            said = [
                n
                for n, row in enumerate(rows, 1)
                if row[index] and column["values"][row[index]] == "withdrawn"
            ]
            found[column["to"].removeprefix("consent.")] = said
    return found


if __name__ == "__main__":
    main()
