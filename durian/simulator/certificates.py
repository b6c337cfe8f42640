"""Certificates for a simulated receiver: good ones, and those that a sender must not trust."""

import ipaddress
import secrets
import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)
_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
"""From 3.13 on Python trusts no authority without it, nor without identifiers of keys (RFC 5280,
sections 4.2.1.1 to 4.2.1.3)."""

TLS_MODES = {
    "tls-expired": "Speak TLS with a certificate that has expired.",
    "tls-self-signed": "Speak TLS with a certificate that nobody but itself vouches for.",
    "tls-wrong-host": "Speak TLS with the certificate of another host.",
}
"""What can be wrong with a certificate, by the name that `--mode` takes."""


def faulty(mode: str, host: str, directory: Path) -> tuple[ssl.SSLContext, Path]:
    """Return what speaks TLS at `host` with the fault of `mode`, and the authority's bundle.

    Both are made anew, in `directory`. But for the fault, who trusts the bundle would be served.
    """
    authority = Authority(directory)
    if mode == "tls-expired":
        certificate = authority.issue(host, valid=-DAY)
    elif mode == "tls-self-signed":
        certificate = authority.issue(host, self_signed=True)
    else:
        certificate = authority.issue("other.example")
    return server_context(certificate), authority.bundle


class Authority:
    """A certificate authority of one's own; `bundle` is the file that trusts it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        # Whoever trusts several of them has to tell them apart.
        name = _subject(f"authority {secrets.token_hex(4)} of a simulated receiver")
        self._certificate = (
            _builder(name, name, self._key, DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_SIGNS_CERTIFICATES, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        self.bundle = directory / "authority.pem"
        self.bundle.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, host: str, valid: timedelta = DAY, self_signed: bool = False) -> Path:
        """Return a file with a new key and its certificate for `host`.

        It is valid for so long from now on; a negative time has passed already.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject(host)
        issuer, signing_key = self._certificate.subject, self._key
        if self_signed:
            issuer, signing_key = subject, key
        certificate = (
            _builder(subject, issuer, key, valid)
            .add_extension(x509.SubjectAlternativeName([_name(host)]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()),
                critical=False,
            )
            .sign(signing_key, hashes.SHA256())
        )
        path = self._directory / f"{host}-{certificate.serial_number}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return path


def server_context(pem: Path) -> ssl.SSLContext:
    """Return what a server needs to speak TLS with the key and the certificate in `pem`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, valid: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 10 * DAY)
        .not_valid_after(now + valid)
    )


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
