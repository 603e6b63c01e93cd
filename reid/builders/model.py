"""Network, losses, and the embedding that is evaluated."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from reid.builders.common import INIT, build_device, make
from reid.config import config_errors, part_settings, regularizer_of_stage
from reid.evaluation.features import Embedding
from reid.losses import LOSSES, Criterion
from reid.modeling import BACKBONES, HEADS, POOLINGS, PROVIDERS, REGULARIZERS, ReIDModel
from reid.modeling.backbones.pretrained import load_pretrained
from reid.robustness.adversarial_training import AdversarialTraining
from reid.utils import distributed
from reid.utils.environment import choose_precision
from reid.utils.seeding import derive_seed, fixed_torch_rng

# Arguments of the model that come from keys.
_MODEL_KEYS = {
    "pixel_mean": "INPUT.PIXEL_MEAN",
    "pixel_std": "INPUT.PIXEL_STD",
    "regularizers": "MODEL.REGULARIZER.STAGES",
}


def build_model(cfg: CfgNode, num_classes: int, pretrained: bool) -> ReIDModel:
    """Builds the model on its device.

    Args:
        cfg: The config.
        num_classes: Number of train identities.
        pretrained: Whether to load the weights of MODEL.PRETRAIN_CHOICE; False where a checkpoint
            follows.
    """
    m = cfg.MODEL
    with fixed_torch_rng(derive_seed(cfg.SEED, INIT)):
        backbone = build_backbone(cfg)
        if pretrained:
            name = m.BACKBONE.NAME.rpartition(":")[2]
            source = (name, m.PRETRAIN_CHOICE, m.PRETRAIN_PATH)
            of_file = "MODEL.PRETRAIN_PATH" if m.PRETRAIN_CHOICE == "path" else ""
            with config_errors(of_file, lambda argument: f"MODEL.PRETRAIN_{argument.upper()}"):
                distributed.main_first(lambda: load_pretrained(backbone, *source))
        facts = {"feat_dim": backbone.feat_dim, "num_classes": num_classes}
        head = make(HEADS, m.HEAD.NAME, cfg, **facts)
        regularizers = {
            stage: make(REGULARIZERS, name, cfg)
            for stage, name in regularizer_of_stage(cfg).items()
        }
        pooling = make(POOLINGS, m.POOLING.NAME, cfg)
        pixels = (cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD)
        with config_errors("MODEL", _MODEL_KEYS.__getitem__):
            model = ReIDModel(backbone, head, regularizers, *pixels, pooling)
        if pretrained:
            _try_regularizers(cfg, model)
    device = build_device(cfg)
    return model.to(device).to(memory_format=torch.channels_last)


def build_backbone(cfg: CfgNode) -> Any:
    """Builds the network of MODEL.BACKBONE.NAME, ours or a provider's, with random weights."""
    provider, colon, model = cfg.MODEL.BACKBONE.NAME.partition(":")
    if not colon:
        return make(BACKBONES, provider, cfg)
    keys = {"model": "MODEL.BACKBONE.NAME", "size": "INPUT.SIZE_TRAIN"}
    size = tuple(cfg.INPUT.SIZE_TRAIN)
    backbone = make(PROVIDERS, provider, cfg, fact_keys=keys, model=model, size=size)
    for key, other in (("INPUT.SIZE_TEST", cfg.INPUT.SIZE_TEST), ("ATTACK.SIZE", cfg.ATTACK.SIZE)):
        if any(other) and tuple(other) != size and hasattr(backbone, "check_size"):
            with config_errors("", {"size": key}.__getitem__):
                backbone.check_size(tuple(other))
    return backbone


def pixel_remark(cfg: CfgNode, model: ReIDModel) -> str:
    """Says that pretrained weights expect other pixels than INPUT.PIXEL_MEAN and STD; else "".

    Args:
        cfg: The config.
        model: Its model.
    """
    traits = getattr(model.backbone, "traits", None)
    pixels = (tuple(cfg.INPUT.PIXEL_MEAN), tuple(cfg.INPUT.PIXEL_STD))
    if cfg.MODEL.PRETRAIN_CHOICE == "none" or traits is None or traits.pixels in (None, pixels):
        return ""
    mean, std = (", ".join(map(str, values)) for values in traits.pixels)
    return (
        f"INPUT.PIXEL_MEAN and INPUT.PIXEL_STD are not those that {traits.name} was trained with:"
        f" [{mean}] and [{std}]"
    )


