"""The dictionary that ships inside the package."""

import numpy as np
import pytest

from superpos_fast import coherence
from superpos_fast.data import example


def test_example():
    vectors = example()
    assert vectors.shape == (4096, 384)
    assert vectors.dtype == np.float16
    assert isinstance(vectors, np.memmap)
    assert not vectors.flags.writeable
    assert not np.array_equal(vectors[0], vectors[1])
    np.testing.assert_allclose(np.linalg.norm(vectors.astype(float), axis=1), 1, atol=1e-3)


def test_known_figures():
    found = coherence(example(), return_pair=True)
    assert (found.i, found.j) == (1930, 1969)
    assert found.value == pytest.approx(0.96829325, abs=5e-9)
