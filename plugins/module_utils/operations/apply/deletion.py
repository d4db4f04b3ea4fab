# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How objects are deleted: what becomes of what they own, how much time they get, and which very object."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ...errors import InputError, Problem


@dataclasses.dataclass(frozen=True, slots=True)
class Deletion:
    """``DeleteOptions`` of Kubernetes, as far as they matter here.

    :param propagation: ``Background``, ``Foreground`` or ``Orphan``.
    :param grace_seconds: what pods get to end; ``None`` is their own.
    :param uid, resource_version: of the only object that may be deleted; empty for any.
    """

    propagation: str = "Background"
    grace_seconds: int | None = None
    uid: str = ""
    resource_version: str = ""

    @classmethod
    def from_option(cls, given: Mapping[str, Any] | None) -> Deletion:
        """Reads ``delete_options``, which has the names of Kubernetes.

        :param given: as the argument spec of ``resources`` leaves it.
        :raises InputError: a negative grace period.
        """
        if not given:
            return cls()
        grace, conditions = given["gracePeriodSeconds"], given["preconditions"] or {}
        if grace is not None and grace < 0:
            raise InputError([Problem("delete_options.gracePeriodSeconds", "is negative", "delete-options")])
        return cls(
            given["propagationPolicy"] or "Background",
            grace,
            conditions.get("uid") or "",
            conditions.get("resourceVersion") or "",
        )

    @property
    def conditional(self) -> bool:
        """Whether only one very object is meant."""
        return bool(self.uid or self.resource_version)

    def body(self) -> dict[str, Any]:
        """The fields of ``DeleteOptions`` that differ from a plain deletion. :returns: name -> value."""
        body: dict[str, Any] = {"propagationPolicy": self.propagation}
        if self.grace_seconds is not None:
            body["gracePeriodSeconds"] = self.grace_seconds
        conditions = {"uid": self.uid, "resourceVersion": self.resource_version}
        if self.conditional:
            body["preconditions"] = {name: value for name, value in conditions.items() if value}
        return body
