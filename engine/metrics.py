"""The table of metrics: name, kind, labels, and the event that feeds each. To add a metric, add a row.

Metrics subscribe to the bus (engine/events.py), so the code that does the work knows nothing about them. Each process
has one registry and no files on disk; processes pass their samples on as bytes (`snapshot`), and the front renders
the union, with a `process` label.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import Metric

from engine import events
from engine.events import Bus

MAX_SERIES = 200
"""The most label sets of one metric; further ones count under `other`. A safety net: labels come from closed sets."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
LAGS = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

Value = Callable[[Mapping[str, Any]], float | Sequence[float] | None]


def _one(_fields: Mapping[str, Any]) -> float:
    return 1.0


def value_of(name: str) -> Value:
    """Make the event's field `name` a row's value; a row without `value` counts events."""
    return lambda fields: fields.get(name, 0.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One way in which an event feeds a metric. `labels` name fields of the event, `fixed` holds constant labels.

    `value` returns the number that is added (counter), set (gauge) or observed (histogram, which also takes a list);
    None: nothing.
    """

    name: str
    kind: type[Counter] | type[Gauge] | type[Histogram]
    help: str
    event: str
    labels: tuple[str, ...] = ()
    value: Value = _one
    fixed: Mapping[str, str] = field(default_factory=dict)
    buckets: Sequence[float] = SECONDS


def _batch(outcome: str) -> Row:
    return Row(
        "emailproc_messages_total",
        Counter,
        "Messages that left a mailbox, by what became of them.",
        events.BATCH_SETTLED,
        ("mailbox",),
        value_of(outcome),
        {"outcome": outcome},
    )


def _step(step: str) -> Row:
    return Row(
        "emailproc_batch_seconds",
        Histogram,
        "Time that a batch spent in one step.",
        events.BATCH_SETTLED,
        ("mailbox",),
        value_of(f"{step}_s"),
        {"step": step},
    )


ENGINE_METRICS: tuple[Row, ...] = (
    *(_batch(outcome) for outcome in ("done", "forwarded", "retried", "buried", "foreign")),
    *(_step(step) for step in ("handle", "postpone", "settle")),
    Row(
        "emailproc_batch_messages",
        Histogram,
        "Messages in a batch.",
        events.BATCH_SETTLED,
        ("mailbox",),
        value_of("messages"),
        buckets=SIZES,
    ),
    Row(
        "emailproc_retries_total",
        Counter,
        "Failed attempts that will be retried, by reason.",
        events.MESSAGE_RETRIED,
        ("mailbox", "reason"),
        value_of("count"),
    ),
    Row(
        "emailproc_burials_total",
        Counter,
        "Messages dead-lettered, by reason.",
        events.MESSAGE_BURIED,
        ("mailbox", "reason"),
        value_of("count"),
    ),
    Row(
        "emailproc_handler_failures_total",
        Counter,
        "Batches whose handler raised.",
        events.HANDLER_FAILED,
        ("mailbox",),
    ),
    Row(
        "emailproc_quarantined_total",
        Counter,
        "Messages quarantined because a process died while it held them.",
        events.QUARANTINED,
        ("mailbox",),
        value_of("count"),
    ),
    Row(
        "emailproc_released_total",
        Counter,
        "Messages given back to their mailbox, with no blame.",
        events.RELEASED,
        ("mailbox",),
        value_of("count"),
    ),
    Row("emailproc_actor_failures_total", Counter, "Actors that ended with an error.", events.ACTOR_FAILED, ("kind",)),
    Row("emailproc_actor_restarts_total", Counter, "Actors restarted.", events.ACTOR_RESTARTED, ("kind",)),
    Row(
        "emailproc_dependency_troubles_total",
        Counter,
        "Times that an actor began to wait for a dependency.",
        events.DEPENDENCY_LOST,
        ("dependency",),
    ),
    Row(
        "emailproc_dependency_wait_seconds",
        Histogram,
        "How long an actor waited for a dependency.",
        events.DEPENDENCY_BACK,
        ("dependency",),
        value_of("seconds"),
    ),
    Row("emailproc_paused", Gauge, "1 while paused.", events.CONTROL_CHANGED, (), value_of("paused")),
    Row(
        "emailproc_hub_lag_seconds",
        Histogram,
        "How late the hub turned.",
        events.HUB_LAG,
        (),
        value_of("lags"),
        buckets=LAGS,
    ),
    Row(
        "emailproc_hub_lag_longest_seconds",
        Gauge,
        "The longest delay of the hub in the last second.",
        events.HUB_LAG,
        (),
        value_of("longest"),
    ),
    Row(
        "emailproc_log_lines_dropped_total",
        Counter,
        "Log lines dropped because nobody reads our output.",
        events.LOGS_DROPPED,
        (),
        value_of("count"),
    ),
)


class Metrics:
    """The metrics of one process. `rows` beyond the engine's own come from the code that emits their events."""

    def __init__(self, bus: Bus, rows: Iterable[Row] = ()) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped there; a second series that nobody reads
        self.registry = CollectorRegistry()
        self._metrics: dict[str, Any] = {}
        self._seen: dict[str, set[tuple[str, ...]]] = {}
        self._unmeasured: dict[str, Gauge] = {}  # not in the registry until their first event
        for row in (*ENGINE_METRICS, *rows):
            self._define(row)
            bus.subscribe(self._feeder(row), row.event)

    def begin(self, name: str, label_sets: Iterable[tuple[str, ...]]) -> None:
        """Start these series of a counter at 0: an alert sees a rise from 0, but not a series that starts at 1."""
        for labels in label_sets:
            self._seen[name].add(labels)
            self._metrics[name].labels(*labels)

    def snapshot(self) -> bytes:
        """Return this process's samples, for `render_union` in another process."""
        families = [
            (metric.name, metric.type, metric.documentation, [(s.name, s.labels, s.value) for s in metric.samples])
            for metric in self.registry.collect()
        ]
        return msgspec.msgpack.encode(families)

    def _define(self, row: Row) -> None:
        if row.name in self._metrics:
            return
        labels = (*row.labels, *row.fixed)
        if row.kind is Histogram:
            metric: Any = Histogram(row.name, row.help, labels, registry=self.registry, buckets=row.buckets)
        elif row.kind is Gauge and not labels:  # 0 would be taken for a measurement: 0 free bytes raises an alert
            metric = self._unmeasured[row.name] = Gauge(row.name, row.help, registry=None)
        else:
            metric = row.kind(row.name, row.help, labels, registry=self.registry)
        self._metrics[row.name] = metric
        self._seen[row.name] = set()

    def _feeder(self, row: Row) -> Callable[[str, dict[str, Any]], None]:
        metric, add = self._metrics[row.name], _ADDERS[row.kind]

        def feed(_event: str, fields: dict[str, Any]) -> None:
            value = row.value(fields)
            if value is None:
                return
            labels = self._bounded(row, fields)
            add(metric.labels(*labels) if labels else metric, value)
            if row.name in self._unmeasured:
                self.registry.register(self._unmeasured.pop(row.name))

        return feed

    def _bounded(self, row: Row, fields: Mapping[str, Any]) -> tuple[str, ...]:
        labels = (*(str(fields.get(name, "")) for name in row.labels), *row.fixed.values())
        seen = self._seen[row.name]
        if labels in seen or len(seen) < MAX_SERIES:
            seen.add(labels)
            return labels
        return (*("other" for _ in row.labels), *row.fixed.values())


def _count(metric: Any, value: Any) -> None:
    metric.inc(value)


def _set(metric: Any, value: Any) -> None:
    metric.set(value)


def _observe(metric: Any, value: Any) -> None:
    for number in value if isinstance(value, Sequence) else (value,):
        metric.observe(number)


_ADDERS: Mapping[Any, Callable[[Any, Any], None]] = {Counter: _count, Gauge: _set, Histogram: _observe}

_Family = tuple[str, str, str, list[tuple[str, dict[str, str], float]]]
_decode = msgspec.msgpack.Decoder(list[_Family]).decode


class _Union:
    """A registry for generate_latest: the families of all processes, with a `process` label on each sample."""

    def __init__(self, snapshots: Mapping[str, bytes]) -> None:
        self.snapshots = snapshots

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for process, snapshot in self.snapshots.items():
            for name, kind, text, samples in _decode(snapshot):
                family = families.setdefault(name, Metric(name, text, kind))
                for sample, labels, value in samples:
                    family.add_sample(sample, {**labels, "process": process}, value)
        return families.values()


def render_union(snapshots: Mapping[str, bytes]) -> bytes:
    """Render the snapshots of several processes (by process name) in Prometheus' text format."""
    return generate_latest(_Union(snapshots))
