"""Half answers, made from whole ones by chance: what proxies, login pages and broken lines leave of them.

None of them is an answer that an API server could have meant. A mutilation that turns one right answer into
another right one (an empty list, "not found") could not be noticed by anybody, and is not among them.
"""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from .kube_proxy import Wire

PAGE = b"<!doctype html><html><head><title>Sign in</title></head><body><form/></body></html>"
HTML = {"Content-Type": "text/html"}
Path = tuple[Any, ...]


def mutilation(number: int) -> tuple[str, Callable[[Wire], Wire]]:
    """The mutilation of a number: its name, and what it makes of an answer."""
    dice = random.Random(number)
    name = dice.choice([*_ON_THE_WAY, *_IN_JSON, *_IN_JSON])
    if name in _ON_THE_WAY:
        return name, lambda wire: _ON_THE_WAY[name](wire, dice)
    return name, lambda wire: _json(wire, dice, _IN_JSON[name])


def _body(text: bytes, **headers: str) -> Callable[[Wire, random.Random], Wire]:
    def change(wire: Wire, _dice: random.Random) -> Wire:
        return dataclasses.replace(wire, status=200, data=text, headers={**wire.headers, **headers})

    return change


def _cut(wire: Wire, dice: random.Random) -> Wire:
    return dataclasses.replace(wire, cut=dice.randrange(max(1, len(wire.data))))


def _truncated(wire: Wire, dice: random.Random) -> Wire:
    return dataclasses.replace(wire, data=wire.data[: dice.randrange(max(1, len(wire.data)))])


def _too_long(wire: Wire, dice: random.Random) -> Wire:
    return dataclasses.replace(wire, length=len(wire.data) + dice.randrange(1, 1000))


def _too_short(wire: Wire, dice: random.Random) -> Wire:
    return dataclasses.replace(wire, length=dice.randrange(max(1, len(wire.data))))


def _drip(wire: Wire, dice: random.Random) -> Wire:
    return dataclasses.replace(wire, drip=dice.choice([0.001, 0.01]), cut=dice.choice([None, 20]))


def _garbage(wire: Wire, dice: random.Random) -> Wire:
    place = dice.randrange(len(wire.data) + 1)
    junk = dice.choice([b"\x00", b"\xff\xfe", b"NaN", b"}{", b"\x1b[2J", b"<html>", b"\xed\xa0\x80"])
    data = wire.data[:place] + junk + wire.data[place:]
    if _still_json(data):  # inside of a text it would be another text
        data = junk + wire.data
    return dataclasses.replace(wire, data=data)


def _twice(wire: Wire, _dice: random.Random) -> Wire:
    return dataclasses.replace(wire, data=wire.data * 2)


def _redirect(wire: Wire, dice: random.Random) -> Wire:
    status = dice.choice([301, 302, 303, 307, 308])
    place = dice.choice(["https://127.0.0.1:1/login", "/login", "http://[", ""])
    return dataclasses.replace(wire, status=status, headers={**HTML, "Location": place}, data=PAGE)


def _page(wire: Wire, dice: random.Random) -> Wire:
    status = dice.choice(
        [200, 201, 202, 203, 206, 400, 401, 402, 404, 405, 407, 410, 418, 451, 500, 502, 511]
    )
    return dataclasses.replace(wire, status=status, headers=HTML, data=PAGE)


def _no_content(wire: Wire, dice: random.Random) -> Wire:
    return dataclasses.replace(wire, status=dice.choice([204, 205, 304]), data=b"", headers={})


def _failure(wire: Wire, dice: random.Random) -> Wire:
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": "injected",
        "reason": dice.choice(["InternalError", "Forbidden", "ServiceUnavailable", 5, None, ["x"]]),
        "code": dice.choice([403, 500, 503, 200, None, "x", True, 404.5, -1]),
        "details": dice.choice([{}, None, "x", {"causes": None}, {"causes": ["x"]}, {"causes": [{}]}]),
    }
    return dataclasses.replace(wire, status=200, data=json.dumps(status).encode())


def _deep(wire: Wire, _dice: random.Random) -> Wire:
    return dataclasses.replace(wire, status=200, data=b"[" * 100_000)


def _compressed(wire: Wire, _dice: random.Random) -> Wire:
    return dataclasses.replace(wire, headers={**wire.headers, "Content-Encoding": "gzip"})


def _other_type(wire: Wire, dice: random.Random) -> Wire:
    kind = dice.choice(["text/html", "application/octet-stream", "", "application/vnd.kubernetes.protobuf"])
    return dataclasses.replace(wire, headers={**wire.headers, "Content-Type": kind}, data=PAGE)


