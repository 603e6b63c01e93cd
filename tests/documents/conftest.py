"""Says, when the examples are collected, which commands of the pages no test runs."""

from collections.abc import Sequence

import pytest
from documents.rules import NOT_RUN


def pytest_report_collectionfinish(items: Sequence[pytest.Item]) -> list[str]:
    if not any(item.path.stem == "test_examples" for item in items):
        return []
    return [f"examples not run: {rule.pattern.strip()}: {rule.because}" for rule in NOT_RUN]
