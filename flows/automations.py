"""What the Prefect server does by itself: end dead runs, and act on what the monitor tells."""

import json
from collections.abc import Iterator
from datetime import timedelta

from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import CallWebhook, ChangeFlowRunState, RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from pydantic import SecretStr

from geomon.config import Config

_SILENT = timedelta(seconds=240)
"""Four heartbeats, as ``deployments/prefect.env`` sets them."""
_CYCLES_MISSED = 3
_SHORTEST_OUTAGE_S = 900
_ONE_REPORT_S = 60.0
"""What is told within this time, one report is made of."""
_BLOCK = "geomon-alerts"


def make_automations(client: SyncPrefectClient, config: Config, name: str) -> list[str]:
    """Make the automations that are missing; return a line for each.

    Existing ones stay as they are, so an operator may pause or change them; the address of the
    webhook is brought up to date.

    Parameters
    ----------
    client : SyncPrefectClient
        The server.
    config : Config
        The network.
    name : str
        Name of its deployments.
    """
    made = []
    for automation in _automations(client, config, name):
        if not client.read_automations_by_name(automation.name):
            client.create_automation(automation)
            made.append(f"automation {automation.name}")
    return made


def _automations(client: SyncPrefectClient, config: Config, name: str) -> Iterator[AutomationCore]:
    yield _end_dead_runs()
    yield _report_events(client, config, name)
    if config.alerts.webhook_url is not None:
        yield _miss_the_monitor(client, config, name, config.alerts.webhook_url)


def _end_dead_runs() -> AutomationCore:
    """Mark flow runs as crashed that beat once and then neither beat nor end.

    They died together with their worker, and would otherwise hold their deployment's slot.
    """
    final = ("Completed", "Failed", "Cancelled", "Crashed")
    trigger = EventTrigger(
        after={"prefect.flow-run.heartbeat"},
        expect={f"prefect.flow-run.{what}" for what in ("heartbeat", *final)},
        match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=_SILENT,
    )
    crash = ChangeFlowRunState(
        state=StateType.CRASHED, message=f"No sign of life for {_SILENT.seconds} s."
    )
    return AutomationCore(
        name="geomon: end flow runs that show no sign of life",
        description="Runs whose process and worker died are marked as crashed.",
        trigger=trigger,
        actions=[crash],
    )


def _report_events(client: SyncPrefectClient, config: Config, name: str) -> AutomationCore:
    """Report the last day anew when an event or a station is told of.

    The first one fires, those of the same cycle come into the same report.
    """
    trigger = EventTrigger(
        expect={"geomon.*"},
        match=ResourceSpecification({"geomon.network": [config.network.name]}),
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(seconds=min(config.schedule.monitor_every_s / 2, _ONE_REPORT_S)),
    )
    report = client.read_deployment_by_name(f"report/{name}")
    action = RunDeployment(source="selected", deployment_id=report.id)
    return AutomationCore(
        name=f"geomon: report what is told of {name}",
        description="A new event, its updates and retraction, or a station silent or back.",
        trigger=trigger,
        actions=[action],
    )


def _miss_the_monitor(
    client: SyncPrefectClient, config: Config, name: str, url: str
) -> AutomationCore:
    """Tell that nobody watches: after a cycle, none has completed for some time."""
    monitor = client.read_deployment_by_name(f"monitor/{name}")
    outage_s = max(_CYCLES_MISSED * config.schedule.monitor_every_s, _SHORTEST_OUTAGE_S)
    completed = {"prefect.flow-run.Completed"}
    trigger = EventTrigger(
        after=completed,
        expect=completed,
        match_related=ResourceSpecification(
            {"prefect.resource.id": [f"prefect.deployment.{monitor.id}"]}
        ),
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=outage_s),
    )
    block = Webhook(url=SecretStr(url)).save(f"{_BLOCK}-{name.lower()}", overwrite=True)
    text = f"{config.network.name}: no cycle of the monitor completed for {outage_s} s"
    payload = json.dumps({"kind": "monitor.silent", "text": text})
    return AutomationCore(
        name=f"geomon: tell when nobody watches {name}",
        description=f"Calls the webhook {outage_s} s after the monitor's last completed cycle.",
        trigger=trigger,
        actions=[CallWebhook(block_document_id=block, payload=payload)],
    )
