# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``proxy_log`` is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ...errors import InputError, Problem
from ...files import missing_directory
from ...istio.proxy.log_levels import LEVELS, LogLevels, wanted_levels
from ...model.catalogue.lookup import look_up
from ...model.catalogue.mesh import Catalogue
from ...model.catalogue.parse import INSTALLATION_KEYS, parse_catalogue
from ...model.installation.gateways import InstalledGateway, gateways_of

_LONGEST = 3600.0


@dataclasses.dataclass(frozen=True, slots=True)
class LoggedWorkload:
    """Whose proxies log: the pods with ``labels`` in ``namespace``."""

    namespace: str
    name: str
    labels: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclasses.dataclass(frozen=True, slots=True)
class LogOptions:
    """The module's parameters as values.

    :param workload: None where only leftovers are taken back. :param seconds: how long it logs.
    :param levels: of the proxies' own log meanwhile, None to leave them. :param lines: how many lines the
        result holds of each kind. :param path: file for the whole log, ``""`` for none.
    """

    catalogue: Catalogue
    installed: tuple[InstalledGateway, ...]
    workload: LoggedWorkload | None
    seconds: float
    access_log: bool
    levels: LogLevels | None
    lines: int
    path: str

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Where a run may have left something: of the services and the gateways. :returns: each once."""
        services = [service.namespace for service in self.catalogue.services]
        return tuple(dict.fromkeys([*services, *(gateway.namespace for gateway in self.installed)]))

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> LogOptions:
        """Reads the module's parameters. :raises InputError: with every problem."""
        raw = params["catalogue"]
        catalogue = parse_catalogue(raw)
        installed = gateways_of({key: raw[key] for key in INSTALLATION_KEYS if key in raw})
        problems: list[Problem] = []
        workload = _workload(catalogue, installed, params["workload"], problems)
        seconds, lines = float(params["seconds"]), params["lines"]
        if not 1 <= seconds <= _LONGEST:
            text = f"is {seconds:g} s, not from 1 s to {_LONGEST:.0f} s"
            problems.append(Problem("observe_log_time", text, "range"))
        if lines < 0:
            problems.append(Problem("observe_log_lines", f"is {lines}, not 0 or more", "range"))
        levels = wanted_levels(params["level"]) if params["level"] else None
        if params["level"] and levels is None:
            text = f"is {params['level']!r}, not one of {', '.join(LEVELS)}, nor LOGGER:LEVEL,..."
            problems.append(Problem("observe_log_level", text, "choice"))
        if workload and not (params["access_log"] or levels):
            text = "is false, and observe_log_level is empty: nothing would be logged"
            problems.append(Problem("observe_access_log", text, "nothing-to-do"))
        path = params["path"]
        if path and (missing := missing_directory(path)):
            problems.append(Problem("observe_log_path", missing, "path"))
        if problems:
            raise InputError(problems)
        return cls(catalogue, installed, workload, seconds, params["access_log"], levels, lines, path)


def _workload(
    catalogue: Catalogue, installed: tuple[InstalledGateway, ...], name: str, problems: list[Problem]
) -> LoggedWorkload | None:
    """A service of the catalogue, else a gateway, by ``name`` or ``namespace/name``."""
    if not name:
        return None
    service, fault = look_up(catalogue, name)
    if service is not None:
        return LoggedWorkload(service.namespace, service.name, service.labels)
    meant = [gate for gate in installed if name in (gate.name, f"{gate.namespace}/{gate.name}")]
    if len(meant) == 1:
        return LoggedWorkload(meant[0].namespace, meant[0].name, meant[0].labels)
    problems.append(Problem("observe_workload", fault, "unknown-service"))
    return None
