"""The sums of an epoch, and which of them stopped being finite first, by hand."""

import io
import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed

from reid.engine.meter import DivergedError, Fault, Meter, Step
from reid.utils.errors import InputError

CPU = torch.device("cpu")
NAN, INF = math.nan, math.inf


def step(ce: float, triplet: float, spread: float = 0.5, right: int = 1) -> Step:
    losses = {"ce": torch.tensor(ce), "triplet": torch.tensor(triplet)}
    return Step(losses, {"feat_spread": torch.tensor(spread)}, torch.tensor(right), 4)


def filled(*steps: Step, accumulate: int = 1, gradients: tuple[float, ...] = ()) -> Meter:
    """A meter that has seen the steps, and after each ``accumulate`` of them a gradient."""
    meter, left = Meter(CPU, accumulate), list(gradients)
    for number, one in enumerate(steps, 1):
        meter.add(one)
        if left and (number % accumulate == 0 or number == len(steps)):
            meter.add_gradient(torch.tensor(left.pop(0)))
    return meter


def fault(meter: Meter) -> Fault | None:
    with pytest.raises(DivergedError) as caught:
        meter.read(7)
    return caught.value.fault


def test_a_reading_is_the_mean_over_the_steps() -> None:
    reading = filled(step(1, 2, 0.25, 1), step(2, 6, 0.75, 4), gradients=(3.0, 4.0)).read(1)
    assert reading == {
        "loss_ce": 1.5,
        "loss_triplet": 4.0,
        "accuracy": 5 / 8,
        "feat_spread": 0.5,
    }


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        # The reading comes after three more steps, and names the first.
        ([(1, 1), (1, NAN), (NAN, NAN), (NAN, NAN)], ("loss_triplet", "nan", 2, 2, 0)),
        # Of one step the part, not the sum that it spoils.
        ([(1, 1), (1, 1), (INF, INF)], ("loss_ce", "inf", 3, 3, 0)),
        # It was infinite once; what followed was finite.
        ([(-INF, 1), (1, 1)], ("loss_ce", "-inf", 1, 1, 0)),
        # Infinite both ways: the sum is no number, and step 1 the one that began it.
        ([(INF, 1), (-INF, 1)], ("loss_ce", "nan", 1, 1, 0)),
    ],
)
def test_the_first_value_that_is_not_finite_is_found(
    steps: list[tuple[float, float]], expected: tuple[object, ...]
) -> None:
    assert fault(filled(*(step(*losses) for losses in steps))) == Fault(*expected)  # type: ignore[arg-type]


def test_a_gradient_is_found_a_step_before_the_loss_that_it_spoils() -> None:
    meter = filled(step(1, 1), step(1, 1), step(NAN, NAN), gradients=(0.0, NAN, NAN))
    assert fault(meter) == Fault("the gradient", "nan", 2, 2, 0)


def test_a_gradient_names_all_batches_of_its_update() -> None:
    steps = [step(1, 1) for _ in range(5)]
    meter = filled(*steps, accumulate=2, gradients=(1.0, INF, 1.0))
    assert fault(meter) == Fault("the gradient", "inf", 3, 4, 0)
    with pytest.raises(DivergedError, match="inf in epoch 7, at steps 3 to 4: the training"):
        meter.read(7)
    short = filled(*steps, accumulate=2, gradients=(1.0, 1.0, NAN))  # the last has one batch
    assert fault(short) == Fault("the gradient", "nan", 5, 5, 0)


def test_of_one_update_the_loss_is_named_before_the_gradient() -> None:
    meter = filled(step(1, 1), step(1, NAN), accumulate=2, gradients=(NAN,))
    assert fault(meter) == Fault("loss_triplet", "nan", 2, 2, 0)


def test_a_statistic_that_is_not_finite_is_left_out_and_the_rest_is_plain_json() -> None:
    reading = filled(step(1, 2), step(1, 2, spread=NAN)).read(1)
    assert "feat_spread" not in reading
    assert json.loads(json.dumps(reading, allow_nan=False)) == reading


def test_statistics_that_come_and_go_are_refused() -> None:
    meter = filled(step(1, 2))
    with pytest.raises(InputError, match="reported the statistics none after feat_spread"):
        meter.add(step(1, 2)._replace(statistics={}))


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_meter_goes_on_from_its_state_with_the_same_bits(cut: int) -> None:
    steps = [step(0.1 * i, 0.3 / i, 0.7 / i, i) for i in range(1, 5)]

    def add(meter: Meter, part: list[Step]) -> Meter:
        for one in part:
            meter.add(one)
            meter.add_gradient(torch.tensor(0.1))
        return meter

    buffer = io.BytesIO()
    torch.save(add(Meter(CPU), steps[:cut]).state(), buffer)
    buffer.seek(0)
    again = Meter(CPU)
    again.restore(torch.load(buffer, weights_only=True))
    whole = add(Meter(CPU), steps)
    assert add(again, steps[cut:]).read(1) == whole.read(1)
    for meter in (again, whole):
        add(meter, [step(1, 1), step(NAN, 1)])
        assert fault(meter) == Fault("loss_ce", "nan", 6, 6, 0)


def one_of_two(rank: int, folder: str) -> None:
    """Process 0 goes wrong at step 3, process 1 at step 2."""
    store = distributed.FileStore(f"{folder}/store", 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    try:
        meter = filled(step(1, 1), step(1, NAN if rank else 1), step(1 if rank else INF, 1))
        try:
            meter.read(4)
        except DivergedError as error:
            found: Tensor = torch.tensor([error.fault.step, error.fault.rank])  # type: ignore[union-attr]
            torch.save({"message": str(error), "found": found}, f"{folder}/{rank}.pt")
    finally:
        distributed.destroy_process_group()


def test_all_processes_name_the_first_one_that_went_wrong(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(one_of_two, args=(str(tmp_path),), nprocs=2)
    for rank in (0, 1):
        process = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert process["found"].tolist() == [2, 1]
        assert process["message"].startswith(
            "loss_triplet became nan in epoch 4, at step 2 of process 1: the training diverged"
        )
