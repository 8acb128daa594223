"""One-hot diffusion, held against a denoiser that is known exactly; and the folders and the command of both kinds of base diffusion."""

import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from genovision import checkpoints  # noqa: E402
from genovision.dna import base_networks  # noqa: E402
from genovision.dna.base_diffusion import (  # noqa: E402
    PREDICTIONS,
    BaseDiffusion,
    Objective,
    evidence,
    noise_schedule,
    one_hot,
    read_base_diffusion,
    write_base_diffusion,
)
from genovision.dna.base_networks import (  # noqa: E402
    MASK,
    BaseNetwork,
    Examples,
    around,
    between,
    between_near,
    build,
    frequencies,
)
from genovision.dna.examples import Examples as Data  # noqa: E402
from genovision.dna.examples import write_examples  # noqa: E402
from genovision.dna.masked_diffusion import (  # noqa: E402
    read_masked_diffusion,
    write_masked_diffusion,
)
from genovision.errors import InputError  # noqa: E402
from genovision.training import Recipe, train  # noqa: E402

NAMES = ("A_one", "B_two")
FREQUENCIES = np.random.default_rng(8).dirichlet(np.ones(4), (2, 5))  # of two species at five positions


class Exact(torch.nn.Module):
    """What is to be predicted when positions are independent with known frequencies (S, L, 4); the label behind the last: their mean."""

    def __init__(self, prediction, schedule):
        super().__init__()
        frequencies = np.concatenate([FREQUENCIES, FREQUENCIES.mean(axis=0, keepdims=True)])
        self.logs = torch.from_numpy(np.log(frequencies)).float()
        self.prediction, self.model = prediction, BaseDiffusion(None, NAMES, 5, schedule)

    def forward(self, x, labels, times):
        if self.prediction == "logits":  # the evidence of the position itself is added to it
            return self.logs[labels]
        levels = {time: self.model._kept(time) for time in set(times.tolist())}
        kept = torch.tensor([levels[time] for time in times.tolist()])[:, None, None]
        clean = 2 * (self.logs[labels] + evidence(x, kept).movedim(1, -1)).softmax(-1) - 1
        return clean if self.prediction == "sample" else (kept.sqrt() * x.movedim(1, -1) - clean) / (1 - kept).sqrt()


def exact(prediction="logits", betas="squaredcos_cap_v2"):
    schedule = noise_schedule(prediction, betas)
    return BaseDiffusion(Exact(prediction, schedule), NAMES, 5, schedule, prediction)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "deis-3", "dpm++2m", "dpm++3m", "unipc-2", "heun-karras", "ipndm"])
def test_every_sampler_draws_with_the_right_frequencies(sampler):
    labels = np.repeat([0, 1, 2], 1500)
    tokens, confidence = exact().draw(labels, 1, sampler=sampler, nfe=40, batch=4500)
    for label, wanted in enumerate([*FREQUENCIES, FREQUENCIES.mean(axis=0)]):
        found = np.stack([(tokens[labels == label] == base).mean(axis=0) for base in range(4)], axis=1)
        # beside the error of 1,500 draws, that of a flow followed in few steps
        assert np.abs(found - wanted).max() < 0.07, (label, found - wanted)
    assert tokens.dtype == np.uint8 and confidence.dtype == np.float32
    assert confidence.min() >= 0.25 and confidence.max() <= 1 and confidence.mean() > 0.9


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm++2m"])
def test_all_predictions_of_one_denoiser_draw_the_same(sampler):
    first = exact("logits").draw([0, 1] * 50, 2, sampler=sampler, nfe=12)
    for prediction in ("sample", "v_prediction"):
        tokens, confidence = exact(prediction).draw([0, 1] * 50, 2, sampler=sampler, nfe=12)
        assert (tokens == first[0]).mean() > 0.995
        assert np.abs(confidence - first[1]).mean() < 0.01


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_posterior_goes_from_the_bases_to_their_frequencies(prediction):
    model = exact(prediction)
    tokens = np.random.default_rng(0).integers(0, 4, (40, 5)).astype(np.uint8)
    sure = model.posterior(tokens, [0, 1] * 20, 3, level=0.05)
    assert sure.shape == (40, 5, 4) and sure.dtype == np.float32
    assert np.array_equal(sure.argmax(axis=2), tokens) and sure.max(axis=2).min() > 0.99
    np.testing.assert_allclose(sure.sum(axis=2), 1, atol=1e-5)
    nothing = model.posterior(tokens, [0, 1] * 20, 3, level=1.0)
    # alpha-bar is 0 there but for rounding, by which v says little of the bases
    assert np.abs(nothing - np.tile(FREQUENCIES, (20, 1, 1))).max() < 0.02
    again = model.posterior(tokens[:7], ([0, 1] * 20)[:7], 3, level=0.5, batch=3, repeats=1)
    np.testing.assert_allclose(again, model.posterior(tokens, [0, 1] * 20, 3, level=0.5, repeats=1)[:7], atol=1e-5)


