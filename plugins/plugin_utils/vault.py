# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of Ansible Vault, opened in memory by the loader of the run: nothing reaches a disk or a log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError

from ..module_utils.documents.read import read_document
from ..module_utils.errors import InputError, Problem

_MAGIC = b"$ANSIBLE_VAULT;"
# Fields of a kubeconfig that are paths, counted from the directory of the kubeconfig.
_CLUSTER_FILES = ("certificate-authority",)
_USER_FILES = ("client-certificate", "client-key", "tokenFile")


def is_vaulted(path: str | Path) -> bool:
    """Whether a file is encrypted; what cannot be read is not."""
    try:
        with Path(path).open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def opened(path: str | Path, loader: Any) -> bytes:
    """The content of a file, decrypted when it has to be.

    :param loader: the run's DataLoader, which knows the passwords.
    :raises InputError: no password fits. :raises OSError: the file cannot be read.
    """
    if not is_vaulted(path):
        return Path(path).read_bytes()
    try:
        text = loader.get_text_file_contents(str(path))
    except AnsibleError as error:
        message = "is encrypted with Ansible Vault, and no password of this run opens it"
        raise InputError([Problem(str(path), message, "vault")]) from error
    return str(text).encode()


def opened_kubeconfig(path: str, loader: Any) -> Any:
    """A vaulted kubeconfig as a mapping, with the paths in it made absolute; anything else as it is.

    :param path: one path; several joined by colons are not opened.
    """
    if not is_vaulted(path):
        return path
    content = read_document(opened(path, loader).decode("utf-8", "replace"), path)
    if not isinstance(content, Mapping):
        raise InputError([Problem(path, "holds no kubeconfig", "kubeconfig")])
    home = Path(path).parent
    for entries, part, files in (("clusters", "cluster", _CLUSTER_FILES), ("users", "user", _USER_FILES)):
        for entry in content.get(entries) or []:
            inner = entry.get(part) if isinstance(entry, dict) else None
            if isinstance(inner, dict):
                inner.update({name: str(home / inner[name]) for name in files if inner.get(name)})
                _absolute_command(inner.get("exec"), home)
    return content


def _absolute_command(plugin: Any, home: Path) -> None:
    """A program that is named by a path counts from the kubeconfig; a bare name is found on PATH."""
    if isinstance(plugin, dict) and "/" in str(plugin.get("command") or ""):
        plugin["command"] = str(home / str(plugin["command"]))
