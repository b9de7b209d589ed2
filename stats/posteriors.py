"""Posteriors of an arm's mean: Beta for rates, Normal for means, Gamma for counts per visitor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
import scipy

from stats.checks import between
from stats.checks import finite
from stats.checks import not_negative
from stats.checks import positive

Array = NDArray[np.float64]


class Posterior(Protocol):
    """What every kind can do."""

    @property
    def mean(self) -> float:
        """The expected value."""

    @property
    def sd(self) -> float:
        """The standard deviation."""

    def cdf(self, x: float) -> float:
        """The probability of at most x."""

    def density(self, x: Array) -> Array:
        """The density at each x."""

    def credible_interval(self, mass: float = 0.95) -> tuple[float, float]:
        """The equal-tailed interval that holds this mass."""

    def draw(self, rng: np.random.Generator, size: int) -> Array:
        """This many independent draws."""


@dataclass(frozen=True)
class BetaPosterior:
    """A rate between 0 and 1; the default is the uniform prior Beta(1, 1).

    Counts need not be whole: effective counts of `stats.adaptive` are not.
    """

    alpha: float = 1.0
    beta: float = 1.0

    def __post_init__(self) -> None:
        positive(self.alpha, "alpha")
        positive(self.beta, "beta")

    def observe(self, successes: float, failures: float) -> BetaPosterior:
        """The posterior after these many more successes and failures."""
        not_negative(successes, "successes")
        not_negative(failures, "failures")
        return BetaPosterior(self.alpha + successes, self.beta + failures)

    @property
    def mean(self) -> float:
        """alpha / (alpha + beta)."""
        return self.alpha / (self.alpha + self.beta)

    @property
    def sd(self) -> float:
        """The standard deviation."""
        total = self.alpha + self.beta
        return math.sqrt((self.alpha / total) * (self.beta / total) / (total + 1))

    @property
    def log_mean(self) -> float:
        """The expected logarithm of the rate."""
        return float(scipy.special.psi(self.alpha) - scipy.special.psi(self.alpha + self.beta))

    @property
    def log_sd(self) -> float:
        """The standard deviation of the logarithm of the rate (ζ(2, z) is the trigamma function)."""
        return math.sqrt(scipy.special.zeta(2, self.alpha) - scipy.special.zeta(2, self.alpha + self.beta))

    def cdf(self, x: float) -> float:
        """The probability of a rate of at most x."""
        return float(scipy.special.betainc(self.alpha, self.beta, min(max(x, 0.0), 1.0)))

    def density(self, x: Array) -> Array:
        """The density at rates strictly between 0 and 1; 0 elsewhere."""
        inside = (x > 0) & (x < 1)
        rate = np.where(inside, x, 0.5)
        log_odds_density = beta_log_density(self.alpha, self.beta, scipy.special.logit(rate))
        log_density = log_odds_density - np.log(rate) - np.log1p(-rate)
        return np.where(inside, np.exp(log_density), 0.0)

    def credible_interval(self, mass: float = 0.95) -> tuple[float, float]:
        """The equal-tailed interval that holds this mass."""
        tail = (1 - between(mass, "mass", low=0, high=1)) / 2
        low = scipy.special.betaincinv(self.alpha, self.beta, tail)
        high = scipy.special.betainccinv(self.alpha, self.beta, tail)
        return float(low), float(high)

    def draw(self, rng: np.random.Generator, size: int) -> Array:
        """Independent draws of the rate."""
        return rng.beta(self.alpha, self.beta, size)


@dataclass(frozen=True)
class NormalPosterior:
    """A mean with a normal error. An sd of 0 is refused: no finite number of visitors makes a mean certain."""

    mean: float
    sd: float

    def __post_init__(self) -> None:
        finite(self.mean, "mean")
        positive(self.sd, "sd")

    def observe(self, estimate: float, standard_error: float) -> NormalPosterior:
        """The posterior after one more independent estimate: means weighted by precision."""
        finite(estimate, "estimate")
        positive(standard_error, "standard_error")
        trust = self.sd**2 / (self.sd**2 + standard_error**2)
        return NormalPosterior(self.mean + trust * (estimate - self.mean), standard_error * math.sqrt(trust))

    def cdf(self, x: float) -> float:
        """The probability of a mean of at most x."""
        return float(scipy.special.ndtr((x - self.mean) / self.sd))

    def density(self, x: Array) -> Array:
        """The density at each x."""
        density: Array = np.exp(-0.5 * ((x - self.mean) / self.sd) ** 2) / (self.sd * math.sqrt(2 * math.pi))
        return density

    def credible_interval(self, mass: float = 0.95) -> tuple[float, float]:
        """The equal-tailed interval that holds this mass."""
        tail = (1 - between(mass, "mass", low=0, high=1)) / 2
        half_width = -float(scipy.special.ndtri(tail)) * self.sd
        return self.mean - half_width, self.mean + half_width

    def draw(self, rng: np.random.Generator, size: int) -> Array:
        """Independent draws of the mean."""
        return rng.normal(self.mean, self.sd, size)


@dataclass(frozen=True)
class GammaPosterior:
    """A positive rate of events per visitor."""

    shape: float
    rate: float

    def __post_init__(self) -> None:
        positive(self.shape, "shape")
        positive(self.rate, "rate")

    def observe(self, events: float, visitors: float) -> GammaPosterior:
        """The posterior after these many more events from these many more visitors (Poisson counts)."""
        not_negative(events, "events")
        not_negative(visitors, "visitors")
        return GammaPosterior(self.shape + events, self.rate + visitors)

    @property
    def mean(self) -> float:
        """shape / rate."""
        return self.shape / self.rate

    @property
    def sd(self) -> float:
        """The standard deviation."""
        return math.sqrt(self.shape) / self.rate

    def cdf(self, x: float) -> float:
        """The probability of a rate of at most x."""
        return float(scipy.special.gammainc(self.shape, self.rate * max(x, 0.0)))

    def density(self, x: Array) -> Array:
        """The density at positive rates; 0 elsewhere."""
        inside = x > 0
        rate = np.where(inside, x, 1.0)
        log_density = gamma_log_density(self.shape, self.rate, np.log(rate)) - np.log(rate)
        return np.where(inside, np.exp(log_density), 0.0)

    def credible_interval(self, mass: float = 0.95) -> tuple[float, float]:
        """The equal-tailed interval that holds this mass."""
        tail = (1 - between(mass, "mass", low=0, high=1)) / 2
        low = scipy.special.gammaincinv(self.shape, tail)
        high = scipy.special.gammainccinv(self.shape, tail)
        return float(low) / self.rate, float(high) / self.rate

    def draw(self, rng: np.random.Generator, size: int) -> Array:
        """Independent draws of the rate."""
        return rng.gamma(self.shape, 1 / self.rate, size)


def beta_log_density(alpha: float, beta: float, t: Array) -> Array:
    """Log density of t = logit x for a Beta rate x, to 1e-10 at counts of 1e9.

    The distance from the mode in deviance form and Stirling's error instead of three large log gammas
    (Loader 2000, "Fast and accurate computation of binomial probabilities").
    """
    total = alpha + beta
    rarer = min(alpha, beta)
    distance = t - (math.log(alpha) - math.log(beta))
    distance = distance if alpha <= beta else -distance
    share = rarer / total
    growth = np.where(
        distance < 30,
        np.log1p(share * np.expm1(np.minimum(distance, 30))),
        np.logaddexp(math.log1p(-share), math.log(share) + distance),
    )
    peak = 0.5 * math.log(alpha * (beta / total) / (2 * math.pi))
    peak += stirling_error(total) - stirling_error(alpha) - stirling_error(beta)
    log_density: Array = peak + rarer * distance - total * growth
    return log_density


def gamma_log_density(shape: float, rate: float, t: Array) -> Array:
    """Log density of t = log x for a Gamma rate x, in the same form."""
    distance = np.minimum(t - (math.log(shape) - math.log(rate)), 700)
    peak = 0.5 * math.log(shape / (2 * math.pi)) - stirling_error(shape)
    log_density: Array = peak + shape * (distance - np.expm1(distance))
    return log_density


def stirling_error(z: float) -> float:
    """log Γ(z) less Stirling's (z - ½) log z - z + ½ log 2π (Abramowitz and Stegun 1964, 6.1.40)."""
    if z < 16:
        return math.lgamma(z) - (z - 0.5) * math.log(z) + z - 0.5 * math.log(2 * math.pi)
    square = z * z
    return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / (1188 * square)) / square) / square) / square) / z
