"""Where members disagree, on ensembles of which it is known; every number against a loop over positions."""

import numpy as np
import pytest
import torch

from genovision.resampling import Draws
from genovision.translation import diagnosis
from genovision.translation.diagnosis import Chunk, Setting
from genovision.translation.sequence_measures import token_measures
from genovision.uncertainty import metrics

V, M = 20, 3


def chunks(sentences=12, length=3, head=0.0, tail=0.0, seed=0, students=True):
    """Positions of an ensemble that disagrees by `head` on its five likeliest tokens and by `tail` on the others."""
    rng = np.random.default_rng(seed)
    for first in range(0, sentences, 5):
        rows = np.repeat(np.arange(first, min(first + 5, sentences)), length)
        shared = np.sort(rng.normal(size=(len(rows), 1, V)), axis=2)[:, :, ::-1] * 2
        noise = rng.normal(size=(len(rows), M, V)) * np.where(np.arange(V) < 5, head, tail)
        logs = torch.tensor(shared + noise).log_softmax(dim=2)
        scales = {"laplace_top": torch.tensor(rng.uniform(0.1, 2, (len(rows), V)))} if students else {}
        yield Chunk(rows, logs, scales)


def test_ranges_cover_the_vocabulary_once():
    for size in (1, 2, 3, 4, 20, 64, 1000):
        ranks = [rank for first, last in diagnosis.ranges(size) for rank in range(first, last + 1)]
        assert ranks == list(range(1, size + 1))


def test_subsets_use_every_member_equally_often():
    for members in (1, 3, 5):
        for number in range(1, members + 1):
            used = np.bincount(np.concatenate(diagnosis.subsets(members, number)))
            assert len(set(used)) == 1 and len(used) == members
    assert len(diagnosis.subsets(3, 3)) == 1


def test_settings_cross_temperatures_and_tokens():
    base, tried = diagnosis.settings(V, M, [2], [4, 500])
    assert base == Setting(1.0, V, M)
    crossed = {(1.0, 4, M), (1.0, V, M), (2.0, 4, M), (2.0, V, M)}
    assert set(tried) == crossed | {(1.0, V, 1), (1.0, V, 2)} and len(tried) == 6


def test_uncertainty_is_that_of_sequences():
    logs = next(iter(chunks(head=1.0, tail=1.0))).log_probs
    total, knowledge = (values[:, 0] for values in diagnosis.uncertainty(logs, [[0, 2], [1]]))
    other = token_measures(logs[None, :, [0, 2]], torch.zeros(1, len(logs), dtype=torch.long))
    torch.testing.assert_close(total, other["total"][0])
    torch.testing.assert_close(knowledge, other["mutual_information"][0])
    assert (diagnosis.uncertainty(logs, [[0, 2], [1]])[1][:, 1] == 0).all()


def test_values_are_those_of_a_loop_over_positions():
    tried = [Setting(2.0, 4, M), Setting(1.0, V, M), Setting(1.0, V, 2)]
    found = diagnosis.diagnose(chunks(head=1.0, tail=0.5), 12, tried)
    ranks, values = np.zeros((12, 5)), np.zeros((3, 12))
    for chunk in chunks(head=1.0, tail=0.5):
        for sentence, logs in zip(chunk.sentences, chunk.log_probs.numpy(), strict=True):
            order = np.argsort(-np.exp(logs).sum(axis=0))
            spread = np.abs(logs - np.median(logs, axis=0)).mean(axis=0)[order]
            ranks[sentence] += [spread[first - 1 : last].mean() / 3 for first, last in diagnosis.ranges(V)]
            p = np.exp(logs / 2) / np.exp(logs / 2).sum(axis=1, keepdims=True)
            best = np.argsort(-p.sum(axis=0))[:4]
            p = np.column_stack([p[:, best], 1 - p[:, best].sum(axis=1)])
            entropy = lambda q: -(q * np.log(q)).sum(axis=-1)  # noqa: E731
            values[0, sentence] += (entropy(p.mean(axis=0)) - entropy(p).mean()) / 3
            p = np.exp(logs)
            for number, pair in enumerate([[0, 1], [1, 2], [2, 0]]):
                if number == 0:
                    values[1, sentence] += (entropy(p.mean(axis=0)) - entropy(p).mean()) / 3
                    values[2, sentence] += (entropy(p[pair].mean(axis=0)) - entropy(p[pair]).mean()) / 3
    np.testing.assert_allclose(found.ranks["teachers"], ranks)
    np.testing.assert_allclose(found.values[tried[0], "mutual_information"], values[:1])
    np.testing.assert_allclose(found.values[tried[1], "mutual_information"], values[1:2])
    assert found.values[tried[2], "mutual_information"].shape == (3, 12)
    np.testing.assert_allclose(found.values[tried[2], "mutual_information"][0], values[2])
    assert found.positions["teachers"].shape == (36, 5)
    assert found.values[tried[1], "spread"].shape == (1, 12) and (tried[2], "spread") not in found.values


