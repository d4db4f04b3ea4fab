# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that others read while we write: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from .errors import InputError, MeshError, Problem


def at_home(path: str) -> Path:
    """A path whose ``~`` is the home directory; of somebody without one it stays as it is.

    ``Path.expanduser`` raises there: a container's user may have neither an entry nor ``HOME``.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111 - it leaves what it does not know


def to_make(path: str, option: str) -> Path:
    """As `at_home`, for what is made where it is not there. ``option``: whose value the path is.

    :raises InputError: nobody has that home, and a directory of such a name below this one is not meant.
    """
    place = at_home(path)
    if path.startswith("~") and place == Path(path):
        raise InputError([Problem(option, f"{path}: there is no such home directory", "path")])
    return place


def write_new(path: Path, content: bytes, mode: int) -> None:
    """Make a file that was not there: whole, on the disk, and never instead of another.

    :raises FileExistsError: it is there already. :raises OSError: the file cannot be written.
    """
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, mode)
            file.write(content)
            file.flush()
            os.fsync(handle)
        os.link(partial, path)
    finally:
        Path(partial).unlink(missing_ok=True)


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file in one step. What ends before that leaves the old one, and nothing beside it.

    :raises OSError: the file cannot be written.
    """
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(partial).chmod(mode)
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def missing_directory(path: str) -> str:
    """Why no file of this name can be written, as half a sentence; ``""`` when its directory exists."""
    there = at_home(path).parent.is_dir()
    return "" if there else f"the directory of {path!r} does not exist"


def report_problems(paths: Sequence[str], formats: Collection[str], variable: str) -> list[Problem]:
    """What keeps reports from being written, known before a run has looked at anything.

    :param formats: endings that tell a format, such as ``.json``. :param variable: that lists the paths.
    :returns: a problem per path: it tells no format, its directory is missing, or it is there twice.
    """
    problems = []
    for index, path in enumerate(paths):
        if Path(path).suffix not in formats:
            problem = f"{path!r} ends in none of {', '.join(formats)}"
        elif missing := missing_directory(path):
            problem = missing
        elif path in paths[:index]:
            problem = f"{path!r} is listed twice"
        else:
            continue
        problems.append(Problem(f"{variable}[{index}]", problem, "report-path"))
    return problems


def write_report(path: str, text: str, mode: int = 0o644) -> None:
    """Write a report whole or not at all. :raises MeshError: the file cannot be written."""
    try:
        write_whole(at_home(path), text, mode)
    except OSError as error:
        raise MeshError(f"the report {path} could not be written: {error.strerror}") from error
