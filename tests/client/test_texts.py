"""Free text: identifiers out, words into buckets, buckets as numbers of a study."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from client import site as sites
from client.formats.raw import PERSON, TIME
from client.numbers import redaction
from client.tables import integration
from common.errors import DataError, StudyError
from common.schema import Number, Prose, texts
from common.study import Study
from tests import clinics
from tests.places import CANARY, read, refusal, site

FILES = {"kind": "text", "files": "notes/{person}_{time}.txt", "dates": "%Y%m%d"}
COLUMN = {"note": {"column": "text"}}
PROSE = {"kind": "text", "name": "note", "buckets": 8, "together": 2}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Seen by Dr. Ada Muster on 2024-03-01.", "Seen by [name] on [date]."),
        ("Frau Müller-Lüdenscheidt, geb. 12.03.1951", "[name], geb. [date]"),
        ("Mme Zoé de la Fontaine le 3 mars 2024", "[name] le [date]"),
        ("MRN 00123/Z and Fallnummer: A-77", "MRN [number] and Fallnummer: [number]"),
        ("call +49 30 555 14 866 or (030) 555-1234", "call [phone] or [phone]"),
        ("ada.muster+ward@mail.example wrote", "[email] wrote"),
        ("insured as A123456789", "insured as [number]"),
        ("March 1st, 2024 and 1/3/24", "[date] and [date]"),
    ],
)
def test_what_has_the_form_of_an_identifier_is_gone(said: str, kept: str) -> None:
    assert redaction.redacted(said) == kept


@pytest.mark.parametrize(
    "said",
    [
        "RR 120/80 mmHg, SpO2 96 % at 12:30, HR 72-84, 3 x 500 mg, potassium 4.1",
        "NYHA II-III since 2019, may be given, COVID-19, drove home",
    ],
)
def test_measurements_are_no_identifiers(said: str) -> None:
    assert redaction.redacted(said) == said


@given(some.text(max_size=200))
def test_redaction_is_idempotent(text: str) -> None:
    once = redaction.redacted(text)
    assert redaction.redacted(once) == once


@pytest.mark.parametrize("piece", ["a", "1", "-", "a-", "1 ", "Dr Aa", "a@", "1.", "é"])
def test_no_text_keeps_redaction_busy(piece: str) -> None:
    begun = time.process_time()
    redaction.redacted(piece * (100_000 // len(piece)))
    assert time.process_time() - begun < 5.0


def test_buckets_are_a_function_of_the_words_alone() -> None:
    """No text changes another's row: nothing is learnt from them together."""
    texts = ["Known diabetes, crackles.", "", "no oedema of the legs", "1234 99"]
    together = redaction.hashed(texts, 8, 2)
    alone = np.vstack([redaction.hashed([each], 8, 2) for each in texts])
    np.testing.assert_array_equal(together, alone)
    assert together.min() >= 0.0
    np.testing.assert_allclose((together**2).sum(axis=1), [1, 0, 1, 0])
    assert redaction.hashed([], 8, 2).shape == (0, 8)


def test_a_number_or_an_identifier_never_falls_into_a_bucket() -> None:
    plain = redaction.hashed(["seen by [name] with record [number]"], 64, 1)
    said = redaction.hashed(["seen by Dr. Muster with record 8812"], 64, 1)
    np.testing.assert_array_equal(plain, said)


def test_files_are_cells_by_person_and_time(tmp_path: Path) -> None:
    local = site(tmp_path, FILES, COLUMN)
    notes(tmp_path, {"b_20240102": "two", "a_b_20240101": "\ufeffone"})
    (raw,) = read(local)
    assert raw.cells[PERSON].tolist() == ["a_b", "b"]
    assert raw.cells[TIME].tolist() == ["20240101", "20240102"]
    assert raw.cells["note"].tolist() == ["one", "two"]
    assert "note" not in repr(raw)


def notes(folder: Path, texts: dict[str, str | bytes]) -> None:
    (folder / "notes").mkdir(exist_ok=True)
    for name, text in texts.items():
        content = text if isinstance(text, bytes) else text.encode()
        (folder / "notes" / f"{name}.txt").write_bytes(content)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"\xff\xfe" + CANARY.encode(), "no text in utf-8"),
        (CANARY.encode() + b"\0", "binary data"),
        (CANARY.encode() * 100_000, "larger than a text"),
    ],
)
def test_what_is_no_text_is_said_by_its_number(
    tmp_path: Path, content: bytes, match: str
) -> None:
    """The file's own name says whose it is, and is not in the error."""
    local = site(tmp_path, FILES, COLUMN)
    notes(tmp_path, {"a_20240101": "fine", f"{CANARY}_20240101": content})
    with pytest.raises(DataError, match=match) as caught:
        read(local)
    assert "of notes/*_*.txt" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_no_file_and_no_such_column_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file notes"):
        read(site(tmp_path, FILES, COLUMN))
    with pytest.raises(DataError, match="which is called text"):
        read(site(tmp_path, FILES, {"note": {"column": "body"}}))