@pytest.mark.parametrize("sampler", ["ddpm", "dpm++2m"])
def test_a_set_depends_on_its_seed_and_not_on_the_batch(sampler):
    model, labels = exact(), np.arange(30) % 3
    tokens, confidence = model.draw(labels, 4, sampler=sampler, nfe=10, batch=30)
    other = model.draw(labels, 4, sampler=sampler, nfe=10, batch=7)
    assert np.array_equal(other[0], tokens)
    np.testing.assert_allclose(other[1], confidence, atol=1e-5)
    assert not np.array_equal(model.draw(labels, 5, sampler=sampler, nfe=10)[0], tokens)
    assert model.draw(labels[:0], 4, sampler=sampler, nfe=10)[0].shape == (0, 5)
    if sampler != "ddpm":
        assert np.array_equal(model.draw(labels[:11], 4, sampler=sampler, nfe=10)[0], tokens[:11])


def test_guidance_sharpens_what_tells_a_species_from_the_others():
    model = exact()
    plain = model.draw([0] * 500, 5, nfe=20)[0]
    strong = model.draw([0] * 500, 5, nfe=20, guidance=3.0)[0]
    any_species = model.draw([0] * 500, 5, nfe=20, guidance=0.0)[0]
    ratio = FREQUENCIES[0] / FREQUENCIES.mean(axis=0)
    place, base = np.unravel_index(ratio.argmax(), ratio.shape)
    shares = [(tokens[:, place] == base).mean() for tokens in (any_species, plain, strong)]
    assert shares[0] < shares[1] < shares[2]
    assert shares[0] == pytest.approx(FREQUENCIES.mean(axis=0)[place, base], abs=0.08)


def test_evidence_is_that_of_bayes():
    # likelihoods of x under each of the four possible x_0, from their normal densities
    x, kept = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0)), 0.3
    clean = one_hot(torch.arange(4)[:, None].expand(4, 3))
    likelihood = torch.exp(-(x - kept**0.5 * clean).square().sum(dim=1) / (2 * (1 - kept)))
    found = evidence(x, torch.full((1, 1, 1), kept))[0].softmax(dim=0)
    torch.testing.assert_close(found, likelihood / likelihood.sum(dim=0))


def test_noise_and_losses_are_what_they_ought_to_be():
    codes = np.random.default_rng(1).integers(0, 4, (64, 5)).astype(np.uint8)
    assert one_hot(torch.tensor([[0, 3]])).tolist() == [[[1, -1], [-1, -1], [-1, -1], [-1, 1]]]
    examples = Examples(codes, np.zeros(64, dtype=np.int64), 2, 64, 0)

    class Zero(torch.nn.Module):
        def forward(self, x, labels, times):
            return torch.zeros(len(x), x.shape[2], 4)

    zero = Zero()
    for prediction, wanted in (("sample", 1.0), ("v_prediction", 1.0)):
        objective = Objective(examples, (codes, np.zeros(64, dtype=np.int64)), noise_schedule(prediction), prediction)
        assert float(objective.loss(zero, 0)) == pytest.approx(wanted, rel=0.1)
        assert objective.measure(zero) == objective.measure(zero) == pytest.approx(wanted, rel=0.1)
        assert float(objective.loss(zero, 0)) == float(objective.loss(zero, 0))
    # what knows the frequencies of each species does better than what knows nothing
    labels = np.arange(2000) % 2
    uniforms = np.random.default_rng(2).random((2000, 5, 1))
    codes = (uniforms >= FREQUENCIES.cumsum(axis=2)[labels][:, :, :3]).sum(axis=2).astype(np.uint8)
    for prediction in PREDICTIONS:
        schedule = noise_schedule(prediction)
        objective = Objective(Examples(codes, labels, 2, 500, 0, unlabelled=0.0), (codes, labels), schedule, prediction)
        assert float(objective.loss(Exact(prediction, schedule), 0)) < 0.95 * float(objective.loss(zero, 0))
        assert objective.measure(Exact(prediction, schedule)) < 0.95 * objective.measure(zero)


