"""What a run has found: counts for each package, every survivor, and whether the tests hold enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .operators import Mutant
from .sample import belongs, package_of

NOT_RUN = "no test runs it"
STALLED = "the clock ended its tests, as it did without the change"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant. `noticed_by`: the first test that failed, or "time limit"; "": it survived,
    and `why` tells more; `untyped`: the type check finds it, `untold`: the machine was too busy to tell, so
    that it counts on neither side.
    """

    mutant: Mutant
    noticed_by: str
    why: str = ""
    untyped: bool = False
    untold: bool = False

    @property
    def survived(self) -> bool:
        """Whether its tests ran to their end, and none failed."""
        return not self.noticed_by and not self.untold


@dataclass(frozen=True, slots=True)
class Count:
    """Of one package."""

    noticed: int
    total: int

    @property
    def percent(self) -> float:
        """Noticed of all, 0 to 100."""
        return 100.0 * self.noticed / self.total if self.total else 100.0


def counts(verdicts: Sequence[Verdict]) -> dict[str, Count]:
    """Package -> how many were noticed, of how many that the types admit and the machine could try."""
    found: dict[str, Count] = {}
    for verdict in verdicts:
        if verdict.untyped or verdict.untold:
            continue
        name = package_of(verdict.mutant.path)
        old = found.get(name, Count(0, 0))
        found[name] = Count(old.noticed + bool(verdict.noticed_by), old.total + 1)
    return dict(sorted(found.items()))


def below(found: Mapping[str, Count], required: Sequence[str], threshold: float) -> list[str]:
    """The required packages whose tests notice too little."""
    return [name for name, count in found.items() if belongs(name, required) and count.percent < threshold]


def too_few(found: Mapping[str, Count], required: Sequence[str], threshold: float, enough: int) -> list[str]:
    """The packages below the threshold of which fewer than ``enough`` were tried: it may be chance."""
    return [name for name in below(found, required, threshold) if found[name].total < enough]


def lines(verdicts: Sequence[Verdict], required: Sequence[str], threshold: float) -> list[str]:
    """The report, survivors first, so that the counts stand at the end of a long output."""
    text = []
    survivors = [verdict for verdict in verdicts if verdict.survived and not verdict.untyped]
    for verdict in sorted(survivors, key=lambda one: (one.mutant.path, one.mutant.line)):
        mutant = verdict.mutant
        text.append(f"{mutant.path}:{mutant.line}: {mutant.kind}{f', {verdict.why}' if verdict.why else ''}")
        text.append(f"    {mutant.source}")
        text.append(f"    {mutant.change}")
    found = counts(verdicts)
    few = below(found, required, threshold)
    text.append("")
    for name, count in found.items():
        mark = f"  below {threshold:g} %" if name in few else ""
        text.append(f"  {f'{count.noticed}/{count.total}':>9}  {count.percent:5.1f} %  {name}{mark}")
    noticed, total = (sum(getattr(count, part) for count in found.values()) for part in ("noticed", "total"))
    untyped = sum(verdict.untyped for verdict in verdicts)
    untold = sum(verdict.untold for verdict in verdicts)
    beside = f", and {untyped} that the type check finds" if untyped else ""
    beside += f", and {untold} that could not be told: this machine is too busy" if untold else ""
    text.append(f"  {f'{noticed}/{total}':>9}  {Count(noticed, total).percent:5.1f} %  in all{beside}")
    return text
