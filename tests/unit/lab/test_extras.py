"""Images that a running cluster gets on request."""

from __future__ import annotations

import tarfile

import pytest

from lab import extras
from lab.cluster import Cluster
from lab.errors import LabError
from lab.golang import Go

CLUSTER = Cluster("x", 1)


@pytest.fixture
def built(tmp_path, monkeypatch):
    """A program that is built in no time. :returns: the commands that were run."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    (tmp_path / "jaeger").write_text("program")
    monkeypatch.setattr(extras, "find_go", lambda: Go("go", "go1.26.8"))
    monkeypatch.setattr(extras, "build", lambda _module, _go: tmp_path)
    return []


def test_an_image_is_imported_once(built, monkeypatch):
    held = ""

    def run(command):
        nonlocal held
        built.append(command[command.index("images") + 1])
        if "import" not in command:
            return held
        with tarfile.open(command[-1]) as archive:
            assert "manifest.json" in archive.getnames()
        held = f"{extras.JAEGER_IMAGE}\n"
        return ""

    monkeypatch.setattr(extras, "_run", run)
    assert extras.load(CLUSTER, "jaeger") == extras.load(CLUSTER, "jaeger") == "lab.local/jaeger:2.13.0"
    assert built == ["ls", "import", "ls"]


def test_a_cluster_that_does_not_run_is_one_clear_line(built, monkeypatch):
    monkeypatch.setattr(extras.containerd, "ctr", lambda *_words: ["sh", "-c", "echo no socket >&2; exit 1"])
    with pytest.raises(LabError, match=r"does the cluster run\?\): no socket"):
        extras.load(CLUSTER, "jaeger")
