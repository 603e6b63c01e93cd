"""Neighbours found by products of integers: the same as by sorting all exact distances."""

import numpy as np
import pytest
import torch

from reid.evaluation import loops, neighbors, screening
from reid.evaluation.compiled_screening import HIGH, LENGTH, LOW, REST, ROUNDED, SCALE
from reid.evaluation.neighbors import nearest
from reid.evaluation.screening import Screen, room

SIZE = 300
WIDTH = 48


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Screens small sets too, on any processor, with two threads."""
    monkeypatch.setattr(loops, "COMPILED_FROM", 0)
    monkeypatch.setattr(loops, "WIDTH_FROM", 1)
    monkeypatch.setattr(loops, "has_fast_integers", lambda: True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)


def people(rng, size=SIZE, width=WIDTH, identities=30):
    """Features in clusters, as a trained network gives them."""
    centres = rng.standard_normal((identities, width))
    return centres[rng.integers(0, identities, size)] + 0.3 * rng.standard_normal((size, width))


def sparse(rng):
    return np.where(rng.random((SIZE, WIDTH)) < 0.1, rng.exponential(1, (SIZE, WIDTH)), 0)


def duplicates(rng):
    return people(rng, 60)[rng.integers(0, 60, SIZE)]


def far_from_zero(rng):
    return 1000 + people(rng)


def of_all_lengths(rng):
    return people(rng) * 10 ** rng.uniform(-4, 4, (SIZE, 1))


def tiny(rng):
    return people(rng) * 1e-6


def huge(rng):
    return people(rng) * 1e6


def one_large_component(rng):
    features = people(rng)
    features[np.arange(SIZE), rng.integers(0, WIDTH, SIZE)] += 100
    return features


def on_a_grid(rng):
    return rng.integers(0, 3, (SIZE, WIDTH)).astype(float)


def all_equal(rng):
    return np.ones((SIZE, WIDTH))


def noise(rng):
    return rng.standard_normal((SIZE, WIDTH))


def closer_than_a_step(rng):
    """Pairs of identities whose images differ by less than a step of the integers."""
    features = np.repeat(people(rng, 6, identities=6), SIZE // 6, axis=0)
    return features + 1e-4 * rng.standard_normal((SIZE, WIDTH))


KINDS = [
    people,
    sparse,
    duplicates,
    far_from_zero,
    of_all_lengths,
    tiny,
    huge,
    one_large_component,
    on_a_grid,
    all_equal,
    noise,
    closer_than_a_step,
]


def sets(kind):
    return kind(np.random.default_rng(0)).astype(np.float32)


def by_sorting(features, k):
    """The answer the slow way: the row itself, then by distance, then by index."""
    exact = features.astype(np.float64)
    dist = ((exact[:, None] - exact[None]) ** 2).sum(-1)
    own = dist.copy()
    np.fill_diagonal(own, -1)
    order = np.argsort(own, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(dist, order, 1), dist


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", [64, 1000])
def test_equals_sorting_exact_distances(kind, block, monkeypatch):
    # Whatever the bounds leave: no trial, which would send hard sets the other way.
    monkeypatch.setattr(Screen, "leaves_few", lambda self, k: True)
    features = sets(kind)
    order, sqdist, dist = by_sorting(features, 12)
    found = nearest(torch.from_numpy(features), 12, block)
    if kind is on_a_grid:  # sums of whole numbers are exact, so that ties are ties
        np.testing.assert_array_equal(found.sqdist, sqdist)
    if kind in (on_a_grid, all_equal, duplicates):
        assert found.index[:, 0].tolist() == list(range(SIZE))
        np.testing.assert_allclose(
            np.take_along_axis(dist, found.index.numpy(), 1), sqdist, rtol=1e-12, atol=1e-12
        )
        assert all(len(set(row)) == 12 for row in found.index.tolist())
    else:
        np.testing.assert_array_equal(found.index, order)
    np.testing.assert_allclose(found.sqdist, sqdist, rtol=1e-6)
    np.testing.assert_allclose(found.farthest, dist.max(1), rtol=2e-6, atol=1e-6 * dist.max())


@pytest.mark.parametrize("kind", KINDS)
def test_the_bounds_hold_and_both_are_needed(kind):
    features = sets(kind)
    screen = Screen(torch.from_numpy(features))
    facts = screen.facts.numpy()
    scale, length, rounded, rest = (facts[:, c] for c in (SCALE, LENGTH, ROUNDED, REST))
    product = screen.products(slice(None), slice(None)).numpy()
    assert np.array_equal(product, screen.codes.long().numpy() @ screen.codes.long().numpy().T)
    spread = 2 * (rest[:, None] * length + rounded[:, None] * rest)
    middle = 2 * scale[:, None] * scale * product.astype(np.float32)
    dist = by_sorting(features, 1)[2]
    assert (facts[:, None, LOW] + facts[:, LOW] - middle - spread <= dist).all()
    assert (facts[:, None, HIGH] + facts[:, HIGH] - middle + spread >= dist).all()


def test_the_bound_bites():
    """Two images whose integers say the wrong order: bounds without a spread would be wrong."""
    features = np.zeros((4, 3), np.float32)
    features[:, 0] = [127, -127, 127, -127]  # one step is 1; the mean is 0
    features[:, 1] = [0.0, 0.0, 0.49, -0.49]
    features[:, 2] = [0.0, 0.0, 0.0, 0.0]
    screen = Screen(torch.from_numpy(features))
    assert screen.codes[:, 1].tolist() == [0, 0, 0, 0]  # images 0 and 2 have equal integers
    found = nearest(torch.from_numpy(features), 3)
    assert found.index.tolist() == [[0, 2, 1], [1, 3, 0], [2, 0, 1], [3, 1, 0]]
    np.testing.assert_allclose(found.sqdist[0], [0, 0.49**2, 254**2], rtol=1e-6)


def test_rows_with_too_many_candidates_are_compared_with_all(monkeypatch):
    monkeypatch.setattr(Screen, "leaves_few", lambda self, k: True)
    compared = []
    true = neighbors._compare_rows
    monkeypatch.setattr(
        neighbors,
        "_compare_rows",
        lambda features, rows, near: (compared.extend(rows.tolist()), true(features, rows, near)),
    )
    rng = np.random.default_rng(5)
    # 200 images at nearly one distance from each other, and 100 in clusters.
    features = np.concatenate([rng.standard_normal((200, 900)), 10 * people(rng, 100, 900)])
    features = features.astype(np.float32)
    found = nearest(torch.from_numpy(features), 12)
    assert 0 < len(compared) < SIZE // 2
    np.testing.assert_array_equal(found.index, by_sorting(features, 12)[0])


def test_features_that_screening_does_not_help_go_the_other_way():
    rng = np.random.default_rng(6)
    assert Screen(torch.from_numpy(people(rng, 3000).astype(np.float32))).leaves_few(12)
    same = torch.from_numpy(rng.standard_normal((3000, 900)).astype(np.float32))
    assert not Screen(same).leaves_few(12)


@pytest.mark.parametrize("factor", [1e-25, 1e12])
def test_lengths_at_which_float32_loses_digits_go_the_other_way(factor):
    features = torch.from_numpy(people(np.random.default_rng(7)).astype(np.float32)) * factor
    assert not Screen(features).sound


def test_lists_longer_than_usual_have_more_room():
    features = people(np.random.default_rng(8), 700).astype(np.float32)
    k = 100
    assert room(k) > screening.NEAR
    found = nearest(torch.from_numpy(features), k)
    np.testing.assert_array_equal(found.index, by_sorting(features, k)[0])


def test_the_way_is_chosen_by_device_width_and_type(monkeypatch):
    features = torch.zeros(4, 200)
    monkeypatch.setattr(loops, "WIDTH_FROM", 128)
    assert loops.compiled_screening(features) is not None
    assert loops.compiled_screening(features.double()) is None
    assert loops.compiled_screening(features[:, :100]) is None
    monkeypatch.setattr(loops, "COMPILED_FROM", 1 << 22)
    assert loops.compiled_screening(features) is None
    monkeypatch.setattr(loops, "COMPILED_FROM", 0)
    monkeypatch.setattr(loops, "has_fast_integers", lambda: False)
    assert loops.compiled_screening(features) is None
