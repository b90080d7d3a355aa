import numpy as np
import pytest
import torch

from conceptome.core import InputError
from conceptome.encoders.sequences import LENGTH_STEP, Sequences, map_sequences, require_device

D = 96


@pytest.fixture(scope="module")
def sequences():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 4 * LENGTH_STEP, 150)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return Sequences(indptr, rng.integers(1, 50, indptr[-1]), rng.normal(size=indptr[-1]).astype(np.float32))


@pytest.fixture(scope="module")
def network():
    """A small network that mixes positions, with a mask."""
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(60, D, generator=generator)
    weight = torch.randn(D, D, generator=generator) / D**0.5

    def embed(tokens, values, real):
        x = (table[tokens] * values[..., None]) @ weight
        mixed = torch.nn.functional.scaled_dot_product_attention(
            x[:, None], x[:, None], x[:, None], attn_mask=real[:, None, None, :]
        )[:, 0]
        return torch.relu(mixed @ weight)[:, 0]

    return embed


def choose(sequences, rows):
    parts = [slice(sequences.indptr[row], sequences.indptr[row + 1]) for row in rows]
    return Sequences(
        np.concatenate([[0], np.cumsum([part.stop - part.start for part in parts])]),
        np.concatenate([sequences.tokens[part] for part in parts]),
        np.concatenate([sequences.values[part] for part in parts]),
    )


@pytest.fixture
def threads():
    """Sets the number of threads, and puts it back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_company_and_threads_do_not_matter(sequences, network, threads):
    everything = None
    for n_threads in (1, 2, 3):
        threads(n_threads)
        z = map_sequences(network, sequences, d_embed=D, pad_token=0)
        assert torch.get_num_threads() == n_threads
        everything = z if everything is None else everything
        np.testing.assert_array_equal(z, everything)
        rows = np.random.default_rng(n_threads).permutation(150)[:37]
        some = map_sequences(network, choose(sequences, rows), d_embed=D, pad_token=0)
        np.testing.assert_array_equal(some, everything[rows])
    assert np.isfinite(everything).all()
    assert everything.std() > 0.01


def test_equals_one_sequence_at_a_time(sequences, network):
    z = map_sequences(network, sequences, d_embed=D, pad_token=0)
    for row in range(0, 150, 17):
        one = choose(sequences, [row])
        real = torch.ones(1, len(one.tokens), dtype=torch.bool)
        alone = network(torch.from_numpy(one.tokens)[None], torch.from_numpy(one.values)[None], real)
        np.testing.assert_allclose(z[row], alone[0].numpy(), atol=1e-5)


def test_padding_stops_at_the_longest_row_a_network_takes(sequences):
    seen = set()

    def embed(tokens, values, real):
        seen.add(tokens.shape[1])
        return torch.zeros(len(tokens), 1)

    map_sequences(embed, sequences, d_embed=1, pad_token=0, longest=100)
    assert all(length <= max(100, sequences.lengths.max()) for length in seen)
    assert 100 in seen


def test_an_error_in_the_network_is_told_and_leaves_the_threads(sequences):
    before = torch.get_num_threads()

    def embed(tokens, values, real):
        msg = "broken"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="broken"):
        map_sequences(embed, sequences, d_embed=1, pad_token=0)
    assert torch.get_num_threads() == before


def test_nothing_to_embed(network):
    empty = Sequences(np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32))
    assert map_sequences(network, empty, d_embed=D, pad_token=0).shape == (0, D)


def test_pads_on_the_right():
    sequences = Sequences(np.array([0, 2, 3]), np.array([5, 6, 7]), np.array([1.0, 2.0, 3.0]))
    tokens, values = sequences.padded(np.array([1, 0]), 3, pad_token=9, pad_value=-2.0)
    assert tokens.tolist() == [[7, 9, 9], [5, 6, 9]]
    assert values.tolist() == [[3.0, -2.0, -2.0], [1.0, 2.0, -2.0]]


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", "device is 'gpu', expected one of cpu, cuda."),
        ("cuda", "device is 'cuda', but PyTorch finds no CUDA device here. Use 'cpu'."),
        ("cuda:1", "device is 'cuda:1', but PyTorch finds no CUDA device here. Use 'cpu'."),
    ],
)
def test_a_device_that_is_not_there(device, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    require_device("cpu")
    with pytest.raises(InputError) as caught:
        require_device(device)
    assert str(caught.value) == message
