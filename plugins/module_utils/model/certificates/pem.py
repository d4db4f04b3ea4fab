# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PEM text: as its consumers read it, and as people hand it over.

istiod and most clients read PEM with Go's ``encoding/pem``, proxies with BoringSSL. Both want every block to
begin and end on a line of its own, and both skip a block that does not: without a word, so that a chain loses
its end or a Secret serves nothing. :func:`blocks_of` reads as Go does. :func:`normalised` reads what a
template, a vault or a command line makes of the same bytes (joined blocks, blanks for line breaks,
indentation, a byte order mark) and writes what everybody reads, or says what is wrong. No text of an error
quotes the input.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import re
from collections.abc import Iterator

_START, _END, _DASHES = b"-----BEGIN ", b"\n-----END ", b"-----"
_ANYWHERE = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_MARKER = re.compile(r"-----\s*(?:BEGIN|END)|(?:BEGIN|END)[A-Z0-9 ]*-----")
# RFC 1421 headers, such as `Proc-Type: 4,ENCRYPTED`, and the blank line behind them.
_HEADERS = re.compile(r"\s*(?:[A-Za-z0-9-]+:[^\n]*\n)+\s*")


class UnreadablePemError(ValueError):
    """PEM text that is not what it should be. The text of the error never quotes the input."""


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class PemBlock:
    """One PEM block. No ``repr``: it may be a private key.

    :param label: such as ``CERTIFICATE``. :param content: DER. :param encrypted: whether a header says so.
    """

    label: str
    content: bytes
    encrypted: bool = False

    @property
    def is_key(self) -> bool:
        """Whether Go's ``tls.X509KeyPair`` takes it for a private key."""
        return self.label == "PRIVATE KEY" or self.label.endswith(" PRIVATE KEY")

    def as_pem(self) -> bytes:
        """PEM text of the block, without headers, in lines of 64 characters."""
        text = base64.b64encode(self.content)
        lines = [text[start : start + 64] for start in range(0, len(text), 64)]
        label = self.label.encode()
        return b"\n".join((_START + label + _DASHES, *lines, b"-----END " + label + _DASHES, b""))


def blocks_of(pem: bytes) -> list[PemBlock]:
    """The blocks that Go's ``pem.Decode`` finds. :returns: in their order, without those that it skips."""
    found: list[PemBlock] = []
    rest = pem
    while (step := _next_block(rest)) is not None:
        block, rest = step
        found.append(block)
    return found


def first_fingerprint(pem: bytes) -> str:
    """SHA-256 (hexadecimal) of the first certificate of a Secret as istiod reads it; ``""`` for none."""
    first = next(iter(blocks_of(pem)), None)
    if first is None or first.label != "CERTIFICATE" or not first.content:
        return ""
    return hashlib.sha256(first.content).hexdigest()


def skipped(pem: bytes) -> bool:
    """Whether the text has more blocks than Go finds."""
    return len(_ANYWHERE.findall(pem.decode("latin-1"))) > len(blocks_of(pem))


def _next_block(data: bytes) -> tuple[PemBlock, bytes] | None:
    """The next block and what follows it: from the first END line back to the last BEGIN before it."""
    at = 0
    while (end := data.find(_END, at)) >= 0:
        begin = data.rfind(_START, at, end)
        after = end + len(_END)
        on_its_line = begin == at or (begin > at and data[begin - 1 : begin] == b"\n")
        if begin >= 0 and on_its_line and (found := _block(data, begin, end)) is not None:
            return found
        at = after
    return None


def _block(data: bytes, begin: int, end: int) -> tuple[PemBlock, bytes] | None:
    label, body = _line(data[begin + len(_START) : end + 1])
    last, rest = _line(data[end + len(_END) :])
    if not label.endswith(_DASHES) or last != label:
        return None
    headers: dict[bytes, bytes] = {}
    while b":" in body and b":" in (found := _line(body))[0]:
        key, _colon, value = found[0].partition(b":")
        headers[key.strip()] = value.strip()
        body = found[1]
    content = _decoded(body)
    # Between headers and the END line a line has to stand, be it empty.
    if content is None or (headers and not body):
        return None
    encrypted = b"ENCRYPTED" in headers.get(b"Proc-Type", b"")
    return PemBlock(label.removesuffix(_DASHES).decode("latin-1"), content, encrypted), rest


def _line(data: bytes) -> tuple[bytes, bytes]:
    """The first line without its end and without blanks before that, and the rest."""
    line, newline, rest = data.partition(b"\n")
    return (line.removesuffix(b"\r") if newline else line).rstrip(b" \t"), rest


def _decoded(text: bytes) -> bytes | None:
    """Standard base64 among blanks and line breaks, as Go's ``base64.StdEncoding`` takes it."""
    plain = text.translate(None, b" \t\r\n")
    if len(plain) % 4:  # Python bears a padding that is too short
        return None
    try:
        return binascii.a2b_base64(plain, strict_mode=True)
    except binascii.Error:
        return None


def normalised(text: str) -> list[PemBlock]:
    """The blocks of a text as people hand it over.

    Text between blocks, such as the names that openssl writes, is left out.

    :returns: at least one, in their order; :meth:`PemBlock.as_pem` writes them.
    :raises UnreadableError: when it holds none, or one that cannot be read.
    """
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    outside = _ANYWHERE.sub("\n", plain)
    if _MARKER.search(outside):
        raise UnreadablePemError("holds a PEM block without its BEGIN or END line")
    found = list(_lenient(plain))
    if not found:
        raise UnreadablePemError("holds no PEM block")
    return found


def _lenient(text: str) -> Iterator[PemBlock]:
    for match in _ANYWHERE.finditer(text):
        label, body = match.groups()
        headers = _HEADERS.match(body)
        content = _decoded(body[headers.end() if headers else 0 :].encode())
        if not content:
            why = r" (its line breaks are written as \n)" if r"\n" in body else ""
            raise UnreadablePemError(f"holds a PEM block whose base64 text is damaged{why}")
        yield PemBlock(label, content, "ENCRYPTED" in (headers[0] if headers else ""))


def certificates_of(text: str) -> bytes:
    """A chain as it is written into a Secret.

    :raises UnreadableError: when it holds anything but certificates.
    """
    blocks = normalised(text)
    foreign = sorted({block.label for block in blocks} - {"CERTIFICATE"})
    if foreign:
        raise UnreadablePemError(f"holds {', '.join(foreign)} beside certificates")
    return b"".join(block.as_pem() for block in blocks)


def key_of(text: str) -> bytes:
    """A private key as it is written into a Secret; parameters of its curve beside it are left out.

    :raises UnreadableError: when it holds another number of keys than one, or anything else.
    """
    blocks = [block for block in normalised(text) if block.label != "EC PARAMETERS"]
    foreign = sorted({block.label for block in blocks if not block.is_key})
    if foreign:
        raise UnreadablePemError(f"holds {', '.join(foreign)} beside the private key")
    if len(blocks) != 1:
        raise UnreadablePemError(f"holds {len(blocks)} private keys")
    if blocks[0].encrypted or blocks[0].label.startswith("ENCRYPTED"):
        raise UnreadablePemError("is encrypted: a gateway cannot ask for a passphrase")
    return blocks[0].as_pem()
