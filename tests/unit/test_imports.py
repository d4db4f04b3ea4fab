"""Every file of the collection can be imported with the ansible-core and the Python that run this.

Sanity's own test of imports runs once (``tools/sanity.py``): for each file it imports all that this needs
anew, which takes minutes.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from ansible.release import __version__ as ansible_core

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for path in (ROOT / "plugins").rglob("*.py") if path.name != "__init__.py")


@pytest.mark.parametrize("core", [ansible_core])
def test_every_file_can_be_imported(core: str) -> None:
    assert len(FILES) > 400
    for path in FILES:
        dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        module = importlib.import_module(f"ansible_collections.servicemesh.istio.{dotted}")
        assert Path(str(module.__file__)).resolve() == path, core
