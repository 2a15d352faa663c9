"""The report keeps its contract, tells the truth, and can be read by everyone."""

import itertools
import json
import re
from collections import Counter
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from common.arithmetic import intervals
from server.reports import charts, report, rounding
from server.reports.charts import Mark, Row
from server.reports.report import Report

HOSTILE = "<script>alert('x')</script>\"&<b>"
NAMES = """
    format task study privacy note simulated created engine rounds rounds_by_task
    seconds
    seconds_per_round seconds_to_report rejoined bytes_per_site sites together
    pooled describe coefficients ridge left sentence
    max_abs_coefficient_difference findings sheets benchmark limits versions command
"""
SITES = (
    ("north", 199, 104, 0.82, 0.86),
    ("south", 172, 89, 0.84, 0.88),
    ("alpine", 30, 16, 0.50, 0.93),
    ("harbour", 85, 45, 0.81, 0.77),
)
VOID = {"meta", "br", "circle", "rect", "path", "line", "use"}
SEEN = ("ink", "quiet", "warning")
DRAWN = ("alone", "together", "pooled")


def score(people: int, auc: float) -> dict[str, Any]:
    """Return a score as the evaluation gives it."""
    half = people / 2
    return {
        "auc": auc,
        "auc_interval": intervals.auc(auc, half, half),
        "accuracy": auc - 0.05,
        "accuracy_interval": intervals.share((auc - 0.05) * people, people),
    }


