# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a good answer of an API server has to be, read from the answer itself.

A login page, ``{}``, another object or a list without items must never pass for the object that was asked
for, for "nothing there" or for "deleted": whoever judges by it would be wrong in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ApiError
from .failures import is_status

if TYPE_CHECKING:
    from .discovery import Resource
    from .transport import Response

_SHOWN = 60


def object_in(response: Response, subject: str, *, writes: bool) -> dict[str, Any]:
    """The JSON object that an answer holds.

    :param writes: whether the request may have changed something.
    :returns: it. :raises ApiError: ``reason="NotJSON"``, it is something else.
    """
    if not isinstance(response.data, Mapping):
        raise unusable(f"is {_named(response.data)}", response, subject, writes=writes)
    return dict(response.data)


def object_of(
    response: Response,
    resource: Resource,
    subject: str,
    *,
    name: str,
    namespace: str | None,
    writes: bool,
) -> dict[str, Any]:
    """The object that was asked for: of this kind, name and namespace, with metadata.

    :returns: it. :raises ApiError: ``reason="NotJSON"``, it is something else.
    """
    found = object_in(response, subject, writes=writes)
    wrong = _not_of(found, resource.api_version, resource.kind) or _not_named(found, name, namespace)
    if wrong:
        raise unusable(wrong, response, subject, writes=writes)
    return found


def items_of(response: Response, resource: Resource, subject: str) -> tuple[list[dict[str, Any]], str]:
    """The objects of one page of a list, and the token of the next page.

    :returns: objects with ``apiVersion`` and ``kind``, and the token, ``""`` for the last page.
    :raises ApiError: ``reason="NotJSON"``, it is no list of this kind, or not whole.
    """
    page = object_in(response, subject, writes=False)
    metadata = page.get("metadata")
    items = page.get("items")
    wrong = ""
    if is_status(page) or not isinstance(page.get("kind"), str) or page["kind"] == resource.kind:
        wrong = f"is {_named(page)}, not a list of {resource.kind}"
    elif page.get("apiVersion") != resource.api_version:
        wrong = f"is of {_named(page.get('apiVersion'))}, not of {resource.api_version}"
    elif not isinstance(items, list):
        wrong = f"is a list whose items are {_named(items)}"
    elif metadata is not None and not isinstance(metadata, Mapping):
        wrong = f"is a list whose metadata are {_named(metadata)}"
    token = (metadata or {}).get("continue") if not wrong else ""
    if not wrong and not isinstance(token, str | None):
        wrong = "is a list with a broken token for its next page"
    if not wrong and not token and _remaining(metadata):
        wrong = "is a list that does not say how to get the rest of it"
    if wrong:
        raise unusable(wrong, response, subject, writes=False)
    found = []
    for entry in items or ():
        item = entry
        if isinstance(entry, Mapping) and "kind" not in entry:  # typed lists leave it out
            item = {**entry, "apiVersion": resource.api_version, "kind": resource.kind}
        wrong = _not_of(item, resource.api_version, resource.kind) or _not_named(item, None, None)
        if wrong:
            raise unusable(f"is a list with an item that {wrong}", response, subject, writes=False)
        found.append(dict(item))
    return found, token or ""


def check_deleted(response: Response, resource: Resource, name: str, subject: str) -> None:
    """:raises ApiError: ``reason="NotJSON"``, the answer does not say that the object goes or is gone."""
    found = object_in(response, subject, writes=True)
    if is_status(found):
        wrong = "" if found.get("status") == "Success" else "is a Status without success"
    else:
        wrong = _not_of(found, resource.api_version, resource.kind) or _not_named(found, name, None)
    if wrong:
        raise unusable(wrong, response, subject, writes=True)


def unusable(wrong: str, response: Response, subject: str, *, writes: bool) -> ApiError:
    """The error for an answer that says nothing about what was asked. :param wrong: ``is a list``."""
    details: dict[str, Any] = {"outcome": "unknown"} if writes else {}
    doubt = "; whether the request was carried out is not known" if writes else ""
    return ApiError(
        f"{subject}: the answer (HTTP {response.status}) {wrong}{doubt} (is it the API server? a proxy may "
        "be in between)",
        status=response.status,
        reason="NotJSON",
        subject=subject,
        **details,
    )


def _remaining(metadata: Any) -> bool:
    count = metadata.get("remainingItemCount") if isinstance(metadata, Mapping) else None
    return isinstance(count, int) and count > 0


def _not_of(found: Any, api_version: str, kind: str) -> str:
    """What is wrong with the type of an object, ``""`` for nothing."""
    if not isinstance(found, Mapping):
        return f"is {_named(found)}"
    if found.get("kind") != kind:
        return f"is {_named(found)}, not {kind}"
    if found.get("apiVersion") != api_version:
        return f"is of {_named(found.get('apiVersion'))}, not of {api_version}"
    return ""


def _not_named(found: Mapping[str, Any], name: str | None, namespace: str | None) -> str:
    """What is wrong with the identity of an object, ``""`` for nothing."""
    metadata = found.get("metadata")
    if not isinstance(metadata, Mapping):
        return "has no metadata"
    own = metadata.get("name")
    if not isinstance(own, str) or not own:
        return "has no name"
    if name is not None and own != name:
        return f"is called {_named(own)}"
    place = metadata.get("namespace")
    if not isinstance(place, str | None):
        return f"is in the namespace {_named(place)}"
    if namespace and place != namespace:
        return f"is in the namespace {_named(place)}"
    return ""


def _named(value: Any) -> str:
    """A value in words that quote nothing but names."""
    if isinstance(value, Mapping):
        kind = value.get("kind")
        if isinstance(kind, str) and kind.isalnum():
            return f"a {kind[:_SHOWN]}"
        return "an object without a kind" if value else "an empty object"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, str):
        return f"'{value[:_SHOWN]}'" if value.isprintable() else "text"
    return {None: "null", True: "true", False: "false"}.get(value, "a number")
