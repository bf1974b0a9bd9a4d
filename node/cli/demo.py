"""``overread demo``."""

import typer


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(demo)


def demo() -> None:
    """Let one head MR travel the whole way on this machine."""
    raise NotImplementedError
