"""The demo: a simulated swarm hour, from nothing to a catalogue, a map and a report."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from geomon.config import Config, SimulatedSource, find_config, load_config
from geomon.errors import ConfigError, GeomonError
from geomon.events import Event
from geomon.ids import StationId
from geomon.services.pictures import save_map, save_section, section_span
from geomon.services.reports import Progress, Report, no_progress
from geomon.services.score import Comparison, KnownEvent, compare
from geomon.services.workspace import workspace
from geomon.synthesis.network import Scenario
from geomon.times import TimeSpan, format_ns
from geomon.waveforms import Segment

DEMO_SPAN = TimeSpan.parse("2024-05-01T23:30:00", "2024-05-02T00:30:00")
"""The simulated hour: it holds a midnight, and an event across it."""

_ENOUGH_STATIONS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport(Report):
    """How the demo's catalogue compares with the truth it was made from."""

    directory: str
    n_true: int
    n_findable: int
    n_found: int
    n_findable_found: int
    n_doubled: int
    n_false: int
    epicentre_error_km: float
    depth_error_km: float
    time_error_s: float
    magnitude_error: float
    seconds: dict[str, float]
    peak_memory_gb: float
    files: tuple[str, ...]

    def text(self) -> str:
        """Return what the demo tells a person."""
        share = self.n_findable_found / self.n_findable if self.n_findable else float("nan")
        config = f"--config {self.directory}/config.yaml"
        span = f"--start {format_ns(DEMO_SPAN.start_ns)} --end {format_ns(DEMO_SPAN.end_ns)}"
        timing = ", ".join(f"{stage} {value:.1f} s" for stage, value in self.seconds.items())
        return "\n".join(
            [
                f"found {self.n_found} of {self.n_true} true events; of the {self.n_findable} "
                f"seen by {_ENOUGH_STATIONS} stations or more: {self.n_findable_found} "
                f"({share:.0%}), doubled {self.n_doubled}, false {self.n_false}",
                f"median errors: epicentre {self.epicentre_error_km:.2f} km, "
                f"depth {self.depth_error_km:.2f} km, origin time {self.time_error_s:.2f} s, "
                f"magnitude {self.magnitude_error:.2f}",
                f"time: {timing}; peak memory {self.peak_memory_gb:.1f} GB",
                *(f"wrote {file}" for file in self.files),
                "now try:",
                f"  geomon catalog query {span} --min-magnitude 1 {config}",
                f"  geomon coverage {span} {config}",
                f"  geomon serve {config}      then open http://127.0.0.1:8080/",
            ]
        )


def run_demo(directory: Path, *, progress: Progress = no_progress) -> DemoReport:
    """Serve the simulated network on loopback, run the real flow on it, and compare with truth.

    Running it again in the same folder fetches nothing, changes nothing and tells the same.

    Raises
    ------
    ConfigError
        If the folder holds a config of another source.
    GeomonError
        If the flow fails; its last lines are in the message.
    """
    from geomon.sources.simulated_server import serving

    started = time.monotonic()
    config_path = _write_config(directory)
    config = load_config(config_path)
    if not isinstance(config.source, SimulatedSource):
        msg = f"{config_path}: source.kind must stay simulated for the demo"
        raise ConfigError(msg)
    scenario = Scenario.of(config.source, config.velocity.model())
    with serving(scenario) as url:
        reports = _run_flow(config_path, url, progress)
    events = list(workspace(config).catalog.events(start=DEMO_SPAN.start, end=DEMO_SPAN.end))
    truth = scenario.events(DEMO_SPAN)
    comparison = compare([_known(event) for event in truth], events)
    findable = {
        i
        for i, event in enumerate(truth)
        if scenario.n_stations_above_noise(event) >= _ENOUGH_STATIONS
    }
    files = _write_results(config, directory, events, [(e.latitude, e.longitude) for e in truth])
    seconds = {name: round(report["took_s"], 1) for name, report in reports.items()}
    return DemoReport(
        n_failed=sum(report["n_failed"] for report in reports.values()),
        problems=tuple(line for report in reports.values() for line in report["problems"]),
        took_s=time.monotonic() - started,
        directory=str(directory),
        n_true=len(truth),
        n_findable=len(findable),
        n_found=len(comparison.pairs),
        n_findable_found=_n_found_among(comparison, findable),
        n_doubled=comparison.n_doubled,
        n_false=len(comparison.extra),
        epicentre_error_km=comparison.epicentre_error_km,
        depth_error_km=comparison.depth_error_km,
        time_error_s=comparison.time_error_s,
        magnitude_error=comparison.magnitude_error,
        seconds=seconds | {"all": round(time.monotonic() - started, 1)},
        peak_memory_gb=_peak_memory_gb(),
        files=files,
    )


