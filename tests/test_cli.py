"""The command as a person types it: exit codes, help, JSON on stdout, no values."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from common import terminal
from common.cli import COMMANDS, build
from common.errors import INTERRUPTED, ConsiliumError
from common.study_commands import TEMPLATE

HEAVY = {"numpy", "pandas", "flwr", "sklearn", "scipy", "pydantic", "rich", "jinja2"}
CANARY = "Kanarienvogel"


def consilium(*arguments: str) -> int:
    return terminal.run(build(), list(arguments))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Write the small study as a file."""
    place = tmp_path / "study.toml"
    sites = ["hospital-a", "hospital-b", "hospital-c"]
    text = TEMPLATE.format(name="small").replace(json.dumps(sites), '["north"]')
    place.write_text(text.replace("quorum = 3", "quorum = 1"))
    return place


@pytest.fixture
def north(tmp_path: Path) -> Path:
    """Write a hospital that fits the template's study."""
    header = "patient,age,cholesterol,sex,disease"
    rows = [
        f"p{i},{30 + i % 50},{150 + i},{'fm'[i % 2]},{'absent' if i % 3 else 'present'}"
        for i in range(80)
    ]
    place = tmp_path / "hospitals" / "north"
    place.mkdir(parents=True)
    (place / "export.csv").write_text("\n".join([header, *rows]) + "\n")
    (place / "site.toml").write_text(
        'site = "north"\n[data]\nfile = "export.csv"\nperson = "patient"\n'
        '[columns.age]\ncolumn = "age"\n[columns.cholesterol]\ncolumn = "cholesterol"\n'
        '[columns.sex]\ncolumn = "sex"\nlevels = { f = "female", m = "male" }\n'
        '[columns.disease]\ncolumn = "disease"\n'
    )
    return place / "site.toml"


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom common.cli import main\n"
        "sys.argv = ['consilium', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter and program
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert not loaded & HEAVY
    assert all(name in done.stdout for _, name in COMMANDS)


