"""A download is whole, verified at every use, fetched once, and needs no home."""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError, MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.cache import (
    cache_directory,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.download import backend

PROGRAM = b"#!/bin/sh\necho 1.31.1\n"


class Still:
    """A clock on which waiting takes no time."""

    def now(self) -> float:
        return 0.0

    monotonic = now

    def sleep(self, seconds: float) -> None:
        """Nobody waits."""


def archive(path: Path, files: Mapping[str, bytes]) -> str:
    with tarfile.open(path, "w:gz") as content:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            content.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("samples/addons/outside")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        content.addfile(link)
    return publish(path)


def publish(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(f"{path.name}.sha256").write_text(f"{digest}  {path.name}\n")
    return digest


@pytest.fixture
def release(tmp_path: Path) -> Path:
    path = tmp_path / "release" / "istioctl-1.31.1.tar.gz"
    path.parent.mkdir()
    archive(
        path, {"istioctl": PROGRAM, "samples/addons/a.yaml": b"a: 1\n", "samples/addons/x/b.yaml": b"b: 1\n"}
    )
    return path


def fetch(release: Path, cache: Path, **params: Any) -> dict[str, Any]:
    given = {
        "url": release.as_uri(),
        "checksum": "",
        "member": "istioctl",
        "directory": str(cache),
        "advice": "",
        "required": True,
    }
    return backend.run({**given, **params}, Context(clock=Still()))


def test_a_program_is_unpacked_and_kept(release: Path, tmp_path: Path) -> None:
    first = fetch(release, tmp_path / "c")
    path = Path(first["path"])
    assert (first["changed"], first["downloaded"]) == (False, True)
    assert path.read_bytes() == PROGRAM and os.access(path, os.X_OK)
    release.unlink()  # a sound copy needs no network
    assert fetch(release, tmp_path / "c") == {**first, "downloaded": False}


@pytest.mark.parametrize("damage", ["bytes", "gone", "record", "extra"])
def test_a_damaged_copy_is_fetched_again(release: Path, tmp_path: Path, damage: str) -> None:
    path = Path(fetch(release, tmp_path / "c")["path"])
    record = path.parent / "verified.json"
    if damage == "bytes":
        path.write_bytes(PROGRAM[:-3] + b"xyz")
    elif damage == "gone":
        path.unlink()
    elif damage == "record":
        record.write_text(json.dumps({"files": {}})[:5])
    else:
        (path.parent / "other").write_text("x")
    again = fetch(release, tmp_path / "c")
    assert again["downloaded"] and Path(again["path"]).read_bytes() == PROGRAM


def test_another_checksum_is_another_file(release: Path, tmp_path: Path) -> None:
    """A copy that was verified against one checksum is not what somebody with another one wants."""
    digest = hashlib.sha256(release.read_bytes()).hexdigest()
    assert fetch(release, tmp_path / "c", checksum=f"sha256:{digest}")["downloaded"]
    assert not fetch(release, tmp_path / "c", checksum=digest.upper())["downloaded"]
    with pytest.raises(MeshError, match="is not what its checksum says: sha256 " + digest):
        fetch(release, tmp_path / "c", checksum="0" * 64)


def test_a_directory_of_an_archive_is_kept_without_links(release: Path, tmp_path: Path) -> None:
    path = Path(fetch(release, tmp_path / "c", member="samples/addons")["path"])
    assert sorted(str(found.relative_to(path)) for found in path.rglob("*.yaml")) == ["a.yaml", "x/b.yaml"]
    assert not (path / "outside").is_symlink()


def test_a_file_is_kept_as_it_is(tmp_path: Path) -> None:
    source = tmp_path / "kiali.yaml"
    source.write_text("a: 1\n")
    digest = publish(source)
    found = fetch(source, tmp_path / "c", member="", checksum=f"sha256:{digest}")
    assert Path(found["path"]).name == "kiali.yaml" and Path(found["path"]).read_text() == "a: 1\n"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("gone", "cannot be fetched: "),
        ("page", "holds no sha256; give a mirror"),
        ("mutilated", "is not what its checksum says"),
        ("no archive", "cannot be unpacked: "),
        ("other content", "holds no istioctl"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_kept(
    release: Path, tmp_path: Path, change: str, sentence: str
) -> None:
    if change == "gone":
        release.unlink()
    elif change == "page":
        release.with_name(f"{release.name}.sha256").write_text("<html>login</html>")
    elif change == "mutilated":
        release.write_bytes(release.read_bytes()[:-7])
    elif change == "no archive":
        release.write_bytes(b"x" * 100)
        publish(release)
    else:
        archive(release, {"readme": b"x"})
    with pytest.raises(MeshError, match=sentence) as caught:
        fetch(release, tmp_path / "c", advice="give a mirror")
    assert "\n" not in str(caught.value)
    assert [path.name for path in (tmp_path / "c").iterdir() if not path.name.endswith(".lock")] == []


@pytest.mark.parametrize(
    ("params", "where"),
    [
        ({"url": "istioctl.tar.gz"}, "url"),
        ({"checksum": "sha256:12"}, "checksum"),
        ({"member": "../x"}, "member"),
        ({"member": "/etc/passwd"}, "member"),
    ],
)
def test_bad_options_are_refused(release: Path, tmp_path: Path, params: dict[str, str], where: str) -> None:
    with pytest.raises(InputError) as caught:
        fetch(release, tmp_path / "c", **params)
    assert caught.value.problems[0].where == where


def test_many_at_once_fetch_once(release: Path, tmp_path: Path) -> None:
    """25 hosts of one play are 25 processes of one controller."""
    with multiprocessing.get_context("fork").Pool(4) as pool:
        answers = pool.starmap(fetch, [(release, tmp_path / "c")] * 4, chunksize=1)
    assert sorted(answer["downloaded"] for answer in answers) == [False, False, False, True]


def test_the_platform_is_put_into_the_url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(backend.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(backend.platform, "machine", lambda: "aarch64")
    source = tmp_path / "istioctl-1-osx-arm64.tar.gz"
    archive(source, {"istioctl": PROGRAM})
    url = f"{tmp_path.as_uri()}/istioctl-1-{{system}}-{{machine}}.tar.gz"
    assert fetch(source, tmp_path / "c", url=url)["downloaded"]


# -- where downloads are kept --------------------------------------------------------------------------------


def test_the_cache_is_in_the_users_home(tmp_path: Path) -> None:
    assert cache_directory({"HOME": str(tmp_path)}, "x") == tmp_path / ".cache/servicemesh.istio/x"
    found = cache_directory({"HOME": "/nowhere", "XDG_CACHE_HOME": str(tmp_path / "xdg")}, "x")
    assert found == tmp_path / "xdg/servicemesh.istio/x"


@pytest.mark.parametrize("home", ["a file", "missing"])
def test_without_a_home_it_is_a_directory_of_this_user(tmp_path: Path, home: str) -> None:
    (tmp_path / "file").touch()
    given = {"TMPDIR": str(tmp_path), "HOME": str(tmp_path / "file")}
    if home == "missing":
        (tmp_path / "file").unlink()
        (tmp_path / "file").symlink_to("/proc/nowhere")
    found = cache_directory(given, "x")
    assert found == tmp_path / f"servicemesh.istio-{os.getuid()}" / "x"
    assert found.parent.stat().st_mode & 0o777 == 0o700


def test_what_somebody_else_put_there_is_not_used(tmp_path: Path) -> None:
    place = tmp_path / f"servicemesh.istio-{os.getuid()}"
    place.mkdir()
    place.chmod(0o777)
    (tmp_path / "file").touch()
    with pytest.raises(MeshError, match="belongs to somebody else, or everybody may write it"):
        cache_directory({"TMPDIR": str(tmp_path), "HOME": str(tmp_path / "file")}, "x")


@pytest.mark.parametrize("change", ["gone", "mutilated"])
def test_what_is_not_required_is_a_warning_and_no_file(release: Path, tmp_path: Path, change: str) -> None:
    if change == "gone":
        release.unlink()
    else:
        release.write_bytes(release.read_bytes()[:-7])
    heard: list[str] = []
    params = {"url": release.as_uri(), "checksum": "", "member": "istioctl", "directory": str(tmp_path / "c")}
    context = Context(clock=Still(), warn=heard.append)
    found = backend.run({**params, "advice": "give a mirror", "required": False}, context)
    assert (found["path"], found["changed"], found["downloaded"]) == ("", False, False)
    assert heard == [found["reason"]] and release.name in heard[0]
    with pytest.raises(InputError, match="url"):
        backend.run({**params, "url": "nowhere", "advice": "", "required": False}, context)
