"""`python -m realtime` is `brushcast`."""

import sys

from realtime.cli import main

if __name__ == "__main__":
    sys.exit(main())
