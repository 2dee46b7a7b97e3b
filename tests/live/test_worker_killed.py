"""A worker that is killed in the middle of a task."""

from tests.parameters import every_broker_in, path_of
from tests.support import finish, in_order, start


@every_broker_in("work-queue")
def test_a_worker_killed_in_mid_task_loses_nothing(name, shared):
    broker = shared(name, "work-queue")
    with in_order(path_of(name, "consumer"), broker.environment) as workers:
        doomed, other = workers
        producer = start(path_of(name, "producer"), environment=broker.environment)
        interrupted = doomed.line().removeprefix("Encoding ")
        doomed.child.kill(9)
        tasks = finish(producer).out
        assert len(tasks) == 6
        lines = []
        while f"Encoding {interrupted}" not in lines:
            lines.append(other.line())
            assert lines[-1]
        while len(lines) < 2 * len(tasks):
            lines.append(other.line())
    finished = [line for line in lines if line.startswith("Finished ")]
    assert sorted(finished) == [task.replace("Sent", "Finished") for task in tasks]
