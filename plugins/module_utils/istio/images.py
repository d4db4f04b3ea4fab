# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image references, compared by what runs: a policy may pin a tag to a digest, or name a mirror.

Source of the grammar: github.com/distribution/reference. An absent registry is ``docker.io``, an absent path
there is ``library``.
"""

from __future__ import annotations

import dataclasses

SAME, PERHAPS, OTHER = "same", "perhaps", "other"
_DEFAULT = "docker.io"


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """A reference, taken apart.

    :param registry: host and port. :param path: below it, such as ``istio/proxyv2``.
    :param tag: ``""`` when there is none. :param digest: such as ``sha256:...``; ``""`` when there is none.
    """

    registry: str
    path: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """The last part of the path, which a mirror keeps."""
        return self.path.rpartition("/")[2]


def parse_image(reference: str) -> Image:
    """The parts of ``registry:5000/istio/proxyv2:1.31.0@sha256:...``, each of which but the path may lack."""
    rest, _at, digest = reference.partition("@")
    head, _slash, below = rest.partition("/")
    if below and ("." in head or ":" in head or head == "localhost"):
        registry, path = head, below
    else:
        registry, path = _DEFAULT, rest
    directory, slash, last = path.rpartition("/")
    name, _colon, tag = last.partition(":")
    if registry in ("index.docker.io", "registry-1.docker.io"):
        registry = _DEFAULT
    if registry == _DEFAULT and not directory:
        directory, slash = "library", "/"
    return Image(registry, f"{directory}{slash}{name}", tag, digest)


def compare_images(expected: str, found: str) -> str:
    """Whether two references run the same.

    :returns: ``same``; ``other`` when names, tags or digests contradict each other; ``perhaps`` where only
        the registry tells them apart, or one has a digest for the other's tag.
    """
    if expected == found:
        return SAME
    one, other = parse_image(expected), parse_image(found)
    if one.digest and other.digest:
        # What a digest names is the content, wherever it lies.
        return SAME if one.digest == other.digest else OTHER
    if one.name != other.name or (one.tag and other.tag and one.tag != other.tag):
        return OTHER
    if (one.registry, one.path, one.tag or "latest") == (other.registry, other.path, other.tag or "latest"):
        return SAME if not one.digest and not other.digest else _pinned(one, other)
    return PERHAPS


def _pinned(one: Image, other: Image) -> str:
    """One has a digest besides: with the tag beside it, it says what the tag was."""
    return SAME if one.tag and other.tag else PERHAPS
