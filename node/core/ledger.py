"""The account of everything that was acknowledged: what a balance says."""

from collections.abc import Mapping
from dataclasses import dataclass

MOST_TOLD = 1000
"""So many differences are told in words; the rest is only counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that does not add up.

    Parameters
    ----------
    code
        Which kind, as in ``docs/reference/errors-and-reasons.md``.
    where
        Table, line or file, and the identifier of what it is about.
    what
        What is wrong.
    remedy
        What to do about it.
    """

    code: str
    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        """Return one sentence; it names no patient."""
        return f"{self.code}: {self.where}: {self.what}; {self.remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """The double-entry account of design promise 1.

    Parameters
    ----------
    at
        Moment of the snapshot of the records, seconds since 1970.
    acknowledged
        Lines of the journal.
    accounted
        Lines whose instance is where the account says.
    journal
        Lines by outcome: the left side.
    instances
        Stored instances by what became of them: the right side of ``stored``.
    jobs, deliveries, withdrawals
        Further down: what was ordered (``ordered``), and by state what there is.
    found
        How many differences.
    differences
        The first `MOST_TOLD` of them.
    """

    at: float
    acknowledged: int
    accounted: int
    journal: Mapping[str, int]
    instances: Mapping[str, int]
    jobs: Mapping[str, int]
    deliveries: Mapping[str, int]
    withdrawals: Mapping[str, int]
    found: int
    differences: tuple[Difference, ...]

    @property
    def adds_up(self) -> bool:
        """Whether nothing differs."""
        return self.found == 0
