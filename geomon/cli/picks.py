"""Commands about phase picks."""

import sys
from typing import Annotated, cast

import typer

from geomon.cli.common import (
    DEFAULT_CONFIG,
    AsOfOption,
    ConfigOption,
    EndOption,
    JsonOption,
    OutputOption,
    StartOption,
    StationsOption,
    load,
    load_made,
    patterns,
    print_json,
    span_of,
    tell_watched,
    write_bytes,
)
from geomon.errors import DataError

picks_app = typer.Typer(no_args_is_help=True, help="The phase picks.")


@picks_app.command("query")
def picks_query(
    start: StartOption,
    end: EndOption,
    stations: StationsOption = "",
    phase: Annotated[str, typer.Option(help="P or S; both by default.")] = "",
    min_probability: Annotated[float | None, typer.Option(help="Smallest probability.")] = None,
    as_of: AsOfOption = "",
    form: Annotated[str, typer.Option("--format", help="table or csv.")] = "table",
    output: OutputOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List picks."""
    from geomon.events import Phase
    from geomon.services.workspace import workspace
    from geomon.stores.exports import picks_to_csv

    if phase not in {"", "P", "S"}:
        msg = f"--phase {phase}: allowed are P and S"
        raise DataError(msg)
    if form not in {"table", "csv"}:
        msg = f"--format {form}: allowed are table and csv"
        raise DataError(msg)
    span, chosen = span_of(start, end), patterns(stations)
    network = (
        load_made(config, "catalog", empty=[], as_json=as_json)
        if as_json or form == "table"
        else load(config)  # an empty file
    )
    found = workspace(network).catalog.picks(
        span, stations=chosen,
        phase=cast("Phase", phase) if phase else None, min_probability=min_probability,
        as_of=as_of or None,
    )  # fmt: skip
    if as_json:
        print_json(found.to_pandas().to_dict(orient="records"))
    elif form == "csv":
        write_bytes(picks_to_csv(found), output)
    else:
        print(f"{'time (UTC)':<24} phase  {'channel':<17} probability")
        for pick in found:
            print(
                f"{pick.time:%Y-%m-%d %H:%M:%S}.{pick.time.microsecond // 1000:03}  {pick.phase:<5}"
                f"  {pick.seed_id!s:<17} {pick.probability:.2f}"
            )
        print(f"{len(found)} {'pick' if len(found) == 1 else 'picks'}", file=sys.stderr)
    if not len(found):
        tell_watched(network, "pick", start, end, as_of=as_of)
