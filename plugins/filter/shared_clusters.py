# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``shared_clusters``: which hosts of a play reach one and the same cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MalformedError
from ansible_collections.servicemesh.istio.plugins.module_utils.fields import text_at

_NAMES = ("uid", "server")


def shared_clusters(hosts: Sequence[str], variables: Mapping[str, Any]) -> list[str]:
    """A sentence for each cluster that several of ``hosts`` reach.

    :param variables: of all hosts, by their names; each may hold a ``preflight_result``.
    :returns: the sentences. :raises AnsibleFilterError: a result is none of a preflight.
    """
    sentences = []
    for name in _NAMES:
        found: dict[str, list[str]] = {}
        for host in hosts:
            try:
                key = text_at(variables[host].get("preflight_result"), "cluster", name)
            except (MalformedError, KeyError, AttributeError) as error:
                raise AnsibleFilterError(f"{host} has no result of a preflight") from error
            if key:
                found.setdefault(key, []).append(host)
        for key, together in found.items():
            if len(together) > 1:
                what = f"cluster {key}" if name == "uid" else key
                sentences.append(
                    f"{', '.join(together)} reach the same cluster ({what}): give each cluster one host"
                )
        if sentences:
            break
    return sentences


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """:returns: name of the filter -> function."""
        return {"shared_clusters": shared_clusters}
