"""Every exception and warning that neuromem raises on purpose."""


class NeuromemError(Exception):
    """Base of all errors raised by this library."""


class InputError(NeuromemError, ValueError):
    """A bad value, shape or range, or a NaN."""


class InputTypeError(NeuromemError, TypeError):
    """The wrong kind or dtype of array."""


class NotFittedError(NeuromemError, ValueError, AttributeError):
    """The object has learned nothing yet."""


class CapacityError(NeuromemError, RuntimeError):
    """The memory is full, empty where it must not be, or too small for the item."""


class CallOrderError(NeuromemError, RuntimeError):
    """A call came before the one that it needs, such as ``backward`` without a ``forward`` before it."""


class BackendError(NeuromemError, RuntimeError):
    """Arrays live on different devices, or a device cannot run what is asked."""


class FormatError(NeuromemError, ValueError):
    """A file is damaged, forged, or of another format."""


class MissingDependencyError(NeuromemError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


class MissingDataError(NeuromemError, FileNotFoundError):
    """A data set is not there; the message says how to get it, its size and licence."""


class MediaError(NeuromemError, ValueError):
    """A sound or video file cannot be read; the message has the file and the cause."""


class UnsupportedCodecError(MediaError):
    """The file is whole, but its coding is not known here."""


class StoreError(NeuromemError, RuntimeError):
    """A memory on disk cannot be used."""


class StoreLockedError(StoreError):
    """Another process writes to the store."""


class SpaceMismatchError(StoreError):
    """The store was made for another kind of item."""


class ScoreError(InputError):
    """A memory under probe gave NaN or infinity."""


class ProbeMutatedMemoryError(NeuromemError, RuntimeError):
    """A read changed the memory under probe."""


class UnknownKeyError(InputError, KeyError):
    """No such place, id or stream."""

    __str__ = Exception.__str__


class NeuromemWarning(UserWarning):
    """Base of all warnings given by this library."""


class SaturationWarning(NeuromemWarning):
    """A memory is so full that it loses what it stored."""


class ConvergenceWarning(NeuromemWarning):
    """An iteration stopped before it settled."""


class PrecisionWarning(NeuromemWarning):
    """A result is less exact than its type suggests."""
