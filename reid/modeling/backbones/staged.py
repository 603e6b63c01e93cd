"""A network of another project as a backbone: its stages are found by running it once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from reid.modeling.backbones.maps import Layout, MapFunction, Size, find_layout
from reid.utils.errors import ArgumentError, in_one_line, suggest
from reid.utils.graphs import outside_graphs
from reid.utils.seeding import DeviceRNG

CONV1 = "conv1"
TOKENS = Literal["patch", "cls"]
Features = Callable[[Any, Tensor], Tensor]


@dataclass(frozen=True)
class Traits:
    """What is known of a network beforehand.

    Attributes:
        name: As a config says it, for messages.
        prefix: Number of tokens in front of the patch tokens.
        nhwc: Whether its maps are (B, h, w, C).
        class_token: Whether the first token is a class token.
        named: Module paths of its feature hierarchy; empty has them found.
        classifier: Beginnings of the names that a weight file has besides those of the features.
        pixels: Mean and std of the pixels that it was trained on; None if that is not known.
    """

    name: str
    prefix: int = 0
    nhwc: bool = False
    class_token: bool = False
    named: tuple[str, ...] = ()
    classifier: tuple[str, ...] = ()
    pixels: tuple[tuple[float, ...], tuple[float, ...]] | None = None


@dataclass
class _Call:
    """What the taps need to know of the forward pass that runs: not a part of the state."""

    after: Mapping[str, nn.Module] = field(default_factory=dict)
    size: Size = (0, 0)


class _Tap:
    """A forward hook that applies the module of a stage; a class, so that a model can be copied."""

    def __init__(self, call: _Call, stage: str, layout: Layout) -> None:
        self.call, self.stage, self.layout = call, stage, layout

    def __call__(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        if self.stage not in self.call.after:
            return output
        part = cast(MapFunction, self.call.after[self.stage])
        return self.layout.through(part, output, self.call.size)


class StagedNetwork(nn.Module):
    """Makes a backbone of a network; forward hooks put a module behind any of its modules.

    The network is run once on two black images, which tells its stages and its last map. A stage is
    a module that runs once in a forward pass and gives a feature map or tokens. ``stages`` names
    the first convolution, ``conv1``, and the feature hierarchy; the path of any other such module
    (``blocks.3.mlp``) is a stage, too. Parameters without influence on the last map are not
    trained.

    Dropout and stochastic depth of the network draw from ``rng``, and not from torch's global
    generator.

    Args:
        net: The network; its parameters and their names are below ``net``.
        features: Function (net, images) -> last output before pooling and classifier.
        size: (H, W) of the images.
        traits: What is known of it.
        token: ``patch``: the last map is that of the patch tokens; ``cls``: it is the class token,
            as a map of one cell.

    Raises:
        ArgumentError: The network does not take images of this size, its last output is no feature
            map, or it has no class token and ``token`` asks for it.
    """

    def __init__(
        self, net: nn.Module, features: Features, size: Size, traits: Traits, token: TOKENS
    ) -> None:
        super().__init__()
        self.net, self.traits, self.token = net, traits, token
        self._features, self._call = features, _Call()
        self._tapped: dict[str, nn.Module] = {}
        self.rng = DeviceRNG()
        if token == "cls" and not traits.class_token:
            raise ArgumentError(
                "token", f"is cls, but {traits.name} has no class token; set it to patch"
            )
        seen = self._run(size)
        for parameter in seen.unused:
            parameter.requires_grad_(False)
        self._layouts = {path: self._find(shape, size) for path, shape in seen.shapes.items()}
        self._counts = seen.counts
        self._last = self._find(seen.last, size)
        if self._last is None:
            raise ArgumentError(
                "model",
                f"is {traits.name.partition(':')[2]}, which gives no feature map: its last output"
                f" has the shape {seen.last or 'of no tensor'} for images of {size}",
            )
        last = seen.last
        self.feat_dim: int = last[1] if self._last.kind == "nchw" else last[-1]
        self._conv1 = seen.first_conv
        conv1 = self._layouts.get(self._conv1)
        usable = self._usable(traits.named) or self._usable(_trunk(net))
        self.stages: tuple[str, ...] = (*([CONV1] if conv1 else []), *usable)
        # A convolution does not need its output backward.
        self.fresh = (CONV1,) if conv1 and conv1.kind == "nchw" else ()
        self.classifier = traits.classifier
        self._random = any(map(_draws, net.modules()))

    def forward(self, images: Tensor, after: Mapping[str, nn.Module]) -> Tensor:
        """Maps normalized images to the last feature map, (B, feat_dim, h, w).

        Args:
            images: (B, 3, H, W) floating point, normalized.
            after: Modules by stage, applied to the output of their stage as a (B, C, h, w) map;
                keys that are no stage are not used.
        """
        for stage in after:
            if self._layouts.get(self._path(stage)):
                self._tap(stage)
        height, width = images.shape[2:]
        self._call.after, self._call.size = after, (height, width)
        state = _seeded(self.rng, images) if self._random and self.training else None
        try:
            out = self._features(self.net, images)
        finally:
            self._call.after = {}
            if state is not None:
                _restore(state, images.device)
        if self.token == "cls":
            return out[:, 0, :, None, None]
        assert self._last is not None
        return self._last.as_map(out, (height, width))

    def reseed(self, seed: int) -> None:
        """Starts the random numbers of its dropout anew; the trainer calls it each epoch."""
        self.rng.reseed(seed)

    def check_stage(self, stage: str) -> None:
        """Raises ArgumentError that lists the named stages unless a module can sit at ``stage``."""
        path = self._path(stage)
        if self._layouts.get(path):
            return
        others = "; the path of any module with one feature map is a stage, too"
        listed = f"Known: input, {', '.join(self.stages)}, pool{others}"
        known = path in dict(self.net.named_modules()) and path
        if not known:
            mend = suggest(stage, ["input", "pool", *self.stages]) or "."
            raise ArgumentError("regularizers", f"has the unknown value '{stage}'{mend} {listed}")
        count = self._counts.get(path, 0)
        why = "its output is no feature map" if count == 1 else f"it is called {count} times a pass"
        raise ArgumentError("regularizers", f"has '{stage}', which is no stage: {why}. {listed}")

    def check_size(self, size: Size) -> None:
        """Raises ArgumentError unless the network takes images of this (H, W)."""
        self._run(size)

    def _usable(self, paths: tuple[str, ...]) -> list[str]:
        return [path for path in paths if self._layouts.get(path) and path != self._conv1]

    def _path(self, stage: str) -> str:
        return self._conv1 if stage == CONV1 else stage

    def _find(self, shape: tuple[int, ...], size: Size) -> Layout | None:
        return find_layout(shape, size, self.traits.prefix, self.traits.nhwc)

    def _tap(self, stage: str) -> None:
        """Puts a hook behind the stage's module, once; it may have been replaced meanwhile."""
        module = self.net.get_submodule(self._path(stage))
        if self._tapped.get(stage) is module:
            return
        layout = self._layouts[self._path(stage)]
        assert layout is not None
        module.register_forward_hook(_Tap(self._call, stage, layout))
        self._tapped[stage] = module

    def _run(self, size: Size) -> "_Seen":
        """Runs two black images through the network."""
        was = self.net.training
        try:
            return _watch(self.net.eval(), self._features, size)
        except Exception as error:  # a network says in many ways that a size is not its own
            raise ArgumentError(
                "size",
                f"is {size}, and {self.traits.name} does not take images of this size"
                f" ({in_one_line(error)})",
            ) from error
        finally:
            self.net.train(was)


