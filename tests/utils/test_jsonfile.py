"""JSON from a user: each kind of wrong file is one line that names it."""

import math
import os
from pathlib import Path

import pytest

from reid.utils.errors import InputError
from reid.utils.jsonfile import fields, last_json_line, read_json


def written(folder: Path, content: bytes) -> Path:
    file = folder / "given.json"
    file.write_bytes(content)
    return file


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"mAP": 0.5, "seed": [1, null]}', {"mAP": 0.5, "seed": [1, None]}),
        (b"5", 5),
        (b"\xef\xbb\xbf[]", []),  # the mark that Windows puts in front
    ],
)
def test_what_is_json_is_read(tmp_path: Path, content: bytes, expected: object) -> None:
    assert read_json(written(tmp_path, content), "a result") == expected


def test_nan_is_a_number(tmp_path: Path) -> None:
    assert math.isnan(read_json(written(tmp_path, b'{"mAP": NaN}'), "a result")["mAP"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Expecting value"),
        (b'{"mAP": 0.', "given.json"),
        (b'{"mAP": \xff}', "no UTF-8"),
        (b"PK\x03\x04\x00\x00", "is not a result"),
        (b"[" * 200_000, "nested too deep"),
        (b"9" * 10_000, "is not a result"),
    ],
    ids=["empty", "cut off", "latin-1", "zip", "deep", "many digits"],
)
def test_what_is_no_json_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read_json(written(tmp_path, content), "a result")
    assert "given.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_is_measured_before_it_is_read(tmp_path: Path) -> None:
    file = written(tmp_path, b"[1]" + b" " * 98)
    assert read_json(file, "a result", max_bytes=101) == [1]
    with pytest.raises(InputError, match=r"given\.json has 101 bytes, a result has at most 100"):
        read_json(file, "a result", max_bytes=100)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json does not exist"):
        read_json(tmp_path / "none.json", "a result")
    with pytest.raises(InputError, match="is a folder"):
        read_json(tmp_path, "a result")
    with pytest.raises(InputError, match="is not a result"):
        read_json(Path("a\0b"), "a result")
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path / ("x" * 300), "a result")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(InputError, match=r"pipe\.json is no regular file"):
        read_json(tmp_path / "pipe.json", "a result")


def test_fields_are_taken_out_by_name_and_type() -> None:
    value = {"mAP": 1, "seed": 3, "name": "x", "more": [], "none": None}
    found = fields(value, "it", {"mAP": float, "seed": int}, {"name": str, "none": str, "no": int})
    assert found == {"mAP": 1.0, "seed": 3, "name": "x"}
    assert isinstance(found["mAP"], float)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "it must be an object with mAP, got a list of 0"),
        (5, "it must be an object with mAP, got 5"),
        ({}, "it has no 'mAP'"),
        ({"mAP": None}, "it: 'mAP' must be a number, got null"),
        ({"mAP": "high"}, "it: 'mAP' must be a number, got \"high\""),
        ({"mAP": True}, "it: 'mAP' must be a number, got true"),
        ({"mAP": {"a": 1}}, "it: 'mAP' must be a number, got an object of 1"),
        ({"mAP": 10**400}, "it: 'mAP' must be a number, got 1000"),
        ({"mAP": 0.5, "seed": 1.5}, "it: 'seed' must be a whole number, got 1.5"),
        ({"mAP": 0.5, "seed": "x" * 99}, f'got "{"x" * 39}...'),
    ],
)
def test_a_wrong_field_is_named(value: object, said: str) -> None:
    with pytest.raises(InputError) as caught:
        fields(value, "it", {"mAP": float}, {"seed": int})
    assert said in str(caught.value)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}\n{"a": 2}\n', {"a": 2}),
        ('{"a": 1}\n{"a": 2', {"a": 1}),  # half a line of a killed run
        ('{"a": 1}\n[2]\n\n', {"a": 1}),
        ("", {}),
        ("no\n", {}),
        ('{"a": 1}\n' + " " * 200 + '{"a": 2}\n', {"a": 2}),
        ('{"a": 1}\n' + "x" * 200 + "\n", {}),  # beyond what is looked at
    ],
)
def test_the_last_line_is_found(tmp_path: Path, text: str, found: dict[str, int]) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    assert last_json_line(path, max_bytes=100) == found
    assert last_json_line(tmp_path / "missing") == {}
