"""Dependencies point one way; the imports are read, not trusted.

playbooks -> roles -> plugins -> operations -> istio -> (model, kube), and inside a layer its packages along
MAY_IMPORT_PACKAGE, in a package its rooms along MAY_IMPORT_BESIDE. All use the small modules that lie beside
the layers: errors, labels, object_id, verdicts.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
PACKAGE = "ansible_collections.servicemesh.istio"
OURS = f"{PACKAGE}.plugins"

BASICS = {
    "documents",
    "equality",
    "errors",
    "fields",
    "inventory",
    "labels",
    "object_id",
    "verdicts",
    "words",
}
# layer -> layers that it may import (itself and BASICS always)
MAY_IMPORT: dict[str, set[str]] = {
    "documents": set(),
    "equality": set(),
    "errors": set(),
    "files": set(),
    "fields": set(),
    "inventory": set(),
    "labels": set(),
    "object_id": set(),
    "tls": set(),
    "verdicts": set(),
    "words": set(),
    "model": set(),
    "kube": {"files", "tls"},
    "istio": {"files", "kube", "model", "tls"},
    "context": {"kube"},
    "operations": {"context", "files", "model", "kube", "istio", "tls"},
    "run": {"context", "kube", "model"},
    "plugin_utils": {"context", "kube", "model", "run"},
    "doc_fragments": set(),
    "modules": {"operations", "run"},
    "action": {"operations", "plugin_utils"},
    "filter": {"model", "plugin_utils"},
    "lookup": set(),
}
# layer -> its packages (or single files) -> those beside them that they may import. Each has to be named.
MAY_IMPORT_PACKAGE: dict[str, dict[str, set[str]]] = {
    "model": {
        "addons": {"reading"},
        "catalogue": {"installation", "reading"},
        "certificates": {"installation", "reading"},
        "host_patterns": set(),
        "installation": {"reading"},
        "observe": {"catalogue", "certificates", "promql", "response_flags", "rollout"},
        "objects": {"catalogue", "reading", "security", "virtual_services"},
        "pod_images": set(),
        "promql": set(),
        "reading": set(),
        "response_flags": set(),
        "rollout": {"catalogue", "objects", "reading", "response_flags", "virtual_services"},
        "security": {"catalogue", "reading", "virtual_services"},
        "versions": {"reading"},
        "virtual_services": set(),
    },
    "istio": {
        "client_hello": set(),
        "images": set(),
        "injection": {"images", "workloads"},
        "installation": {"images"},
        "istiod": {"proxy", "syncz"},
        "metrics": set(),
        "probe": set(),
        "proxy": {"probe", "workloads"},
        "syncz": set(),
        "workloads": set(),
    },
    "operations": {
        "addons": {"apply"},
        "apply": {"rights"},
        "bill": {"addons", "canary", "control_plane", "download"},
        "canary": {"propagation", "rights"},
        "certificates": {"rights"},
        "cluster_check": set(),
        "control_plane": set(),
        "diagnose": {"verify"},
        "download": set(),
        "helm_release": {"control_plane"},
        "injection": {"rights"},
        "mesh_ca": {"certificates", "injection", "rights"},
        "mesh": {"apply", "cluster_check", "propagation", "rights"},
        "observe": {"canary", "trust"},
        "preflight": {"cluster_check", "control_plane", "rights"},
        "propagation": set(),
        "proxy_log": set(),
        "render": set(),
        "reports": set(),
        "resources": {"apply", "mesh"},
        "rights": set(),
        "trust": {"certificates", "mesh_ca"},
        "sidecar_sizes": {"rights"},
        "verify": {"cluster_check"},
    },
}
# package -> the rooms in it -> which of the files and rooms beside them they import. Each has to be named.
MAY_IMPORT_BESIDE: dict[str, dict[str, set[str]]] = {
    "model/catalogue": {"readers": {"mesh", "regex", "services", "streams"}},
    "model/observe": {"grafana": {"queries"}},
    "model/rollout": {"page": {"statistics"}},
    "operations/canary": {
        "deadman": {"kube_events", "objects", "protocols", "rollout"},
        "objects": {"protocols"},
        "options": {"outside"},
        "outside": set(),
        "preflight": {
            *("assembly", "metrics", "objects", "options", "outside", "rendering", "scaling", "subsets"),
        },
        "scaling": {"evidence", "options", "protocols", "rollout"},
    },
    "operations/diagnose": {"causes": {"case", "cause", "gateway_pods", "network_rules"}},
    "operations/trust": {"sources": {"look"}},
    "operations/verify": {
        "checks": {
            *("cells", "dumps", "findings", "live_objects", "objects", "ours", "picture"),
            *("planned_calls", "policies", "surroundings"),
        },
        "gateways": {"channels", "checks", "live_objects", "options", "probes"},
        "mtls": {"callers", "findings", "picture"},
        "objects": {
            *("callers", "dumps", "findings", "live_objects", "ours", "picture", "surroundings"),
        },
        "policies": {"findings", "live_objects", "picture"},
        "reports": {"findings"},
    },
}
PURE = {*BASICS, "model"}
NO_INPUT_OR_OUTPUT = {
    "ansible", "http", "kubernetes", "logging", "os", "random", "requests", "secrets", "select", "shutil",
    "socket", "subprocess", "tempfile", "threading", "time", "urllib.request", "urllib3",
}  # fmt: skip


@functools.cache
def sources() -> tuple[Path, ...]:
    return tuple(sorted(path for path in PLUGINS.rglob("*.py") if path.name != "__init__.py"))


def layer(parts: tuple[str, ...]) -> str:
    """The layer of a dotted path below plugins/: ('module_utils', 'kube', 'client') is in `kube`."""
    if parts[0] != "module_utils":
        return parts[0]
    name = parts[1].removesuffix(".py") if len(parts) > 1 else ""
    return name if name in MAY_IMPORT else "run"


@functools.cache
def imports(path: Path, *, at_run_time: bool = False) -> frozenset[str]:
    """Absolute names of what a file imports, at its top, in functions and for type checks alike.

    :param at_run_time: leave out what stands under ``if TYPE_CHECKING``.
    """
    package = (OURS, *path.relative_to(PLUGINS).parts[:-1])
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if at_run_time:
        tree.body = [
            node
            for node in tree.body
            if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
        ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return frozenset(found)


def own_layer(path: Path) -> str:
    return layer(path.relative_to(PLUGINS).with_suffix("").parts)


def test_every_layer_has_files() -> None:
    """The rules below would hold for an empty tree too."""
    assert {"errors", "model", "kube", "istio", "operations", "modules", "action"} <= {
        *map(own_layer, sources())
    }


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PLUGINS)))
def test_imports_point_down(path: Path) -> None:
    allowed = {own_layer(path), *MAY_IMPORT[own_layer(path)], *BASICS}
    for name in imports(path):
        if name.startswith(f"{OURS}."):
            target = layer(tuple(name.removeprefix(f"{OURS}.").split(".")))
            assert target in allowed, f"{own_layer(path)} must not import {target}: {name}"
        else:
            assert not name.startswith(PACKAGE), f"{name} is outside plugins"


def package(parts: tuple[str, ...]) -> str:
    """The room inside a layer: ('module_utils', 'model', 'rollout', 'gates') is `rollout`."""
    return parts[2].removesuffix(".py") if len(parts) > 2 else ""


def packages() -> Iterator[tuple[str, str]]:
    """Every layer that is divided, with each package in it."""
    for name in MAY_IMPORT_PACKAGE:
        for found in sorted(
            {package(path.relative_to(PLUGINS).parts) for path in sources() if own_layer(path) == name}
        ):
            yield name, found


def test_every_package_is_named() -> None:
    """A room that nobody has drawn a wall for would have none."""
    assert {(layer, name) for layer, rooms in MAY_IMPORT_PACKAGE.items() for name in rooms} == set(packages())


@pytest.mark.parametrize(
    "path",
    [path for path in sources() if own_layer(path) in MAY_IMPORT_PACKAGE],
    ids=lambda path: str(path.relative_to(PLUGINS)),
)
def test_packages_keep_to_their_walls(path: Path) -> None:
    inside = own_layer(path)
    own = package(path.relative_to(PLUGINS).parts)
    allowed = {own, *MAY_IMPORT_PACKAGE[inside][own]}
    for name in imports(path):
        parts = tuple(name.removeprefix(f"{OURS}.").split("."))
        if name.startswith(f"{OURS}.") and layer(parts) == inside:
            assert package(parts) in allowed, (
                f"{inside}/{own} must not import {inside}/{package(parts)}: {name}"
            )


def test_no_door_is_open_that_nobody_uses() -> None:
    """Else a wrong import could come in through it unseen."""
    layers: dict[str, set[str]] = {name: set() for name in MAY_IMPORT}
    rooms = {layer: {name: set() for name in names} for layer, names in MAY_IMPORT_PACKAGE.items()}
    for path in sources():
        inside = own_layer(path)
        for name in imports(path):
            parts = tuple(name.removeprefix(f"{OURS}.").split("."))
            if name.startswith(f"{OURS}."):
                layers[inside].add(layer(parts))
                if inside in rooms and layer(parts) == inside:
                    rooms[inside][package(path.relative_to(PLUGINS).parts)].add(package(parts))
    assert {name: doors - layers[name] for name, doors in MAY_IMPORT.items() if doors - layers[name]} == {}
    assert {
        f"{inside}/{name}": doors - rooms[inside][name]
        for inside, names in MAY_IMPORT_PACKAGE.items()
        for name, doors in names.items()
        if doors - rooms[inside][name]
    } == {}


def beside() -> dict[str, dict[str, set[str]]]:
    """What the rooms of each package import of what lies beside them there."""
    found: dict[str, dict[str, set[str]]] = {}
    for path in sources():
        parts = (
            path.relative_to(PLUGINS / "module_utils").parts if own_layer(path) in MAY_IMPORT_PACKAGE else ()
        )
        if len(parts) > 3:
            inside = f"{OURS}.module_utils.{parts[0]}.{parts[1]}."
            names = {
                name.removeprefix(inside).split(".")[0] for name in imports(path) if name.startswith(inside)
            }
            rooms = found.setdefault("/".join(parts[:2]), {})
            rooms.setdefault(parts[2], set()).update(names - {parts[2]})
    return found


def test_rooms_of_a_package_import_what_is_named_here_and_all_of_it() -> None:
    assert beside() == MAY_IMPORT_BESIDE


CIRCLES = {**MAY_IMPORT_PACKAGE, **MAY_IMPORT_BESIDE}


@pytest.mark.parametrize("rooms", CIRCLES.values(), ids=CIRCLES)
def test_no_circle_of_packages_is_allowed(rooms: dict[str, set[str]]) -> None:
    """The table itself must have a lowest room, again and again, until it is empty."""
    open_rooms = dict(rooms)
    while open_rooms:
        lowest = [name for name, below in open_rooms.items() if not below & set(open_rooms)]
        assert lowest, f"these import each other in a circle: {sorted(open_rooms)}"
        for name in lowest:
            del open_rooms[name]


def test_no_circle_of_files() -> None:
    """Inside a package, too, imports have a direction (those for type checks alone do not run)."""
    files = {".".join((OURS, *path.relative_to(PLUGINS).with_suffix("").parts)): path for path in sources()}
    needs = {}
    for name, path in files.items():
        used = {
            found if found in files else found.rpartition(".")[0] for found in imports(path, at_run_time=True)
        }
        needs[name] = (used & set(files)) - {name}
    while needs:
        lowest = [name for name, below in needs.items() if not below & set(needs)]
        assert lowest, f"these import each other in a circle: {sorted(needs)}"
        for name in lowest:
            del needs[name]


@pytest.mark.parametrize(
    "path",
    [path for path in sources() if own_layer(path) in PURE],
    ids=lambda path: str(path.relative_to(PLUGINS)),
)
def test_the_model_is_pure(path: Path) -> None:
    """No input, no output, no clock, no Ansible: a mesh is computed from what is handed in."""
    for name in imports(path):
        heads = {name, name.split(".")[0], ".".join(name.split(".")[:2])}
        assert not heads & NO_INPUT_OR_OUTPUT, f"a pure layer imports {name}"


@pytest.mark.parametrize(
    "path",
    [path for path in sources() if own_layer(path) in {*BASICS, "kube", "model"}],
    ids=lambda path: str(path.relative_to(PLUGINS)),
)
def test_only_upper_layers_know_of_ansible(path: Path) -> None:
    for name in imports(path):
        assert name.split(".")[0] != "ansible", f"{own_layer(path)} imports {name}"


def test_kube_knows_nothing_of_istio() -> None:
    """It writes and waits for any object: an Istio group in its code would be a hidden dependency."""
    for path in sources():
        if own_layer(path) != "kube":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not node.value.endswith(".istio.io"), f"{path.name}:{node.lineno}"


def test_module_utils_can_be_shipped() -> None:
    """A module's payload holds what a static scan reaches: importlib would work in the controller only."""
    for path in sources():
        if path.is_relative_to(PLUGINS / "module_utils"):
            assert "importlib.import_module" not in path.read_text(encoding="utf-8"), path.name


