"""Which mutants are tried: some of every package, in turn of every kind, drawn by a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from .operators import KINDS, Mutant

MODULE_UTILS = "plugins/module_utils/"
UNIT_TESTS = "tests/unit/"
_AT_LEAST = 4  # of each package, as far as the size allows
ENOUGH = 30
"""So many of a package tell whether its tests hold the threshold: of four, one survivor says nothing."""


def package_of(path: str) -> str:
    """``plugins/module_utils/model/catalogue/readers/ports.py`` is in ``model/catalogue``; a file that lies
    beside the layers is in ``.``.
    """
    directories = path.removeprefix(MODULE_UTILS).split("/")[:-1]
    return "/".join(directories[:2]) or "."


def belongs(package: str, names: Sequence[str]) -> bool:
    """Whether a package is one of `names`, or lies in one."""
    return any(package == name or package.startswith(f"{name}/") for name in names)


def lies_in(path: str, names: Sequence[str]) -> bool:
    """Whether a file is one of `names`, or below one: ``model/catalogue``, ``kube/wait``."""
    inside = path.removeprefix(MODULE_UTILS).removesuffix(".py")
    return belongs(inside, names)


def is_asked(file: str, rooms: Sequence[str] | None, without: Sequence[str] | None = None) -> bool:
    """Whether a file holds unit tests: below one of ``rooms``, such as ``model/security``, if given, and
    below none of ``without``.
    """
    if not (file.startswith(UNIT_TESTS) and file.rpartition("/")[2].startswith("test_")):
        return False
    name = file.removeprefix(UNIT_TESTS).removesuffix(".py")
    return (not rooms or belongs(name, rooms)) and not belongs(name, without or ())


def by_package(mutants: Sequence[Mutant]) -> dict[str, list[Mutant]]:
    """Package -> its mutants, in the given order; packages by name."""
    found: dict[str, list[Mutant]] = {}
    for mutant in mutants:
        found.setdefault(package_of(mutant.path), []).append(mutant)
    return dict(sorted(found.items()))


def drawn(mutants: Sequence[Mutant], seed: str) -> Iterator[Mutant]:
    """All of them, shuffled by the seed, the kinds in turn."""
    chance = random.Random(seed)  # noqa: S311 - a draw that can be repeated
    piles = []
    for kind in KINDS:
        pile = [mutant for mutant in mutants if mutant.kind == kind]
        chance.shuffle(pile)
        piles.append(pile)
    for turn in zip_longest(*piles):
        yield from (mutant for mutant in turn if mutant is not None)


def quotas(sizes: Mapping[str, int], wanted: int) -> dict[str, int]:
    """How many of each package: a few of each, the rest as large as the package is.

    :param sizes: package -> how many mutants it has.
    :returns: package -> how many to try; in all `wanted`, or all that there are.
    """
    least = min(_AT_LEAST, wanted // max(1, len(sizes)))
    shares = {name: min(least, size) for name, size in sizes.items()}
    while sum(shares.values()) < min(wanted, sum(sizes.values())):
        # the package that is furthest below its share of the whole
        name = min(
            (name for name in sizes if shares[name] < sizes[name]),
            key=lambda name: ((shares[name] + 1) / sizes[name], name),
        )
        shares[name] += 1
    return shares
