"""Whether two models give the same features: a digest of weights and of how features are made."""

import hashlib
from collections.abc import Mapping

from torch import nn

_NO_FEATURE = ("head.classifier.",)  # what logits alone depend on
_COUNTERS = "num_batches_tracked"


def model_fingerprint(model: nn.Module, settings: Mapping[str, object]) -> str:
    """Returns 16 hexadecimal digits, the same for models whose features can be compared.

    The classifier is left out, and with it what differs between a checkpoint and one that was
    converted without it.

    Args:
        model: Network whose state dict is looked at; it may be on any device.
        settings: What features depend on besides: the size of images, which feature, its length.
    """
    digest = hashlib.sha256()
    for name, value in sorted(settings.items()):
        digest.update(f"{name}={value}\n".encode())
    for name, tensor in sorted(model.state_dict().items()):
        if name.startswith(_NO_FEATURE) or name.endswith(_COUNTERS):
            continue
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().float().numpy().tobytes())
    return digest.hexdigest()[:16]
