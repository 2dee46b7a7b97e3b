"""What the tests must know of each broker: a module and a line here for each."""

from tests.rows.activemq import ACTIVEMQ
from tests.rows.kafka import KAFKA
from tests.rows.pulsar import PULSAR
from tests.rows.rabbitmq import RABBITMQ
from tests.rows.rocketmq import ROCKETMQ
from tests.rows.row import Row

ROWS: dict[str, Row] = {
    row.broker.name: row for row in (RABBITMQ, KAFKA, PULSAR, ROCKETMQ, ACTIVEMQ)
}
