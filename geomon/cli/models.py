"""Commands about phase pickers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from geomon.cli.common import JsonOption, load_made, print_json, progress_bars
from geomon.cli.retraining import (
    dataset,
    decisions,
    promote,
    recipe_of,
    retrain,
    reviewed,
    rollback,
    train_on_seisbench,
    windows,
)
from geomon.errors import DataError, NotMade

if TYPE_CHECKING:
    from geomon.picking.card import PickerCard

model_app = typer.Typer(no_args_is_help=True, help="The phase pickers.")
for command in (retrain, dataset, windows, reviewed, promote, rollback, decisions):
    model_app.command()(command)


@model_app.command("list")
def list_pickers(
    folder: Annotated[Path | None, typer.Option(help="Also the pickers below this folder.")] = None,
    config: Annotated[
        str, typer.Option("--config", metavar="FILE", help="Also the registry of this network.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """List the packaged and the imported pickers, those below a folder, and a network's registry.

    Of the registry's pickers it says which is the champion, and what was decided about each.
    """
    from geomon.picking.card import imported_pickers, packaged_pickers, read_card

    folders = packaged_pickers()
    for other in (imported_pickers(), folder):
        if other is not None:
            folders += sorted(path.parent for path in other.rglob("card.json"))
    cards = [(path, read_card(path)) for path in folders]
    registered = _registered(config) if config else []
    if as_json:
        listed = [{"path": str(path), **card.model_dump(mode="json")} for path, card in cards]
        print_json([*listed, *registered])
        return
    for one in registered:
        print(f"{one['label']:<22} {one['state']}: {one['decided']}\n    {one['description']}")
    for path, card in cards:
        scores = ", ".join(f"{name} {value:.3f}" for name, value in list(card.scores.items())[:4])
        print(f"{card.label:<22} {path}\n    {card.description}\n    {scores}")


def _registered(config: str) -> list[dict[str, Any]]:
    """Return the pickers of a network's registry, with state and last decision."""
    from geomon.services.champion import pickers_of

    try:
        registry = pickers_of(load_made(config, "catalog"))
    except NotMade:  # a network without a catalogue has trained none
        return []
    last = {one.challenger: one for one in registry.decisions()}
    found = []
    for one in registry.listed():
        decision = last.get(one.sha256)
        decided = "not decided yet"
        if decision is not None:
            decided = f"{decision.outcome} by {decision.actor}: {decision.reason}"
        found.append(
            {"state": one.state, "label": one.card.label, "decided": decided,
             **one.card.model_dump(mode="json")}
        )  # fmt: skip
    return found


