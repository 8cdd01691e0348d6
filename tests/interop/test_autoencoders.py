"""Decoders out of the files that the field's libraries write, and its own statistics of them."""

import doctest
import json
import math
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from superpos_fast import coherence, mmcs, nearest, sae

FEATURES, WIDTH = 12, 5


def weights(seed=0):
    """A decoder of unit rows, and what lies beside it."""
    torch.manual_seed(seed)
    decoder = torch.nn.functional.normalize(torch.randn(FEATURES, WIDTH), dim=1)
    return decoder, torch.randn(WIDTH, FEATURES)


def saelens(folder, **configuration):
    decoder, encoder = weights()
    biases = {"b_enc": torch.zeros(FEATURES), "b_dec": torch.zeros(WIDTH)}
    save_file({"W_dec": decoder, "W_enc": encoder, **biases}, folder / "sae_weights.safetensors")
    shape = {"d_in": WIDTH, "d_sae": FEATURES, "architecture": "standard", "dtype": "float32"}
    (folder / "cfg.json").write_text(json.dumps(shape | configuration))
    return decoder


class Linear(torch.nn.Module):
    """As dictionary_learning lays out most of its dictionaries."""

    def __init__(self):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(WIDTH))
        self.encoder = torch.nn.Linear(WIDTH, FEATURES)
        self.decoder = torch.nn.Linear(FEATURES, WIDTH, bias=False)
        self.register_buffer("threshold", torch.tensor(-1.0))


class Direct(torch.nn.Module):
    """As it lays out the others."""

    def __init__(self):
        super().__init__()
        decoder, encoder = weights()
        self.W_dec, self.W_enc = torch.nn.Parameter(decoder), torch.nn.Parameter(encoder)
        self.b_enc, self.b_dec = (torch.nn.Parameter(torch.zeros(n)) for n in (FEATURES, WIDTH))


def dictionary_learning(folder, module, **configuration):
    torch.save(module.state_dict(), folder / "ae.pt")
    shape = {"dict_size": FEATURES, "activation_dim": WIDTH, "k": None}
    (folder / "config.json").write_text(json.dumps({"trainer": shape | configuration}))


def same(found, decoder):
    assert type(found) is np.ndarray
    assert found.shape == (FEATURES, WIDTH)
    assert np.array_equal(found, decoder.detach().numpy())


# Layouts


def test_saelens(tmp_path):
    decoder = saelens(tmp_path)
    same(sae.load(tmp_path), decoder)
    same(sae.load(tmp_path / "sae_weights.safetensors"), decoder)
    same(sae.load(str(tmp_path), tensor="W_dec"), decoder)
    assert isinstance(sae.load(tmp_path).base, np.memmap)


def test_saelens_transcoder(tmp_path):
    decoder = saelens(tmp_path, d_in=99, d_out=WIDTH)
    same(sae.load(tmp_path), decoder)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dictionary_learning(tmp_path, dtype):
    module = Linear().to(dtype)
    dictionary_learning(tmp_path, module)
    found = sae.load(tmp_path)
    assert found.dtype.name == str(dtype).removeprefix("torch.")
    assert np.array_equal(found.astype(float), module.decoder.weight.T.double().detach().numpy())


def test_dictionary_learning_without_a_linear_map(tmp_path):
    module = Direct()
    dictionary_learning(tmp_path, module)
    same(sae.load(tmp_path), module.W_dec)
    same(sae.load(tmp_path / "ae.pt"), module.W_dec)


def test_plain_files(tmp_path):
    decoder, encoder = weights()
    save_file(
        {
            "sae.decoder.weight": decoder.T.contiguous(),
            "sae.encoder.weight": encoder.T.contiguous(),
        },
        tmp_path / "a.safetensors",
    )
    same(sae.load(tmp_path / "a.safetensors"), decoder)
    save_file({"features": decoder, "bias": torch.zeros(3)}, tmp_path / "b.safetensors")
    same(sae.load(tmp_path / "b.safetensors"), decoder)
    same(sae.load(tmp_path / "b.safetensors", tensor="features"), decoder)
    np.savez(tmp_path / "params.npz", W_dec=decoder.numpy(), W_enc=encoder.numpy())
    same(sae.load(tmp_path), decoder)
    torch.save(decoder, tmp_path / "c.pt")
    same(sae.load(tmp_path / "c.pt"), decoder)


def test_square_decoders(tmp_path):
    """Their shape does not tell rows from columns; their name does."""
    square = torch.randn(6, 6)
    for name, rows in (("W_dec", square), ("decoder.weight", square.T)):
        save_file({name: square}, tmp_path / "square.safetensors")
        assert np.array_equal(sae.load(tmp_path / "square.safetensors"), rows.numpy())


# Refusals


