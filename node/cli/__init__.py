"""The command ``overread``: one module for each family of commands."""

from node.cli.app import main

__all__ = ["main"]
