"""report.html as a file: true numbers, hostile words as words, and not one string in a single language."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from lxml import html

from lyceum.app.cli import main
from lyceum.evals import charts, compare, report
from lyceum.evals.abstention import area
from tests.evals import reported
from tests.evals.reported import HOSTILE, Harm, harmless, outcome

TEMPLATE = files("lyceum.evals").joinpath("report.html.j2").read_text(encoding="utf-8")
OTHER = {"en": "zh", "zh": "en"}
_both = re.compile(r'\bt\("((?:[^"\\]|\\.)*)",\s*"((?:[^"\\]|\\.)*)"')
_digits = re.compile(r"[\d.]*\d")
_letters = re.compile(r"[^\W\d_]+")
_cjk = re.compile("[\u3400-\u9fff]")


def page(folder: Path, words: Any = harmless, alone: bool = False) -> Any:
    """Return the parsed page of a run, with or without all that may be beside it."""
    made = reported.run(folder / "mine", words)
    others = [] if alone else [reported.run(folder / "theirs", words, shift=2)]
    beside = (None, None) if alone else (reported.autopsy(words), reported.comparison(words))
    file = report.write(made, others, *beside)
    return html.document_fromstring(file.read_bytes(), html.HTMLParser(encoding="utf-8"))


def shown(root: Any, language: str) -> Iterator[tuple[Any, str]]:
    """Yield the words of the page itself in one language, each with its element; not what came from the run."""
    for text in root.xpath("//body//text()[not(ancestor::*[@translate='no'])]"):
        element = text.getparent().getparent() if text.is_tail else text.getparent()
        if text.strip() and not element.xpath(f"ancestor-or-self::span[@lang='{OTHER[language]}']"):
            yield element, " ".join(text.split())


def plain(element: Any) -> str:
    return " ".join(element.text_content().split())


def unpaired(root: Any, language: str) -> set[str]:
    """Return the words of one language's page that do not stand in a pair, Chinese ones aside."""
    return {word for one, text in shown(root, language) for word in _letters.findall(text)
            if not one.xpath("ancestor-or-self::span[@lang]")}  # fmt: skip


def test_every_string_stands_in_both_languages(tmp_path: Path) -> None:
    root = page(tmp_path)
    pairs = root.xpath("//body//span[@lang='en']")
    assert len(pairs) > 60
    for english in pairs:
        chinese = english.getnext()
        assert chinese is not None, plain(english)
        assert chinese.get("lang") == "zh", plain(english)
        assert _cjk.search(plain(chinese)), plain(chinese)
        assert not _cjk.search(plain(english)), plain(english)
        assert sorted(_digits.findall(plain(english))) == sorted(_digits.findall(plain(chinese)))
    told = {language: [text for _, text in shown(root, language)] for language in OTHER}
    assert min(map(len, told.values())) > 100
    assert not [text for text in told["en"] if _cjk.search(text)], "Chinese in the English page"
    left = {word for text in told["zh"] for word in _letters.findall(text) if not _cjk.search(word)}
    assert left <= {"n", "p", "ms", "AURC", "examples", "jsonl"}, "English in the Chinese page"
    assert unpaired(root, "en") | unpaired(root, "zh") <= {"n", "p", "ms"}, "words that stand in no language"


