"""Planted secrets under real ansible-playbook, at -vvvv --diff: nothing that anybody can see holds one.

The ways in and the servers are those of the unit test (``tests/unit/support/planted.py``). Looked at are the
screen, the results, the target's system log, what is left in directories, and every command line meanwhile.
Another user changes how a module gets to its work, not the work: there a sample of the ways does, and all of
them with ``SECRETS=all``.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest

from ...unit.support.http_server import ScriptedServer
from ...unit.support.planted import CASES, ENDS, MARK, Place, spellings
from .test_ansible import PLACES, Ansible

# Python reads it at its start: what a module writes into the system log lands in a file.
SYSLOG = """
import os, syslog
def keep(*texts):
    with open(os.environ["SYSLOG_HERE"], "a") as file:
        file.write(repr(texts) + "\\n")
syslog.syslog = keep
"""
# An excerpt of a file, as Ansible shows it: a number and the line.
_SOURCE_LINE = re.compile(r"\s*[0-9]+ ")
BECOME = "sudo" if shutil.which("sudo") else "su"
ROADS = {
    "controller": PLACES["controller"],
    "module": PLACES["module, another connection"],
    "become": {
        "connection": "local",
        "vars": {"ansible_python_interpreter": sys.executable},
        "become": True,
        "become_method": BECOME,
    },
}
# No playbook can hold the one; the other is in a command line by the person's will.
PLAYABLE = [
    case for case in CASES if "half a character" not in case[1] and case[1] != "arguments of a plugin"
]


def sample(cases):
    """The first way into each module, and every fourth of all."""
    first = {module: number for number, (module, _name, _way) in reversed([*enumerate(cases)])}
    return [cases[number] for number in sorted({*first.values(), *range(0, len(cases), 4)})]


class Watch:
    """Reads all command lines of this machine again and again."""

    def __init__(self, words: list[str]) -> None:
        self.seen: set[str] = set()
        self._words = [word.encode() for word in words]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        """What has just begun may become another program; what has run for a while is what it is."""
        looks: dict[str, int] = {}
        old: set[str] = set()
        for turn in itertools.count():
            if self._end.is_set():
                return
            with os.scandir("/proc") as entries:
                names = {entry.name for entry in entries if entry.name.isdigit()}
            old &= names
            looks = {name: looks.get(name, 0) + 1 for name in names - old}
            for name in names if turn % 40 == 0 else looks:
                try:
                    text = Path(f"/proc/{name}/cmdline").read_bytes()
                except OSError:
                    continue
                if any(word in text for word in self._words):
                    self.seen.add(text.replace(b"\0", b" ").decode("utf-8", "replace"))
            old |= {name for name, count in looks.items() if count > 40}
            time.sleep(0.025)  # a program that is handed a secret takes longer to start


def left_behind(directory: Path) -> list[str]:
    return [
        f"{path}: {path.read_bytes().decode('utf-8', 'replace')}"
        for path in directory.rglob("*")
        if path.is_file()
    ]


class Planted(Ansible):
    """ansible-playbook with directories, a log and a server of its own."""

    limit = 900.0
    at_start = SYSLOG

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "")
        self.out = directory / "out"
        for name in ("tmp", "run", "cache", "home", "local", "remote"):
            (self.out / name).mkdir(parents=True)
        self.syslog = directory / "syslog"
        self.syslog.touch()

    def environment(self):
        return {
            **super().environment(),
            "TMPDIR": str(self.out / "tmp"),
            "XDG_RUNTIME_DIR": str(self.out / "run"),
            "XDG_CACHE_HOME": str(self.out / "cache"),
            "HOME": str(self.out / "home"),
            "ANSIBLE_LOCAL_TEMP": str(self.out / "local"),
            "ANSIBLE_REMOTE_TMP": str(self.out / "remote"),
            "ANSIBLE_DISPLAY_TRACEBACK": "always",
            "SYSLOG_HERE": str(self.syslog),
        }


@pytest.mark.parametrize(
    ("road", "end"),
    [("controller", "well"), ("controller", "422"), ("module", "422"), ("become", "422")],
)
def test_nobody_sees_a_secret(tmp_path, road, end):
    ansible = Planted(tmp_path)
    with ScriptedServer(always=ENDS[end]) as server:
        place = Place(tmp_path, server)
        tasks = []
        whole = road != "become" or os.environ.get("SECRETS") == "all"
        for module, _name, way in PLAYABLE if whole else sample(PLAYABLE):
            arguments = json.loads(json.dumps(way(place)))
            # As a variable, whose line Ansible shows when a task fails, and not templated.
            tasks.append(
                {
                    "name": f"{len(tasks)}",
                    f"servicemesh.istio.{module}": arguments,
                    "ignore_errors": True,
                }
            )
        with Watch([MARK]) as watch:
            results, output = ansible.run(tasks, "-vvvv", "--diff", **ROADS[road])
    assert len(results) == len(tasks), output[-3000:]
    given_away = {
        "the results": json.dumps(results),
        "the screen": "\n".join(_own_lines(output)),
        "the system log": ansible.syslog.read_text(),
        "a file": "\n".join(left_behind(ansible.out)),
        "a command line": "\n".join(watch.seen),
    }
    for where, text in given_away.items():
        for spelled in spellings():
            at = text.find(spelled)
            assert at < 0, f"{where}: ...{text[max(0, at - 600) : at + 200]}"
    if road != "controller":
        assert "Invoked with the options" in given_away["the system log"]
    messages = [str(result["msg"]) for result in results if "msg" in result]
    assert messages
    assert all(messages)
    assert not [message for message in messages if "defect" in message]


def _own_lines(output: str) -> list[str]:
    """Without the lines of the playbook itself, which Ansible shows where a task failed."""
    return [line for line in output.splitlines() if not _SOURCE_LINE.match(line)]
