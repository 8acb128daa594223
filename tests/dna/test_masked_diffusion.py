"""Masked diffusion, held against joint distributions of two and three bases that can be written down."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from genovision import checkpoints  # noqa: E402
from genovision.dna.base_networks import MASK, Examples, build  # noqa: E402
from genovision.dna.masked_diffusion import (  # noqa: E402
    ORDERS,
    MaskedDiffusion,
    Objective,
    bits_per_base,
    bound,
    masks,
    turns,
)
from genovision.errors import InputError  # noqa: E402
from genovision.training import Recipe, train  # noqa: E402

NAMES = ("A_one", "B_two")


class Joint(torch.nn.Module):
    """The exact conditionals of a joint distribution per label; the label behind the last is their mean. joints: (S, 4, ..., 4)."""

    def __init__(self, joints, noise=0.0):
        super().__init__()
        joints = np.asarray(joints, dtype=np.float64)
        self.joints = np.concatenate([joints, joints.mean(axis=0, keepdims=True)])
        self.noise, self.calls = noise, 0

    def conditionals(self, tokens, label):
        """(L, 4): of each base given the known ones; of a known base, given the other known ones."""
        length, found = len(tokens), []
        for place in range(length):
            known = tuple(slice(None) if t == MASK or i == place else int(t) for i, t in enumerate(tokens))
            p = self.joints[label][known]
            kept = sum(tokens[i] == MASK for i in range(place))
            found.append(np.moveaxis(p, kept, 0).reshape(4, -1).sum(axis=1))
            found[-1] = found[-1] / found[-1].sum()
        return np.array(found)

    def forward(self, tokens, labels):
        self.calls += 1
        rows = [self.conditionals(t, label) for t, label in zip(tokens.tolist(), labels.tolist(), strict=True)]
        logits = np.log(np.array(rows))
        if self.noise:  # wrong in a way that depends on what is known
            seeds = [hash((*t, label)) % 2**32 for t, label in zip(tokens.tolist(), labels.tolist(), strict=True)]
            logits += self.noise * np.stack([np.random.default_rng(s).standard_normal(logits.shape[1:]) for s in seeds])
        return torch.from_numpy(logits)


def joint(length, seed=0, labels=2):
    return np.random.default_rng(seed).dirichlet(0.4 * np.ones(4**length), labels).reshape(labels, *(4,) * length)


def everything(length):
    return np.array(list(itertools.product(range(4), repeat=length)), dtype=np.uint8)


def exact_bound(network, codes, label):
    """The bound of each of codes (N, L), over all masks: their number is uniform, and those of a number are equally likely."""
    length, total = codes.shape[1], np.zeros(len(codes))
    labels = torch.full((len(codes),), label)
    for number in range(1, length + 1):
        places = list(itertools.combinations(range(length), number))
        for place in places:
            masked = torch.zeros(codes.shape, dtype=torch.bool)
            masked[:, list(place)] = True
            found = bound(network, torch.from_numpy(codes.astype(np.int64)), labels, masked)
            total += found.numpy() / len(places) / length
    return total


@pytest.mark.parametrize("length", [2, 3])
def test_the_bound_is_the_likelihood_of_a_network_that_knows_the_joint(length):
    joints, codes = joint(length), everything(length)
    for label in (0, 1):
        found = exact_bound(Joint(joints), codes, label)
        np.testing.assert_allclose(found, -np.log(joints[label].reshape(-1)) / length, rtol=1e-9)


def test_the_bound_lies_above_the_likelihood_of_what_a_wrong_network_draws():
    network, codes = Joint(joint(2), noise=0.7), everything(2)

    def p(tokens):
        return network(torch.tensor([tokens]), torch.tensor([0])).softmax(-1)[0].numpy()

    # one at a time in either order: what the first-hitting sampler draws from
    drawn = np.array([(p([4, 4])[0, a] * p([a, 4])[1, b] + p([4, 4])[1, b] * p([4, b])[0, a]) / 2 for a, b in codes])
    assert drawn.sum() == pytest.approx(1)
    found = exact_bound(network, codes, 0)
    assert (found * 2 >= -np.log(drawn) - 1e-9).all()
    assert (found * 2 > -np.log(drawn) + 1e-3).any()
    model = MaskedDiffusion(network, NAMES, 2)
    tokens, _ = model.draw(np.zeros(4000, dtype=int), 3, rounds=2, order="random", batch=4000)
    counts = np.bincount(tokens @ [4, 1], minlength=16) / 4000
    assert np.abs(counts - drawn).max() < 4 * np.sqrt(0.25 / 4000)


def test_bits_per_base_estimates_the_bound():
    joints, codes = joint(2, labels=1), everything(2)
    found = bits_per_base(Joint(joints), codes, np.zeros(16, dtype=np.int64), repeats=400)
    np.testing.assert_allclose(found, -np.log2(joints[0].reshape(-1)) / 2, rtol=0.15)
    again = bits_per_base(Joint(joints), codes, np.zeros(16, dtype=np.int64), repeats=400, batch=5)
    np.testing.assert_allclose(again, found)
    with pytest.raises(InputError, match="repeats 0 must be positive"):
        bits_per_base(Joint(joints), codes, np.zeros(16, dtype=np.int64), repeats=0)


def test_every_number_of_masks_is_as_likely_and_every_place_too():
    found = masks(1000, 10, np.random.default_rng(0))
    assert np.bincount(found.sum(axis=1), minlength=11).tolist() == [0, *[100] * 10]
    assert found.mean(axis=0) == pytest.approx(np.full(10, 0.55), abs=0.05)
    assert np.array_equal(found, masks(1000, 10, np.random.default_rng(0)))


def test_what_a_round_of_combs_reveals_lies_apart():
    uniforms = np.random.default_rng(1).random((50, 20))
    when = turns("spread", uniforms, 6)
    for row in when:
        assert sorted(set(row)) == list(range(6))
        for turn in range(6):
            assert (np.diff(np.flatnonzero(row == turn)) == 6).all()
    assert len({tuple(row) for row in when}) > 40
    assert turns("spread", uniforms, 1).max() == 0


def test_random_rounds_are_even_and_independent_ones_are_not():
    uniforms = np.random.default_rng(2).random((200, 12))
    assert (np.sort(turns("random", uniforms, 4), axis=1) == np.repeat(np.arange(4), 3)).all()
    assert (np.sort(turns("random", uniforms, 12), axis=1) == np.arange(12)).all()
    found = turns("independent", uniforms, 4)
    assert found.min() == 0 and found.max() == 3
    assert np.bincount(found.ravel()) / found.size == pytest.approx(np.full(4, 0.25), abs=0.04)
    assert len({tuple(np.bincount(row, minlength=4)) for row in found}) > 10
    for wrong in ("confidence", "alphabetical"):
        with pytest.raises(InputError, match=f"order '{wrong}': choose one of spread, random"):
            turns(wrong, uniforms, 4)
    for wrong in (0, 13):
        with pytest.raises(InputError, match=f"rounds {wrong} must lie in 1 to 12"):
            turns("random", uniforms, wrong)


@pytest.mark.parametrize("order", ["spread", "random"])
def test_one_position_a_round_draws_from_the_joint(order):
    joints = joint(3, seed=4)
    model = MaskedDiffusion(Joint(joints), NAMES, 3)
    labels = np.repeat([0, 1], 3000)
    tokens, confidence = model.draw(labels, 5, rounds=3, order=order, batch=3000)
    for label in (0, 1):
        counts = np.bincount(tokens[labels == label] @ [16, 4, 1], minlength=64) / 3000
        assert np.abs(counts - joints[label].reshape(-1)).max() < 4 * np.sqrt(0.25 / 3000)
    # the product of the probabilities that the bases were drawn with is that of the sequence, whatever the order was
    expected = joints[labels, tokens[:, 0], tokens[:, 1], tokens[:, 2]]
    np.testing.assert_allclose(confidence.prod(axis=1), expected, rtol=1e-5)
    assert tokens.dtype == np.uint8 and confidence.dtype == np.float32


@pytest.mark.parametrize("order", ORDERS)
def test_one_round_draws_every_base_from_its_own_frequencies(order):
    joints = joint(3, seed=4)
    model = MaskedDiffusion(Joint(joints), NAMES, 3)
    tokens, confidence = model.draw(np.zeros(2000, dtype=int), 6, rounds=1, order=order, batch=2000)
    for place, others in enumerate([(1, 2), (0, 2), (0, 1)]):
        p = joints[0].sum(axis=others)
        assert np.bincount(tokens[:, place], minlength=4) / 2000 == pytest.approx(p, abs=0.05)
        np.testing.assert_allclose(confidence[:, place], p[tokens[:, place]], rtol=1e-5)


def test_the_most_confident_come_first():
    # the middle base is all but certain, and says what the others are
    joints = np.full((1, 4, 4, 4), 1e-9)
    joints[0, 0, 1, 0], joints[0, 2, 2, 2] = 0.9, 0.1
    joints /= joints.sum()
    joints[0] += 0.02 * np.einsum("a,b,c->abc", [1, 1, 1, 1], [0, 1, 0, 0], [1, 1, 1, 1]) / 16
    joints /= joints.sum()
    seen = []

    class Seen(Joint):
        def forward(self, tokens, labels):
            seen.append(tokens.clone())
            return super().forward(tokens, labels)

    MaskedDiffusion(Seen(joints), ("A_one",), 3).draw([0] * 20, 0, rounds=3, order="confidence")
    assert (seen[0] == MASK).all()
    assert (seen[1][:, 1] != MASK).all() and (seen[1][:, [0, 2]] == MASK).all()
    assert ((seen[2] == MASK).sum(dim=1) == 1).all()


def test_the_posterior_is_the_conditional_given_all_others():
    joints, codes = joint(3, seed=7), everything(3)
    model = MaskedDiffusion(Joint(joints), NAMES, 3)
    for order in ("spread", "random"):
        found = model.posterior(codes, np.ones(64, dtype=int), 0, rounds=3, order=order)
        assert found.shape == (64, 3, 4) and found.dtype == np.float32
        for row, (a, b, c) in zip(found, codes, strict=True):
            for place, p in enumerate((joints[1][:, b, c], joints[1][a, :, c], joints[1][a, b, :])):
                np.testing.assert_allclose(row[place], p / p.sum(), rtol=1e-4, atol=1e-7)
    # all hidden at once: the frequencies
    np.testing.assert_allclose(
        model.posterior(codes[:1], [0], 0, rounds=1)[0, 0], joints[0].sum(axis=(1, 2)), rtol=1e-5
    )


@pytest.mark.parametrize(("order", "repeats", "calls"), [("spread", 3, 5), ("random", 3, 15)])
def test_a_partition_hides_every_position_once(order, repeats, calls):
    hidden = []

    class Watched(torch.nn.Module):
        def forward(self, tokens, labels):
            hidden.append((tokens == MASK).numpy())
            return torch.zeros(*tokens.shape, 4)

    model = MaskedDiffusion(Watched(), NAMES, 12)
    tokens = np.random.default_rng(0).integers(0, 4, (6, 12)).astype(np.uint8)
    found = model.posterior(tokens, np.zeros(6, dtype=int), 0, rounds=5, repeats=repeats, order=order)
    assert len(hidden) == calls
    for start in range(0, calls, 5):
        assert (np.sum(hidden[start : start + 5], axis=0) == 1).all()
    np.testing.assert_allclose(found, 0.25)


def test_guidance_moves_away_from_any_species_and_costs_calls_only_when_asked():
    joints = joint(1, seed=9)
    network = Joint(joints)
    model = MaskedDiffusion(network, NAMES, 1)
    plain = model.posterior([[0]], [1], 0, rounds=1)[0, 0]
    assert network.calls == 1
    strong = model.posterior([[0]], [1], 0, rounds=1, guidance=2.0)[0, 0]
    assert network.calls == 3
    expected = joints[1] ** 2 / joints.mean(axis=0)
    np.testing.assert_allclose(plain, joints[1], rtol=1e-5)
    np.testing.assert_allclose(strong, expected / expected.sum(), rtol=1e-4)
    np.testing.assert_allclose(
        model.posterior([[0]], [1], 0, rounds=1, guidance=0.0)[0, 0], joints.mean(axis=0), rtol=1e-5
    )
    np.testing.assert_allclose(model.posterior([[0]], [2], 0, rounds=1)[0, 0], joints.mean(axis=0), rtol=1e-5)
    cold = model.posterior([[0]], [1], 0, rounds=1, temperature=0.5)[0, 0]
    np.testing.assert_allclose(cold, joints[1] ** 2 / (joints[1] ** 2).sum(), rtol=1e-4)


@pytest.fixture(scope="module")
def sequences():
    """600 sequences of 24 random bases; those of the second species have TATAA from position 8 on."""
    codes = np.random.default_rng(3).integers(0, 4, (600, 24)).astype(np.uint8)
    labels = np.arange(600) % 2
    codes[labels == 1, 8:13] = [3, 0, 3, 0, 0]
    return codes, labels


SMALL = {"species": 2, "length": 24, "width": 16, "kernel": 3, "dilations": [1, 2], "context": 1}


def fitted(sequences, folder, steps=300, loss=None, seed=0, **options):
    torch.set_num_threads(1)
    codes, labels = sequences
    objective = Objective(Examples(codes[:500], labels[:500], 2, 32, seed), (codes[500:], labels[500:]))
    network = build(seed, **SMALL | options)
    return train(
        network,
        loss(objective) if loss else objective.loss,
        Recipe(steps, 32, 1e-2, average=0.9, seed=seed),
        objective.measure,
        folder,
        "mark",
        save_every=10,
        tell=lambda _: None,
    )


@pytest.fixture(scope="module")
def model(sequences, tmp_path_factory):
    found = fitted(sequences, tmp_path_factory.mktemp("masked"))
    return found, MaskedDiffusion(found.network, NAMES, 24)


def test_it_learns_what_belongs_to_a_species_and_a_place(model, sequences):
    trained, generator = model
    # 19 and 24 of 24 bases are random
    assert trained.curve[-1].measured / np.log(2) == pytest.approx(2 * 43 / 48, abs=0.06)
    tokens, confidence = generator.draw([0] * 40 + [1] * 40, 1, rounds=8)
    motif = (tokens[:, 8:13] == [3, 0, 3, 0, 0]).all(axis=1)
    assert motif[40:].mean() > 0.8 and motif[:40].mean() < 0.1
    assert confidence[40:, 8:13].mean() > 0.9 and confidence[:, 16:].mean() < 0.4
    codes, _ = sequences
    assert generator.posterior(codes[1::2], [1] * 300, 0, rounds=8)[:, 8:13].max(axis=2).mean() > 0.9
    # without a label it is either
    either = generator.draw([2] * 80, 1, rounds=8)[0]
    assert 0.2 < (either[:, 8:13] == [3, 0, 3, 0, 0]).all(axis=1).mean() < 0.8


@pytest.mark.parametrize("order", ORDERS)
def test_a_sequence_depends_on_seed_and_place_alone(model, order):
    generator, labels = model[1], np.arange(20) % 2
    tokens, confidence = generator.draw(labels, 5, rounds=6, order=order, batch=20)
    other = generator.draw(labels, 5, rounds=6, order=order, batch=7)
    assert np.array_equal(other[0], tokens)
    np.testing.assert_allclose(other[1], confidence, atol=1e-5)
    assert np.array_equal(generator.draw(labels[:9], 5, rounds=6, order=order)[0], tokens[:9])
    assert not np.array_equal(generator.draw(labels, 6, rounds=6, order=order)[0], tokens)
    found = generator.posterior(tokens, labels, 5, rounds=6, order="random", batch=20)
    np.testing.assert_allclose(
        generator.posterior(tokens, labels, 5, rounds=6, order="random", batch=3), found, atol=1e-5
    )
    assert generator.draw(labels[:0], 0, rounds=6)[0].shape == (0, 24)


def test_training_taken_up_ends_with_the_same_weights(sequences, tmp_path):
    whole = fitted(sequences, tmp_path / "whole", steps=30, dropout=0.2)
    calls = 0

    def cut(objective):
        def loss(network, step):
            nonlocal calls
            calls += 1
            if calls == 25:
                raise KeyboardInterrupt
            return objective.loss(network, step)

        return loss

    with pytest.raises(KeyboardInterrupt):
        fitted(sequences, tmp_path / "cut", steps=30, loss=cut, dropout=0.2)
    assert checkpoints.newest(tmp_path / "cut", "mark")[1]["step"] == 20
    taken_up = fitted(sequences, tmp_path / "cut", steps=30, loss=cut, dropout=0.2)
    assert calls == 25 + 10
    for found in (fitted(sequences, tmp_path / "again", steps=30, dropout=0.2), taken_up):
        assert found.curve == whole.curve
        for name, value in whole.network.state_dict().items():
            assert torch.equal(value, found.network.state_dict()[name]), name


def test_calls_that_make_no_sense(model):
    generator = model[1]
    tokens = np.zeros((2, 24), dtype=np.uint8)
    with pytest.raises(InputError, match=r"none of 0 \(A_one\), 1 \(B_two\), 2 \(any\)"):
        generator.draw([0, 3], 0)
    with pytest.raises(ValueError, match=r"labels must be \(N,\) whole numbers"):
        generator.draw([0.5], 0)
    with pytest.raises(InputError, match=r"tokens \(2, 23\) must be 2 sequences of 24 bases"):
        generator.posterior(tokens[:, 1:], [0, 0], 0)
    with pytest.raises(InputError, match="sequence 0 at position 0 is 4; bases are 0 to 3"):
        generator.posterior(tokens + 4, [0, 0], 0)
    for options, message in (
        ({"rounds": 25}, "rounds 25 must lie in 1 to 24"),
        ({"order": "none"}, "order 'none'"),
        ({"temperature": 0}, "temperature 0 must be positive"),
        ({"guidance": -1}, "guidance -1 must not be negative"),
        ({"batch": 0}, "batch 0 must be positive"),
    ):
        with pytest.raises(InputError, match=message):
            generator.draw([0], 0, **options)
        with pytest.raises(InputError, match=message):
            generator.posterior(tokens[:1], [0], 0, **options)
    with pytest.raises(InputError, match="order 'confidence' makes no partition"):
        generator.posterior(tokens[:1], [0], 0, order="confidence")
