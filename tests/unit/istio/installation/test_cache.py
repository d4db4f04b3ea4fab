# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads lie where only this user can have put them; another's directory is passed by."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.cache import (
    cache_directory,
)


def test_the_first_place_that_can_be_written(tmp_path: Path) -> None:
    own, home = tmp_path / "xdg", tmp_path / "home"
    both = {"XDG_CACHE_HOME": str(own), "HOME": str(home)}
    assert cache_directory(both, "charts") == own / "servicemesh.istio" / "charts"
    assert (own / "servicemesh.istio").stat().st_mode & 0o777 == 0o700
    assert cache_directory({"HOME": str(home)}, "x") == home / ".cache" / "servicemesh.istio" / "x"
    relative = {"XDG_CACHE_HOME": "cache", "HOME": str(home)}
    assert cache_directory(relative, "x") == home / ".cache" / "servicemesh.istio" / "x"


def test_what_everybody_may_write_is_passed_by(tmp_path: Path) -> None:
    (tmp_path / "xdg" / "servicemesh.istio").mkdir(parents=True)
    (tmp_path / "xdg" / "servicemesh.istio").chmod(0o777)
    found = cache_directory({"XDG_CACHE_HOME": str(tmp_path / "xdg"), "HOME": str(tmp_path / "home")}, "x")
    assert found == tmp_path / "home" / ".cache" / "servicemesh.istio" / "x"


def test_what_belongs_to_somebody_else_is_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {name: str(tmp_path / name) for name in ("XDG_CACHE_HOME", "HOME", "TMPDIR")}
    nobody = os.getuid() + 1
    for place in ("XDG_CACHE_HOME/servicemesh.istio", "HOME/.cache/servicemesh.istio"):
        (tmp_path / place).mkdir(mode=0o700, parents=True)
    (tmp_path / "TMPDIR" / f"servicemesh.istio-{nobody}").mkdir(mode=0o700, parents=True)
    monkeypatch.setattr(os, "getuid", lambda: nobody)
    with pytest.raises(MeshError, match="no directory can hold downloads") as caught:
        cache_directory(environment, "x")
    assert caught.value.message.count("belongs to somebody else, or everybody may write it") == 3


def test_a_place_that_is_a_file_is_passed_by(tmp_path: Path) -> None:
    (tmp_path / "xdg").touch()
    found = cache_directory({"XDG_CACHE_HOME": str(tmp_path / "xdg"), "HOME": str(tmp_path / "home")}, "x")
    assert found == tmp_path / "home" / ".cache" / "servicemesh.istio" / "x"


def test_without_a_home_there_is_the_place_for_what_is_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").touch()
    mine = f"servicemesh.istio-{os.getuid()}"
    environment = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "own")}
    assert cache_directory(environment, "x") == tmp_path / "own" / mine / "x"
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "any"))
    assert cache_directory({"HOME": str(tmp_path / "home")}, "x") == tmp_path / "any" / mine / "x"


def test_why_there_is_no_place(tmp_path: Path) -> None:
    for name in ("xdg", "home", "tmp"):
        (tmp_path / name).touch()
    places = {"XDG_CACHE_HOME": "xdg", "HOME": "home", "TMPDIR": "tmp"}
    with pytest.raises(MeshError) as caught:
        cache_directory({name: str(tmp_path / place) for name, place in places.items()}, "x")
    assert caught.value.message == (
        f"no directory can hold downloads ({tmp_path}/xdg/servicemesh.istio: Not a directory; "
        f"{tmp_path}/home/.cache/servicemesh.istio: Not a directory; "
        f"{tmp_path}/tmp/servicemesh.istio-{os.getuid()}: Not a directory)"
    )
