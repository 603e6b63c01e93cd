"""Starting weights, from files made here and never from the network."""

import pickle
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from reid.modeling import BACKBONES
from reid.modeling.backbones.pretrained import load_pretrained
from reid.utils.errors import InputError


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """A state dict as torchvision saves it, with its classifier."""
    return dict(torchvision.models.resnet18(weights=None).state_dict())


@pytest.fixture
def backbone() -> nn.Module:
    return BACKBONES["resnet18"]()


def holds(backbone: nn.Module, weights: dict[str, torch.Tensor]) -> bool:
    state = backbone.state_dict()
    return all(torch.equal(value, weights[key]) for key, value in state.items())


def test_none_changes_nothing(backbone: nn.Module) -> None:
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    load_pretrained(backbone, "resnet18", "none", "")
    assert holds(backbone, before)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "module.backbone."])
def test_path_loads_bare_wrapped_and_prefixed_files(
    tmp_path: Path,
    backbone: nn.Module,
    weights: dict[str, torch.Tensor],
    wrapper: str | None,
    prefix: str,
) -> None:
    state: dict[str, Any] = {prefix + key: value for key, value in weights.items()}
    state |= {"head.classifier.weight": torch.zeros(3, 512)} if "backbone" in prefix else {}
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / "w.pth")
    load_pretrained(backbone, "resnet18", "path", str(tmp_path / "w.pth"))
    assert holds(backbone, weights)


def test_files_from_before_batch_counters_load(
    tmp_path: Path, backbone: nn.Module, weights: dict[str, torch.Tensor]
) -> None:
    old = {k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "w.pth")
    load_pretrained(backbone, "resnet18", "path", str(tmp_path / "w.pth"))
    assert holds(backbone, weights)


def test_a_missing_file_is_named(tmp_path: Path, backbone: nn.Module) -> None:
    with pytest.raises(InputError, match=r"path names no file with weights: '.*nowhere\.pth'"):
        load_pretrained(backbone, "resnet18", "path", str(tmp_path / "nowhere.pth"))


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 half a zip"])
def test_an_unreadable_file_is_named(tmp_path: Path, backbone: nn.Module, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"^cannot read '.*w\.pth' as weights saved by .*\)$"):
        load_pretrained(backbone, "resnet18", "path", str(tmp_path / "w.pth"))


class Trap:
    """Unpickling it would create a file."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.victim,))


def test_code_in_a_file_is_not_run(tmp_path: Path, backbone: nn.Module) -> None:
    torch.save({"conv1.weight": Trap(tmp_path / "victim")}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="cannot read"):
        load_pretrained(backbone, "resnet18", "path", str(tmp_path / "w.pth"))
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 3}, {1: torch.ones(1)}, torch.ones(2)])
def test_a_file_without_a_state_dict_is_named(
    tmp_path: Path, backbone: nn.Module, content: object
) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"'.*w\.pth' holds no state dict"):
        load_pretrained(backbone, "resnet18", "path", str(tmp_path / "w.pth"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bn1.weight": None}, "it lacks 'bn1.weight'"),
        ({"extra.weight": torch.ones(1)}, "unexpected key 'extra.weight'"),
        ({"bn1.bias": torch.ones(3)}, r"'bn1.bias' is \(3,\) in the file and \(64,\) in the"),
    ],
)
def test_the_first_key_that_does_not_fit_is_named_and_nothing_is_loaded(
    tmp_path: Path,
    backbone: nn.Module,
    weights: dict[str, torch.Tensor],
    change: dict[str, torch.Tensor | None],
    message: str,
) -> None:
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    state = {key: value for key, value in {**weights, **change}.items() if value is not None}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"w\.pth' does not fit the backbone: " + message):
        load_pretrained(backbone, "resnet18", "path", str(tmp_path / "w.pth"))
    assert holds(backbone, before)


def test_an_unknown_choice_is_refused(backbone: nn.Module) -> None:
    with pytest.raises(InputError, match="did you mean 'imagenet'"):
        load_pretrained(backbone, "resnet18", "imagenett", "")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


@pytest.mark.parametrize(
    "error", [urllib.error.URLError("no route"), TimeoutError(), RuntimeError("invalid hash value")]
)
def test_without_network_the_error_tells_three_ways_out(
    hub: Path, monkeypatch: pytest.MonkeyPatch, backbone: nn.Module, error: Exception
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(InputError) as caught:
        load_pretrained(backbone, "resnet18", "imagenet", "")
    message = str(caught.value)
    assert f"put the file resnet18-f37072fd.pth into {hub};" in message
    assert message.startswith("choice is imagenet, but the weights of resnet18 cannot be fetched")
    assert (
        "or set it to path and name a file with weights; or set it to none to train from scratch"
        in message
    )


def test_the_download_is_asked_to_check_its_hash(
    hub: Path, monkeypatch: pytest.MonkeyPatch, backbone: nn.Module
) -> None:
    asked = []

    def fetch(url: str, file: str, hash_prefix: str | None, progress: bool) -> None:
        asked.append((url.rsplit("/", 1)[1], hash_prefix))
        raise urllib.error.URLError("stop here")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    with pytest.raises(InputError):
        load_pretrained(backbone, "resnet18", "imagenet", "")
    assert asked == [("resnet18-f37072fd.pth", "f37072fd")]


def test_code_in_a_fetched_file_is_not_run(
    hub: Path, monkeypatch: pytest.MonkeyPatch, backbone: nn.Module
) -> None:
    def fetch(url: str, file: str, hash_prefix: str | None, progress: bool) -> None:
        torch.save({"conv1.weight": Trap(hub / "victim")}, file)

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    with pytest.raises(pickle.UnpicklingError):
        load_pretrained(backbone, "resnet18", "imagenet", "")
    assert not (hub / "victim").exists()


def test_a_file_put_into_the_hub_cache_is_loaded(
    hub: Path, backbone: nn.Module, weights: dict[str, torch.Tensor]
) -> None:
    torch.save(weights, hub / "resnet18-f37072fd.pth")
    load_pretrained(backbone, "resnet18", "imagenet", "")
    assert holds(backbone, weights)


def test_a_backbone_unknown_to_torchvision_has_no_imagenet_weights(backbone: nn.Module) -> None:
    with pytest.raises(InputError, match="no ImageNet weights for backbone 'osnet'"):
        load_pretrained(backbone, "osnet", "imagenet", "")
