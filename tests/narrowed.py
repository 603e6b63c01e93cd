"""Named by IMPORTS, it gives a process of its own the narrow ResNet-18 of tests/narrow.py.

It registers nothing. In the process of the tests the fixture ``narrow_resnet18`` does the same.
"""

import sys
from pathlib import Path

import torchvision

sys.path.append(str(Path(__file__).parent))
import narrow

torchvision.models.resnet18 = narrow.resnet18
