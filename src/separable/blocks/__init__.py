"""nn.Modules with one idea each; every docstring names the figure it draws."""

from separable.blocks.conv import ConvBN
from separable.blocks.deeplab import AtrousPyramid, DeepLabDecoder
from separable.blocks.dense_head import ConvHead, DenseHead
from separable.blocks.dense_pool import DenseMaxPool
from separable.blocks.dropout import KeyedDropout, set_dropout_keys
from separable.blocks.factorised import ExpandedConv, FactorisedConv
from separable.blocks.fire import Fire
from separable.blocks.grid_reduction import GridReduction
from separable.blocks.head import ClassifierHead, Head
from separable.blocks.inception import InceptionA, InceptionAux, InceptionB, InceptionC, InceptionD, InceptionE
from separable.blocks.inception_bn import BNInception, SeparableStem
from separable.blocks.inception_resnet import (
    InceptionResNetA,
    InceptionResNetB,
    InceptionResNetC,
    InceptionResNetEntry,
    InceptionResNetReduction,
    ScaledResidual,
)
from separable.blocks.inception_steps import ExtremeInception, InceptionUnits, RegroupedInception, SimplifiedInception
from separable.blocks.inception_v1 import GoogLeNetAux, LocalResponseNorm, ReducedInception
from separable.blocks.inception_v4 import (
    InceptionV4A,
    InceptionV4B,
    InceptionV4C,
    InceptionV4Reduction,
    InceptionV4Stem1,
    InceptionV4Stem2,
    InceptionV4Stem3,
    ReductionA,
)
from separable.blocks.mobilenet import DepthwiseBN, MobileNetUnit
from separable.blocks.naive_inception import NaiveInception
from separable.blocks.pixel_head import PixelHead
from separable.blocks.pool import AveragePool, MaxPool
from separable.blocks.residual import Bottleneck
from separable.blocks.segments import SegmentedConv2d
from separable.blocks.separable import SeparableConv2d
from separable.blocks.spectrum import SpectrumConv2d
from separable.blocks.step_conversion import regroup, to_extreme
from separable.blocks.unet import UNetUp, XceptionUp
from separable.blocks.upsample import Upsample
from separable.blocks.xception import XceptionDown, XceptionMiddle, XceptionStem, XceptionTail
from separable.blocks.xception_aligned import AlignedXceptionModule, AlignedXceptionTail

__all__ = [
    "AlignedXceptionModule",
    "AlignedXceptionTail",
    "AtrousPyramid",
    "AveragePool",
    "BNInception",
    "Bottleneck",
    "ClassifierHead",
    "ConvBN",
    "ConvHead",
    "DeepLabDecoder",
    "DenseHead",
    "DenseMaxPool",
    "DepthwiseBN",
    "ExpandedConv",
    "ExtremeInception",
    "FactorisedConv",
    "Fire",
    "GoogLeNetAux",
    "GridReduction",
    "Head",
    "InceptionA",
    "InceptionAux",
    "InceptionB",
    "InceptionC",
    "InceptionD",
    "InceptionE",
    "InceptionResNetA",
    "InceptionResNetB",
    "InceptionResNetC",
    "InceptionResNetEntry",
    "InceptionResNetReduction",
    "InceptionUnits",
    "InceptionV4A",
    "InceptionV4B",
    "InceptionV4C",
    "InceptionV4Reduction",
    "InceptionV4Stem1",
    "InceptionV4Stem2",
    "InceptionV4Stem3",
    "KeyedDropout",
    "LocalResponseNorm",
    "MaxPool",
    "MobileNetUnit",
    "NaiveInception",
    "PixelHead",
    "ReducedInception",
    "ReductionA",
    "RegroupedInception",
    "ScaledResidual",
    "SegmentedConv2d",
    "SeparableConv2d",
    "SeparableStem",
    "SimplifiedInception",
    "SpectrumConv2d",
    "UNetUp",
    "Upsample",
    "XceptionDown",
    "XceptionMiddle",
    "XceptionStem",
    "XceptionTail",
    "XceptionUp",
    "regroup",
    "set_dropout_keys",
    "to_extreme",
]
