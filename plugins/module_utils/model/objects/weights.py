# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Release records: which version gets which share. The catalogue only says how to begin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..catalogue.mesh import Catalogue
from ..catalogue.services import Service
from ..reading.problems import Problems
from ..reading.texts import plain_number

Weights = Mapping[str, int]
"""Percentages by version that add up to 100; empty for a service without versions."""


def initial_weights(service: Service) -> dict[str, int]:
    """Everything to ``initial_version``: the split while no release record exists.

    :returns: version -> percent; empty for a service without versions.
    """
    return {service.initial_version: 100} if service.initial_version else {}


def weights_by_service(
    catalogue: Catalogue, releases: Mapping[str, Mapping[str, Any]] | None, problems: Problems
) -> dict[str, dict[str, int]]:
    """The split of every service, by ``namespace/name``.

    :param releases: release records (``data.record`` of ConfigMap ``servicemesh-release-<service>``, decoded)
        by ``namespace/name``. Records of services that the catalogue does not have are not ours to judge.
    :returns: ``namespace/name`` -> version -> percent.
    """
    return {
        service.key: _weights(service, _record(service, releases, problems), problems)
        for service in catalogue.services
    }


def fences_by_service(
    catalogue: Catalogue, releases: Mapping[str, Mapping[str, Any]] | None, problems: Problems
) -> dict[str, int]:
    """The fence that the routes of every service bear.

    :param releases: as for :func:`weights_by_service`.
    :returns: ``namespace/name`` -> fence, 0 for none.
    """
    found = dict.fromkeys((service.key for service in catalogue.services), 0)
    for service in catalogue.services:
        record = _record(service, releases, problems)
        fence = plain_number(record.get("fence") or 0) if record else 0
        if isinstance(fence, bool) or not isinstance(fence, int):
            problems.add(f"releases[{service.key}].fence", f"is {fence!r}, not a whole number", "fence")
        else:
            found[service.key] = fence
    return found


def _record(
    service: Service, releases: Mapping[str, Mapping[str, Any]] | None, problems: Problems
) -> Mapping[str, Any] | None:
    """The record of one service; None without one, and where it is none."""
    record: Any = (releases or {}).get(service.key)
    if record is None or isinstance(record, Mapping):
        return record
    problems.add(f"releases[{service.key}]", "is no mapping with weights, or stable", "release-record")
    return None


def _weights(service: Service, record: Mapping[str, Any] | None, problems: Problems) -> dict[str, int]:
    if record is None or not service.versions:
        return initial_weights(service)
    where, stable = f"releases[{service.key}]", record.get("stable")
    weights = record.get("weights") or ({stable: 100} if stable and isinstance(stable, str) else {})
    if not isinstance(weights, Mapping) or not weights:
        problems.add(where, "names neither weights nor a stable version", "release-record")
        return initial_weights(service)
    for version, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int) or not 0 <= weight <= 100:
            problems.add(
                f"{where}.weights.{version}", f"is {weight!r}, not a whole number from 0 to 100", "weights"
            )
            return initial_weights(service)
        if weight and version not in service.versions:
            known = ", ".join(service.versions)
            message = (
                f"traffic goes to version {version!r}, which {service.where}.versions lacks (it has {known})"
            )
            problems.add(f"{where}.weights", message, "unknown-version")
            return initial_weights(service)
    if sum(weights.values()) != 100:
        problems.add(f"{where}.weights", f"add up to {sum(weights.values())}, not 100", "weights")
        return initial_weights(service)
    return {version: weights[version] for version in service.versions if weights.get(version)}
