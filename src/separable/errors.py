"""Every error a user can cause, one type per cause; each message says what, got, expected, and what to do."""


class SeparableError(Exception):
    """Base of every error this package raises on purpose. `exit_code` is what the command line ends with."""

    exit_code = 1

    def __init__(self, what: str, *, got: object = None, expected: object = None, fix: str | None = None) -> None:
        parts = [what.rstrip(".") + "."]
        if got is not None:
            parts.append(f"Got: {got}.")
        if expected is not None:
            parts.append(f"Expected: {expected}.")
        if fix is not None:
            parts.append(f"{fix.rstrip('.')}.")
        super().__init__(" ".join(parts))
        self.what, self.got, self.expected, self.fix = what, got, expected, fix

    def __reduce__(self) -> tuple[object, ...]:
        # Raised inside data workers, so it has to survive pickling with its keyword arguments.
        return (_rebuild, (type(self), self.what, self.got, self.expected, self.fix))


def _rebuild(kind: type[SeparableError], what: str, got: object, expected: object, fix: str | None) -> SeparableError:
    return kind(what, got=got, expected=expected, fix=fix)


class UsageError(SeparableError):
    """An argument that cannot be right, whatever the data: unknown option value, contradicting options."""

    exit_code = 2


class UnknownModelError(UsageError):
    """A model name that the catalogue does not have."""


class ModelOptionError(UsageError):
    """A model option with an illegal value."""


class InputSizeError(UsageError):
    """A picture side below the smallest one the network can take."""


class MissingExtraError(SeparableError):
    """An optional dependency is not installed."""


class WeightsFormatError(SeparableError):
    """A weight file that is not what its name says, is damaged, or would need code execution to read."""


class WeightsMismatchError(SeparableError):
    """A readable weight file whose tensors do not fit the model."""


class DownloadError(SeparableError):
    """A file could not be fetched: no network, cut connection, missing on the server."""


class UnpublishedWeightsError(DownloadError):
    """Published weights of a network that nobody has published any for: a usage error, nothing was fetched."""

    exit_code = 2


class HashMismatchError(DownloadError):
    """A fetched file is not the published one."""


class DataFolderError(SeparableError):
    """A data folder that is missing, empty, or not laid out as classes."""


class BadPictureError(SeparableError):
    """A picture that cannot be decoded, is too large, or lies about itself."""


class TooManyBadPicturesError(SeparableError):
    """More unreadable pictures than the user allowed."""


class RunFolderError(SeparableError):
    """A run folder that is missing, occupied, or belongs to something else."""


class CheckpointError(SeparableError):
    """A checkpoint that is damaged, of another model, or of another configuration."""


class OutputError(SeparableError):
    """Something could not be written: no permission, no space."""


class DivergedError(SeparableError):
    """The loss became NaN or infinite."""
