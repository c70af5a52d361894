"""Kafka that asks for a password over TLS: what the environment says is used, and what is wrong is told."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from kafka_broker import Broker
from streamed_topic import Stream

from assay.core.fault import Fault
from example.broker import Kafka, find_free_port, kafka_jars

pytestmark = pytest.mark.minutes

USER, PASSWORD = "clerk", "let:me in"
_KEY, _CERTIFICATE = "key.p12", "broker.pem"
_OTHER = "other.pem"
_MODULE = "org.apache.kafka.common.security.plain.PlainLoginModule"
_LISTENER = """
listeners=PLAINTEXT://127.0.0.1:{port},SECURE://127.0.0.1:{secure},CONTROLLER://127.0.0.1:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL
inter.broker.listener.name=PLAINTEXT
listener.name.secure.sasl.enabled.mechanisms=PLAIN
listener.name.secure.plain.sasl.jaas.config={module} required user_{user}="{password}";
ssl.keystore.type=PKCS12
ssl.keystore.location={key}
ssl.keystore.password=changeit
"""


@dataclass
class SecureKafka(Kafka):
    """Kafka with one more listener, which asks for a password over TLS."""

    secure: int = field(default_factory=find_free_port)

    def _command(self) -> list[str]:
        command = super()._command()
        properties = Path(command[-1])
        text = properties.read_text()
        controller = text.partition("controller.quorum.voters=1@127.0.0.1:")[2].split()[0]
        places = {"port": self.port, "secure": self.secure, "controller": controller}
        who = {"user": USER, "password": PASSWORD, "key": self.folder / _KEY, "module": _MODULE}
        properties.write_text(text + _LISTENER.format(**places, **who))
        return command


@pytest.fixture(scope="module")
def secure(builds: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    if shutil.which("keytool") is None:
        pytest.skip("needs Java's keytool")
    folder = tmp_path_factory.mktemp("secure")
    named = ("-dname", "CN=127.0.0.1", "-ext", "SAN=ip:127.0.0.1")
    for key, certificate in ((_KEY, _CERTIFICATE), ("other.p12", _OTHER)):
        store = ("-keystore", str(folder / key), "-storetype", "PKCS12", "-storepass", "changeit")
        for command in (
            ("-genkeypair", "-alias", "broker", "-keyalg", "RSA", "-validity", "2", *named, *store),
            ("-exportcert", "-alias", "broker", "-rfc", "-file", str(folder / certificate), *store),
        ):
            subprocess.run(["keytool", *command], check=True, capture_output=True)
    try:
        kafka = SecureKafka(f"127.0.0.1:{find_free_port()}", folder, jars=kafka_jars())
    except RuntimeError as missing:
        pytest.skip(f"needs Apache Kafka: {missing}")
    kafka.start()
    yield kafka
    kafka.stop()


RIGHT = {
    "SECURITY_PROTOCOL": "SASL_SSL",
    "SASL_MECHANISM": "PLAIN",
    "SASL_USERNAME": USER,
    "SASL_PASSWORD": PASSWORD,
    "SSL_CA_LOCATION": _CERTIFICATE,
}


def land(
    secure: SecureKafka, folder: Path, properties: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> int:
    """Land a topic with a message by the secure listener; return how many landed."""
    plain = Broker(secure.address)
    topic = plain.create_topic(f"secure-{folder.name.replace('_', '-').replace('[', '').replace(']', '')}")
    plain.produce(topic, ["{}"])
    for name, value in properties.items():
        place = str(secure.folder / value) if name == "SSL_CA_LOCATION" else value
        monkeypatch.setenv(f"ASSAY_KAFKA_{name}", place)
    return Stream(Broker(f"127.0.0.1:{secure.secure}"), topic, folder / "landing").run().messages


def test_messages_land_by_password_and_tls(
    secure: SecureKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert land(secure, tmp_path, RIGHT, monkeypatch) == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"SASL_PASSWORD": "wrong"}, "Authentication failed"),
        ({"SSL_CA_LOCATION": _OTHER}, "certificate"),
        ({"SSL_CA_LOCATION": "none.pem"}, "correct ASSAY_KAFKA_SSL_CA_LOCATION: "),
        ({"SECURITY_PROTOCOL": "PLAINTEXT"}, "ASSAY_KAFKA_SECURITY_PROTOCOL, ASSAY_KAFKA_SASL_*"),
        ({"SASL_MECHANISM": "SCRAM-SHA-256"}, "mechanism"),
    ],
)
def test_what_is_wrong_with_password_or_tls_is_told(
    secure: SecureKafka,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, str],
    said: str,
) -> None:
    with pytest.raises(Fault) as fault:
        land(secure, tmp_path, RIGHT | changed, monkeypatch)
    assert said in str(fault.value)
    assert PASSWORD not in str(fault.value)
