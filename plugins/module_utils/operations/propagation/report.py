# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a proof of propagation found: how many proxies hold the change, who is late, who could not be read."""

from __future__ import annotations

import dataclasses
from typing import Any

from ...errors import ApiError, WaitTimeout
from ...verdicts import CANNOT_TELL, FAIL, PASS

MAX_NAMED = 20
"""So many proxies of each kind stand in a result."""


@dataclasses.dataclass(frozen=True, slots=True)
class Laggard:
    """A proxy that does not hold everything. ``missing`` are half sentences."""

    proxy: str
    missing: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class PropagationReport:
    """What was proved.

    :param status: pass, fail (somebody is late), or cannot tell (proxies could not be read).
    :param proved: proxies that hold everything. :param concerned: proxies that ought to.
    :param seconds: from ``since`` to the moment the last proxy was seen to hold everything, or to giving up.
    :param sampled: whether only ``max_proxies`` of the proxies were asked.
    """

    status: str
    proved: int
    concerned: int
    seconds: float
    sampled: bool = False
    laggards: tuple[Laggard, ...] = ()
    unreadable: tuple[Laggard, ...] = ()

    def headline(self) -> str:
        """One sentence."""
        if self.status == PASS:
            what = "of a sample of all" if self.sampled else "that matter"
            return f"{self.proved} proxies {what} hold the change, the last after {self.seconds:.1f} s"
        found = self.laggards if self.status == FAIL else self.unreadable
        if not found:
            return f"after {self.seconds:.0f} s no proxy was found that the change concerns"
        verb = "is late" if self.status == FAIL else "cannot be read"
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return f"after {self.seconds:.0f} s proxy {found[0].proxy} {verb}: {found[0].missing[0]}{more}"

    def as_result(self) -> dict[str, Any]:
        """The report as it stands in a module's result.

        :returns: ``{status, headline, proved, concerned, seconds, sampled, laggards, unreadable}``; the last
            two are lists of ``{proxy, missing}``.
        """
        return {
            "status": self.status,
            "headline": self.headline(),
            "proved": self.proved,
            "concerned": self.concerned,
            "seconds": round(self.seconds, 2),
            "sampled": self.sampled,
            "laggards": [dataclasses.asdict(item) for item in self.laggards[:MAX_NAMED]],
            "unreadable": [dataclasses.asdict(item) for item in self.unreadable[:MAX_NAMED]],
        }

    def check(self) -> None:
        """:raises WaitTimeout: a proxy is late. :raises ApiError: proxies could not be read."""
        if self.status == FAIL:
            raise WaitTimeout(
                self.headline(),
                awaited="the proxies to hold the change",
                last_seen=str(self.laggards[0].missing),
            )
        if self.status == CANNOT_TELL:
            raise ApiError(self.headline(), reason="Unproved")