class _Keyed(nn.Module):
    """A regularizer whose errors name its keys."""

    def __init__(self, name: str, regularizer: nn.Module) -> None:
        super().__init__()
        self.section = f"MODEL.REGULARIZER.{name.upper()}"
        self.regularizer = regularizer

    def forward(self, x: Tensor) -> Tensor:
        with config_errors(self.section):
            return cast(Tensor, self.regularizer(x))


def _try_regularizers(cfg: CfgNode, model: ReIDModel) -> None:
    """Shows each regularizer the map of one black image, so that it refuses now what it must.

    Only the map says whether it has enough channels. Running statistics and torch's generator stay
    as they are; the trainer seeds the regularizers afterwards.
    """
    regularizers = dict(model.regularizers.items())
    if not regularizers:
        return
    names = regularizer_of_stage(cfg)
    keyed = {stage: _Keyed(names[stage], module) for stage, module in regularizers.items()}
    image = torch.zeros(1, 3, *cfg.INPUT.SIZE_TRAIN)
    unseen = nn.Identity()
    with torch.no_grad():
        image = keyed.get("input", unseen)(image)
        model.backbone.eval()
        model.backbone(image, {k: m for k, m in keyed.items() if k not in ("input", "pool")})
        model.backbone.train()
        keyed.get("pool", unseen)(torch.zeros(1, cast(Any, model.backbone).feat_dim, 1, 1))


def build_criterion(cfg: CfgNode, num_classes: int, feat_dim: int) -> Criterion:
    """Builds the weighted sum of LOSS.NAMES.

    Args:
        cfg: The config.
        num_classes: Number of train identities.
        feat_dim: Length of the features that the head returns, ``model.feat_dim``.
    """
    facts: dict[str, Any] = {"num_classes": num_classes, "feat_dim": feat_dim}
    with fixed_torch_rng(derive_seed(cfg.SEED, INIT, 1)):
        losses = {name: make(LOSSES, name, cfg, **facts) for name in cfg.LOSS.NAMES}
    keys = {"losses": "NAMES", "weights": "WEIGHTS", "neck_feat": "NECK_FEAT"}
    with config_errors("LOSS", lambda name: f"LOSS.{keys[name]}"):
        criterion = Criterion(losses, cfg.LOSS.WEIGHTS, cfg.LOSS.NECK_FEAT)
    return criterion.to(build_device(cfg))


def build_embedding(cfg: CfgNode, model: nn.Module) -> Embedding:
    """Builds what retrieval compares, as TEST.* says.

    Args:
        cfg: The config.
        model: The trained model.
    """
    t = cfg.TEST
    precision = choose_precision(t.PRECISION, build_device(cfg))
    return Embedding(model, t.NECK_FEAT, t.FEAT_NORM, t.FLIP, precision)


def build_perturb(cfg: CfgNode, model: nn.Module) -> Callable[[Tensor, int], Tensor] | None:
    """Builds adversarial training, or None where SOLVER.ADVERSARIAL.ENABLED is False.

    What it attacks is the unit-length ``feat_bn`` in the precision of training, of ``model`` itself
    and not of what averages gradients over processes.

    Args:
        cfg: The config.
        model: The model itself, and not the wrapper that averages gradients over processes.
            What is attacked is its ``feat_bn``, (B, D) of unit length, in the precision of
            training.
    """
    a = cfg.SOLVER.ADVERSARIAL
    if not a.ENABLED:
        return None
    precision = choose_precision(cfg.SOLVER.PRECISION, build_device(cfg))
    adversary = AdversarialTraining(**part_settings(a, AdversarialTraining))
    return partial(adversary, Embedding(model, dtype=precision))
