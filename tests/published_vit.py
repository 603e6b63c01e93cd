"""TransReID's ViTs from their public definition; see published.py."""

import torch
from published import IDS
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.qkv, self.proj, self.heads = nn.Linear(dim, dim * 3), nn.Linear(dim, dim), dim // 64

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, dim = x.shape
        parts = self.qkv(x).view(batch, tokens, 3, self.heads, 64).permute(2, 0, 3, 1, 4)
        weights = (parts[0] @ parts[1].transpose(2, 3) / 8).softmax(3)  # 8 is the root of 64
        return self.proj((weights @ parts[2]).transpose(1, 2).reshape(batch, tokens, dim))


class Mlp(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, dim * 4), nn.Linear(dim * 4, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Layer(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attn, self.mlp = Attention(dim), Mlp(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class TransReIDNet(nn.Module):
    def __init__(self, dim: int, size: tuple[int, int], stride: int, cameras: int) -> None:
        super().__init__()
        cells = ((size[0] - 16) // stride + 1) * ((size[1] - 16) // stride + 1)
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, dim, 16, stride)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + cells, dim))
        if cameras:
            self.sie_embed = nn.Parameter(torch.zeros(cameras, 1, dim))
        self.blocks = nn.ModuleList(Layer(dim) for _ in range(12))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.fc = nn.Linear(dim, 3)  # of ImageNet, and not used

    def tokens(self, x: Tensor, camera: int) -> Tensor:
        x = self.patch_embed.proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        return x + 3.0 * self.sie_embed[camera] if hasattr(self, "sie_embed") else x


class TransReID(nn.Module):
    """TransReID; with ``local`` its global branch, the first part of the feature it compares."""

    def __init__(
        self,
        dim: int = 192,
        size: tuple[int, int] = (64, 32),
        stride: int = 16,
        cameras: int = 0,
        local: bool = False,
    ) -> None:
        super().__init__()
        self.base = TransReIDNet(dim, size, stride, cameras)
        if local:
            self.b1 = nn.Sequential(Layer(dim), nn.LayerNorm(dim, eps=1e-6))
            self.b2 = nn.Sequential(Layer(dim), nn.LayerNorm(dim, eps=1e-6))
        for ending in ("", *("_1", "_2", "_3", "_4") * local):
            setattr(self, f"classifier{ending}", nn.Linear(dim, IDS, bias=False))
            setattr(self, f"bottleneck{ending}", nn.BatchNorm1d(dim))

    def forward(self, x: Tensor, camera: int = 0) -> Tensor:
        x = self.base.tokens(x, camera)
        if hasattr(self, "b1"):
            for block in self.base.blocks[:-1]:
                x = block(x)
            return self.b1(x)[:, 0]
        for block in self.base.blocks:
            x = block(x)
        return self.base.norm(x)[:, 0]
