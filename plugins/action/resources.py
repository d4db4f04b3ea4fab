# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugin of module ``resources``: finds files on the controller, then runs the backend."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from ansible.errors import AnsibleError

from ..module_utils.errors import InputError, Problem
from ..module_utils.operations.resources import backend as resources
from ..module_utils.operations.resources.files import Source, read_sources
from ..module_utils.words import told_path
from ..plugin_utils.backend_action import BackendAction, plain
from ..plugin_utils.templates import rendered, template_entries
from ..plugin_utils.vault import is_vaulted, opened


class ActionModule(BackendAction):
    """Runs the backend in the controller when that is possible."""

    backend: ClassVar[Any] = resources
    handed_over = ("definition", "resource_definition", "inline", "catalogue")

    def read_files(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Read ``src`` and ``catalogue_src`` here, wherever the task runs, unless ``remote_src`` is set.

        A ``template`` is always read and rendered here.
        """
        files: dict[str, Any] = {}
        if arguments.get("template"):
            files["template"] = self._templates(arguments["template"])
        if str(arguments.get("remote_src", "no")).lower() in ("true", "yes", "on", "1"):
            return files
        for option in ("src", "catalogue_src"):
            paths = arguments.get(option)
            if paths:
                paths = [paths] if isinstance(paths, str) else [str(path) for path in paths]
                found = [self._found(path) for path in paths]
                files[option] = read_sources(found, self._told_as(option), read=self._content)
        return files

    def _told_as(self, option: str) -> str:
        """The name that a person knows: the role's variable where the role runs the task."""
        variable = self._variable_of(option)
        return variable if variable in self._variables else option

    def _content(self, path: Path) -> tuple[bytes, bool]:
        return opened(path, self._loader), is_vaulted(path)

    def _templates(self, value: Any) -> list[Source]:
        where = self._told_as("template")
        sources = []
        for index, entry in enumerate(template_entries(value, where)):
            path = self._template_path(str(entry.pop("path")), f"{where}[{index}]")
            for source in read_sources([path], f"{where}[{index}]", read=self._content):
                text = rendered(
                    source["text"],
                    source["path"],
                    entry,
                    templar=self._templar,
                    variables=self._variables,
                    where=f"{where}[{index}]",
                )
                sources.append({**source, "path": f"{source['path']} (rendered)", "text": plain(text)})
        return sources

    def _template_path(self, path: str, where: str) -> str:
        """A relative path counts from ``templates`` of the role or playbook, as in ``template``."""
        # Not Path: it knows no answer for ~somebody who has no home, and drops a slash at the end.
        path = os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111 - see above
        if not path.strip():  # else it would be the directory of the templates, with all that is in it
            raise InputError([Problem(where, "is empty", "file")])
        find: Any = self._find_needle  # ansible-core has no types here
        fixed, magic = _before_glob(path)
        try:
            found = str(find("templates", fixed or "."))
        except AnsibleError as error:
            message = f"no such file or directory: {told_path(path)}"
            raise InputError([Problem(where, message, "file")]) from error
        return os.path.join(found, magic) if magic else found  # noqa: PTH118 - text, like what is found

    def _found(self, path: str) -> str:
        """A relative path counts from the role's or the playbook's ``files`` directory, as in ``copy``."""
        path = os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111 - text, as below
        if os.path.isabs(path):  # noqa: PTH117 - as below
            return path
        fixed, magic = _before_glob(path)
        find: Any = self._find_needle  # ansible-core has no types here
        try:
            return str(os.path.join(find("files", fixed or "."), magic)) if fixed else path  # noqa: PTH118 - as above
        except AnsibleError:
            return os.path.join(self._loader.get_basedir(), path)  # noqa: PTH118 - as above


def _before_glob(path: str) -> tuple[str, str]:
    """The part of a path before its first pattern, and the rest."""
    parts = path.split("/")
    for index, part in enumerate(parts):
        if any(mark in part for mark in "*?["):
            return "/".join(parts[:index]), "/".join(parts[index:])
    return path, ""
