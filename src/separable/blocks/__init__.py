"""nn.Modules with one idea each; every docstring names the figure it draws."""

from separable.blocks.conv import ConvBN
from separable.blocks.dense_head import ConvHead, DenseHead
from separable.blocks.dropout import KeyedDropout, set_dropout_keys
from separable.blocks.fire import Fire
from separable.blocks.head import ClassifierHead
from separable.blocks.inception import InceptionA, InceptionAux, InceptionB, InceptionC, InceptionD, InceptionE
from separable.blocks.mobilenet import DepthwiseBN, MobileNetUnit
from separable.blocks.pool import AveragePool, MaxPool
from separable.blocks.residual import Bottleneck
from separable.blocks.separable import SeparableConv2d
from separable.blocks.xception import XceptionDown, XceptionMiddle, XceptionStem, XceptionTail

__all__ = [
    "AveragePool",
    "Bottleneck",
    "ClassifierHead",
    "ConvBN",
    "ConvHead",
    "DenseHead",
    "DepthwiseBN",
    "Fire",
    "InceptionA",
    "InceptionAux",
    "InceptionB",
    "InceptionC",
    "InceptionD",
    "InceptionE",
    "KeyedDropout",
    "MaxPool",
    "MobileNetUnit",
    "SeparableConv2d",
    "XceptionDown",
    "XceptionMiddle",
    "XceptionStem",
    "XceptionTail",
    "set_dropout_keys",
]
