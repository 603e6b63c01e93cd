"""What TensorBoard is shown of the first batch."""

import torch

from reid.engine.pictures import first_batch_pictures
from reid.modeling import BACKBONES, HEADS, REGULARIZERS, LocalFeatureMasking, ReIDModel
from reid.utils.batch import Batch


def test_masks_are_drawn_where_a_stage_has_a_map_and_nothing_else_changes() -> None:
    names = {"input": "cutout", "conv1": "dropblock", "pool": "dropout"}
    parts = {stage: REGULARIZERS[name]() for stage, name in names.items()}
    head = HEADS["bnneck"](feat_dim=512, num_classes=2)
    model = ReIDModel(BACKBONES["resnet18"](), head, parts, (0.5,) * 3, (0.2,) * 3).train()
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    images = torch.randint(256, (4, 3, 32, 16), dtype=torch.uint8)
    batch = Batch(images, *torch.zeros(4, 4, dtype=torch.int64))
    found = dict(first_batch_pictures(model, [batch], torch.device("cpu")))
    assert set(found) == {"input", "masked share/input", "masked share/conv1"}
    # A square hides all channels of a pixel or none.
    assert set(found["masked share/input"].unique().tolist()) == {0.0, 1.0}
    assert dict(model.regularizers.items()) == parts
    assert all(module.training for module in model.modules())
    assert all(torch.equal(kept[key], value) for key, value in model.state_dict().items())


def test_a_regularizer_that_writes_into_its_map_is_shown_too() -> None:
    # Behind conv1 of a ResNet LFM works in place; every sample loses a rectangle in all channels.
    lfm = LocalFeatureMasking(p=1.0, num_channels=64)
    head = HEADS["bnneck"](feat_dim=512, num_classes=2)
    model = ReIDModel(BACKBONES["resnet18"](), head, {"conv1": lfm}, (0.5,) * 3, (0.2,) * 3)
    assert lfm.in_place
    images = torch.randint(256, (2, 3, 64, 32), dtype=torch.uint8)
    batch = Batch(images, *torch.zeros(4, 2, dtype=torch.int64))
    found = dict(first_batch_pictures(model, [batch], torch.device("cpu")))
    picture = found["masked share/conv1"]
    assert picture.shape == (3, 32, 16 + 2 + 16)  # two maps of 32 x 16
    levels = torch.cat([picture[0, :, :16].flatten(), picture[0, :, 18:].flatten()])
    # A rectangle covers 20.4 % of a channel on average, 64 channels in each of two samples.
    assert abs(float(levels.mean()) - 0.204) < 0.04 and float(levels.max()) < 1
