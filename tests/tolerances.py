"""Every tolerance of the test suite, each with its reason. None is ever loosened to make a test pass."""

KERAS_PARITY = 1e-4
"""Largest |ours - Keras| over the largest |Keras|, fp32, eval mode. Two correct fp32 implementations sum 36 layers in
different orders; measured 1e-6 to 7e-6. The known mutants exceed ten times this."""

REAL_WEIGHTS_PROBABILITY = 1e-4
"""Largest difference in probability from the float64 numpy run of the published MobileNet weights."""

SAME_FORMULA_FLOAT64 = 1e-12
"""Two float64 evaluations of one closed formula on a few hundred terms of size 1: rounding only."""

SPECIAL_FUNCTION = 1e-9
"""Incomplete beta function against SciPy with parameters up to 5e4: its log-gamma terms are 5e5 in size and known to
1e-16 of that, so the exponent is known to 1e-10. Measured 7e-11."""

BOOTSTRAP_QUANTILE = 0.004
"""Quantiles of two independent bootstraps of 10,000 resamples on 400 pictures: the mean difference moves in steps of
0.0025, and each quantile is uncertain by about half a step."""

TEMPERATURE = 1e-9
"""How much higher than SciPy's bounded minimum the loss at our temperature may lie; SciPy stops at 1e-9 in log T."""

REJECT_SHORTFALL = 0.09
"""Share of 300 simulated fits whose true accuracy misses the target, certified for 0.05: that plus three standard
errors of 0.0126. Measured 0.02 to 0.05."""

OPTIMISER_FP64 = 1e-12
"""Largest difference of a weight from the numpy oracle after 12 updates in fp64; measured 1e-15."""

CONVOLUTION_FP32 = 2e-5
"""fp32 convolution of at most 25 taps (times 10 channels) of unit normals against float64 numpy: rounding of a sum of
250 terms; measured 2e-6."""

LOW_PRECISION_RATIO = 2.0
"""A kernel's largest distance from fp64, over plain torch's own in the same precision (or over half a unit in the last
place, where torch happens to be closer): ours sums in fp32 and rounds once; measured 0.3 to 1.3."""

LAYOUT_FP32 = 1e-5
"""The same fp32 network in channels_last and contiguous memory: other kernels, other summation orders; measured
1e-6."""

ACCUMULATED_GRADIENT = 1e-5
"""Largest difference between the gradient of a batch and the sum over its parts, over the largest gradient, fp32. The
same terms are summed in another order; measured 7e-8."""

BF16_LOSS = 0.05
"""Difference of the first loss (about 1.2) of a narrow Xception in bf16 autocast and fp32; measured 0.004."""

JPEG_DECODERS = 2
"""Largest difference in levels between simplejpeg and Pillow. Both are libjpeg-turbo with the accurate integer
transform, so equal builds give 0 (measured on every file here); another libjpeg may round differently, by 1 or 2."""

JPEG_QUALITY_95 = 4
"""Levels by which a flat colour moves through JPEG at quality 95: quantisation of the DC term and colour conversion."""

EVALUATION_BATCHING = 1e-5
"""Largest difference in probability between a picture evaluated in a batch and alone: other blocking of the same sums,
fp32, logits up to 2; measured 3e-6."""

RESIZE_LEVELS = 2
"""Largest difference in levels between torch's antialiased uint8 resize and Pillow's: the same weights in fixed
point of
another width, rounded after each of two passes. Measured 1 for bilinear; bicubic's negative lobes make 2 of it. A
resize without antialiasing exceeds ten times this on detailed pictures."""

DECODER_SCALING = 4
"""Levels between decoding a JPEG at 1/2 or 1/4, never nearer than three times the final size, and decoding it whole:
two low-pass filters that differ near their limit only, measured at most 3 on photographs."""

NORMALISE = 5e-7
"""(x / 255 - mean) / std with both constants folded and rounded to fp32, values below 3: two roundings of 2**-24
each."""

LOGISTIC_PROBABILITY = 2e-3
"""Probabilities of our fp32 L-BFGS fit against scikit-learn's fp64 one on fresh pictures: fp32 stops where the loss no
longer falls. Measured 1e-4 to 5e-4."""

WARP_LEVELS = 1.0
"""Levels between a rotation, zoom or shift in fp32, rounded to 8 bits, and float64 unrounded: half a level of rounding,
and source places that differ by 1e-5 pixels on edges of up to 255 levels a pixel."""

PHOTOMETRIC_LEVELS = 2
"""Levels between Pillow's colour operations and float64: Pillow cuts fractions off where the oracle keeps them (1), and
may round a grey value the other way, which a factor of up to 1.9 carries through (0.9)."""

UNFOLDED_FEATURES = 2e-5
"""Largest difference of the pooled features, over the largest, before and after batch norm got statistics of its own:
the same function with other roundings through 27 layers; measured 1.4e-6."""