def totals(people: int, auc: float) -> dict[str, Any]:
    """Return the score over everyone."""
    more = {"records": people, "positives": people // 2, "brier": 0.142}
    return {**score(people, auc), **more, "auc_error_bound": 0.0004}


def site(
    name: str, train: int, test: int, alone: float, joint: float
) -> dict[str, Any]:
    """Return one hospital."""
    return {
        "name": name,
        "rows": train + test,
        "train": train,
        "test": test,
        "bytes_in": 12_600,
        "bytes_out": 11_300,
        "alone": score(test, alone),
        "together": score(test, joint),
        "pooled": score(test, joint),
        "cleaning": [
            {"step": "read", "variable": "", "what": "records read", "count": 303},
            {"step": "units", "variable": "chol", "what": "from mmol/L", "count": 12},
        ],
    }


def coefficient(name: str, value: float, error: float | None = 0.13) -> dict[str, Any]:
    """Return one coefficient, with its interval where it has an error."""
    edges = error and [value - 1.96 * error, value + 1.96 * error]
    return {
        "name": name,
        "coefficient": value,
        "standard_error": error,
        "interval": edges,
        "per_unit": error and value / 9.6,
        "pooled": value + 3e-14,
    }


def left(task: str, rounds: int, name: str, numbers: int) -> dict[str, Any]:
    """Return one array that left."""
    meaning = f"what {name} means"
    kind = "sum" if task == "logistic" else "count"
    line = {"task": task, "rounds": rounds, "name": name, "meaning": meaning}
    return {**line, "numbers": numbers, "kind": kind}


def facts(**changes: object) -> dict[str, Any]:
    """Return a realistic report as plain data, with *changes*."""
    given: dict[str, Any] = {
        "format": 1,
        "task": "logistic",
        "study": {
            "name": "heart-2026",
            "title": "Coronary artery disease before angiography",
            "purpose": "Method development; not for use in care",
            "contact": "study-office@consortium.example",
            "digest": "ab" * 32,
            "privacy": "none",
        },
        "note": "The people are real; the split into hospitals is ours.",
        "simulated": True,
        "created": "2026-11-22T22:40:00+00:00",
        "engine": "in-process",
        "rounds": 6,
        "rounds_by_task": {"describe": 1, "logistic": 6, "evaluate": 1},
        "seconds": 0.83,
        "bytes_per_site": 23_936,
        "sites": [site(*each) for each in SITES],
        "together": totals(254, 0.882),
        "pooled": totals(254, 0.882),
        "describe": {"records": 486, "variables": variables()},
        "coefficients": [
            coefficient("age", 0.21),
            coefficient("chest_pain = asymptomatic", 0.65, 0.22),
            coefficient("thalach", -0.33),
            coefficient("constant_column", 0.0, None),
            coefficient("(intercept)", 0.13),
        ],
        "ridge": 1.0,
        "max_abs_coefficient_difference": 3e-14,
        "left": [
            left("describe", 1, "records", 1),
            left("describe", 1, "bins", 320),
            left("logistic", 6, "gradient", 14),
            left("evaluate", 1, "positives", 50),
        ],
        "sentence": "Each hospital sent 455 numbers and 0 rows.",
        "findings": {"chi_square": {"tests": [{"p": 0.04}]}},
        "sheets": [
            {
                "title": "Which categories go together",
                "columns": ["variables", "records", "p"],
                "rows": [["sex and ill", 486, 0.04], ["sex and pain", 486, None]],
                "notes": ["A small p is no proof."],
            }
        ],
        "benchmark": {
            "title": "Beside a published benchmark",
            "columns": ["accuracy", "north", "people"],
            "rows": [["this run", 0.77912, 254], ["published", None, 254]],
            "notes": ["The same inputs."],
        },
        "limits": ["No secure aggregation yet.", "No network: one process."],
        "versions": {"consilium": "0.1.0", "python": "3.11.7"},
        "command": "consilium demo --out results",
    }
    return given | changes


def variables() -> list[dict[str, Any]]:
    """Return what ``describe`` says of a number, of none at all, and of a category."""
    quartiles = {"25%": 46.02, "50%": 54.21, "75%": 59.8}
    empty = dict.fromkeys(("mean", "std", *quartiles))
    return [
        {"name": "age", "count": 486, "missing": 0, "unit": "a"}
        | {"mean": 53.02, "std": 9.61, **quartiles},
        {"name": "ca", "count": 0, "missing": 486, "unit": "1", **empty},
        {"name": "sex", "count": 480, "missing": 6, "levels": {"F": 118, "M": 362}},
    ]


def page(**changes: object) -> str:
    """Return the page of a report with *changes*."""
    return report.page(Report.model_validate(facts(**changes)))


def without(*series: str) -> list[dict[str, Any]]:
    """Return the hospitals without the scores of *series*."""
    return [site(*each) | dict.fromkeys(series) for each in SITES]


DESCRIBED = {
    "task": "describe",
    "together": None,
    "pooled": None,
    "coefficients": [],
    "ridge": None,
    "max_abs_coefficient_difference": None,
    "benchmark": None,
    "sites": without(*DRAWN),
}
NUMBER = {
    "task": "poisson",
    "together": {"records": 254, "rmse": 2.345, "r_squared": 0.31},
    "pooled": None,
    "sites": without(*DRAWN),
}
UNSEEN = {
    "simulated": False,
    "engine": "network",
    "benchmark": None,
    "sites": [
        {"name": name, "bytes_in": 12_600, "bytes_out": 11_300} for name, *_ in SITES
    ],
}
"""What an aggregator knows of its sites: who they are, and what they cost."""
NETWORK = {
    **UNSEEN,
    "pooled": None,
    "coefficients": [
        {**coefficient("age", 0.21), "pooled": None},
        {**coefficient("(intercept)", 0.13), "pooled": None},
    ],
    "max_abs_coefficient_difference": None,
}
ALL: dict[str, dict[str, Any]] = {
    "full": {},
    "described": DESCRIBED,
    "number": NUMBER,
    "really apart": {"simulated": False, "pooled": None, "sites": without("pooled")},
    "only totals": {"sites": without(*DRAWN)},
    "no benchmark": {"benchmark": None, "note": None, "limits": []},
    "nothing cleaned": {"sites": [site(*SITES[0]) | {"cleaning": []}]},
    "tested on nobody": {"together": {"records": 0, "positives": 0}},
    "tested on few": {"together": {"records": 14}},
    "another model": {"task": "svm", "ridge": 0.0},
    "network": NETWORK,
    "network, described": {**DESCRIBED, **UNSEEN},
    "processes": {"seconds_per_round": 0.52, "rejoined": ["north"]},
}


class Page(HTMLParser):
    """A page taken apart: elements with their attributes, words, and open elements."""

    def __init__(self, html: str) -> None:
        """Take *html* apart; raise AssertionError where an element is not closed."""
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that closes itself."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close an element, which must be the last that was opened."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text outside the style sheet."""
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        """The words that a reader sees."""
        return " ".join(" ".join(self.words).split())

    def every(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every element of this kind."""
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(params=list(ALL))
def any_page(request: pytest.FixtureRequest) -> str:
    """Return the page of every kind of study."""
    return page(**ALL[request.param])


def test_every_sheet_of_an_analysis_is_on_the_page() -> None:
    text = Page(page()).text
    for words in ("Which categories go together", "sex and pain", "is no proof"):
        assert words in text


def test_a_sentence_in_a_sheet_may_break() -> None:
    said = "All records of one person at one site, however many there are."
    sheet = {"title": "t", "columns": ["asked", "said"], "rows": [["unit", said]]}
    whole = page(sheets=[sheet])
    assert f'<td class="words">{said}</td>' in whole
    assert '<th scope="col">said</th>' in whole


def test_an_interval_may_stand_below_its_estimate_and_is_not_broken() -> None:
    row = ["everybody", 0.3, "0.10 (0.05 to 0.16)", "2.14; 1.58", "< 0.0001"]
    heads = ["group", "risk", "effect (95 %)", "E-value", "p"]
    whole = page(sheets=[{"title": "t", "columns": heads, "rows": [row]}])
    assert '<td class="number two">0.10 (0.05\u00a0to\u00a00.16)</td>' in whole
    assert '<td class="number two">2.14; 1.58</td>' in whole
    assert '<td class="number">&lt; 0.0001</td>' in whole


def test_json_holds_the_contract_and_comes_back_equal(tmp_path: Path) -> None:
    """What was written is what is read, under the names that others rely on."""
    made = Report.model_validate(facts())
    assert report.write(made, tmp_path / "new" / "out").name == "report.html"
    text = (tmp_path / "new" / "out" / "report.json").read_text(encoding="utf-8")
    assert Report.model_validate_json(text) == made
    held = json.loads(text)
    assert set(held) == set(NAMES.split())
    assert held["created"].startswith("2026-11-22T22:40:00")
    assert held["coefficients"][0]["interval"] == pytest.approx([-0.0448, 0.4648])
    assert held["describe"]["variables"] == facts()["describe"]["variables"]
    assert set(facts()["sites"][0]) == set(held["sites"][0])
    assert held["benchmark"]["rows"][1] == ["published", None, 254]


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1},
        {"seconds": float("nan")},
        {"format": 2},
        {"created": "now"},
        {"together": {}},
    ],
)
def test_other_facts_are_refused(changes: dict[str, object]) -> None:
    """An unknown name, a number that is none and another format are errors."""
    with pytest.raises(ValidationError):
        Report.model_validate(facts(**changes))


