"""What `bench.peers` has measured: bench/peers.md, bench/peers.png and the table in README.md."""

from pathlib import Path

from bench.rivals import OURS, OURS_SIGNED, QUESTIONS, RIVALS

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- make peers: begin -->", "<!-- make peers: end -->"
ASKED = {
    "maximum": "the largest cosine",
    "nearest": "each row's nearest",
    "pairs": "the 1000 closest pairs, by threshold",
    "histogram": "all angles in 180 bins",
}


def line(cells: list) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def grid(header: list[str], rows: list[list]) -> str:
    return "\n".join([line(header), line(["---"] * len(header)), *map(line, rows)])


def versions(records: list[dict]) -> dict[str, str]:
    return {r["peer"]: f"{r['peer']} {r['version']}" for r in records if "version" in r}


def mebibytes(record: dict) -> str:
    return f"{record['extra_bytes'] / 2**20:,.0f}"


def absences(records: list[dict]) -> list[str]:
    """One line a rival that did not answer, and why."""
    found = {f"{r['peer']}: {r['failure']}": None for r in records if "failure" in r}
    return [f"- {text}" for text in found]


def summary(records: list[dict]) -> str:
    """A row a rival: how many times our seconds, a column a question; the most memory of all."""
    names = versions(records)
    rows = []
    for peer in RIVALS:
        own = {r["question"]: r for r in records if r["peer"] == peer and "seconds" in r}
        if not own or peer == OURS_SIGNED:
            continue
        cells = [cell(own[name], peer) if name in own else "" for name in QUESTIONS]
        most = max(own.values(), key=lambda r: r["extra_bytes"])
        sign = " *" if RIVALS[peer].signed else ""
        rows.append([names[peer] + sign, *cells, mebibytes(most)])
    return grid(["", *(ASKED[name] for name in QUESTIONS), "most extra MiB"], rows)


def cell(record: dict, peer: str) -> str:
    if peer == OURS:
        return f"**{record['seconds']:.2f} s**"
    return f"{record['ratio']:.1f} x" if "ratio" in record else ""


def setting(machine: str, day: str, records: list[dict]) -> str:
    r = records[0]
    return (
        f"{r['n']} random float32 rows in {r['d']} dimensions, {r['threads']} threads, {machine}, "
        f"{day}."
    )


def details(records: list[dict]) -> str:
    names = versions(records)
    rows = [
        [
            ASKED[r["question"]], names[r["peer"]], r["of"], f"{r['seconds']:.3f}",
            f"{r['ratio']:.1f}" if "ratio" in r else "", f"{r['share']:.2f}", mebibytes(r),
        ]
        for r in records
        if "seconds" in r
    ]  # fmt: skip
    header = ["question", "who", "of", "seconds", "times ours", "of the float32 peak", "extra MiB"]
    return grid(header, rows)


def chart(records: list[dict], path: Path) -> None:
    """Bars of how many times our seconds the others take, a panel a question."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    colours = dict(zip(RIVALS, plt.get_cmap("tab20")(range(20)), strict=False))
    figure, axes = plt.subplots(1, len(QUESTIONS), figsize=(13, 3.6), layout="constrained")
    for axis, question in zip(axes, QUESTIONS, strict=True):
        found = sorted(
            (r for r in records if r["question"] == question and "ratio" in r
             and r["peer"] not in (OURS, OURS_SIGNED)),
            key=lambda r: -r["ratio"],
        )  # fmt: skip
        places = range(len(found) + 1)
        ratios = [*(r["ratio"] for r in found), 1.0]
        names = [*(r["peer"] + ("*" if r["of"] == "cos" else "") for r in found), OURS]
        bars = axis.barh(places, ratios, color=[*(colours[r["peer"]] for r in found), "black"])
        axis.bar_label(bars, [f"{ratio:.1f}" for ratio in ratios], padding=3, fontsize=9)
        axis.set_yticks(places, names, fontsize=9)
        axis.set_title(ASKED[question], fontsize=10)
        axis.set_xlim(0, 1.18 * max(ratios))
        axis.set_xticks([])
        axis.spines[["top", "right", "bottom"]].set_visible(False)
    figure.supxlabel("times the seconds of superpos_fast   (* of cos, not |cos|)", fontsize=10)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def page(machine: str, day: str, records: list[dict]) -> str:
    return f"""# Against other libraries

Made by `make peers`. {setting(machine, day, records)}
Whole calls, normalisation included; the best of several, all taking turns. *extra MiB* is the most
memory during a call beyond what the process held before it. *of* is what a library looks at: where
that is cos, our time is that of `signed=True`. Every answer was held against the exact one first.

![times the seconds of superpos_fast](peers.png)

{details(records)}

Not measured:

{chr(10).join(absences(records)) or "- none"}
"""


def write(machine: str, day: str, records: list[dict]) -> None:
    (HERE / "peers.md").write_text(page(machine, day, records))
    chart(records, HERE / "peers.png")
    before, rest = README.read_text().split(BEGIN)
    after = rest.split(END)[1]
    inside = f"""
{setting(machine, day, records)}
How many times as long the others take, each answer held against the exact one first
([more](bench/peers.md); `make peers` measures it anew):

{summary(records)}

\\* the largest cos, not |cos|: compared with `signed=True`.

![times the seconds of superpos_fast](bench/peers.png)
"""
    README.write_text(f"{before}{BEGIN}{inside}{END}{after}")
