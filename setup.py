"""Package metadata: ``pip install .`` brings what running needs, ``.[dev]`` what tests need."""

import re
from pathlib import Path

from setuptools import find_namespace_packages, find_packages, setup

ROOT = Path(__file__).parent
# Read, not imported: importing reid would need torch before pip has installed it.
INIT = (ROOT / "reid" / "__init__.py").read_text(encoding="utf-8")
VERSION = re.search(r'^__version__ = "([^"]+)"$', INIT, re.MULTILINE).group(1)

# The folder configs/ is installed as reid/_configs/: a wheel has the configs, too.
CONFIGS = {
    "reid._configs": "configs",
    **{
        f"reid._configs.{name}": "configs/" + name.replace(".", "/")
        for name in find_namespace_packages(str(ROOT / "configs"))
    },
}

# The Pythons on which the site is built in the tests.
SITE = 'python_version >= "3.11" and python_version < "3.14"'

setup(
    # The import name is reid. On PyPI, the name reid belongs to another project.
    name="reid-lfm",
    version=VERSION,
    description="Person re-identification with Local Feature Masking: train, evaluate, attack",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="the reid authors",
    license_expression="Apache-2.0",  # "license" would write the older field, without SPDX
    license_files=["LICENSE"],
    keywords=[
        "person re-identification",
        "image retrieval",
        "metric learning",
        "re-ranking",
        "adversarial robustness",
        "regularization",
        "local feature masking",
        "pytorch",
    ],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Intended Audience :: Developers",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    packages=[*find_packages(include=["reid", "reid.*"]), *CONFIGS],
    package_dir=CONFIGS,
    package_data={
        "reid": ["py.typed"],
        "reid.report": ["templates/*"],
        **{package: ["*.yml", "*.json", "README.md"] for package in CONFIGS},
    },
    entry_points={"console_scripts": ["reid = reid.cli.main:main"]},
    # Each minimum is tested: scripts/oldest.txt pins them all.
    install_requires=[
        "torch>=2.6",
        "torchvision>=0.21",
        "numpy>=1.26",
        "scipy>=1.11.1",  # sparse encodings of the k-reciprocal re-ranking
        "scikit-learn>=1.4",  # the curve from scores to probabilities
        "yacs>=0.1.8",
        "tensorboard>=2.16.2",
        "pillow>=10.0",
        "tqdm>=4.66",  # progress bars: terminal handling is not ours to write
        "tabulate>=0.9",  # aligned tables in logs, and the same rows as Markdown
        "matplotlib>=3.8",  # robustness curves: drawing charts is not ours to write
        "jinja2>=3.1",  # the page of reid report; torch needs it, too
        "numba>=0.60",  # compiles the loop that counts ranks; the package works, slower, without it
    ],
    extras_require={
        "timm": ["timm>=1.0.20"],  # MODEL.BACKBONE.NAME timm:...
        "safetensors": ["safetensors>=0.4.5"],  # weights in .safetensors files; timm brings it, too
        "faiss": ["faiss-cpu>=1.9"],  # reid index build --approximate
        "qdrant": ["qdrant-client>=1.16"],  # reid index build qdrant:...
        # reid export --to onnx, 125 MB installed. torch's exporter needs onnxscript.
        "onnx": ["onnx>=1.19", "onnxruntime>=1.22", "onnxscript>=0.7"],
        "slurm": ["submitit>=1.5"],  # reid ablate --on slurm
        "docs": ["sphinx>=7.3,<7.4", "furo>=2025.7", "myst-nb>=1.3"],  # scripts/docs.sh
        "dev": [
            "timm>=1.0.20",
            "safetensors>=0.4.5",
            "submitit>=1.5",
            "faiss-cpu>=1.9",
            "qdrant-client>=1.16",
            # Not in the tests of the oldest packages, which run on Python 3.10.
            'onnx>=1.19; python_version >= "3.11"',
            'onnxruntime>=1.22; python_version >= "3.11"',
            'onnxscript>=0.7; python_version >= "3.11"',
            # The site of the documents. A newer Sphinx wants a newer requests than torchattacks,
            # and writes the ranges of arguments as if they were types; this one is older than
            # Python 3.14.
            f"sphinx>=7.3,<7.4; {SITE}",
            f"furo>=2025.7; {SITE}",
            f"myst-nb>=1.3; {SITE}",
            f"axe-playwright-python>=0.1.4; {SITE}",  # are its pages accessible
            "pytest>=8,<10",
            "pytest-xdist>=3.5",  # the suite on all cores
            "playwright>=1.49",  # opens the page of reid report, where there is a Chromium
            "jsonschema>=4.20",  # checks the schema of the configs
            "hypothesis>=6.100",  # draws the sizes and ties that nobody thinks of
            "torchattacks>=3.5",  # a second opinion on FGSM, BIM, MI-FGSM and PGD
            "pytorch-metric-learning>=2.5",  # a second opinion on losses on pairs and on classes
            "ruff==0.17.6",  # pinned: a new linter version must not fail an old commit
            "mypy==2.4.1",
            "nbclient>=0.10",  # runs the notebooks of docs/notebooks
            "nbformat>=5.10.2",
            "ipykernel>=6.29",
        ],
    },
)
