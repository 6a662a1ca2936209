"""The command ``narrowboat``, and ``python -m narrowboat``.

Covers: Ctrl-C while the command is still being loaded. Does not cover: all else (``cli/main``).
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command; the exit code."""
    try:
        from narrowboat.cli.main import main as command

        return command()
    except KeyboardInterrupt:
        return 130  # as shells have it: 128 + SIGINT


if __name__ == "__main__":
    sys.exit(main())
