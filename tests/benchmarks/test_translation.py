"""What students cost beside a member and an ensemble of three, decoding and scoring 300 sentences, and how much of a batch is padding.

The networks have the desk's sizes and random weights, sentences have the lengths of the bitext, and every translation ends at its
limit, so that all systems write as many tokens. Ratios are printed beside what is asked for, no time is asserted. All are processor seconds
on one thread, the least of several rounds.
"""

import time

import numpy as np
import pytest
from peers import mend_torchvision

torch = pytest.importorskip("torch")
mend_torchvision()  # transformers imports torchvision wherever it is installed

from genovision.translation.batches import make_corpus, token_batches, waste  # noqa: E402
from genovision.translation.decoding import limit_of  # noqa: E402
from genovision.translation.families import DIRICHLETS, noise_of  # noqa: E402
from genovision.translation.network import Sizes, Translator, build  # noqa: E402
from genovision.translation.scoring import of_members, of_student, score_corpus  # noqa: E402
from genovision.translation.students import FULL, Student  # noqa: E402
from genovision.translation.tokenizer import END, PAD, START  # noqa: E402

SENTENCES, VOCABULARY = 300, 2000
SUPPORT, SAMPLES = 64, 25
AIM = 1.3  # a student's seconds beside a member's
# (family, tokens of a support that are drawn); 0: the whole vocabulary, as published
STUDENTS = (
    ("end", None),
    ("dirichlet", None),
    ("laplace_top", None),
    ("gaussian_top", None),
    ("laplace", None),
    ("laplace", 0),
)

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network(seed: int, head: str | None = None) -> Translator:
    """Random weights that never end a sentence before the limit."""
    found = build(Sizes(VOCABULARY, width=192, layers=1, inner=768), seed, head).eval()
    with torch.no_grad():
        found.network.model.shared.weight[[PAD, START, END]] = 0
        found.network.model.decoder.layer_norm.bias.fill_(0.1)
    return found


@pytest.fixture(scope="module")
def corpus():
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(2.0, 0.5, SENTENCES).astype(int), 2, 50)
    sources = [np.append(rng.integers(3, VOCABULARY, size=length), END) for length in lengths]
    targets = [
        np.append(rng.integers(3, VOCABULARY, size=max(1, length + rng.integers(-2, 3))), END) for length in lengths
    ]
    return make_corpus(sources, targets, VOCABULARY)


def student(family: str) -> Student:
    head = "precision" if family in DIRICHLETS else "scale" if noise_of(family) else None
    bounds = (1.0, 1e6) if family in DIRICHLETS else (1e-3, 10.0)
    return Student(network(0, head), family, VOCABULARY if family in FULL else SUPPORT, bounds=bounds)


def seconds(networks, judge, corpus) -> float:
    start = time.process_time()
    _, cost = score_corpus(networks, judge, corpus)
    assert cost.tokens == sum(map(limit_of, corpus.source_lengths))
    return time.process_time() - start


@pytest.mark.benchmark(group="decoding and scoring 300 sentences")
@pytest.mark.parametrize(("family", "drawn"), STUDENTS)
def test_a_student_beside_a_member_and_an_ensemble(benchmark, corpus, family, drawn):
    single, ensemble = [network(0)], [network(seed) for seed in range(3)]
    one = student(family)
    support = VOCABULARY if drawn == 0 else drawn
    judges = {"a member": (single, of_members(single)), "an ensemble of 3": (ensemble, of_members(ensemble))}
    own = ([one.network], of_student(one, SAMPLES, 0, support))
    times: dict[str, list[float]] = {"own": []} | {name: [] for name in judges}

    def once():
        # one after the other, so that what else the machine does meets all of them
        times["own"].append(seconds(*own, corpus))
        for name, system in judges.items():
            times[name].append(seconds(*system, corpus))

    benchmark.pedantic(once, rounds=2, warmup_rounds=1)
    least = {name: min(found) for name, found in times.items()}
    label = f"{family}, {f'{SAMPLES} samples of ' if noise_of(family) else ''}{'the whole vocabulary' if drawn == 0 else 'a support'}"
    print(f"\n{label if noise_of(family) else family}: {least['own']:.2f} s of the processor for {SENTENCES} sentences")
    for name, aim in (("a member", None if drawn == 0 else AIM), ("an ensemble of 3", None)):
        ratio = least["own"] / least[name]
        benchmark.extra_info[f"times {name}"] = round(ratio, 2)
        print(f"  {ratio:.2f} times {name}" + (f" (aim: at most {aim})" if aim else ""))


@pytest.mark.parametrize("budget", [200, 400, 2000])
def test_padding_of_training_batches(corpus, budget):
    found = waste(corpus, token_batches(corpus, budget, 0, 0))
    print(f"\nbudget of {budget} tokens: {100 * found:.1f} % padding (aim: at most 15)")
    assert found <= 0.15
