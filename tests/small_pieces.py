"""Named by IMPORTS, it has ``reid embed`` keep pieces of sixteen images, and use a narrow network.

It registers nothing.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
import narrowed  # noqa: F401 - the narrow network

from reid.jobs import embed

embed.piece_size = lambda _: 16