def test_options_that_are_none():
    model = exact()
    for options, message in (
        ({"sampler": "euler"}, "there is no sampler 'euler'"),
        ({"nfe": 0}, "0 evaluations: give 1 or more"),
        ({"guidance": -1.0}, r"guidance -1.0 must not be negative"),
        ({"batch": 0}, "batch 0 must be positive"),
        ({"sampler": "deis-sn-tab3"}, "needs the statistics"),
    ):
        with pytest.raises(InputError, match=message):
            model.draw([0], 0, **options)
    for level in (0, 1.5):
        with pytest.raises(InputError, match=rf"level {level} must lie in \(0, 1\]"):
            model.posterior(np.zeros((1, 5), dtype=np.uint8), [0], 0, level=level)
    with pytest.raises(InputError, match="repeats 0 must be positive"):
        model.posterior(np.zeros((1, 5), dtype=np.uint8), [0], 0, repeats=0)
    with pytest.raises(InputError, match="prediction 'epsilon': choose one of logits, sample, v_prediction"):
        noise_schedule("epsilon")
    with pytest.raises(InputError, match="beta_schedule 'cosine' is unknown"):
        noise_schedule("logits", "cosine")


SMALL = {"species": 2, "length": 24, "width": 16, "kernel": 3, "dilations": [1, 2]}


@pytest.fixture(scope="module")
def data():
    """500 training, 60 validation and 40 test sequences of 24 bases; those of the second species have TATAA from position 8 on."""
    codes = np.random.default_rng(3).integers(0, 4, (600, 24)).astype(np.uint8)
    species = np.arange(600) % 2
    codes[species == 1, 8:13] = [3, 0, 3, 0, 0]
    return Data(codes, species, np.repeat([0, 1, 2], [500, 60, 40]).astype(np.uint8), NAMES)


def fitted(data, folder, steps, prediction="logits", loss=None, **options):
    torch.set_num_threads(1)
    examples = Examples(*data.of("train"), 2, 32, 0)
    objective = Objective(examples, data.of("validation"), noise_schedule(prediction), prediction)
    return train(
        build(0, timed=True, local=2 * (prediction == "logits"), **SMALL | options),
        loss(objective) if loss else objective.loss,
        Recipe(steps, 32, 1e-2, average=0.9),
        objective.measure,
        folder,
        "mark",
        save_every=10,
        tell=lambda _: None,
    )


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_it_learns_what_belongs_to_a_species_and_a_place(data, tmp_path, prediction):
    network = fitted(data, tmp_path, 300, prediction).network
    model = BaseDiffusion(network, NAMES, 24, noise_schedule(prediction), prediction)
    tokens, confidence = model.draw([0] * 40 + [1] * 40, 1)
    motif = (tokens[:, 8:13] == [3, 0, 3, 0, 0]).mean(axis=1)
    assert motif[40:].mean() > 0.75 and motif[:40].mean() < 0.55
    if prediction == "logits":
        assert motif[40:].mean() > 0.95 and motif[:40].mean() < 0.4
        assert confidence[40:, 8:13].mean() > 0.9
    assert confidence.shape == (80, 24)


def test_training_taken_up_ends_with_the_same_weights(data, tmp_path):
    whole = fitted(data, tmp_path / "whole", 30, dropout=0.2)
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
        fitted(data, tmp_path / "cut", 30, loss=cut, dropout=0.2)
    assert checkpoints.newest(tmp_path / "cut", "mark")[1]["step"] == 20
    taken_up = fitted(data, tmp_path / "cut", 30, loss=cut, dropout=0.2)
    assert calls == 25 + 10
    for found in (fitted(data, tmp_path / "again", 30, dropout=0.2), taken_up):
        assert found.curve == whole.curve
        for name, value in whole.network.state_dict().items():
            assert torch.equal(value, found.network.state_dict()[name]), name