def test_a_check_of_verify_is_the_file_of_the_name_that_it_prints() -> None:
    verify = PLUGINS / "module_utils" / "operations" / "verify"
    tree = ast.parse((verify / "findings.py").read_text(encoding="utf-8"))
    (titles,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TITLES"
    )
    names = ast.literal_eval(titles)
    assert [name for name in names if not (verify / "checks" / f"{name}.py").exists()] == []


def test_json_of_others_has_one_reader() -> None:
    """`documents.json_text.from_json` takes what is nested too deep for no JSON; json.loads ends the run."""
    own = {
        "documents/json_text.py",
        "kube/bodies.py",  # answers of the API server, with rules of their own for numbers
        "operations/canary/deadman/script.py",  # runs alone, in the cluster
        "run_module.py",  # what the action plugin has packed
    }
    utils = PLUGINS / "module_utils"
    texts = {path: path.read_text(encoding="utf-8") for path in utils.rglob("*.py")}
    found = {
        str(path.relative_to(utils))
        for path, text in texts.items()
        if "loads" in text
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "json.loads"
    }
    assert found == own


def test_a_class_has_its_name_alone() -> None:
    """One word, one thing: of two classes of one name a reader, and an import, takes one for the other."""
    homes: dict[str, list[str]] = {}
    for path in sources():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(str(path.relative_to(PLUGINS)))
    told = ("ActionModule", "FilterModule", "ModuleDocFragment")  # the names that Ansible looks for
    assert {name: found for name, found in homes.items() if len(found) > 1 and name not in told} == {}


