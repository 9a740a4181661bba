"""The sentence for each way a manifest, or a file beside it, can be wrong."""

from pathlib import Path

import pytest

from separable.data.manifest import read_manifest
from separable.errors import UsageError
from tests.data.test_manifest import manifest, message

GOOD = "path,labels\na.jpg,cat\nb.jpg,dog\n"
OBJECT = 'Expected: an object a line, such as {"path": "a.jpg", "labels": ["cat", "sofa"]}.'

CSV = {
    "": "labels.csv is not a list of labels. Got: an empty file. Expected: path and labels.",
    "path,labels\n": "labels.csv lists no picture. Expected: a line for each: its path and its labels.",
    "file,tags\na.jpg,cat\n": "labels.csv is not a list of labels. Got: the columns file, tags. Expected: path "
    "and labels.",
    "path;labels\na.jpg;cat\n": "labels.csv is separated by semicolons. Expected: commas. Save it comma-separated: "
    "path,labels.",
    "path,labels\na.jpg,cat,dog\n": "labels.csv, line 2, has more fields than the first line. Got: the last one: "
    "['dog']. "
    "Expected: a path and labels, and what else the first line names. Separate labels by ; or |, and put a path or a "
    "label that has a comma into double quotes.",
    "path,labels\na.jpg\n": "labels.csv, line 2, has fewer fields than the first line. Got: the last one: 'a.jpg'.",
    "path,labels\na.jpg,cat\nb.jpg,dog\n./a.jpg,dog\n": "labels.csv, line 4, names a picture a second time. Got: "
    "a.jpg, as "
    "in labels.csv, line 2. Expected: one line for a picture, with all of its labels.",
    "path,labels\n/data/a.jpg,cat\n": "labels.csv, line 2, has an absolute path. Got: /data/a.jpg. Expected: a "
    "path from "
    "the folder of the manifest on, such as images/1.jpg.",
    "path,labels\nC:\\data\\a.jpg,cat\n": "labels.csv, line 2, has an absolute path. Got: C:\\data\\a.jpg.",
    "path,labels\nsub/../../a.jpg,cat\n": "labels.csv, line 2, has a path that leaves the folder. Got: "
    "sub/../../a.jpg.",
    "path,labels\n..,cat\n": "labels.csv, line 2, has a path that leaves the folder. Got: ..",
    "path,labels\n,cat\n": "labels.csv, line 2, has labels but no path. Expected: the path of a picture.",
    "path,labels\na.jpg,cat\nx.jpg,dog\nsub,dog\n": "labels.csv names files that are not there, 2 of its 3 "
    "pictures. Got: "
    "x.jpg (line 3), sub (line 4). Expected: paths of pictures from ",
    "path,labels\na.jpg,cat\nb.jpg,cat\n": "labels.csv has one class. Got: only 'cat'. Expected: at least two "
    "classes: what "
    "is measured is which of them come first. For yes or no, make a folder of pictures for each of the two.",
    "path,labels\na.jpg,\nb.jpg,\n": "labels.csv has no label at all. Expected: at least two classes",
    "path,labels\na.jpg,cat;dog\n": "labels.csv lists one picture. Got: a.jpg. Expected: at least two: one to "
    "train on and "
    "one to validate on.",
    "path,labels,set\na.jpg,cat,train\nb.jpg,dog,later\n": "labels.csv, line 3, names a set that there is not. Got: "
    "'later'. Expected: train or val.",
    "path,labels,set\na.jpg,cat,\n": "labels.csv, line 2, names a set that there is not. Got: ''.",
    'path,labels\na.jpg,"cat\ndog"\n': "labels.csv, line 3, has a label that is no line of text. Got: 'cat\\ndog'. "
    "Expected: a name in UTF-8.",
    "path,labels\na.jpg," + "x" * 200_000 + "\n": "labels.csv is not a CSV file. Got: field larger than field limit",
}
BYTES = {
    b"\xff\xfep\x00a\x00": "labels.csv is not a CSV text file. Got: UTF-16 text. Expected: lines of text with the "
    "columns "
    "path and labels. Save it as comma-separated values in UTF-8.",
    b"PK\x03\x04": "labels.csv is not a CSV text file. Got: a binary file.",
    b"path,labels\na.jpg,caf\xe9\n": "labels.csv, line 2, has a label that is no line of text. Got: 'caf\\udce9'. "
    "Expected: a name in UTF-8.",
    b"path,labels\nfl\xfcgel.jpg,cat\nb.jpg,dog\n": "labels.csv names files that are not there, 1 of its 2 "
    "pictures. Got: "
    "fl\\udcfcgel.jpg (line 2). Expected: paths of pictures from ",
}
JSONL = {
    '{"path": "a.jpg", "labels": ["cat"]\n': "labels.jsonl, line 1, is not JSON. Got: Expecting ',' delimiter: line ",
    '\n["a.jpg", "cat"]\n': f"labels.jsonl, line 2, is no JSON object. Got: ['a.jpg', 'cat']. {OBJECT}",
    '{"file": "a.jpg"}\n': "labels.jsonl, line 1, has no path and no labels. Got: {'file': 'a.jpg'}.",
    '{"path": 3, "labels": []}\n': "labels.jsonl, line 1, has a path that is no text. Got: 3.",
    '{"path": "a.jpg", "labels": "cat"}\n': "labels.jsonl, line 1, has labels that are no list of texts. Got: 'cat'.",
    '{"path": "a.jpg", "labels": ["cat", 3]}\n': "labels.jsonl, line 1, has labels that are no list of texts.",
    '{"path": "a.jpg", "labels": [], "set": 1}\n': "labels.jsonl, line 1, has a set that is no text. Got: 1. Expected: "
    "train or val.",
    '{"path": "a.jpg", "labels": [], "set": "val"}\n{"path": "b.jpg", "labels": []}\n': "labels.jsonl, line 2, says no "
    "set, unlike the lines before it. Expected: train or val in each line, or in none.",
    '{"path": "a.jpg", "labels": []}\n{"path": "b.jpg", "labels": [], "set": "val"}\n': "labels.jsonl, line 2, says a "
    "set, unlike the lines before it.",
    '{"path": "a\\u0000.jpg", "labels": []}\n': "labels.jsonl, line 1, has a path that no file can have. Got: "
    "'a\\x00.jpg'",
    '{"path": "a\\ud800.jpg", "labels": []}\n': "has a path that no file can have. Got: 'a\\ud800.jpg'.",
    '{"path": "a.jpg", "labels": ["\\ud800"]}\n': "has a label that is no line of text. Got: '\\ud800'.",
    "\n\n": "labels.jsonl lists no picture.",
}


