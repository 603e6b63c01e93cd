"""The average of the weights, recomputed by hand; what is evaluated is what the files hold."""

from pathlib import Path
from typing import Any

import pytest
import torch
from test_trainer import trainer
from torch import Tensor, nn

from reid.engine import checkpoint
from reid.engine.ema import averaged_model
from reid.engine.run_files import check_room
from reid.utils.errors import ArgumentError, InputError


def with_ema(folder: Path, decay: float = 0.8, **settings: Any) -> Any:
    run = trainer(folder, **settings)
    run.ema = averaged_model(run.model, decay)
    run.__post_init__()
    return run


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    assert left.keys() == right.keys()
    return all(torch.equal(left[name], right[name]) for name in left)


def test_three_updates_by_hand() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    averaged = averaged_model(model, 0.75)
    norm = averaged.module[1]
    for weight, mean, batches in ((8.0, 4.0, 1), (0.0, 0.0, 2), (4.0, 8.0, 3)):
        with torch.no_grad():
            model[0].weight.fill_(weight)
            model[1].running_mean.fill_(mean)
            model[1].num_batches_tracked.fill_(batches)
        averaged.update_parameters(model)
    # The first copies: 8; then 0.75 * 8 + 0.25 * 0 = 6; then 0.75 * 6 + 0.25 * 4 = 5.5.
    assert averaged.module[0].weight.item() == 5.5
    # 4; 3; 0.75 * 3 + 0.25 * 8 = 4.25
    assert norm.running_mean.item() == 4.25
    assert norm.num_batches_tracked.item() == 3
    assert not norm.training and not any(p.requires_grad for p in averaged.parameters())


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.5, float("nan")])
def test_a_decay_that_is_none_is_an_error(decay: float) -> None:
    with pytest.raises(ArgumentError, match="ema_decay must be more than 0 and less than 1"):
        averaged_model(nn.Linear(1, 1), decay)


@pytest.mark.parametrize("precision", [None, torch.bfloat16])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_it_follows_each_update_and_changes_no_training(
    tmp_path: Path, accumulate: int, precision: torch.dtype | None
) -> None:
    settings = {"accumulate": accumulate, "precision": precision}
    plain, run = trainer(tmp_path / "a", **settings), with_ema(tmp_path / "b", **settings)
    by_hand: dict[str, Tensor] = {}
    update = run.update

    def noted() -> Any:
        sign = update()
        now = {name: p.detach().double() for name, p in run.model.named_parameters()}
        for name, p in now.items():
            by_hand[name] = 0.8 * by_hand[name] + 0.2 * p if by_hand.keys() >= now.keys() else p
        return sign

    run.update = noted
    plain.fit()
    run.fit()
    assert int(run.ema.n_averaged) == 6 // accumulate  # 3 epochs of 2 batches
    assert same(weights(run.model), weights(plain.model))
    for name, p in run.ema.module.named_parameters():
        assert torch.allclose(p.double(), by_hand[name], atol=1e-6)
        assert not torch.equal(p, run.model.get_parameter(name))


def test_a_skipped_step_does_not_move_it(tmp_path: Path) -> None:
    run = with_ema(tmp_path, precision=torch.float16)
    batch = next(iter(run.loader))
    for overflows, count in ((False, 1), (True, 1), (False, 2)):
        run.optimizer.zero_grad()
        run.backward(batch)
        before = weights(run.model), weights(run.ema.module)
        if overflows:
            run.model.backbone.weight.grad.fill_(torch.inf)
        run.update()
        assert same(before[0], weights(run.model)) == overflows
        assert same(before[1], weights(run.ema.module)) == overflows
        assert int(run.ema.n_averaged) == count


def test_what_is_evaluated_is_the_model_of_the_files(tmp_path: Path) -> None:
    run = with_ema(tmp_path)
    seen, maps = [], iter([0.2, 0.6, 0.4])

    def evaluate() -> dict[str, float]:
        seen.append(weights(run.ema.module))
        return {"mAP": next(maps)}

    run.evaluate = evaluate
    run.fit()
    best, last = (checkpoint.load(tmp_path / name) for name in ("best.pth", "last.pth"))
    assert best["epoch"] == 2
    assert same(best["model"], seen[1])
    assert same(last["model"], seen[2])
    assert same(last["ema"]["trained"], weights(run.model))
    assert last["ema"]["updates"] == 6
    assert "ema" not in best
    assert not same(last["model"], last["ema"]["trained"])
    assert "ema" not in checkpoint_of_a_plain_run(tmp_path / "plain")


def checkpoint_of_a_plain_run(folder: Path) -> dict[str, Any]:
    trainer(folder, max_epochs=1).fit()
    return checkpoint.load(folder / "last.pth")


def test_a_run_may_go_on_with_or_without_it(tmp_path: Path) -> None:
    with_ema(tmp_path, max_epochs=1).fit()
    state = checkpoint.load(tmp_path / "last.pth")
    without = trainer(tmp_path)
    without.resume(tmp_path / "last.pth")
    assert same(weights(without.model), state["ema"]["trained"])
    checkpoint_of_a_plain_run(tmp_path / "plain")
    begins = with_ema(tmp_path / "plain")
    begins.resume(tmp_path / "plain/last.pth")
    assert same(weights(begins.model), weights(begins.ema.module))
    assert int(begins.ema.n_averaged) == 0


@pytest.mark.parametrize(
    "damaged",
    [
        5,
        {},
        {"trained": {}, "updates": "6"},
        {"trained": {"a": 1}, "updates": 6},
        {"trained": {}, "updates": -1},
        {"trained": {}, "updates": True},
    ],
)
def test_a_damaged_part_is_told(tmp_path: Path, damaged: object) -> None:
    with_ema(tmp_path, max_epochs=1).fit()
    state = {**checkpoint.load(tmp_path / "last.pth"), "ema": damaged}
    with pytest.raises(InputError, match=r"last\.pth is damaged: 'ema' must hold"):
        with_ema(tmp_path).resume(tmp_path / "last.pth", state)


def test_weights_of_another_network_are_told(tmp_path: Path) -> None:
    with_ema(tmp_path, max_epochs=1).fit()
    state = checkpoint.load(tmp_path / "last.pth")
    state["ema"]["trained"].popitem()
    with pytest.raises(InputError, match="does not fit: the checkpoint lacks classifier"):
        with_ema(tmp_path).resume(tmp_path / "last.pth", state)


def test_a_network_whose_regularizer_drew_can_be_averaged(tmp_path: Path) -> None:
    from reid.modeling.regularizers.dropout import Dropout

    model = nn.Sequential(nn.Linear(2, 2), Dropout(p=0.5))
    model[1].reseed(3)
    model[1](torch.ones(1, 2, 1, 1))
    averaged_model(model, 0.5).update_parameters(model)


def test_the_room_of_its_weights_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = nn.Linear(256, 256, bias=False)  # 256 KiB
    monkeypatch.setattr("reid.engine.run_files.free_disk", lambda folder: 11 * 256 * 1024)
    check_room(tmp_path, model, keep_last=1)  # 3 files of 3 times the weights, and the best
    with pytest.raises(InputError, match="need about"):
        check_room(tmp_path, model, 1, averaged=True)  # 3 files of 4 times the weights
