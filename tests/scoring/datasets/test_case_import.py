import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import Invalid, NotFound, WrongUse
from penstock.scoring.datasets.case_import import Imported, import_cases, read_rows
from penstock.scoring.datasets.column_choice import ColumnChoice
from penstock.scoring.datasets.csv_rows import read_csv
from penstock.scoring.datasets.json_rows import read_json, read_jsonl
from penstock.scoring.datasets.schema_inference import inferred_schema

SCHEMA = {
    "type": "object",
    "required": ["text"],
    "additionalProperties": False,
    "properties": {"text": {"type": "string"}, "amount": {"type": "number"}, "urgent": {"type": "boolean"}},
}


def imported(tmp_path: Path, name: str, data: str | bytes, choice: ColumnChoice | None = None, **more: Any) -> Imported:
    file = tmp_path / name
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    table = read_rows(file, more.pop("form", None), more.pop("encoding", None))
    return import_cases(table, choice or ColumnChoice(), **more)


def faults(tmp_path: Path, name: str, data: str | bytes, choice: ColumnChoice | None = None, **more: Any) -> list[str]:
    with pytest.raises(Invalid) as error:
        imported(tmp_path, name, data, choice, **more)
    return [f"{one.line}:{one.column}: {one.what}" for one in error.value.faults]


def test_a_csv_file_with_quotes_separators_and_line_ends_in_cells(tmp_path: Path) -> None:
    text = 'id,input,expected,tags,cluster\r\na,"one ""two"",\r\nthree",5,"x, y",c1\r\n\r\nb,"4,5",6,,\r\n'
    assert imported(tmp_path, "rows.csv", text).cases == [
        {"id": "a", "input": 'one "two",\nthree', "expected": 5, "tags": ["x", "y"], "cluster": "c1"},
        {"id": "b", "input": "4,5", "expected": 6},
    ]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_are_seen_in_the_header(tmp_path: Path, separator: str) -> None:
    text = separator.join(["id", "input", '"a,b,c,d"']) + "\n" + separator.join(["1", "hello, you", "x"]) + "\n"
    done = imported(tmp_path, "rows.tsv", text)
    assert (done.cases, done.unused) == ([{"id": "1", "input": "hello, you"}], ["a,b,c,d"])


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("\ufeffid,input\na,Grüße\n".encode(), None),
        ("\ufeffid,input\na,Grüße\n".encode("utf-16-le"), None),
        ("id,input\na,Grüße\n".encode("cp1252"), "cp1252"),
        ("id,input\na,Gru\u0308ße\n".encode(), None),
    ],
)
def test_encodings_and_byte_order_marks(tmp_path: Path, data: bytes, encoding: str | None) -> None:
    assert imported(tmp_path, "rows.csv", data, encoding=encoding).cases == [{"id": "a", "input": "Grüße"}]


def test_bytes_that_are_no_text_are_told_by_line_and_column(tmp_path: Path) -> None:
    assert faults(tmp_path, "rows.csv", "id,input\na,Grüße\n".encode("cp1252")) == ["2:5: is no UTF-8"]
    with pytest.raises(Invalid, match="zero bytes"):
        imported(tmp_path, "rows.csv", b"id,input\na,\0\n")


def test_a_column_of_the_file_is_read_as_what_all_of_its_cells_are(tmp_path: Path) -> None:
    text = 'input,n,x,yes,code,list,mixed\na,1,1.5,true,007,"[1, 2]",1\nb,2,2,FALSE,012,[],one\n'
    choice = ColumnChoice(inputs=("n", "x", "yes", "code", "list", "mixed"))
    done = imported(tmp_path, "rows.csv", text, choice)
    assert [case["input"] for case in done.cases] == [
        {"n": 1, "x": 1.5, "yes": True, "code": "007", "list": [1, 2], "mixed": "1"},
        {"n": 2, "x": 2, "yes": False, "code": "012", "list": [], "mixed": "one"},
    ]
    assert done.unused == ["input"]


