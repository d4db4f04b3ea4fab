"""pytest with a count to be trusted: out of its JUnit file, where a skipped test counts as a failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from .paths import BUILD
from .processes import run
from .stages import StageError


def pytest(
    python: Path,
    label: str,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    by: Sequence[str] = ("-m",),
) -> int:
    """Run pytest with an environment's python; returns how many tests passed. `by`: what runs the program."""
    file = BUILD / "junit" / f"{label}.xml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    command: list[str | Path] = [
        python,
        *by,
        "pytest",
        "-p",
        "no:cacheprovider",
        f"--junitxml={file}",
        *arguments,
    ]
    done = run(command, environment=environment)
    if not file.exists():
        raise StageError(f"pytest ended with {done.returncode} before any test")
    suite = ElementTree.parse(file).getroot().find("testsuite")  # noqa: S314 - pytest's own file
    if suite is None:
        raise StageError(f"{file} names no tests")
    total, failed, skipped = (
        sum(int(suite.get(key, "0")) for key in keys)
        for keys in (("tests",), ("failures", "errors"), ("skipped",))
    )
    passed = total - failed - skipped
    if done.returncode or failed or skipped or not total:
        detail = f"{failed} failed, {skipped} skipped of {total}"
        raise StageError(f"pytest ended with {done.returncode}: {detail}", passed, max(failed + skipped, 1))
    return passed
