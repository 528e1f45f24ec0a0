"""`python -m proxy.cli`: the same as `reasoning-proxy`."""

import sys

from proxy.cli import main

sys.exit(main())