def test_a_schema_says_what_the_cells_are_and_each_misfit_is_told_at_its_cell(tmp_path: Path) -> None:
    choice = ColumnChoice(inputs=("body=text", "amount", "urgent"))
    good = imported(tmp_path, "rows.csv", "id,body,amount,urgent\n1,2026,3,true\n", choice, schema=SCHEMA)
    assert good.cases == [{"id": "1", "input": {"text": "2026", "amount": 3, "urgent": True}}]
    bad = "id,body,amount,urgent\n1,a,three,true\n2,,3,no\n3,c,4,false\n"
    assert faults(tmp_path, "rows.csv", bad, choice, schema=SCHEMA) == [
        "2:5: 'three' is no number",
        "3:6: 'no' is no boolean",
    ]
    missing = faults(tmp_path, "rows.csv", "id,body,amount,urgent\n2,,3,true\n", choice, schema=SCHEMA)
    assert missing == ['2:1: "text" is a required property']


def test_every_fault_of_a_csv_file_is_told_at_once(tmp_path: Path) -> None:
    text = "id,input,cluster\na,x,\na,y,\n,z,\nb,,\nc,1,2,3\nd,w\n"
    assert faults(tmp_path, "rows.csv", text) == [
        "3:1: id 'a' is there twice, first on line 2",
        "4:1: has no id",
        "5:1: has no input",
        "6:1: has 4 cells, and the header has 3",
        "7:1: has 2 cells, and the header has 3",
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "0:0: is empty"),
        ("id,input\n", "0:0: has no row"),
        ("\n\n", "1:1: column 1 has no name"),
        ("id,id\na,b\n", "1:4: column 'id' is there twice"),
        ('id,input\na,"b\nc', "2:3: has a quote that nothing closes"),
        ('id,input\na,"b"c\n', "2:6: has text after a closing quote"),
    ],
)
def test_broken_csv(tmp_path: Path, text: str, what: str) -> None:
    table = read_csv("rows.csv", text)
    found = [f"{one.line}:{one.column}: {one.what}" for one in table.faults] or faults(tmp_path, "rows.csv", text)
    assert found[0] == what


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("a.json", "", "0:0: is empty"),
        ("a.json", "[]", "1:2: holds no row"),
        ("a.json", '{"id": "a"}', "1:1: is no list"),
        ("a.json", '[{"id": "a", "input": 1}\n {"id": "b", "input": 1}]', "2:2: is no JSON: a comma or ] is missing"),
        ("a.json", '[{"id": "a", "input": 1}] x', "1:27: has text after the list"),
        ("a.json", '[\n {"id": "a", "input": NaN}]', "2:2: NaN is no JSON number"),
        ("a.json", '[{"id": "a", "input": 1, "input": 2}]', "1:2: 'input' is there twice in one object"),
        ("a.json", "[\n1]", "2:1: is no object"),
        ("a.json", '[{"id": "a", "input": 1e400}]', "1:2: has a number that JSON cannot say"),
        ("a.jsonl", "\n\n", "0:0: is empty"),
        ("a.jsonl", '{"id": "a", "input": 1}\n{"id": "b", "input":}\n', "2:21: is no JSON"),
        ("a.jsonl", '{"id": "a", "input": 1} {}\n', "1:25: has text after the object"),
        ("a.jsonl", '{"id": "a", "inputs": 1}\n', "1:1: 'input' is missing"),
        ("a.jsonl", '{"id": 5, "input": 1}\n', "1:1: should be text"),
        ("a.jsonl", '{"id": "a", "input": 1, "tags": "x"}\n', "1:1: should be a list"),
        ("a.jsonl", '{"id": "a", "input": 12345678901234567890}\n', "1:1: has a number that JSON cannot say"),
        ("a.jsonl", "[" * 100_000, "1:1: nests too deep"),
    ],
)
def test_broken_json(tmp_path: Path, name: str, text: str, what: str) -> None:
    assert any(one.startswith(what) for one in faults(tmp_path, name, text))


