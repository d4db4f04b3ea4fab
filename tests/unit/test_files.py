# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file is replaced as a whole, or it and its directory stay as they were."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.files import write_whole


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_file_is_replaced(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "report.json"
    file.write_text("old")
    write_whole(file, "new é", mode)
    assert file.read_text(encoding="utf-8") == "new é"
    assert file.stat().st_mode & 0o777 == mode
    assert list(tmp_path.iterdir()) == [file]


def test_what_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(file, "\udc80")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / "nowhere" / "report.json", "x")
