"""Commands about phase pickers."""

from pathlib import Path
from typing import Annotated

import typer

from geomon.cli.common import JsonOption, print_json

model_app = typer.Typer(no_args_is_help=True, help="The phase pickers.")


@model_app.command("list")
def list_pickers(
    folder: Annotated[Path | None, typer.Option(help="Also the pickers below this folder.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the packaged pickers, and those below a folder."""
    from geomon.picking.card import packaged_pickers, read_card

    folders = packaged_pickers()
    if folder is not None:
        folders += sorted(path.parent for path in folder.rglob("card.json"))
    cards = [(path, read_card(path)) for path in folders]
    if as_json:
        print_json([{"path": str(path), **card.model_dump(mode="json")} for path, card in cards])
        return
    for path, card in cards:
        scores = ", ".join(f"{name} {value:.3f}" for name, value in list(card.scores.items())[:4])
        print(f"{card.label:<22} {path}\n    {card.description}\n    {scores}")


@model_app.command("import")
def import_picker(
    checkpoint: Annotated[Path, typer.Argument(help="PhaseNet's TensorFlow 1 checkpoint prefix.")],
    output: Annotated[Path, typer.Argument(help="Folder to write the picker to.")],
) -> None:
    """Turn PhaseNet's published checkpoint into a picker that `picker.name` can point to."""
    from geomon.picking.card import save_picker
    from geomon.picking.importers import import_phasenet

    picker = save_picker(import_phasenet(checkpoint), output)
    print(f"wrote {picker.card.label} to {output}; use it with picker: {{name: {output}}}")


@model_app.command()
def train(
    output: Annotated[Path, typer.Argument(help="Folder to write the picker to.")],
    real: Annotated[
        Path | None, typer.Option(help="Folder of real recordings; synthetic only without.")
    ] = None,
    teacher: Annotated[
        Path | None, typer.Option(help="PhaseNet checkpoint that labels continuous records.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Batches; the recipe's by default.")] = None,
    seed: Annotated[int | None, typer.Option(help="The recipe's by default.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a picker; started again after a stop, it goes on from its checkpoint."""
    from dataclasses import replace

    from geomon.training.fit import TrainingRecipe
    from geomon.training.fit import train as fit

    recipe = TrainingRecipe()
    if steps is not None:
        recipe = replace(recipe, steps=steps)
    if seed is not None:
        recipe = replace(recipe, seed=seed)
    picker = fit(recipe, output, real=real, teacher=teacher)
    if as_json:
        print_json({"path": str(output), **picker.card.model_dump(mode="json")})
        return
    print(f"wrote {picker.card.label} to {output}")
    for name, value in picker.card.scores.items():
        print(f"  {name}: {value:.3f}")
