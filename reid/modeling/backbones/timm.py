"""Every network of timm, PyTorch Image Models: an extra, ``pip install "reid-lfm[timm]"``."""

import importlib.util
import logging
import sys
from typing import Annotated, Any, Literal

from torch import Tensor, nn

from reid.modeling.backbones.maps import Size
from reid.modeling.backbones.registry import PROVIDERS
from reid.modeling.backbones.staged import StagedNetwork, Traits
from reid.modeling.backbones.torchvision import check_patches
from reid.utils.checks import DropRate, Range
from reid.utils.errors import ArgumentError, in_one_line, suggest

INSTALL = 'pip install "reid-lfm[timm]"'
LIST = "python -c 'import timm; print(timm.list_models())'"


@PROVIDERS.register("timm")
def build(
    model: str,
    size: Size,
    token: Literal["patch", "cls"] = "patch",
    drop_path: DropRate = 0.0,
    stride: Annotated[int, Range(0, 64)] = 0,
) -> nn.Module:
    """Builds a network of timm without its classifier, with random weights.

    Args:
        model: Name in timm, with or without the tag of its weights
            (``vit_small_patch14_dinov2.lvd142m``).
        size: (H, W) of the images; position embeddings are made for it.
        token: What goes to the pooling: ``patch``, the map of the patch tokens (of a CNN, its last
            map), or ``cls``, the class token alone.
        drop_path: Rate of stochastic depth in the last block; it rises evenly from 0 in the first.
        stride: Pixels from a patch of a ViT to the next; less than the patch makes them overlap, as
            in TransReID; 0 is the side of the patch.

    Raises:
        ArgumentError: timm is not installed, the name is unknown, or the network does not take
            images of this size, or has no stochastic depth or no patches.
    """
    if importlib.util.find_spec("timm") is None:
        raise ArgumentError(
            "model", f"is timm:{model}, but the package timm is not installed: {INSTALL}"
        )
    check_name(model)
    net = _create(model, size, {"drop_path_rate": drop_path} if drop_path else {})
    if stride:
        _overlap(net, model, size, stride)
    own, has_class_token = net.pretrained_cfg, getattr(net, "cls_token", None) is not None
    traits = Traits(
        name=f"timm:{model}",
        prefix=getattr(net, "num_prefix_tokens", int(has_class_token)),
        nhwc=str(getattr(net, "output_fmt", "")).endswith("NHWC"),
        class_token=has_class_token,
        named=tuple(info["module"] for info in getattr(net, "feature_info", None) or ()),
        classifier=_classifier(own),
        pixels=(tuple(own["mean"]), tuple(own["std"])),
    )
    return _Network(net, _features, size, traits, token)


