# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dashboards of one's own in Grafana: a ConfigMap, where Grafana mounts it, and the provider that reads it.

Grafana is recognized by what it is: a ConfigMap with ``dashboardproviders.yaml``, and the workload that
mounts it. Source: Grafana's documentation of provisioning, samples/addons/grafana.yaml of the Istio release.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...documents.json_text import from_json, json_text
from ...documents.read import read_document
from ...errors import InputError, Problem
from ...fields import mapping_at, mappings_at, name_of, text_at
from ..reading.problems import Problems
from .manifests import WORKLOADS
from .safety import annotate_template

Obj = dict[str, Any]
PROVIDERS = "dashboardproviders.yaml"
OWN, DIRECTORY = "grafana-own-dashboards", "/var/lib/grafana/dashboards/own"
DIGEST = "servicemesh.istio/dashboards-sha256"
LARGEST = 1_000_000
"""Bytes of all of them: a ConfigMap takes 1 MiB with its metadata."""
_NAME = re.compile(r"[-._a-zA-Z0-9]{1,253}", re.ASCII)


def check_dashboards(files: Mapping[str, str]) -> list[Problem]:
    """What is wrong with dashboards, as Grafana would otherwise tell in its log alone.

    :param files: path -> text. :returns: every problem, ``[]`` when there is none.
    """
    problems = Problems()
    names: dict[str, str] = {}
    ids: dict[str, str] = {}
    for path, text in files.items():
        where = f"addons_dashboards[{path}]"
        name = key_of(path)
        if not _NAME.fullmatch(name) or not name.endswith(".json"):
            problems.add(
                where, "is no name of a dashboard: letters, digits and -._ with .json at its end", "name"
            )
        if names.setdefault(name, path) != path:
            problems.add(where, f"has the same name as {names[name]}", "unique")
        try:
            found = from_json(text)
        except ValueError as error:
            problems.add(where, f"is no JSON: {error}", "dashboard")
            continue
        for message in _faults(found):
            problems.add(where, message, "dashboard")
        own = found.get("uid") if isinstance(found, dict) else None
        if isinstance(own, str) and own and ids.setdefault(own, path) != path:
            problems.add(where, f"has the uid of {ids[own]}: Grafana shows one of them", "unique")
    if sum(len(text.encode()) for text in files.values()) > LARGEST:
        problems.add("addons_dashboards", f"are more than {LARGEST} bytes together", "size")
    return list(problems.found)


def key_of(path: str) -> str:
    """The name under which a file lies in the ConfigMap."""
    return path.replace("\\", "/").rpartition("/")[2]


def _faults(found: Any) -> list[str]:
    if isinstance(found, dict) and isinstance(found.get("dashboard"), dict):
        return ["is an answer of Grafana's API: give what stands under its key dashboard"]
    if not isinstance(found, dict) or not isinstance(found.get("title"), str) or not found["title"]:
        return ["is no dashboard: it has no title"]
    if found.get("__inputs"):
        names = ", ".join(text_at(one, "name") for one in mappings_at(found, "__inputs"))
        return [f"was exported for others and waits for {names}: export it without that"]
    return []


def with_dashboards(
    objects: Sequence[Mapping[str, Any]], files: Mapping[str, str], namespace: str
) -> list[Obj]:
    """The objects of Grafana with dashboards besides.

    :param files: path -> text, which ``check_dashboards`` has passed. :param namespace: of the add-ons.
    :returns: copies, and the ConfigMap after them.
    :raises InputError: nothing in the objects reads dashboards.
    """
    found = [copy.deepcopy(dict(item)) for item in objects]
    texts = {key_of(path): text for path, text in sorted(files.items())}
    places = [
        item for item in found if item.get("kind") == "ConfigMap" and PROVIDERS in mapping_at(item, "data")
    ]
    mounting = {
        name_of(place): [
            item for item in found if item.get("kind") in WORKLOADS and _mounts(item, name_of(place))
        ]
        for place in places
    }
    if not any(mounting.values()):
        message = f"have nowhere to go: no workload of grafana mounts a ConfigMap with {PROVIDERS}"
        raise InputError([Problem("addons_dashboards", message, "grafana")])
    for place in places:
        place["data"][PROVIDERS] = _providers(place)
        for workload in mounting[name_of(place)]:
            _mount(workload, hashlib.sha256(json_text([texts, place["data"]]).encode()).hexdigest())
    metadata = {"name": OWN, "namespace": text_at(places[0], "metadata", "namespace") or namespace}
    return [*found, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": texts}]


def _providers(place: Obj) -> str:
    about = f"ConfigMap {name_of(place)} data.{PROVIDERS}"
    config = read_document(place["data"][PROVIDERS], about)
    if not isinstance(config, dict):
        raise InputError([Problem(about, "is no mapping", "grafana")])
    provider = {
        "name": "own",
        "orgId": 1,
        "folder": "own",
        "type": "file",
        "disableDeletion": False,
        "options": {"path": DIRECTORY},
    }
    others = [one for one in mappings_at(config, "providers") if text_at(one, "name") != "own"]
    return json_text({**config, "providers": [*others, provider]})


def _mounts(workload: Mapping[str, Any], name: str) -> bool:
    volumes = mappings_at(workload, "spec", "template", "spec", "volumes")
    return any(text_at(one, "configMap", "name") == name for one in volumes)


def _mount(workload: Obj, digest: str) -> None:
    """What it mounts as a single file is never renewed while it runs: a change of it starts it anew."""
    annotate_template(workload, DIGEST, digest)
    pod = workload["spec"]["template"]["spec"]
    pod["volumes"] = [*pod["volumes"], {"name": "dashboards-own", "configMap": {"name": OWN}}]
    own = {"name": "dashboards-own", "mountPath": DIRECTORY}
    pod["containers"] = [
        {**container, "volumeMounts": [*mounts, own]}
        if any(text_at(mount, "mountPath").endswith(PROVIDERS) for mount in mounts)
        else container
        for container in mappings_at(pod, "containers")
        for mounts in [mappings_at(container, "volumeMounts")]
    ]