@pytest.mark.parametrize("group", ["study", "simulate", "client", "server"])
def test_a_group_alone_shows_its_help(
    group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert consilium(group) == 2
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["stduy"],
        ["study", "check"],
        ["study", "new"],
        ["demo", "--nope"],
        ["demo", "x"],
    ],
)
def test_a_wrong_command_line_is_two(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert consilium(*arguments) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_new_study_is_valid_and_never_overwritten(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert consilium("study", "new", "heart") == 0
    assert consilium("study", "check", "heart.toml") == 0
    assert consilium("study", "new", "heart") == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("promised", [False, True])
def test_a_check_as_json_says_what_is_promised_and_masked(
    *, study: Path, promised: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if promised:
        lines = study.read_text().splitlines()
        said = "\n".join(each for each in lines if not each.startswith("privacy ="))
        kept = '[privacy]\nepsilon = 1.0\ndelta = 1e-5\nnoise = "site"\n'
        study.write_text(f"{said}\n{kept}")
    assert consilium("study", "check", str(study), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["privacy"] == "none" or told["privacy"]["epsilon"] == 1.0
    assert (told["privacy"] == "none") != promised
    assert isinstance(told["masked"], bool)


def test_the_schema_knows_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert consilium("study", "schema") == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"variables", "outcome", "privacy"} <= set(schema["properties"])


def test_an_invalid_study_is_three_and_json_stays_on_stdout(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study.write_text(study.read_text().replace("ridge", "rigde"))
    assert consilium("study", "check", str(study), "--json") == 3
    shown = capsys.readouterr()
    error = json.loads(shown.out)["error"]
    assert error["fix"] == "did you mean `ridge`?"
    assert error["exit_code"] == 3


def test_the_dry_run_shows_counts_and_sends_nothing(
    study: Path, north: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["client", "check", "--study", str(study), "--site", str(north)]
    assert consilium(*arguments) == 0
    text = capsys.readouterr().out
    assert "80 records are ready for small; nothing was sent" in text
    assert 'approved = ["' in text
    assert consilium(*arguments, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["records"] == 80
    assert not facts["approved"]
    read = {"step": "read", "variable": "", "what": "records read", "count": 80}
    assert any(read.items() <= each.items() for each in facts["cleaning"])


def test_a_study_runs_over_a_folder(
    study: Path, north: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = str(north.parents[1]), str(tmp_path / "out")
    run = ["simulate", "run", str(study), "--data", data, "--out", out]
    assert consilium(*run, "--json", "-q") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["sites"][0]["rows"] == 80
    assert report["max_abs_coefficient_difference"] < 1e-6
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report
    assert (tmp_path / "out" / "report.html").exists()
    assert consilium(*run) == 0
    assert "logistic: round 1, 1 sites" in capsys.readouterr().err


def test_a_model_without_a_solution_is_told_by_line(
    study: Path, north: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = study.read_text().replace("ridge = 1.0", "ridge = 0.0")
    study.write_text(text)
    export = north.parent / "export.csv"
    export.write_text(
        export.read_text().replace("f,", "m,").replace("m,absent", "f,absent")
    )
    data, out = str(north.parents[1]), str(tmp_path / "out")
    assert consilium("simulate", "run", str(study), "--data", data, "--out", out) == 3
    line = text[: text.index("ridge = 0.0")].count("\n") + 1
    told = capsys.readouterr().err
    assert f"where   {study} line {line}" in told
    assert "fix     in [model]:   ridge = 1.0" in told
    assert f"then    consilium simulate run {study} --data {data}" in told


def test_a_run_that_was_cut_off_goes_on_from_its_journal(
    study: Path, north: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out, folder = str(north.parents[1]), str(tmp_path / "out"), tmp_path / "j"
    run = ["simulate", "run", str(study), "--data", data, "--out", out, "--json"]
    run += ["--journal", str(folder)]
    assert consilium(*run) == 0
    shown = capsys.readouterr()
    assert f"each round is kept in {folder}" in shown.err
    whole = json.loads(shown.out)
    for path in sorted(folder.glob("*.record"))[3:]:
        path.unlink()
    assert consilium(*run) == 0
    shown = capsys.readouterr()
    assert f"resuming from {folder}: run " in shown.err
    assert "has finished round 1 of logistic" in shown.err
    assert "logistic: round 2" in shown.err
    assert "logistic: round 1," not in shown.err
    assert json.loads(shown.out)["coefficients"] == whole["coefficients"]
    assert consilium(*run) == 0
    assert "is over; no site is asked again" in capsys.readouterr().err
    study.write_text(study.read_text().replace("quorum = 1", "quorum = 1 "))
    assert consilium(*run) == 0
    study.write_text(study.read_text().replace("ridge = 1.0", "ridge = 2.0"))
    assert consilium(*run) == 11
    assert "the journal is of another study" in capsys.readouterr().err


@pytest.mark.slow
def test_a_command_that_was_killed_goes_on_when_it_is_typed_again(
    study: Path, north: Path, tmp_path: Path
) -> None:
    program = "from common.cli import main; main()"
    data, folder = str(north.parents[1]), tmp_path / "j"
    run = [sys.executable, "-c", program, "simulate", "run", str(study), "--json"]
    run += ["--data", data, "--out", str(tmp_path / "out"), "--journal", str(folder)]
    killed = subprocess.Popen(run)  # noqa: S603 - our own interpreter and program
    while not (folder / "000001.record").exists():
        assert killed.poll() is None
    killed.kill()
    killed.wait()
    done = subprocess.run(  # noqa: S603 - the same
        run, capture_output=True, text=True, check=True
    )
    assert "resuming from" in done.stderr
    assert json.loads(done.stdout)["max_abs_coefficient_difference"] < 1e-6


@pytest.mark.parametrize(
    ("old", "new", "code", "says"),
    [
        ('column = "age"', 'column = "agge"', 9, "is not in export.csv"),
        ('site = "north"', f'site = "north"\napproved = ["{"0" * 64}"]', 7, "approved"),
        ('site = "north"', 'site = "south"', 7, "is not invited"),
        ('site = "north"', 'sitte = "north"', 3, "unknown key"),
        (
            'column = "cholesterol"',
            'column = "cholesterol"\nunit = "mmol/L"',
            9,
            "outside",
        ),
        (
            'site = "north"',
            'site = "north"\nmin_people = 80',
            7,
            "than its floor of 80",
        ),
    ],
)
def test_what_is_wrong_at_a_site_has_its_exit_code(
    study: Path,
    north: Path,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    code: int,
    says: str,
) -> None:
    north.write_text(north.read_text().replace(old, new))
    data = str(north.parents[1])
    assert consilium("simulate", "run", str(study), "--data", data) == code
    shown = capsys.readouterr()
    assert says in shown.err
    assert "Traceback" not in shown.err


def test_no_cell_reaches_any_output(
    study: Path, north: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = north.parent / "export.csv"
    whole = export.read_text()
    data = str(north.parents[1])
    for place in range(1, 5):
        cells = whole.splitlines()
        odd = cells[5].split(",")
        odd[place] = CANARY
        export.write_text("\n".join([*cells[:5], ",".join(odd), *cells[6:]]))
        assert consilium("simulate", "run", str(study), "--data", data, "-v") == 9
        shown = capsys.readouterr()
        assert CANARY not in shown.out + shown.err
        assert "export.csv line 6" in shown.err
    del tmp_path


def test_a_folder_without_hospitals_says_how_to_get_some(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert consilium("simulate", "run", str(study), "--data", str(tmp_path)) == 9
    assert "consilium simulate hospitals" in capsys.readouterr().err


def test_an_internal_fault_leaves_frames_but_no_message(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    root = build()

    @root.command()
    def fault() -> None:
        raise ValueError(CANARY)

    assert terminal.run(root, ["fault", "-v"][:1]) == ConsiliumError.exit_code
    crash = (tmp_path / "consilium-crash.txt").read_text()
    assert "ValueError" in crash
    assert CANARY not in crash + "".join(capsys.readouterr())


def test_ctrl_c_is_130() -> None:
    root = build()

    @root.command()
    def stop() -> None:
        raise KeyboardInterrupt

    assert terminal.run(root, ["stop"]) == INTERRUPTED


def test_a_reader_that_leaves_early_is_no_fault() -> None:
    program = "from common.cli import main; import sys\n"
    program += "sys.argv = ['consilium', 'study', 'schema']\nmain()"
    with subprocess.Popen(  # noqa: S603 - our own interpreter and program
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as done:
        assert done.stdout is not None
        done.stdout.close()
        assert done.stderr is not None
        assert done.stderr.read() == b""
    assert done.returncode == 0


def test_the_module_is_the_command_too() -> None:
    command = [sys.executable, "-m", "common.cli", "--version"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    assert told.stdout.startswith("consilium")
