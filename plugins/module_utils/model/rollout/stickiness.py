# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users that stay with the version that answered them first, as a share of users that follows the weight.

Both versions' answers set a cookie. Were it the canary's alone, every user would be drawn anew with each
request until he hits the canary, and soon nearly all are pinned to it, whatever the weight says. A user of
the stable version is drawn again once in each later phase, with the chance that brings the canary's share of
users from the old weight to the new one: from 10 to 25 percent these are 15 of the 90 that are left. So the
pinned share is the weight in every phase; at weight 0 there are no such routes, and nobody is pinned.

Cookies name the attempt, so that those of an earlier rollout, or of an earlier revision, mean nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ...fields import mappings_at
from ..catalogue.services import Condition, Service, Variant
from .phases import TrafficState

PINNED, REDRAWN = "sticky", "sticky-redraw"
MOST_REDRAWS = 10  # older cookies than of so many phases ago are drawn as those of new users


def share_again(before: int, now: int) -> int:
    """Percent of the stable version's users to draw for the canary, as its share of users rises.

    :param before: the canary's percent of users until now. :param now: from now on.
    """
    return 0 if before >= now else round(100 * (now - before) / (100 - before))


@dataclasses.dataclass(frozen=True, slots=True)
class Stickiness:
    """The cookies of one traffic state. :param cookie: name. :param max_age: seconds."""

    cookie: str
    max_age: int
    stable: str
    canary: str
    traffic: TrafficState

    @property
    def share(self) -> int:
        """The canary's percent."""
        return self.traffic.weights.get(self.canary, 0)

    @property
    def active(self) -> bool:
        """Whether both versions have users."""
        return self.traffic.kind == "weight" and 0 < self.share < 100

    def value(self, version: str, phase: int) -> str:
        """What the cookie of a user says. :param phase: live phase in which a user of stable was drawn."""
        epoch = f"{self.traffic.epoch}." if self.traffic.epoch else ""
        return f"{epoch}{version}" if version == self.canary else f"{epoch}{version}.{phase}"

    @property
    def phase(self) -> int:
        """Number of the present live phase."""
        return len(self.traffic.earlier) + 1

    @property
    def redraws(self) -> dict[int, int]:
        """Who is drawn again. :returns: live phase of an older cookie -> the canary's percent of them."""
        first = max(0, len(self.traffic.earlier) - MOST_REDRAWS)
        return {
            number: share_again(before, self.share)
            for number, before in enumerate(self.traffic.earlier, start=1)
            if number > first
        }

    def service(self, service: Service) -> Service:
        """The service with one route for each kind of cookie, behind its own variants."""
        variants = [
            self._variant(PINNED, self.canary, self.value(self.canary, 0)),
            self._variant(f"{PINNED}-stable", self.stable, self.value(self.stable, self.phase)),
        ]
        for number, share in self.redraws.items():
            to = self.canary if share == 100 else self.stable
            variants.append(self._variant(f"{REDRAWN}-{number}", to, self.value(self.stable, number)))
        return dataclasses.replace(service, variants=(*service.variants, *variants))

    def _variant(self, name: str, to: str, value: str) -> Variant:
        when = Condition(headers={}, cookie=(self.cookie, value), query={}, path=None, path_exact=False)
        return Variant(name, to, when)

    def dressed(
        self, rendered: Mapping[str, Any], split: str, destinations: Mapping[int, Sequence[Mapping[str, Any]]]
    ) -> dict[str, Any]:
        """The rendered object with the weights of the routes that draw again, and the cookies of both.

        :param split: name that the routes of new users begin with.
        :param destinations: percent of the canary -> HTTPRouteDestinations. :returns: the whole object.
        """
        http = []
        for route in mappings_at(rendered, "spec", "http"):
            name = str(route.get("name", ""))
            drawn = dict(route)
            if name.startswith(f"{REDRAWN}-"):
                number = int(name.removeprefix(f"{REDRAWN}-").partition("-")[0])
                drawn["route"] = [dict(item) for item in destinations[self.redraws[number]]]
            if name.startswith((f"{REDRAWN}-", split)):
                drawn["route"] = [self._with_cookie(item) for item in mappings_at(drawn, "route")]
            http.append(drawn)
        return {**rendered, "spec": {**rendered["spec"], "http": http}}

    def _with_cookie(self, item: Mapping[str, Any]) -> dict[str, Any]:
        version = item["destination"]["subset"]
        text = (
            f"{self.cookie}={self.value(version, self.phase)}; Path=/; Max-Age={self.max_age};"
            " HttpOnly; SameSite=Lax"
        )
        return {**item, "headers": {"response": {"add": {"set-cookie": text}}}}
