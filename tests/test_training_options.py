"""Options that commands of training share: defaults of one value or of several, what is refused, and who diverged."""

import argparse
import math

import pytest

torch = pytest.importorskip("torch")

from genovision import training_options  # noqa: E402
from genovision.errors import InputError  # noqa: E402
from genovision.training import Point, Recipe, Trained  # noqa: E402


def parsed(*given, **options):
    p = argparse.ArgumentParser()
    training_options.add(p, **({"batch": 8, "learning_rate": 1e-3, "seed": "all"} | options))
    return p.parse_args(list(given))


def test_a_recipe_is_made_of_the_options():
    args = parsed("--steps", "7", "--budget", "400", "--seed", "3", "--average", "0", of="target tokens")
    assert training_options.recipe(args) == Recipe(7, 400, 1e-3, 0.01, 0.0, seed=3)
    assert (args.points, args.save_every, args.threads, args.device) == (8, 500, 1, "auto")


def test_a_default_may_depend_on_another_option():
    args = parsed("--batch", "5", steps="600, long 900", learning_rate="1e-3, long 1e-2", average=None)
    usual = {"steps": 900, "batch": 16, "learning_rate": 1e-2, "kl_weight": 1.0}
    assert training_options.recipe(args, **usual) == Recipe(900, 5, 1e-2, 0.01, 0.0)


def test_steps_without_a_default_are_asked_for(capsys):
    with pytest.raises(SystemExit):
        parsed()
    assert "--steps" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["threads", "save-every", "points"])
def test_a_number_that_allows_no_training_is_refused(name):
    with pytest.raises(InputError, match=f"--{name} 0 must be 1 or more"):
        training_options.recipe(parsed(f"--{name}", "0", steps=3))


@pytest.mark.parametrize(("loss", "measured"), [(math.nan, 0.0), (1.0, math.inf)])
def test_what_diverged_is_named(loss, measured):
    recipe = Recipe(9, 8, 0.5)
    training_options.refuse_divergence(Trained(None, [Point(9, 1.0, 2.0)]), "the network", recipe)
    with pytest.raises(InputError, match=r"the network diverged at step 4 .*lower --learning-rate 0.5"):
        training_options.refuse_divergence(Trained(None, [Point(4, loss, measured)]), "the network", recipe)
