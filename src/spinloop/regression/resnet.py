"""The residual network that turns an image into features.

Parameter names and order are torchvision's, so that its ImageNet weights and SPIN's checkpoint load strictly.

Source:
    He et al., Deep Residual Learning for Image Recognition; stride in the 3×3 convolution as in torchvision.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

# Blocks of each of the four layers.
_BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut."""

    expansion = 1

    def __init__(self, n_in: int, n_inner: int, stride: int):
        super().__init__()
        self.conv1 = _convolution(n_in, n_inner, 3, stride)
        self.bn1 = nn.BatchNorm2d(n_inner)
        self.conv2 = _convolution(n_inner, n_inner, 3)
        self.bn2 = nn.BatchNorm2d(n_inner)
        self.downsample = _shortcut(n_in, n_inner, stride)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H2 W2"]:
        """Features of the next block."""
        kept = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(x)) + kept)


class Bottleneck(nn.Module):
    """A 3×3 convolution between two 1×1, around a shortcut; four times as many channels leave it."""

    expansion = 4

    def __init__(self, n_in: int, n_inner: int, stride: int):
        super().__init__()
        n_out = n_inner * self.expansion
        self.conv1 = _convolution(n_in, n_inner, 1)
        self.bn1 = nn.BatchNorm2d(n_inner)
        self.conv2 = _convolution(n_inner, n_inner, 3, stride)
        self.bn2 = nn.BatchNorm2d(n_inner)
        self.conv3 = _convolution(n_inner, n_out, 1)
        self.bn3 = nn.BatchNorm2d(n_out)
        self.downsample = _shortcut(n_in, n_out, stride)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H2 W2"]:
        """Features of the next block."""
        kept = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return torch.relu(self.bn3(self.conv3(x)) + kept)


class ResNet(nn.Module):
    """Image → one feature vector; the mean over the last feature map, so any image size will do.

    Args:
        backbone: `resnet18`, `resnet34` or `resnet50`.
        width: channels after the first convolution; 64 is the published network.
        generator: source of the initial weights.
    """

    def __init__(self, backbone: str, width: int, generator: torch.Generator):
        super().__init__()
        block = Bottleneck if backbone == "resnet50" else BasicBlock
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        n_in = width
        layers = []
        for index, n_blocks in enumerate(_BLOCKS[backbone]):
            n_inner = width * 2**index
            blocks = []
            for first in [True] + [False] * (n_blocks - 1):
                blocks.append(block(n_in, n_inner, 2 if first and index > 0 else 1))
                n_in = n_inner * block.expansion
            layers.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.n_features = n_in
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                _initialize(module, generator)

    def features(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B F"]:
        """Feature vectors of normalized images."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean((2, 3))


def _convolution(n_in: int, n_out: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, size, stride, padding=size // 2, bias=False)


def _shortcut(n_in: int, n_out: int, stride: int) -> nn.Sequential | None:
    if n_in == n_out and stride == 1:
        return None
    return nn.Sequential(_convolution(n_in, n_out, 1, stride), nn.BatchNorm2d(n_out))


def _initialize(convolution: nn.Conv2d, generator: torch.Generator) -> None:
    """He's normal distribution for the channels that leave the layer."""
    height, width = convolution.kernel_size
    deviation = math.sqrt(2.0 / (height * width * convolution.out_channels))
    with torch.no_grad():
        convolution.weight.normal_(0.0, deviation, generator=generator)