def test_the_pages_of_this_test_show_every_string(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roots = [page(tmp_path / "all"), page(tmp_path / "alone", alone=True)]
    monkeypatch.setattr(report, "SHOWN", 3)
    monkeypatch.setattr(report, "PARTED", 1)
    report._template.cache_clear()
    roots.append(page(tmp_path / "capped"))
    report._template.cache_clear()
    strings = _both.findall(TEMPLATE)
    assert len(strings) == len(re.findall(r"\bt\(", TEMPLATE)) > 40, "each t() has two literal strings"
    for number, language in enumerate(("en", "zh")):
        told = "\n".join(plain(one) for root in roots for one in root.xpath(f"//span[@lang='{language}']"))
        for pair in strings:
            pattern = re.sub(r"\\\{\d?\\\}", ".+?", re.escape(" ".join(pair[number].split())))
            assert re.search(pattern, told), pair[number]


def test_hostile_words_stay_words(tmp_path: Path) -> None:
    root, clean = page(tmp_path / "a", Harm()), page(tmp_path / "b")
    assert {one.tag for one in root.iter(tag=html.etree.Element)} == {
        one.tag for one in clean.iter(tag=html.etree.Element)
    }
    assert not root.xpath(
        "//script | //a | //img | //iframe | //base | //link | //form | //object | //@src | //@href"
    )
    assert not [name for one in root.iter() for name in one.attrib if name.startswith("on")]
    assert len(root.xpath("//meta")) == 4
    assert len(root.xpath("//style")) == 1
    told = plain(root)
    for text in HOSTILE:
        assert " ".join(text.split())[:600] in told, text


def test_what_no_text_can_hold_breaks_nothing(tmp_path: Path) -> None:
    root = page(tmp_path, lambda text: text + " \ud800 \x00 \x0b end")
    assert len(root.xpath("//div[@class='list']/details")) == 9


def test_the_page_forbids_itself_everything(tmp_path: Path) -> None:
    (policy,) = page(tmp_path).xpath("//meta[@http-equiv]/@content")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_numbers_are_those_of_the_summary(tmp_path: Path) -> None:
    root = page(tmp_path, alone=True)
    summary = reported.run(tmp_path / "mine").summary
    rows = {plain(one.find("bdi")): one for one in root.xpath("//div[@class='rows']//summary")}
    assert list(rows) == list(summary.metrics)
    for name, found in summary.metrics.items():
        value = plain(rows[name].xpath(".//span[@class='value']")[0])
        assert value == " ".join(["{:.{d}f}", "[{:.{d}f},", "{:.{d}f}]"]).format(
            found.mean, found.low, found.high, d=3 if found.mean < 10 else 1
        ), name
        assert plain(rows[name].xpath(".//span[@class='n']")[0]).startswith(f"n = {found.n}")
    assert "6 could not be judged" in plain(rows["faithful"])
    slices = [plain(one) for one in root.xpath("//div[@class='rows']/details/div")]
    names = ("language语言 en", "tag标签 lookup", "type类型 pdf", "half")
    assert slices == [f"{name} 0.444 [0.111, 0.888] n = 3" for name in names]
    tiles = [plain(one) for one in root.xpath("//div[@class='tiles']/div/b[1]")]
    assert tiles == ["0.614", "4", "2", "1", "1", "1", "40 ms", "90 ms", "1,234", "5.68"]
    said = " ".join(map(plain, root.xpath("//main/p[1]/span[@lang='en']")))
    assert "9 questions were asked. 1 failed, each scored 0." in said
    head = plain(root.xpath("//header")[0])
    for text in ("squad", "mine", "minilm", "abc1234", "2026-11-25", "d1"):
        assert text in head, text


def test_a_question_shows_what_became_of_it(tmp_path: Path) -> None:
    rows = page(tmp_path).xpath("//div[@class='list']/details")
    assert [one.get("class") for one in rows] == [*reported.STATES, "right"]
    right, _, wrong, _, refused, unjudged, _, failed, nothing = (plain(one) for one in rows)
    for text in ("Question 0?", "It is 0.", "seven | 7", "gold.pdf 3", "gold document at rank 2", "bm25 2",
                 "[1] gold.pdf · mail.eml/gold.pdf · 3", "correct 1.000", "the judge returned junk"):  # fmt: skip
        assert text in right, text
    assert "gold document not found" in wrong
    assert "read阅读: It stood at rank 12. top_k = 20" in wrong
    assert "The documents say nothing of it." in refused
    assert "no gold answer" in unjudged
    assert "timeout: The model did not answer." in failed
    assert "a refusal" in nothing
    assert "no gold document" in nothing


def test_what_parted_two_runs(tmp_path: Path) -> None:
    root = page(tmp_path)
    mine, theirs = (reported.run(tmp_path / name, shift=n) for name, n in (("mine", 0), ("theirs", 2)))
    pairs = report.parted(mine, theirs)
    became = [(report.state(one), report.state(other)) for one, other in pairs]
    assert became == [("wrong", "right"), ("failed", "right"), ("right", "wrong")], "unjudged is no loss"
    blocks = root.xpath("//div[@class='pairs']/details")
    assert [plain(one.xpath(".//span[@translate]")[0]) for one in blocks] == [
        o.example.question for o, _ in pairs
    ]
    assert all(len(one.xpath("./div[@class='two']/div")) == 2 for one in blocks)
    compared = [plain(one) for one in root.xpath("//div[@class='rows'][2]/div[@class='row']")]
    assert compared == [
        "correct +0.100 [-0.020, +0.220] not proven未能证明, p = 0.081",
        "faithful -0.200 [-0.300, -0.100] worse更差, p = 0.002",
        "recall@10 +0.300 [+0.200, +0.400] better更好, p = 0.001",
        "words +0.000 [-0.010, +0.010] no difference无差异, p = 0.9",
        "correct +0.100 [-0.020, +0.220] something new, p = 0.081",
    ]
    assert "Not proven for correct." in plain(root)
    assert "They part at分歧阶段: search检索, first at 3" in plain(blocks[0])


def test_causes_are_counted_and_losses_add_up(tmp_path: Path) -> None:
    root = page(tmp_path)
    assert [plain(one) for one in root.xpath("//div[@class='pairs causes']/details/summary")] == [
        "1 ×read阅读 + pack组装上下文 + elsewheretop_k = 20", "1 ×read阅读top_k = 20",
    ]  # fmt: skip
    assert [report.level([("", 0.1, 1), ("", 0.3, 3), ("", 0, 0)], n) for n in range(3)] == [
        (0, 25), (25, 75), (100, 0),
    ]  # fmt: skip
    assert report.level([("parse", 0, 0)], 0) == (0, 0)
    lost = [plain(one) for one in root.xpath("//div[@class='losses']/span[@class='value']")]
    assert lost[:3] == ["0.0%", "−6.2%", "−12.5%"]
    assert "read阅读: It stood at rank 12. top_k = 20" in plain(root)


def test_a_large_run_says_what_it_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "SHOWN", 50)
    made = reported.run(tmp_path / "large", states=("right",) * 60 + ("wrong",) * 10)
    root = html.parse(str(report.write(made))).getroot()
    rows = root.xpath("//div[@class='list']/details")
    assert [one.get("class") for one in rows].count("wrong") == 10, "what went wrong is never left out"
    assert len(rows) == 50
    assert "50 of 71 questions are shown" in plain(root)
    assert "71" in plain(root.xpath("//label[@for='only-all']")[0])


