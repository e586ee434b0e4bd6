"""What the readers of CSV and of JSON Lines have in common: a file → its rows, one pass."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from os import PathLike
from typing import BinaryIO, Self

from imports.files.dialect import Checkpoint, Dialect, Row, RowProblem

Source = str | PathLike[str] | BinaryIO


class Reader(ABC):
    """One pass over a file. `headers` and `columns` are set at once; the counters follow the pass.

    `reasons` is how many columns in front say why a row was rejected before, 0 in other files.
    """

    def __init__(self, source: Source, dialect: Dialect) -> None:
        self.dialect = dialect
        self.headers: list[str] = []
        self.columns = 0
        self.blank_lines = 0
        self.reasons = 0
        self._owned = open(source, "rb") if isinstance(source, (str, PathLike)) else None  # noqa: SIM115
        self._stream: BinaryIO = self._owned or source  # type: ignore[assignment]
        self._iterator: Iterator[Row | RowProblem] = iter(())

    def __iter__(self) -> Iterator[Row | RowProblem]:
        return self._iterator

    def __next__(self) -> Row | RowProblem:
        return next(self._iterator)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file if this reader opened it."""
        if self._owned:
            self._owned.close()

    @property
    @abstractmethod
    def bytes_read(self) -> int:
        """For progress."""

    @abstractmethod
    def checkpoint(self) -> Checkpoint:
        """Behind the record yielded last."""

    @abstractmethod
    def text_of(self, item: Row | RowProblem) -> str:
        """The item yielded last, as it is in the file, without its line break."""

    @abstractmethod
    def raw_cells(self, item: Row | RowProblem) -> list[str]:
        """The cells of the item yielded last as they are in the file, quotes and all; not the reasons in front."""

    @abstractmethod
    def cells_of(self, item: Row | RowProblem) -> list[str]:
        """All cells of the item yielded last, as far as they can be told apart."""
