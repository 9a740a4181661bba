"""nn.Modules with one idea each; every docstring names the figure it draws."""

from separable.blocks.conv import ConvBN
from separable.blocks.dense_head import ConvHead, DenseHead
from separable.blocks.dropout import KeyedDropout, set_dropout_keys
from separable.blocks.factorised import ExpandedConv, FactorisedConv
from separable.blocks.fire import Fire
from separable.blocks.grid_reduction import GridReduction
from separable.blocks.head import ClassifierHead
from separable.blocks.inception import InceptionA, InceptionAux, InceptionB, InceptionC, InceptionD, InceptionE
from separable.blocks.inception_steps import ExtremeInception, InceptionUnits, RegroupedInception, SimplifiedInception
from separable.blocks.mobilenet import DepthwiseBN, MobileNetUnit
from separable.blocks.naive_inception import NaiveInception
from separable.blocks.pool import AveragePool, MaxPool
from separable.blocks.residual import Bottleneck
from separable.blocks.separable import SeparableConv2d
from separable.blocks.step_conversion import regroup, to_extreme
from separable.blocks.xception import XceptionDown, XceptionMiddle, XceptionStem, XceptionTail

__all__ = [
    "AveragePool",
    "Bottleneck",
    "ClassifierHead",
    "ConvBN",
    "ConvHead",
    "DenseHead",
    "DepthwiseBN",
    "ExpandedConv",
    "ExtremeInception",
    "FactorisedConv",
    "Fire",
    "GridReduction",
    "InceptionA",
    "InceptionAux",
    "InceptionB",
    "InceptionC",
    "InceptionD",
    "InceptionE",
    "InceptionUnits",
    "KeyedDropout",
    "MaxPool",
    "MobileNetUnit",
    "NaiveInception",
    "RegroupedInception",
    "SeparableConv2d",
    "SimplifiedInception",
    "XceptionDown",
    "XceptionMiddle",
    "XceptionStem",
    "XceptionTail",
    "regroup",
    "set_dropout_keys",
    "to_extreme",
]
