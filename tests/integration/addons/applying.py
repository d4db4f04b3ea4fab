# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Add-ons of the release beside those of the finished mesh, kept by the module's backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.model.addons.manifests import all_images
from ansible_collections.servicemesh.istio.plugins.module_utils.operations import addons

from ...unit.support.arguments import validated

ROOT = Path(__file__).resolve().parents[3]
HOME = "istio-system"
OWN = ("request-metrics", "prometheus")
"""What the finished mesh has already, as the lab's inventory says it."""


def image_of(samples: Path, name: str) -> str:
    """The one image of a sample."""
    text = (samples / f"{name}.yaml").read_text(encoding="utf-8")
    (image,) = all_images([item for item in yaml.safe_load_all(text) if item])
    return image


def keep(kubeconfig: str, samples: Path, *more: str, **options: Any) -> dict[str, Any]:
    """Apply the list of the lab's inventory and some of the samples. :returns: what the module answers."""
    listed = [{"name": name, "path": str(ROOT / "lab" / "addons" / name)} for name in OWN]
    listed += [{"name": name, "path": str(samples / f"{name}.yaml")} for name in more]
    given = {"kubeconfig": kubeconfig, "addons": listed, "owner": "shop@lab", "timeout": 120, **options}
    checked = validated(addons.ARGUMENT_SPEC, given)
    return addons.run(checked, Context(environment={}))
