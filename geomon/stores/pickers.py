"""The registry of pickers: the champion, its challengers, and every decision about them.

A picker is kept whole, weights and card, in the catalogue's database, so that every machine that
writes into the catalogue picks with the same one. Which picker is the champion follows from the
last decision alone; decisions are only ever added.
"""

import hashlib
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, select

from geomon.caches import cache_folder
from geomon.errors import StoreConflict, StoreError
from geomon.ids import StreamId
from geomon.picking.card import CARD_FILE, MODEL_FILE, PickerCard, read_card
from geomon.stores.database import Database, Run, Write, stream_ids
from geomon.stores.schema import picker_decision, reviewed_window, trained_picker
from geomon.times import TimeSpan, from_ns

type Outcome = Literal["installed", "promoted", "refused", "rolled back"]
type PickerState = Literal["champion", "challenger", "archived"]


@dataclass(frozen=True, slots=True)
class Registered:
    """A picker of the registry.

    Attributes
    ----------
    sha256 : str
        Of its weights; its name here.
    card : PickerCard
        How to use it, what it was trained on, its scores.
    state : {"champion", "challenger", "archived"}
        A challenger was not decided about yet.
    manifest : str
        JSON: the windows it was trained on.
    added_at : datetime, UTC
        Since when it is here.
    """

    sha256: str
    card: PickerCard
    state: PickerState
    manifest: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """Who became, or stayed, the champion.

    Attributes
    ----------
    outcome : {"installed", "promoted", "refused", "rolled back"}
        What was decided about the challenger.
    champion, challenger : str
        Hashes of the weights: the champion from now on, and the picker that was judged.
    reason, actor : str
        Why, and who decided.
    alpha : float
        How much of the error budget the test spent; 0 where nothing was tested.
    report : str
        The comparison, as Markdown.
    decided_at : datetime or None, UTC
        Set by the registry.
    """

    outcome: Outcome
    champion: str
    challenger: str
    reason: str
    actor: str
    alpha: float = 0.0
    report: str = ""
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True, order=True)
class ReviewedWindow:
    """A span of a stream in which a person marked every onset there is, or that there is none."""

    stream_id: StreamId
    span: TimeSpan
    actor: str
    reviewed_at: datetime


