# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``mesh_info`` is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ...errors import InputError, Problem
from ...files import report_problems
from ...istio.metrics import PrometheusOptions
from ...model.catalogue.mesh import Catalogue
from ...model.catalogue.parse import INSTALLATION_KEYS, parse_catalogue
from ...model.installation.gateways import InstalledGateway, gateways_of

ADDRESSES, DASHBOARDS, VERSIONS = "addresses", "dashboards", "versions"
ROLLOUTS, CERTIFICATES, TRAFFIC, OVERHEAD = "rollouts", "certificates", "traffic", "overhead"
PARTS = (ADDRESSES, DASHBOARDS, VERSIONS, ROLLOUTS, CERTIFICATES, TRAFFIC, OVERHEAD)
"""The parts of the answer, in their order."""
FORMATS = (".json", ".html")
DASHBOARD_FORMATS = (".json",)
_LONGEST = 15 * 86_400  # Prometheus keeps 15 days unless told otherwise
_SHORTEST = 10.0


@dataclasses.dataclass(frozen=True, slots=True)
class ObserveOptions:
    """The module's parameters as values.

    :param show: the parts that are wanted. :param window: seconds back from now in which requests count.
    :param authority_home: namespace and name of the Secret of the collection's own CA.
    :param top: how many entries of a long list the result and the screen hold; reports have all.
    :param dashboard_path: file for a dashboard of Grafana; ``""`` for none.
    """

    catalogue: Catalogue
    installed: tuple[InstalledGateway, ...]
    raw_gateways: tuple[Mapping[str, Any], ...]
    show: frozenset[str]
    addons: tuple[str, ...]
    addons_namespace: str
    authority_home: tuple[str, str]
    prometheus: PrometheusOptions | None
    window: float
    max_proxies: int
    top: int
    report_path: tuple[str, ...]
    dashboard_path: str = ""

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> ObserveOptions:
        """Reads the module's parameters, as its argument spec leaves them.

        :raises InputError: no catalogue, a window or number out of range, a report that cannot be written.
        """
        raw = params["catalogue"]
        catalogue = parse_catalogue(raw)
        reports = report_problems(params["report_path"], FORMATS, "observe_report_path")
        problems = [*_range_problems(params), *reports, *_dashboard_problems(params)]
        if problems:
            raise InputError(problems)
        prometheus = params["prometheus"]
        return cls(
            catalogue=catalogue,
            installed=gateways_of({key: raw[key] for key in INSTALLATION_KEYS if key in raw}),
            raw_gateways=tuple(raw.get("mesh_gateways") or ()),
            show=frozenset(params["show"]),
            addons=tuple(params["addons"]),
            addons_namespace=params["addons_namespace"] or catalogue.istio_namespace,
            authority_home=(params["ca_namespace"], params["ca_secret"]),
            prometheus=PrometheusOptions.from_params(prometheus) if prometheus else None,
            window=float(params["window"]),
            max_proxies=params["max_proxies"],
            top=params["top"],
            report_path=tuple(params["report_path"]),
            dashboard_path=params["dashboard_path"],
        )


def _dashboard_problems(params: Mapping[str, Any]) -> list[Problem]:
    path, variable = params["dashboard_path"], "observe_dashboard_path"
    if not path:
        return []
    if path in params["report_path"]:
        return [Problem(variable, f"{path!r} is in observe_report_path, too", "report-path")]
    found = report_problems([path], DASHBOARD_FORMATS, variable)
    return [dataclasses.replace(problem, where=variable) for problem in found]


def _range_problems(params: Mapping[str, Any]) -> list[Problem]:
    problems = []
    if not _SHORTEST <= float(params["window"]) <= _LONGEST:
        text = f"is {float(params['window']):g} s, not from {_SHORTEST:g} s to 15 days"
        problems.append(Problem("observe_window", text, "range"))
    problems += [
        Problem(f"observe_{name}", f"is {params[name]}, not above 0", "range")
        for name in ("max_proxies", "top")
        if params[name] < 1
    ]
    return problems