def test_every_init_is_empty() -> None:
    """What an `__init__.py` imports travels in the payload of every module below it."""
    assert [path for path in PLUGINS.rglob("__init__.py") if path.read_text()] == []


def test_tests_import_their_helpers_relatively() -> None:
    """pytest's `pythonpath` (pyproject.toml) finds the collection; a second way would be a second truth."""
    spelled = "sys" + ".path"
    assert [
        path for path in (ROOT / "tests").rglob("*.py") if spelled in path.read_text(encoding="utf-8")
    ] == []


def test_playbooks_hold_plays_and_roles_only() -> None:
    playbooks = sorted((ROOT / "playbooks").glob("*.yml"))
    plays = [
        play
        for path in playbooks
        if not path.name.endswith(".meta.yml")
        for play in yaml.safe_load(path.read_text())
    ]
    assert plays
    for play in plays:
        if "ansible.builtin.import_playbook" in play:
            continue
        assert play["gather_facts"] is False, play["name"]
        tasks = play.get("tasks", [])
        inner = [one for task in tasks for part in ("block", "rescue") for one in task.get(part, [])]
        for task in [*(one for one in tasks if "block" not in one), *inner]:
            names = {"ansible.builtin.import_role", "ansible.builtin.include_role"}
            assert names & set(task), f"{play['name']}: {task['name']} belongs into a role"


def test_no_alias_of_a_type_is_computed_with_a_bar() -> None:
    """ansible-test's pylint takes ``X | None`` for an operation of two classes; in quotes it is a type."""
    bars = [
        f"{path.relative_to(PLUGINS)}:{node.lineno}"
        for path in sorted(PLUGINS.rglob("*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(node.value, ast.BinOp)
        and isinstance(node.value.op, ast.BitOr)
        and isinstance(node.value.right, ast.Constant)
    ]
    assert not bars
