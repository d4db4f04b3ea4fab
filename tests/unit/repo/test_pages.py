"""What a page says can be done: its playbooks, options, variables and tags exist, and its YAML is read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.cli.doc import DocCLI
from ansible.cli.galaxy import GalaxyCLI
from ansible.cli.playbook import PlaybookCLI
from ansible_collections.servicemesh.istio.plugins.lookup.clusters import TAGS
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import (
    CATALOGUE_KEYS,
    ROLE_SETTINGS,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.installation.settings import (
    read_installation,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import mesh_resources
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane.options import (
    INSTALLATION_SPEC,
)

from tools import docsite, variables

from ..support.pages import commands
from ..support.repository import options_of_roles, yaml_file

ROOT = Path(__file__).resolve().parents[3]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "MAINTAINERS.md", "awx/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("roles/*/README.md")),
]
PLAYBOOKS = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
PREFIXES = ("addons", "bill", "canary", "certificates", "diagnose", "injection", "istio", "mesh", "observe",
            "preflight", "trust", "verify")  # fmt: skip
# Names in pages that look like variables of a role: results, and parts of other names.
RESULTS = re.compile(
    r"_(result|addresses|found|problems|resources|patches|phases|serial|hosts|info|ca|plane)$"
)
# A misspelt one, and metrics of Istio.
EXAMPLES = {"istio_verison", "istio_requests_total", "istio_request_duration_milliseconds"}
FENCES = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```", re.MULTILINE | re.DOTALL)


def known() -> set[str]:
    return {*CATALOGUE_KEYS, *ROLE_SETTINGS, *options_of_roles(), *yaml_file(ROOT / "awx/settings.yml")}


KNOWN = known()


def parsed(words: list[str]) -> Any:
    """The options of a command as its own program reads them; SystemExit when it refuses them."""
    program = {"ansible-playbook": PlaybookCLI, "ansible-doc": DocCLI, "ansible-galaxy": GalaxyCLI}[words[0]]
    cli = program(words)
    cli.init_parser()
    return cli.parser.parse_args(words[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_can_be_typed(page: Path) -> None:
    for words in commands(page.read_text(encoding="utf-8")):
        try:
            options = parsed(words)
        except SystemExit as error:
            raise AssertionError(f"{words[0]} refuses: {' '.join(words)}") from error
        if words[0] != "ansible-playbook":
            continue
        for name in options.args:
            ours = name.startswith("servicemesh.istio.")
            stem = name.rpartition(".")[2] if ours else Path(name).stem
            assert stem in PLAYBOOKS or (ROOT / name).is_file() or "." not in name, name
        for pair in options.extra_vars or []:
            if "=" in pair:
                assert pair.partition("=")[0] in KNOWN, pair
        assert {tag for tags in options.tags or [] for tag in tags.split(",")} <= {*TAGS, "all"}, words


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_variables_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(rf"`((?:{'|'.join(PREFIXES)})_[a-z_]+)(?:`|:|=)", text):
        if name in PLAYBOOKS or name.startswith("mesh_proxy") or RESULTS.search(name) or name in EXAMPLES:
            continue
        assert name in KNOWN or name.endswith("_") or (ROOT / "roles" / name).is_dir(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_yaml_of_a_page_is_yaml_of_known_variables(page: Path) -> None:
    for block in FENCES.finditer(page.read_text(encoding="utf-8")):
        if block["language"] not in ("yaml", "yml"):
            continue
        indent = block["indent"]
        text = "\n".join(line.removeprefix(indent) for line in block["text"].splitlines())
        for content in yaml.safe_load_all(text):
            if not isinstance(content, dict):
                continue
            names = {name for name in content if str(name).startswith(tuple(f"{one}_" for one in PREFIXES))}
            assert names <= KNOWN, names - KNOWN


def test_the_checks_notice_mistakes() -> None:
    for wrong in ("ansible-playbook servicemesh.istio.site --chek", "ansible-galaxy colection install x"):
        with pytest.raises(SystemExit):
            parsed(next(commands(f"    {wrong}\n")))
    (words,) = commands("    ansible-playbook servicemesh.istio.site -i x \\\n      -e mesh_nam=y\n")
    assert words[-1] == "mesh_nam=y" and "mesh_nam" not in KNOWN


def test_every_guide_is_reached_from_the_first_page() -> None:
    """By links, as a reader goes; the site's index lists them anyway."""
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or not page.is_file():
            continue
        seen.add(page)
        text = page.read_text(encoding="utf-8")
        waiting += [(page.parent / link).resolve() for link in re.findall(r"\]\(([^)#:]+\.md)", text)]
    assert {*(ROOT / "docs").rglob("*.md")} - seen == set()


def test_the_page_of_all_variables_is_what_the_roles_say() -> None:
    found = variables.PAGE.read_text(encoding="utf-8")
    assert found == variables.page(), "run .venv/bin/python -m tools.variables"
    for name in KNOWN - {*CATALOGUE_KEYS, *ROLE_SETTINGS}:
        assert f"| `{name}` |" in found or name.startswith("awx_"), name


def test_the_site_has_every_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        copy = tmp_path / page.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.touch()
    monkeypatch.setattr(docsite, "SOURCE", tmp_path)
    listed = set(docsite.index().split())
    assert {str(page.relative_to(ROOT).with_suffix("")) for page in (ROOT / "docs").rglob("*.md")} <= listed


def blocks(name: str) -> dict[str, Any]:
    """All variables of the YAML blocks of a guide, the later ones counting."""
    found: dict[str, Any] = {}
    for block in FENCES.finditer((ROOT / "docs" / "guides" / name).read_text(encoding="utf-8")):
        documents = yaml.safe_load_all(block["text"]) if block["language"] == "yaml" else ()
        for content in documents:
            if isinstance(content, dict):
                found |= {key: value for key, value in content.items() if key != "istio"}
    return found


@pytest.mark.parametrize("name", ["kind.md", "existing.md"])
def test_the_catalogue_of_a_page_renders(name: str) -> None:
    catalogue = {"istio_gateways": [{"name": "istio-ingressgateway"}], **blocks(name)}
    kept = {
        key: value
        for key, value in catalogue.items()
        if key.startswith("mesh_") or key in ("istio_gateways", "istio_namespace")
    }
    assert {obj["kind"] for obj in mesh_resources(kept, {})} >= {"PeerAuthentication", "Sidecar"}


@pytest.mark.parametrize("name", ["kind.md", "platforms.md", "upgrade.md"])
def test_the_installation_of_a_page_is_taken(name: str) -> None:
    settings = {key.removeprefix("istio_"): value for key, value in blocks(name).items()}
    given = {option: settings.get(option, spec.get("default")) for option, spec in INSTALLATION_SPEC.items()}
    found = read_installation(given)
    assert found.version
    assert all(gateway.name == "istio-ingressgateway" for gateway in found.gateways)
