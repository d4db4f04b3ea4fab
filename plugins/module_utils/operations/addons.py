# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs the add-ons of a list, removes those that left it, and waits until they run."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import inventory
from ..context import Context
from ..errors import InputError, MalformedError, MeshError, Problem
from ..fields import annotations_of, labels_of, name_of, namespace_of
from ..inventory import Inventory
from ..istio.installation.manifests import parse_manifests
from ..kube.client import KubeClient
from ..kube.create_once import create_once
from ..kube.options import CONNECTION_SPEC, ConnectionOptions
from ..kube.owners import is_written_by
from ..labels import APPLIED_BY_ANNOTATION, FIELD_MANAGER, PART_OF_LABEL, ownership_labels
from ..model.addons.access import ACCESS_SPEC, Access, reachable
from ..model.addons.dashboards import check_dashboards, with_dashboards
from ..model.addons.manifests import CLUSTER_KINDS, KINDS, PART_OF, all_images, prepared
from ..model.addons.safety import GRAFANA_SECRET, KIALI_SECRET, SAFETY_SPEC, Safety, made_safe, wanted_secrets
from ..model.reading.typed import variables_of
from ..object_id import object_id
from .apply.engine import ApplyOptions, Plan, Wait, apply_plan
from .apply.input import checked, with_scope
from .apply.live import read_live
from .apply.owned import told_copies
from .apply.plan import verb_of

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION_SPEC,
    "addons": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
        },
    },
    "namespace": {"type": "str", "default": "istio-system"},
    **inventory.SPEC,
    "images": {"type": "dict", "default": {}},
    **SAFETY_SPEC,
    **ACCESS_SPEC,
    "dashboards": {"type": "list", "elements": "path", "default": []},
    "timeout": {"type": "raw", "default": 300},
}
GRAFANA = "grafana"
VARIABLES = variables_of(ARGUMENT_SPEC, "addons_", addons="addons_enabled", owner="istio_owner")


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """One add-on of the list. ``path`` is a manifest, or a directory of manifests."""

    name: str
    path: Path


@dataclasses.dataclass(frozen=True, slots=True)
class AddonOptions:
    """Which add-ons shall be there, and how.

    :param addons: all of them; what is not on the list is removed.
    :param namespace: for objects that name none.
    :param images: exact image or prefix -> what to pull instead; see ``model.addons.remapped``.
    :param timeout: seconds that all workloads together may take to roll out. :param inventory: who asks.
    :param safety: what is changed of the samples. :param access: how they are reached, and by whom.
    :param dashboards: JSON files for Grafana.
    """

    addons: tuple[Source, ...]
    namespace: str
    images: Mapping[str, str]
    timeout: float
    inventory: Inventory
    safety: Safety
    access: Access
    dashboards: tuple[Path, ...]

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> AddonOptions:
        """The options of module ``addons``.

        :param params: as its argument spec leaves them: every option is there.
        :raises InputError: an image that is not text.
        """
        images = dict(params["images"])
        problems = [
            Problem(f"images[{key}]", "is no image: give it as text", "image")
            for key, image in images.items()
            if not isinstance(key, str) or not isinstance(image, str) or not image
        ]
        if problems:
            raise InputError(problems)
        return cls(
            tuple(Source(str(addon["name"]), Path(addon["path"])) for addon in params["addons"]),
            namespace=str(params["namespace"]),
            images=images,
            timeout=float(params["timeout"]),
            inventory=Inventory.from_params(params),
            safety=Safety.from_params(params),
            access=Access.from_params(params, [str(addon["name"]) for addon in params["addons"]]),
            dashboards=tuple(map(Path, params["dashboards"])),
        )


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Server-side apply of everything that is wanted, deletion of what is not, and a bounded wait.

    :returns: the result of an apply, ``addons`` (names) and ``images``.
    :raises InputError: for a missing or empty source, or an object that two add-ons contain.
    :raises RefusedError: an add-on of another inventory would change.
    """
    options = AddonOptions.from_params(params)
    objects = read_addons(options)
    connection = ConnectionOptions.from_params(params, context.environment)
    with context.client(connection) as client:
        result = _apply(client, objects, options, context)
    names = [source.name for source in options.addons]
    return {**result, "addons": names, "images": all_images(objects)}


def _apply(
    client: KubeClient, objects: Sequence[dict[str, Any]], options: AddonOptions, context: Context
) -> dict[str, Any]:
    missing, unused = _secrets(client, objects, options)
    found = [*_stale(client, objects, options.namespace, context), *unused]
    stale = [obj for obj in found if not _is_foreign(obj, options)]
    scoped = with_scope(client, checked(objects), options.namespace)
    live = read_live(client, scoped)
    wanted = [_marked(obj, live.get(obj), options.inventory) for obj in scoped]

    def check(plan: Plan) -> None:
        _refuse_foreign(plan, options)
        _create(client, missing, context)

    write = ApplyOptions(wait=Wait(timeout=options.timeout), namespace=options.namespace, before_write=check)
    made = [f"{namespace_of(obj)}/{name_of(obj)}" for obj in missing]
    result = apply_plan(client, wanted, live, stale, context=context, options=write)
    _create(client, missing, context)
    return {**result, "changed": bool(result["changed"] or made), "secrets": made}


def _secrets(
    client: KubeClient, objects: Sequence[Mapping[str, Any]], options: AddonOptions
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Secrets that add-ons need and that are not there, with random values; and those that none needs."""
    wanted = wanted_secrets(objects)
    missing = [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": place, "labels": ownership_labels(PART_OF)},
            "type": "Opaque",
            "stringData": {key: secrets.token_hex(16) for key in keys},
        }
        for (place, name), keys in wanted.items()
        if client.get("v1", "Secret", name, place) is None
    ]
    unused = []
    for name in (GRAFANA_SECRET, KIALI_SECRET):
        if (options.namespace, name) in wanted:
            continue
        live = client.get("v1", "Secret", name, options.namespace)
        if live is not None and labels_of(live).get(PART_OF_LABEL) == PART_OF:
            unused.append(live)
    return missing, unused


