"""Each command of the guides, typed on the finished mesh as a page has it, or the test that does so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ...unit.support.pages import commands
from ..site import runs

ROOT = Path(__file__).resolve().parents[3]
KIND = "tools/kind_page.py"
REMOVAL = "tools/removal.py"
ELSEWHERE = {
    "apply": "tests/integration/awx/test_apply.py",
    "canary": "tests/faults/test_canary_lab.py",
    "canary_pause": "tests/faults/test_canary_lab.py",
    "canary_promote": "tests/faults/test_canary_lab.py",
    "canary_rollback": "tests/faults/test_canary_lab.py",
    "rotate_mesh_ca": "tests/integration/mesh_ca/test_mesh_ca.py",
    "site": "tools/readme.py",
}
"""Playbooks that change the mesh on purpose, or take minutes."""
SAMPLE = ("bill", "render", "canary_status")
CHANGES = ("render", "bill", "observe")  # files on the controller; the level of a log, taken back at the end
READER_S = {"INVENTORY": "inventories/mine", "servicemesh.istio.ROLE": "servicemesh.istio.mesh"}


def playbook(words: list[str]) -> str:
    """The name of a command's playbook, such as ``site``; empty for another program's command."""
    return re.sub(r"^servicemesh\.istio\.|\.yml$", "", Path(words[1]).name) if "playbook" in words[0] else ""


def elsewhere(words: list[str]) -> str | None:
    """The file that runs a command, where it is not this one."""
    if words[0] == "ansible-galaxy":
        return "tools/readme.py"
    if words[-2:] == ["-i", "mesh"] or "-i mesh " in " ".join(words):
        return KIND
    if any("mesh_state=absent" in word or "addons_enabled" in word for word in words):
        return REMOVAL
    return ELSEWHERE.get(playbook(words))


def typed() -> Iterator[list[str]]:
    """The words of each command that is for here, once."""
    seen = set()
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for written in commands(page.read_text(encoding="utf-8"), optional=False):
            words = [READER_S.get(word, word) for word in written]
            if elsewhere(words) is None and tuple(words) not in seen:
                seen.add(tuple(words))
                yield words


def cases() -> list[object]:
    return [
        pytest.param(
            words, marks=[] if playbook(words) in SAMPLE else pytest.mark.long, id=" ".join(words[1:])
        )
        for words in typed()
    ]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's directory: the lab's inventory in place of the reader's, and the playbooks of the clone."""
    directory = tmp_path_factory.mktemp("desk")
    (directory / "inventories").mkdir()
    (directory / "inventories" / "mine").symlink_to(ROOT / "inventories" / "lab")
    (directory / "playbooks").symlink_to(ROOT / "playbooks")
    (directory / "ansible.cfg").symlink_to(ROOT / "ansible.cfg")
    return directory


@pytest.mark.usefixtures("kubeconfig")
@pytest.mark.parametrize("words", cases())
def test_a_command_of_a_guide(words: list[str], desk: Path) -> None:
    run = runs.typed([word.replace("/srv/", f"{desk}/srv/") for word in words], directory=desk, timeout=600)
    assert run.code == 0, run.output[-3000:]
    assert "Traceback" not in run.output
    if name := playbook(words):
        assert (run.recap["unreachable"], run.recap["failed"]) == (0, 0), run.output[-3000:]
        assert name in CHANGES or run.recap["changed"] == 0, run.output[-3000:]


def test_what_is_run_elsewhere_is_there() -> None:
    for place in {*ELSEWHERE.values(), KIND, REMOVAL}:
        assert (ROOT / place).is_file(), place
    assert len(list(typed())) > 15
