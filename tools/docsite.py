"""``make docs``: the pages of docs/ and of every plugin and role as one site, without a warning, offline.

antsibull-docs writes the pages of plugins and roles, Sphinx reads them together with the Markdown of the
repository. What they name of Ansible's own documentation is in an inventory of our own, so nothing is asked
of the network; a name that it lacks is a warning, and a warning ends the build.
"""

from __future__ import annotations

import os
import shutil
import sys
import zlib
from pathlib import Path

from .paths import BUILD, COLLECTIONS, ROOT
from .processes import run
from .screen import say
from .stages import Stage, StageError, report, run_stages

BIN = Path(sys.executable).parent
DIRECTORY = BUILD / "docsite"
SOURCE, SITE = DIRECTORY / "source", DIRECTORY / "html"
ANSIBLE = "https://docs.ansible.com/projects/ansible/latest/"
# label -> page of Ansible's documentation, for what our pages refer to.
LABELS = {
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "common_return_values": "reference_appendices/common_return_values.html",
    "ansible_collections.ansible.builtin.copy_module": "collections/ansible/builtin/copy_module.html",
    "ansible_collections.ansible.builtin.template_module": "collections/ansible/builtin/template_module.html",
    "ansible_collections.kubernetes.core.k8s_module": "collections/kubernetes/core/k8s_module.html",
}
# Pages beside docs/, and files that pages offer as they are.
BESIDE = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "MAINTAINERS.md", "CHANGELOG.md", "LICENSE")
FIRST = ("running", "kind", "platforms", "existing", "install", "mesh")  # guides, in the order of reading
CONFIGURATION = f"""
project = "servicemesh.istio"
extensions = ["myst_parser", "sphinx.ext.intersphinx", "sphinx_antsibull_ext"]
root_doc = "index"
myst_heading_anchors = 4
html_theme = "alabaster"
html_theme_options = {{"page_width": "75em", "sidebar_width": "18em"}}
intersphinx_mapping = {{"ansible": ("{ANSIBLE}", "ansible.inv")}}
"""


def prepare() -> int:
    """Collect the pages. :returns: how many."""
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    shutil.copytree(ROOT / "docs", SOURCE / "docs")
    for name in (*BESIDE, "awx/README.md"):
        (SOURCE / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, SOURCE / name)
    (SOURCE / "conf.py").write_text(CONFIGURATION, encoding="utf-8")
    (SOURCE / "ansible.inv").write_bytes(labels())
    _quiet(
        BIN / "antsibull-docs",
        *("collection", "--use-current", "--fail-on-error", "--no-breadcrumbs", "--dest-dir", SOURCE),
        "servicemesh.istio",
    )
    (SOURCE / "index.md").write_text(index(), encoding="utf-8")
    return sum(1 for _page in SOURCE.rglob("*.[mr][ds]*"))


def labels() -> bytes:
    """LABELS as an inventory that Sphinx reads (sphinx.util.inventory, version 2)."""
    head = "# Sphinx inventory version 2\n# Project: Ansible\n# Version: latest\n"
    head += "# The remainder of this file is compressed using zlib.\n"
    lines = "".join(f"{label} std:label -1 {page} {label}\n" for label, page in sorted(LABELS.items()))
    return head.encode() + zlib.compress(lines.encode())


def index() -> str:
    """The first page: every page of the site, in groups."""
    guides = sorted(path.stem for path in (SOURCE / "docs" / "guides").glob("*.md"))
    playbooks = sorted(path.stem for path in (SOURCE / "docs" / "playbooks").glob("*.md"))
    groups = {
        "Begin": ["README"],
        "Guides": [
            f"docs/guides/{name}" for name in [*FIRST, *(name for name in guides if name not in FIRST)]
        ],
        "Playbooks": [f"docs/playbooks/{name}" for name in playbooks],
        "Run it": ["docs/rbac/README", "docs/schedules/README", "awx/README"],
        "Modules, roles, filters": ["collections/index", "collections/servicemesh/istio/index"],
        "The project": [
            "docs/architecture",
            *(name.removesuffix(".md") for name in BESIDE if name.endswith(".md") and name != "README.md"),
        ],
    }
    parts = ["# servicemesh.istio\n"]
    for caption, pages in groups.items():
        parts.append(f"```{{toctree}}\n:caption: {caption}\n:maxdepth: 1\n\n" + "\n".join(pages) + "\n```\n")
    return "\n".join(parts)


def build() -> int:
    """Build the site; the first warning ends it, all are shown. :returns: the number of pages."""
    _quiet(BIN / "sphinx-build", "-q", "-W", "--keep-going", "-j", "2", "-b", "html", SOURCE, SITE)
    pages = list(SITE.rglob("*.html"))
    say(f"    {len(pages)} pages: {SITE / 'index.html'}")
    return len(pages)


def docsite() -> int:
    """Both steps as one stage."""
    prepare()
    return build()


def _quiet(*arguments: str | Path) -> None:
    environment = {
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }
    done = run(arguments, environment=environment, capture=True)
    if done.returncode or "WARNING" in done.stdout or "ERROR" in done.stdout:
        say(done.stdout)
        raise StageError(f"{Path(str(arguments[0])).name} is not content with the pages")


if __name__ == "__main__":
    sys.exit(report(run_stages([Stage("docsite: built without a warning", docsite)])))
