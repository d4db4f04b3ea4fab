# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of module ``resources`` that matter for a catalogue, as checked values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ...errors import InputError, Problem
from ...inventory import Inventory
from ...istio.metrics import PrometheusOptions
from ...model.reading.durations import EXAMPLES, read_seconds
from ...model.reading.values import is_number
from ..apply.engine import ApplyOptions

LONGEST_WINDOW = 30 * 24 * 3600.0
"""Prometheus keeps 15 days unless told otherwise; a longer window is a mistake in the unit."""


@dataclasses.dataclass(frozen=True, slots=True)
class MeshOptions:
    """How a catalogue is applied.

    :param apply: options of the write path.
    :param mesh_name: what the catalogue's name has to be, ``""`` for any.
    :param absent: the whole mesh shall not exist.
    :param prune_all: pruning may remove everything. :param repair_split: see ``plan_splits``.
    :param wait: prove the last step in the proxies too. :param wait_timeout: seconds for each proof.
    :param unproved: ``refuse`` or ``warn``: what happens when nothing proves a step before the next one.
    :param check: ``strict``, ``warn`` or ``off``, for ``istioctl analyze``; ``istioctl`` is its path.
    :param strict_guard: ``refuse`` or ``warn``. :param strict_guard_window: seconds that it looks back.
    :param access_guard: whether a run that lets somebody in is refused: ``tell`` or ``refuse``.
    :param prometheus: where it looks, ``None`` for nowhere.
    :param cluster_check: ``refuse``, ``warn`` or ``off``: a catalogue that differs from the cluster.
    :param not_deployed: services that need not exist yet, by name or ``namespace/name``.
    :param inventory: who asks.
    """

    apply: ApplyOptions
    mesh_name: str = ""
    absent: bool = False
    prune: bool = False
    prune_all: bool = False
    repair_split: bool = False
    wait: bool = False
    wait_timeout: float = 120.0
    max_proxies: int = 200
    unproved: str = "refuse"
    check: str = "off"
    istioctl: str = ""
    strict_guard: str = "refuse"
    strict_guard_window: float = 3600.0
    access_guard: str = "tell"
    prometheus: PrometheusOptions | None = None
    cluster_check: str = "refuse"
    not_deployed: tuple[str, ...] = ()
    inventory: Inventory = dataclasses.field(default_factory=Inventory)

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> MeshOptions:
        """Reads the module's parameters.

        :param params: as the argument spec of ``resources`` leaves them: every option is there.
        :raises InputError: ``strict_guard_window`` or ``prometheus`` is not what it should be.
        """
        return cls(
            apply=ApplyOptions.from_params(params),
            mesh_name=params["mesh_name"] or "",
            absent=params["state"] == "absent",
            prune=params["prune"],
            prune_all=params["prune_all"],
            repair_split=params["repair_split"],
            wait=params["wait"],
            wait_timeout=float(params["wait_timeout"]),
            max_proxies=params["max_proxies"],
            unproved=params["unproved"],
            check=params["check"],
            istioctl=params["istioctl"] or "",
            strict_guard=params["strict_guard"],
            strict_guard_window=_window(params["strict_guard_window"]),
            access_guard=params["access_guard"],
            prometheus=prometheus_at(params["prometheus"] or ""),
            cluster_check=params["cluster_check"],
            not_deployed=tuple(params["not_deployed"]),
            inventory=Inventory.from_params(params),
        )


def _window(value: Any) -> float:
    length = read_seconds(value)
    if length is not None and 0.001 <= length <= LONGEST_WINDOW:
        return length
    message = f"is {value!r}, not a duration such as {EXAMPLES} of at most {LONGEST_WINDOW / 86400:g} days"
    raise InputError([Problem("mesh_strict_guard_window", message, "duration")])


def prometheus_at(text: str) -> PrometheusOptions | None:
    """The Prometheus that an URL or ``NAMESPACE/SERVICE:PORT`` names; ``None`` for an empty text.

    :raises InputError: neither of the two.
    """
    if not text:
        return None
    if "://" in text:
        return PrometheusOptions.from_params({"url": text})
    namespace, _unused, address = text.partition("/")
    service, _unused, port = address.partition(":")
    if not (namespace and service and is_number(port or "0")):
        shown = "it" if "@" in text else repr(text)  # it may hold a login
        message = f"{shown} is neither a URL nor NAMESPACE/SERVICE:PORT"
        raise InputError([Problem("mesh_prometheus", message, "prometheus")])
    return PrometheusOptions.from_params({"namespace": namespace, "service": service, "port": port or 9090})
