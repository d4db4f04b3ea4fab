# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log levels of a proxy, as Envoy's admin interface tells and takes them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.log_levels import (
    LogLevels,
    levels_of,
    read_levels,
    set_levels,
    wanted_levels,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.running import RunningProxy
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.forwarding import PodAnswer

PROXY = RunningProxy("shop", "web-1", {}, "web", False, "1.31.1", "", "ReplicaSet/web")


class Admin:
    """Answers every request alike, and keeps what was asked."""

    def __init__(self, answer: str, status: int = 200) -> None:
        self.answer, self.status = answer, status
        self.asked: list[str] = []

    def ask_pod(
        self, _namespace: str, _pod: str, port: int, path: str, *, method: str, **_more: Any
    ) -> PodAnswer:
        assert (port, method) == (15000, "POST")
        self.asked.append(path.removeprefix("/"))
        return PodAnswer(self.status, self.answer)


def test_the_level_of_most_loggers_and_those_that_differ() -> None:
    told = "active loggers:\n  admin: warning\n  http2: warning\n  misc: error\n"
    found = read_levels(Admin(told), PROXY)
    assert found == LogLevels("warning", {"misc": "error"})
    assert found.names == {"admin", "http2", "misc"}
    assert levels_of(found.as_dict()) == found


@pytest.mark.parametrize("answer", ["", "active loggers:\n", "Unable to parse"])
def test_an_answer_without_levels_is_none(answer: str) -> None:
    with pytest.raises(ApiError, match="the proxy of pod shop/web-1 does not tell its log levels"):
        read_levels(Admin(answer), PROXY)


def test_all_loggers_first_then_those_that_differ() -> None:
    admin = Admin("active loggers:\n")
    set_levels(admin, PROXY, LogLevels("warning", {"rbac": "debug", "http": "info"}))
    assert admin.asked == ["logging?level=warning", "logging?paths=http%3Ainfo%2Crbac%3Adebug"]
    admin.asked.clear()
    set_levels(admin, PROXY, LogLevels("", {"rbac": "debug"}))
    assert admin.asked == ["logging?paths=rbac%3Adebug"]
    admin.asked.clear()
    set_levels(admin, PROXY, LogLevels("off", {}))
    assert admin.asked == ["logging?level=off"]


def test_a_proxy_that_does_not_answer() -> None:
    with pytest.raises(ApiError, match="the proxy of pod shop/web-1 did not answer: HTTP 503, no message"):
        read_levels(Admin("", 503), PROXY)


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("debug", LogLevels("debug", {})),
        ("off", LogLevels("off", {})),
        ("rbac:debug,http:trace", LogLevels("", {"rbac": "debug", "http": "trace"})),
        ("rbac:debug, http:trace", LogLevels("", {"rbac": "debug", "http": "trace"})),
        ("loud", None), ("rbac", None), ("rbac:loud", None), ("a b:debug", None), ("rbac:debug,", None),
        ("rbac&level=trace:debug", None),
    ],
)  # fmt: skip
def test_what_a_person_asks_for(text: str, levels: LogLevels | None) -> None:
    assert wanted_levels(text) == levels
