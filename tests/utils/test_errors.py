"""Errors of a loader's worker arrive as what they were."""

import pytest
from torch._utils import ExceptionWrapper

from reid.data.layout import FoldersNotFoundError
from reid.utils.errors import ArgumentError, InputError


def from_worker(error: Exception) -> ExceptionWrapper:
    """What a worker puts into its queue."""
    try:
        raise error
    except type(error):
        return ExceptionWrapper(where="in DataLoader worker process 0")


@pytest.mark.parametrize("kind", [InputError, FoldersNotFoundError])
def test_an_input_error_of_a_worker_is_one_line_of_its_class(kind: type[InputError]) -> None:
    with pytest.raises(kind) as caught:
        from_worker(kind("a.jpg: cannot be read")).reraise()
    assert str(caught.value) == "a.jpg: cannot be read"


def test_an_argument_error_of_a_worker_keeps_its_argument() -> None:
    with pytest.raises(ArgumentError) as caught:
        from_worker(ArgumentError("num_ids", "must be 1 to 3, got 4")).reraise()
    assert str(caught.value) == "num_ids must be 1 to 3, got 4"
    assert (caught.value.argument, caught.value.problem) == ("num_ids", "must be 1 to 3, got 4")
