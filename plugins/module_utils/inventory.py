# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose something on the cluster is: two inventories that write it would undo each other's work in turn.

All inventories write as the same field manager, so the API server sees no conflict between two schedules, and
each finds a mere difference that it may settle. So what one wrote bears its name, and another one is refused
before its first write.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import RefusedError
from .words import some_of

SPEC: dict[str, dict[str, Any]] = {
    "owner": {"type": "str", "default": ""},
    "take_over": {"type": "bool", "default": False},
}
"""The options of a module that asks, as parts of its argument spec."""


@dataclasses.dataclass(frozen=True, slots=True)
class Inventory:
    """Who asks. :param name: usually mesh and host, such as ``shop@production``; "" for nobody in particular.

    :param take_over: whether what belongs to somebody else may be changed, and is ours from then on.
    """

    name: str = ""
    take_over: bool = False

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Inventory:
        """Reads the options of ``SPEC``."""
        return cls(str(params["owner"]), bool(params["take_over"]))

    @property
    def said(self) -> str:
        """The name, in a sentence."""
        return repr(self.name) if self.name else "this one, which names no istio_owner,"

    def must_leave(self, holder: str) -> bool:
        """Whether ``holder`` is somebody else whose things this one may not change."""
        return bool(holder) and holder != self.name and not self.take_over

    def holder_after(self, holder: str) -> str:
        """Whose it is after a run of this one, ``holder`` before it."""
        return self.name if self.name and (self.take_over or not holder) else holder


def refusal(
    what: str,
    holder: str,
    asker: Inventory,
    changes: Sequence[str],
    *,
    annotation: str,
    instead: str,
    option: str,
) -> RefusedError:
    """What to tell an inventory that must leave something to another one.

    :param what: with its verb, such as ``istiod in istio-system is installed``.
    :param changes: what would be done, such as ``update Sidecar shop/web``.
    :param instead: the first way out: how both come to agree.
    :param option: the variable that takes it over.
    """
    return RefusedError(
        f"{what} by the inventory of {holder!r} (annotation {annotation}), and {asker.said} would change it: "
        f"{some_of(changes)}; {instead}, or run the inventory of {holder!r} only, "
        f"or take it over once with -e {option}=true",
        rule="one-inventory",
    )
