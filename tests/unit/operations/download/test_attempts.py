# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often a download is tried: what may pass is tried again, what will not is told at once."""

from __future__ import annotations

import io
import urllib.error
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.download import backend, store

from .test_download import PROGRAM, fetch, publish

URL = "https://mirror.example/istioctl"


def answered(code: int) -> urllib.error.HTTPError:
    return urllib.error.HTTPError(URL, code, f"status {code}", Message(), None)


class Clock:
    """Notes how long is waited."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> float:
        return 0.0

    monotonic = now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


def tried(
    monkeypatch: pytest.MonkeyPatch,
    cache: Path,
    *errors: BaseException,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[list[float], int]:
    """:returns: the waits in between, and how often the file was asked for."""
    waiting, asked, clock = list(errors), [], Clock()

    def opened(url: str, **_more: Any) -> Any:
        asked.append(url)
        if waiting:
            raise waiting.pop(0)
        return io.BytesIO(PROGRAM)

    monkeypatch.setattr(store, "open_url", opened)
    source = cache.parent / "source"
    source.write_bytes(PROGRAM)
    given = {
        "url": URL,
        "checksum": f"sha256:{publish(source)}",
        "member": "",
        "directory": str(cache),
        "advice": "",
        "required": True,
    }
    try:
        backend.run(given, Context(clock=clock, stop=stop))
    except MeshError as error:
        assert str(error).startswith(f"{URL} cannot be fetched: ")
        return clock.waits, -len(asked)
    return clock.waits, len(asked)


@pytest.mark.parametrize(
    ("errors", "waits", "asked"),
    [
        ([], [], 1),
        ([OSError("reset")], [1], 2),
        ([answered(500)], [1], 2),
        ([answered(429), OSError("reset")], [1, 2], 3),
        ([OSError("reset")] * store.ATTEMPTS, list(range(1, store.ATTEMPTS)), -store.ATTEMPTS),
        ([answered(401)], [], -1),
        ([answered(403)], [], -1),
        ([answered(404)], [], -1),
        ([answered(503), answered(404)], [1], -2),
    ],
)
def test_how_often_is_tried(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    errors: list[BaseException],
    waits: list[float],
    asked: int,
) -> None:
    assert tried(monkeypatch, tmp_path / "c", *errors) == (waits, asked)


def test_a_run_that_is_told_to_stop_does_not_try_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert tried(monkeypatch, tmp_path / "c", OSError("reset"), stop=lambda: True) == ([], -1)


def test_a_sound_copy_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "release" / "file"
    path.parent.mkdir()
    path.write_bytes(PROGRAM)
    publish(path)
    first = fetch(path, tmp_path / "c", member="")
    monkeypatch.setattr(store, "open_url", lambda *_rest, **_more: pytest.fail("asked again"))
    assert fetch(path, tmp_path / "c", member="")["path"] == first["path"]
