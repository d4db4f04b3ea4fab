# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one reader of YAML and JSON: files, definitions, rendered manifests, kubeconfigs, texts in ConfigMaps.

Values are what Kubernetes reads (sigs.k8s.io/yaml over go.yaml.in/yaml/v2: YAML 1.1 words, dates as text), or
the text is refused with file, line and rule. Refused, although kubectl takes them: duplicate keys, keys that
Kubernetes would rewrite (``on:`` becomes ``"true"``), whole numbers that it would round, tags beyond those of
JSON's types, half surrogate pairs. No message quotes a value: it may be a secret.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import InputError, Problem
from .json_text import read_json
from .yaml_events import read_yaml


def read_documents(text: str, about: str) -> list[tuple[Any, int]]:
    """All documents of a text, empty ones left out.

    :param about: where the text comes from, such as a path; messages begin with it.
    :returns: pairs of a value (mapping, list or scalar, as ``json.loads`` builds them) and the line of the
        text (from 1) on which it begins. Values that an alias repeats are one and the same object.
    :raises InputError: neither YAML nor JSON, or something that the module's docstring names.
    """
    text = text.removeprefix("\ufeff")
    with _without_collector():
        found = read_json(text, about) if text.lstrip()[:1] in ("{", "[") else None
        if found is None:
            found = read_yaml(text, about)
    return [(value, line) for value, line in found if value is not None]


def read_document(text: str, about: str) -> Any:
    """The one document of a text; ``None`` when it is empty.

    :raises InputError: as ``read_documents``, and when there are several.
    """
    found = read_documents(text, about)
    if len(found) > 1:
        message = "begins a second document where one is expected"
        raise InputError([Problem(f"{about}:{found[1][1]}", message, "yaml")])
    return found[0][0] if found else None


@contextmanager
def _without_collector() -> Iterator[None]:
    """Python's cycle collector walks everything again and again while nothing but new values are made.

    That is a third of the time for a large text, and none of them is a cycle.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
