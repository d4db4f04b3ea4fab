# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the installer's program, checks its version, and renders what it would install."""

from __future__ import annotations

import hashlib
import re
import tarfile
import tempfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ...documents.json_text import json_text
from ...documents.read import read_document
from ...errors import InputError, MeshError, Problem
from ...fields import annotations_of, labels_of
from ...files import to_make
from ...istio.installation.cache import cache_directory
from ...istio.installation.commands import (
    Runner,
    Tool,
    find_tool,
    helm_version,
    istioctl_version,
    without_log_lines,
)
from ...istio.installation.helm_releases import ChartReference, Release, chart_reference
from ...istio.installation.istioctl_operator import operator_document, with_owner_labels
from ...istio.installation.manifests import parse_manifests
from ...model.installation.settings import Installation
from .options import ToolOptions

# Helm 3 is the tested default; 3.17 is the oldest that can take over objects, 4 applies on the server's side.
HELM_RANGE = ((3, 14), (5, 0))
_NUMBERS = re.compile(r"(\d+)\.(\d+)", re.ASCII)


def find_installer(installation: Installation, runner: Runner, tools: ToolOptions) -> Tool:
    """The program that this method needs, of the right version.

    :raises InputError: when it is missing or of another version.
    """
    if installation.method == "istioctl":
        path = find_tool(tools.istioctl_path, where="istio_istioctl_path", environment=runner.environment)
        tool = istioctl_version(runner, path)
        if tool.version != installation.version:
            message = f"{path} is istioctl {tool.version}, istio_version is {installation.version}"
            raise InputError([Problem("istio_istioctl_path", message, "tool-version")])
        return tool
    path = find_tool(tools.helm_binary, where="istio_helm_binary", environment=runner.environment)
    tool = helm_version(runner, path)
    numbers = _NUMBERS.match(tool.version)
    if numbers is None or not HELM_RANGE[0] <= (int(numbers[1]), int(numbers[2])) < HELM_RANGE[1]:
        message = f"{path} is Helm {tool.version}; 3.14 or newer, below 5, is needed"
        raise InputError([Problem("istio_helm_binary", message, "tool-version")])
    return tool


def render_istioctl(installation: Installation, runner: Runner, tool: Tool) -> list[dict[str, Any]]:
    """Every object that ``istioctl install`` would apply, with the labels that it adds.

    :returns: one mapping per object, in istioctl's order.
    """
    text = runner.run(
        [tool.path, "manifest", "generate", "-f", "-"],
        stdin=json_text(operator_document(installation)),
        about="render the control plane with istioctl",
    )
    about = "the output of istioctl manifest generate"
    rendered = parse_manifests(without_log_lines(text), about=about)
    if not rendered:
        # "Nothing to install" would look like "nothing to do", and everything that is there like stale.
        raise MeshError(f"{about} holds no object: profile {installation.profile} would install nothing")
    return with_owner_labels(rendered, installation, tool.version)


def chart_references(
    releases: Sequence[Release], runner: Runner, tool: Tool, options: ToolOptions, *, version: str
) -> dict[str, ChartReference]:
    """Chart name -> something on this machine that helm can read.

    Charts of a repository are pulled once per version into ``cache``: a released chart never changes, and
    every later command then works without the network.

    :returns: chart name -> where it lies, for every chart of the releases.
    :raises InputError: a source without the charts, a cache that cannot be written, or a chart that is not
        what its checksum says.
    :raises MeshError: when helm cannot fetch one.
    """
    charts = sorted({release.chart for release in releases})
    references = {chart: chart_reference(options.chart_source, chart, version) for chart in charts}
    if any(reference.version for reference in references.values()):
        references = _from_repository(references, runner, tool, options, version)
    for chart, digest in options.chart_checksums.items():
        if chart in references:
            _compare(chart, Path(references[chart].reference), digest)
    return references


def _compare(chart: str, package: Path, digest: str) -> None:
    """:raises InputError: the chart is not the one that the checksum is of; at every use, cached or not."""
    where = f"istio_chart_checksums.{chart}"
    if not package.is_file():
        message = f"{package} is no packaged chart, which alone has a checksum"
        raise InputError([Problem(where, message, "checksum")])
    found = hashlib.sha256(package.read_bytes()).hexdigest()
    if found != digest:
        message = f"{package} has the sha256 {found}; remove it when it should be fetched again"
        raise InputError([Problem(where, message, "checksum")])


def _from_repository(
    references: Mapping[str, ChartReference],
    runner: Runner,
    tool: Tool,
    options: ToolOptions,
    version: str,
) -> dict[str, ChartReference]:
    # One directory per source: two repositories may hold different charts of one name and version.
    origin = hashlib.sha256(options.chart_source.encode()).hexdigest()[:16]
    try:
        cache = to_make(options.chart_cache, "istio_chart_cache") if options.chart_cache else None
        directory = (cache or cache_directory(runner.environment, "charts")) / origin
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(options.chart_cache, error) from error
    return {
        chart: _pulled(reference, chart, version, directory, runner, tool)
        for chart, reference in references.items()
    }


