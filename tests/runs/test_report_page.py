"""The report in a real browser without network: every figure appears."""

import re
import shutil
import subprocess

import pytest
from checkouts import skip_unless_required

pytestmark = [pytest.mark.run, pytest.mark.data, pytest.mark.browser]

COUNT = """<script>addEventListener("load", () => {
  const images = [...document.images];
  document.title = images.length + " images, " + images.filter(i => !i.naturalWidth).length + " broken, " +
    document.querySelectorAll("#ledger tbody tr").length + " claims";
})</script>"""


def test_the_page_shows_every_figure_without_network(finished, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        skip_unless_required("browser", "no Chromium is installed")
    page = tmp_path / "report.html"
    page.write_text((finished / "results" / "report.html").read_text().replace("</body>", f"{COUNT}</body>"))
    options = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    options += " --disable-component-update --disable-sync --virtual-time-budget=10000"
    command = [
        browser,
        *options.split(),
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
        page.as_uri(),
    ]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    images, broken, claims = map(
        int, re.search(r"<title>(\d+) images, (\d+) broken, (\d+) claims</title>", dom).groups()
    )
    assert images == 5  # window counts, and two figures for each of two species
    assert broken == 0
    assert claims >= 30
