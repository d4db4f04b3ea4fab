"""Faults at every place of a catalogue with every setting: each is found, at its place, and only there."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError, Problem
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue

from ...support.catalogues import full

# Mappings whose keys are names that the user chooses.
FREE = {"labels", "selector", "header", "cookie", "query", "to", "versions", "add_tags", "ports"}
Place = tuple[str | int, ...]


def places(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    yield place, value
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, item in entries:
        yield from places(item, (*place, key))


def path_of(place: Place) -> str:
    found = ""
    for part in place:
        number = isinstance(part, int) or part.isdigit()
        found += f"[{part}]" if number else f".{part}" if found else str(part)
    return found


@functools.cache
def checked_places() -> tuple[tuple[Place, Any], ...]:
    """What role ``istio`` checks, and not the catalogue, is left out."""
    return tuple(item for item in places(full()) if item[0] and item[0][0] != "istio_gateways")


def changed(place: Place, change: Callable[[Any, Any], Any]) -> dict[str, Any]:
    raw = full()
    holder: Any = raw
    for part in place[:-1]:
        holder = holder[part]
    change(holder, place[-1])
    return raw


def put(value: Any) -> Callable[[Any, Any], Any]:
    return lambda holder, key: holder.__setitem__(key, copy.deepcopy(value))


def problems_of(raw: dict[str, Any]) -> tuple[Problem, ...]:
    try:
        parse_catalogue(raw)
    except InputError as error:
        return tuple(error.problems)
    return ()


def test_the_catalogue_itself_is_sound() -> None:
    assert problems_of(full()) == ()


def values(item: Any) -> Iterator[Any]:
    """All dataclasses inside a value, itself included."""
    if dataclasses.is_dataclass(item):
        yield item
        for field in dataclasses.fields(item):
            yield from values(getattr(item, field.name))
    elif isinstance(item, Mapping | tuple):
        for inner in item.values() if isinstance(item, Mapping) else item:
            yield from values(inner)


def test_every_setting_is_really_used_in_it() -> None:
    """A new field has to stand there too, or none of the tests that use it says a word about the field."""
    used: dict[tuple[str, str], bool] = {}
    opened = full() | {"mesh_open": {"reason": "not adopted yet"}}  # it takes the policies out of the rest
    for item in (*values(parse_catalogue(full())), *values(parse_catalogue(opened))):
        for field in dataclasses.fields(item):
            if not field.name.startswith("_"):
                key = type(item).__name__, field.name
                used[key] = used.get(key, False) or bool(getattr(item, field.name))
    assert len(used) > 150
    assert [key for key, found in used.items() if not found] == []


MAPPINGS = [
    place
    for place, value in checked_places()
    if isinstance(value, dict) and place[-1] not in FREE and "locality" not in place[-2:-1]
]


@pytest.mark.parametrize("place", [pytest.param(place, id=path_of(place)) for place in MAPPINGS])
def test_an_unknown_key_is_found_wherever_it_is(place: Place) -> None:
    raw = changed((*place, "zzz"), put(1))
    found = [(problem.where, problem.rule) for problem in problems_of(raw)]
    assert found == [(f"{path_of(place)}.zzz", "unknown-key")]


def test_a_value_that_cannot_be_read_is_one_problem_at_its_place() -> None:
    """Neither a crash nor silence, and no second problem that speaks of the stand-in."""
    bad = []
    for place, value in checked_places():
        where = path_of(place)
        whole = isinstance(value, list | dict)
        wrong: Any = {"?": ["?"]} if isinstance(value, list) else [[]]
        for unreadable in (wrong, "?\n") if isinstance(value, str) else (wrong,):
            found = [problem.where for problem in problems_of(changed(place, put(unreadable)))]
            inside = [item for item in found if item == where or item.startswith((f"{where}.", f"{where}["))]
            above = [item for item in found if where.startswith(item)]
            if not (inside if whole else len(found) == 1 and inside + above):
                bad.append((where, unreadable, found))
    assert bad == []


def test_an_absent_value_never_breaks_the_reader() -> None:
    for place, _value in checked_places():
        for problem in problems_of(changed(place, put(None))):
            assert problem.message
            assert problem.where
