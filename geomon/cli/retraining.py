"""Commands that make pickers better: labels, challengers, decisions."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geomon.cli.common import (
    DEFAULT_CONFIG,
    ConfigOption,
    EndOption,
    JsonOption,
    StartOption,
    load,
    load_made,
    print_json,
    span_of,
)
from geomon.errors import DataError

if TYPE_CHECKING:
    from geomon.config import Config
    from geomon.ids import StreamId
    from geomon.picking.card import PickerCard
    from geomon.services.retrain import RetrainReport
    from geomon.stores.pickers import Registered
    from geomon.times import TimeSpan
    from geomon.training.finetune import FinetuneRecipe

ActorOption = Annotated[str, typer.Option(help="Who decides.")]
ReasonOption = Annotated[str, typer.Option(help="Why.")]
EpochsOption = Annotated[int | None, typer.Option(min=1, help="Most epochs; fewer where enough.")]
StepsOption = Annotated[int | None, typer.Option(min=1, help="Batches of an epoch.")]
SeedOption = Annotated[int | None, typer.Option(help="Of all randomness.")]
ScratchOption = Annotated[
    bool, typer.Option("--from-scratch", help="Start from random weights, not the champion's.")
]


def recipe_of(
    epochs: int | None, seed: int | None, *, from_scratch: bool, steps: int | None = None
) -> "FinetuneRecipe":
    """Return a recipe with what was asked for."""
    from geomon.training.finetune import FinetuneRecipe

    usual = FinetuneRecipe()
    return replace(
        usual,
        epochs=epochs or usual.epochs,
        steps_an_epoch=steps or usual.steps_an_epoch,
        seed=usual.seed if seed is None else seed,
        from_scratch=from_scratch,
    )


def retrain(
    start: StartOption,
    end: EndOption,
    benchmark: Annotated[
        Path | None, typer.Option(help="Labelled windows of your own for the fixed benchmark.")
    ] = None,
    synthetic: Annotated[
        int, typer.Option(min=1, help="Synthetic windows of the fixed benchmark.")
    ] = 120,
    epochs: EpochsOption = None,
    steps: StepsOption = None,
    seed: SeedOption = None,
    from_scratch: ScratchOption = False,
    actor: ActorOption = "operator",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Train a challenger on what analysts said of a span; the gate says whether it is promoted.

    Started again after a stop, it goes on from its last epoch.
    """
    from geomon.services.dataset import RetrainSettings
    from geomon.services.retrain import retrain as service

    span = span_of(start, end)
    network = load(config)
    report = service(
        network, span, actor=actor,
        recipe=recipe_of(epochs, seed, from_scratch=from_scratch, steps=steps),
        settings=RetrainSettings(benchmark=benchmark, n_synthetic=synthetic),
    )  # fmt: skip
    if as_json:
        print_json(report.as_dict())
    else:
        print(_told(report))
        if report.verdict == "promoted":
            from geomon.services.offer import offer_backfill

            print(offer_backfill(network).text())
    if report.verdict == "poisoned":
        raise typer.Exit(1)


def _told(report: "RetrainReport") -> str:
    lines = []
    if report.build is not None:
        lines += [f"  {line}" for line in (*report.build.counts, *report.build.findings)]
        lines += [f"  look at again: {line}" for line in report.build.suspects[:20]]
    if report.table:
        lines += ["", report.table, ""]
    lines.append(f"{report.challenger or 'no challenger'}: {report.verdict}: {report.reason}")
    return "\n".join(lines)


