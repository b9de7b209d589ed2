"""Evidence from several processes at once."""

import math

import numpy as np
from numpy.typing import ArrayLike


def mean_evidence(log_evidences: ArrayLike) -> float:
    """The logarithm of the mean of evidence; 0 of none.

    The mean of e-processes against one hypothesis is an e-process, whatever their dependence (Vovk and Wang 2021,
    https://doi.org/10.1214/20-AOS2020); the larger of two is not.
    """
    logs = np.asarray(log_evidences, dtype=np.float64)
    return float(np.logaddexp.reduce(logs)) - math.log(len(logs)) if len(logs) else 0.0
