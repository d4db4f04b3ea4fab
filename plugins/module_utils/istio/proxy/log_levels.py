# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log levels of a proxy's loggers: read, raised, and set back.

Source: Envoy source/server/admin/logs_handler.cc (``/logging``), docs/root/operations/admin.rst.
"""

from __future__ import annotations

import dataclasses
import re
import urllib.parse
from collections import Counter
from collections.abc import Mapping

from ...errors import ApiError
from .admin import NO_GOOD_ANSWER, PodClient, admin_post
from .running import RunningProxy

LEVELS = ("trace", "debug", "info", "warning", "error", "critical", "off")
_LINE = re.compile(r"\s+(\S+): (\w+)")
_LOGGER = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclasses.dataclass(frozen=True, slots=True)
class LogLevels:
    """Levels of all loggers of a proxy: that of most of them, and those that differ.

    :param names: all loggers that it has, where they were read of a proxy.
    """

    usual: str
    others: Mapping[str, str]
    names: frozenset[str] = dataclasses.field(default=frozenset(), compare=False)

    def as_dict(self) -> dict[str, str]:
        """For a journal. :returns: logger -> level; ``*`` is every other one."""
        return {"*": self.usual, **self.others}


def levels_of(found: Mapping[str, str]) -> LogLevels:
    """What a journal, or a person, says: logger -> level, ``*`` for all."""
    return LogLevels(found.get("*", ""), {name: level for name, level in found.items() if name != "*"})


def wanted_levels(text: str) -> LogLevels | None:
    """What a person asks for: ``debug``, or ``rbac:debug,http:debug``; None for what is neither."""
    if text in LEVELS:
        return LogLevels(text, {})
    pairs = [part.strip().partition(":") for part in text.split(",")]
    sound = all(_LOGGER.fullmatch(name) and level in LEVELS for name, _colon, level in pairs)
    return LogLevels("", {name: level for name, _colon, level in pairs}) if sound else None


def read_levels(client: PodClient, proxy: RunningProxy) -> LogLevels:
    """The levels now. :raises ApiError: the proxy does not tell them."""
    lines = map(_LINE.fullmatch, admin_post(client, proxy, "logging").splitlines())
    found = {match[1]: match[2] for match in lines if match}
    if not found:
        message = f"the proxy of pod {proxy} does not tell its log levels"
        raise ApiError(message, reason=NO_GOOD_ANSWER, subject=f"Pod {proxy}")
    usual = Counter(found.values()).most_common(1)[0][0]
    others = {name: level for name, level in sorted(found.items()) if level != usual}
    return LogLevels(usual, others, frozenset(found))


def set_levels(client: PodClient, proxy: RunningProxy, levels: LogLevels) -> None:
    """Sets them: all loggers first, then those that differ. :raises ApiError: the proxy refuses."""
    if levels.usual:
        admin_post(client, proxy, f"logging?level={levels.usual}")
    if levels.others:
        pairs = ",".join(f"{name}:{level}" for name, level in sorted(levels.others.items()))
        admin_post(client, proxy, f"logging?{urllib.parse.urlencode({'paths': pairs})}")