def test_a_report_is_frozen() -> None:
    """Nobody touches up a finished report."""
    made = Report.model_validate(facts())
    with pytest.raises(ValidationError, match="frozen"):
        made.seconds = 0.0  # type: ignore[misc]


def test_headline_is_the_answer_in_numbers() -> None:
    """The first sentence holds the joint score and the range of the others."""
    made = Report.model_validate(facts())
    assert report.headline(made) == (
        "Together, the four hospitals reach an AUC of 0.88; "
        "alone they range from 0.50 to 0.84."
    )
    assert report.verdict(made) == (
        "Compared with each hospital's own model, the joint one is better at three "
        "and worse at one by AUC; better at three and worse at one by accuracy."
    )


@pytest.mark.parametrize(
    ("alone", "together", "expected"),
    [
        (0.91, 0.91, "No hospital gains. Compared with each hospital's own model, "),
        (0.91, 0.91, "the joint one is as good at all four by AUC; as good at all"),
        (0.91, 0.88, "No hospital gains. "),
        (0.91, 0.88, "worse at all four by AUC"),
        (
            0.91,
            0.95,
            "Compared with each hospital's own model, the joint one is better",
        ),
        (0.911, 0.909, "as good at all four by AUC"),
    ],
)
def test_verdict_is_honest(alone: float, together: float, expected: str) -> None:
    """Where together is no better, the page says so."""
    sites = [site(f"h{i}", 90, 50, alone, together) for i in range(4)]
    made = Report.model_validate(facts(sites=sites))
    assert expected in report.verdict(made)
    assert report.verdict(made) in report.page(made).replace("&#39;", "'")


