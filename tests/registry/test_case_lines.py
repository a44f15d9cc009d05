import pytest

from penstock.registry.case_lines import read_case_lines, repeated_ids

BROKEN = [
    ('{"id": "a", "input": 1', "1:23", "is no JSON", ""),
    ("[1]", "1:1", "is no case", "a JSON object with"),
    ('{"id": "", "input": 1}', "1:1", "at least 1 character", "Unique in the dataset"),
    ('{"id": 5, "input": 1}', "1:1", "should be text, not 5", ""),
    ('{"input": 1}', "1:1", "'id' is missing", "add it"),
    ('{"id": "a"}', "1:1", "'input' is missing", "add it"),
    ('{"id": "a", "input": 1, "tag": []}', "1:1", "unknown field 'tag'", "did you mean 'tags'?"),
    ('{"id": "a", "input": 1, "tags": [1]}', "1:1", "should be text, not 1", ""),
    ('{"id": "a", "input": NaN}', "1:22", "is no JSON", ""),
    ('{"id": "a", "input": 9007199254740993}', "1:1", "JSON cannot say exactly", "as text"),
    ('\ufeff{"id": "a", "input": 1}', "1:1", "byte order mark", "without BOM"),
]


@pytest.mark.parametrize(("text", "place", "what", "hint"), BROKEN)
def test_each_fault_of_a_line_is_said(text: str, place: str, what: str, hint: str) -> None:
    lines, [fault] = read_case_lines("cases.jsonl", f"{text}\n".encode())
    assert lines == []
    assert f"{fault.line}:{fault.column}" == place
    assert what in fault.what
    assert hint in fault.hint


def test_good_lines_are_read_beside_bad_ones_with_their_number() -> None:
    text = b'{"id": "a", "input": 1}\r\n\n{\n{"id": "b", "input": {"x": 1234567890123456}, "expected": null}'
    lines, faults = read_case_lines("cases.jsonl", text)
    assert [(one.line, one.case.id, one.case.has_expected) for one in lines] == [(1, "a", False), (4, "b", True)]
    assert lines[1].document == {"id": "b", "input": {"x": 1234567890123456}, "expected": None}
    assert [fault.line for fault in faults] == [3]


def test_an_id_that_stood_before_is_told_on_its_second_line() -> None:
    lines, faults = read_case_lines("cases.jsonl", b'{"id": "a", "input": 1}\n' * 3)
    assert faults == []
    assert [(fault.line, fault.what) for fault in repeated_ids("cases.jsonl", lines)] == [
        (2, "id 'a' is there twice, first on line 1"),
        (3, "id 'a' is there twice, first on line 1"),
    ]