def test_a_setting_has_the_same_values_in_any_company():
    _, tried = diagnosis.settings(V, M, [0.5], [2, 8])
    together = diagnosis.diagnose(chunks(head=1.0, tail=0.5), 12, tried)
    for setting in tried:
        alone = diagnosis.diagnose(chunks(head=1.0, tail=0.5), 12, [setting])
        for (_, measure), values in alone.values.items():
            np.testing.assert_allclose(together.values[setting, measure], values, rtol=1e-10)


def test_the_whole_spread_is_the_mean_over_the_ranges():
    found = diagnosis.diagnose(chunks(head=1.0, tail=0.5), 12, [Setting(1.0, V, M)])
    sizes = [last - first + 1 for first, last in diagnosis.ranges(V)]
    whole = found.ranks["teachers"] @ sizes / V
    np.testing.assert_allclose(found.values[Setting(1.0, V, M), "spread"][0], whole)


def test_students_scales_are_by_the_teachers_ranks():
    def marked():
        for chunk in chunks(tail=0.1):
            order = chunk.log_probs.logsumexp(dim=1).argsort(dim=1, descending=True)
            scale = torch.full(order.shape, 0.5, dtype=torch.float64)
            yield chunk._replace(scales={"laplace": scale.scatter(1, order[:, 3:7], 2.0)})  # ranks 4 to 7

    found = diagnosis.diagnose(marked(), 12, [Setting(1.0, V, M)])
    np.testing.assert_allclose(found.ranks["laplace"], np.tile([0.5, 0.5, 2.0, 0.5, 0.5], (12, 1)))
    np.testing.assert_allclose(found.heavy["laplace"], [0, 0, 1, 0, 0])
    assert "teachers" not in found.heavy


def found_on(sets, tried, students=False):
    return {
        key: diagnosis.diagnose(chunks(40, head=head, tail=tail, seed=seed, students=students), 40, tried)
        for seed, (key, (head, tail)) in enumerate(sets.items())
    }


def test_a_signal_is_found_where_it_is():
    """OOD differs in the head alone: the spread is a signal there and none in the tail, and where the tail is noise, k helps."""
    base, tried = diagnosis.settings(V, M, [], [4])
    sets = found_on({"test": (0.1, 0.8), "ood": (0.25, 0.8), "far": (1.2, 0.8)}, tried)
    table = diagnosis.spread_table(sets, V, Draws(50, 0)).set_index(["set", "first"])
    assert table.loc[("ood", 1), "auroc"] > 0.7 and table.loc[("ood", 2), "auroc"] > 0.8
    assert 0.25 < table.loc[("ood", 16), "auroc"] < 0.75
    assert table.loc[("ood", 1), "auroc_low"] <= table.loc[("ood", 1), "auroc"] <= table.loc[("ood", 1), "auroc_high"]
    assert np.isnan(table.loc[("test", 1), "auroc"]) and table["heavy"].isna().all()
    plain = metrics.auroc(*(-sets[key].ranks["teachers"][:, 1] for key in ("test", "ood")))
    assert table.loc[("ood", 2), "auroc"] == pytest.approx(plain)
    experiment = diagnosis.experiment_table({0.1: sets}, base, 0.1, Draws(50, 0))
    rows = experiment.set_index(["k", "members", "measure", "set"])
    assert rows.loc[(4, M, "spread", "ood"), "value"] > rows.loc[(V, M, "spread", "ood"), "value"] + 0.05
    means = experiment[experiment["set"] == "ood_mean"].set_index(["k", "members", "measure"])["value"]
    assert means[4, M, "spread"] == pytest.approx(
        np.mean([rows.loc[(4, M, "spread", key), "value"] for key in ("ood", "far")])
    )


def test_the_experiment_is_paired_with_the_run():
    base, tried = diagnosis.settings(V, M, [2.0], [4])
    sets = found_on({"test": (0.2, 0.3), "ood": (0.5, 0.3)}, tried)
    table = diagnosis.experiment_table({0.1: sets, 0.0: sets}, base, 0.1, Draws(50, 0))
    own = table[table["base"] == "yes"]
    assert set(own["smoothing"]) == {0.1} and (own[["difference", "difference_low", "difference_high"]] == 0).all(
        axis=None
    )
    same = table[
        (table["smoothing"] == 0.0) & (table["temperature"] == 1) & (table["k"] == V) & (table["members"] == M)
    ]
    assert (same[["difference_low", "difference_high"]] == 0).all(axis=None) and set(same["base"]) == {"no"}
    single = table[(table["members"] == 1) & (table["measure"] == "mutual_information")]
    assert (single["value"] == 0.5).all()
    pairs = table[(table["members"] == 2) & (table["measure"] == "mutual_information") & (table["set"] == "ood")]
    plain = [
        metrics.auroc(
            *(-sets[key].values[base._replace(members=2), "mutual_information"][n] for key in ("test", "ood"))
        )
        for n in range(3)
    ]
    assert pairs["value"].iloc[0] == pytest.approx(np.mean(plain))
    assert not table.duplicated(["smoothing", "temperature", "k", "members", "measure", "set"]).any()


def test_a_sentence_without_a_position_is_named():
    with pytest.raises(ValueError, match="sentence 12 has no position"):
        diagnosis.diagnose(chunks(12), 13, [Setting(1.0, V, M)])