def _pulled(
    reference: ChartReference, chart: str, version: str, directory: Path, runner: Runner, tool: Tool
) -> ChartReference:
    package = directory / f"{chart}-{version}.tgz"
    if package.is_file():
        return ChartReference(str(package))
    # Moved into its place when it is whole: a run that ends meanwhile must not leave half a package there.
    try:
        place = tempfile.TemporaryDirectory(dir=directory)
    except OSError as error:
        raise _unusable(str(directory), error) from error
    with place as fetched:
        runner.run(
            [tool.path, "pull", *reference.arguments, "--destination", fetched],
            timeout=120,
            about=f"fetch chart {chart} {version}",
        )
        found = Path(fetched) / package.name
        if not found.is_file():
            raise MeshError(f"helm fetched chart {chart} {version}, but wrote no {package.name}")
        found.replace(package)
    return ChartReference(str(package))


def _unusable(cache: str, error: OSError) -> InputError:
    message = f"{cache} cannot hold charts: {error.strerror}"
    return InputError([Problem("istio_chart_cache", message, "chart-cache")])


def chart_version(reference: ChartReference) -> str:
    """The version that a chart on disk calls itself, which may differ from Istio's in a source checkout.

    :raises MeshError: when it is no chart, or does not say its version.
    """
    path = Path(reference.reference)
    text = (path / "Chart.yaml").read_text(encoding="utf-8") if path.is_dir() else _packaged_chart_file(path)
    chart = read_document(text, f"{path}/Chart.yaml")
    version = chart.get("version") if isinstance(chart, Mapping) else None
    if not version:
        raise MeshError(f"{path}/Chart.yaml does not say the version of the chart")
    return str(version)


def _packaged_chart_file(package: Path) -> str:
    try:
        with tarfile.open(package) as archive:
            for member in archive:
                if member.name.count("/") == 1 and member.name.endswith("/Chart.yaml"):
                    content = archive.extractfile(member)
                    return content.read().decode() if content else ""
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, tarfile.TarError) as error:
        raise MeshError(f"{package} is not a packaged chart; remove it to have it fetched again") from error
    raise MeshError(f"{package} holds no Chart.yaml")


def render_helm(
    releases: tuple[Release, ...],
    references: Mapping[str, ChartReference],
    runner: Runner,
    tool: Tool,
    *,
    kubernetes: str,
    served: Sequence[str] = (),
    installs: Collection[tuple[str, str]] = (),
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The objects of each release, as an install or upgrade renders them. Needs no cluster.

    :param kubernetes: the cluster's version, which charts may ask for. :param served: the kinds it serves,
        for the same reason. :param installs: keys of releases that are new; charts may ask for that, too.
    :returns: key of the release -> its objects, in the order of the releases.
    :raises MeshError: when helm cannot render a chart, or renders nothing.
    """
    capabilities = ["--kube-version", kubernetes, *(["--api-versions", ",".join(served)] if served else [])]

    def render(release: Release) -> list[dict[str, Any]]:
        text = runner.run(
            [
                tool.path,
                "template",
                release.name,
                *references[release.chart].arguments,
                "--namespace",
                release.namespace,
                *capabilities,
                *(() if release.key in installs else ("--is-upgrade",)),
                "--include-crds",
                "--values",
                "-",
            ],
            stdin=json_text(release.values),
            about=f"render chart {release.chart} for release {release.name}",
        )
        about = f"the rendered chart {release.chart}"
        objects = parse_manifests(text, about=about)
        if not objects:
            raise MeshError(f"{about} holds no object: release {release.name} would install nothing")
        return objects

    with ThreadPoolExecutor(max_workers=4) as pool:
        return dict(zip((release.key for release in releases), pool.map(render, releases), strict=True))


def as_helm_writes(obj: dict[str, Any], name: str, namespace: str, *, namespaced: bool) -> None:
    """Adds what helm adds between rendering and writing (helm pkg/action/validate.go setMetadataVisitor).

    Without it, an object that was deleted by hand and put back here would not belong to its release any more.

    :param name: of the release. :param namespaced: whether the kind is; charts need not name the namespace.
    """
    metadata = obj["metadata"]
    if namespaced:
        metadata.setdefault("namespace", namespace)
    metadata["labels"] = {**labels_of(obj), "app.kubernetes.io/managed-by": "Helm"}
    metadata["annotations"] = {
        **annotations_of(obj),
        "meta.helm.sh/release-name": name,
        "meta.helm.sh/release-namespace": namespace,
    }
