"""CSV files of invented people, any number of rows, the same for the same arguments."""

from __future__ import annotations

from pathlib import Path

from tests.bench.base import CITIES, COUNTRIES, FIRST, LAST

HEADER = "reference_id,first_name,last_name,email,phone,city,country,birth_date,tags\n"
TAGS = ("", "", "", "vip", "club")


def write_people(path: Path, rows: int, *, changed_share: int = 0, others: int = 0) -> Path:
    """``rows`` people with ids of their own. Every ``100 // changed_share``-th lives elsewhere by now.

    With another number from 0 to 39 as ``others`` they are other people.
    """
    every = 100 // changed_share if changed_share else 0
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(HEADER)
        for start in range(0, rows, 10_000):
            file.write("".join(_row(n, every, others) for n in range(start, min(rows, start + 10_000))))
    return path


def _row(n: int, every: int, others: int) -> str:
    moved = n + 5 if every and n % every == 0 else n
    city, country = CITIES[moved % len(CITIES)], COUNTRIES[moved % len(COUNTRIES)]
    first, last = FIRST[n % len(FIRST)], LAST[n // 7 % len(LAST)]
    born = f"{1950 + n % 55}-{1 + n % 12:02}-{1 + n % 28:02}"
    own = f"{others}.{n}" if others else f"{n}"
    phone = f"+48{60 + others}{n:07}"
    # Letters and digits only, as the type asks for.
    return f"R{own.replace('.', 'X')},{first},{last},{first.lower()}.{own}@example.com,{phone},{city},{country},{born},{TAGS[n % 5]}\n"
