# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A support bundle: everything that a diagnosis looked at, in one JSON file, without secrets.

No Secret is in it, no value of an environment variable, no command of an application, no query of a
request; what looks like a secret anywhere else is blanked, in every spelling.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import InputError, MeshError, Problem
from ...files import at_home, missing_directory, write_whole
from ...istio.workloads import PROXY_CONTAINER
from ...kube.clock import timestamp
from ...kube.redaction import redacted
from ...kube.secret_fields import secret_values, without_secrets
from .case import Case, Obj, SeenLine, View

LEFT_OUT = "<left out>"
_NOISE = ("managedFields",)
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_OF_APPLICATIONS = ("command", "args", "env", "envFrom", "lifecycle")


def check_path(path: str) -> None:
    """:raises InputError: it is no name of a JSON file, or its directory does not exist."""
    problem = missing_directory(path) if path.endswith(".json") else f"{path!r} does not end in .json"
    if problem:
        raise InputError([Problem("diagnose_bundle_path", problem, "bundle-path")])


def write_bundle(path: str, case: Case, result: Mapping[str, Any]) -> None:
    """Writes the bundle whole or not at all, for its owner alone.

    :param result: of the module. :raises MeshError: the file cannot be written.
    """
    text = json.dumps(bundle_of(case, result), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    try:
        write_whole(at_home(path), text, 0o600)
    except OSError as error:
        raise MeshError(f"the bundle {path} could not be written: {error.strerror}") from error


def bundle_of(case: Case, result: Mapping[str, Any]) -> dict[str, Any]:
    """What the file holds.

    :returns: ``time``, ``symptom``, ``result``, ``objects`` by kind, ``istiods``, ``sync``, ``figures``,
        ``mesh_config``, ``proxies`` and ``access_log``.
    """
    material = case.material
    objects = {kind: [_shown(item) for item in items] for kind, items in material.objects.items()}
    whole: dict[str, Any] = {
        "time": timestamp(case.now),
        "symptom": dataclasses.asdict(case.symptom),
        "result": {name: result[name] for name in ("status", "cause", "causes", "unknown", "steps")},
        "objects": objects,
        "istiods": [_shown(pod) for pod in material.istiods],
        "sync": {name: dataclasses.asdict(state) for name, state in (material.sync or {}).items()},
        "figures": dict(material.figures),
        "mesh_config": material.config,
        "proxies": {name: _proxy(view) for name, view in material.views.items()},
        "access_log": [_line(seen) for seen in material.lines],
    }
    secrets = {
        text
        for items in (*material.objects.values(), material.istiods, [material.config])
        for item in items
        for text in secret_values(item)
    }
    secrets |= {text for secret in material.secrets.values() if secret for text in secret_values(secret)}
    return _blank(whole, secrets)  # type: ignore[no-any-return]  # a dict stays one


def _blank(value: Any, secrets: set[str]) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _blank(item, secrets) for key, item in value.items()}
    if isinstance(value, str):
        return without_secrets(redacted(value, secrets))
    if isinstance(value, Sequence | frozenset | set):
        return [_blank(item, secrets) for item in value]
    return value


def _shown(item: Obj) -> dict[str, Any]:
    """An object without the server's bookkeeping, and without what an application is told."""
    metadata = {key: value for key, value in (item.get("metadata") or {}).items() if key not in _NOISE}
    notes = metadata.get("annotations") or {}
    if _LAST_APPLIED in notes:
        metadata["annotations"] = {key: text for key, text in notes.items() if key != _LAST_APPLIED}
    return {key: _spec(value) for key, value in item.items() if key != "data"} | {"metadata": metadata}


def _spec(value: Any) -> Any:
    """What stands in an object, each container of an application without its command and environment."""
    if isinstance(value, list):
        return [_spec(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    foreign = "image" in value and value.get("name") != PROXY_CONTAINER
    return {
        key: LEFT_OUT if key in ("env", "envFrom") or (foreign and key in _OF_APPLICATIONS) else _spec(item)
        for key, item in value.items()
    }


def _proxy(view: View) -> dict[str, Any]:
    return {
        "proxy": dataclasses.asdict(view.proxy),
        "refused": list(view.dump.refused),
        "hosts": [
            {
                "listener": host.listener,
                "name": host.name,
                "routes": [dict(one.weights) for one in host.routes],
            }
            for host in view.dump.hosts or ()
        ],
        "endpoints": {
            cluster: [{"address": one.address, "trouble": one.trouble, **one.stats} for one in found]
            for cluster, found in view.endpoints.items()
        },
    }


def _line(seen: SeenLine) -> dict[str, Any]:
    line = dataclasses.replace(seen.line, path=seen.line.path.partition("?")[0])
    return {"proxy": seen.proxy, **dataclasses.asdict(line)}
