"""Which documents of a task are asked: all, a declared seeded subset, or the first few."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bayling_eval.errors import UserError

_NAMED = re.compile(r"n(?P<n>\d+)-seed(?P<seed>\d+)")
_LIMITED = re.compile(r"limit-(?P<n>\d+)")


@dataclass(frozen=True)
class Subset:
    """A selection of documents; the same numbers for every task, so that directions stay paired."""

    n: int | None = None
    """Number of documents; null for all of them."""
    seed: int | None = None
    """Seed of a declared subset; null for the first ``n``, which is a partial cell."""

    @classmethod
    def parse(cls, name: str) -> "Subset":
        """Read the name of a selection: ``all``, ``n100-seed7`` or ``limit-10``.

        Raises:
            UserError: it is none of these.
        """
        if name == "all":
            return cls()
        if found := _NAMED.fullmatch(name):
            return cls(int(found["n"]), int(found["seed"]))
        if found := _LIMITED.fullmatch(name):
            return cls(int(found["n"]))
        raise UserError(f"no selection is called {name!r}: known are all, nN-seedS and limit-N")

    @property
    def name(self) -> str:
        """Name of the selection, and of its folder."""
        if self.n is None:
            return "all"
        return f"limit-{self.n}" if self.seed is None else f"n{self.n}-seed{self.seed}"

    @property
    def partial(self) -> bool:
        """Whether it only looks into a task: kept out of verdicts unless asked for."""
        return self.n is not None and self.seed is None

    def of(self, count: int) -> Sequence[int]:
        """Return the numbers of the chosen documents among ``count``, in order.

        Subsets of one seed are nested: 100 of seed 7 lie within 500 of seed 7.
        """
        if self.n is None or self.n >= count:
            return range(count)
        if self.seed is None:
            return range(self.n)
        return sorted(sorted(range(count), key=self._rank)[: self.n])

    def _rank(self, index: int) -> bytes:
        return hashlib.sha256(f"{self.seed} {index}".encode()).digest()
