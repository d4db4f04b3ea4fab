# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where downloads are kept, also for a process without a home: AWX, systemd and cron often give none."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from ...errors import MeshError

_NAME = "servicemesh.istio"


def cache_directory(environment: Mapping[str, str], name: str) -> Path:
    """A directory of this user that can be written, made if it is missing.

    :param environment: of the run: ``XDG_CACHE_HOME``, then ``HOME``, count first. :param name: what is kept
        there.
    :raises MeshError: there is none.
    """
    reasons = []
    for candidate in _candidates(environment):
        try:
            candidate.mkdir(mode=0o700, parents=True, exist_ok=True)
            _must_be_ours(candidate)
            directory = candidate / name
            directory.mkdir(exist_ok=True)
            with tempfile.TemporaryFile(dir=directory):
                return directory
        except OSError as error:
            reasons.append(f"{candidate}: {error.strerror or error}")
    raise MeshError(f"no directory can hold downloads ({'; '.join(reasons)})")


def _candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    if environment.get("XDG_CACHE_HOME", "").startswith("/"):
        yield Path(environment["XDG_CACHE_HOME"], _NAME)
    if environment.get("HOME", "").startswith("/"):
        yield Path(environment["HOME"], ".cache", _NAME)
    else:
        with contextlib.suppress(KeyError):  # a uid that nobody has named, as in OpenShift and AWX
            yield Path(pwd.getpwuid(os.getuid()).pw_dir, ".cache", _NAME)
    yield Path(environment.get("TMPDIR") or tempfile.gettempdir(), f"{_NAME}-{os.getuid()}")


def _must_be_ours(directory: Path) -> None:
    """In a directory that everybody may write, somebody else may have been first with this name."""
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & stat.S_IWOTH:
        raise PermissionError(None, "belongs to somebody else, or everybody may write it")
