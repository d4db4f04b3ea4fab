# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a root and an intermediate below it, in memory, and keeps the root where it was asked for.

The root's key goes into one Secret of a namespace that no gateway can read, or into one file that only its
owner can. istiod gets the intermediate only.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import stat
from pathlib import Path

from ...errors import MeshError, RefusedError
from ...files import write_new
from ...labels import COLLECTION
from ...model.certificates.mesh_ca import Bundle
from ...model.certificates.pem import UnreadablePemError, certificates_of, key_of, normalised
from ...model.certificates.x509 import check_authority, read_ca_key, read_chain, to_pem

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.x509.oid import NameOID
except ImportError:
    pass

_BACKDATE = datetime.timedelta(minutes=10)


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Root:
    """A root and its key, PEM. No ``repr``: a traceback must not show the key."""

    certificate: bytes
    key: bytes

    @property
    def x509(self) -> x509.Certificate:
        """The certificate, read."""
        return read_chain(self.certificate)[0]


def new_root(mesh: str, now: datetime.datetime, life: datetime.timedelta) -> Root:
    """A self-signed ECDSA P-256 root that may sign one level of CAs (RFC 5280 4.2.1.9)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, serial = _name(mesh, "mesh root")
    certificate = _signed(name, name, key.public_key(), key, serial, (now - _BACKDATE, now + life), levels=1)
    return Root(to_pem([certificate]), _pem(key))


def new_bundle(root: Root, mesh: str, now: datetime.datetime, life: datetime.timedelta) -> Bundle:
    """An intermediate below ``root`` that may sign leaves only, as istiod takes it. It never outlives it."""
    parent, key = root.x509, ec.generate_private_key(ec.SECP256R1())
    name, serial = _name(mesh, "mesh CA")
    dates = (max(now - _BACKDATE, parent.not_valid_before_utc), min(now + life, parent.not_valid_after_utc))
    certificate = to_pem(
        [_signed(name, parent.subject, key.public_key(), read_ca_key(root.key), serial, dates, levels=0)]
    )
    return Bundle(certificate, _pem(key), certificate, root.certificate)


def _name(mesh: str, what: str) -> tuple[x509.Name, int]:
    """Clients match issuers by name: no two CAs may share theirs. :returns: name, and the serial in it."""
    serial = x509.random_serial_number()
    common = f"{(mesh or COLLECTION)[:30]} {what} {serial:040x}"[:64]
    attributes = [(NameOID.ORGANIZATION_NAME, COLLECTION), (NameOID.COMMON_NAME, common)]
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in attributes]), serial


def _signed(
    name: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    serial: int,
    dates: tuple[datetime.datetime, datetime.datetime],
    *,
    levels: int,
) -> x509.Certificate:
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(dates[0])
        .not_valid_after(dates[1])
        .add_extension(x509.BasicConstraints(ca=True, path_length=levels), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(issuer_id, critical=False)
        .sign(key, hashes.SHA256())
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def check_root(root: Root, where: str, now: datetime.datetime) -> None:
    """:raises RefusedError: a root that cannot issue an intermediate."""
    faults = [fault.message for fault in check_authority(root.certificate, root.key, now)]
    if not faults:
        try:
            read_ca_key(root.key)
            found = root.x509.extensions.get_extension_for_class(x509.BasicConstraints).value
            if found.path_length == 0:
                faults.append("it allows no CA below it (path length 0)")
        except UnreadablePemError as error:
            faults.append(f"its key {error}")
    if faults:
        raise RefusedError(f"the mesh's root in {where}: {'; '.join(faults)}", rule="root")


def read_root_file(path: str) -> Root | None:
    """The root of ``istio_ca_root_file``: certificate and key in one PEM file.

    :returns: None when there is no such file yet.
    :raises RefusedError: others may read it, or it is no file. :raises MeshError: it cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MeshError(f"istio_ca_root_file {path}: {error.strerror}") from error
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        raise RefusedError(f"istio_ca_root_file {path}: is no regular file", rule="root-file")
    with os.fdopen(handle, "rb") as file:
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise RefusedError(
                f"istio_ca_root_file {path}: others than its owner may read or write it: set mode 0600",
                rule="root-file",
            )
        text = file.read(1024 * 1024).decode("utf-8", "replace")
    try:
        blocks = normalised(text)
        certificate = b"".join(block.as_pem() for block in blocks if block.label == "CERTIFICATE")
        key = b"".join(block.as_pem() for block in blocks if block.is_key)
        return Root(certificates_of(certificate.decode()), key_of(key.decode()))
    except UnreadablePemError as error:
        raise RefusedError(f"istio_ca_root_file {path}: {error}", rule="root-file") from error


def write_root_file(path: str, root: Root) -> None:
    """Hands the root over: a new file that only its owner may read. It never replaces one.

    :raises MeshError: it exists already, or cannot be written.
    """
    try:
        write_new(Path(path), root.certificate + root.key, 0o600)
    except OSError as error:
        raise MeshError(f"istio_ca_root_file {path}: cannot be written: {error.strerror}") from error
