"""The rules of a rule, read from the parsed workflow: nothing runs without a log, a benchmark, an environment and a digest of its code."""

import ast
import re
from pathlib import Path

import pytest
import yaml
from peers import mend_torchvision

ROOT = Path(__file__).resolve().parents[2]
# a bed has no file, and what is retrieved or drawn comes from nowhere in the graph
WITHOUT_INPUT = {"retrieve", "read_jaspar", "write_noise_images", "collect_normalizer", "prepare_denoising_images"}
TARGETS = {
    "all",
    "epd_gendna",
    "promoters",
    "imagenet",
    "sirc",
    "ensemble_diversity",
    "early_exit",
    "label_smoothing",
    "uncertainty",
    "discdiff",
    "absorb_escape",
    "dna",
    "latent_grid",
    "deis_sn",
    "samplers",
    "edd",
    "translation",
    "punc",
    "text_to_image",
}


@pytest.fixture(scope="module")
def computing(workflow):
    return [rule for rule in workflow.rules if rule.name not in TARGETS]


def test_there_are_rules_to_check_and_targets_compute_nothing(workflow, computing):
    assert len(computing) >= 15
    assert {rule.name for rule in workflow.rules} >= TARGETS
    assert all(not rule.output and rule.shellcmd is None for rule in workflow.rules if rule.name in TARGETS)
    assert workflow.default_target == "all"


def test_every_rule_has_what_a_rule_needs(computing):
    for rule in computing:
        assert rule.output, rule.name
        assert rule.input or rule.name in WITHOUT_INPUT, rule.name
        assert rule.log, rule.name
        assert rule.benchmark and str(rule.benchmark).endswith(".jsonl"), rule.name
        assert rule.message, rule.name
        assert "_cores" in rule.resources and {"mem_mb", "runtime"} <= set(rule.resources), rule.name
        assert isinstance(rule.conda_env, str) or rule.conda_env is not None, rule.name
        assert {"code", "repo"} <= set(rule.params.keys()) | ({"code"} if rule.name == "retrieve" else set()), rule.name


def test_every_rule_is_one_command_that_writes_its_log(computing):
    for rule in computing:
        assert rule.shellcmd and not rule.is_run and not rule.is_script and not rule.is_wrapper, rule.name
        assert rule.shellcmd.startswith("python {params.repo:q}/workflow "), rule.name
        assert rule.shellcmd.endswith(" > {log:q} 2>&1"), rule.name
        assert not re.search(r"[;|&`]|\$\(", rule.shellcmd.removesuffix(" 2>&1")), rule.name


def test_the_digest_is_of_the_command_that_runs(computing):
    from closure import code

    for rule in computing:
        command = rule.shellcmd.split()[2]
        if command == "sources/retrieve":  # published bytes are the same whatever code fetched them
            continue
        assert (ROOT / "workflow" / "scripts" / f"{command}.py").is_file(), rule.name
        assert rule.params.code == code(command), f"{rule.name}: params.code is not the digest of {command}"


def test_every_command_belongs_to_a_rule(computing):
    used = {rule.shellcmd.split()[2] for rule in computing} | {"promoters/read_author_csv"}
    commands = {f"{path.parent.name}/{path.stem}" for path in (ROOT / "workflow" / "scripts").glob("*/*.py")}
    assert commands == used


def test_every_option_that_a_rule_writes_is_one_of_its_command(launcher):
    """Those that only some configurations write too: they stand in the rule as `option("name", ...)` or `repeated("name", ...)`."""
    mend_torchvision()  # transformers imports it wherever it is installed
    checked = 0
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for block in re.split(r"(?m)^ *(?=rule [a-z_0-9]+:)", path.read_text())[1:]:
            block = block.split("> {log:q}")[0]
            command = re.search(r"\{params.repo:q\}/workflow ([a-z_0-9]+/[a-z_0-9]+)", block)
            if command is None:  # a target
                continue
            known = launcher.load(command[1]).parser()._option_string_actions
            written = set(re.findall(r"--[a-z][a-z0-9-]*", block[command.start() :]))
            written |= {f"--{name}" for name in re.findall(r'\b(?:option|repeated)\(\s*"([a-z0-9-]+)"', block)}
            assert written <= set(known), f"{path.name}, {command[1]}: {sorted(written - set(known))}"
            checked += len(written)
    assert checked > 300