def test_headline_of_other_studies() -> None:
    """A study without a model, with a number, or with one lonely score has its own."""
    said = {
        name: report.headline(Report.model_validate(facts(**ALL[name])))
        for name in (
            *("described", "number", "only totals", "tested on nobody"),
            "tested on few",
        )
    }
    assert said == {
        "described": "Together, the four hospitals counted 486 records; "
        "no model was tested.",
        "number": "Together, the four hospitals reach an R² of 0.31.",
        "only totals": "Together, the four hospitals reach an AUC of 0.88.",
        "tested on nobody": "Together, the four hospitals counted 486 records; "
        "no model was tested.",
        "tested on few": "Together, the four hospitals tested a model on 14 records: "
        "too few of them, or of one outcome, to tell how good it is.",
    }
    sites = without("alone")
    sites[0]["alone"], sites[1]["alone"] = score(104, 0.82), {"note": "one class only"}
    made = Report.model_validate(facts(sites=sites))
    assert report.headline(made).endswith("; alone one of them reaches 0.82.")
    assert "one class only" in Page(report.page(made)).text


def test_sections_come_in_the_order_of_a_reader() -> None:
    """The answer first; what it rests on, what left and what is missing after it."""
    text = Page(page()).text
    order = (
        "reach an AUC of 0.88",
        "Largest difference to pooled",
        "Was it worth learning together?",
        "Beside a published benchmark",
        "What left each hospital",
        "What the model says",
        "Who the people are",
        "What was cleaned",
        "Methods",
        "What protects these numbers, and what does not (yet)",
        "Run it again",
    )
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_parts_that_a_study_lacks_are_left_out() -> None:
    """Counting people gives a page without a word on models."""
    text = Page(page(**DESCRIBED)).text
    for words in ("worth learning", "What the model says", "ridge", "AUC", "Rounds of"):
        assert words not in text
    assert "<svg" not in page(**DESCRIBED)
    assert "pooled" not in Page(
        page(**ALL["really apart"], coefficients=[])
    ).text.replace("Largest difference to pooled", "")


def test_nothing_is_shown_that_is_not_there(any_page: str) -> None:
    """No table without a row, no heading without a text, and nowhere "None"."""
    for table in re.findall(r"<table.*?</table>", any_page, re.DOTALL):
        assert re.search(r"<tbody>\s*<tr>", table)
    assert not re.search(r"</h2>\s*</section>", any_page)
    assert not re.search(r"\bNone\b", Page(any_page).text)


def test_a_real_study_shows_totals_and_traffic() -> None:
    """What only a simulation can look into is not on the page of a real study."""
    text = Page(page(**NETWORK)).text
    for words in ("Records Received", "What was cleaned", "its own people. ", "again"):
        assert words not in text
    for words in ("How good the model is", "Hospital Received Sent", "0.88", "age"):
        assert words in text
    assert "A steady round" not in text
    other = Page(page(**ALL["processes"])).text
    assert "A steady round 0.52" in other
    assert "back before its round was over: north" in other


def test_no_privacy_is_said_in_red_and_in_words() -> None:
    """The warning stands at the top and again among the limits."""
    warning = "No differential privacy in this study: sums leave exact."
    assert page().count(f'<p class="warning"><strong>{warning}') == 2
    assert "color: var(--warning)" in page()
    about = facts()["study"] | {"privacy": "epsilon 2.0, delta 1e-5"}
    assert warning not in page(study=about)
    assert "epsilon 2.0, delta 1e-5" in page(study=about)
    for limit in facts()["limits"]:
        assert limit in page()


def test_every_text_is_escaped() -> None:
    """A hospital cannot write into the page, whatever it calls itself."""
    html = report.page(Report.model_validate(_hostile(facts())))
    assert "<script" not in html
    assert "<b>" not in html.replace("<dd><b>", "")
    assert Page(html).text.count("<script>alert('x')</script>") > 20


