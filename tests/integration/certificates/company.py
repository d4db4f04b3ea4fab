"""A company's CA as there are many: openssl on the command line, which shares no code with the collection."""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path


class Company:
    """A root, an intermediate that signs, and what they issue.

    :param kind: arguments of ``openssl genpkey``: RSA by default, as most companies have it.
    """

    def __init__(self, directory: Path, name: str, *kind: str) -> None:
        self.directory, self.name = directory, name
        self._kind = kind or ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
        self.root = self._authority("root", "", "CA:TRUE")
        self.issuing = self._authority("issuing", "root", "CA:TRUE,pathlen:0")

    def path(self, what: str) -> Path:
        return self.directory / f"{self.name}-{what}"

    def key(self, what: str) -> str:
        return self.path(f"{what}.key").read_text()

    def make_key(self, what: str, *kind: str) -> str:
        openssl("genpkey", *(kind or self._kind), "-out", self.path(f"{what}.key"))
        return self.key(what)

    def _authority(self, what: str, issuer: str, constraints: str) -> str:
        self.make_key(what)
        request = self.path(f"{what}.csr")
        subject = f"/O={self.name}/CN={self.name} {what}"
        openssl("req", "-new", "-key", self.path(f"{what}.key"), "-subj", subject, "-out", request)
        extensions = f"basicConstraints=critical,{constraints}\nkeyUsage=critical,keyCertSign,cRLSign\n"
        extensions += "subjectKeyIdentifier=hash\n"
        return self._sign(request, what, issuer, extensions, 900 if issuer else 1000)

    def answer(self, request: str, what: str = "leaf", days: int = 60) -> str:
        """The leaf for a request, names as asked for. :returns: PEM without its chain."""
        path = self.path(f"{what}.csr")
        path.write_text(request)
        extensions = "extendedKeyUsage=serverAuth\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        return self._sign(path, what, "issuing", extensions, days)

    def client(self, what: str) -> str:
        """A client's certificate and key. :returns: path of one file with both and the chain."""
        key = self.make_key(what)
        path = self.path(f"{what}.csr")
        openssl("req", "-new", "-key", self.path(f"{what}.key"), "-subj", f"/CN={what}", "-out", path)
        leaf = self._sign(path, what, "issuing", "extendedKeyUsage=clientAuth\n", 60)
        both = self.path(f"{what}.pem")
        both.write_text(leaf + self.issuing + key)
        return str(both)

    def _sign(self, request: Path, what: str, issuer: str, extensions: str, days: int) -> str:
        """Signs, dated back by a day as CAs do for clocks that run slow."""
        told, out, config = self.path(f"{what}.ext"), self.path(f"{what}.crt"), self.path("ca.cnf")
        told.write_text(extensions)
        self.path("index").touch()
        config.write_text(CONFIG.format(database=self.path("index"), directory=self.directory))
        by = ["-selfsign", "-keyfile", self.path(f"{what}.key")]
        if issuer:
            by = ["-cert", self.path(f"{issuer}.crt"), "-keyfile", self.path(f"{issuer}.key")]
        now = datetime.datetime.now(datetime.UTC)
        begin, end = now - datetime.timedelta(days=1), now + datetime.timedelta(days=days)
        dates = ["-startdate", f"{begin:%y%m%d%H%M%SZ}", "-enddate", f"{end:%y%m%d%H%M%SZ}"]
        files = ["-in", request, "-extfile", told, "-out", out]
        openssl("ca", "-batch", "-notext", "-config", config, *by, *dates, *files)
        return out.read_text()


CONFIG = """
[ca]
default_ca = own
[own]
database = {database}
new_certs_dir = {directory}
default_md = sha256
policy = any
rand_serial = yes
copy_extensions = copy
unique_subject = no
[any]
commonName = optional
organizationName = optional
countryName = optional
"""


def openssl(*arguments: object) -> str:
    done = subprocess.run(
        ["openssl", *map(str, arguments)], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
