"""Hengill, Iceland: five real minutes of a swarm, from a data centre on loopback to events."""

from pathlib import Path

import pytest

from geomon.picking.card import save_picker
from geomon.picking.importers import import_phasenet
from geomon.services.run import run
from geomon.services.score import compare
from geomon.services.workspace import workspace
from tests.science import hengill


@pytest.mark.parametrize(("picker", "least"), [("default", 10), ("phasenet", 11)])
def test_the_swarm_is_found(
    tmp_path: Path, shared_data: Path, shared_weights: Path, picker: str, least: int
) -> None:
    name = picker
    if picker == "phasenet":
        name = str(tmp_path / "phasenet")
        checkpoint = shared_weights / "phasenet" / "model_95.ckpt"
        save_picker(import_phasenet(checkpoint), Path(name))
    with hengill.served(shared_data, tmp_path, name) as config:
        reports = run(config, hengill.SPAN)
        events = list(workspace(config).catalog.events(hengill.SPAN.start_ns, hengill.SPAN.end_ns))
    assert not any(report.n_failed for report in reports)
    found = compare(
        hengill.reference(shared_data), events,
        within_s=hengill.WITHIN_S, within_km=hengill.WITHIN_KM,
    )  # fmt: skip
    assert len(found.pairs) >= least
    assert found.n_doubled == 0
    assert hengill.clusters_seen(events) == len(hengill.CLUSTERS)
    # Without responses there is no magnitude, and it is said why.
    assert all(event.preferred_magnitude is None for event in events)
    assert any("no usable response" in problem for problem in reports.locate.problems)
