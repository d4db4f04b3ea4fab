# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugin of module ``proxy_log``."""

from __future__ import annotations

from typing import Any, ClassVar

from ..module_utils.operations.proxy_log import backend
from ..plugin_utils.backend_action import BackendAction


class ActionModule(BackendAction):
    """Runs the backend in the controller when that is possible."""

    backend: ClassVar[Any] = backend