def test_a_page_stays_small(tmp_path: Path) -> None:
    made = reported.run(tmp_path / "large", states=("right", "wrong") * 300)
    assert report.write(made).stat().st_size < 2500 * 601


def test_risk_and_coverage_by_hand() -> None:
    """El-Yaniv and Wiener (2010): answers by confidence, and the share of them that is wrong."""
    asked = [(0.9, "right"), (0.8, "wrong"), (0.8, "right"), (0.4, "wrong"), (0.3, "refused")]
    outcomes = [outcome(n, one, harmless, confidence) for n, (confidence, one) in enumerate(asked)]
    outcomes += [outcome(8, "failed", harmless), outcome(9, "unjudged", harmless)]
    points = report.risks(outcomes[::-1])
    assert points == [(1 / 6, 0.0), (3 / 6, pytest.approx(1 / 3)), (4 / 6, 0.5)], "a failure is no answer"
    assert area(points) == pytest.approx((1 * 0 + 2 / 3 + 1 * 0.5) / 4)
    assert report.risks([]) == []
    assert area([]) == 0


def test_drawings_have_what_they_are_given() -> None:
    drawn = charts.whisker((0.25, 0.5, 0.75), [(0.25, 0.5, 0.75)])
    assert re.findall(r'cx="([\d.]+)"', drawn) == ["160.0", "160.0"]
    assert drawn.count('x1="85.0"') == 3, "a line of the grid and the ends of two bars"
    assert 'cx="235.0"' in charts.whisker((0, 0.1, 0.2), left=-0.2, right=0.2)
    assert "<svg" not in charts.whisker((1, 2, 3)), "no share: it has no place on the scale"
    assert re.findall(">([^<]+)</text>", charts.scale(-0.2, 0.2)) == ["-0.2", "-0.1", "0", "0.1", "0.2"]
    bars = charts.histogram([0.01] * 5 + [1.0] * 3 + [0.0])
    assert bars.count("<rect") == 3
    assert ">5</text>" in bars
    assert charts.histogram([0.5]).count("<rect") == 1
    assert charts.histogram([]).count("<svg") == 1
    assert charts.curves([[(0.5, 0.2), (1.0, 0.4)]]).count("<polyline") == 1
    assert [charts.seconds(one) for one in (0.0153, 0.999, 1, 75.5)] == ["15.3 ms", "999 ms", "1 s", "75.5 s"]


