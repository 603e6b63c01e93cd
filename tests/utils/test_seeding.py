"""Generators that are made of others."""

import torch

from reid.utils.seeding import forked


def test_a_forked_generator_follows_its_source_and_leaves_it_where_it_is() -> None:
    source = torch.Generator().manual_seed(3)
    first = torch.rand(4, generator=forked(source))
    assert torch.equal(torch.rand(4, generator=forked(source)), first)
    own = torch.rand(4, generator=source)
    assert torch.equal(own, torch.rand(4, generator=torch.Generator().manual_seed(3)))
    assert not torch.equal(torch.rand(4, generator=forked(source)), first)


def test_without_a_generator_torchs_own_is_forked() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        found = torch.rand(4, generator=forked(None))
        assert torch.equal(torch.rand(4), torch.rand(4, generator=torch.Generator().manual_seed(3)))
    assert torch.equal(found, torch.rand(4, generator=forked(torch.Generator().manual_seed(3))))
