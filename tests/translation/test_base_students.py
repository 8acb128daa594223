"""Students over few letters: what they begin as, what each loss is least at, that they learn where members disagree, and their measures."""

import copy
import math
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from genovision.errors import InputError  # noqa: E402
from genovision.training import Recipe, train  # noqa: E402
from genovision.translation.base_students import (  # noqa: E402
    FAMILIES,
    MEASURES,
    NOISE,
    TRAIN,
    VALIDATION,
    BaseStudent,
    Cache,
    Lessons,
    Said,
    ensemble_measures,
    held_out,
    member_logs,
    read_cache,
    read_facts,
    read_student,
    student_measures,
    write_cache,
    write_student,
)
from genovision.translation.dirichlet import proxy_target, sample_dirichlet  # noqa: E402
from genovision.translation.families import DIRICHLETS, bounds_of, loss, typical_spread  # noqa: E402
from genovision.translation.logit_noise import fit_gaussian, fit_laplace, noise  # noqa: E402
from genovision.translation.sequence_measures import KNOWLEDGE, sequence_uncertainty  # noqa: E402

SPREADS = {"laplace": 0.3, "gaussian": 0.3, "dirichlet": 50.0, "proxy_dirichlet": 50.0, "end": None}


class Toy(nn.Module):
    """The next letter from the letters before it and a label; its inner layer gives several outputs, as torch's recurrent ones do."""

    def __init__(self, letters=4, seed=0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.embedding = nn.Embedding(letters + 3, 6)
            self.recurrent = nn.GRU(6, 8, batch_first=True)
            self.plain, self.readout, self.drop = nn.Identity(), nn.Linear(8, letters), nn.Dropout(0.5)
        self.letters = letters

    def forward(self, tokens, labels):
        before = torch.cat([self.letters + labels[:, None], tokens[:, :-1]], dim=1)
        return self.readout(self.drop(self.plain(self.recurrent(self.embedding(before))[0])))


def student(family, inner="recurrent", seed=0, letters=4):
    return BaseStudent(Toy(letters, seed), family, inner=inner, width=8, letters=letters, start=SPREADS[family])


def question(rows=7, length=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(4, (rows, length), generator=generator), torch.arange(rows) % 3


def members(rows=7, length=9, number=3, seed=1, spread=0.4):
    generator = torch.Generator().manual_seed(seed)
    centre = torch.randn(rows, length, 1, 4, generator=generator)
    return (centre + spread * torch.randn(rows, length, number, 4, generator=generator)).log_softmax(dim=-1)


def cache(rows=60, length=12, number=3, seed=0):
    """Members whose logits differ by about 0.1, but for the letters behind an A, where it is 1."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, (rows, length)).astype(np.uint8)
    tables = rng.normal(size=(1, 5, 4)) + np.array([1.0, 0.1, 0.1, 0.1, 0.1])[:, None] * rng.normal(size=(number, 5, 4))
    before = np.concatenate([np.full((rows, 1), 4), codes[:, :-1]], axis=1)
    logs = torch.from_numpy(tables[:, before]).permute(1, 2, 0, 3).log_softmax(dim=-1).numpy().astype(np.float16)
    fold = (np.arange(rows) % 4 == 3).astype(np.uint8)
    return Cache(codes, np.full(rows, 2), logs, fold, ("one", "two"))


# --- students --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inner", ["recurrent", "plain"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_student_begins_as_its_network_with_one_spread_everywhere(family, inner):
    found = student(family, inner).eval()
    tokens, labels = question()
    said = found(tokens, labels)
    assert torch.equal(said.logs, found.network(tokens, labels).log_softmax(dim=-1))
    if family == "end":
        assert said.spread is None and found.head is None
        return
    assert said.spread.shape == (7, 9, 1 if family in DIRICHLETS else 4)
    assert torch.allclose(said.spread, torch.tensor(SPREADS[family]))
    if family in DIRICHLETS:
        assert torch.allclose(said.alpha.sum(dim=-1), torch.tensor(50.0, dtype=torch.float64), rtol=1e-5)
    # nothing stays hung on the network, and a copy reads its own
    assert not found.network.get_submodule(inner)._forward_hooks
    other = copy.deepcopy(found)
    with torch.no_grad():
        other.head.weight += 1
        other.network.recurrent.weight_ih_l0 *= 2
    assert torch.equal(found(tokens, labels).spread, said.spread)
    assert not torch.allclose(other(tokens, labels).spread, said.spread)


def test_the_second_output_reads_only_what_came_before():
    found = student("laplace").eval()
    with torch.no_grad():
        found.head.weight.normal_(generator=torch.Generator().manual_seed(0))
    tokens, labels = question()
    changed = tokens.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % 4
    one, other = found(tokens, labels), found(changed, labels)
    assert torch.equal(one.spread[:, :6], other.spread[:, :6]) and torch.equal(one.logs[:, :6], other.logs[:, :6])
    assert not torch.allclose(one.spread[:, 6:], other.spread[:, 6:])


def test_students_that_can_not_be():
    with pytest.raises(ValueError, match="'cauchy' is none of end, dirichlet"):
        BaseStudent(Toy(), "cauchy", inner="recurrent", width=8)
    with pytest.raises(ValueError, match="no module 'absent'"):
        BaseStudent(Toy(), "laplace", inner="absent", width=8)
    with pytest.raises(ValueError, match="a scale must lie between"):
        BaseStudent(Toy(), "laplace", inner="recurrent", width=8, start=20.0)


# --- losses ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_each_loss_is_least_where_its_family_fits(family):
    logs = members().double()
    mean = logs.exp().mean(dim=2)
    if family == "end":
        best = Said(mean.log(), None)
        # what is left is what the members disagree about
        disagreement = (torch.special.xlogy(logs.exp(), logs.exp()).sum(-1).mean(2)) - (mean * mean.log()).sum(-1)
        assert (loss(family, *best, logs) - disagreement).abs().max() < 1e-12
    elif family == "proxy_dirichlet":
        target = proxy_target(logs) - 1  # the loss adds 1 to the parameters of both
        total = target.sum(dim=-1, keepdim=True)
        best = Said((target / total).log(), total)
        assert loss(family, *best, logs).abs().max() < 1e-9
    elif family == "dirichlet":
        raw = torch.zeros(7, 9, 5, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([raw], max_iter=300, line_search_fn="strong_wolfe", tolerance_change=1e-14)

        def closure():
            optimizer.zero_grad()
            value = loss(family, *Said(raw[..., :4].log_softmax(-1), raw[..., 4:].exp() * 4), logs).sum()
            value.backward()
            return value

        optimizer.step(closure)
        best = Said(raw[..., :4].log_softmax(-1).detach(), (raw[..., 4:].exp() * 4).detach())
    else:
        # with little weight on the divergence the location is the members' own
        location, scale = {"laplace": fit_laplace, "gaussian": fit_gaussian}[family](logs)
        best = Said(location, scale)
    least = loss(family, *best, logs, weight=1e6)
    assert least.shape == (7, 9)
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        moved = best.logs + 0.05 * torch.randn(best.logs.shape, generator=generator, dtype=torch.float64)
        if family not in ("laplace", "gaussian"):
            moved = moved.log_softmax(-1)
        assert (loss(family, *best._replace(logs=moved), logs, weight=1e6) > least - 1e-9).all()
        if best.spread is not None:
            for factor in (0.9, 1.1):
                other = best._replace(spread=best.spread * factor)
                assert (loss(family, *other, logs, weight=1e6) > least).all()


def test_the_weight_of_the_noise_adds_its_likelihood_to_the_divergence():
    logs = members()
    location, scale = fit_laplace(logs)
    said = Said(location.log_softmax(-1), scale + 0.1)
    divergence = loss("end", *said, logs)
    one, two = (loss("laplace", *said, logs, weight=weight) - divergence for weight in (1.0, 2.0))
    assert torch.allclose(two, 2 * one, atol=1e-5) and one.abs().min() > 1e-3


def test_where_students_begin_is_what_members_spread_by():
    logs = members(40, 30, 5, spread=0.1)
    stored = logs.numpy().astype(np.float16)
    assert typical_spread("end", member_logs(stored), (1e-3, 10.0)) is None
    assert typical_spread("laplace", member_logs(stored), bounds_of("laplace")) == pytest.approx(
        float(fit_laplace(logs)[1].mean()), rel=0.02
    )
    assert typical_spread("gaussian", member_logs(stored), bounds_of("gaussian")) == pytest.approx(
        float(fit_gaussian(logs)[1].mean()), rel=0.02
    )
    drawn = sample_dirichlet(torch.full((50, 40, 4), 20.0), 8, torch.Generator().manual_seed(0)).numpy()
    kept = member_logs(drawn.astype(np.float16))
    assert typical_spread("dirichlet", kept, bounds_of("dirichlet")) == pytest.approx(80, rel=0.25)
    same = np.repeat(stored[:, :, :1], 3, axis=2)
    for family in FAMILIES[1:]:  # members that agree have no spread, and a student can begin all the same
        start = typical_spread(family, member_logs(same), bounds_of(family))
        assert BaseStudent(Toy(), family, inner="recurrent", width=8, start=start)


@pytest.mark.parametrize("family", FAMILIES[1:])
def test_a_student_learns_where_members_disagree(family, tmp_path):
    torch.set_num_threads(1)
    found = cache(80)
    lessons = Lessons(found.of(TRAIN), batch=20, seed=0, noise_weight=1.0)
    start = typical_spread(family, member_logs(lessons.cache.logs), bounds_of(family))
    pupil = BaseStudent(Toy(seed=3), family, inner="recurrent", width=8, start=start)
    for module in pupil.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    before = held_out(pupil.eval(), found.of(VALIDATION), 1.0)
    trained = train(
        pupil,
        lessons.loss,
        Recipe(steps=300, batch=20, learning_rate=3e-2, average=0.9),
        lambda one: 0.0,
        tmp_path,
        "mark",
        tell=lambda _: None,
    )
    torch.use_deterministic_algorithms(False)
    after = held_out(trained.network, found.of(VALIDATION), 1.0)
    apart = [abs(found["bits"] - found["ensemble_bits"]) for found in (before, after)]
    assert after["loss"] < before["loss"] - 0.02 and apart[1] < apart[0] / 3
    said = trained.network(*(torch.from_numpy(one.astype(np.int64)) for one in (found.codes, found.labels)))
    spread = said.spread.detach().mean(dim=2)[:, 1:]
    behind = torch.from_numpy(found.codes[:, :-1] == 0)
    if family in DIRICHLETS:
        spread = 1 / spread
    assert float(spread[behind].mean()) > 3 * float(spread[~behind].mean())


# --- what students say -----------------------------------------------------------------------------------------------------------------


def test_an_ensemble_is_measured_as_sequences_are():
    logs, (tokens, _) = members(), question()
    found, peer = ensemble_measures(logs, tokens), sequence_uncertainty(logs, tokens)
    assert set(found) == {*MEASURES, "nll"} and all(torch.equal(found[name], peer[name]) for name in MEASURES)
    mean = logs.double().exp().mean(dim=2).log().gather(2, tokens[..., None])
    assert torch.allclose(found["nll"], -mean.mean(dim=(1, 2)))


@pytest.mark.parametrize("family", ["laplace", "gaussian"])
def test_samples_of_a_student_are_measured_as_members_are(family):
    said = Said(members(20)[:, :, 0], members(20)[:, :, 1].exp())
    tokens, _ = question(20)
    drawn = noise(family, 9, 6, 4, seed=5)
    found = student_measures(family, said, tokens, drawn)
    assert set(found) == {*MEASURES, *NOISE, "nll"} and drawn.shape == (9, 6, 4)
    by_hand = torch.stack([(said.logs + said.spread * drawn[:, s]).log_softmax(-1) for s in range(6)], dim=2)
    peer = sequence_uncertainty(by_hand, tokens)
    assert all(torch.allclose(found[name], peer[name], atol=1e-6) for name in MEASURES)
    assert torch.allclose(found["nll"], -said.logs.gather(2, tokens[..., None]).double().mean(dim=(1, 2)))
    p = said.logs.double().exp()
    assert torch.allclose(found["location_entropy"], -(p * p.log()).sum(-1).mean(-1), atol=1e-6)
    assert torch.allclose(found["mean_scale"], said.spread.double().mean(dim=(1, 2)))
    assert torch.allclose(found["heavy_share"], (said.spread >= 1).double().mean(dim=(1, 2)))
    # a sequence is scored alone as among others, and twice alike; another seed draws otherwise
    alone = student_measures(
        family, Said(said.logs[2:3], said.spread[2:3]), tokens[2:3], noise(family, 9, 6, 4, seed=5)
    )
    assert all(torch.allclose(alone[name], found[name][2:3], rtol=1e-12) for name in found)
    again = student_measures(family, said, tokens, drawn)
    assert all(torch.equal(again[name], found[name]) for name in found)
    other = student_measures(family, said, tokens, noise(family, 9, 6, 4, seed=6))
    assert not torch.allclose(other["mutual_information"], found["mutual_information"])
    assert torch.equal(other["nll"], found["nll"])


def test_noise_without_scale_knows_nothing_and_more_of_it_knows_more():
    tokens, _ = question()
    location, drawn = members()[:, :, 0], noise("laplace", 9, 20, 4, seed=0)
    known = [
        student_measures("laplace", Said(location, torch.full_like(location, scale)), tokens, drawn)
        for scale in (1e-9, 0.1, 0.5)
    ]
    assert all((known[0][name] < 1e-12).all() for name in KNOWLEDGE)
    for less, more in pairwise(known):
        assert (more["mutual_information"] > less["mutual_information"]).all()


@pytest.mark.parametrize("family", DIRICHLETS)
def test_a_dirichlet_s_closed_forms_are_those_of_its_draws(family):
    tokens, _ = question(3, 5)
    said = Said(members(3, 5)[:, :, 0], torch.tensor([3.0, 20.0, 200.0])[:, None, None].expand(3, 5, 1))
    found = student_measures(family, said, tokens)
    assert set(found) == {*MEASURES, "nll"}
    drawn = sample_dirichlet(said.alpha, 40_000, torch.Generator().manual_seed(0))
    peer = sequence_uncertainty(drawn, tokens)
    for name in (
        "total",
        "data",
        "mutual_information",
        "epkl",
        "rmi",
        "sequence_total_pe",
        "sequence_data",
        "sequence_rmi_pe",
    ):
        assert torch.allclose(found[name], peer[name], rtol=0.05, atol=2e-3), name
    assert torch.allclose(found["nll"], -said.logs.gather(2, tokens[..., None]).double().mean(dim=(1, 2)))
    # draws of one position know nothing of those of another
    for name in ("total", "rmi", "sequence_total", "sequence_rmi"):
        one, other = (f"{name}_pe", f"{name}_ep") if "sequence" in name else (name, f"{name}_ep")
        assert torch.equal(found[one], found[other])
    assert torch.allclose(peer["sequence_total_ep"], found["sequence_total_ep"], atol=0.05)


def test_a_student_of_the_mean_has_no_knowledge():
    said, (tokens, _) = Said(members()[:, :, 0], None), question()
    found = student_measures("end", said, tokens)
    assert set(found) == {*MEASURES, "nll"} and all((found[name] == 0).all() for name in KNOWLEDGE)
    assert torch.allclose(found["nll"], found["sequence_total_pe"])


# --- lessons ---------------------------------------------------------------------------------------------------------------------------


def test_every_sequence_is_taken_once_before_one_is_taken_again():
    lessons = Lessons(cache(45).of(TRAIN), batch=10, seed=0)  # 34 sequences
    epochs = [np.concatenate([lessons.rows(3 * epoch + k) for k in range(3)]) for epoch in range(2)]
    assert all(len(set(rows.tolist())) == 30 for rows in epochs) and not np.array_equal(*epochs)
    again = Lessons(cache(45).of(TRAIN), batch=10, seed=0)
    assert np.array_equal(again.rows(4), lessons.rows(4))  # whatever was asked before
    assert not np.array_equal(Lessons(cache(45).of(TRAIN), batch=10, seed=1).rows(0), lessons.rows(0))


def test_a_loss_is_a_matter_of_seed_and_step():
    lessons, pupil = Lessons(cache(45).of(TRAIN), batch=10, seed=0), student("laplace").train()
    values = [float(lessons.loss(pupil, step).detach()) for step in (4, 0, 4)]
    assert values[0] == values[2] != values[1]
    state = torch.random.get_rng_state()
    lessons.loss(pupil, 1)
    assert torch.equal(torch.random.get_rng_state(), state)
    with pytest.raises(InputError, match="a batch of 100 is more than the 34 training sequences"):
        Lessons(cache(45).of(TRAIN), batch=100, seed=0)
    with pytest.raises(InputError, match="weight of the noise"):
        Lessons(cache(45).of(TRAIN), batch=10, seed=0, noise_weight=0.0)


def test_what_is_held_out_is_the_same_in_any_batch():
    found, pupil = cache(45).of(VALIDATION), student("gaussian").eval()
    one, other = held_out(pupil, found, batch=4), held_out(pupil, found, batch=64)
    assert one == pytest.approx(other, rel=1e-6)
    logs = member_logs(found.logs).double()
    came = logs.exp().mean(dim=2).gather(2, torch.from_numpy(found.codes.astype(np.int64))[..., None])
    assert one["ensemble_bits"] == pytest.approx(-float(came.log2().mean()))


# --- on disk ---------------------------------------------------------------------------------------------------------------------------


def test_a_cache_comes_back(tmp_path):
    found = cache()
    write_cache(tmp_path / "c.npz", found)
    back = read_cache(tmp_path / "c.npz")
    assert all(np.array_equal(a, b) for a, b in zip(found, back, strict=True)) and back.logs.dtype == np.float16
    assert len(back.of(VALIDATION).codes) == 15 and back.of(TRAIN).part(np.arange(2)).codes.shape == (2, 12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c._replace(logs=c.logs[:, :, :1]), "has 1 member; a student learns the spread of two or more"),
        (lambda c: c._replace(logs=c.logs[:, :5]), r"codes \(60, 12\), logs \(60, 5, 3, 4\)"),
        (lambda c: c._replace(labels=c.labels[:9]), r"labels \(9,\)"),
        (lambda c: c._replace(fold=c.fold * 0), "has no validation sequence"),
        (lambda c: c._replace(fold=c.fold * 0 + 1), "has no training sequence"),
        (lambda c: c._replace(codes=c.codes + 2), "letter 5 is none of the 4 that the members know"),
        (
            lambda c: c._replace(logs=np.where(np.arange(60)[:, None, None, None] == 41, np.float16(np.nan), c.logs)),
            "member 0 gives no distribution for sequence 41 at position 0",
        ),
        (
            lambda c: c._replace(logs=c.logs + np.float16(1)),
            "member 0 gives no distribution for sequence 0 at position 0",
        ),
    ],
)
def test_caches_that_are_refused(change, message, tmp_path):
    write_cache(tmp_path / "c.npz", change(cache()))
    with pytest.raises(InputError, match=message):
        read_cache(tmp_path / "c.npz")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_student_comes_back(family, tmp_path):
    found = student(family).eval()
    if found.head is not None:
        with torch.no_grad():
            found.head.weight.normal_(generator=torch.Generator().manual_seed(0))
    write_student(tmp_path, found, {"seed": 3})
    back = read_student(tmp_path, copy.deepcopy(found.network))
    tokens, labels = question()
    one, other = found(tokens, labels), back(tokens, labels)
    assert torch.allclose(one.logs, other.logs, atol=1e-6) and not back.training
    assert family == "end" or torch.allclose(one.spread, other.spread, rtol=1e-5)
    assert read_facts(tmp_path)["seed"] == 3 and read_facts(tmp_path)["family"] == family
    with pytest.raises(InputError, match="was written with another network"):
        read_student(tmp_path, Toy(seed=9))


def test_folders_that_hold_no_student(tmp_path):
    with pytest.raises(InputError, match=r"student\.json is missing"):
        read_facts(tmp_path)
    for text, message in (
        ("{", "no whole JSON"),
        ("[]", "is of no student"),
        ('{"family": "cauchy"}', "is of no student"),
    ):
        (tmp_path / "student.json").write_text(text)
        with pytest.raises(InputError, match=message):
            read_facts(tmp_path)
    found = student("laplace")
    write_student(tmp_path, found, {})
    (tmp_path / "head.safetensors").write_bytes(b"x")
    with pytest.raises(InputError, match="no whole safetensors"):
        read_student(tmp_path, found.network)


def test_a_scale_past_one_is_told():
    """The alarm of logit noise: with four letters nothing swamps the rest, but a scale of 1 is one still."""
    tokens, _ = question()
    location = torch.full((7, 9, 4), -math.log(4))
    found = student_measures(
        "laplace", Said(location, torch.full_like(location, 1.5)), tokens, noise("laplace", 9, 25, 4, 0)
    )
    assert (found["heavy_share"] == 1).all() and (found["mutual_information"] <= math.log(4)).all()
