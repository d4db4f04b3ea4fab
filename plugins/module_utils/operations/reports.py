# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the reports of a run in its cluster, and fetches them: a runner that is gone tomorrow loses nothing.

One ConfigMap per kind of report holds its files, compressed. It is bounded, because the API server takes no
object above about 1.5 MiB (etcd's request limit): what does not fit is left out and said.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..documents.json_text import from_json
from ..errors import InputError, MalformedError, Problem
from ..fields import mapping_at, text_at
from ..files import at_home, write_whole
from ..kube.options import CONNECTION_SPEC, ConnectionOptions
from ..labels import COLLECTION, MANAGED_BY_LABEL

if TYPE_CHECKING:
    from ..context import Context

LARGEST = 1_000_000
"""Bytes of all compressed files together, base64 included, that are kept at most."""
_LARGEST_FILE = 64 << 20
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?", re.ASCII)
_KEY = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}", re.ASCII
)  # of a ConfigMap, and of a file in a directory
_ENDING = ".gz"
ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION_SPEC,
    "state": {"type": "str", "choices": ["kept", "fetched"], "default": "kept"},
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "default": "servicemesh-system"},
    "directory": {"type": "path", "required": True},
    "limit": {"type": "int", "default": LARGEST},
}
VARIABLES = {"directory": "mesh_reports_directory", "namespace": "certificates_ca_namespace"}


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Backend of module ``reports``.

    :returns: ``changed`` (never: what a run leaves about itself is no change of the mesh), ``files``: names
        that are kept or were fetched, ``left_out``: names that did not fit, and ``object``: where.
    :raises InputError: bad options, or a directory that cannot be read or written.
    """
    problems = []
    if not _NAME.fullmatch(params["name"]):
        problems.append(Problem("name", "is no lower-case word such as verify", "name"))
    if not 1 <= params["limit"] <= LARGEST:
        problems.append(Problem("limit", f"is {params['limit']}, not from 1 to {LARGEST} bytes", "limit"))
    if problems:
        raise InputError(problems)
    name, namespace = f"servicemesh-reports-{params['name']}", params["namespace"]
    directory = at_home(params["directory"]).absolute()
    act = _keep if params["state"] == "kept" else _fetch
    connection = ConnectionOptions.from_params(params, context.environment)
    try:
        with context.client(connection) as client:
            files, left_out = act(client, (namespace, name), directory, params["limit"], context)
    except OSError as error:
        problem = f"{directory} cannot be used: {error.strerror or error}"
        raise InputError([Problem("mesh_reports_directory", problem, "directory")]) from error
    return {
        "changed": False,
        "files": files,
        "left_out": left_out,
        "object": f"ConfigMap {namespace}/{name}",
    }


def _keep(
    client: Any, place: tuple[str, str], directory: Path, limit: int, context: Context
) -> tuple[list[str], list[str]]:
    kept: dict[str, str] = {}
    digests: dict[str, str] = {}
    left_out, room, found = [], limit, _files(directory)
    if not found and not context.check_mode:
        context.warn(f"{directory} holds no report: nothing is kept in the cluster")
    for path in found:
        content = path.read_bytes()
        packed = base64.b64encode(gzip.compress(content, mtime=0)).decode()
        if len(packed) > room:
            left_out.append(path.name)
            context.warn(
                f"{path} is not kept in the cluster: with it the ConfigMap {place[0]}/{place[1]} would be "
                f"larger than {limit} bytes; keep it elsewhere, or report less"
            )
            continue
        room -= len(packed)
        kept[path.name] = packed
        digests[path.name] = hashlib.sha256(content).hexdigest()
    if kept and not context.check_mode:
        client.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "namespace": place[0],
                    "name": place[1],
                    "labels": {MANAGED_BY_LABEL: COLLECTION},
                },
                "data": {"sha256": json.dumps(digests, sort_keys=True)},
                "binaryData": {f"{name}{_ENDING}": packed for name, packed in kept.items()},
            },
            force=True,
        )
    return list(kept), left_out


def _files(directory: Path) -> list[Path]:
    """Regular files whose names a ConfigMap takes; those that a program reads come first."""
    if not directory.is_dir():
        return []
    found = [
        path
        for path in directory.iterdir()
        if _KEY.fullmatch(path.name) and path.is_file() and not path.is_symlink()
    ]
    return sorted(found, key=lambda path: (path.suffix != ".json", path.name))


def _fetch(
    client: Any, place: tuple[str, str], directory: Path, limit: int, context: Context
) -> tuple[list[str], list[str]]:
    """Write what is kept where there is no file yet: a newer one of this machine stays."""
    del limit
    found = client.get("v1", "ConfigMap", place[1], place[0])
    if found is None:
        return [], []
    digests = _digests(found)
    fetched, left_out = [], []
    for key in sorted(mapping_at(found, "binaryData")):
        name = key.removesuffix(_ENDING)
        if not _KEY.fullmatch(name) or name == key or (directory / name).exists():
            continue
        content = _unpacked(text_at(found, "binaryData", key))
        if content is None or hashlib.sha256(content).hexdigest() != digests.get(name):
            left_out.append(name)
            context.warn(f"ConfigMap {place[0]}/{place[1]}: {name} is not what was kept; it is not used")
            continue
        fetched.append(name)
        if not context.check_mode:
            directory.mkdir(parents=True, exist_ok=True)
            write_whole(directory / name, content.decode("utf-8", "replace"))
    return fetched, left_out


def _digests(found: Mapping[str, Any]) -> dict[str, str]:
    try:
        digests = from_json(text_at(found, "data", "sha256") or "{}")
    except ValueError as error:
        raise MalformedError(f"ConfigMap {found['metadata']['name']} data.sha256: is not JSON") from error
    return digests if isinstance(digests, dict) else {}


def _unpacked(packed: str) -> bytes | None:
    """What was compressed; nothing where it is damaged, or would fill the memory."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(base64.b64decode(packed, validate=True))) as file:
            content = file.read(_LARGEST_FILE + 1)
    except (OSError, EOFError, zlib.error, binascii.Error):
        return None
    return content if len(content) <= _LARGEST_FILE else None
