# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugin of module ``resources``: finds files on the controller, then runs the backend."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from ansible.errors import AnsibleError

from ..module_utils.operations.resources import backend as resources
from ..module_utils.operations.resources.files import read_sources
from ..plugin_utils.backend_action import BackendAction


class ActionModule(BackendAction):
    """Runs the backend in the controller when that is possible."""

    backend: ClassVar[Any] = resources
    handed_over = ("definition", "resource_definition", "inline", "catalogue")

    def read_files(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Read ``src`` and ``catalogue_src`` here, wherever the task runs, unless ``remote_src`` is set."""
        if str(arguments.get("remote_src", "no")).lower() in ("true", "yes", "on", "1"):
            return {}
        files = {}
        for option in resources.FILE_OPTIONS:
            paths = arguments.get(option)
            if paths:
                paths = [paths] if isinstance(paths, str) else [str(path) for path in paths]
                files[option] = read_sources([self._found(path) for path in paths], option)
        return files

    def _found(self, path: str) -> str:
        """A relative path counts from the role's or the playbook's ``files`` directory, as in ``copy``."""
        path = os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111
        if os.path.isabs(path):  # noqa: PTH117
            return path
        fixed, magic = _before_glob(path)
        find: Any = self._find_needle  # ansible-core has no types here
        try:
            return str(os.path.join(find("files", fixed or "."), magic)) if fixed else path  # noqa: PTH118
        except AnsibleError:
            return os.path.join(self._loader.get_basedir(), path)  # noqa: PTH118


def _before_glob(path: str) -> tuple[str, str]:
    """The part of a path before its first pattern, and the rest."""
    parts = path.split("/")
    for index, part in enumerate(parts):
        if any(mark in part for mark in "*?["):
            return "/".join(parts[:index]), "/".join(parts[index:])
    return path, ""
