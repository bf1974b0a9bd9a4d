"""What people do with results that stand: ask again, retract."""

from typing import Annotated

import typer

from node import bootstrap
from node.cli.app import CONFIG, Config, err, load, out
from node.store.overview import Overview
from node.store.retractions import LONGEST_REASON


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (rerun, retract):
        app.command()(command)


def rerun(
    of: Annotated[
        str,
        typer.Argument(
            metavar="STUDY|JOB",
            help="Study Instance UID, its beginning, accession number; or a job's identifier.",
        ),
    ],
    config: Config = CONFIG,
) -> None:
    """Ask again: every question about a study, or that of one job, with the models as they are installed.

    Raises
    ------
    typer.Exit
        Nothing was ever asked of it, or a model is not installed any more.
    """
    settings = load(config)
    reruns, installed = bootstrap.reruns(settings), bootstrap.cards(settings)
    asked = reruns.asked(_study(Overview(bootstrap.database(settings)), of))
    if not asked:
        err.print(f"no job, and no study with a job, is called {of}")
        raise typer.Exit(1)
    gone = sorted({one.model for one in asked} - set(installed))
    if gone:
        err.print(f"not installed any more: {', '.join(gone)}")
        raise typer.Exit(1)
    for one in asked:
        version = installed[one.model].version
        job = reruns.rerun(one.job_id, version)
        out.print(f"{one.model} {version}: job {job}", highlight=False)


def retract(
    of: Annotated[
        str,
        typer.Argument(
            metavar="STUDY|RESULT",
            help="Study Instance UID, its beginning, accession number; or a result's or job's identifier.",
        ),
    ],
    reason: Annotated[
        str, typer.Option("--reason", help="In words, for the study's story; without a patient.")
    ],
    config: Config = CONFIG,
) -> None:
    """Retract results: they are taken back wherever they are, and sent nowhere any more.

    Raises
    ------
    typer.Exit
        No result that stands is meant, or no reason is given.
    """
    words = reason.strip()
    if not words or len(words) > LONGEST_REASON:
        err.print(f"--reason: 1 to {LONGEST_REASON} characters")
        raise typer.Exit(2)
    settings = load(config)
    retractions = bootstrap.retractions(settings)
    meant = retractions.results(_study(Overview(bootstrap.database(settings)), of))
    if not meant:
        err.print(f"no result that stands is called {of}")
        raise typer.Exit(1)
    count = retractions.retract(meant, words)
    out.print(f"{count} result sets retracted; what destinations take back: overread withdrawals")


def _study(overview: Overview, of: str) -> str:
    """Return the study that is meant; what names none is an identifier itself."""
    return overview.study_named(of) or of
