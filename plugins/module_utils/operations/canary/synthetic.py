# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of our own, for services with too little traffic: a command in a caller's pod."""

from __future__ import annotations

from typing import Any

from ...errors import MeshError
from ...fields import name_of
from ...kube.pods import takes_requests
from ...model.rollout.settings import Synthetic

LONGEST = 20.0  # seconds that the command may take


def send_requests(client: Any, wish: Synthetic) -> str:
    """Runs the command in one ready pod. :returns: trouble, empty for none."""
    pods = client.list("v1", "Pod", wish.namespace, label_selector=wish.selector).items
    ready = [pod for pod in pods if takes_requests(pod)]
    if not ready:
        return f"no ready pod with labels {wish.selector} in {wish.namespace}"
    name = name_of(ready[0])
    try:
        done = client.exec(wish.namespace, name, wish.container, list(wish.command), timeout=LONGEST)
    except MeshError as error:
        return str(error)
    return "" if done.returncode == 0 else f"the command in pod {name} ended with {done.returncode}"
