"""A default exists once: what a run takes for granted is what the module gives who says nothing."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.settings import RunSettings
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.backend import ARGUMENT_SPEC
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.options.rollout import (
    RolloutOptions,
    read_options,
)

from ...support.arguments import validated
from .world import CATALOGUE


def read(*, mtls: str = "PERMISSIVE", **given: Any) -> RolloutOptions:
    raw = {**CATALOGUE, "mesh_mtls_mode": mtls}
    params = {"catalogue": raw, "service": "product", "version": "v2", "kubeconfig": {}, **given}
    checked = validated(ARGUMENT_SPEC, params)
    catalogue = parse_catalogue(raw)
    return read_options(checked, catalogue, catalogue.services[0])


def test_whoever_says_nothing_gets_the_defaults_of_a_run() -> None:
    assert dataclasses.asdict(read().settings) == dataclasses.asdict(RunSettings())


@pytest.mark.parametrize(
    "name", ["policy", "baseline", "lease", "resume_period", "orphans", "behind_stable", "evidence"]
)
def test_and_those_of_a_call(name: str) -> None:
    defaults = {field.name: field for field in dataclasses.fields(RolloutOptions)}[name]
    made = defaults.default_factory() if defaults.default is dataclasses.MISSING else defaults.default
    assert getattr(read(), name) == made


@pytest.mark.parametrize(("mtls", "wanted"), [("STRICT", "require"), ("PERMISSIVE", "report")])
def test_mutual_tls_is_required_where_the_service_does(mtls: str, wanted: str) -> None:
    assert read(mtls=mtls).mtls == wanted
    assert read(mtls=mtls, **{}).settings.mtls == wanted


def test_settings_of_a_run_replace_those_of_a_later_call() -> None:
    settings = dataclasses.replace(RunSettings(), deadline=1.0, promote=False)
    later = read().with_settings(settings)
    assert later.settings == settings
    assert later.version == "v2"


@pytest.mark.parametrize(("scrape", "poll"), [(15, 5.0), (5, 5.0), (2, 2.0)])
def test_pods_are_looked_at_at_least_every_five_seconds(scrape: int, poll: float) -> None:
    assert read(scrape_interval=scrape).poll == poll