def _create(client: KubeClient, missing: list[dict[str, Any]], context: Context) -> None:
    """Creates what is still missing, once."""
    while missing and not context.check_mode:
        create_once(client, missing[0], f"Secret {name_of(missing[0])}", "its values")
        missing.pop(0)


def _holder_of(obj: Mapping[str, Any] | None) -> str:
    return annotations_of(obj).get(APPLIED_BY_ANNOTATION, "")


def _is_foreign(obj: Mapping[str, Any], options: AddonOptions) -> bool:
    """What another inventory put there has left no list of ours."""
    return options.inventory.must_leave(_holder_of(obj))


def _marked(obj: dict[str, Any], live: Mapping[str, Any] | None, asker: Inventory) -> dict[str, Any]:
    name = asker.holder_after(_holder_of(live))
    if not name:
        return obj
    annotations = {**annotations_of(obj), APPLIED_BY_ANNOTATION: name}
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}


def _refuse_foreign(plan: Plan, options: AddonOptions) -> None:
    """Two inventories with other versions of one add-on would install them in turn."""
    found = [item for item in plan.items if item.changes and _is_foreign(item.before or {}, options)]
    if found:
        raise inventory.refusal(
            "add-ons are applied",
            _holder_of(found[0].before),
            options.inventory,
            [f"{verb_of(item)} {item.id}" for item in found],
            annotation=APPLIED_BY_ANNOTATION,
            instead="take the add-on out of addons_enabled of one inventory",
            option="addons_take_over",
        )


