"""The page that a report is: what it says, that it stands alone, and that everyone can read it."""

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pytest

import oracles
import superpos_fast as sf
from helpers import gaussian
from superpos_fast import findings
from superpos_fast.capacity import bounds, coherence_floor
from superpos_fast.findings import linked
from superpos_fast.labels import labels_of

VOID = {"meta", "br", "hr", "img", "input", "link"}
LABELS = {0: 'a <b>bold</b> & "quoted" name', 1: "a-name-without-a-place-to-break-" * 4}


def clusters():
    """Random vectors of which some are near-duplicates, in chains, and one has an antipode."""
    vectors = gaussian(160, 10)
    for group, size in ((0, 6), (10, 3), (20, 2)):
        noise = gaussian(size, 10, seed=group + 1) * 0.25
        vectors[group : group + size] = vectors[group] + noise
    vectors[31] = -2.0 * vectors[30]
    return vectors


@pytest.fixture(scope="module")
def made():
    return sf.report(clusters(), labels=LABELS, title="A <title> & more", top=40)


class Reader(HTMLParser):
    """Elements with their attributes; the cells of tables; whether tags match."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.tables, self.open, self.text = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data


@pytest.fixture(scope="module")
def read(made):
    return Reader(made.html)


def test_it_stands_alone(made, read):
    names = {name for _, attributes in read.elements for name in attributes}
    assert "src" not in names
    links = [value for _, all_ in read.elements for name, value in all_.items() if "href" in name]
    assert links
    assert all(link.startswith("#") for link in links)
    style = re.search(r"<style>(.*?)</style>", made.html, re.DOTALL)[1]
    assert "@import" not in style
    assert "url(" not in style
    outside = set(re.findall(r"https?://[^\"' ]+", made.html))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert len(made.html) < 400_000


def test_everyone_can_read_it(read):
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    pictures = [attributes for tag, attributes in read.elements if tag == "svg"]
    assert len(pictures) == 4
    for attributes in pictures:
        assert attributes["role"] == "img"
        assert attributes["aria-labelledby"] in ids
    assert ("html", {"lang": "en"}) in read.elements
    heads = [attributes for tag, attributes in read.elements if tag == "th"]
    assert all(attributes["scope"] in ("col", "row") for attributes in heads)
    tags = [tag for tag, _ in read.elements]
    assert tags.count("caption") == tags.count("table") == 4
    assert tags.count("h1") == 1


def luminance(colour):
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_contrast(theme):
    """WCAG 2: 4.5 for text, 3 for what else must be seen."""
    style = files("superpos_fast.page").joinpath("page.css").read_text()
    colours = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[theme]
    values = dict(re.findall(r"--(\w+): (#\w{6})", colours))
    paper = luminance(values["paper"])
    for name, least in {"ink": 4.5, "soft": 4.5, "accent": 4.5, "chance": 3.0, "axis": 3.0}.items():
        lighter, darker = sorted([luminance(values[name]), paper], reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= least, name


def test_pictures_take_the_colours_of_the_page(made):
    pictures = "".join(re.findall(r"<svg.*?</svg>", made.html, re.DOTALL))
    assert re.findall(r"#[0-9a-fA-F]{6}\b", pictures) == []
    assert {"var(--ink)", "var(--accent)", "var(--chance)"} <= set(
        re.findall(r"var\([^)]*\)", pictures)
    )


def test_what_it_says(made, read):
    vectors = clusters()
    stats = sf.describe(vectors)
    assert made.findings.statistics == stats
    text = "".join(read.text)
    assert f"{stats.coherence:.6f}" in text
    assert "160 vectors in 10 dimensions, 12,720 pairs" in text
    assert f"{coherence_floor(160, 10).cosine:.4f}" in text
    comparison, closest, groups, orthogonal = read.tables
    shown = {row[0]: row[1:] for row in comparison}
    assert shown["Root mean square cos"][:2] == [f"{stats.rms_cosine:.4f}", f"{10**-0.5:.4f}"]
    assert shown["Interference, mean"][1] == "15.90"
    expected = sf.pairs(vectors, top=40)
    assert len(closest) == 41
    for row, i, j, cosine in zip(closest[1:], expected.i, expected.j, expected.cosine, strict=True):
        assert row[3].split("\n")[0] == str(i)
        assert row[4].split("\n")[0] == str(j)
        assert float(row[1].replace("\N{MINUS SIGN}", "-")) == pytest.approx(cosine, abs=5.1e-7)
    counts = sf.count(vectors, cosine=[0.7, 0.8, 0.9, 0.95])
    assert [row[2] for row in groups[1:]] == [f"{count:,}" for count in counts]
    for row, tolerance in zip(orthogonal[1:], (1, 3, 5), strict=True):
        known = bounds(10, angle=90 - tolerance)
        assert (row[4], row[5]) == (str(known.lower), str(known.upper))


def test_labels_are_text(made, read):
    assert "<b>" not in made.html
    assert 'a <b>bold</b> & "quoted" name' in "".join(read.text)
    assert "<title>A &lt;title&gt; &amp; more</title>" in made.html


def test_groups_are_connected_components(made):
    vectors = clusters()
    scaled = oracles.scaled(oracles.widened(vectors))
    cosines = np.abs(oracles.cosines(scaled, scaled))
    for groups in made.findings.groups:
        near = {row: {row} for row in range(160)}
        for i, j in zip(*np.nonzero(np.triu(cosines >= groups.cosine, 1)), strict=True):
            joined = near[i] | near[j]
            for row in joined:
                near[row] = joined
        wanted = {tuple(sorted(group)) for group in near.values() if len(group) > 1}
        assert set(groups.members) == wanted
    assert (30, 31) in made.findings.groups[-1].members
    sizes = [len(group) for group in made.findings.groups[0].members]
    assert sizes == sorted(sizes, reverse=True)


def test_linked():
    chain = np.array([5, 9, 2, 7]), np.array([9, 2, 11, 8])
    assert linked(*chain) == ((2, 5, 9, 11), (7, 8))
    assert linked(np.empty(0, np.int64), np.empty(0, np.int64)) == ()


def test_too_many_pairs_to_group(monkeypatch):
    monkeypatch.setattr(findings, "_MOST_LISTED", 1000)
    vectors = np.concatenate([np.ones((60, 4)), gaussian(40, 4)])
    made = sf.report(vectors)
    equal = 60 * 59 // 2
    for groups in made.findings.groups:
        assert groups.members is None
        assert equal <= groups.pairs <= sf.count(vectors, cosine=groups.cosine)
    assert "there are too many pairs to list" in made.html


def test_nearly_orthogonal():
    vectors = np.concatenate([np.eye(6), [[1, 1, 0, 0, 0, 0]]])
    found = sf.report(vectors).findings.orthogonal
    assert [one.vectors for one in found] == [4, 4, 4]
    assert all(0.0 <= one.random <= 7.0 for one in found)


@pytest.mark.parametrize(
    "vectors",
    [[[1.0, 0.0], [0.0, 1.0]], [[1.0], [-2.0], [3.0]], np.ones((5, 3)), np.eye(4)],
    ids=["two", "one dimension", "equal", "orthogonal"],
)
def test_extremes(vectors):
    made = sf.report(vectors)
    Reader(made.html)
    assert "nan" not in re.sub(
        r"<style>.*?</style>|<script>.*?</script>", "", made.html, flags=re.DOTALL
    )


def test_rows_left_out():
    vectors = clusters()
    vectors[40] = 0.0
    found = sf.report(vectors, zero="skip").findings
    assert found.statistics.vectors == 159
    assert np.isnan(found.interference[40])


def test_it_is_saved_and_shown(tmp_path):
    made = sf.report(gaussian(20, 4), tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == made.html
    (frame,) = (all_ for tag, all_ in Reader(made._repr_html_()).elements if tag == "iframe")
    assert frame["srcdoc"] == made.html


def test_labels(tmp_path):
    (tmp_path / "l.txt").write_text("one\ntwo\nthree\n")
    (tmp_path / "l.json").write_text(json.dumps({"1": "two"}))
    (tmp_path / "list.json").write_text(json.dumps(["a", "b", "c"]))
    assert labels_of(tmp_path / "l.txt", 3) == {0: "one", 1: "two", 2: "three"}
    assert labels_of(str(tmp_path / "l.json"), 3) == {1: "two"}
    assert labels_of(tmp_path / "list.json", 3) == {0: "a", 1: "b", 2: "c"}
    assert labels_of(np.array(["x", "y"]), 2) == {0: "x", 1: "y"}
    assert labels_of(None, 3) == {}


def test_refusals(tmp_path):
    vectors = gaussian(5, 3)
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "number.json").write_text("3")
    for options, error, message in (
        ({"labels": ["a"]}, ValueError, "labels: must be 5, one for each row, got 1"),
        ({"labels": {9: "a"}}, ValueError, "labels: must be of rows 0 to 4, got one of 9"),
        ({"labels": 7}, TypeError, "labels: must be a name for each row, or a file of them, got 7"),
        ({"labels": tmp_path / "bad.json"}, ValueError, "labels: must be a readable file"),
        ({"labels": tmp_path / "number.json"}, ValueError, "labels: must be a list or an object"),
        ({"title": 5}, TypeError, "title: must be a string, got int"),
        ({"path": 3.5}, TypeError, "path: must be a path, got float"),
        ({"top": 0}, ValueError, "top: must be between 1 and 10000, got 0"),
        ({"shard": (0, 2)}, ValueError, "shard: must be left out of a report, got one"),
        ({"magic": 1}, TypeError, "magic: must be a keyword"),
    ):
        with pytest.raises(error) as refusal:
            sf.report(vectors, **options)
        assert str(refusal.value).startswith(message)


# In a browser

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
LOOK = """
<!DOCTYPE html><meta name="color-scheme" content="light dark"><body><script>
const page = PAGE;
const seen = [];
async function look(width) {
  const frame = document.createElement("iframe");
  frame.style.width = width + "px";
  frame.style.height = "900px";
  frame.srcdoc = page;
  document.body.append(frame);
  await new Promise((done) => frame.addEventListener("load", done));
  const inside = frame.contentDocument;
  const root = inside.documentElement;
  const table = inside.querySelector("table.sortable");
  const column = (k) => [...table.tBodies[0].rows].map((row) => row.cells[k].textContent);
  const paper = getComputedStyle(inside.body).backgroundColor;
  const facts = { width, wide: root.scrollWidth, paper };
  facts.small = [...inside.querySelectorAll("svg text")]
    .filter((text) => text.getBoundingClientRect().height < 7).length;
  facts.before = column(1);
  const [rank, cosine] = table.tHead.querySelectorAll("button");
  cosine.click();
  facts.up = column(1);
  facts.sorted = cosine.closest("th").getAttribute("aria-sort");
  cosine.click();
  facts.down = column(1);
  seen.push(facts);
}
look(400).then(() => look(1400)).then(() => {
  const element = document.createElement("pre");
  element.id = "seen";
  element.textContent = JSON.stringify(seen);
  document.body.replaceChildren(element);
});
</script>
"""


@pytest.mark.skipif(
    BROWSER is None and "CI" not in os.environ, reason="needs Chromium (Debian's package chromium)"
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser(made, tmp_path, scheme):
    """At 400 and 1400 pixels nothing sticks out, and tables sort."""
    assert BROWSER is not None, "CI has Chromium"
    page = json.dumps(made.html).replace("</", "<\\/")
    (tmp_path / "look.html").write_text(LOOK.replace("PAGE", page), encoding="utf-8")
    command = [
        BROWSER,
        *("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1500,1000"),
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--blink-settings=preferredColorScheme={int(scheme == 'light')}",
        *("--virtual-time-budget=20000", "--dump-dom", (tmp_path / "look.html").as_uri()),
    ]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert process.returncode == 0, process.stderr
    seen = json.loads(re.search(r'<pre id="seen">(.*?)</pre>', process.stdout, re.DOTALL)[1])
    for facts, width in zip(seen, (400, 1400), strict=True):
        assert facts["wide"] <= width
        assert facts["paper"] == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 24, 28)"}[scheme]
        assert facts["small"] == 0
        numbers = [float(text.replace("\N{MINUS SIGN}", "-")) for text in facts["before"]]
        shown = [float(text.replace("\N{MINUS SIGN}", "-")) for text in facts["up"]]
        assert shown == sorted(numbers)
        assert facts["sorted"] == "ascending"
        assert facts["down"] == facts["up"][::-1]
