"""Every variable of role mesh is part of the catalogue or known as none: so a typo is told from a setting."""

from __future__ import annotations

from pathlib import Path

import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import (
    CATALOGUE_KEYS,
    ROLE_SETTINGS,
)

ROOT = Path(__file__).resolve().parents[3]


def test_every_variable_of_the_role_is_known_to_the_reader_of_the_catalogue() -> None:
    defaults = yaml.safe_load((ROOT / "roles/mesh/defaults/main.yml").read_text(encoding="utf-8"))
    ours = {name for name in defaults if name.startswith("mesh_")}
    assert ours - {*CATALOGUE_KEYS, *ROLE_SETTINGS} == set()