def test_batches_go_through_all_sequences_and_hide_some_labels():
    codes = np.arange(10)[:, None].astype(np.uint8) % 4
    codes = np.repeat(codes, 3, axis=1)
    labels = np.arange(10)
    examples = Examples(codes, labels, 10, 4, seed=2, unlabelled=0.0)
    seen = [label for step in range(5) for label in examples.at(step, np.random.default_rng(step))[1].tolist()]
    assert sorted(seen[:10]) == sorted(seen[10:]) == labels.tolist() and seen[:10] != seen[10:]
    # asked again, out of order
    assert examples.at(0, np.random.default_rng(0))[1].tolist() == seen[:4]
    hidden = Examples(codes, labels, 10, 400, seed=2, unlabelled=0.25)
    assert (hidden.at(0, np.random.default_rng(0))[1] == 10).float().mean() == pytest.approx(0.25, abs=0.07)


# --- the network, folders and the command of both kinds ---------------------------------------------------------------------------


def network_of(kind, seed=0, **options):
    network = build(seed, timed=kind == "onehot", **SMALL | options)
    with torch.no_grad():  # its last layers begin at zero
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return network.eval()


def called(network, label=0, time=3.5):
    rng = np.random.default_rng(4)
    labels = torch.full((2,), label)
    if network.config.timed:
        x = torch.from_numpy(rng.standard_normal((2, 4, 24), dtype=np.float32))
        return network(x, labels, torch.full((2,), time)).detach()
    return network(torch.from_numpy(rng.integers(0, 5, (2, 24))), labels).detach()


@pytest.mark.parametrize("kind", ["masked", "onehot"])
def test_weights_depend_on_the_seed_and_logits_on_the_label(kind):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, other = build(1, timed=kind == "onehot", **SMALL), build(2, timed=kind == "onehot", **SMALL)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not torch.equal(first.inside.weight, other.inside.weight)
    assert called(first).shape == (2, 24, 4) and called(first).abs().max() < 1e-4
    network = network_of(kind)
    assert not torch.allclose(called(network), called(network, label=2))
    if kind == "onehot":
        assert not torch.allclose(called(network), called(network, time=4.0))


def test_a_word_does_not_know_the_base_itself():
    tokens = torch.tensor([[0, 1, 2, 3, 4]])
    words = around(tokens, 2)
    for place in range(5):
        changed = tokens.clone()
        changed[0, place] = (tokens[0, place] + 1) % 5
        same = around(changed, 2) == words
        reach = torch.arange(5) - place
        assert same[0].tolist() == [(int(r) == 0) or abs(int(r)) > 2 for r in reach]
    assert words.max() < 5**4


WORDS = [(left, right) for left in range(4) for right in range(4)]


def counted(codes, word, places):
    """How often each base stands between the known bases of a word of two to either side, at these places; by loop."""
    counts, offsets = np.zeros(4), [-2, -1, 1, 2]
    for one in codes:
        for at in places:
            known = [(at + offset, base) for offset, base in zip(offsets, word, strict=True) if base != MASK]
            if all(0 <= place < codes.shape[1] and one[place] == base for place, base in known):
                counts[one[at]] += 1
    return counts


@pytest.fixture
def some_words(monkeypatch):
    """50 random sequences of 12 bases; and 60 times a number of a word around a place, the word and the place."""
    monkeypatch.setattr(base_networks, "_SHORTER", 1e-9)
    rng = np.random.default_rng(0)
    codes, found = rng.integers(0, 4, (50, 12)).astype(np.uint8), []
    for row, place in zip(rng.integers(0, 50, 60), rng.integers(2, 10, 60), strict=True):
        masked = np.where(rng.random(12) < 0.5, MASK, codes[row])
        word = masked[[place - 2, place - 1, place + 1, place + 2]]
        if (word != MASK).any():
            found.append((int(around(torch.from_numpy(masked)[None], 2)[0, place]), word, place))
    return codes, found


