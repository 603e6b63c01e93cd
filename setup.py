"""Package metadata: ``pip install .`` brings what running needs, ``.[dev]`` what tests need."""

import re
from pathlib import Path

from setuptools import find_packages, setup

# Read, not imported: importing reid would need torch before pip has installed it.
INIT = (Path(__file__).parent / "reid" / "__init__.py").read_text(encoding="utf-8")
VERSION = re.search(r'^__version__ = "([^"]+)"$', INIT, re.MULTILINE).group(1)

setup(
    name="reid",
    version=VERSION,
    description="Person re-identification with Local Feature Masking: train, evaluate, attack",
    long_description=(Path(__file__).parent / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    python_requires=">=3.10",
    packages=find_packages(include=["reid", "reid.*"]),
    package_data={"reid": ["py.typed"]},
    install_requires=[
        "torch>=2.6",
        "torchvision>=0.21",
        "numpy>=1.26",
        "scipy>=1.11",  # sparse encodings of the k-reciprocal re-ranking
        "scikit-learn>=1.4",
        "yacs>=0.1.8",
        "tensorboard>=2.16",
        "pillow>=10.0",
        "tqdm>=4.66",  # progress bars: terminal handling is not ours to write
        "tabulate>=0.9",  # aligned tables in logs, and the same rows as Markdown
        "matplotlib>=3.8",  # robustness curves: drawing charts is not ours to write
        "numba>=0.60",  # compiles the loop that counts ranks; the package works, slower, without it
    ],
    extras_require={
        "dev": [
            "pytest>=8,<10",
            "hypothesis>=6.100",  # draws the sizes and ties that nobody thinks of
            "torchattacks>=3.5",  # a second opinion on FGSM, BIM, MI-FGSM and PGD
            "ruff==0.17.6",  # pinned: a new linter version must not fail an old commit
            "mypy==2.4.1",
        ],
    },
)
