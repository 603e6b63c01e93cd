"""Signs that features do not tell images apart."""

import torch
from torch import Tensor

ALIKE = 0.01  # a smaller spread than this is warned of
_SAMPLE = 1000  # rows of a split that are looked at
_MOST = 0.5  # share of equal rows that is warned of


def spread(feats: Tensor) -> Tensor:
    """Returns how far features are from their mean, as a share of their length, in [0, 1].

    It is the root of the sum of the squared distances from the mean divided by the sum of the
    squared lengths. It is 0 where all features are equal, which includes zero, and near 1 where
    their mean is near 0; one feature alone has 1.

    Args:
        feats: (N, D) of any floating point dtype.

    Returns:
        () float32 on the device of ``feats``, without gradient.
    """
    feats = feats.detach().float()
    if len(feats) < 2:
        return torch.ones((), device=feats.device)
    length = torch.linalg.vector_norm(feats)
    return torch.linalg.vector_norm(feats - feats.mean(0)) / length.clamp(min=1e-30)


def collapse_warning(query: Tensor, gallery: Tensor) -> str:
    """Says why a ranking by these features means little; "" if nothing is wrong.

    Equal distances rank by the order of the gallery, so equal features give numbers that look like
    those of a result. At most 1000 rows of each side, evenly apart, are looked at.

    Args:
        query: (Q, D) features of the queries, finite.
        gallery: (G, D) features of the gallery, finite.

    Returns:
        One line without a period, or "".
    """
    parts = {"query": _some(query), "gallery": _some(gallery)}
    together = torch.cat(list(parts.values()))
    apart = float(spread(together))
    if apart < ALIKE:
        return (
            f"all features are alike: they are {apart:.2%} of their length away from their mean;"
            " the model hardly tells people apart, and the ranking means little"
        )
    for name, rows in parts.items():
        equal = 1 - len(torch.unique(rows, dim=0)) / max(len(rows), 1)
        if equal > _MOST:
            return (
                f"{equal:.0%} of the {name} features are copies of another one: between equal"
                " distances the order of the gallery decides, and the ranking means little"
            )
    return ""


def _some(feats: Tensor) -> Tensor:
    rows = torch.linspace(0, len(feats) - 1, min(len(feats), _SAMPLE)).round().long()
    return feats.detach()[rows.to(feats.device)].float()