def _hostile(value: Any) -> Any:
    """Return *value* with every text in it replaced, but for what the format fixes."""
    if isinstance(value, dict):
        fixed = ("created", "task", "privacy")
        texts = {key: _hostile(each) for key, each in value.items() if key not in fixed}
        return {**value, **texts}
    if isinstance(value, list):
        return [_hostile(each) for each in value]
    return HOSTILE if isinstance(value, str) else value


def test_page_needs_nothing_but_itself(any_page: str) -> None:
    """No address, no script, no picture: it opens offline, in ten years too."""
    assert not re.search(r"https?:|//\w|url\(|@import|javascript:", any_page)
    taken = Page(any_page)
    assert not {"script", "link", "img", "iframe", "object"} & {
        name for name, _ in taken.elements
    }
    references = [each["href"] for _, each in taken.elements if "href" in each]
    assert all(str(each).startswith("#") for each in references)
    assert not any(
        name.startswith("on") or name == "src"
        for _, each in taken.elements
        for name in each
    )


def test_page_can_be_read_by_everyone(any_page: str) -> None:
    """Titles, languages, headings in order, heads of tables, scrolling by keyboard."""
    taken = Page(any_page)
    assert any_page.startswith("<!doctype html>")
    assert taken.every("html") == [{"lang": "en"}]
    levels = [int(name[1]) for name, _ in taken.elements if re.fullmatch(r"h\d", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert all(each.get("scope") for each in taken.every("th"))
    boxes = [each for each in taken.every("div") if each.get("class") == "scroll"]
    assert all(each["tabindex"] == "0" and each["aria-label"] for each in boxes)
    assert len(boxes) >= len(taken.every("table"))
    ids = Counter(each["id"] for _, each in taken.elements if "id" in each)
    assert set(ids.values()) <= {1}


def test_every_plot_has_a_title_and_a_description(any_page: str) -> None:
    """Who cannot see a plot is told what it shows."""
    taken = Page(any_page)
    ids = {each.get("id") for _, each in taken.elements}
    plots = re.findall(r"<svg.*?</svg>", any_page, re.DOTALL)
    assert len(plots) == len(taken.every("svg"))
    for plot, attributes in zip(plots, taken.every("svg"), strict=True):
        assert attributes["role"] == "img"
        assert set(str(attributes["aria-labelledby"]).split()) <= ids
        assert re.search(r"<title id=[^>]+>[^<]+</title>", plot)
        assert re.search(r"<desc id=[^>]+>[^<]+</desc>", plot)
        assert set(re.findall(r'href="#([^"]+)"', plot)) <= ids


@pytest.mark.parametrize("changes", [{}, {"sites": without("pooled")}])
def test_intervals_are_drawn_inside_the_axis(changes: dict[str, object]) -> None:
    """No line leaves its plot, and every mark lies on its own line."""
    html = page(**changes)
    for name, (low, high) in charts.EDGES.items():
        plot = re.search(rf'<svg class="plot {name}".*?</svg>', html, re.DOTALL)
        assert plot is not None
        drawn = re.findall(
            r'<line class="interval \w+" x1="([\d.]+)%" x2="([\d.]+)%"[^>]*>'
            r'<use class="\w+" href="#[^"]+" x="([\d.]+)%"',
            plot[0],
        )
        assert drawn
        for first, last, mark in (map(float, each) for each in drawn):
            assert low <= first <= mark <= last <= high


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ((0.78, 1.0), ["0.75", "0.80", "0.85", "0.90", "0.95", "1.00"]),
        ((-0.66, 0.41), ["\N{MINUS SIGN}1.0", "0.0", "0.5"]),
        ((0.9, 0.9), ["0.84", "0.96"]),
        ((-1200.0, 3400.0), ["\N{MINUS SIGN}2,000", "0", "4,000"]),
    ],
)
def test_axes_have_round_numbers(
    values: tuple[float, float], labels: list[str]
) -> None:
    """An axis holds its values between ticks that a person would choose."""
    rows = [Row("all", tuple(Mark("alone", value) for value in values))]
    axis = charts.axis(rows, (0.0, 100.0))
    shown = [label for _, label in axis.ticks()]
    assert set(labels) <= set(shown)
    assert len(shown) <= 9
    assert all(0.0 <= float(axis.x(value)[:-1]) <= 100.0 for value in values)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_have_the_contrast_of_wcag_aa(theme: str) -> None:
    """Text stands out by 4.5 to 1, and what is drawn by 3 to 1."""
    colours = _colours()[theme]
    for name in SEEN:
        assert _contrast(colours[name], colours["paper"]) >= 4.5, name
        assert _contrast(colours[name], colours["card"]) >= 4.5, name
    assert _contrast(colours["warning"], colours["warning-card"]) >= 4.5
    for name in DRAWN:
        assert _contrast(colours[name], colours["paper"]) >= 3.0, name
        assert _contrast(colours[name], colours["card"]) >= 3.0, name