def _write_config(directory: Path) -> Path:
    """Put a config of the demo's own into its folder, unless one is there already."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "config.yaml"
    if not path.exists():
        content = yaml.safe_load(find_config("demo").read_text(encoding="utf-8"))
        content["archive"] = {"url": "archive"}
        content["catalog"] = {"url": "sqlite:///catalog.sqlite"}
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def _run_flow(config_path: Path, url: str, progress: Progress) -> dict[str, dict[str, Any]]:
    """Run the flow that an operator would schedule, in a process of its own.

    Raises
    ------
    GeomonError
        If it ends without a report.
    """
    content = yaml.safe_load(config_path.read_text(encoding="utf-8"))
    content["source"] = {"kind": "fdsn", "urls": [url]}
    served = config_path.with_name("served.yaml")
    served.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    command = [
        sys.executable, "-m", "flows.run", "--config", str(served), "--progress-json",
        "--start", format_ns(DEMO_SPAN.start_ns), "--end", format_ns(DEMO_SPAN.end_ns),
    ]  # fmt: skip
    log = config_path.with_name("flow.log")
    try:
        with log.open("w", encoding="utf-8") as errors:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True,
                env={**os.environ, "PREFECT_HOME": str(config_path.parent.absolute() / "prefect")},
            )  # fmt: skip
            last = _follow(process, progress)
    finally:
        served.unlink(missing_ok=True)
    if process.returncode not in {0, 1} or last is None:
        tail = "\n".join(log.read_text(encoding="utf-8").splitlines()[-8:])
        msg = f"{log}: the flow ended with status {process.returncode}: {tail}"
        raise GeomonError(msg)
    return last


def _follow(process: "subprocess.Popen[str]", progress: Progress) -> dict[str, Any] | None:
    """Show progress lines as they come; return the last line, the flow's reports."""
    last: dict[str, Any] | None = None
    try:
        for line in process.stdout or ():
            try:
                message = json.loads(line)
            except json.JSONDecodeError:
                continue
            if "stage" in message:
                progress(message["stage"], message["done"], message["total"])
            else:
                last = message
        process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    return last


def _known(event: Any) -> KnownEvent:  # noqa: ANN401 - narrowed by the scenario
    return KnownEvent(event.time, event.latitude, event.longitude, event.depth_km, event.magnitude)


def _n_found_among(comparison: Comparison, indices: set[int]) -> int:
    return sum(i in indices for i, _ in comparison.pairs)


def _write_results(
    config: Config, directory: Path, events: Sequence[Event], truth: Sequence[tuple[float, float]]
) -> tuple[str, ...]:
    from geomon.stores.exports import to_csv
    from geomon.stores.quakeml import write_quakeml

    space = workspace(config)
    stations = space.stations().at(DEMO_SPAN.start_ns)
    written = [directory / "catalog.csv", directory / "catalog.xml", directory / "map.png"]
    written[0].write_bytes(to_csv(events))
    written[1].write_bytes(write_quakeml(events, agency=config.network.agency))
    save_map(events, stations, written[2], title="geomon demo: a simulated swarm", truth=truth)
    largest = max(
        events,
        key=lambda e: e.preferred_magnitude.value if e.preferred_magnitude else -9.0,
        default=None,
    )
    if largest is not None:
        written.append(directory / "section.png")
        save_section(largest, vertical_records(config, largest), written[-1])
    return tuple(str(path) for path in written)


def vertical_records(config: Config, event: Event) -> dict[StationId, Segment]:
    """Return one vertical record a station of an event, as archived."""
    space = workspace(config)
    span = section_span(event)
    records: dict[StationId, Segment] = {}
    for pick in event.picks:
        stream = pick.seed_id.stream_id
        if stream.station_id in records:
            continue
        held = space.archive.read_stream(stream, span).of(stream.seed_id("Z"))
        if held:
            records[stream.station_id] = max(held, key=lambda segment: segment.samples.size)
    return records


def _peak_memory_gb() -> float:
    """Return the larger peak of this process and of its children; Linux counts in KiB."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(max(own, children) * 1024 / 1e9, 2)