def test_what_a_generator_asks_for_is_what_its_command_is_told(workflow):
    source = (ROOT / "rules" / "generators.smk").read_text()
    rules = {rule.name: rule for rule in workflow.rules if f"rule {rule.name}:" in source}
    told = {name for name, rule in rules.items() if rule.shellcmd and "--device {params.device}" in rule.shellcmd}
    assert told == {
        name for name, rule in rules.items() if {"device"} <= set(rule.params.keys()) and "gpu" in rule.resources
    }
    assert {"train_autoencoder", "train_latent_diffusion", "sample_generator", "refine_samples", "describe_set"} <= told
    block = "(?s)gpu=(lambda wildcards: )?(.*?),\n.*?device=(lambda wildcards: )?device\\((.*?)\\),\n"
    for name in told:
        text = (ROOT / "rules" / "generators.smk").read_text().split(f"rule {name}:")[1].split("\nrule ")[0]
        found = re.search(block, text)
        assert found and found[2] == found[4] and found[1] == found[3], name


def test_the_ledger_takes_every_scale_that_the_configuration_may_have(launcher):
    schema = yaml.safe_load((ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text())
    parser = launcher.load("claims/weigh_claims").parser()
    for scale in schema["properties"]["scale"]["enum"]:
        assert parser.parse_args(["--claims", "c", "--scale", scale, "--out", "o"]).scale == scale


def test_paths_are_quoted_for_the_shell(computing):
    for rule in computing:
        for field in re.findall(r"\{((?:input|output|log|params\.repo)[^}]*)\}", rule.shellcmd):
            assert field.endswith(":q"), f"{rule.name}: {{{field}}}"


def test_every_environment_is_used_and_every_rule_names_one_that_exists(computing):
    named = {Path(str(rule.conda_env)).name for rule in computing}
    there = {path.name for path in (ROOT / "envs").glob("*.yaml")}
    assert named == there


def test_no_rule_file_imports_snakemakes_own_name():
    for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]:
        assert not re.search(r"^\s*import workflow\b", path.read_text(), re.M), path


def test_the_snakefile_is_short():
    assert len((ROOT / "Snakefile").read_text().splitlines()) < 80


def floor(module: str) -> str:
    return module.split(".")[1] if module.count(".") > 0 else ""


def test_stories_import_the_ground_floor_and_no_other_story_but_two():
    stories = {path.name for path in (ROOT / "workflow" / "genovision").iterdir() if (path / "__init__.py").is_file()}
    for path in (ROOT / "workflow" / "genovision").rglob("*.py"):
        home = path.relative_to(ROOT / "workflow" / "genovision").parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("genovision"):
                target = floor(node.module)
                if target in stories and target != home:
                    assert home in stories, f"{path}: the ground floor imports the story {target}"
                    assert target in {"uncertainty", "samplers"}, f"{path} imports the story {target}"


def test_every_configuration_key_is_commented():
    text = (ROOT / "config" / "config.yaml").read_text()
    lines = text[
        : text.index("\ngenomes:")
    ].splitlines()  # the genomes share one comment, which explains every key of theirs
    keys = 0
    for number, line in enumerate(lines):
        if re.match(r"^ {0,6}[a-z_]+: *[^ ]", line):
            keys += 1
            assert lines[number - 1].strip().startswith("#"), (
                f"config.yaml, line {number + 1}: no comment above {line.strip()}"
            )
    assert keys >= 18


def test_overlays_change_only_known_keys():
    known = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    for path in (ROOT / "config").glob("*.yaml"):
        if path.name in ("config.yaml", "claims.yaml"):
            continue
        overlay = yaml.safe_load(path.read_text())
        assert set(overlay) <= set(known), path
