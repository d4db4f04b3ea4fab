"""A runner that starts nothing: it answers commands from a script, and keeps what it was asked."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MeshError


@dataclasses.dataclass(frozen=True)
class Command:
    argv: tuple[str, ...]
    stdin: str
    timeout: float
    about: str


@dataclasses.dataclass(frozen=True)
class Failing:
    """An answer: the program ends with an error and prints this."""

    message: str


class ScriptedRunner:
    """Stands in for ``commands.Runner``.

    :ivar answers: words of a command, such as ``manifest generate`` -> what it prints, a :class:`Failing`, or
        a function of the command. A command without an answer is a fault of the test.
    """

    environment: Mapping[str, str] = {"PATH": "/usr/bin:/bin"}

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = dict(answers)
        self.commands: list[Command] = []

    def run(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 120.0, about: str = "") -> str:
        command = Command(tuple(argv), stdin, timeout, about)
        self.commands.append(command)
        answer = self.answers[next(words for words in self.answers if f" {words} " in f"{' '.join(argv)} ")]
        if callable(answer):
            answer = answer(command)
        if isinstance(answer, Failing):
            raise MeshError(f"could not {about}: {answer.message}", returncode=1)
        return str(answer)

    def asked(self, words: str) -> list[Command]:
        """The commands that contain these words."""
        return [command for command in self.commands if f" {words} " in f"{' '.join(command.argv)} "]


def stream(*objects: Mapping[str, Any]) -> str:
    """Objects as a tool prints them."""
    return "".join(f"---\n{json.dumps(obj)}\n" for obj in objects)
