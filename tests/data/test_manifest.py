"""Manifests: what is read, how it is split, and the sentence for each way they can be wrong."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from separable.data.manifest import demand_manifest, holds_manifest, read_manifest
from separable.data.manifest_rows import join_labels, split_labels
from separable.data.manifest_set import TagData, TagSet, joined
from separable.data.splits import held_out_first
from separable.errors import DataFolderError
from tests.data.made import write_empty

FILES = ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "sub/e.png")


def manifest(root: Path, text: str | bytes, name: str = "labels.csv") -> Path:
    """A folder with five pictures and a list of them."""
    write_empty(root, *FILES)
    (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def shown(pictures: TagSet) -> dict[str, list[str]]:
    return {path: [pictures.class_names[k] for k in pictures.tags(n)] for n, path in enumerate(pictures.paths)}


def both(data: TagData) -> dict[str, list[str]]:
    return shown(data.train) | shown(data.val)


def message(root: Path, **options: Any) -> str:
    with pytest.raises(DataFolderError) as caught:
        read_manifest(root, **options)
    return str(caught.value)


def test_a_csv_is_read_sparse_and_split_by_keyed_hashes(tmp_path: Path) -> None:
    text = 'path,labels\nsub/e.png,dog;cat\nd.jpg,\n./c.jpg,"cow, brown" \nb.jpg,cat|dog\na.jpg, cat ; ; ant\n'
    data = read_manifest(manifest(tmp_path, text), val_fraction=0.4, seed=3)
    assert data.class_names == ("ant", "cat", "cow, brown", "dog")
    expected = {"a.jpg": ["ant", "cat"], "b.jpg": ["cat", "dog"], "c.jpg": ["cow, brown"], "d.jpg": []}
    assert both(data) == expected | {"sub/e.png": ["cat", "dog"]}
    assert set(data.val.paths) == set(held_out_first(FILES, 3)[:2])
    assert data.was_whole
    for part in (data.train, data.val):
        assert list(part.paths) == sorted(part.paths)
        assert (part.root, part.class_names) == (tmp_path, data.class_names)
        assert (part.indices.dtype, part.offsets.dtype) == (np.int32, np.int64)
        assert (part.offsets[0], part.offsets[-1], len(part.offsets)) == (0, len(part.indices), len(part) + 1)
    assert "Pictures without a label, which show none of the classes: 1 of 5." in data.notes
    other = read_manifest(tmp_path, val_fraction=0.4, seed=6)
    assert both(other) == both(data)
    assert set(other.val.paths) == set(held_out_first(FILES, 6)[:2]) != set(data.val.paths)


def test_lines_of_json_say_the_same(tmp_path: Path) -> None:
    rows = [{"path": "a.jpg", "labels": ["cat", "x;y|z\\"]}, {"path": "b.jpg", "labels": []}]
    rows.append({"path": "c.jpg", "labels": [" x;y|z\\ "]})
    of_json = read_manifest(manifest(tmp_path / "json", lines(*rows) + "\n", "labels.jsonl"))
    text = "path,labels,more\na.jpg,cat;x\\;y\\|z\\\\,1\nb.jpg,,\nc.jpg,x\\;y\\|z\\,2\n,,\n"
    of_csv = read_manifest(manifest(tmp_path / "csv", text))
    assert both(of_json) == both(of_csv) == {"a.jpg": ["cat", "x;y|z\\"], "b.jpg": [], "c.jpg": ["x;y|z\\"]}
    assert of_json.train.fingerprint() == of_csv.train.fingerprint()
    assert of_json.val.fingerprint() == of_csv.val.fingerprint()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip).filter(bool)))
def test_labels_survive_a_cell(names: list[str]) -> None:
    assert split_labels(join_labels(names)) == names


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        (r"a\;b;c", ["a;b", "c"]),
        (r"a\|b|c\\;d", ["a|b", "c\\", "d"]),
        (r"C:\new; tail\ ".strip(), [r"C:\new", "tail\\"]),
        (" ;|; ", []),
        ("a b ;a  b", ["a b", "a  b"]),
    ],
)
def test_what_a_backslash_does(text: str, labels: list[str]) -> None:
    assert split_labels(text) == labels


@pytest.mark.parametrize("names", [("train.csv", "val.csv"), ("train.jsonl", "validation.csv")])
def test_two_lists_are_two_sets(tmp_path: Path, names: tuple[str, str]) -> None:
    rows = {"a.jpg": ["cat"], "c.jpg": ["cat", "dog"]}
    text = lines(*({"path": path, "labels": labels} for path, labels in rows.items()))
    csv = "path,labels\n" + "".join(f"{path},{';'.join(labels)}\n" for path, labels in rows.items())
    manifest(tmp_path, text if names[0].endswith("l") else csv, names[0])
    data = read_manifest(manifest(tmp_path, "path,labels\nb.jpg,dog;emu\n", names[1]))
    assert shown(data.train) == rows
    assert shown(data.val) == {"b.jpg": ["dog", "emu"]}
    assert not data.was_whole
    assert data.notes == ("Classes with held-out pictures and none to train on: emu.",)
    np.testing.assert_allclose(data.weights, [1, 0.5, 0])  # cat, dog, emu: among those to train on


def test_a_column_says_the_set(tmp_path: Path) -> None:
    text = "path,labels,set\na.jpg,cat,train\nb.jpg,dog,Val\nc.jpg,dog,train\nd.jpg,cat,test\n"
    data = read_manifest(manifest(tmp_path, text))
    assert (data.train.paths, data.val.paths, data.was_whole) == (("a.jpg", "c.jpg"), ("b.jpg", "d.jpg"), False)
    alone = read_manifest(manifest(tmp_path / "2", "path,labels,set\na.jpg,cat,train\nb.jpg,dog,train\n"))
    assert alone.was_whole
    assert alone.notes[0] == "labels.csv holds no picture out: a part is held out."
    assert message(manifest(tmp_path / "3", "path,labels,set\na.jpg,cat,val\nb.jpg,dog,val\n")).endswith(
        "labels.csv leaves no picture to train on. Got: the set val in every line."
    )


def test_a_list_is_taken_by_itself_and_a_lonely_one_is_split(tmp_path: Path) -> None:
    manifest(tmp_path, "path,labels\na.jpg,cat;dog\nc.jpg,dog;cat\n", "train.csv")
    assert read_manifest(tmp_path).notes == ("There is no held-out list beside train.csv: a part of it is held out.",)
    manifest(tmp_path, "path,labels\nb.jpg,cat\n", "val.csv")
    manifest(tmp_path, "path,labels,set\nd.jpg,cat,train\n", "test.csv")
    assert read_manifest(tmp_path).notes == ("Lists beside train.csv left untouched: test.csv.",)
    data = read_manifest(tmp_path / "train.csv")
    assert set(both(data)) == {"a.jpg", "c.jpg"}
    assert data.notes == ()


def test_classes_in_a_file_are_all_there_are(tmp_path: Path) -> None:
    manifest(tmp_path, "path,labels\na.jpg,cat\nb.jpg,dog;ant\n")
    (tmp_path / "classes.txt").write_text("dog\r\n\r\ncat\r\nemu\r\n  ant \r\n", encoding="utf-8-sig")
    data = read_manifest(tmp_path)
    assert data.class_names == ("dog", "cat", "emu", "ant")
    assert both(data) == {"a.jpg": ["cat"], "b.jpg": ["dog", "ant"]}
    assert "Classes without a picture here: emu." in data.notes
    (tmp_path / "classes.txt").write_text("dog\ncat\nantelope\n")
    assert message(tmp_path) == (
        f"{tmp_path}/labels.csv, line 3, names a class that classes.txt does not have. Got: 'ant'. Expected: one "
        "of its "
        "3, such as antelope."
    )
    fixed = read_manifest(tmp_path, class_names=("cat", "dog", "ant", "elk"))
    assert fixed.class_names == ("cat", "dog", "ant", "elk")
    assert "names a class that the model does not have. Got: 'ant'" in message(tmp_path, class_names=("cat", "dog"))


def test_weights_are_given_or_counted(tmp_path: Path) -> None:
    manifest(tmp_path, "path,labels,set\na.jpg,cat,train\nb.jpg,cat;dog,train\nc.jpg,dog,val\n")
    assert read_manifest(tmp_path).given_weights is None
    assert read_manifest(tmp_path).weights.tolist() == [1, 0.5]
    (tmp_path / "class_weights.csv").write_text("name,weight\ndog,3\ncat, 0.25\nyak,7\n")
    data = read_manifest(tmp_path)
    assert data.weights.tolist() == [0.25, 3]
    assert data.notes == ("class_weights.csv weighs classes that there are not: yak.",)


def test_fingerprints_tell_labels_and_paths_apart(tmp_path: Path) -> None:
    def print_of(name: str, text: str) -> str:
        folder = manifest(tmp_path / name, "path,labels,set\n" + text + "e/../sub/e.png,,val\n")
        (folder / "classes.txt").write_text("x\ny\n")
        return read_manifest(folder).train.fingerprint()

    first = print_of("1", "a.jpg,x;y,train\nb.jpg,y,train\n")
    assert first == print_of("2", "b.jpg,y,train\na.jpg,y;x,train\n") == "2 (6ddbdcc9a848cd96)"
    assert len({first, *(print_of(str(k), f"a.jpg,x,train\n{b}.jpg,y,train\n") for k, b in ((3, "b"), (4, "c")))}) == 3


def test_sets_are_cut_and_joined(tmp_path: Path) -> None:
    text = "path,labels\na.jpg,x;y\nb.jpg,\nc.jpg,y\nd.jpg,x;y;z\n"
    data = read_manifest(manifest(tmp_path, text))
    whole = joined(data.train, data.val)
    assert shown(whole) == both(data)
    assert whole.counts().tolist() == [2, 3, 1]
    order = [whole.paths.index(path) for path in ("d.jpg", "b.jpg", "a.jpg")]
    assert list(shown(whole.chosen(order)).items()) == [
        ("d.jpg", ["x", "y", "z"]),
        ("b.jpg", []),
        ("a.jpg", ["x", "y"]),
    ]
    assert whole.chosen(order).shown() == ["x; y; z", "", "x; y"]
    assert len(whole.chosen([])) == 0


def test_many_classes_cost_no_memory(tmp_path: Path) -> None:
    """1,500 pictures of 17,000 classes: a table of them would have 25 million entries."""
    rng = np.random.default_rng(0)
    names = [f"c{k}" for k in range(17_000)]
    paths = [f"{k}.jpg" for k in range(1500)]
    write_empty(tmp_path, *paths)
    rows = [f"{path},{';'.join(names[k] for k in rng.choice(6000, 36, replace=False))}" for path in paths]
    (tmp_path / "labels.csv").write_text("\n".join(["path,labels", *rows]))
    (tmp_path / "classes.txt").write_text("\n".join(names))
    tracemalloc.start()
    data = read_manifest(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(data.train.indices) + len(data.val.indices) == 1500 * 36
    assert peak < 12e6, peak


def test_what_is_a_manifest_is_told_by_its_first_line(tmp_path: Path) -> None:
    assert holds_manifest(manifest(tmp_path / "1", "labels,path\n"))
    assert holds_manifest(manifest(tmp_path / "2", '{"path": "a.jpg", "labels": []}\n', "train.jsonl"))
    assert holds_manifest(tmp_path / "1" / "labels.csv")
    # Corrections of single labels, and other lists that lie in folders of classes.
    assert not holds_manifest(manifest(tmp_path / "3", "path,label\n"))
    assert not holds_manifest(manifest(tmp_path / "4", "[1]\n", "train.jsonl"))
    assert not holds_manifest(manifest(tmp_path / "5", b"\x89PNG\r\n\x1a\n\x00", "labels.csv"))
    assert not holds_manifest(tmp_path / "1" / "a.jpg")
    assert not holds_manifest(tmp_path / "nowhere")
    demand_manifest(tmp_path / "1")
    with pytest.raises(DataFolderError, match="There is no folder"):
        demand_manifest(tmp_path / "nowhere")
