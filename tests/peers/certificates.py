"""Certificates of fictional hospitals."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Authority:
    """A certificate authority in a folder, by openssl."""

    folder: Path

    def openssl(self, *arguments: str) -> None:
        subprocess.run(
            ["openssl", *arguments], check=True, capture_output=True, cwd=self.folder, timeout=60
        )

    def issue(self, name: str, *, by: str = "ca", days: int = 2) -> Path:
        """Issue a certificate; return its PEM, beside which lies ``<name>.key``."""
        new = ("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key")
        self.openssl(*new, "-subj", f"/CN={name}", "-out", f"{name}.csr")
        sign = ("x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.pem", "-CAkey", f"{by}.key")
        self.openssl(*sign, "-CAcreateserial", "-days", str(days), "-out", f"{name}.pem")
        return self.folder / f"{name}.pem"

    def found(self, name: str) -> None:
        new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key")
        self.openssl(*new, "-subj", f"/CN={name}", "-days", "2", "-out", f"{name}.pem")

    def client(self, name: str | None) -> ssl.SSLContext:
        """Trust our authority, and show a certificate that `issue` made; None shows none."""
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        context.check_hostname = False
        if name is not None:
            context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context

    def table(self, name: str) -> dict[str, str]:
        """Return the settings of a server that shows a certificate and demands one of our authority."""
        return {
            "certificate": str(self.folder / f"{name}.pem"),
            "key": str(self.folder / f"{name}.key"),
            "authorities": str(self.folder / "ca.pem"),
        }