def test_words_are_counted_as_in_a_loop(some_words):
    codes, words = some_words
    found = between(codes, 2)
    assert found.shape == (5**4, 4) and len(words) > 40
    np.testing.assert_allclose(found.sum(axis=1), 1)
    for number, word, _ in words:
        counts = counted(codes, word, range(12))
        np.testing.assert_allclose(found[number], counts / counts.sum(), atol=1e-6)


def test_words_near_a_position_are_counted_as_in_a_loop(some_words, monkeypatch):
    monkeypatch.setattr(base_networks, "_ANYWHERE", 1e-9)
    codes, words = some_words
    found, expected = between_near(codes, 2)
    assert found.shape == expected.shape == (12, 5**4, 4)
    np.testing.assert_allclose(found.sum(axis=2), 1)
    np.testing.assert_allclose(expected.sum(axis=2), 1)
    overall, by_position = frequencies(codes)
    for number, word, place in words:
        counts = counted(codes, word, range(max(0, place - 3), min(12, place + 4)))
        np.testing.assert_allclose(found[place, number], counts / counts.sum(), atol=1e-6)
        wanted = between(codes, 2)[number] * by_position[place] / overall
        np.testing.assert_allclose(expected[place, number], wanted / wanted.sum())
    nothing = int(around(torch.full((1, 12), MASK), 2)[0, 5])
    np.testing.assert_allclose(found[:, nothing], by_position)


def test_a_word_seldom_seen_near_a_position_is_that_of_anywhere():
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 4, (400, 20)).astype(np.uint8)
    codes[:, 8] = codes[:, 7]
    found, expected = between_near(codes, 1)

    def of(place, left, right):
        return found[place, 5 * left + right], expected[place, 5 * left + right]

    # what stands left is copied there and nowhere else
    near, usual = of(8, 2, MASK)
    assert near[2] > usual[2] + 0.05
    far, usual = of(16, 2, MASK)
    assert np.abs(far - usual).max() < 0.05


def test_words_of_which_probabilities_are_known(data):
    codes, labels = data.of("train")
    network = build(0, timed=True, local=1, **SMALL)
    x = 2 * torch.rand(3, 4, 24, generator=torch.Generator().manual_seed(0)).softmax(dim=1) - 1
    told = torch.tensor([0, 1, 2])
    with torch.no_grad():
        assert network(x, told, torch.zeros(3)).abs().max() < 1e-6
        network.begin_with(codes, labels)
        found = network(x, told, torch.zeros(3)).softmax(dim=-1).numpy()
        unsure = network(torch.full((3, 4, 24), -0.5), told, torch.zeros(3)).softmax(dim=-1).numpy()
    for row, label in enumerate(told.tolist()):
        own = codes if label == 2 else codes[labels == label]
        frequency = frequencies(own)[1]
        np.testing.assert_allclose(unsure[row], frequency, rtol=1e-4)
        # by loop over the words, each neighbour weighed by its probability times its frequency
        table, _ = between_near(own, 1)
        likely = (x[row].numpy().T + 1) / 2 * frequency
        likely /= likely.sum(axis=1, keepdims=True)
        for place in (1, 9, 22):
            means = [
                sum(p[place - 1, left] * p[place + 1, right] * table[place, 5 * left + right] for left, right in WORDS)
                for p in (likely, frequency)
            ]
            wanted = frequency[place] * means[0] / means[1]
            np.testing.assert_allclose(found[row, place], wanted / wanted.sum(), rtol=1e-3)


def test_a_word_never_seen_has_the_frequencies_of_the_shorter_one():
    codes = np.zeros((30, 9), dtype=np.uint8)
    codes[:, 4] = np.arange(30) % 2
    found = between(codes, 2)

    def of(*word):
        return found[int(around(torch.tensor([[*word[:2], 0, *word[2:]]]), 2)[0, 2])]

    # no word has a 3 in it, nor one without its farthest bases
    np.testing.assert_allclose(of(3, 3, 3, 3), frequencies(codes)[0])
    np.testing.assert_allclose(of(3, 0, 0, 4), of(4, 0, 0, 4))
    np.testing.assert_allclose(of(3, 0, 0, 3), of(4, 0, 0, 3))
    np.testing.assert_allclose(of(4, 4, 4, 4), frequencies(codes)[0])