def _colours() -> dict[str, dict[str, str]]:
    template = (
        files("server.reports")
        .joinpath("report.html.jinja")
        .read_text(encoding="utf-8")
    )
    light, dark = re.findall(
        r":root \{(.*?--paper.*?--warning-card.*?)\}", template, re.DOTALL
    )
    found = r"--([\w-]+): (#[0-9a-f]{6})"
    return {
        "light": dict(re.findall(found, light)),
        "dark": dict(re.findall(found, dark)),
    }


def _contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (WCAG 2.2, relative luminance)."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts
    ]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_a_large_study_stays_small() -> None:
    """Twenty hospitals and eighty coefficients fit into 300 kB."""
    sites = [site(f"hospital-{i}", 90, 50, 0.8, 0.9) for i in range(20)]
    lines = [coefficient(f"variable_{i} = some_level", i / 40 - 1) for i in range(80)]
    html = page(sites=sites, coefficients=lines)
    assert len(html.encode()) < 300_000
    assert "the 40 largest are drawn" in html
    names = re.findall(r'<text class="label"[^>]*>([^<]*)', html)
    assert len(names) == report.MOST_DRAWN
    assert max(map(len, names)) <= charts.LONGEST["coefficients"]


@pytest.mark.parametrize(
    ("value", "interval", "expected"),
    [
        (0.98765, (0.93, 1.0), "0.99"),
        (0.98765, (0.985, 0.990), "0.988"),
        (0.98765, None, "0.99"),
        (0.9961, (0.97, 1.0), "0.996"),
        (1.0, (0.9, 1.0), "1.00"),
        (-0.001, (-0.2, 0.2), "0.00"),
        (-0.516, (-0.9, -0.1), "\N{MINUS SIGN}0.52"),
        (0.5, (0.5, 0.5), "0.500"),
    ],
)
def test_no_digit_more_than_the_interval_supports(
    value: float, interval: tuple[float, float] | None, expected: str
) -> None:
    """Two decimals, three where the interval is narrow; never a false one."""
    assert rounding.decimal(value, interval) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.26, "0.3 s"),
        (119.9, "119.9 s"),
        (754.0, "12 min 34 s"),
        (7_261.0, "2 h 1 min"),
        (200_000.0, "2 d 7 h"),
    ],
)
def test_times_have_two_units(seconds: float, expected: str) -> None:
    """A wait of days is not told in seconds."""
    assert rounding.duration(seconds) == expected


def test_cells_and_ratios_are_rounded_too() -> None:
    """Counts are full, numbers go to a tenth of their spread, ratios to two digits."""
    assert rounding.figure(12345) == "12,345"
    assert rounding.figure(53.0249, 9.61) == "53.0"
    assert rounding.figure(1234.5, 612.0) == "1,234"
    assert rounding.figure(0.00034567) == "0.000346"
    assert rounding.figure(0.0) == "0"
    assert rounding.figure(None) == "\N{EN DASH}"
    assert rounding.span((-0.5, 0.2)) == "\N{MINUS SIGN}0.50 to 0.20"
    assert rounding.span((0.83, 0.92)) == "0.83\N{EN DASH}0.92"
    ratios = [rounding.ratio(each) for each in (0.0, 0.65, 3.0, 9.0, -5.0, -900.0)]
    assert ratios == ["1.00", "1.92", "20", ">1000", "0.0067", "0"]
