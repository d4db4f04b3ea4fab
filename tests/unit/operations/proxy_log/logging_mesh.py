# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A workload in memory whose proxies have log levels and write a log; its caller may be killed."""

from __future__ import annotations

import urllib.parse
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.proxy_log import backend

from ...support.arguments import validated
from ...support.certificates import NOW
from ...support.clock import FakeClock
from ...support.cluster import reaching
from ...support.mortal import Mortal
from ..observe.observed_mesh import CATALOGUE, HOME, SHOP, pod

LEVELS = {"admin": "warning", "http": "warning", "rbac": "warning", "misc": "error"}
GOOD = (
    '[2026-11-23T12:00:02.000Z] "GET /x HTTP/1.1" 200 - via_upstream - "-" 0 95 3 2 "-" "c" "id" "api" '
    '"10.0.0.7:3000" inbound|3000|| 127.0.0.6:1 10.0.0.7:3000 10.0.0.3:40000 - default'
)
BAD = GOOD.replace("200 - via_upstream", "503 UF,URX upstream_reset_before_response_started")
EARLY = GOOD.replace("12:00:02", "11:59:00")


class LoggingMesh(Mortal):
    """Two pods of service api.

    :ivar levels: pod -> its loggers' levels. :ivar raised: the levels seen while the log was read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = NOW
        self.time_of_run = FakeClock()
        self.time_of_run.time = NOW.timestamp()
        self.levels = {name: dict(LEVELS) for name in ("api-1", "api-2")}
        self.raised: list[dict[str, str]] = []
        self.seen: list[bool] = []
        self.texts = {"api-1": "\n".join((EARLY, GOOD, BAD)), "api-2": "2026 debug rbac checked\n"}
        for name in (HOME, SHOP):
            self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for name in self.levels:
            self.put(pod(SHOP, name, {"app": "api"}))
        self.on_ask = self._admin

    def _admin(self, _namespace: str, name: str, port: int, path: str) -> str:
        assert (port, path.partition("?")[0]) == (15000, "/logging")
        query = path.partition("?")[2]
        levels, asked = self.levels[name], dict(urllib.parse.parse_qsl(query))
        if "level" in asked:
            levels.update(dict.fromkeys(levels, asked["level"]))
        for pair in filter(None, asked.get("paths", "").split(",")):
            logger, _colon, level = pair.partition(":")
            if logger not in levels:
                return "error: unknown logger name\n"
            levels[logger] = level
        return "active loggers:\n" + "".join(f"  {key}: {value}\n" for key, value in levels.items())

    def logs(self, namespace: str, name: str, container: str | None = None, **_more: Any) -> str:
        """A container's log."""
        with self._call("logs", "Pod", namespace, name=name):
            self.raised.append(dict(self.levels[name]))
            self.seen.append(bool(self.of_kind("Telemetry")))
            return self.texts[name]

    def run(self, *, client: Any = None, check_mode: bool = False, **params: Any) -> dict[str, Any]:
        """The backend's result."""
        given = {"catalogue": CATALOGUE, "host": "https://api.example", "workload": "api", **params}
        checked = validated(backend.ARGUMENT_SPEC, given)
        stop = self.time_of_run
        context = Context(check_mode=check_mode, connect=reaching(client or self), clock=stop)
        result: dict[str, Any] = backend.run(checked, context)
        return result

    def revived(self) -> None:
        """A new process; nothing of the old one is left but what is in the cluster."""
        self.dead, self.kill_at, self.count = False, 0, 0

    @property
    def quiet(self) -> bool:
        """Whether nothing is switched on."""
        return not self.of_kind("Telemetry") and all(levels == LEVELS for levels in self.levels.values())
