# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks that need neither a tool nor a cluster: every input is read, and all problems come together."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ...errors import InputError, Problem
from ...inventory import Inventory
from ...model.addons.access import ACCESS_SPEC, Access
from ...model.addons.manifests import check_addons
from ...model.addons.safety import SAFETY_SPEC, Safety
from ...model.catalogue.hints import catalogue_hints
from ...model.catalogue.mesh import Catalogue
from ...model.catalogue.parse import INSTALLATION_KEYS, ROLE_SETTINGS, parse_catalogue
from ...model.catalogue.variables import typed_catalogue
from ...model.installation.injection import NamespaceRequest, read_requests
from ...model.installation.settings import Installation
from ...model.reading.names import misspelt, unreadable
from ...model.reading.typed import typed_options
from ...model.versions import Minor, Support, check_istio_version, support_table
from ..control_plane.options import (
    INSTALLATION_SPEC,
    ToolOptions,
    installation_of,
    tools_of,
    typed_installation,
)
from .agreement import disagreements, doubtful_settings, unreachable_ports
from .normalisation import weak_normalisation

_T = TypeVar("_T")
_MESH: dict[str, dict[str, Any]] = {
    "cluster_check": {"type": "str", "choices": ["refuse", "warn", "off"]},
    "not_deployed": {"type": "list", "elements": "str"},
    "resource_paths": {"type": "list", "elements": "str"},
    "state": {"type": "str"},
}
_ADDONS = {"enabled": {"type": "list", "elements": "str"}, "sources": {"type": "dict"}}


@dataclasses.dataclass(frozen=True, slots=True)
class Inputs:
    """The input of a preflight, as far as it can be judged by itself.

    :param parts: what is going to run. :param catalogue: None when none is given.
    :param inventory: who asks for its namespaces. :param versions: the table of Istio minors.
    :param addons_namespace: of add-ons. :param addons_keep_data: whether one of them gets a lasting volume.
    :param authority_namespace: of the CA's Secret.
    :param uses_cert_manager: whether it renews a credential on demand.
    :param istio_ca_source: who signs the proxies' certificates; all but ``istiod`` is plugged in.
    :param timeout: seconds for all questions to the API server.
    :param warnings: what is legal and probably not meant.
    :param cluster_check: refuse, warn or off: a catalogue that differs from the cluster.
    :param not_deployed: services that need not exist yet. :param has_files: whether the mesh has files of a
        team besides, which may make Services.
    """

    parts: tuple[str, ...]
    installation: Installation
    tools: ToolOptions
    catalogue: Catalogue | None
    requests: tuple[NamespaceRequest, ...]
    inventory: Inventory
    versions: Mapping[Minor, Support]
    allow_untested_kubernetes: bool
    addons_namespace: str
    addons_keep_data: bool
    authority_namespace: str
    uses_cert_manager: bool
    istio_ca_source: str
    timeout: float
    warnings: tuple[str, ...]
    cluster_check: str
    not_deployed: tuple[str, ...]
    has_files: bool


def read_inputs(params: Mapping[str, Any], *, today: datetime.date) -> Inputs:
    """The module's parameters as checked values.

    :raises InputError: with the problems of every input together.
    """
    problems: list[Problem] = []
    warnings = misspelt([*params["variables"]], [*params["variable_specs"]])
    problems += unreadable(params["variables"], params["variable_specs"])
    istio = _istio_options(params["istio"], problems)
    table = _collect(problems, lambda: support_table(params["istio_versions"]))
    installation = _collect(problems, lambda: installation_of(istio))
    if table is not None:
        verdict = check_istio_version(str(istio["version"]), table=table, today=today)
        problems += verdict.problems
        if params["allow_end_of_life"]:
            warnings += verdict.warnings
        else:
            problems += [Problem("istio_version", text, "end-of-life") for text in verdict.warnings]
    requests = _collect(problems, lambda: read_requests(params["injection_namespaces"]))
    problems += check_addons(_addons(params["addons"], problems))
    safety = _collect(problems, lambda: _addon_safety(params["addons"]))
    _collect(problems, lambda: _addon_access(params["addons"]))
    catalogue = _collect(problems, lambda: _catalogue(params["catalogue"], istio))
    if installation is not None and catalogue is not None:
        installs = "istio" in params["parts"]
        problems += disagreements(installation, catalogue, installs=installs)
        warnings += weak_normalisation(installation, catalogue, installs=installs)
        warnings += [str(hint) for hint in catalogue_hints(catalogue)]
        warnings += unreachable_ports(installation, catalogue)
        warnings += doubtful_settings(installation, catalogue)
    settings = _mesh_settings(params["catalogue"], problems)
    if problems or installation is None or table is None or requests is None or safety is None:
        # The catalogue reads the gateways, too, and finds the same there.
        raise InputError(list(dict.fromkeys(problems)))
    return Inputs(
        parts=tuple(params["parts"]),
        installation=installation,
        tools=tools_of(istio),
        catalogue=catalogue,
        requests=requests,
        inventory=Inventory.from_params(params),
        versions=table,
        allow_untested_kubernetes=params["allow_untested_kubernetes"],
        addons_namespace=params["addons_namespace"] or installation.namespace,
        addons_keep_data=bool(safety.storage),
        authority_namespace=params["certificates_namespace"],
        uses_cert_manager=bool(params["cert_manager"]),
        istio_ca_source=params["istio_ca_source"],
        timeout=float(params["timeout"]),
        warnings=tuple(warnings),
        # Of a mesh that is going to be removed nothing has to fit.
        cluster_check="off" if settings.get("state") == "absent" else settings.get("cluster_check", "refuse"),
        not_deployed=tuple(settings.get("not_deployed", ())),
        has_files=bool(settings.get("resource_paths")),
    )


