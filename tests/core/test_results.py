import numpy as np

from conceptome.core import signal_to_noise


def test_signal_to_noise_adds_the_median_error_of_genes_with_an_effect():
    value = np.array([[4.0, -1.0, 0.0, np.nan, 1e-6]])
    error = np.array([[1.0, 3.0, 0.0, np.nan, 1e-6]])
    median = 1.0  # of 1, 3 and 1e-6
    np.testing.assert_allclose(
        signal_to_noise(value, error)[0, :3], [4 / (1 + median), -1 / (3 + median), 0.0]
    )
    assert np.isnan(signal_to_noise(value, error)[0, 3])
    assert signal_to_noise(value, error)[0, 4] < 1e-5, "a tiny effect in one pair is not a strong one"


def test_a_concept_without_any_effect_scores_zero():
    np.testing.assert_array_equal(signal_to_noise(np.zeros((1, 3)), np.zeros((1, 3))), np.zeros((1, 3)))
