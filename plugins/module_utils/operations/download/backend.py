# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps a verified copy of a file, or of a part of an archive: fetched once per machine, checked at every
use."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError, MeshError, Problem
from ...istio.installation.cache import cache_directory
from .store import Store, WantedFile

if TYPE_CHECKING:
    from ...context import Context

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "url": {"type": "str", "required": True},
    "checksum": {"type": "str", "default": ""},
    "member": {"type": "str", "default": ""},
    "directory": {"type": "path"},
    "advice": {"type": "str", "default": ""},
    "required": {"type": "bool", "default": True},
}
_SYSTEMS = {"Linux": "linux", "Darwin": "osx"}
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "armv7l": "armv7"}
_URL = re.compile(r"(https?|file)://[^\s]+")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MEMBER = re.compile(r"(?!/)(?!(.*/)?\.\.(/|\Z))[\w.+/-]*", re.ASCII)


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Backend of module ``download``.

    :returns: ``path`` of the verified copy, ``url`` and ``sha256`` of what was fetched, ``downloaded``:
        whether it was fetched now, ``reason``: why there is none. Never changed: a cache is no state of
        anybody's cluster, and check mode needs it, too.
    :raises InputError: bad options. :raises MeshError: it cannot be fetched, or is not what the checksum
        says, and it is required.
    """
    wanted = _wanted(params)
    given = params.get("directory")
    root = Path(given) if given else cache_directory(context.environment, "downloads")
    try:
        path, digest, downloaded = Store(root, context).provide(wanted)
    except MeshError as error:
        if params["required"]:
            raise
        context.warn(error.message)
        nothing = {"path": "", "downloaded": False, "reason": error.message}
        return {"changed": False, **nothing, "url": wanted.url, "sha256": wanted.digest}
    return {
        "changed": False,
        "path": str(path),
        "url": wanted.url,
        "sha256": digest,
        "downloaded": downloaded,
        "reason": "",
    }


def on_this_machine(url: str) -> str:
    """A URL with ``{system}`` and ``{machine}`` filled in, as Istio and Helm name them."""
    url = url.replace("{system}", _SYSTEMS.get(platform.system(), platform.system().lower()))
    return url.replace("{machine}", _MACHINES.get(platform.machine(), platform.machine()))


def _wanted(params: Mapping[str, Any]) -> WantedFile:
    problems = []
    url = on_this_machine(params["url"])
    if not _URL.fullmatch(url):
        problems.append(Problem("url", "is no URL that begins with https://, http:// or file://", "url"))
    checksum = params["checksum"].strip().removeprefix("sha256:").strip()
    digest = checksum.lower() if _DIGEST.fullmatch(checksum.lower()) else ""
    source = "" if digest else checksum or f"{url}.sha256"
    if source and not _URL.fullmatch(source):
        message = "is neither the sha256 of the file (64 hexadecimal digits) nor a URL of it"
        problems.append(Problem("checksum", message, "checksum"))
    if not _MEMBER.fullmatch(params["member"]):
        problems.append(Problem("member", "is no path inside an archive", "member"))
    if problems:
        raise InputError(problems)
    wanted = WantedFile(url, digest, source, params["member"].rstrip("/"), params["advice"])
    return dataclasses.replace(wanted, key=_key(wanted))


def _key(wanted: WantedFile) -> str:
    """A name that a person recognises, and that no other source has."""
    name = re.sub(r"\.(tar\.gz|tgz)\Z", "", wanted.url.rpartition("/")[2])
    origin = hashlib.sha256(f"{wanted.url}\n{wanted.member}".encode()).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', name)[:80]}-{origin[:12]}"
