# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup ``clusters``: the hosts of a play, and that there are some."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible import context
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.plugins.lookup import LookupBase

from ..module_utils.errors import nearest

GROUP = "istio"
PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
TAGS = (
    "preflight",
    "istio",
    "injection",
    "addons",
    "certificates",
    "mesh_ca",
    "mesh",
    "verify",
    "observe",
    "canary",
    "diagnose",
    "render",
    "bill",
    "trust",
)
SPECIAL_TAGS = ("all", "always", "never", "tagged", "untagged")


class LookupModule(LookupBase):
    """Refuses a run that would do nothing and end well."""

    def run(
        self, terms: Sequence[Any], variables: Mapping[str, Any] | None = None, **_unused: Any
    ) -> list[str]:
        """The pattern of the clusters."""
        options: Mapping[str, Any] = context.CLIARGS
        given = variables or {}
        groups: Mapping[str, Sequence[str]] = given.get("groups") or {}
        wish = pattern_of(terms)
        pattern = wish or (GROUP if groups.get(GROUP) else "all:!localhost")
        if options.get("syntax"):
            return [pattern]
        ours = playbooks_of(options.get("args") or ())
        check_tags([str(tag) for tag in given.get("ansible_run_tags") or ()], ours)
        self._check_hosts(groups, pattern, wish, str(options.get("subset") or "") if ours else "")
        return [pattern]

    def _check_hosts(self, groups: Mapping[str, Sequence[str]], pattern: str, wish: str, limit: str) -> None:
        loader: Any = self._loader  # a lookup of a run has one; the type says that it may not
        manager: Any = InventoryManager(loader, parse=False)
        for group, hosts in groups.items():
            manager.add_group(group)
            for host in hosts:
                manager.add_host(host, group=group)
        found = [host.name for host in manager.get_hosts(pattern=pattern)]
        if not found:
            said = f"mesh_hosts is {wish!r}, which matches none" if wish else "none of its hosts is a cluster"
            raise AnsibleError(
                f"The inventory has no cluster: {said}. Give an inventory with one host for each cluster "
                "(-i inventories/mine; inventories/example is one to copy), or say in mesh_hosts which hosts "
                "are clusters."
            )
        if limit:
            manager.subset(limit)
            if not manager.get_hosts(pattern=pattern):
                raise AnsibleError(f"--limit {limit} leaves none of the clusters ({', '.join(found[:10])}).")


def pattern_of(terms: Sequence[Any]) -> str:
    """A list of names or one pattern, as one pattern; "" where nothing is wished."""
    words = [word for term in terms for word in (term if isinstance(term, (list, tuple)) else [term])]
    return ",".join(str(word).strip() for word in words if str(word).strip())


def playbooks_of(arguments: Sequence[Any]) -> list[str]:
    """Names of our own playbooks, when the run has no others.

    :returns: such as ``["site"]``; empty when a person's own playbook imports ours, with own tags and hosts.
    """
    found = []
    for argument in map(str, arguments):
        path = Path(argument)
        if argument.startswith("servicemesh.istio."):
            found.append(argument.rpartition(".")[2])
        elif path.resolve().parent == PLAYBOOKS:
            found.append(path.stem)
        else:
            return []
    return found


def tags_in(playbook: str) -> set[str]:
    """The tags of one of our playbooks; one that imports others has those of all."""
    text = (PLAYBOOKS / f"{playbook}.yml").read_text(encoding="utf-8")
    imported = re.findall(r"import_playbook: (\w+)\.yml", text)
    if imported:
        return {tag for name in imported for tag in tags_in(name)}
    return {tag.strip() for found in re.findall(r"tags: \[([^\]]*)\]", text) for tag in found.split(",")}


def check_tags(tags: Sequence[str], ours: Sequence[str]) -> None:
    """Refuse tags that no task has.

    :param ours: names of our playbooks, when there are no others; else only what looks misspelt is refused.
    :raises AnsibleError: with the tag that was probably meant.
    """
    known = {tag for name in ours for tag in tags_in(name)} if ours else {*TAGS}
    for tag in tags:
        if tag in known or tag in SPECIAL_TAGS:
            continue
        near = nearest(tag, sorted(known))
        if ours or (near and tag not in TAGS):
            raise AnsibleError(
                f"--tags {tag}: no task has this tag{near}. Tags of {', '.join(ours) or 'the playbooks'}: "
                f"{', '.join(sorted(known))}."
            )
