# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several looks at a mesh that may be late: what lasts is wrong, and what has only just begun is not.

While pods are replaced all the time, every look finds something that will be right in a second, each time
about another pod. So not the number of looks decides, but in how many of them the same was late.
"""

from __future__ import annotations

from collections.abc import Callable

from ...verdicts import FAIL
from .checks.sync import DISCONNECTED
from .findings import Finding

ROUNDS = 4
"""Looks in a row in which something must be late to be wrong: proxies get a change within about a second."""
PATIENCE = 2 * ROUNDS
"""Looks after which nothing is waited for any more that is late anew in each of them."""
Key = tuple[str, str]


class Looks:
    """The looks of one run, in their order."""

    def __init__(self) -> None:
        self._looks: list[list[Finding]] = []

    def __bool__(self) -> bool:
        return bool(self._looks)

    def add(self, findings: list[Finding]) -> None:
        """One look more."""
        self._looks.append(findings)

    @property
    def late(self) -> list[Finding]:
        """What is late in the last look. :returns: in its order."""
        return [item for item in self._looks[-1] if item.late]

    @property
    def away(self) -> int:
        """How many proxies have been without an istiod all the time."""
        return sum(1 for item in self.late if item.message == DISCONNECTED and self._lasts(_key(item)))

    def done(self) -> bool:
        """Whether another look would tell nothing new."""
        late = self.late
        if not late:
            return True
        if self.away:
            return False
        return len(self._looks) >= PATIENCE or all(self._lasts(_key(item)) for item in late)

    def findings(self, is_gone: Callable[[str], bool]) -> list[Finding]:
        """The last look, with what an earlier one told in the place of what has only just begun.

        A fail that no earlier look could tell of is none yet. What could not be read stays, but of a pod that
        is gone.

        :param is_gone: whether ``namespace/pod`` has ended meanwhile.
        :returns: in the order of the last look.
        """
        if len(self._looks) < ROUNDS:
            return self._looks[-1]
        found: list[Finding] = []
        replaced: set[Key] = set()
        for item in self._looks[-1]:
            key = _key(item)
            if key in replaced:
                continue
            if not item.late or self._lasts(key):
                found.append(item)
                continue
            earlier = self._good(key)
            if earlier:
                found = [one for one in found if _key(one) != key] + earlier
                replaced.add(key)
            elif item.verdict != FAIL and not is_gone(item.subject.removeprefix("Pod ")):
                found.append(item)
        return found

    def _lasts(self, key: Key) -> bool:
        """Whether the same was late in each of the last looks."""
        last = self._looks[-ROUNDS:]
        return len(last) == ROUNDS and all(
            any(_key(one) == key and one.late for one in look) for look in last
        )

    def _good(self, key: Key) -> list[Finding]:
        """What the latest look told of something that was not late in it."""
        for look in reversed(self._looks[:-1]):
            told = [item for item in look if _key(item) == key]
            if told and not any(item.late for item in told):
                return told
        return []


def _key(finding: Finding) -> Key:
    return finding.check, finding.subject
