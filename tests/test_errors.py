import pickle

from separable import errors


def test_message_says_what_got_expected_fix() -> None:
    error = errors.UsageError("Side too small", got=10, expected="at least 71", fix="Use a larger picture")
    assert str(error) == "Side too small. Got: 10. Expected: at least 71. Use a larger picture."


def test_errors_survive_pickling_between_processes() -> None:
    error = pickle.loads(pickle.dumps(errors.BadPictureError("Cannot decode a.jpg", got="truncated")))
    assert type(error) is errors.BadPictureError
    assert str(error) == "Cannot decode a.jpg. Got: truncated."


def test_usage_errors_end_with_two_and_all_others_with_one() -> None:
    assert errors.UnknownModelError("x").exit_code == 2
    assert errors.DataFolderError("x").exit_code == 1