def test_a_text_is_its_buckets_to_every_task() -> None:
    asked = studying(PROSE)
    (text,) = texts(asked.declared)
    assert [each.name for each in asked.variables[-8:]] == [
        f"note_{place}" for place in range(8)
    ]
    assert all(isinstance(each, Number) for each in text.numbers())
    assert Study.model_validate_json(asked.canonical()).digest() == asked.digest()
    assert b'"buckets":8' in asked.canonical()
    assert studying({**PROSE, "buckets": 9}).digest() != asked.digest()


def studying(prose: dict[str, object]) -> Study:
    return clinics.study(variables=[*clinics.VARIABLES, prose])


def test_two_variables_may_not_share_a_bucket_s_name() -> None:
    twin = {"kind": "number", "name": "note_3", "unit": "1", "range": [0, 1]}
    with pytest.raises(ValueError, match="note_3 is declared twice"):
        clinics.study(variables=[*clinics.VARIABLES, PROSE, twin])


def ward(folder: Path, texts: list[str], more: str = "") -> Path:
    """Write a hospital whose export has a column of notes."""
    lines = [
        f'{line},"{text}"'
        for line, text in zip(clinics.lines(len(texts)), texts, strict=True)
    ]
    path = clinics.folder(folder, lines, header=f"{clinics.HEADER},words")
    mapped = f'\n[columns.note]\ncolumn = "words"\n{more}'
    path.write_text(path.read_text(encoding="utf-8") + mapped, encoding="utf-8")
    return path


def test_a_column_of_notes_becomes_numbers_of_the_table(tmp_path: Path) -> None:
    texts = [f"Dr. {CANARY} hears crackles", "", "NA", *["no oedema"] * 17]
    asked = studying(PROSE)
    table = integration.table(sites.read(ward(tmp_path, texts)), asked)
    columns = table.values[:, -8:]
    np.testing.assert_array_equal(columns[0], redaction.hashed([texts[0]], 8, 2)[0])
    assert np.isnan(columns[1:3]).all()
    assert not np.isnan(columns[3:]).any()
    counted = [each for each in table.report if each.variable.startswith("note")]
    assert [(each.variable, each.count) for each in counted] == [("note", 2)]
    assert CANARY not in f"{table!r}{table.report}"


@pytest.mark.parametrize(
    ("more", "match"),
    [('pick = "mean"', "is a text"), ('unit = "x"', "no conversion")],
)
def test_a_mapping_that_fits_no_text_is_refused(
    tmp_path: Path, more: str, match: str
) -> None:
    with pytest.raises(StudyError, match=match):
        integration.table(sites.read(ward(tmp_path, ["x"] * 5, more)), studying(PROSE))


def test_a_text_that_nobody_mapped_is_asked_for_by_its_name(tmp_path: Path) -> None:
    path = clinics.folder(tmp_path, clinics.lines())
    with pytest.raises(StudyError, match="declared variable note\n"):
        integration.table(sites.read(path), studying(PROSE))


@given(some.integers(2, 40), some.text("ab cö1.", max_size=60))
@settings(deadline=None)
def test_every_bucket_is_within_its_declared_range(buckets: int, text: str) -> None:
    prose = Prose(kind="text", name="note", buckets=buckets)
    low, high = prose.numbers()[0].range
    row = redaction.hashed([text], buckets, 1)
    assert ((row >= low) & (row <= high)).all()
    assert len(prose.numbers()) == buckets


@given(some.binary(max_size=60), some.sampled_from(["utf-8", "latin-1", "utf-16"]))
@settings(deadline=None, max_examples=40)
def test_any_bytes_are_a_text_or_one_sentence(noise: bytes, encoding: str) -> None:
    with TemporaryDirectory() as folder:
        local = site(Path(folder), {**FILES, "encoding": encoding}, COLUMN)
        notes(Path(folder), {f"{CANARY}_20240101": CANARY.encode() + noise})
        said = refusal(lambda: read(local))
    assert CANARY not in said
    assert not said or "file 1 of notes/*_*.txt" in said
