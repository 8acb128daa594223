"""Write the rule graph into README.md, or with --check say whether it is current: `python workflow/rulegraph.py`.

Snakemake draws the graph (`./run --rulegraph mermaid-js`); here the rules are put into the story that they belong to.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- rule graph: python workflow/rulegraph.py -->\n", "<!-- end of rule graph -->\n"


def stories(root: Path) -> dict[str, str]:
    """Rule -> story, from the rule files in the order in which the Snakefile includes them."""
    files = re.findall(r'^include: "(rules/\w+\.smk)"', (root / "Snakefile").read_text(encoding="utf-8"), re.M)
    return {
        name: Path(file).stem
        for file in files
        for name in re.findall(r"^ *rule ([a-z_0-9]+):", (root / file).read_text(encoding="utf-8"), re.M)
    }


def draw(raw: str, story_of: dict[str, str]) -> str:
    """Snakemake's Mermaid text -> ours: no colours, rules grouped by story, lines in a fixed order. Targets are left out."""
    names = dict(re.findall(r"(id\d+)\[([a-z_0-9]+)\]", raw))
    edges = sorted((names[a], names[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", raw))
    lines = ["flowchart LR"]
    for story in dict.fromkeys(story_of.values()):
        rules = sorted(name for name in names.values() if story_of.get(name) == story)
        if rules:
            lines += [f"  subgraph {story}", *(f"    {name}" for name in rules), "  end"]
    lines += [f"  {a} --> {b}" for a, b in edges if a in story_of and b in story_of]
    return "\n".join(lines) + "\n"


def replaced(readme: str, graph: str) -> str:
    """The README with the graph between its two marks."""
    before, rest = readme.split(BEGIN)
    return f"{before}{BEGIN}```mermaid\n{graph}```\n{END}{rest.split(END)[1]}"


def main(arguments: list[str]) -> int:
    command = [str(ROOT / "run"), "--rulegraph", "mermaid-js", "--quiet", "all", "--forceall"]
    raw = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    path = ROOT / "README.md"
    old = path.read_text(encoding="utf-8")
    new = replaced(old, draw(raw, stories(ROOT)))
    if arguments == ["--check"]:
        print("the rule graph is current" if new == old else "the rule graph is old: run python workflow/rulegraph.py")
        return int(new != old)
    path.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
