"""The command line: ``python -m lab``."""

import sys

try:
    from lab.cli import main
except ModuleNotFoundError as error:
    sys.exit(
        f"The lab needs the library {error.name}. "
        "Install: pip install -r requirements-dev.txt"
    )

main(prog_name="python -m lab")
