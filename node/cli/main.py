"""The command ``overread``."""

import sys

from node.cli import check, demo, fhir, inspect, ledger, life, models, retention, roles, rules
from node.cli.app import app, err
from node.errors import NodeError, SettingsInvalid

for _module in (roles, check, inspect, life, ledger, retention, rules, models, fhir, demo):
    _module.register(app)


def main() -> None:
    """Run the command line; what the node refuses on purpose is told in one line."""
    try:
        app()
    except SettingsInvalid as error:
        for fault in error.faults:
            err.print(f"[red]configuration:[/] {fault}", highlight=False)
        sys.exit(2)
    except NodeError as error:
        err.print(f"[red]{type(error).__name__}:[/] {error}", highlight=False)
        sys.exit(1)
