# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the computed objects of a catalogue to a directory, one file per kind; needs no cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..documents.read import read_documents
from ..errors import InputError, Problem
from ..files import to_make, write_whole
from ..kube.comparison import blanked
from ..model.objects.render import mesh_resources

if TYPE_CHECKING:
    from ..context import Context

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "catalogue": {"type": "dict", "required": True},
    "releases": {"type": "dict", "default": {}},
    "directory": {"type": "path", "required": True},
}
VARIABLES = {"releases": "mesh_releases", "directory": "mesh_render_directory"}
FILES: Mapping[str, str] = {
    "ServiceEntry": "service-entries.yaml",
    "Gateway": "gateways.yaml",
    "DestinationRule": "destination-rules.yaml",
    "VirtualService": "virtual-services.yaml",
    "Sidecar": "sidecars.yaml",
    "EnvoyFilter": "envoy-filters.yaml",
    "PeerAuthentication": "peer-authentications.yaml",
    "AuthorizationPolicy": "authorization-policies.yaml",
    "Telemetry": "telemetries.yaml",
    "ConfigMap": "config-maps.yaml",
}
"""File by kind. Files of kinds that the mesh no longer has are removed; others are left alone."""
KUSTOMIZATION = "kustomization.yaml"


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Backend of module ``render``.

    :returns: ``changed``, ``directory``, ``files``: name -> ``written``, ``removed`` or ``unchanged``, and
        ``diff`` in
        diff mode.
    :raises InputError: with every problem of the catalogue, or a directory that cannot be written.
    """
    objects = mesh_resources(params["catalogue"], params["releases"])
    wanted = files_of(objects, str(params["catalogue"].get("mesh_name", "")))
    directory = to_make(params["directory"], "directory").absolute()
    actions: dict[str, str] = {}
    diffs = []
    try:
        if not context.check_mode:
            directory.mkdir(parents=True, exist_ok=True)
        for name in (*FILES.values(), KUSTOMIZATION):
            before, after = _read(directory / name), wanted.get(name)
            if before == after:
                actions.update({name: "unchanged"} if after is not None else {})
                continue
            actions[name] = "written" if after is not None else "removed"
            shown = [_shown(text or "") for text in (before, after)]
            diffs.append({"before_header": name, "after_header": name, "before": shown[0], "after": shown[1]})
            if not context.check_mode:
                _write(directory / name, after)
    except OSError as error:
        message = f"{directory} cannot be written: {error.strerror or error}"
        raise InputError([Problem("mesh_render_directory", message, "directory")]) from error
    result = {"changed": bool(diffs), "directory": str(directory), "files": actions}
    return {**result, "diff": diffs} if context.diff_mode else result


def files_of(objects: Sequence[Mapping[str, Any]], mesh: str) -> dict[str, str]:
    """The text of each file, the list for kubectl and GitOps controllers included.

    :returns: file name -> content.
    """
    found = {}
    for kind, name in FILES.items():
        text = _dumped(obj for obj in objects if obj["kind"] == kind)
        if text:
            head = (
                f"# Computed by servicemesh.istio from the catalogue of mesh {mesh}. Changes belong there.\n"
            )
            found[name] = head + text
    names = "".join(f"  - {name}\n" for name in found)
    found[KUSTOMIZATION] = (
        f"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{names}"
    )
    return found


def _dumped(objects: Iterable[Any]) -> str:
    # Only this capability needs it, and a module imports everything above at each start.
    import yaml

    # libyaml's writer, ten times as fast, where PyYAML was built with it.
    base: type[yaml.SafeDumper] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

    class Dumper(base):  # type: ignore[misc, valid-type]  # a base that is chosen at run time
        """Writes every object out, also where two share a part."""

        def ignore_aliases(self, data: Any) -> bool:
            """No anchors: a reader of one object should need no other."""
            del data
            return True

    return "".join(
        "---\n"
        + yaml.dump(
            obj,
            Dumper=Dumper,
            indent=2,
            allow_unicode=True,
            default_flow_style=False,
            sort_keys=False,
            width=120,
        )
        for obj in objects
    )


def _shown(text: str) -> str:
    """A file for a diff: a route may match by a token."""
    try:
        objects = [value for value, _line in read_documents(text, "the file")]
    except InputError:
        return "(not shown: somebody made it something else than YAML)\n"
    shown = [blanked(obj) for obj in objects]
    return text if shown == objects else _dumped(shown)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        return ""


def _write(path: Path, text: str | None) -> None:
    """Replace the file as a whole, so that a GitOps controller never reads half of it."""
    if text is None:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        return
    write_whole(path, text)
