"""``python -m node`` is ``overread``."""

from node.cli import main

main()
