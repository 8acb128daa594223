"""The parsed workflow, as Snakemake sees it."""

from pathlib import Path

import pytest
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def workflow():
    """The workflow under the desk's configuration."""
    with SnakemakeApi(OutputSettings(quiet=set())) as api:
        handle = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(),
            snakefile=ROOT / "Snakefile",
            workdir=ROOT,
        )
        parsed = handle._get_workflow(check_envvars=False)
        parsed.include(ROOT / "Snakefile", overwrite_default_target=True)
        yield parsed
