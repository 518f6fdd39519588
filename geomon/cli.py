"""The `geomon` command: thin commands over services."""


def main() -> None:
    """Run the command line."""