class Pickers:
    """Pickers of one network, in its catalogue's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # ---------------------------------------------------------------------------------- pickers

    def add(self, folder: Path, *, manifest: str = "") -> str:
        """Take a picker folder in; one that is held already stays as it is.

        Returns
        -------
        str
            Hash of its weights.

        Raises
        ------
        PickerMismatch
            If the folder holds no picker.
        StoreError
            If the weights are not the card's.
        """
        card = read_card(folder)
        weights = (folder / MODEL_FILE).read_bytes()
        if hashlib.sha256(weights).hexdigest() != card.weights_sha256:
            msg = f"{folder}: weights are not those of the card"
            raise StoreError(msg)

        def work(write: Write) -> None:
            if _key(write.connection, card.weights_sha256) is None:
                row = {
                    "id": write.new_ids(trained_picker, 1)[0],
                    "sha256": card.weights_sha256,
                    "card": card.model_dump_json(),
                    "weights": weights,
                    "manifest": manifest,
                    "added_ns": time.time_ns(),
                    "run": write.run_key(),
                }
                write.insert(trained_picker, [row])

        self._database.write(Run.begin("retrain", picker=card.label), work)
        return card.weights_sha256

    def listed(self) -> list[Registered]:
        """Return every picker, in the order they came."""
        table = trained_picker
        columns = (table.c.sha256, table.c.card, table.c.manifest, table.c.added_ns)
        with self._database.read() as connection:
            rows = connection.execute(select(*columns).order_by(table.c.id)).all()
            decided = _decisions(connection)
        champion = decided[-1].champion if decided else ""
        judged = {decision.challenger for decision in decided}

        def state(sha256: str) -> PickerState:
            if sha256 == champion:
                return "champion"
            return "archived" if sha256 in judged else "challenger"

        return [
            Registered(
                sha256, PickerCard.model_validate_json(card), state(sha256), manifest, from_ns(at)
            )
            for sha256, card, manifest, at in rows
        ]

    def find(self, name: str) -> Registered:
        """Return a picker by its label, or the start of its hash.

        Raises
        ------
        StoreError
            If none or several are meant.
        """
        start = name.rpartition("@")[2]
        found = [one for one in self.listed() if start and one.sha256.startswith(start)]
        if len(found) != 1:
            what = "several pickers" if found else "no such picker in the registry"
            msg = f"{name}: {what}; `geomon model list` names them"
            raise StoreError(msg)
        return found[0]

    def champion(self) -> str:
        """Return the hash of the champion's weights; empty when there is none yet."""
        table = picker_decision
        query = (
            select(trained_picker.c.sha256)
            .join(table, table.c.champion == trained_picker.c.id)
            .order_by(table.c.id.desc())
            .limit(1)
        )
        with self._database.read() as connection:
            return connection.scalar(query) or ""

    def folder(self, sha256: str) -> Path:
        """Return a folder with a picker's files, written once among the user's caches.

        Raises
        ------
        StoreError
            If there is no such picker.
        """
        folder = cache_folder("pickers") / sha256
        if not (folder / CARD_FILE).is_file():
            table = trained_picker
            query = select(table.c.card, table.c.weights).where(table.c.sha256 == sha256)
            with self._database.read() as connection:
                row = connection.execute(query).first()
            if row is None:
                msg = f"{sha256[:12]}: no such picker in the registry"
                raise StoreError(msg)
            _write_folder(folder, card=row[0], weights=row[1])
        return folder

    # -------------------------------------------------------------------------------- decisions

    def decide(self, decision: Decision, *, instead_of: str) -> None:
        """Record a decision; it takes effect with it.

        Parameters
        ----------
        decision : Decision
            What was decided; its pickers must be held.
        instead_of : str
            The champion that was decided against or for; empty for the first.

        Raises
        ------
        StoreConflict
            If another champion was made meanwhile.
        StoreError
            If a picker is not held.
        """

        def work(write: Write) -> None:
            held = _decisions(write.connection)
            now = held[-1].champion if held else ""
            if now != instead_of:
                msg = f"{decision.challenger[:8]}: another champion was made meanwhile; judge again"
                raise StoreConflict(msg)
            keys = [_key(write.connection, sha) for sha in (decision.champion, decision.challenger)]
            if None in keys:
                msg = f"{decision.challenger[:8]}: no such picker in the registry"
                raise StoreError(msg)
            row = {
                "id": write.new_ids(picker_decision, 1)[0],
                "outcome": decision.outcome,
                "champion": keys[0],
                "challenger": keys[1],
                "reason": decision.reason,
                "actor": decision.actor,
                "decided_ns": write.stamp_ns(),
                "alpha": decision.alpha,
                "report": decision.report,
                "run": write.run_key(),
            }
            write.insert(picker_decision, [row])

        self._database.write(Run.begin("decide", picker=decision.challenger[:8]), work)

    def decisions(self) -> list[Decision]:
        """Return every decision, oldest first."""
        with self._database.read() as connection:
            return _decisions(connection)

    # ------------------------------------------------------------------------- reviewed windows

    def mark_reviewed(self, stream_id: StreamId, span: TimeSpan, actor: str) -> bool:
        """Note that a person marked everything there is in a span; return whether it is new."""

        def work(write: Write) -> bool:
            table = reviewed_window
            stream = write.find_stream(stream_id)
            known = select(table.c.stream).where(
                table.c.stream == stream, table.c.start_ns == span.start_ns
            )
            if stream is not None and write.connection.scalar(known) is not None:
                return False
            row = {
                "stream": write.stream(stream_id),
                "start_ns": span.start_ns,
                "end_ns": span.end_ns,
                "actor": actor,
                "reviewed_ns": write.stamp_ns(),
                "run": write.run_key(),
            }
            write.insert(table, [row])
            return True

        return self._database.write(Run.begin("review"), work)

    def reviewed_windows(self, span: TimeSpan) -> list[ReviewedWindow]:
        """Return the spans within `span` that a person reviewed whole, in (stream, time) order."""
        table = reviewed_window
        query = select(
            table.c.stream, table.c.start_ns, table.c.end_ns, table.c.actor, table.c.reviewed_ns
        ).where(table.c.start_ns >= span.start_ns, table.c.end_ns <= span.end_ns)
        with self._database.read() as connection:
            streams = stream_ids(connection)
            return sorted(
                ReviewedWindow(streams[stream], TimeSpan(start, end), actor, from_ns(at))
                for stream, start, end, actor, at in connection.execute(query)
            )


def _key(connection: Connection, sha256: str) -> int | None:
    table = trained_picker
    return connection.scalar(select(table.c.id).where(table.c.sha256 == sha256))


def _decisions(connection: Connection) -> list[Decision]:
    table, picker = picker_decision, trained_picker
    names = dict(row._tuple() for row in connection.execute(select(picker.c.id, picker.c.sha256)))
    rows = connection.execute(select(table).order_by(table.c.id))
    return [
        Decision(
            row.outcome, names[row.champion], names[row.challenger], row.reason, row.actor,
            row.alpha, row.report, from_ns(row.decided_ns),
        )
        for row in rows
    ]  # fmt: skip


def _write_folder(folder: Path, *, card: str, weights: bytes) -> None:
    """Write a picker folder at once: another process sees all of it or nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent))
    (draft / MODEL_FILE).write_bytes(weights)
    (draft / CARD_FILE).write_text(card, encoding="utf-8")
    try:
        os.replace(draft, folder)  # noqa: PTH105 - a folder that is there already is no error
    except OSError:
        shutil.rmtree(draft)
