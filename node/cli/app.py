"""The command line itself: what there is to call, and how its errors are told."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from node import settings as configuration
from node.errors import SettingsInvalid
from node.settings import Settings

app = typer.Typer(
    name="overread",
    help="A DICOM node that reads every study a second time.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

Config = Annotated[
    Path,
    typer.Option(
        "--config", "-c", envvar="OVERREAD_CONFIG", help="The node's TOML file.", show_default=True
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
CONFIG = Path("overread.toml")


def load(config: Path) -> Settings:
    """Read the configuration, or tell every error of it and end with exit code 2.

    Raises
    ------
    typer.Exit
        The configuration is invalid.
    """
    try:
        return configuration.load(config)
    except SettingsInvalid as error:
        for fault in error.faults:
            err.print(f"[red]configuration:[/] {fault}", highlight=False)
        raise typer.Exit(2) from error
