"""Take in events of other catalogues, under the names they have there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import batched

from sqlalchemy import delete, select

from geomon.events import Event, Origin
from geomon.stores import schema
from geomon.stores.database import Write
from geomon.stores.event_rows import (
    Held,
    NewRevision,
    content_of,
    end_revisions,
    insert_origins,
    insert_revisions,
    load_origins,
    new_event_ids,
)
from geomon.stores.pick_rows import BATCH
from geomon.stores.quakeml_reading import ReadEvent
from geomon.stores.relocating import said
from geomon.stores.reviewing import find_held
from geomon.times import to_ns


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Ids of the events an import made, revised and left as they were; what was left out."""

    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def import_events(
    write: Write, events: Sequence[ReadEvent], catalog: str, contributor: str, source: str
) -> ImportReport:
    """Add or revise events by their public ids; see `Catalog.import_quakeml`."""
    by_alias = {one.public_id: one for one in events}
    held = _held_by_alias(write, list(by_alias))
    merged = _merged(write, [one.event_key for one in held.values()])
    new: list[tuple[ReadEvent, str]] = []
    changed: list[tuple[Held, str, Event]] = []
    unchanged: list[str] = []
    for alias, one in by_alias.items():
        content = content_of(one.event)
        known = held.get(alias)
        if known is None:
            new.append((one, content))
        elif known.event_key in merged or (known.content, known.is_withdrawn) == (content, False):
            unchanged.append(known.event_id)
        else:
            changed.append((known, content, one.event))
    created = _create(write, new, catalog, source)
    end_revisions(write, [one.revision_key for one, _, _ in changed])
    insert_revisions(
        write,
        [
            NewRevision(
                one.event_key,
                one.revision + 1,
                event,
                content,
                one.values["catalog"],
                f"imported from {source}",
                review_state=event.review_state,
            )
            for one, content, event in changed
        ],
        with_current_picks=False,
    )
    rows = {alias: one.event_key for alias, one in held.items()}
    rows |= {alias: row for alias, (row, _) in created.items()}
    agencies = {row: contributor or by_alias[a].agency or catalog for a, row in rows.items()}
    _contribute(write, agencies)
    _add_origins(write, {row: by_alias[alias].other_origins for alias, row in rows.items()})
    ids = tuple(event_id for _, event_id in created.values())
    return ImportReport(ids, tuple(one.event_id for one, _, _ in changed), tuple(unchanged))


def _held_by_alias(write: Write, aliases: Sequence[str]) -> dict[str, Held]:
    table = schema.event_alias
    events: dict[str, int] = {}
    for batch in batched(aliases, BATCH):
        query = select(table.c.alias, table.c.event).where(table.c.alias.in_(batch))
        events.update(row._tuple() for row in write.connection.execute(query))
    held: dict[int, Held] = {}
    for keys in batched(events.values(), BATCH):
        found = find_held(write.connection, schema.event.c.id.in_(keys))
        held |= {one.event_key: one for one in found}
    return {alias: held[key] for alias, key in events.items()}


def _merged(write: Write, keys: Sequence[int]) -> set[int]:
    """Return the events that lead to another one, which stands for them now."""
    table = schema.event
    found: set[int] = set()
    for batch in batched(keys, BATCH):
        query = select(table.c.id).where(table.c.id.in_(batch), table.c.merged_into.is_not(None))
        found.update(write.connection.scalars(query))
    return found


def _create(
    write: Write, new: Sequence[tuple[ReadEvent, str]], catalog: str, source: str
) -> dict[str, tuple[int, str]]:
    """Store events; return row and id of each by its public id."""
    if not new:
        return {}
    run = write.run_key()
    keys = write.new_ids(schema.event, len(new))
    ids = new_event_ids(write.connection, [(content, one.event) for one, content in new])
    write.insert(
        schema.event,
        [
            {
                "id": key,
                "event_id": event_id,
                "catalog": catalog,
                "owner_ns": to_ns(one.event.preferred_origin.time),
                "merged_into": None,
                "run": run,
            }
            for key, event_id, (one, _) in zip(keys, ids, new, strict=True)
        ],
    )
    write.insert(
        schema.event_alias,
        [
            {"alias": one.public_id, "event": key, "run": run}
            for key, (one, _) in zip(keys, new, strict=True)
        ],
    )
    insert_revisions(
        write,
        [
            NewRevision(
                key, 1, one.event, content, catalog, f"imported from {source}",
                review_state=one.event.review_state,
            )
            for key, (one, content) in zip(keys, new, strict=True)
        ],
        with_current_picks=False,
    )  # fmt: skip
    names = (one.public_id for one, _ in new)
    return dict(zip(names, zip(keys, ids, strict=True), strict=True))


def _add_origins(write: Write, origins: Mapping[int, Sequence[Origin]]) -> None:
    """Keep origins that events, by their rows, do not prefer, where they are not held yet."""
    new: list[tuple[int, Origin]] = []
    for key, told in origins.items():
        if told:
            known = {said(origin) for _, origin in load_origins(write.connection, key)}
            new += [(key, origin) for origin in told if said(origin) not in known]
    insert_origins(write, new)


def _contribute(write: Write, agencies: Mapping[int, str]) -> None:
    """Keep which agency each event, by its row, comes from."""
    table = schema.contributor
    known: dict[int, str] = {}
    for batch in batched(agencies, BATCH):
        query = select(table.c.event, table.c.agency).where(table.c.event.in_(batch))
        known.update(row._tuple() for row in write.connection.execute(query))
    told = {key: agency[:160] for key, agency in agencies.items()}
    changed = [key for key, agency in told.items() if known.get(key) != agency]
    for batch in batched(known.keys() & set(changed), BATCH):
        write.connection.execute(delete(table).where(table.c.event.in_(batch)))
    if changed:
        run = write.run_key()
        rows = [{"event": key, "agency": told[key], "run": run} for key in changed]
        write.insert(table, rows)
