"""Generated files of people with everything that goes wrong in files, and mappings to import them with."""

from __future__ import annotations

import random
from typing import Any

HEADERS = {
    "email": "email",
    "customer number": "customer_id",
    "whole name": "full_name",
    "city": "city",
    "born": "birth_date",
    "mobile": "phone",
    "plan": "attributes.plan",
    "score": "attributes.score",
    "hobbies": "attributes.hobbies",
    "labels": "tags",
    "more labels": "tags",
    "second mail": "identifier.email",
    "news": "consent.email.newsletter",
    "news at": "consent.email.newsletter.at",
    "news from": "consent.email.newsletter.proof",
    "notes": "ignore",
}
CELLS: dict[str, list[str]] = {
    "full_name": [
        "Ann Lee",
        "Lee, Ann",
        "Ann",
        "Żaneta Ćwik",
        "=1+1",
        "'=x",
        "\u200b",
        "李 雷",
        "Ann\u200b Lee",
    ],
    "city": ["Rome", "Łódź", "Oslo", "NULL", "n/a", "<clear>", " Rome ", "\u200b", "x" * 250, "-5", "'-5"],
    "birth_date": ["1990-02-28", "31/02/1990", "03/04/1985", "28.02.1990", "#N/A", "--02-28", "soon"],
    "phone": [
        "+48600100200",
        "600 100 200",
        "000000000",
        "123",
        "+48600100200;+48600100201",
        "'+48600100200",
    ],
    "attributes.plan": ["pro", "free", "None", "<clear>", "\u200b"],
    "attributes.score": ["1", "2,5", "many", "0"],
    "attributes.hobbies": ["chess", "chess;go", "go", ";", "<clear>"],
    "tags": ["vip", "VIP,club", "club", ",", "<clear>", "vip, new"],
    "consent.email.newsletter": ["yes", "no", "perhaps", "granted", "withdrawn", "NULL", "<clear>"],
    "consent.email.newsletter.at": ["2026-01-01", "2026-02-01T10:00:00Z", "then"],
    "consent.email.newsletter.proof": ["form", "NULL", "shop"],
    "ignore": ["a", "b", "NULL", "  "],
}
POLICIES = ["fill_if_empty", "fill_if_empty", "overwrite", "never"]


class UglyPeople:
    """``data`` and ``mapping`` of a file; the same for the same seed. ``prefix`` keeps the people of files apart."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.seed = seed
        self.delimiter = self.random.choice(",;\t|,")
        self.quote = '"' if self._maybe(0.85) else "'"
        self.newline = self.random.choice(["\n", "\r\n", "\n"])
        self.people = self.random.randint(1, 6)
        names = list(HEADERS)
        self.headers = ["email", *self.random.sample(names[1:], self.random.randint(1, 9))]
        if not {"news at", "news from"}.isdisjoint(self.headers) and "news" not in self.headers:
            self.headers.append("news")
        self.mapping = {header: self._entry(HEADERS[header]) for header in self.headers}
        self.options: dict[str, Any] = {
            "bad_cells": self.random.choice(["leave_out", "leave_out", "reject_row"]),
            "on_conflict": self.random.choice(["stronger", "stronger", "hold"]),
            "empty_words": self._maybe(0.8),
            "date_order": self.random.choice(["dmy", ""]),
            "delimiter": self.delimiter,
            "quotechar": self.quote,
        }
        if self.delimiter == "\t":
            self.options["delimiter"] = "\\t"
        if self._maybe(0.1):
            self.mapping["Country"] = {"to": "country", "const": "PL"}
        lines = self._preamble()
        self.options["header_line"] = len(lines) + 1
        lines += [self._header(), *self._rows()]
        if self._maybe(0.1):
            lines += ["", self._header(), *self._rows()]  # a second table in the same file
        if self._maybe(0.1):
            lines.append(self.delimiter.join(["Total", *["12"] * (len(self.headers) - 1)]))
        self.data = self._encoded(lines)

    def _maybe(self, chance: float) -> bool:
        return self.random.random() < chance

    def _entry(self, to: str) -> dict[str, Any]:
        entry: dict[str, Any] = {"to": to}
        if to == "ignore" or to.startswith(("consent", "identifier")):
            return entry
        if to in ("tags", "attributes.hobbies"):
            return {**entry, "policy": self.random.choice([*POLICIES, "append", "append"])}
        if to == "phone" and self._maybe(0.4):
            entry["separator"] = ";"
        return {**entry, "policy": self.random.choice(POLICIES)}

    def _preamble(self) -> list[str]:
        count = self.random.choice([0, 0, 0, 1, 3])
        return [
            self.random.choice(["Customers of May", "", f"exported{self.delimiter}2026"])
            for _ in range(count)
        ]

    def _header(self) -> str:
        return self.delimiter.join(map(self._quoted, self.headers))

    def _rows(self) -> list[str]:
        return [self._row() for _ in range(self.random.randint(1, 25))]

    def _row(self) -> str:
        if self._maybe(0.05):
            return self.random.choice(
                ["", self.delimiter, self.delimiter * len(self.headers), f" {self.delimiter} "]
            )
        cells = [self._cell(HEADERS[header]) for header in self.headers]
        if self._maybe(0.06):
            cells = cells[: self.random.randrange(1, len(cells) + 1)]
        elif self._maybe(0.06):
            cells += self.random.choice([[""], ["x"], ["", "y", ""]])
        line = self.delimiter.join(map(self._quoted, cells))
        if self._maybe(0.02):
            place = self.random.randrange(len(line) + 1)
            line = line[:place] + self.random.choice([self.quote, "\x00"]) + line[place:]
        return line

    def _cell(self, to: str) -> str:
        if self._maybe(0.25):
            return self.random.choice(["", "", " "])
        number = self.random.randrange(self.people)
        if to == "email":
            return self.random.choice(
                [f"p{number}@x.example", f"P{number}@X.example ", "not one", "null", f"p{number}@x.example"]
            )
        if to == "identifier.email":
            return f"{self.random.choice('pq')}{number}@x.example"
        if to == "customer_id":
            return self.random.choice([f"C{number}", f"C{number}", "0", "NULL", "C7"])
        return self.random.choice(CELLS[to])

    def _quoted(self, cell: str) -> str:
        if any(char in cell for char in (self.delimiter, self.quote, "\n")) or self._maybe(0.1):
            return self.quote + cell.replace(self.quote, self.quote * 2) + self.quote
        return cell

    def _encoded(self, lines: list[str]) -> bytes:
        encoding = self.random.choice(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16"])
        if encoding == "utf-16":
            return (self.newline.join(lines) + self.newline).encode(encoding)
        pieces = [(line + self.newline).encode() for line in lines]
        if self._maybe(0.15):
            place = self.random.randrange(len(pieces))
            pieces[place] = lines[place].encode("cp1250", "replace") + self.newline.encode()
        return (b"\xef\xbb\xbf" if encoding == "utf-8-sig" else b"") + b"".join(pieces)
