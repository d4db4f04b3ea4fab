# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What proxies show of an object is left out where the object itself was told, and nowhere else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks import objects
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.findings import (
    beside,
    failed,
    unknown,
)

RULE = "DestinationRule shop/pay"
OWN = failed("objects", RULE, "changes pay")
SHOWN = failed("objects", RULE, "a proxy holds it", late=True)


def test_a_proxy_says_nothing_new_of_an_object_that_is_told() -> None:
    assert objects._first_of_each([OWN, SHOWN]) == [OWN]
    assert objects._first_of_each([SHOWN, OWN]) == [SHOWN, OWN], "what came first is not taken back"
    other = failed("objects", "DestinationRule shop/web", "a proxy holds it", late=True)
    assert objects._first_of_each([OWN, other]) == [OWN, other]


def test_a_note_or_an_open_question_about_an_object_hides_no_fail() -> None:
    for first in (beside("objects", RULE, "is somebody's"), unknown("objects", RULE, "cannot be read")):
        assert objects._first_of_each([first, SHOWN]) == [first, SHOWN]
    assert objects._first_of_each([SHOWN, failed("objects", RULE, "another", late=True)]) != [SHOWN]
    late = unknown("objects", RULE, "its proxy is silent", late=True)
    assert objects._first_of_each([OWN, late]) == [OWN, late]


def test_the_same_finding_is_told_once() -> None:
    assert objects._first_of_each([OWN, OWN]) == [OWN]


def test_without_services_nobody_knows_what_proxies_show() -> None:
    picture: Any = SimpleNamespace(live=SimpleNamespace(unread={"Service": "no right"}))
    ours: Any = SimpleNamespace()
    assert objects._at_proxies(ours, picture, (), {}) == [
        unknown("objects", "what the proxies know", "no right")
    ]
