# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``istioctl analyze`` says, where somebody names one: beside our causes, or as causes of its own.

It lists and watches in the whole cluster, and waits for ever for what it may not see: so it is asked only by
whoever says so, and not for long.

Its exit code says nothing with ``-o json`` (istioctl/pkg/analyze/analyze.go), so its messages are read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...documents.json_text import from_json
from ...errors import MeshError
from ...fields import namespace_of
from ...istio.installation.commands import Runner
from .case import Case
from .cause import CONTROL_PLANE, EGRESS, GATEWAY, INJECTION, LIKELY, ROUTING, SECURITY, Cause
from .causes.words import edit

TIMEOUT = 30.0
_FAMILIES = {
    INJECTION: (102, 103, 107, 108, 123, 125, 139, 144, 146, 147, 158),
    GATEWAY: (101, 132, 138, 140, 145, 161, 162, 164, 165),
    SECURITY: (128, 129, 149, 166, 167, 175),
    EGRESS: (134, 177),
    CONTROL_PLANE: (1, 106, 110, 111, 133, 141, 142, 151, 152, 153, 154, 155, 156, 159, 160, 171),
}
"""Numbers of messages (pkg/config/analysis/msg/messages.yaml); the rest is routing."""


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """One message. :param origin: ``Kind namespace/name``."""

    code: str
    level: str
    origin: str
    text: str


def messages(runner: Runner, program: str, istio_namespace: str, namespaces: Sequence[str]) -> list[Message]:
    """What it says of some namespaces, or of all.

    :returns: in its order. :raises MeshError: it fails, or prints something else.
    """
    command = [program, "analyze", "-o", "json", "--istioNamespace", istio_namespace]
    found: list[Message] = []
    for chosen in [["-n", name] for name in namespaces] or [["--all-namespaces"]]:
        text = runner.run([*command, *chosen], timeout=TIMEOUT, about="run istioctl analyze")
        start = text.find("[")
        try:
            entries = from_json(text[start:]) if start >= 0 else []
        except ValueError as error:
            raise MeshError("istioctl analyze printed something else than JSON") from error
        found += [_message(entry) for entry in entries if isinstance(entry, Mapping)]
    return list(dict.fromkeys(found))


def _message(entry: Mapping[str, Any]) -> Message:
    origin, _bracket, _more = str(entry.get("origin") or "").partition(" (")
    level = str(entry.get("level") or "")
    return Message(str(entry.get("code") or ""), level, origin, str(entry.get("message") or ""))


def merged(case: Case, causes: Sequence[Cause], found: Sequence[Message]) -> list[Cause]:
    """The causes with what istioctl says of their objects; then its errors about others.

    Its warnings are evidence, and no cause by themselves: a healthy mesh has some.

    :returns: the causes first.
    """
    by_object: dict[str, list[Message]] = {}
    for message in found:
        by_object.setdefault(message.origin, []).append(message)
    result = []
    for cause in causes:
        said = tuple(f"istioctl analyze, {one.code}: {one.text}" for one in by_object.pop(cause.object, ()))
        result.append(dataclasses.replace(cause, evidence=(*cause.evidence, *said)) if said else cause)
    return [*result, *_others(case, by_object)]


def _others(case: Case, by_object: Mapping[str, Sequence[Message]]) -> Iterator[Cause]:
    for origin, found in by_object.items():
        place = origin.partition(" ")[2].partition("/")[0]
        if not case.symptom.anything and place not in _concerned(case):
            continue
        for one in found:
            if one.level == "Error":
                said = f"{one.text} ({one.code}, says istioctl analyze)"
                yield Cause(_family(one.code), origin, said, edit(origin), LIKELY)


def _concerned(case: Case) -> set[str]:
    return {namespace_of(item) for item in (*case.subjects, *case.services)}


def _family(code: str) -> str:
    digits = code.removeprefix("IST")
    number = int(digits) if digits.isdigit() else 0
    return next((family for family, numbers in _FAMILIES.items() if number in numbers), ROUTING)