def dataset(
    start: StartOption,
    end: EndOption,
    output: Annotated[
        Path | None, typer.Option(help="Folder to write it to, as a SeisBench data set.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Make labelled windows of what is known of a span, and check the labels.

    The folder holds metadata.csv and waveforms.hdf5, as SeisBench reads and writes them.
    """
    import shutil

    from geomon.services.dataset import RetrainSettings, build

    span = span_of(start, end)
    built = build(load(config), span, RetrainSettings())
    if not (Path(built.folder) / "metadata.csv").is_file():
        msg = f"{start} to {end}: no labelled windows; review some events first"
        raise DataError(msg)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        for name in ("metadata.csv", "waveforms.hdf5"):
            shutil.copyfile(Path(built.folder) / name, output / name)
    if as_json:
        print_json(built.as_dict())
        return
    print("\n".join((*built.counts, *built.findings)))
    print(f"labels refused: {built.refused}" if built.refused else "labels can be learned from")
    print(f"in {output or built.folder}")


def windows(
    start: StartOption,
    end: EndOption,
    share: Annotated[
        float, typer.Option(min=0, max=1, help="Of the windows of test hours that are drawn.")
    ] = 0.05,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List the windows that should be reviewed whole: the exam of all challengers.

    They are drawn at random, whatever anyone saw in them. Mark every onset in one, then say so
    with `geomon model reviewed`.
    """
    from geomon.services.champion import pickers_of
    from geomon.services.workspace import workspace
    from geomon.times import format_ns
    from geomon.training.dataset import drawn_windows

    span = span_of(start, end)
    network = load_made(config, "archive", "catalog", empty=[], as_json=as_json)
    done = {(w.stream_id, w.span) for w in pickers_of(network).reviewed_windows(span)}
    streams = workspace(network).archive.streams()
    drawn = drawn_windows(streams, span, share)
    rows = [
        {"stream": str(stream), "start": format_ns(window.start_ns),
         "end": format_ns(window.end_ns), "is_reviewed": (stream, window) in done}
        for stream, window in drawn
    ]  # fmt: skip
    if not rows:
        print(f"geomon: {_why_none(streams, span, share)}", file=sys.stderr)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        state = "reviewed" if row["is_reviewed"] else ""
        print(f"{row['stream']:<16} {row['start']:<24} {row['end']:<24} {state}")
    print(f"{len(rows)} windows, {len(done)} reviewed", file=sys.stderr)


def _why_none(streams: Sequence["StreamId"], span: "TimeSpan", share: float) -> str:
    """Say why no window of a span is drawn."""
    from geomon.training.dataset import drawn_windows

    if not streams:
        return "no windows: nothing is archived yet; `geomon run` fetches, picks and locates"
    n_test = len(drawn_windows(streams, span, 1.0))
    if not n_test:
        return (
            f"no windows: no test hour is in {span.words}; about one hour in four is one, drawn by "
            "chance, so ask for a longer span"
        )
    return (
        f"no windows: {share:.0%} of the {n_test} in test hours are drawn, and chance drew none; "
        "ask for a longer span or a larger --share"
    )


def reviewed(
    stream: Annotated[str, typer.Argument(help="NET.STA.LOC.BI, as `geomon model windows` says.")],
    start: Annotated[str, typer.Argument(help="Start of the window.")],
    actor: ActorOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Say that every onset in a window is marked, and that there is none where none is."""
    from geomon.ids import StreamId
    from geomon.services.champion import pickers_of
    from geomon.services.workspace import workspace
    from geomon.times import TimeSpan, parse_time
    from geomon.training.dataset import WINDOW_NS, part_of

    stream_id, start_ns = StreamId.parse(stream), parse_time(start)
    network = load(config)
    window = TimeSpan(start_ns, start_ns + WINDOW_NS)
    if stream_id not in workspace(network).archive.streams():
        msg = f"{stream}: nothing of it is archived"
        raise DataError(msg)
    if start_ns % WINDOW_NS or part_of(stream_id.station_id, window) != "test":
        msg = f"{stream} {start}: no window of the exam; `geomon model windows` lists them"
        raise DataError(msg)
    is_new = pickers_of(network).mark_reviewed(stream_id, window, actor)
    if as_json:
        print_json({"stream": stream, "start": start, "is_new": is_new})
        return
    print(f"{stream} {window}: {'noted' if is_new else 'known already'}")


def promote(
    name: Annotated[str, typer.Argument(help="Label or start of the hash, as in the list.")],
    reason: ReasonOption,
    actor: ActorOption = "operator",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Make a picker of the registry the champion, whatever the gate said of it."""
    from geomon.services.champion import promote as service

    network = load(config)
    chosen = service(network, name, actor=actor, reason=reason)
    _tell_champion(network, chosen, "is the champion", as_json=as_json)


def rollback(
    reason: ReasonOption,
    actor: ActorOption = "operator",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Make the champion of before the champion again."""
    from geomon.services.champion import rollback as service

    network = load(config)
    chosen = service(network, actor=actor, reason=reason)
    _tell_champion(network, chosen, "is the champion again", as_json=as_json)


def _tell_champion(network: "Config", chosen: "Registered", words: str, *, as_json: bool) -> None:
    """Say who is the champion now, and what picking again would take."""
    from geomon.services.offer import offer_backfill

    offer = offer_backfill(network)
    if as_json:
        print_json({"champion": chosen.card.label, "offer": offer.text()})
        return
    print(f"{chosen.card.label} {words}")
    print(offer.text())


def decisions(
    tables: Annotated[bool, typer.Option("--tables", help="With what was compared.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List who became champion when, why, and what each test spent of the error budget."""
    from geomon.services.champion import pickers_of

    network = load_made(config, "catalog", empty=[], as_json=as_json)
    found = pickers_of(network).decisions()
    if as_json:
        print_json([asdict(one) for one in found])
        return
    for one in found:
        spent = f", spent {one.alpha:.2g}" if one.alpha else ""
        print(
            f"{one.decided_at:%Y-%m-%d %H:%M}  {one.challenger[:8]} {one.outcome} by {one.actor}"
            f"{spent}: {one.reason}"
        )
        if tables and one.report:
            print(f"\n{one.report}\n")


def train_on_seisbench(
    folder: Path, output: Path, base: str, recipe: "FinetuneRecipe", tensorboard: Path | None
) -> "PickerCard":
    """Train a picker on a SeisBench data set and write it; return its card.

    Raises
    ------
    DataError
        If the data set cannot be read, or holds too little.
    PickerMismatch
        If the picker to start from cannot be loaded.
    """
    from geomon.picking.card import DataItem, Training, load_picker, save_picker
    from geomon.training.dataset import manifest_hash
    from geomon.training.evaluate.testsets import read_seisbench
    from geomon.training.finetune import Lessons, finetune
    from geomon.training.learning import save_learning_curve
    from geomon.training.seisbench import read_examples
    from geomon.training.tuning import tuned

    examples = read_examples(folder)
    start = load_picker(base)
    sha256 = manifest_hash(examples)
    parts = {
        part: tuple(one.recording() for one in examples if one.part == part)
        for part in ("train", "validation")
    }
    lessons = Lessons(parts["train"], parts["validation"], (), sha256)
    made, epochs = finetune(start, recipe, lessons, output, tensorboard=tensorboard)
    save_learning_curve(epochs, output / "learning.png")
    aside = {one.name for one in examples if one.part == "validation"}
    windows = tuple(one for one in read_seisbench(folder)[0] if one.name in aside)
    if windows:  # else only noise was kept aside, on which no threshold can be chosen
        made = tuned(made, windows)
    amount = f"{len(parts['train'])} windows"
    item = DataItem(name=folder.name, use="labels", amount=amount, sha256=sha256)
    training = Training(
        recipe=asdict(recipe),
        data=(item,),
        teacher="" if recipe.from_scratch else start.card.label,
        made_with=start.card.training.made_with,
    )
    update = {"training": training, "version": f"{start.card.version}+{sha256[:8]}"}
    return save_picker(replace(made, card=made.card.model_copy(update=update)), output).card
