# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A large mesh, looked at as a whole: the work grows with its objects, not with their product."""

from __future__ import annotations

import time

from .healthy_mesh import Healthy, allow, diagnose, istio, pod, route, service, to


def mesh(count: int) -> Healthy:
    cluster = Healthy()
    for number in range(count):
        name = f"s{number}"
        cluster.put(service(name))
        cluster.put(pod(f"{name}-1", labels={"version": "v1"}))
        cluster.put(
            istio(
                "DestinationRule",
                name,
                {"host": name, "subsets": [{"name": "v1", "labels": {"version": "v1"}}]},
            )
        )
        cluster.put(route(name, {"hosts": [name], "http": [to(name, subset="v1")]}))
        cluster.put(allow(name, "shop/web"))
    return cluster


def seconds(count: int) -> float:
    cluster = mesh(count)
    begin = time.process_time()
    result = diagnose(cluster)
    assert (result["causes"], result["status"]) == ([], "pass")
    return time.process_time() - begin


def test_the_work_grows_with_the_mesh() -> None:
    small = seconds(30)
    assert seconds(120) < 8 * small + 0.5
