# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster with the finished mesh, and the add-on samples of the Istio that the lab is built from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab import programs
from lab.golang import find_go

from ..finished_mesh import client, kubeconfig, raw

__all__ = ["client", "kubeconfig", "raw"]


@pytest.fixture(scope="session")
def samples() -> Path:
    """The directory `samples/addons` of the Istio module."""
    go = find_go()
    command = [go.command, "list", "-m", "-f", "{{.Dir}}", "istio.io/istio"]
    where, environment = programs.istio_module().directory, go.environment()
    shown = subprocess.run(
        command, cwd=where, env=environment, check=True, capture_output=True, text=True, timeout=120
    )
    return Path(shown.stdout.strip()) / "samples" / "addons"
