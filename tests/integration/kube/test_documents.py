"""Texts mean what kubectl takes them for: the table of the unit tests, asked of the real program."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.documents.read import read_document

from ...unit.documents.test_read import READ_BY_KUBECTL

HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
KUBECTL = (
    os.environ.get("LAB_KUBECTL") or shutil.which("kubectl") or "/var/cache/servicemesh-istio-lab/bin/kubectl"
)


def by_kubectl(text: str) -> dict:
    """What kubectl makes of a manifest, without a server."""
    done = subprocess.run(
        [KUBECTL, "patch", "--local", "--type=merge", "-p", "{}", "-f", "-", "-o", "json"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def test_scalars():
    lines = [f"  - {text}\n" for text, _value in READ_BY_KUBECTL]
    text = f"{HEAD}spec:\n{''.join(lines)}"
    there, here = by_kubectl(text)["spec"], read_document(text, "f")["spec"]
    for (scalar, _value), one, other in zip(READ_BY_KUBECTL, there, here, strict=True):
        assert json.dumps(one) == json.dumps(other), scalar


@pytest.mark.parametrize(
    "text",
    [
        "spec: {a: &x [1], b: *x, c: &x 2, d: *x}\n",
        "base: &b {p: 1, q: 2}\nspec: {<<: *b, q: 3}\n",
        "spec: {'<<': 1, b: <<}\n",
        "spec: |\n  a\n  b\nmore: >-\n  a\n  b\n",
        "spec: {1: a, 1.5: b, true: c, -7: d}\n",
    ],
)
def test_structures(text):
    assert by_kubectl(HEAD + text) == read_document(HEAD + text, "f")


def test_json():
    text = json.dumps({"apiVersion": "v1", "kind": "X", "metadata": {"name": "a"}, "x": ["😀", 1.0, 1e3]})
    there, here = by_kubectl(text), read_document(text, "f")
    assert json.dumps(there["x"]) == json.dumps(here["x"])
