# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked before the first write: as few questions as it takes, and every right that is missing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.access import AccessNeed
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights.asking import (
    forbidden,
    refuse_missing,
)

from ...support.access import Access, Reviews
from ...support.cluster import FakeCluster

WEB = AccessNeed("patch", "apps", "deployments", "shop", "web")
API = AccessNeed("patch", "apps", "deployments", "shop", "api")
ELSEWHERE = AccessNeed("patch", "apps", "deployments", "back", "web")


def asked(
    allowed: Callable[[Access], bool], *wanted: AccessNeed, each: bool = False, purpose: str = ""
) -> tuple[int, ApiError | None]:
    """How many questions it took, and what was said."""
    cluster = FakeCluster()
    cluster.reviews = Reviews(lambda _user, access: allowed(access))
    said = None
    try:
        refuse_missing(cluster, wanted, purpose, each=each)
    except ApiError as error:
        said = error
    return len(cluster.calls), said


def everything(access: Access) -> bool:
    return True


def by_kind(access: Access) -> bool:
    return access.verb != "*" and not access.name and access.namespace == "shop"


def by_name(access: Access) -> bool:
    return access.name == "web"


def nothing(_access: Access) -> bool:
    return False


@pytest.mark.parametrize(
    ("allowed", "each", "wanted", "questions"),
    [
        (everything, False, (), 0),  # nothing is needed
        (nothing, False, (), 0),
        (everything, False, (WEB, API, ELSEWHERE), 1),  # an administrator
        (everything, True, (WEB, API), 1),
        (by_kind, False, (WEB, API), 2),  # one question for the kind in its namespace
        (by_name, False, (WEB, ELSEWHERE), 5),  # for each kind, then for each name
        (by_name, True, (WEB, ELSEWHERE), 3),
    ],
)
def test_who_has_the_rights_is_asked_little(
    allowed: Callable[[Access], bool], each: bool, wanted: tuple[AccessNeed, ...], questions: int
) -> None:
    assert asked(allowed, *wanted, each=each) == (questions, None)


def test_every_missing_right_is_told_once_and_names_where_they_are_few() -> None:
    _questions, said = asked(nothing, WEB, API, ELSEWHERE, purpose="to restart them")
    assert said is not None
    assert (said.status, said.reason) == (403, "Forbidden")
    assert said.message == (
        "nothing was written: rights are missing to restart them: "
        "in shop: patch on deployments.apps; in back: patch on deployments.apps"
    )
    _questions, said = asked(nothing, WEB, API, each=True)
    assert said is not None
    assert said.message.startswith("nothing was written: rights are missing: in shop: ")
    assert "web" in said.message and "api" in said.message


def test_of_several_names_the_one_that_is_missing_is_enough() -> None:
    questions, said = asked(by_name, WEB, API)
    assert (questions, said is None) == (4, False)
    assert forbidden([API]).details["missing_rights"] == ["in shop: patch on deployments.apps 'api'"]
