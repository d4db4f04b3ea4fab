"""Generated sets of kubeconfig files: names that meet, entries that overlap, relative paths."""

from __future__ import annotations

import base64
import json
import os
import random
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PLUGIN = """#!/bin/sh
printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s-%s"}}' \
  "$(basename "$(dirname "$0")")" "$WHO"
"""
_API = "client.authentication.k8s.io/v1"
_NAMES = ("red", "blue", "green")


class KubeconfigSet:
    """Some files below a directory, and the value of ``KUBECONFIG`` that names them.

    :ivar servers: URLs that its clusters have, each with a path of its own.
    """

    def __init__(self, directory: Path, seed: int, server: str, authorities: Sequence[bytes]) -> None:
        self._random = random.Random(seed)
        self._server = server
        self._authorities = authorities  # the server's, and another one
        self.directory = directory
        places = self._random.sample(["a", "b", "c/d"], k=self._random.randint(1, 3))
        listed = [self._file(place) for place in places]
        if self._maybe(0.2):
            listed.insert(self._random.randint(0, len(listed)), "missing/config")
        if self._maybe(0.15):
            listed.insert(self._random.randint(0, len(listed)), "")
        if self._maybe(0.15):
            listed.append(self._random.choice(listed))
        self.files = listed
        self.variable = os.pathsep.join(listed)
        self.context = self._random.choice(_NAMES) if self._maybe(0.3) else ""

    def _maybe(self, chance: float) -> bool:
        return self._random.random() < chance

    def _file(self, place: str) -> str:
        folder = self.directory / place
        folder.mkdir(parents=True)
        for name in ("token", "other-token"):
            (folder / name).write_text(f"{name}-of-{place}" + self._random.choice(["", "\n", " \n\n"]))
        for name, authority in zip(("ca.crt", "other-ca.crt"), self._authorities, strict=True):
            (folder / name).write_bytes(authority)
        plugin = folder / "plugin"
        plugin.write_text(PLUGIN)
        plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": self._entries("cluster", lambda: self._cluster(place)),
            "users": self._entries("user", lambda: self._user(place)),
            "contexts": self._entries("context", self._context),
        }
        for key in list(content):
            if self._maybe(0.05):
                del content[key]
        if self._maybe(0.7):
            content["current-context"] = self._random.choice([*_NAMES, ""])
        path = folder / "config"
        # JSON is YAML, too; an empty file is a kubeconfig without entries.
        path.write_text("" if self._maybe(0.05) else json.dumps(content, indent=1))
        return f"{place}/config"

    def _entries(self, key: str, make: Any) -> list[dict[str, Any]]:
        names = [name for name in _NAMES if self._maybe(0.7)]
        self._random.shuffle(names)
        return [{"name": name, key: make()} for name in names]

    def _cluster(self, place: str) -> dict[str, Any]:
        path = f"{place.replace('/', '-')}-{self._random.randint(0, 9)}"
        found: dict[str, Any] = {"server": f"{self._server}/{path}"}
        trust = self._random.choice(["file", "file", "data", "none", "flag", "wrong"])
        if trust in ("file", "wrong"):
            file = "ca.crt" if trust == "file" else "other-ca.crt"
            above = "../" + place.rpartition("/")[2] + "/"
            found["certificate-authority"] = self._random.choice(["", "./", above]) + file
        elif trust == "data":
            found["certificate-authority-data"] = base64.b64encode(self._authorities[0]).decode()
        if trust == "flag" or self._maybe(0.05):
            found["insecure-skip-tls-verify"] = True
        if self._maybe(0.2):
            found["tls-server-name"] = self._random.choice(["api.internal", "x"])
        if self._maybe(0.1):
            found["disable-compression"] = self._maybe(0.5)
        if self._maybe(0.05):
            del found["server"]
        return found

    def _context(self) -> dict[str, Any]:
        found = {"cluster": self._random.choice(_NAMES), "user": self._random.choice(_NAMES)}
        if self._maybe(0.3):
            found["namespace"] = self._random.choice(["shop", "back"])
        return found

    def _user(self, place: str) -> dict[str, Any]:
        kind = self._random.choice(
            ["token", "file", "file", "both", "basic", "exec", "exec", "none", "clash"]
        )
        found: dict[str, Any] = {}
        if kind in ("token", "both", "clash"):
            found["token"] = f"inline-{place}"
        if kind in ("file", "both"):
            name = self._random.choice(
                ["token", "./token", "../" + place.rpartition("/")[2] + "/other-token"]
            )
            found["tokenFile"] = str(self.directory / place / "token") if self._maybe(0.2) else name
        if kind in ("basic", "clash"):
            found |= {"username": f"user-{place}", "password": "pass:wörd"}
        if kind == "exec":
            found["exec"] = {
                "apiVersion": _API,
                "command": self._random.choice(["./plugin", "../" + place.rpartition("/")[2] + "/plugin"]),
                "env": [{"name": "WHO", "value": f"who-{self._random.randint(0, 3)}"}],
                "interactiveMode": self._random.choice(["Never", "IfAvailable"]),
            }
        if self._maybe(0.3):
            found["as"] = self._random.choice(["dev", "system:serviceaccount:shop:web"])
            if self._maybe(0.5):
                found["as-groups"] = self._random.sample(["one", "two", "three"], k=2)
            if self._maybe(0.3):
                found["as-uid"] = "42"
            if self._maybe(0.3):
                found["as-user-extra"] = {"example.com/team%": ["red", "blue"], "plain": ["x"]}
        elif self._maybe(0.05):
            found["as-groups"] = ["alone"]
        return found