@pytest.mark.parametrize("theme", [0, 1])
def test_colours_can_be_read(theme: int) -> None:
    """WCAG 2.1, 1.4.3: at least 4.5 to 1 between text and what it stands on."""

    def light(colour: str) -> float:
        full = colour if len(colour) == 6 else "".join(2 * one for one in colour)
        parts = [int(full[n : n + 2], 16) / 255 for n in (0, 2, 4)]
        linear = [one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
        return sum(share * one for share, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    block = re.findall(r":root \{([^}]*)\}", TEMPLATE)[theme]
    colours = {name: light(value) for name, value in re.findall(r"--([\w-]+): #(\w+)", block)}
    assert len(colours) == 12
    for name in colours.keys() - {"paper", "card", "line"}:
        for ground in ("paper", "card"):
            low, high = sorted((colours[name], colours[ground]))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ground)


def told(home: Path, capsys: pytest.CaptureFixture[str], *given: str) -> tuple[int, Any]:
    """Run `lyceum eval report`; return its exit code and what it printed."""
    code = main(["eval", "report", "--json", "--home", str(home), *given])
    return code, json.loads(capsys.readouterr().out)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [reported.run(tmp_path / "runs" / name, shift=n) for n, name in enumerate(("a1b2", "a1c3"))]
    for made in runs:
        reported.save(made)
    (runs[0].folder / "autopsy.json").write_text(json.dumps(reported.autopsy()))
    code, printed = told(tmp_path, capsys, "a1b", "--against", str(runs[1].folder))
    assert (code, printed) == (0, {"report": str(runs[0].folder / "report.html")})
    words = plain(html.parse(printed["report"]).getroot())
    (found,) = compare.compare(runs[::-1])
    assert (found.won, found.lost) == (2, 2)
    for text in ("It stood at rank 12.", compare.sentence(found), "not proven", "They part at", "first at 2"):
        assert text in words, text
    assert told(tmp_path, capsys, "a1")[1]["error"]["message"] == "2 runs begin with 'a1'."
    assert told(tmp_path, capsys, "zz")[1]["error"]["code"] == "no_run"
    reported.save(reported.run(tmp_path / "runs" / "b1", states=reported.STATES[1:]))
    assert told(tmp_path, capsys, "a1b2", "--against", "b1")[1]["error"]["code"] == "mixed"
