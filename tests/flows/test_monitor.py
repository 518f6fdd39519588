"""What the monitor tells becomes events that automations can act on."""

import pytest

from flows import monitor
from geomon.config import find_config, load_config
from geomon.services.alerts import Notice


@pytest.mark.parametrize(
    ("kind", "subject"), [("event.retracted", "gm2024abc"), ("station.silent", "CX.PB01")]
)
def test_a_notice_is_emitted_with_its_resource_and_content(
    monkeypatch: pytest.MonkeyPatch, kind: str, subject: str
) -> None:
    emitted: list[dict] = []
    monkeypatch.setattr(monitor, "emit_event", lambda **event: emitted.append(event))
    config = load_config(find_config("demo"))
    monitor.emit(config, Notice(kind, subject, "what happened", {"magnitude": 2.1}))
    [event] = emitted
    assert event["event"] == f"geomon.{kind}"
    what = kind.partition(".")[0]
    assert event["resource"] == {
        "prefect.resource.id": f"geomon.{what}.{subject}",
        "prefect.resource.name": subject,
        "geomon.network": "Demo swarm",
    }
    assert event["payload"] == {"kind": kind, "text": "what happened", "magnitude": 2.1}