def _istio_options(given: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """The options of module ``control_plane``, with its defaults for what is null or refused."""
    unknown = sorted(set(given) - set(INSTALLATION_SPEC))
    if unknown:
        raise InputError(
            [Problem(f"istio.{key}", "is not a known setting", "unknown-key") for key in unknown]
        )
    typed, refused = typed_installation(given)
    problems += refused
    return {name: typed.get(name, spec["default"]) for name, spec in INSTALLATION_SPEC.items()}


def _addons(given: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """The choice of add-ons under the names of its variables. :returns: those that are given."""
    typed, refused = typed_options(given, _ADDONS, lambda name: f"addons_{name}")
    problems += refused
    return {f"addons_{name}": value for name, value in typed.items()}


def _addon_safety(given: Mapping[str, Any]) -> Safety:
    """How the add-ons are to be. :raises InputError: a value that is none."""
    typed, refused = typed_options(given, SAFETY_SPEC, lambda name: f"addons_{name}")
    if refused:
        raise InputError(refused)
    return Safety.from_params({name: typed.get(name, spec["default"]) for name, spec in SAFETY_SPEC.items()})


def _addon_access(given: Mapping[str, Any]) -> Access:
    """How add-ons are reached. :raises InputError: a way that is none."""
    wanted = {**ACCESS_SPEC, "as_released": SAFETY_SPEC["as_released"], "enabled": _ADDONS["enabled"]}
    typed, _refused = typed_options(given, wanted, lambda name: f"addons_{name}")
    own, refused = typed_options(given, ACCESS_SPEC, lambda name: f"addons_{name}")
    if refused:
        raise InputError(refused)
    params = {
        "as_released": typed.get("as_released") or [],
        **{name: own.get(name, {}) for name in ACCESS_SPEC},
    }
    return Access.from_params(params, [str(name) for name in typed.get("enabled") or []])


def _mesh_settings(raw: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """What role ``mesh`` is told besides the catalogue, as far as it matters here."""
    given = {name: raw.get(f"mesh_{name}") for name in _MESH}
    typed, refused = typed_options(given, _MESH, lambda name: f"mesh_{name}")
    problems += refused
    return typed


def _catalogue(raw: Mapping[str, Any], istio: Mapping[str, Any]) -> Catalogue | None:
    """The catalogue. Where istiod and the gateways are it takes from ``istio`` unless it says it itself."""
    if not set(raw) - {*ROLE_SETTINGS, *INSTALLATION_KEYS}:
        return None
    refused: list[Problem] = []
    typed = typed_catalogue(raw, refused)
    if refused:
        raise InputError(refused)
    installed = {key: istio[key.removeprefix("istio_")] for key in INSTALLATION_KEYS}
    return parse_catalogue({**installed, **{key: value for key, value in typed.items() if value is not None}})


def _collect(problems: list[Problem], read: Callable[[], _T]) -> _T | None:  # noqa: UP047 - no PEP 695 here
    try:
        return read()
    except InputError as error:
        problems += error.problems
        return None