@pytest.mark.parametrize(("text", "said"), [*CSV.items(), *BYTES.items()])
def test_faults_of_a_csv(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert f"{tmp_path}/{said}" in message(manifest(tmp_path, text))


@pytest.mark.parametrize(("text", "said"), JSONL.items())
def test_faults_of_lines_of_json(tmp_path: Path, text: str, said: str) -> None:
    assert said in message(manifest(tmp_path, text, "labels.jsonl"))


def test_a_byte_order_mark_and_labels_said_twice_are_taken(tmp_path: Path) -> None:
    """Spreadsheet programs write the one; several people who label one picture make the other."""
    text = b"\xef\xbb\xbf" + b"path,labels\r\na.jpg,cat;dog; cat\r\nb.jpg,dog|dog\r\nc.jpg,cat\r\n"
    data = read_manifest(manifest(tmp_path, text))
    assert data.class_names == ("cat", "dog")
    assert data.notes == ("labels.csv: 2 lines name a label twice, taken once; the first is line 2.",)
    assert len(data.train.indices) + len(data.val.indices) == 4


def test_backslashes_between_folders_and_a_mark_before_json_are_taken(tmp_path: Path) -> None:
    rows = '{"path": "sub\\\\e.png", "labels": ["cat"]}\n{"path": "b.jpg", "labels": ["dog"]}\n'
    data = read_manifest(manifest(tmp_path, rows.encode("utf-8-sig"), "labels.jsonl"))
    assert {*data.train.paths, *data.val.paths} == {"sub/e.png", "b.jpg"}


def test_the_same_picture_in_two_lists(tmp_path: Path) -> None:
    manifest(tmp_path, GOOD, "train.csv")
    manifest(tmp_path, "path,labels\nc.jpg,cat\nb.jpg,dog\n", "val.csv")
    assert message(tmp_path).startswith(
        f"{tmp_path}/val.csv, line 3, names a picture a second time. Got: b.jpg, as in train.csv, line 3."
    )


def test_a_set_in_one_of_two_lists_is_not_read(tmp_path: Path) -> None:
    manifest(tmp_path, "path,labels,set\na.jpg,cat,val\nb.jpg,dog,val\n", "train.csv")
    data = read_manifest(manifest(tmp_path, "path,labels\nc.jpg,cat\n", "val.csv"))
    assert data.train.paths == ("a.jpg", "b.jpg")
    assert data.notes == ("The entry set in train.csv is not read: there are two files, train.csv and val.csv.",)


def test_there_has_to_be_one_list(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert message(tmp_path / "empty").startswith(
        f"{tmp_path}/empty has no list of labels. Expected: labels.csv with the columns path and labels, labels.jsonl, "
        "or train.csv with val.csv"
    )
    manifest(tmp_path, GOOD)
    manifest(tmp_path, GOOD, "train.csv")
    assert message(tmp_path) == (
        f"{tmp_path} has more than one list of labels. Got: labels.csv, train.csv. Expected: one of them. Name "
        "the file "
        "that is meant, or move the others away."
    )
    assert message(tmp_path / "a.jpg").startswith(
        f"{tmp_path}/a.jpg is no list of labels. Got: a file .jpg. Expected: "
    )
    assert message(tmp_path / "nowhere").startswith(f"There is no folder {tmp_path}/nowhere.")
    with pytest.raises(UsageError, match=r"val_fraction out of range. Got: 1\. Expected: above 0 and below 1."):
        read_manifest(tmp_path, val_fraction=1)


CLASSES = {
    b"": "classes.txt names no class. Expected: a name a line.",
    b"cat\ndog\n\ncat\n": "classes.txt, lines 1 and 4, name the same class. Got: cat.",
    b"cat\nd\xf6g\n": "classes.txt, line 2, is not UTF-8 text. Got: 'd\\udcf6g'.",
    b"\xfe\xff\x00c": "classes.txt is not a list of classes. Got: UTF-16 text.",
    b"cat\n": "labels.csv, line 3, names a class that classes.txt does not have. Got: 'dog'.",
}
WEIGHTS = {
    "class,weight\ncat,1\n": "is not a list of class weights. Got: the columns class, weight. Expected: name and "
    "weight.",
    "name,weight\ncat,1\ndog,many\n": ", line 3, has no weight. Got: 'many'. Expected: 0 or more.",
    "name,weight\ncat,-1\n": ", line 2, has no weight. Got: '-1'.",
    "name,weight\ncat,inf\n": ", line 2, has no weight. Got: 'inf'.",
    "name,weight\ncat\n": ", line 2, has no weight. Got: ''.",
    "name,weight\ncat,1\ndog,2\ncat,1\n": ", lines 2 and 4, weigh the same class. Got: cat.",
    "name,weight\ndog,1\n": " has no weight for 1 of the 2 classes. Got: none for cat. Expected: a row for each "
    "class; 0 "
    "for one that does not count.",
    "name,weight\ncat,0\ndog,0\n": " weighs every class 0. Expected: a weight above 0.",
}


@pytest.mark.parametrize(("text", "said"), CLASSES.items())
def test_faults_of_the_list_of_classes(tmp_path: Path, text: bytes, said: str) -> None:
    manifest(tmp_path, GOOD)
    (tmp_path / "classes.txt").write_bytes(text)
    assert message(tmp_path).startswith(f"{tmp_path}/{said}")


@pytest.mark.parametrize(("text", "said"), WEIGHTS.items())
def test_faults_of_the_weights(tmp_path: Path, text: str, said: str) -> None:
    manifest(tmp_path, GOOD)
    (tmp_path / "class_weights.csv").write_text(text)
    answer = message(tmp_path)
    assert answer.startswith(f"{tmp_path}/class_weights.csv")
    assert said in answer


def test_one_class_in_the_list_of_classes(tmp_path: Path) -> None:
    manifest(tmp_path, "path,labels\na.jpg,cat\nb.jpg,\n")
    (tmp_path / "classes.txt").write_text("cat\n")
    assert message(tmp_path).startswith(f"{tmp_path}/classes.txt has one class. Got: only 'cat'.")
