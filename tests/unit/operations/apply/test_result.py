"""What is told of a run: small, complete, and without secrets."""

from __future__ import annotations

from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply import result
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.live import Live
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.plan import (
    ADOPTED,
    CREATED,
    DELETED,
    UNCHANGED,
    UNVALIDATED,
    UPDATED,
    Item,
    Plan,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.result import result_of

from .objects import config_map


def item(name: str, action: str, before: Any = None, after: Any = None) -> Item:
    return Item(config_map(name), before, after, action=action)


ALL = [
    item("created", CREATED),
    item("maybe", UNVALIDATED),
    item("updated", UPDATED),
    item("adopted", ADOPTED),
    item("deleted", DELETED),
    item("same", UNCHANGED),
    item("held", "held by run 7"),
]


def test_every_item_is_counted_once_and_all_but_the_unchanged_are_named() -> None:
    told = result_of(ALL, diff_mode=False)
    assert told["counts"] == {
        "created": 2, "updated": 1, "adopted": 1, "deleted": 1, "unchanged": 1, "held": 1,
    }  # fmt: skip
    assert [entry["id"] for entry in told["objects"]] == [
        f"ConfigMap shop/{name}" for name in ("created", "maybe", "updated", "adopted", "deleted", "held")
    ]
    assert told["changed"] is True
    assert "diff" not in told


def test_held_and_unchanged_items_are_no_change() -> None:
    quiet = [entry for entry in ALL if entry.desired["metadata"]["name"] in ("same", "held")]
    assert result_of(quiet, diff_mode=True) | {"counts": None, "objects": None} == {
        "changed": False, "counts": None, "objects": None, "diff": [],
    }  # fmt: skip
    assert [entry.changes for entry in ALL] == [True, True, True, True, True, False, False]
    assert not Plan(quiet, Live()).changed
    assert Plan(ALL, Live()).changed


def test_a_diff_shows_what_is_there_afterwards() -> None:
    (shown,) = result_of(
        [item("a", UPDATED, config_map("a", k="old"), config_map("a", k="new"))], diff_mode=True
    )["diff"]
    assert shown["before_header"] == "ConfigMap shop/a"
    assert shown["after_header"] == "ConfigMap shop/a (updated)"
    assert ("k: old" in shown["before"], "k: new" in shown["after"]) == (True, True)
    (created,) = result_of([item("a", CREATED)], diff_mode=True)["diff"]
    assert (created["before"], "kind: ConfigMap" in created["after"]) == ("", True)
    (deleted,) = result_of([item("a", DELETED, config_map("a"), config_map("a"))], diff_mode=True)["diff"]
    assert ("kind: ConfigMap" in deleted["before"], deleted["after"]) == (True, "")


def test_many_diffs_and_long_ones_are_cut_and_say_so() -> None:
    many = [item(f"n{number}", CREATED) for number in range(result.MAX_DIFFS + 2)]
    shown = result_of(many, diff_mode=True)["diff"]
    assert len(shown) == result.MAX_DIFFS + 1
    assert shown[-1] == {"prepared": "... and 2 more objects\n"}
    assert len(result_of(many[:-2], diff_mode=True)["diff"]) == result.MAX_DIFFS
    (long,) = result_of([item("a", UPDATED, None, config_map("a", k="x" * 200_000))], diff_mode=True)["diff"]
    assert len(long["after"]) < result.MAX_DIFF_TEXT + 100
    assert long["after"].endswith("more characters\n")


def test_a_secret_stays_one() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "c2VjcmV0"}}
    assert "c2VjcmV0" not in str(result_of([Item(secret, action=CREATED)], diff_mode=True))