FOLDED_WEIGHTS = 1e-4
"""Largest difference over the largest output after batch norm was folded, unfolded, or took in a bias: the same
function with other fp32 roundings through 27 layers; measured 1e-6 to 1e-5. Wrong algebra is off by 1e-1 and more."""

DILATED_FP64 = 1e-12
"""Largest difference over the largest value, in float64, between a strided network's map and the dilated one's at the
same places: the same sums in another order; measured 2e-15."""

REAL_WEIGHTS_EMBEDDING = 1e-4
"""Largest absolute difference of the pooled features, whose values reach 5.8, from the same run; measured 1e-5. The
weights reach 68 in a depthwise kernel, so fp32 rounding shows here more than behind the softmax."""

PORT_PARITY = 1e-4
"""Largest |ours - theirs| over the largest |theirs| against timm's and torchvision's own networks, fp32, eval mode: the
same sums in another order; measured 1e-7 to 2e-6. The known mutants exceed ten times this."""

EXPLANATION_FP64 = 1e-10
"""Largest difference of heat maps and attributions from captum's, over the largest value, fp64: the same sums in
another order, and weights that captum rounds to fp32 where they are powers of two; measured 1e-15 to 1e-13."""

ACCELERATED_FP32 = 1e-4
"""Outputs, gradients and running averages of an accelerated block or layer of at most three units in fp32, over the
largest value, against plain torch in fp64: rounding through three batch normalisations of 144 numbers each; measured
1e-6 to 2e-5. A wrong epsilon, momentum or border is off by 1e-3 and more."""

ACCELERATED_BF16_RATIO = 2.0
"""As `LOW_PRECISION_RATIO`, for a whole block under autocast."""

MOMENTS_FP32 = 5e-6
"""Mean over the spread, and variance relative: sums of distances from the first row, a few hundred in fp32 and
the rest in fp64; measured 2e-7 and 7e-7. Sums of squares without an origin are off by 1e-1 where the mean is 1,000
times the spread."""

CONTEST_GRADIENTS = 3e-3
"""Distance of all of a peer's fp32 gradients from fp64's over their length that the contest's gate allows however small
plain torch's own, on 4 pictures of 64 px: single ReLUs that rounding switches decide about it; measured 2e-6 to 9e-5 in
torch, 4e-6 in TensorFlow (one parameter by itself up to 8e-3). A kernel laid out wrongly, and another framework's
borders and epsilon, are off by 0.5 and more."""

CONTEST_LOSS = 1e-3
"""Relative difference of the loss of the same step from fp64's; measured 1e-7 to 1e-4."""

SEGMENTATION_LOSS_FP32 = 1e-5
"""Cross entropy, focal and Dice of 35 pixels with logits of size 3 in fp32 against fp64, or summed in another order:
rounding of sums of 35 terms of size up to 10; measured 1e-6."""

TILE_BLENDING = 1e-5
"""Blended logits of size 10 against the picture predicted whole, fp32, where a pixel's logits depend on that pixel
alone, or on less than a quarter of the overlap: weights that sum to 1 to a rounding, and sums of up to nine terms;
measured 2e-6."""

OUTLIER_VARIANCE = 5e-5
"""Variance of 1,674 pixels of 1000 +- 0.01 and one 0, relative: the fp32 squares of distances from about their mean;
stock batch norm is 4.7e-5 off, distances from the outlier 3e-4."""

MASK_LOGITS = 1e-4
"""How far the best class's logit has to lie above the second, of the largest logit, for the mask to have to show it:
fp32 logits of a batch or alone, and interpolated in another order than fp64 numpy's; measured 2e-6."""

NONCENTRAL_T = 1e-8
"""Tails of the noncentral t against SciPy's: Simpson's rule in 2,000 panels; measured 1e-11 to 2e-9, the larger where
SciPy itself sums a series."""

EFFECT_INTERVAL = 1e-9
"""Ends of intervals of differences below 1, and confidences, computed in another order in fp64: a few hundred roundings
times a t quantile of at most 13, and of a variance that cancels; measured 1e-14 to 1e-11."""

CROPS_BY_PILLOW = 2e-4
"""Largest difference in mean probability between crops by torch's resize and by Pillow's, which differ by up to two
levels of 255 (`RESIZE_LEVELS`) in some pixels. Measured 4e-5; leaving out one of three networks makes 5e-2."""

SMALLEST_DIFFERENCE = 1e-6
"""Chance of seeing the smallest difference, against 0.8: 40 halvings of an interval below 100; measured 1e-9."""

TORCHMETRICS = 1e-6
"""torchmetrics divides its integer counts in float32: half a unit in the last place of a share is 6e-8, and a mean
adds a few of them. Measured 4e-8."""
