"""Connect to Kafka by confluent-kafka: settings from the environment, errors as faults."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from assay.core.fault import MISUSED, Fault, extra_needed

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient

    from assay.stream.source import StreamSource

_PREFIX = "ASSAY_KAFKA_"
_REGISTRY = f"{_PREFIX}SCHEMA_REGISTRY_"
_SECONDS_TO_CONNECT = 10.0
_SECONDS_FOR_A_MESSAGE = 3.0
_SECONDS_TO_ANSWER = 1.0
# Landing rests on these.
_FIXED = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "isolation.level": "read_committed",
    "allow.auto.create.topics": False,
}


class BrokerAway(Fault):
    """A broker cannot be reached, or refuses the client: no other topic of it can be read either."""


@dataclass
class Troubles:
    """The last error that the client told of the broker; `said` once it is shown.

    `is_open` says whether an error has come since the broker answered the last time that it was asked.
    """

    last: str = ""
    said: str = field(default="", repr=False)
    is_open: bool = False

    def note(self, error: Any) -> None:
        """Remember an error of the client."""
        self.last, self.is_open = error.str(), True

    def end(self) -> None:
        """Forget the last error, because it is over: the same is news when it comes again."""
        self.last = self.said = ""

    def news(self) -> str | None:
        """Return the last error if it has not been shown yet."""
        if self.last == self.said:
            return None
        self.said = self.last
        return self.last


def read_settings(prefix: str = _PREFIX, *, other_than: str = _REGISTRY) -> dict[str, str]:
    """Return the properties in the environment: `ASSAY_KAFKA_SASL_USERNAME` is `sasl.username`."""
    return {
        name.removeprefix(prefix).lower().replace("_", "."): value
        for name, value in os.environ.items()
        if name.startswith(prefix) and not (other_than and name.startswith(other_than))
    }


def read_registry_settings() -> dict[str, str | float]:
    """Return the properties of the schema registry: `ASSAY_KAFKA_SCHEMA_REGISTRY_URL` is `url`."""
    # Its client takes numbers as numbers alone.
    return {name: _as_number(value) for name, value in read_settings(_REGISTRY, other_than="").items()}


def _as_number(text: str) -> str | float:
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        return text


def connect(source: StreamSource, troubles: Troubles) -> Consumer:
    """Return a consumer of a source's broker, to which nothing is assigned yet.

    The broker is the contract's, unless ASSAY_KAFKA_BOOTSTRAP_SERVERS names another.

    Args:
        source: the landing table and its server.
        troubles: what the client tells of the broker later.

    Raises:
        Fault: confluent-kafka is not installed, or a property in the environment is wrong.
    """
    with extra_needed("stream", "A stream from Kafka"):
        from confluent_kafka import Consumer, KafkaException
    settings = read_settings()
    if fixed := sorted(settings.keys() & _FIXED):
        raise Fault(f"{_variable(fixed[0])} cannot be set: landing each message once rests on it.", MISUSED)
    properties = {
        "bootstrap.servers": source.server["host"],
        "group.id": "assay",
        "client.id": f"assay {source.name}",
        "fetch.wait.max.ms": 100,
        **settings,
        **_FIXED,
        "error_cb": troubles.note,
        # The client writes to standard error otherwise, and repeats itself.
        "log_level": 0,
    }
    try:
        return Consumer(properties)
    except KafkaException as error:
        told = error.args[0].str()
        name = next((name for name in settings if name in told), None)
        where = f"{_variable(name)}: " if name else f"the environment's {_PREFIX}* variables: "
        raise Fault(f"A property of Kafka's client is wrong; correct {where}{told}.", MISUSED) from error


def find_partitions(consumer: Consumer, source: StreamSource, troubles: Troubles) -> list[int]:
    """Return the numbers of a topic's partitions.

    Raises:
        BrokerAway: the broker cannot be reached, or refuses the client.
        Fault: it has no such topic.
    """
    from confluent_kafka import KafkaError, KafkaException

    try:
        metadata = consumer.list_topics(source.topic, timeout=_SECONDS_TO_CONNECT)
    except KafkaException as error:
        # What the client knows of the cause comes with its events.
        consumer.poll(0)
        why = troubles.last or error.args[0].str()
        raise BrokerAway(
            f"The broker of {source.name} cannot be reached: {why}. The address is the contract's host or "
            f"{_PREFIX}BOOTSTRAP_SERVERS; users, passwords and TLS are in {_PREFIX}SECURITY_PROTOCOL, "
            f"{_PREFIX}SASL_* and {_PREFIX}SSL_*."
        ) from error
    topic = metadata.topics[source.topic]
    if topic.error is not None:
        if topic.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise Fault(
                f"The broker has no topic {source.topic}, from which {source.name} is to come: make it first."
            )
        raise Fault(f"The topic {source.topic} of {source.name} cannot be read: {topic.error.str()}.")
    return sorted(topic.partitions)


def connect_admin(source: StreamSource) -> AdminClient:
    """Return a client that asks a source's broker about its topics."""
    from confluent_kafka.admin import AdminClient

    return AdminClient({"bootstrap.servers": source.server["host"], "log_level": 0} | read_settings())


