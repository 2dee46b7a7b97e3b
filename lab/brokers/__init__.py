"""The brokers that the lab can start, by name. A new broker is a new line here."""

from lab.broker import Broker
from lab.brokers.activemq import ACTIVEMQ
from lab.brokers.kafka import KAFKA
from lab.brokers.pulsar import PULSAR
from lab.brokers.rabbitmq import RABBITMQ
from lab.brokers.rocketmq import ROCKETMQ

BROKERS: dict[str, Broker] = {
    broker.name: broker for broker in (RABBITMQ, KAFKA, PULSAR, ROCKETMQ, ACTIVEMQ)
}