_ON_THE_WAY: dict[str, Callable[[Wire, random.Random], Wire]] = {
    "empty": _body(b""),
    "blank": _body(b" \n"),
    "{}": _body(b"{}"),
    "[]": _body(b"[]"),
    "null": _body(b"null"),
    "a text": _body(b'"ok"'),
    "a number": _body(b"0"),
    "true": _body(b"true"),
    "a login page": _body(PAGE, **HTML),
    "a page": _page,
    "a page that calls itself JSON": _body(PAGE),
    "cut on the way": _cut,
    "cut before": _truncated,
    "longer than said": _too_short,
    "shorter than said": _too_long,
    "dripping": _drip,
    "garbage within": _garbage,
    "twice": _twice,
    "a redirect": _redirect,
    "no content": _no_content,
    "a failure with 200": _failure,
    "nested too deep": _deep,
    "not compressed": _compressed,
    "another type": _other_type,
}


def _still_json(data: bytes) -> bool:
    try:
        json.loads(data.decode())
    except ValueError:
        return False
    return True


def _json(wire: Wire, dice: random.Random, change: Callable[[Any, random.Random], Any]) -> Wire:
    """The answer with another content; one that is no JSON object is replaced by a page."""
    try:
        content = json.loads(wire.data)
    except ValueError:
        return dataclasses.replace(wire, status=200, headers=HTML, data=PAGE)
    before = json.dumps(content, sort_keys=True)
    changed = change(content, dice)
    if json.dumps(changed, sort_keys=True) == before:  # nothing there to mutilate
        changed = []
    return dataclasses.replace(wire, status=200, data=json.dumps(changed).encode())


def _other(dice: random.Random) -> Any:
    return dice.choice([None, True, 0, 7.5, "text", "", [], {}, [None], [[]], {"a": None}])


def _kind(content: Any, dice: random.Random) -> Any:
    return {
        **content,
        "kind": dice.choice(["Pod", "PodList", "Status", "Table", "", None, 5, "PartialObject"]),
    }


def _version(content: Any, dice: random.Random) -> Any:
    return {**content, "apiVersion": dice.choice(["v9", "other/v1", "", None, 5, ["v1"]])}


def _metadata(content: Any, dice: random.Random) -> Any:
    return {**content, "metadata": dice.choice([None, [], "x", 5, True])}


def _name(content: Any, dice: random.Random) -> Any:
    metadata = content.get("metadata")
    if not isinstance(metadata, dict) or "name" not in metadata:
        return {}
    field = dice.choice([name for name in ("name", "namespace") if name in metadata])
    return {**content, "metadata": {**metadata, field: dice.choice(["other", "", None, 5, ["x"]])}}


def _without(*names: str) -> Callable[[Any, random.Random], Any]:
    def change(content: Any, dice: random.Random) -> Any:
        present = [name for name in names if name in content]
        if not present:
            return {}
        gone = dice.choice(present)
        return {key: value for key, value in content.items() if key != gone}

    return change


def _items(content: Any, dice: random.Random) -> Any:
    if "items" not in content:
        return {"kind": "List", "items": []}
    broken = [None, {}, "x", 5, True, [None], ["x"], [[]], [{}], [{"metadata": None}], [{"kind": "Pod"}]]
    return {**content, "items": dice.choice(broken)}


def _an_item(content: Any, dice: random.Random) -> Any:
    if not content.get("items"):
        return _items(content, dice)
    items = list(content["items"])
    index = dice.randrange(len(items))
    items[index] = dice.choice([None, 5, "x", [], {}, {"metadata": {}}, {**items[index], "metadata": None}])
    return {**content, "items": items}


def _somewhere(content: Any, dice: random.Random) -> Any:
    """A value of another type in some place, however deep; identity and envelope included."""
    copied = json.loads(json.dumps(content))
    path = dice.choice(list(_paths(copied)) or [()])
    if not path:
        return _other(dice)
    holder = copied
    for step in path[:-1]:
        holder = holder[step]
    old, new = holder[path[-1]], _other(dice)
    while type(new) is type(old):
        new = _other(dice)
    holder[path[-1]] = new
    return copied


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    steps: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for step, inner in steps:
        yield (*path, step)
        yield from _paths(inner, (*path, step))


_IN_JSON: dict[str, Callable[[Any, random.Random], Any]] = {
    "another kind": _kind,
    "another version": _version,
    "broken metadata": _metadata,
    "another name": _name,
    "without its envelope": _without("kind", "apiVersion", "metadata", "items"),
    "broken items": _items,
    "a broken item": _an_item,
    "another type somewhere": _somewhere,
    "in a list": lambda content, _dice: [content],
    "in an object": lambda content, _dice: {"data": content},
    "as a text": lambda content, _dice: json.dumps(content),
}
