# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody observes: a call, a service, a host, a pod, or nothing but that something is wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ...errors import InputError, Problem
from ...model.security.requests import path_alone


@dataclasses.dataclass(frozen=True, slots=True)
class Symptom:
    """All of it is optional, and what is given belongs to one and the same symptom.

    :param source: caller, ``name`` or ``namespace/name`` of a Service, workload or pod.
    :param destination: callee, ``name`` or ``namespace/name`` of a Service. :param host: as callers write it,
        of the mesh or outside. :param pod: ``name`` or ``namespace/name``. :param namespace: of names without
        one, and where to look when nothing else is said.
    :param port: of the destination, name or number; ``""`` for any.
    """

    source: str = ""
    destination: str = ""
    host: str = ""
    pod: str = ""
    namespace: str = ""
    method: str = "GET"
    path: str = "/"
    port: str = ""

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Symptom:
        """Reads the module's options. :raises InputError: what is given contradicts itself."""
        names = ("source", "destination", "pod", "namespace", "method", "path", "port")
        given = {name: str(params.get(name) or "").strip() for name in names}
        given["host"] = str(params.get("hostname") or "").strip()
        given["path"] = path_alone(given["path"])
        symptom = cls(**{name: text for name, text in given.items() if text})
        problems = [
            Problem(f"diagnose_{name}", f"{text!r} is no name: give name or namespace/name", "symptom")
            for name, text in given.items()
            if name in ("source", "destination", "pod") and (text.count("/") > 1 or " " in text)
        ]
        if symptom.destination and symptom.host:
            message = "says whom the call is for, and so does diagnose_destination: give one of them"
            problems.append(Problem("diagnose_hostname", message, "symptom"))
        if symptom.host and ("/" in symptom.host or " " in symptom.host):
            problems.append(
                Problem("diagnose_hostname", f"{symptom.host!r} is no host: no scheme, no path", "symptom")
            )
        if not symptom.path.startswith("/"):
            problems.append(Problem("diagnose_path", f"{symptom.path!r} does not begin with /", "symptom"))
        if problems:
            raise InputError(problems)
        return symptom

    @property
    def anything(self) -> bool:
        """Whether nothing was said of what is wrong."""
        return not (self.source or self.destination or self.host or self.pod)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that it names. :returns: each once."""
        names = (self.namespace, *(_place(text) for text in (self.source, self.destination, self.pod)))
        return tuple(dict.fromkeys(filter(None, names)))

    def place_of(self, text: str, default: str) -> tuple[str, str]:
        """``(namespace, name)`` of a name. :returns: with ``namespace`` or ``default`` for a mere name."""
        return _place(text) or self.namespace or default, text.rpartition("/")[2]


def _place(text: str) -> str:
    return text.rpartition("/")[0]
