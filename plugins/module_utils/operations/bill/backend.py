# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists what an inventory needs from outside: images, charts, programs and manifests. Asks no cluster."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...context import Context
from ...errors import InputError, Problem
from ...fields import mapping_at, text_at
from ...files import to_make, write_whole
from ...istio.installation.commands import Runner, Tool
from ...model.reading.typed import variables_of
from ..addons import ARGUMENT_SPEC as ADDONS_SPEC
from ..addons import AddonOptions, read_addons
from ..canary.options.spec import CANARY_SPEC
from ..control_plane.installer import find_installer
from ..control_plane.options import INSTALLATION_SPEC, INSTALLATION_VARIABLES, installation_of, tools_of
from ..download.backend import on_this_machine
from .contents import BilledImage, images_of, render
from .text import text_of

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    **INSTALLATION_SPEC,
    "addons": copy.deepcopy(ADDONS_SPEC["addons"]),
    "addons_sources": {"type": "dict", "default": {}},
    "release_source": {"type": "str", "default": ""},
    "release_sha256": {"type": "str", "default": ""},
    "addons_namespace": {"type": "str", "default": "istio-system"},
    "addons_images": {"type": "dict", "default": {}},
    "probe_image": {"type": "str", "default": ""},
    "deadman": copy.deepcopy(CANARY_SPEC["deadman"]),
    "deadman_job": copy.deepcopy(CANARY_SPEC["deadman_job"]),
    "istioctl_source": {"type": "str", "default": ""},
    "istioctl_sha256": {"type": "str", "default": ""},
    "path": {"type": "path"},
}
VARIABLES = {
    **INSTALLATION_VARIABLES,
    **variables_of(("addons_namespace", "addons_images", "addons_sources"), ""),
    "addons": "addons_enabled",
    "probe_image": "verify_probe_image",
    "deadman": "canary_deadman",
    "deadman_job": "canary_deadman_job",
    "path": "bill_path",
}
_ISTIO = ("istio_hub", "istio_tag")
_ADDONS = ("addons_images",)


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Render what would be installed, and list what it consists of.

    :returns: ``changed``, ``istio`` (version), ``method``, ``images``, ``charts``, ``programs``,
        ``manifests``, ``text`` (lines), and ``files`` when they are wanted.
    :raises InputError: bad settings, a program that is missing, or a directory that cannot be written.
    """
    installation, tools = installation_of(params), tools_of(params)
    runner = Runner({**context.environment}, context.stop)
    tool = find_installer(installation, runner, tools)
    rendered = render(installation, runner, tool, tools)
    sources: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for image, users in images_of(rendered.objects).items():
        sources[image, _ISTIO] = users
    for image, users in images_of(_addons(params)).items():
        sources[image, _ADDONS] = users
    if params["probe_image"]:
        sources[params["probe_image"], ("verify_probe_image",)] = {"probes of verify"}
    if params["deadman"] == "job":
        sources[params["deadman_job"]["image"], ("canary_deadman_job.image",)] = {"Job of a rollout"}
    bill = {
        "istio": installation.version,
        "method": installation.method,
        "images": [one.as_result() for one in _merged(sources)],
        "charts": [
            {**chart, "variables": ["istio_chart_source", "istio_chart_checksums"]}
            for chart in rendered.charts
        ],
        "programs": [_program(params, tool)],
        "manifests": _manifests(params),
    }
    bill["text"] = text_of(bill)
    if not params["path"]:
        return {"changed": False, **bill}
    changed, files = _write(to_make(params["path"], "bill_path").absolute(), bill, context)
    return {"changed": changed, **bill, "files": files}


def _addons(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The add-ons' objects as they would be applied, read by whoever applies them."""
    options = {
        **{name: spec.get("default") for name, spec in ADDONS_SPEC.items()},
        "addons": params["addons"],
        "namespace": params["addons_namespace"],
        "images": params["addons_images"],
        "timeout": 0,
    }
    return read_addons(AddonOptions.from_params(options)) if params["addons"] else []


def _merged(sources: Mapping[tuple[str, tuple[str, ...]], set[str]]) -> list[BilledImage]:
    """One entry per image: two that need the same one are told together."""
    users: dict[str, set[str]] = {}
    variables: dict[str, list[str]] = {}
    for (image, names), used_by in sources.items():
        users.setdefault(image, set()).update(used_by)
        variables.setdefault(image, []).extend(names)
    return [
        BilledImage(image, tuple(sorted(users[image])), tuple(variables[image])) for image in sorted(users)
    ]


def _program(params: Mapping[str, Any], tool: Tool) -> dict[str, Any]:
    if params["method"] == "istioctl":
        return {
            "name": "istioctl",
            "version": tool.version,
            "source": params["istioctl_source"] or tool.path,
            "sha256": params["istioctl_sha256"],
            "variables": ["istio_istioctl_path", "istio_istioctl_url", "istio_istioctl_checksum"],
        }
    return {
        "name": "helm",
        "version": tool.version,
        "source": on_this_machine(f"https://get.helm.sh/helm-v{tool.version}-linux-{{machine}}.tar.gz"),
        "sha256": "",
        "variables": ["istio_helm_binary"],
    }


def _manifests(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Where the add-ons' manifests come from, each source once. :returns: in the order of the list."""
    found: dict[str, dict[str, Any]] = {}
    for addon in params["addons"]:
        own = mapping_at(params["addons_sources"], addon["name"])
        source, digest = text_at(own, "url"), text_at(own, "checksum").removeprefix("sha256:")
        if not own and params["release_source"]:
            source, digest = params["release_source"], params["release_sha256"]
        source = source or addon["path"]
        entry = found.setdefault(source, {"names": [], "sha256": digest, "source": source})
        entry["names"].append(addon["name"])
    return [
        {
            "name": ", ".join(entry["names"]),
            "version": "",
            "source": entry["source"],
            "sha256": entry["sha256"],
            "variables": ["addons_sources", "addons_release_path"],
        }
        for entry in found.values()
    ]


def _write(path: Path, bill: Mapping[str, Any], context: Context) -> tuple[bool, list[str]]:
    """Write the bill twice, for programs and for people. :returns: whether one changed, and both paths."""
    wanted = {
        path.with_name(f"{path.name}.json"): json.dumps(bill, indent=2, sort_keys=True) + "\n",
        path.with_name(f"{path.name}.txt"): "\n".join(bill["text"]) + "\n",
    }
    try:
        changes = {file: text for file, text in wanted.items() if _read(file) != text}
        if changes and not context.check_mode:
            path.parent.mkdir(parents=True, exist_ok=True)
            for file, text in changes.items():
                write_whole(file, text)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror or error}"
        raise InputError([Problem("bill_path", message, "path")]) from error
    return bool(changes), [str(file) for file in sorted(wanted)]


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