def read_addons(options: AddonOptions) -> list[dict[str, Any]]:
    """All objects of all add-ons, ready to be applied.

    :returns: the add-ons' objects, in the order of the list.
    :raises InputError: with every problem of the sources.
    """
    problems: list[Problem] = []
    objects: list[dict[str, Any]] = []
    owners: dict[tuple[str, str, str], str] = {}
    enabled = [source.name for source in options.addons]
    boards = _dashboards(options, problems)
    for source in options.addons:
        found = _read(source, problems)
        try:
            found = prepared(found, addon=source.name, namespace=options.namespace, images=options.images)
            if source.name == GRAFANA and boards:
                found = with_dashboards(found, boards, options.namespace)
            found = reachable(found, source.name, options.access, options.namespace)
            found = made_safe(found, source.name, options.safety, enabled, options.namespace)
            found = prepared(found, addon=source.name, namespace=options.namespace, images={})
        except MalformedError as error:
            problems.append(Problem(f"addons[{source.name}].path", error.message, "addon-source"))
        except InputError as error:
            problems += error.problems
        for obj in found:
            key = _key(obj)
            if key in owners:
                message = f"{obj['kind']} {name_of(obj)} is also part of {owners[key]}"
                problems.append(Problem(f"addons[{source.name}]", message, "unique"))
            owners[key] = source.name
            objects.append(obj)
    if problems:
        raise InputError(problems)
    return objects


def _dashboards(options: AddonOptions, problems: list[Problem]) -> dict[str, str]:
    """The texts of the dashboards, by path; none that is at fault."""
    if not options.dashboards:
        return {}
    if GRAFANA not in [source.name for source in options.addons]:
        problems.append(Problem("addons_dashboards", "need grafana in addons_enabled", "unknown-addon"))
    texts: dict[str, str] = {}
    for path in options.dashboards:
        where = f"addons_dashboards[{path}]"
        try:
            texts[str(path)] = path.read_text(encoding="utf-8")
        except OSError as error:
            problems.append(Problem(where, f"cannot be read: {error.strerror}", "dashboard"))
        except UnicodeDecodeError:
            problems.append(Problem(where, "is not text in UTF-8", "dashboard"))
    faults = check_dashboards(texts)
    problems += faults
    return {} if faults else texts


def _read(source: Source, problems: list[Problem]) -> list[dict[str, Any]]:
    """The objects of one add-on. A source without any is a fault: else its objects would be removed."""
    where, before = f"addons[{source.name}].path", len(problems)
    objects: list[dict[str, Any]] = []
    try:
        for file in _files(source.path):
            try:
                objects += parse_manifests(file.read_text(encoding="utf-8"), about=str(file))
            except InputError as error:
                problems += error.problems
            except UnicodeDecodeError:
                problems.append(Problem(where, f"{file} is not text in UTF-8", "addon-source"))
            except MeshError as error:
                problems.append(Problem(where, error.message, "addon-source"))
    except OSError as error:
        message = f"{error.filename} cannot be read: {error.strerror}"
        problems.append(Problem(where, message, "addon-source"))
    if not objects and len(problems) == before:
        problems.append(Problem(where, f"{source.path} holds no manifest", "addon-source"))
    return objects


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path] if path.is_file() else []
    return sorted(
        item for item in path.iterdir() if item.suffix in (".yaml", ".yml", ".json") and item.is_file()
    )


def _stale(
    client: KubeClient, wanted: Sequence[Mapping[str, Any]], namespace: str, context: Context
) -> list[dict[str, Any]]:
    """What earlier runs installed and this list no longer contains. A copy by hand is told and stays.

    Looked for in the add-ons' namespaces only: nobody has to be allowed to read all others for this.
    """
    kept = {_key(obj) for obj in wanted}
    namespaces = sorted({namespace, *(namespace_of(obj) or namespace for obj in wanted)})
    places = [
        (api_version, kind, place)
        for api_version, kind in KINDS
        for place in ([None] if kind in CLUSTER_KINDS else namespaces)
    ]
    selector = f"{PART_OF_LABEL}={PART_OF}"
    lists = client.in_parallel(
        lambda place: client.list(place[0], place[1], place[2], label_selector=selector).items, places
    )
    found = [obj for items in lists for obj in items if _key(obj) not in kept]
    ours = [obj for obj in found if is_written_by(obj, {FIELD_MANAGER})]
    if copies := [object_id(obj) for obj in found if not is_written_by(obj, {FIELD_MANAGER})]:
        context.warn(told_copies(copies, "the add-ons"))
    return ours


def _key(obj: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(obj["kind"]), namespace_of(obj), name_of(obj)