def ask_topic_id(admin: AdminClient, topic: str) -> str | None:
    """Ask for the id that a topic was given when it was made.

    Returns:
        The id; "" if the broker has no such topic, and None if no broker tells it within a second.
    """
    from confluent_kafka import KafkaError, KafkaException, TopicCollection

    asked = admin.describe_topics(TopicCollection([topic]), request_timeout=_SECONDS_TO_ANSWER)
    try:
        return str(asked[topic].result().topic_id)
    except KafkaException as error:
        return "" if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART else None


def ask_partitions(consumer: Consumer, topic: str) -> list[int] | None:
    """Ask which partitions a topic has now; None if no broker answers within a second."""
    from confluent_kafka import KafkaException

    try:
        metadata = consumer.list_topics(topic, timeout=_SECONDS_TO_ANSWER)
    except KafkaException:
        return None
    return sorted(metadata.topics[topic].partitions)


def find_bounds(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """Return the first offset that the broker still has, and the one after the last.

    Raises:
        Fault: the broker does not answer.
    """
    from confluent_kafka import KafkaException, TopicPartition

    try:
        low, high = consumer.get_watermark_offsets(
            TopicPartition(topic, partition), timeout=_SECONDS_TO_CONNECT
        )
    except KafkaException as error:
        raise Fault(
            f"The broker does not say which offsets {topic}/{partition} has: {error.args[0].str()}."
        ) from error
    return low, high


def find_offset_at(consumer: Consumer, topic: str, partition: int, moment: datetime, otherwise: int) -> int:
    """Return the offset of the first message from a moment on; `otherwise` if there is none yet.

    The moment is UTC where it has no offset.

    Raises:
        Fault: the broker does not answer.
    """
    from confluent_kafka import KafkaException, TopicPartition

    milliseconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    try:
        [found] = consumer.offsets_for_times(
            [TopicPartition(topic, partition, milliseconds)], timeout=_SECONDS_TO_CONNECT
        )
        if found.error is not None:
            raise KafkaException(found.error)
    except KafkaException as error:
        raise Fault(
            f"The broker does not say what {topic}/{partition} had then: {error.args[0].str()}."
        ) from error
    return found.offset if found.offset >= 0 else otherwise


def find_time_of(consumer: Consumer, topic: str, partition: int, offset: int) -> int | None:
    """Return the time of the first message from an offset on (ms since 1970); None if none comes."""
    from confluent_kafka import TopicPartition

    consumer.assign([TopicPartition(topic, partition, offset)])
    message = consumer.poll(_SECONDS_FOR_A_MESSAGE)
    consumer.unassign()
    return None if message is None or message.error() else message.timestamp()[1]


def _variable(name: str) -> str:
    return _PREFIX + name.upper().replace(".", "_")


def connect_producer(broker: str) -> Producer:
    """Return a producer that sends each message once.

    Raises:
        Fault: confluent-kafka is not installed.
    """
    with extra_needed("stream", "Sending to Kafka"):
        from confluent_kafka import Producer
    return Producer(
        {"bootstrap.servers": broker, "linger.ms": 20, "enable.idempotence": True, "log_level": 0}
        | {name: value for name, value in read_settings().items() if name != "bootstrap.servers"}
    )


def make_topic(broker: str, topic: str, partitions: int) -> None:
    """Make a topic, unless the broker has it.

    Raises:
        Fault: the broker cannot be reached, or refuses to make it.
    """
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    settings = {name: value for name, value in read_settings().items() if name != "bootstrap.servers"}
    admin = AdminClient({"bootstrap.servers": broker, "log_level": 0, **settings})
    try:
        admin.create_topics([NewTopic(topic, partitions)])[topic].result(_SECONDS_TO_CONNECT)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise Fault(
                f"The broker {broker} does not make the topic {topic}: {error.args[0].str()}."
            ) from error
