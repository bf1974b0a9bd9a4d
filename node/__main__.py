"""``python -m node`` is ``overread``."""

from node.cli.main import main

main()
