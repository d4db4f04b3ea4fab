"""A call that fails, one after the other: what was not looked at must never pass for seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .cluster import FakeCluster
from .faults import Call

OUTAGES = (500, 503, "lost request")
"""How an API server fails that is not well; none of them is a refusal."""


def one_call_fails(
    make: Callable[[], FakeCluster], run: Callable[[FakeCluster], Any], how: int | str
) -> Iterator[tuple[Call, FakeCluster]]:
    """For each call of ``run``: the call, and a cluster on which just this call will fail."""
    whole = make()
    run(whole)
    for number, call in enumerate(whole.calls):
        cluster = make()
        cluster.fail(how=how, when=lambda _call, n=number, of=cluster: len(of.calls) == n + 1)
        yield call, cluster
