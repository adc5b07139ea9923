"""``python -m bayling_eval``."""

import sys

from bayling_eval.cli.main import main

sys.exit(main())
