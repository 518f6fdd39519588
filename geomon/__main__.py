"""``python -m geomon`` is the `geomon` command."""

from geomon.cli import main

main()
