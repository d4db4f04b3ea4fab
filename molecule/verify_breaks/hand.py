"""Somebody's hand in the mesh: makes a break of breaks/list.yml, and takes it back. kubectl does the work.

hand.py break|repair BREAK BEFORE KUBECTL [OPTION ...], the break as JSON. `break` prints what it takes away
or changes of the catalogue's objects, as it was; `repair` gets that as BEFORE.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

Object = dict[str, Any]
WAIT = "--timeout=60s"
# Proxies have a change within about a second; verify reads them all once more when one is late.
UNTIL_PROXIES_HAVE_IT = 1.0
WRITTEN_BY_THE_SERVER = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid")


class Hand:
    """kubectl, as an administrator."""

    def __init__(self, kubectl: Sequence[str]) -> None:
        self._kubectl = kubectl

    def run(self, *words: str, objects: Sequence[Object] = ()) -> str:
        """Run it on some objects. :raises SystemExit: it failed, with what it said."""
        given = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        command = [*self._kubectl, *words, *(["--filename=-"] if objects else [])]
        done = subprocess.run(command, check=False, input=given, text=True, capture_output=True)
        if done.returncode:
            sys.exit(f"kubectl {words[0]}: {done.stderr.strip()}")
        return done.stdout

    def patch(self, objects: Sequence[Object]) -> None:
        """Merge each into the one of its name."""
        for item in objects:
            meta = item["metadata"]
            where = (item["kind"], meta["name"], f"--namespace={meta['namespace']}")
            self.run("patch", *where, "--type=merge", f"--patch={json.dumps(item)}")

    def as_they_are(self, objects: Sequence[Object]) -> list[Object]:
        """The objects of these names, fit to be created again."""
        answer = json.loads(self.run("get", "--output=json", objects=objects))
        found: list[Object] = answer["items"] if answer["kind"] == "List" else [answer]
        for item in found:
            item.pop("status", None)
            for name in WRITTEN_BY_THE_SERVER:
                item["metadata"].pop(name, None)
        return found


def several(value: Any) -> list[Object]:
    """What stands under a key that takes one object, a list of them, or is not there."""
    return value if isinstance(value, list) else [value] if value else []


def make(hand: Hand, item: Object) -> None:
    """Break the mesh; whoever comes next sees pods that are ready, and objects that are gone."""
    add, delete = several(item.get("add")), several(item.get("delete"))
    remove, patch = several(item.get("remove")), several(item.get("patch"))
    own = [*remove, *([] if item.get("undo") else patch)]
    print(json.dumps(hand.as_they_are(own) if own else []), flush=True)
    namespaces = [one for one in add if one["kind"] == "Namespace"]
    rest = [one for one in add if one not in namespaces]
    for one in namespaces:
        hand.run("create", objects=[one])
        name = one["metadata"]["name"]
        hand.run("wait", "serviceaccount/default", f"--namespace={name}", "--for=create", WAIT)
    if rest:
        hand.run("create", objects=rest)
    pods = [one for one in add if one["kind"] == "Pod"]
    if pods:
        hand.run("wait", "--for=condition=Ready", WAIT, objects=pods)
    if delete:
        hand.run("delete", "--wait=false", objects=delete)
    if remove:
        hand.run("delete", WAIT, objects=remove)
    hand.patch(patch)
    time.sleep(UNTIL_PROXIES_HAVE_IT)


def take_back(hand: Hand, item: Object, before: Sequence[Object]) -> None:
    """Leave the mesh as it was, also after a break that came half way."""
    add = several(item.get("add"))
    if add:
        at_once = ["--force", "--grace-period=0"] if item.get("delete") else []
        hand.run("delete", "--ignore-not-found", WAIT, *at_once, objects=add)
    hand.patch(several(item.get("undo")))
    if before:
        hand.run("replace", "--force", WAIT, objects=before)


if __name__ == "__main__":
    what, item, before, *kubectl = sys.argv[1:]
    if what == "break":
        make(Hand(kubectl), json.loads(item))
    else:
        take_back(Hand(kubectl), json.loads(item), json.loads(before or "[]"))
