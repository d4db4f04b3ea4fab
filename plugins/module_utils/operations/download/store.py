# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory of verified downloads that many processes may use at once."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ansible.module_utils.urls import open_url

from ...documents.json_text import from_json
from ...errors import MeshError

if TYPE_CHECKING:
    from ...context import Context

RECORD = "verified.json"
ATTEMPTS = 3
_TIMEOUT = 60
_CHUNK = 1 << 20
_LARGEST_CHECKSUM = 4096


@dataclasses.dataclass(frozen=True, slots=True)
class WantedFile:
    """One thing to keep. :param digest: sha256 of the file at ``url``; without it, ``checksum_url`` has it.

    :param member: path of a file or directory inside the archive; "" keeps the file itself.
    :param advice: what a person can do when it cannot be fetched. :param key: its directory in the store.
    """

    url: str
    digest: str
    checksum_url: str
    member: str
    advice: str
    key: str = ""


class Store:
    """Entries are directories ``KEY/`` that appear as a whole, each with a record of what was verified."""

    def __init__(self, root: Path, context: Context) -> None:
        self._root = root
        self._context = context

    def provide(self, wanted: WantedFile) -> tuple[Path, str, bool]:
        """The verified copy; fetched when it is missing, damaged, or not of the wanted checksum.

        :returns: its path, the sha256 of what was fetched, and whether that was now.
        :raises MeshError: it cannot be fetched or kept.
        """
        entry = self._root / wanted.key
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with self._alone(wanted.key):
                if digest := _verified(entry, wanted):
                    return _content(entry, wanted), digest, False
                self._context.progress(f"fetching {wanted.url}")
                digest = self._fetch(wanted, entry)
        except OSError as error:
            raise MeshError(f"{self._root} cannot hold downloads: {error.strerror or error}") from error
        return _content(entry, wanted), digest, True

    @contextlib.contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """One process fetches, all others wait for it; the kernel drops the lock of one that dies."""
        with (self._root / f"{key}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _fetch(self, wanted: WantedFile, entry: Path) -> str:
        """Fetch and verify it, and put it there as a whole. :returns: its sha256."""
        with tempfile.TemporaryDirectory(dir=self._root, prefix=".fetching-") as place:
            archive, new = Path(place, "archive"), Path(place, "entry")
            new.mkdir()
            digest = wanted.digest or self._published(wanted)
            found = self._get(wanted.url, archive, wanted.advice)
            if found != digest:
                raise MeshError(
                    f"{wanted.url} is not what its checksum says: sha256 {found} instead of {digest}; "
                    "nothing of it is used"
                )
            if wanted.member:
                _unpack(archive, new, wanted)
            else:
                archive.replace(_content(new, wanted))
            record = {"url": wanted.url, "sha256": digest, "files": _digests(new)}
            (new / RECORD).write_text(json.dumps(record), encoding="utf-8")
            shutil.rmtree(entry, ignore_errors=True)
            new.rename(entry)
        return digest

    def _published(self, wanted: WantedFile) -> str:
        """The digest in the file beside the archive, which proves integrity but not origin."""
        with tempfile.TemporaryDirectory(dir=self._root, prefix=".fetching-") as place:
            path = Path(place, "checksum")
            self._get(wanted.checksum_url, path, wanted.advice)
            text = path.read_bytes()[:_LARGEST_CHECKSUM].decode("ascii", "replace")
        digest = (text.split() or [""])[0].lower()
        if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise MeshError(f"{wanted.checksum_url} holds no sha256{_after(wanted.advice)}")
        return digest

    def _get(self, url: str, path: Path, advice: str) -> str:
        """Fetch into a file. :returns: its sha256. :raises MeshError: after several attempts."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with open_url(url, timeout=_TIMEOUT, follow_redirects="all") as answer:
                    return _save(answer, path)
            except Exception as error:  # open_url raises those of urllib, http.client, ssl and its own
                if (
                    attempt == ATTEMPTS
                    or self._context.stop()
                    or getattr(error, "code", 0) in (401, 403, 404)
                ):
                    raise MeshError(f"{url} cannot be fetched: {_reason(error)}{_after(advice)}") from error
                self._context.clock.sleep(attempt)
        raise AssertionError("every way out of the loop returns or raises")


def _after(advice: str) -> str:
    return f"; {advice}" if advice else ""


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).split())[:200] or type(error).__name__


def _save(answer: IO[bytes], path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        while chunk := answer.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _content(entry: Path, wanted: WantedFile) -> Path:
    """Where the kept file or directory is inside its entry."""
    return (
        entry
        / (wanted.member or wanted.url.partition("?")[0].rpartition("/")[2] or "file").rpartition("/")[2]
    )


def _verified(entry: Path, wanted: WantedFile) -> str:
    """The sha256 with which an entry was verified once; empty where it is another than the wanted one, or a
    file was damaged since: then it is fetched again."""
    try:
        record: Mapping[str, Any] = from_json((entry / RECORD).read_text(encoding="utf-8"))
        same = record["files"] == _digests(entry) and wanted.digest in ("", record["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return str(record["sha256"]) if same and record["files"] else ""


def _digests(entry: Path) -> dict[str, str]:
    """:returns: relative path -> sha256 of each file of an entry but its record."""
    found = {}
    for path in sorted(entry.rglob("*")):
        if path.is_file() and path != entry / RECORD:
            with path.open("rb") as file:
                found[str(path.relative_to(entry))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _unpack(archive: Path, new: Path, wanted: WantedFile) -> None:
    """Take the member, a file or all files below a directory, out of the archive; links are left out."""
    target = _content(new, wanted)
    count = 0
    try:
        with tarfile.open(archive) as content:
            for member in content:
                name = member.name.removeprefix("./")
                inside = name == wanted.member or name.startswith(f"{wanted.member}/")
                if not (inside and member.isfile()) or ".." in name.split("/"):
                    continue
                path = target.joinpath(*[part for part in name[len(wanted.member) :].split("/") if part])
                path.parent.mkdir(parents=True, exist_ok=True)
                source = content.extractfile(member)
                if source is None:
                    continue
                _save(source, path)
                path.chmod(0o755 if member.mode & 0o100 else 0o644)
                count += 1
    except (tarfile.TarError, EOFError, OSError) as error:
        raise MeshError(f"{wanted.url} cannot be unpacked: {_reason(error)}") from error
    if not count:
        raise MeshError(f"{wanted.url} holds no {wanted.member}")
