# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted of the mesh's CA: the parameters of module ``mesh_ca``, read once."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from ...errors import InputError, Problem
from ...kube.options import CONNECTION_SPEC
from ...model.certificates.mesh_ca import Bundle, read_bundle
from ...model.certificates.pem import UnreadablePemError
from ...model.installation.gateways import DEFAULT_NAMESPACE
from ...model.reading.typed import variables_of

PRESENT, ROTATE, ROLLBACK = "present", "rotate", "rollback"
ISTIOD, OWN, PROVIDED = "istiod", "own", "provided"
INTERMEDIATE, ROOT = "intermediate", "root"

ARGUMENT_SPEC: dict[str, Any] = {
    **CONNECTION_SPEC,
    "action": {"type": "str", "default": PRESENT, "choices": [PRESENT, ROTATE, ROLLBACK]},
    "source": {"type": "str", "default": ISTIOD, "choices": [ISTIOD, OWN, PROVIDED]},
    "mesh": {"type": "str", "default": ""},
    "istio_namespace": {"type": "str", "default": DEFAULT_NAMESPACE},
    "certificate": {"type": "str", "default": ""},
    "private_key": {"type": "str", "default": "", "no_log": True},
    "chain": {"type": "str", "default": ""},
    "roots": {"type": "str", "default": ""},
    "ca_namespace": {"type": "str", "default": "servicemesh-system"},
    "root_secret": {"type": "str", "default": "servicemesh-mesh-root", "no_log": False},
    "root_file": {"type": "str", "default": ""},
    "root_days": {"type": "int", "default": 3650},
    "days": {"type": "int", "default": 730},
    "renew_at": {"type": "float", "default": 0.34},
    "renew": {"type": "str", "default": "", "choices": ["", INTERMEDIATE, ROOT]},
    "restart": {"type": "bool", "default": True},
    "restart_anyway": {"type": "list", "elements": "str", "default": []},
    "batch": {"type": "int", "default": 4},
    "patience": {"type": "raw", "default": 120},
    "timeout": {"type": "raw", "default": 600},
}
VARIABLES = variables_of(
    ARGUMENT_SPEC,
    "istio_ca_",
    mesh="mesh_name",
    istio_namespace="istio_namespace",
    ca_namespace="certificates_ca_namespace",
)
_MATERIAL = ("certificate", "private_key", "chain", "roots")


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class MeshCaOptions:
    """One run's wishes.

    :param provided: the CA that was handed over; None for one of our own.
    :param root_home: namespace and name of the Secret with our own root. :param root_file: keeps it instead.
    :param renew: ``intermediate`` or ``root``, made anew although it is not due; else ``""``.
    :param restart: whether workloads whose proxies do not follow by themselves are restarted.
    :param patience: seconds that istiod and proxies have to follow by themselves.
    :param timeout: seconds that a step may take.
    """

    action: str
    source: str
    mesh: str
    namespace: str
    provided: Bundle | None
    root_home: tuple[str, str]
    root_file: str
    root_life: datetime.timedelta
    life: datetime.timedelta
    renew_at: float
    renew: str
    restart: bool
    restart_anyway: tuple[str, ...]
    batch: int
    patience: float
    timeout: float


def read_options(params: Mapping[str, Any]) -> MeshCaOptions:
    """The options out of the module's parameters.

    :raises InputError: with every problem. No text of it quotes a key or a certificate.
    """
    problems = _number_problems(params)
    provided = None
    given = [name for name in _MATERIAL if params[name].strip()]
    if params["source"] == PROVIDED:
        provided = _provided(params, problems)
    elif given:
        names = ", ".join(f"istio_ca_{name}" for name in given)
        text = f"is {params['source']}, and {names} is set: it takes provided to use that"
        problems.append(Problem("istio_ca_source", text, "one-source"))
    if params["source"] == PROVIDED:
        for name in ("renew", "root_file"):
            if params[name]:
                text = "is for istio_ca_source: own; a provided CA is renewed by whoever provides it"
                problems.append(Problem(f"istio_ca_{name}", text, "one-source"))
    if params["ca_namespace"] == params["istio_namespace"]:
        text = "is istiod's namespace, where gateways may read every Secret: the root needs one of its own"
        problems.append(Problem("certificates_ca_namespace", text, "ca-exposed"))
    if problems:
        raise InputError(problems)
    return MeshCaOptions(
        action=params["action"],
        source=params["source"],
        mesh=params["mesh"],
        namespace=params["istio_namespace"],
        provided=provided,
        root_home=(params["ca_namespace"], params["root_secret"]),
        root_file=params["root_file"],
        root_life=datetime.timedelta(days=params["root_days"]),
        life=datetime.timedelta(days=params["days"]),
        renew_at=params["renew_at"],
        renew=params["renew"],
        restart=params["restart"],
        restart_anyway=tuple(params["restart_anyway"]),
        batch=params["batch"],
        patience=float(params["patience"]),
        timeout=float(params["timeout"]),
    )


def _provided(params: Mapping[str, Any], problems: list[Problem]) -> Bundle | None:
    missing = [name for name in ("certificate", "private_key") if not params[name].strip()]
    if missing and params["action"] == PRESENT:
        problems += [
            Problem(f"istio_ca_{name}", "is needed for istio_ca_source: provided", "required")
            for name in missing
        ]
    if missing:
        return None  # a rotation that has begun goes on, or back, without them
    try:
        return read_bundle(*(params[name] for name in _MATERIAL))
    except UnreadablePemError as error:
        part, _colon, text = str(error).partition(": ")
        if not text:
            part, text = "certificate", str(error)
        problems.append(Problem(f"istio_ca_{part}", text, "pem"))
    return None


def _number_problems(params: Mapping[str, Any]) -> list[Problem]:
    problems = []
    if not 8 <= params["days"] < params["root_days"] <= 36500:
        text = f"is {params['days']}, not 8 or more and less than istio_ca_root_days (36500 at most)"
        problems.append(Problem("istio_ca_days", text, "range"))
    if not 0 < params["renew_at"] < 1:
        problems.append(
            Problem("istio_ca_renew_at", f"is {params['renew_at']}, not between 0 and 1", "range")
        )
    if params["batch"] < 1:
        problems.append(Problem("istio_ca_batch", f"is {params['batch']}, not above 0", "range"))
    for name in ("patience", "timeout"):
        if not 0 <= float(params[name]) <= 86_400:
            problems.append(Problem(f"istio_ca_{name}", "is not between 0 and a day", "range"))
    return problems