def test_tables_begin_as_counts(data):
    codes, labels = data.of("train")
    network = build(0, context=2, local=1, **SMALL)
    network.begin_with(codes, labels)
    assert network.words.abs().max() > 0.3 and network.nearby.abs().max() > 0.3
    masked = torch.full((3, 24), MASK)
    with torch.no_grad():
        found = network(masked, torch.tensor([0, 1, 2])).softmax(dim=-1).numpy()
    for label, own in enumerate((codes[labels == 0], codes[labels == 1], codes)):
        counts = np.stack([(own == base).mean(axis=0) for base in range(4)], axis=1)
        assert np.abs(found[label] - counts).max() < 0.15
        np.testing.assert_allclose(found[label], frequencies(own)[1], rtol=1e-4)
    timed = build(0, timed=True, local=0, **SMALL)
    timed.begin_with(codes, labels)
    torch.testing.assert_close(timed.frequency, network.frequency)


def test_networks_that_cannot_be():
    for wrong, message in (
        ({"width": 20}, "width 20 a multiple of 8"),
        ({"length": 0}, "length 0 must be 1 or more"),
        ({"kernel": 4}, "kernel 4 must be odd"),
        ({"dilations": []}, r"dilations \[\] one or more"),
        ({"context": 5}, "context 5 must lie in 0 to 4"),
        ({"local": 4}, "local 4 in 0 to 3"),
        ({"dropout": 1.0}, r"dropout 1.0 in \[0, 1\)"),
    ):
        with pytest.raises(InputError, match=message):
            build(0, **SMALL | wrong)


def written(kind, folder):
    network, facts = network_of(kind), {"species": list(NAMES), "length": 24, "steps": 7}
    if kind == "masked":
        write_masked_diffusion(folder, network, facts)
    else:
        write_base_diffusion(folder, network, noise_schedule("v_prediction", "linear"), "v_prediction", facts)
    return network


READ = {"masked": read_masked_diffusion, "onehot": read_base_diffusion}


@pytest.mark.parametrize("kind", ["masked", "onehot"])
def test_a_folder_gives_the_model_back_to_us_and_to_diffusers(kind, tmp_path):
    network = written(kind, tmp_path / "ours")
    model = READ[kind](tmp_path / "ours")
    assert (model.kind, model.names, model.length) == (kind, NAMES, 24)
    assert torch.equal(called(model.network), called(network))
    if kind == "onehot":
        assert (model.prediction, model.scheduler) == ("v_prediction", noise_schedule("v_prediction", "linear"))
    facts = json.loads((tmp_path / "ours" / "dna.json").read_text())
    assert facts["kind"] == kind and facts["steps"] == 7
    assert facts["parameters"] == sum(parameter.numel() for parameter in network.parameters())
    assert torch.equal(called(BaseNetwork.from_pretrained(tmp_path / "ours")), called(network))
    network.save_pretrained(tmp_path / "theirs")
    assert sorted(path.name for path in (tmp_path / "theirs").iterdir()) == [
        "config.json",
        "diffusion_pytorch_model.safetensors",
    ]
    shutil.copy(tmp_path / "ours" / "dna.json", tmp_path / "theirs")
    assert torch.equal(called(READ[kind](tmp_path / "theirs").network), called(network))


