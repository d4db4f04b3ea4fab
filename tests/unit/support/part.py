"""The environments of ``make test`` divide what throws dice or kills at every call: no version decides it."""

from __future__ import annotations

import os


def part_of(numbers: range) -> range:
    """This environment's part, spread over all of them; everything where nobody divides (``make unit``).

    ``UNIT_PART=2/3`` is the second of three parts.
    """
    number, _slash, parts = os.environ.get("UNIT_PART", "1/1").partition("/")
    return numbers[int(number) - 1 :: int(parts)]