def _overlap(net: Any, model: str, size: Size, stride: int) -> None:
    """Sets the distance of the patches of a ViT, and gives it a position for each of them.

    Source: He et al., "TransReID", ICCV 2021, arXiv:2102.04378, section 3.1.

    Args:
        net: The network; it is changed.
        model: Its name in timm.
        size: (H, W) of the images.
        stride: Pixels from a patch to the next.
    """
    from timm.layers.patch_embed import PatchEmbed

    embed = getattr(net, "patch_embed", None)
    positions = getattr(net, "pos_embed", None)
    if type(embed) is not PatchEmbed or positions is None:
        raise ArgumentError("stride", f"is set, but timm:{model} is no ViT with patches of its own")
    patch = embed.patch_size
    grid = tuple((side - p) // stride + 1 for side, p in zip(size, patch, strict=True))
    cells, prefix = grid[0] * grid[1], positions.shape[1] - embed.num_patches
    embed.proj.stride = (stride, stride)
    embed.grid_size, embed.num_patches = grid, cells
    net.pos_embed = nn.Parameter(positions.new_empty(1, prefix + cells, positions.shape[2]))
    nn.init.trunc_normal_(net.pos_embed, std=0.02)


def check_name(model: str) -> None:
    """Raises ArgumentError, with the nearest name, unless timm has this network and its tag."""
    import timm

    name, _, tag = model.partition(".")
    known = timm.list_models()
    if not timm.is_model(name):
        mend = suggest(f"timm:{name}", [f"timm:{word}" for word in known]) if name else ""
        raise ArgumentError(
            "model",
            f"has the unknown value 'timm:{model}'{mend or '.'} timm {timm.__version__} has"
            f" {len(known)} networks: {LIST}",
        )
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{name}.*")]
    if tag and tag not in tags:
        raise ArgumentError(
            "model",
            f"has the unknown value 'timm:{model}'{suggest(tag, tags) or '.'} Known tags of {name}:"
            f" {', '.join(tags) or 'none'}",
        )


def _create(model: str, size: Size, settings: dict[str, Any]) -> Any:
    """Builds the network for images of ``size``.

    An argument that the network does not know is left out. Networks without fixed sizes know none
    about sizes; a ViT with ``dynamic_img_size`` takes images of another size, too.

    Args:
        model: Name in timm.
        size: (H, W) of the images.
        settings: Arguments that the user set.
    """
    import timm

    wanted = {"img_size": tuple(size), "dynamic_img_size": True, "global_pool": "", **settings}
    net: Any = None
    while net is None:
        try:
            net = timm.create_model(model, pretrained=False, num_classes=0, **wanted)
        except (TypeError, AssertionError, ValueError, RuntimeError) as error:
            refused = _refused(wanted, error)
            if refused in settings:
                problem = f"is set, but timm:{model} has no such thing"
                raise ArgumentError(refused.removesuffix("_rate"), problem) from error
            if not refused:
                raise ArgumentError(
                    "size",
                    f"is {size}, and timm:{model} cannot be built for it ({in_one_line(error)})",
                ) from error
            del wanted[refused]
    patch = getattr(getattr(net, "patch_embed", None), "patch_size", None)
    if "img_size" in wanted and isinstance(patch, tuple):
        check_patches(f"timm:{model}", size, patch)
    return net


def _refused(wanted: dict[str, Any], error: Exception) -> str:
    """Returns the argument that a network does not take; "" if the error is about another thing.

    Args:
        wanted: Arguments that it was given.
        error: What it raised.
    """
    if isinstance(error, TypeError):
        return next((name for name in wanted if f"'{name}'" in str(error)), "")
    return "global_pool" if "global_pool" in wanted else ""  # some cannot be without their own


def _classifier(own: dict[str, Any]) -> tuple[str, ...]:
    """Returns the beginnings of the names of a network's classifier."""
    names = own.get("classifier") or ()
    names = (names,) if isinstance(names, str) else names
    return (*(f"{name}." for name in names), "attn_pool.")


def _features(net: Any, images: Tensor) -> Tensor:
    out: Tensor = net.forward_features(images)
    return out


class _Network(StagedNetwork):
    """A network of timm, whose weights it knows."""

    def imagenet(self) -> tuple[str, dict[str, Tensor]]:
        """Returns the weights that timm has for the network, and where they are from.

        timm fetches them once and keeps them in its cache.

        Raises:
            ArgumentError: There are none, or they cannot be fetched.
        """
        import timm

        name = self.traits.name.partition(":")[2]
        source = self.net.pretrained_cfg.get("hf_hub_id") or self.net.pretrained_cfg.get("url")  # type: ignore[union-attr, operator]
        if not source:
            raise ArgumentError(
                "choice",
                f"is imagenet, but timm has no weights for {name}; set it to path and name a file,"
                " or to none",
            )
        log = logging.getLogger("huggingface_hub")  # it writes a line for each of many attempts
        level = log.level
        log.setLevel(logging.ERROR)
        try:
            donor = timm.create_model(name, pretrained=True)
        # Libraries for transfer raise errors of many kinds, and timm RuntimeError.
        except Exception as error:
            raise ArgumentError(
                "choice",
                f"is imagenet, but the weights of timm:{name} cannot be fetched"
                f" ({in_one_line(error)}); three ways out: bring the files of {source}"
                " into the cache of huggingface_hub (HF_HOME); or set it to path and name a file"
                " with weights; or set it to none to train from scratch",
            ) from error
        finally:
            log.setLevel(level)
        return f"timm's weights {source}", donor.state_dict()

    def adapted(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns a file's weights under timm's names, with positions for the size of its images.

        The norm that some ViTs have behind the mean of all tokens works on each token here.
        """
        own = self.net.state_dict()
        # Each file of timm that knows weights of other projects has such a function.
        module = sys.modules[type(self.net).__module__]
        convert = getattr(module, "checkpoint_filter_fn", None) or getattr(
            module, "_filter_fn", None
        )
        if convert is not None and any(
            key not in state or state[key].shape != own[key].shape for key in own
        ):
            state = convert(dict(state), self.net)
        if "norm.weight" in own and "norm.weight" not in state:
            renamed = {key: key.removeprefix("fc_") for key in state if key.startswith("fc_norm.")}
            state = {renamed.get(key, key): value for key, value in state.items()}
        return state