@pytest.mark.parametrize("kind", ["masked", "onehot"])
def test_folders_that_are_none(kind, tmp_path):
    folder = tmp_path / "model"

    def wrong(file=None, **changes):
        shutil.rmtree(folder, ignore_errors=True)
        written(kind, folder)
        if file is None:
            (folder / "diffusion_pytorch_model.safetensors").unlink()
        else:
            values = json.loads((folder / file).read_text()) | changes
            (folder / file).write_text(json.dumps(values))
        with pytest.raises(InputError) as caught:
            READ[kind](folder)
        return str(caught.value)

    other = "onehot" if kind == "masked" else "masked"
    assert f"describes a model of kind '{other}'; '{kind}' is needed" in wrong("dna.json", kind=other)
    assert "species are ['A_one'], but config.json has 2 labels" in wrong("dna.json", species=["A_one"])
    assert "has 2 labels" in wrong("dna.json", species=["A_one", "A_one"])
    assert "the length is 23 in dna.json and 24 in config.json" in wrong("dna.json", length=23)
    assert "is of a UNet2DModel; a BaseNetwork is needed" in wrong("config.json", _class_name="UNet2DModel")
    assert "describes no BaseNetwork" in wrong("config.json", kernel="wide")
    assert "describes no BaseNetwork" in wrong("config.json", nonsense=1)
    assert "kernel 4 must be odd" in wrong("config.json", kernel=4)
    assert "another architecture" in wrong("config.json", width=32)
    assert "another architecture" in wrong("config.json", dilations=[1])
    assert "does not go with kind" in wrong("config.json", timed=kind == "masked")
    assert "is missing; save the weights as safetensors" in wrong()
    if kind == "onehot":
        assert "has no scheduler with beta_schedule" in wrong("dna.json", scheduler={})
        assert "choose one of logits" in wrong("dna.json", prediction="epsilon")
        assert "prediction sample and a scheduler of v_prediction" in wrong("dna.json", prediction="sample")
    (folder / "dna.json").write_text("[]")
    with pytest.raises(InputError, match="must hold a JSON object"):
        READ[kind](folder)
    (folder / "dna.json").write_text("{")
    with pytest.raises(InputError, match="no whole JSON file"):
        READ[kind](folder)
    with pytest.raises(
        InputError, match=r"dna.json is missing; a model of bases is a folder of dna/train_base_diffusion"
    ):
        READ[kind](tmp_path)


TINY = (
    "--width",
    16,
    "--kernel",
    3,
    "--dilations",
    1,
    2,
    "--batch",
    16,
    "--dropout",
    0.1,
    "--steps",
    12,
    "--points",
    3,
)


@pytest.mark.parametrize("kind", ["masked", "onehot"])
def test_the_command_trains_a_model_that_draws(kind, command, data, tmp_path):
    write_examples(tmp_path / "sequences.npz", data)
    options = ("--data", tmp_path / "sequences.npz", "--kind", kind, *TINY, "--save-every", 5)
    for out in ("a", "b"):
        code, err = command("dna/train_base_diffusion", *options, "--out", tmp_path / out)
        assert code == 0, err
    files = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert sorted(files) == ["config.json", "curve.tsv", "diffusion_pytorch_model.safetensors", "dna.json"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()} == files
    facts = json.loads(files["dna.json"])
    assert facts["species"] == list(NAMES) and facts["training_sequences"] == 500 and facts["steps"] == 12
    assert (facts["bits_per_base"] is None) == (kind == "onehot")
    assert kind == "onehot" or 1.5 < facts["bits_per_base"] < 2.5
    assert files["curve.tsv"].decode().splitlines()[0] == "step\tloss\theld_out"
    assert len(files["curve.tsv"].splitlines()) == 4
    tokens, confidence = READ[kind](tmp_path / "a").draw([0, 1, 2], 0)
    assert tokens.shape == confidence.shape == (3, 24)


def test_the_command_says_what_is_wrong(command, data, tmp_path):
    write_examples(tmp_path / "sequences.npz", data)
    options = ("--data", tmp_path / "sequences.npz", "--out", tmp_path / "out", *TINY)
    for more, message in (
        (("--kind", "onehot", "--context", 2), "--context goes with --kind masked"),
        (("--kind", "onehot", "--prediction", "sample", "--local", 1), "--local goes with --prediction logits"),
        (("--kind", "masked", "--unlabelled", 1), r"--unlabelled 1.0 must lie in [0, 1)"),
        (("--kind", "masked", "--save-every", 0), "--save-every 0 must be 1 or more"),
        (("--kind", "masked", "--width", 9), "width 9 a multiple of 8"),
        (("--kind", "onehot", "--prediction", "epsilon"), "prediction 'epsilon': choose one of"),
        (("--kind", "onehot", "--betas", "cosine"), "beta_schedule 'cosine' is unknown"),
        (("--kind", "masked", "--learning-rate", "1e30"), "lower --learning-rate"),
    ):
        code, err = command("dna/train_base_diffusion", *options, *more)
        assert code == 2, more
        assert message in err
        assert not (tmp_path / "out" / "dna.json").exists()
