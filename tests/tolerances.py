"""Every tolerance of the test suite, each with its reason. None is ever loosened to make a test pass."""

KERAS_PARITY = 1e-4
"""Largest |ours - Keras| over the largest |Keras|, fp32, eval mode. Two correct fp32 implementations sum 36 layers in
different orders; measured 1e-6 to 2e-5. The known mutants exceed ten times this."""

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

LAYOUT_FP32 = 1e-5
"""The same fp32 network in channels_last and contiguous memory: other kernels, other summation orders; measured 1e-6."""

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
fp32, logits of about 10; measured 5e-7."""
