import numpy as np
import pytest

from stats.hierarchy import Prior
from stats.hierarchy import Sites
from stats.hierarchy import believe

SEGMENTS, CELLS, GROUPS = 3, 4, 3


@pytest.fixture
def prior():
    members = np.eye(GROUPS)[np.array([[0, 1, 2, 2], [0, 1, 2, 0], [0, 2, 2, 2]])]
    effects = np.array([[1.0, 0.0, 0.0], [0.0, 1.2, 0.4], [0.0, 0.4, 1.1]])
    return Prior(np.array([0.0, 0.3, 1.0]), np.array([0.5, -0.2, 0.1]), 2.0, effects, members)


@pytest.fixture
def sites():
    rng = np.random.default_rng(7)
    precision = rng.uniform(0, 20, (SEGMENTS, CELLS))
    precision[1, 3] = precision[0, 2] = 0.0
    return Sites(precision[None], (precision * rng.normal(size=precision.shape))[None])


def dense(prior, sites, spread):
    """The same posterior with every covariance written out, and the log of the integral of prior and sites."""
    cells = SEGMENTS * CELLS
    members = prior.members.reshape(cells, GROUPS)
    same = np.repeat(np.arange(SEGMENTS), CELLS)
    before = members @ prior.effects @ members.T + prior.base_sd**2 * (same[:, None] == same)
    before += spread**2 * np.eye(cells)
    mean = prior.base[same]
    precision, shift = sites.precision.ravel(), sites.shift.ravel()
    covariance = np.linalg.inv(np.eye(cells) + before * precision) @ before
    after = mean + covariance @ (shift - precision * mean)
    centred = shift - precision * mean
    evidence = shift @ mean - 0.5 * precision @ mean**2 + 0.5 * centred @ covariance @ centred
    evidence -= 0.5 * np.linalg.slogdet(np.eye(cells) + before * precision)[1]
    return after.reshape(SEGMENTS, CELLS), covariance, evidence


@pytest.mark.parametrize("place", range(3))
def test_the_posterior_is_that_of_the_written_out_normal_distribution(prior, sites, place):
    mean, covariance, evidence = dense(prior, sites, prior.spreads[place])
    found = believe(prior, sites)
    assert found.mean[place] == pytest.approx(mean, abs=1e-12)
    assert found.variance[place].ravel() == pytest.approx(np.diag(covariance), abs=1e-12)
    for segment in range(SEGMENTS):
        block = slice(segment * CELLS, (segment + 1) * CELLS)
        assert found.covariance()[place, segment] == pytest.approx(covariance[block, block], abs=1e-12)
    assert found.log_evidence[place] == pytest.approx(evidence, abs=1e-10)


def test_sums_over_segments_know_what_segments_share(prior, sites):
    coefficients = np.random.default_rng(3).normal(size=(SEGMENTS, CELLS))
    found = believe(prior, sites).variance_of(np.broadcast_to(coefficients, (3, SEGMENTS, CELLS)))
    for place, spread in enumerate(prior.spreads):
        covariance = dense(prior, sites, spread)[1]
        assert found[place] == pytest.approx(coefficients.ravel() @ covariance @ coefficients.ravel(), abs=1e-12)


def test_a_segment_can_be_looked_at_or_set_apart(prior, sites):
    found = believe(prior, sites)
    coefficients = np.zeros((3, SEGMENTS, CELLS))
    coefficients[:, 1] = [1.0, -1.0, 0.5, 0.0]
    inside = found.within(slice(1, 2)).variance_of(coefficients[:, 1:2])
    assert inside == pytest.approx(found.variance_of(coefficients))
    apart = found.standing_alone(1, np.array([1.0, 2.0, 3.0, 4.0]))
    assert apart.variance_of(coefficients) == pytest.approx(np.full(3, 1.0 + 2.0 + 0.25 * 3.0))


def test_arms_that_act_alike_for_certain_are_no_difficulty(prior, sites):
    alike = prior._replace(effects=np.ones((GROUPS, GROUPS)))
    found = believe(alike, sites)
    mean, covariance, evidence = dense(alike, sites, 0.3)
    assert found.mean[1] == pytest.approx(mean, abs=1e-12)
    assert found.variance[1].ravel() == pytest.approx(np.diag(covariance), abs=1e-12)
    assert found.log_evidence[1] == pytest.approx(evidence, abs=1e-10)
