# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster with the finished mesh of `inventories/lab`: `KUBECONFIG=... pytest tests/integration/diagnose`.

Problems are planted in a namespace of their own, one after the other, and taken back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import KubeClient

from ..finished_mesh import client, kubeconfig, raw
from .sick import Sick

__all__ = ["client", "kubeconfig", "raw"]


@pytest.fixture(scope="module")
def sick(client: KubeClient, kubeconfig: str, raw: dict[str, Any]) -> Iterator[Sick]:
    """The place of the problems, gone before the next suite looks at the whole cluster."""
    place = Sick(client, kubeconfig, raw)
    place.build()
    yield place
    place.remove()
