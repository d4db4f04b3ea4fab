# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads ``injection_namespaces``: which namespaces belong to the mesh, and by which label."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ..reading.problems import Problems
from ..reading.reader import Reader
from ..reading.values import LABEL

INJECTION_LABEL = "istio-injection"
REVISION_LABEL = "istio.io/rev"
MODES = ("injection", "revision", "keep")
# Istio pkg/kube/inject/initializer.go, IgnoredNamespaces.
SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})


@dataclasses.dataclass(frozen=True, slots=True)
class NamespaceRequest:
    """One namespace of the input.

    :param mode: ``injection`` (label istio-injection=enabled), ``revision`` (label istio.io/rev) or ``keep``
        (labels are left as they are, workloads are brought up to date: namespaces of gateways).
    :param revision: revision or revision tag; "" unless the mode is ``revision``.
    :param create: create the namespace when it is missing.
    """

    name: str
    mode: str
    revision: str = ""
    create: bool = False

    @property
    def wanted(self) -> dict[str, str]:
        """The label that the namespace shall carry. :returns: one pair, none in mode ``keep``."""
        if self.mode == "injection":
            return {INJECTION_LABEL: "enabled"}
        return {REVISION_LABEL: self.revision} if self.mode == "revision" else {}

    @property
    def other(self) -> str:
        """The label that must not be there beside the wanted one."""
        return REVISION_LABEL if self.mode == "injection" else INJECTION_LABEL


def read_requests(items: Sequence[Any], where: str = "injection_namespaces") -> tuple[NamespaceRequest, ...]:
    """Requests out of ``items``: plain names, or ``{name, mode, revision, create}``.

    :param where: the variable that holds the list, for the problems.
    :returns: one per item, in their order.
    :raises InputError: with every problem of the list.
    """
    problems = Problems()
    requests: list[NamespaceRequest] = []
    for index, item in enumerate(items):
        entry = {"name": item} if isinstance(item, str) else item
        reader = Reader(entry, f"{where}[{index}]", problems)
        request = _request(reader)
        if request.name and request.name in {other.name for other in requests}:
            reader.fault("name", f"namespace {request.name} is listed twice", "duplicate")
        requests.append(request)
    problems.check({where: items})
    return tuple(requests)


def _request(reader: Reader) -> NamespaceRequest:
    name = reader.text("name", LABEL)
    if name in SYSTEM_NAMESPACES:
        reader.fault("name", f"Istio never injects into {name}", "system-namespace")
    # An empty revision is none: inventories hand over what they have.
    revision = "" if reader.value("revision") == "" else reader.maybe_text("revision", LABEL) or ""
    mode = reader.choice("mode", MODES, default="revision" if revision else "injection")
    if revision and mode != "revision":
        message = f"mode {mode} and a revision: {INJECTION_LABEL} and {REVISION_LABEL} exclude each other"
        reader.fault("revision", message, "one-label")
    if mode == "revision" and not reader.value("revision"):
        reader.fault("revision", "mode revision needs a revision or tag", "required")
    request = NamespaceRequest(name, mode, revision, reader.boolean("create", default=False))
    reader.finish()
    return request