@dataclass
class _Seen:
    """What one forward pass showed."""

    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    first_conv: str = ""
    last: tuple[int, ...] = ()
    unused: list[nn.Parameter] = field(default_factory=list)


def _watch(net: nn.Module, features: Features, size: Size) -> _Seen:
    """Notes the output of each module that runs once, and parameters without influence."""
    seen = _Seen()

    def note(path: str, module: nn.Module, inputs: Any, output: Any) -> None:
        seen.counts[path] = seen.counts.get(path, 0) + 1
        seen.shapes[path] = tuple(output.shape) if isinstance(output, Tensor) else ()
        if isinstance(module, nn.Conv2d) and not seen.first_conv:
            seen.first_conv = path

    hooks = [
        module.register_forward_hook(partial(note, path))
        for path, module in net.named_modules()
        if path
    ]
    device = next(net.parameters()).device
    try:
        with torch.enable_grad():
            out: Any = features(net, torch.zeros(2, 3, *size, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(out, Tensor):
        return seen
    seen.last = tuple(out.shape)
    batched = {path: s for path, s in seen.shapes.items() if s[:1] == (2,)}
    seen.shapes = {path: shape for path, shape in batched.items() if seen.counts[path] == 1}
    trained = [p for p in net.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(out.float().sum(), trained, allow_unused=True)
    seen.unused = [p for p, g in zip(trained, gradients, strict=True) if g is None]
    return seen


def _trunk(net: nn.Module, share: float = 0.9) -> tuple[str, ...]:
    """Returns the paths of the parts that a network consists of.

    A part that holds nearly all parameters is replaced by its own parts.

    Args:
        net: The network.
        share: From which share of all parameters on a part is looked into.
    """
    total = sum(p.numel() for p in net.parameters() if p.requires_grad)
    paths = {name: child for name, child in net.named_children()}
    while True:
        sizes = {
            path: sum(p.numel() for p in child.parameters() if p.requires_grad)
            for path, child in paths.items()
        }
        large = [path for path, size in sizes.items() if size >= share * total]
        children = dict(paths[large[0]].named_children()) if large else {}
        if not children:
            return tuple(paths)
        inner = {f"{large[0]}.{name}": child for name, child in children.items()}
        paths = {
            path: child
            for outer, module in paths.items()
            for path, child in (inner if outer == large[0] else {outer: module}).items()
        }


def _draws(module: nn.Module) -> bool:
    """Says whether a module of torch, torchvision or timm draws random numbers in training."""
    rates = (getattr(module, name, 0) for name in ("p", "drop_prob", "prob"))
    kind = type(module).__name__
    return ("Drop" in kind or "Stochastic" in kind) and any(
        isinstance(r, float) and r > 0 for r in rates
    )


@outside_graphs
def _seeded(rng: DeviceRNG, images: Tensor) -> tuple[Tensor, Tensor | None] | None:
    """Seeds torch's global generators from an own one; returns the states to put back.

    Args:
        rng: The own generators; None is returned where they are not seeded.
        images: Tells the device.
    """
    generator = rng.on(torch.device("cpu"))
    if generator is None:
        return None
    on_cuda = images.device.type == "cuda"
    state = (torch.get_rng_state(), torch.cuda.get_rng_state(images.device) if on_cuda else None)
    seed = int(torch.randint(2**62, (), generator=generator))
    torch.default_generator.manual_seed(seed)
    if on_cuda:
        with torch.cuda.device(images.device):
            torch.cuda.manual_seed(seed)
    return state


@outside_graphs
def _restore(state: tuple[Tensor, Tensor | None], device: torch.device) -> None:
    """Puts the states of torch's global generators, from :func:`_seeded`, back."""
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