@model_app.command("import")
def import_picker(
    path: Annotated[Path, typer.Argument(help="Any one file of a published picker.")],
    name: Annotated[str, typer.Option(help="What to call it: `picker.name` of a config.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder to write it to; by default the user's own.")
    ] = None,
    form: Annotated[
        Literal["phasenet", "eqtransformer", "gpd", "seisbench"] | None,
        typer.Option("--format", help="Its format; recognised by the content without."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Turn published weights into a picker: PhaseNet, EQTransformer, GPD, SeisBench's PhaseNet.

    Nothing in their files is run: neither pickles nor Lambda layers.
    """
    from geomon.picking.card import imported_folder, save_picker
    from geomon.picking.importers import import_picker as read

    folder = output or imported_folder(name)
    picker = save_picker(read(path, name=name, form=form), folder)
    if as_json:
        print_json({"path": str(folder), **picker.card.model_dump(mode="json")})
        return
    print("\n".join(_essentials(picker.card)))
    print(f"saved in {folder}; use it with picker: {{name: {output or name}}}")


def _essentials(card: "PickerCard") -> list[str]:
    """Return what a card says in a few lines."""
    rule, windows = card.normalisation, card.windows
    scaling = f"scaled over {rule.window_s:g} s" if rule.window_s else "not scaled beforehand"
    if rule.highpass_hz:
        scaling += f", above {rule.highpass_hz:g} Hz"
    if rule.lowpass_hz:
        scaling += f", below {rule.lowpass_hz:g} Hz"
    shape = "whole records"
    if windows:
        shape = (
            f"windows of {windows.window_samples} samples every {windows.stride}, "
            f"scaled by {windows.scaling}, blended by {windows.blend}"
        )
    thresholds = ", ".join(f"{phase} {value:g}" for phase, value in card.thresholds.items())
    gate = f", where D exceeds {card.gate.threshold:g}" if card.gate else ""
    return [
        f"{card.label}: {card.description}",
        f"  input       {card.components} at {card.sampling_rate_hz} Hz, {scaling}",
        f"  run over    {shape}",
        f"  classes     {' '.join(card.classes)}",
        f"  thresholds  {thresholds}{gate}",
        f"  licence     {card.licence}",
        f"  cite        {card.citation}",
    ]


@model_app.command()
def train(
    output: Annotated[Path, typer.Argument(help="Folder to write the picker to.")],
    real: Annotated[
        Path | None, typer.Option(help="Folder of real recordings; synthetic only without.")
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(help="Picker, or a file of a published one, that labels continuous records."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Batches; the recipe's by default.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The recipe's by default.")] = None,
    fold: Annotated[
        int, typer.Option(min=0, max=2, help="Third of the labelled stations to keep for testing.")
    ] = 0,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder to log to, for TensorBoard.")
    ] = None,
    seisbench: Annotated[
        Path | None,
        typer.Option(help="SeisBench data set to learn from, starting from --base."),
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="Picker to start from with --seisbench; default without.")
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="With --seisbench: start from random weights.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a picker; started again after a stop, it goes on from its checkpoint.

    With --seisbench a picker is trained on a data set such as STEAD or INSTANCE: metadata.csv and
    waveforms.hdf5.
    """
    if seisbench is not None and (real is not None or teacher is not None):
        msg = "--real and --teacher are not for --seisbench: its data set is all there is"
        raise DataError(msg)
    if seisbench is None and (base is not None or from_scratch):
        msg = "--base and --from-scratch need --seisbench: without it training starts from nothing"
        raise DataError(msg)
    if seisbench is not None:
        epochs, short = (None, None) if steps is None else (-(-steps // 100), min(steps, 100))
        learned = recipe_of(epochs, seed, from_scratch=from_scratch, steps=short)
        card = train_on_seisbench(seisbench, output, base or "default", learned, tensorboard)
    else:
        from dataclasses import replace

        from geomon.training.fit import TrainingRecipe
        from geomon.training.fit import train as fit

        usual = TrainingRecipe(fold=fold)
        recipe = replace(
            usual, steps=steps or usual.steps, seed=usual.seed if seed is None else seed
        )
        card = fit(recipe, output, real=real, teacher=teacher, tensorboard=tensorboard).card
    if as_json:
        print_json({"path": str(output), **card.model_dump(mode="json")})
        return
    print(f"wrote {card.label} to {output}")
    for name, value in card.scores.items():
        print(f"  {name}: {value:.3f}")


@model_app.command()
def evaluate(
    pickers: Annotated[
        list[str], typer.Argument(help="Names or folders; several are compared in one table.")
    ],
    windows: Annotated[
        Path | None,
        typer.Option(help="Labelled .npz windows or a SeisBench data set; synthetic without."),
    ] = None,
    continuous: Annotated[
        Path | None,
        typer.Option(help="Folder of miniSEED to set thresholds of equal pick budget on."),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Picker whose budget holds; the first without.")
    ] = None,
    held_out: Annotated[
        bool,
        typer.Option("--held-out", help="Only stations that never train the shipped picker."),
    ] = False,
    most: Annotated[int, typer.Option(min=1, help="Windows at most, evenly spread.")] = 2000,
    output: Annotated[
        Path | None, typer.Option(help="Folder for report.md, report.json and pictures.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure pickers: accuracy, calibration, false picks, robustness; compare and draw them."""
    from geomon.picking.card import load_picker
    from geomon.training.evaluate.report import accuracy_table, evaluate_pickers
    from geomon.training.evaluate.testsets import read_set, synthetic_set

    if reference is not None and continuous is None:
        msg = f"--reference {reference}: needs --continuous, to set thresholds of equal budget on"
        raise DataError(msg)
    material = synthetic_set() if windows is None else read_set(windows)
    material = (material.held_out() if held_out else material).at_most(most)
    if continuous is not None:
        material = material.with_continuous(continuous)
    loaded = [load_picker(name) for name in dict.fromkeys(pickers)]
    base = None if reference is None else load_picker(reference)
    with progress_bars() as progress:
        report = evaluate_pickers(
            loaded, material, reference=base, folder=output, progress=progress
        )
    if as_json:
        print_json(report.as_dict())
        return
    print(f"{report.data}: {report.n_windows} windows of {report.n_events} events")
    print(accuracy_table(report.evaluations))
    if output is not None:
        print(f"wrote {output / 'report.md'}")
