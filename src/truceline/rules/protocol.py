"""What a rule is: a module of this package with these names. One clause type, one module."""

from collections.abc import Mapping
from typing import Protocol

from truceline.agreement import Assumption, Clause
from truceline.rules.factors import Factor, Held, Terms
from truceline.rules.subjects import Subjects


class Rule(Protocol):
    """A clause type: what it judges, what it speaks of, and which factors besides place and time make a breach."""

    @property
    def WHAT(self) -> tuple[str, ...]:
        """Terms of the taxonomy that a clause speaks of when it names none."""
        ...

    @property
    def WEIGHT(self) -> Mapping[str, Assumption]:
        """How much of a term is the clause's act, where it is not all of it; a clause's own weights go before."""
        ...

    @property
    def WHO(self) -> str:
        """What is said of attribution at the end of a sentence."""
        ...

    def subjects(self, clause: Clause, terms: Terms, picture: Subjects, /) -> Subjects:
        """What the clause judges in one reading: the picture's incidents, or the parties' duties."""
        ...

    def factors(self, held: Held, /) -> list[Factor]:
        """For every row of `held.subjects`, each factor of a breach besides place, time and exemption."""
        ...