def refusal(path, *words, kind=ValueError, **options):
    with pytest.raises(kind) as raised:
        sae.load(path, **options)
    message = str(raised.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def test_ambiguity(tmp_path):
    decoder, encoder = weights()
    file = tmp_path / "two.safetensors"
    save_file({"up": decoder, "down": encoder}, file)
    refusal(file, "tensor: must name the decoder", "'up' (12, 5)", "'down' (5, 12)")
    save_file({"W_dec": decoder, "decoder.weight": encoder}, file)
    refusal(file, "tensor: must name the decoder", "'W_dec' (12, 5)", "'decoder.weight' (5, 12)")
    same(sae.load(file, tensor="decoder.weight"), encoder.T)
    refusal(file, "tensor: must name a matrix", "'W_enc'", "'W_dec' (12, 5)", tensor="W_enc")
    save_file({"decoder.weight": torch.zeros(2, 3, 4)}, file)
    refusal(file, "tensor: must name the decoder", "'decoder.weight' (2, 3, 4)")


def test_configurations_that_say_something_else(tmp_path):
    saelens(tmp_path, d_sae=FEATURES + 1)
    refusal(tmp_path, "path: must hold a decoder as cfg.json says", "d_sae=13", "12 features")
    saelens(tmp_path, d_in=WIDTH + 1)
    refusal(tmp_path, "cfg.json", "d_in=6", "5 entries")
    (tmp_path / "cfg.json").write_text("{")
    refusal(tmp_path, "path: must have a readable cfg.json")
    for nothing in ("[]", "{}", '{"d_sae": "many"}'):
        (tmp_path / "cfg.json").write_text(nothing)
        assert sae.load(tmp_path).shape == (FEATURES, WIDTH)


def test_dictionaries_that_say_something_else(tmp_path):
    dictionary_learning(tmp_path, Direct(), dict_size=7)
    refusal(tmp_path, "config.json", "dict_size=7", "12 features")


def test_folders(tmp_path):
    refusal(tmp_path, "path: must be a folder with one file of weights", "none")
    for name in ("a.pt", "b.npz"):
        (tmp_path / name).touch()
    refusal(tmp_path, "a.pt, b.npz")
    refusal(tmp_path / "c.pt", "there is no", kind=FileNotFoundError)
    refusal(tmp_path / "c.bin", "path: must end in .safetensors, .npz, .pt or be a folder")


class Hostile:
    def __reduce__(self):
        return print, ("run",)


def test_arguments_of_other_kinds():
    with pytest.raises(TypeError, match="^path: must be a path, got int"):
        sae.load(3)
    with pytest.raises(TypeError, match="^tensor: must be a name, got list"):
        sae.load("a.npz", tensor=["W"])


def test_what_is_no_file_of_tensors(tmp_path, capsys):
    file = tmp_path / "ae.pt"
    for content in (b"", b"nonsense", pickle.dumps(Hostile())):
        file.write_bytes(content)
        refusal(file, "path: must be a file of tensors alone")
    torch.save({"decoder.weight": Hostile()}, file)
    refusal(file, "path: must be a file of tensors alone")
    assert capsys.readouterr().out == ""
    torch.save({"steps": 7}, file)
    refusal(file, "tensor: must name the decoder", "none")


# The field's statistics, as its libraries define them


def largest_other_cosine(decoder):
    """Each feature's largest cosine with another: rows normalised, the diagonal left out."""
    units = decoder / decoder.norm(dim=-1, keepdim=True)
    gram = units @ units.T
    gram.fill_diagonal_(-math.inf)
    return gram.max(dim=-1).values


def mean_max_cosine(one, two):
    """As between dictionaries: the mean over one's features of the largest |cos| with the other."""
    one, two = (side / side.norm(dim=-1, keepdim=True) for side in (one, two))
    return (one @ two.T).abs().max(dim=-1).values.mean()


def paired_cosines(decoder, encoder):
    """SAELens's `encoder_decoder_cosine_sim`, of each feature's two vectors."""
    return torch.nn.functional.cosine_similarity(decoder, encoder.T)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_statistics(dtype):
    torch.manual_seed(1)
    decoder, other = (torch.randn(400, 64).to(dtype) for _ in range(2))
    close = {"rtol": 0, "atol": 1e-5 if dtype is torch.float32 else 1e-13}
    expected = largest_other_cosine(decoder)
    np.testing.assert_allclose(nearest(decoder, signed=True).cosines[:, 0], expected, **close)
    np.testing.assert_allclose(coherence(decoder, signed=True), expected.max(), **close)
    found = mmcs(decoder, other)
    np.testing.assert_allclose(found.a_to_b, mean_max_cosine(decoder, other), **close)
    np.testing.assert_allclose(found.b_to_a, mean_max_cosine(other, decoder), **close)


def test_a_feature_and_its_encoder(tmp_path):
    """Where encoders are the nearest of their decoders, `nearest` finds SAELens's cosines."""
    torch.manual_seed(2)
    decoder = torch.randn(100, 64)
    encoder = (decoder + 0.1 * torch.randn(100, 64)).T.contiguous()
    found = nearest(decoder, encoder.T)
    assert found.indices[:, 0].tolist() == list(range(100))
    np.testing.assert_allclose(found.cosines[:, 0], paired_cosines(decoder, encoder), atol=1e-6)


def test_examples():
    assert doctest.testmod(sae).failed == 0
