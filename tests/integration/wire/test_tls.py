"""amqps: a certificate of another host is not the broker's."""

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from durian.errors import Unavailable
from durian.wire import connect


def certificate(directory: Path, name: x509.GeneralName) -> Path:
    """Write a certificate for `name`, signed by itself, with its key, and return the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = directory / "server.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + signed.public_bytes(pem))
    return file


Serve = Callable[[x509.GeneralName], "Listener"]


class Listener:
    """Takes one connection by TLS and says whether AMQP was spoken on it."""

    def __init__(self, file: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(file)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.heard = b""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        plain, _ = self._socket.accept()
        with plain:
            try:
                with self._context.wrap_socket(plain, server_side=True) as secure:
                    self.heard = secure.recv(8)
            except OSError:
                return

    def close(self) -> None:
        """Wait for the connection's end."""
        self._thread.join(10)
        self._socket.close()


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Give a function that starts a listener with a trusted certificate for a name."""
    listeners: list[Listener] = []

    def serve(name: x509.GeneralName) -> Listener:
        file = certificate(tmp_path, name)
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        listeners.append(Listener(file))
        return listeners[0]

    yield serve
    listeners[0].close()


def connect_to(server: Listener) -> str:
    """Try to connect, and return why it failed: nobody there speaks AMQP."""
    broker = connect.broker(f"amqps://user:hunter2@127.0.0.1:{server.port}//", "")
    with pytest.raises(Unavailable) as caught:
        broker.publisher()
    server.close()
    return str(caught.value)


def test_a_certificate_of_another_host_is_refused(certified: Serve) -> None:
    server = certified(x509.DNSName("broker.example"))
    assert "certificate" in connect_to(server)
    assert server.heard == b""


def test_a_certificate_of_this_host_is_taken(certified: Serve) -> None:
    server = certified(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    assert "certificate" not in connect_to(server)
    assert server.heard == b"AMQP\x00\x00\x09\x01"