def test_rows_of_json_are_cases_as_they_stand(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "input": {"x": [1]}, "expected": None, "history": [{"role": "user", "content": "hi"}]},
        {"input": "no id"},
    ]
    for name, text in (("a.json", json.dumps(rows, indent=1)), ("a.jsonl", "\n".join(map(json.dumps, rows)))):
        done = imported(tmp_path, name, text)
        assert done.cases[0] == rows[0]
        assert (len(done.cases[1]["id"]), done.cases[1]["input"]) == (12, "no id")


def test_chosen_columns_of_json(tmp_path: Path) -> None:
    text = '[{"key": 7, "question": "why", "answer": {"a": 1}, "labels": "x;y", "more": 1}]'
    choice = ColumnChoice(id="key", inputs=("question",), expected="answer", tags="labels")
    done = imported(tmp_path, "a.json", text, choice)
    assert done.cases == [{"id": "7", "input": "why", "expected": {"a": 1}, "tags": ["x", "y"]}]
    assert done.unused == ["more"]


def test_an_id_made_of_the_input_is_the_same_again_and_taken_ids_are_refused(tmp_path: Path) -> None:
    first = imported(tmp_path, "a.csv", "input\nhello\nyou\n").cases
    known = [case["id"] for case in first]
    assert len(set(known)) == 2
    again = faults(tmp_path, "a.csv", "input\nhello\n", known=known)
    assert again == [f"2:1: id {known[0]!r} is in the dataset already"]


def test_a_column_that_is_not_there_and_an_input_that_nobody_named(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="no column 'bodi'") as error:
        imported(tmp_path, "a.csv", "id,body\n1,x\n", ColumnChoice(inputs=("bodi",)))
    assert error.value.now == "did you mean 'body'?"
    with pytest.raises(WrongUse, match="no column is called input"):
        imported(tmp_path, "a.csv", "id,body\n1,x\n")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_rows(tmp_path / "gone.csv")
    (tmp_path / "a.xlsx").write_bytes(b"x")
    with pytest.raises(WrongUse, match="format"):
        read_rows(tmp_path / "a.xlsx")
    with pytest.raises(WrongUse, match="encoding"):
        read_rows(tmp_path / "a.xlsx", "csv", "latin-99")


@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_characters="\r\0\x1c\x1d\x1e\x85")), min_size=2, max_size=2), min_size=1
    )
)
def test_what_is_written_as_csv_is_read_back(rows: list[list[str]]) -> None:
    quoted = ["x,y", *(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)]
    table = read_csv("a.csv", "\n".join(quoted) + "\n")
    assert table.faults == []
    read = [[row.cells[name].value if name in row.cells else "" for name in ("x", "y")] for row in table.rows]
    assert read == rows
    lines = "\n".join(quoted).split("\n")
    for row in table.rows:
        for cell in row.cells.values():
            assert lines[cell.line - 1][cell.column - 1] == '"'


@given(st.lists(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(-9, 9), st.booleans(), st.none()))))
def test_what_is_written_as_json_is_read_back_with_its_line(rows: list[dict[str, Any]]) -> None:
    text = "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"
    tables = [read_json("a", text)] if rows else []
    tables += [read_jsonl("a", "\n".join(["", *map(json.dumps, rows)]))] if rows else []
    for table in tables:
        assert table.faults == []
        assert [{name: cell.value for name, cell in row.cells.items()} for row in table.rows] == rows
        assert [row.line for row in table.rows] == list(range(2, len(rows) + 2))


def test_the_schema_of_a_new_dataset_is_what_all_inputs_fit() -> None:
    values = [{"a": 1, "b": [{"c": "x"}]}, {"a": 1.5, "b": [], "d": None}]
    assert inferred_schema(values) == {
        "type": "object",
        "required": ["a", "b"],
        "additionalProperties": False,
        "properties": {
            "a": {"type": "number"},
            "b": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["c"],
                    "additionalProperties": False,
                    "properties": {"c": {"type": "string"}},
                },
            },
            "d": {"type": "null"},
        },
    }
    assert inferred_schema(["a", 1]) == {"type": ["integer", "string"]}
