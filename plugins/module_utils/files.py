# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that others read while we write: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


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
