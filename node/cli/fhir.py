"""``overread fhir``: what the administrator of an EHR needs of us."""

import json
from typing import Annotated

import typer

from node import bootstrap
from node.cli.app import CONFIG, Config, err, load, out


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(help="EHRs over FHIR.", no_args_is_help=True)
    group.callback()(_group)
    group.command("jwks")(jwks)
    app.add_typer(group, name="fhir")


def _group() -> None:
    """Keep ``jwks`` a command of its own while it is the only one."""


def jwks(
    config: Config = CONFIG,
    peer: Annotated[str | None, typer.Option("--peer", help="Only this peer's keys.")] = None,
) -> None:
    """Print our public keys as a JWK Set, to be registered with the EHR (SMART Backend Services).

    Raises
    ------
    typer.Exit
        There is none.
    """
    sets = bootstrap.key_sets(load(config))
    chosen = [keys for name, keys in sets.items() if peer in {None, name}]
    if not chosen:
        err.print(
            "no peer with SMART keys is configured" if peer is None else f"{peer} has no keys"
        )
        raise typer.Exit(1)
    keys = {key["kid"]: key for one in chosen for key in one["keys"]}
    out.print_json(json.dumps({"keys": list(keys.values())}))
