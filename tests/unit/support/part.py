"""The environments of ``make test`` divide what no version of Python decides.

``UNIT_PART=2/3`` is the second of three parts; where nobody divides (``make unit``), there is everything.
"""

from __future__ import annotations

import os
import zlib

LOOK = ("lab/", "repo/", "test_files.py", "test_layers.py", "test_words.py")
"""They look at the repository."""
COMPUTE = ("model/", "operations/canary/", "operations/diagnose/", "operations/verify/checks/")
KILL = ("operations/certificates/test_requested.py", "operations/certificates/test_rotation.py")
DIVIDED = (*LOOK, *COMPUTE, *KILL)
"""Files and directories of ``tests/unit`` of which each test runs in one environment."""


def _part() -> tuple[int, int]:
    """Its number, from 0, and how many there are."""
    number, _slash, parts = os.environ.get("UNIT_PART", "1/1").partition("/")
    return int(number) - 1, int(parts)


def part_of(numbers: range) -> range:
    """This environment's part of what throws dice or kills at every call, spread over all of it."""
    number, parts = _part()
    return numbers[number::parts]


def runs_here(test: str) -> bool:
    """Whether a test is of this environment's part. ``test``: as pytest names it, from the repository on."""
    place = test.removeprefix("tests/unit/")
    number, parts = _part()
    return not place.startswith(DIVIDED) or zlib.crc32(test.encode()) % parts == number
