"""Line coverage of the collection by the unit tests: one table, a row for each package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .paths import BUILD, ROOT

DATA = BUILD / "coverage" / "unit"
SETTINGS = ROOT / "pyproject.toml"


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines with code, and how many of them ran."""

    total: int = 0
    ran: int = 0

    def __add__(self, other: Lines) -> Lines:
        return Lines(self.total + other.total, self.ran + other.ran)

    @property
    def percent(self) -> float:
        """Ran of all, 0 to 100."""
        return 100.0 * self.ran / self.total if self.total else 100.0


def command() -> list[str]:
    """What stands before the program to be measured: ``python -m coverage run ... pytest``."""
    DATA.parent.mkdir(parents=True, exist_ok=True)
    return ["-m", "coverage", "run", f"--rcfile={SETTINGS}", f"--data-file={DATA}", "-m"]


def package_of(path: str) -> str:
    """``plugins/module_utils/model/catalogue/readers/ports.py`` is in ``model/catalogue``, a module in
    ``modules``; what lies beside the layers is in ``module_utils``.
    """
    directories = path.removeprefix("plugins/").split("/")[:-1]
    if directories[0] == "module_utils" and len(directories) > 1:
        directories = directories[1:]
    return "/".join(directories[:2])


def by_package(files: Mapping[str, Lines]) -> dict[str, Lines]:
    """Package -> its lines. `files`: path from the root -> its lines."""
    found: dict[str, Lines] = {}
    for path, lines in files.items():
        name = package_of(path)
        found[name] = found.get(name, Lines()) + lines
    return dict(sorted(found.items()))


def table(files: Mapping[str, Lines]) -> Iterable[str]:
    """The lines of the table."""
    packages = by_package(files)
    yield f"  {'package':<28}{'lines':>7}{'percent':>10}"
    for name, lines in [*packages.items(), ("in all", sum(packages.values(), Lines()))]:
        yield f"  {name:<28}{lines.total:>7}{lines.percent:>10.1f}"


def measured(data: Path = DATA, root: Path = ROOT) -> dict[str, Lines]:
    """Path from the root -> its lines, out of what the run has written; files that nobody imported too."""
    import coverage

    reader = coverage.Coverage(data_file=str(data), config_file=False, messages=False)
    reader.load()
    found = {}
    for file in reader.get_data().measured_files():
        _, statements, _, missing, _ = reader.analysis2(file)
        if statements:
            found[str(Path(file).resolve().relative_to(root))] = Lines(
                len(statements), len(statements) - len(missing)
            )
    return found
