"""The ``.nmem`` file: a zip of plain ``.npy`` members and a JSON header, read without trusting it.

Nothing is unpickled, no class is imported by a name from the file, and no array is allocated before every size and type
has been checked.  Members are stored, not deflated, and their data starts on a 64-byte boundary.
"""

import hashlib
import importlib
import io as stdio
import json
import math
import os
import struct
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neuromem.base import Estimator
from neuromem.errors import FormatError, InputError, InputTypeError

FORMAT, VERSION = "neuromem", 1
HEADER = "header.json"
HEADER_LIMIT = 1 << 20
NPY_HEADER_LIMIT = 1 << 12
DEFAULT_MAX_BYTES = 16 << 30
ALIGNMENT = 64
LOCAL_HEADER = 30  # bytes of a zip member's fixed local header
ZIP64_EXTRA = 20
PADDING_ID = 0x4D4E
ALLOWED_DTYPES = {"|b1", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8"}

CLASSES: dict[str, tuple[str, str]] = {
    "sparsey.SparseyMac": ("neuromem.sparsey.mac", "SparseyMac"),
    "sparsey.SparseyLayer": ("neuromem.sparsey.layer", "SparseyLayer"),
    "sparsey.SparseyClassifier": ("neuromem.sparsey.classifier", "SparseyClassifier"),
    "sparsey.MultiScaleSparseyClassifier": ("neuromem.sparsey.multiscale", "MultiScaleSparseyClassifier"),
    "sparsey.FieldGrid": ("neuromem.sparsey.level", "FieldGrid"),
    "sparsey.SparseyLevel": ("neuromem.sparsey.level", "SparseyLevel"),
    "sparsey.SparseyNetwork": ("neuromem.sparsey.network", "SparseyNetwork"),
    "sparsey.SparseySequenceMemory": ("neuromem.sparsey.sequence", "SparseySequenceMemory"),
    "sparsey.SparseyContextMac": ("neuromem.sparsey.context_mac", "SparseyContextMac"),
    "sparsey.LabelField": ("neuromem.sparsey.label_field", "LabelField"),
    "sparsey.OrientedEdgeEncoder": ("neuromem.sparsey.encode", "OrientedEdgeEncoder"),
    "sparsey.ThermometerEncoder": ("neuromem.sparsey.encode", "ThermometerEncoder"),
    "sparsey.SkeletonEncoder": ("neuromem.sparsey.encode", "SkeletonEncoder"),
    "sparsey.IdentityEncoder": ("neuromem.sparsey.encode", "IdentityEncoder"),
    "hcam.ChunkMemory": ("neuromem.hcam.chunk_memory", "ChunkMemory"),
    "hcam.HCAMAttention": ("neuromem.hcam.attention", "HCAMAttention"),
    "hcam.HCAMBlock": ("neuromem.hcam.block", "HCAMBlock"),
    "hcam.HCAMClassifier": ("neuromem.hcam.classifier", "HCAMClassifier"),
    "hcam.HCAMEncoderLayer": ("neuromem.hcam.block", "HCAMEncoderLayer"),
    "hopfield.BidirectionalAssociativeMemory": ("neuromem.hopfield.baselines.bidirectional", "BidirectionalAssociativeMemory"),
    "hopfield.DenseAssociativeMemory": ("neuromem.hopfield.baselines.dense", "DenseAssociativeMemory"),
    "hopfield.HopfieldNetwork": ("neuromem.hopfield.baselines.hopfield_network", "HopfieldNetwork"),
    "hopfield.ModernHopfield": ("neuromem.hopfield.baselines.modern", "ModernHopfield"),
    "hopfield.SparseDistributedMemory": ("neuromem.hopfield.baselines.sparse_distributed", "SparseDistributedMemory"),
    "hopfield.WillshawMemory": ("neuromem.hopfield.baselines.willshaw", "WillshawMemory"),
    "hopfield.MultitaskingHebbian": ("neuromem.hopfield.network", "MultitaskingHebbian"),
    "retention.ActivationMemory": ("neuromem.retention.activation_memory", "ActivationMemory"),
    "retention.ContextualDelta": ("neuromem.retention.associators", "ContextualDelta"),
    "retention.FIFOBuffer": ("neuromem.retention.buffers", "FIFOBuffer"),
    "retention.HalfLifeRegression": ("neuromem.retention.scheduling_models", "HalfLifeRegression"),
    "retention.LinearAssociator": ("neuromem.retention.associators", "LinearAssociator"),
    "retention.ReservoirBuffer": ("neuromem.retention.buffers", "ReservoirBuffer"),
    "retention.RunCheckpoint": ("neuromem.retention.checkpoint", "RunCheckpoint"),
    "retention.TwoStore": ("neuromem.retention.two_store", "TwoStore"),
    "baselines.ExactStore": ("neuromem.baselines", "ExactStore"),
    "layers.CausalConvolution": ("neuromem.layers.convolution", "CausalConvolution"),
    "layers.Dense": ("neuromem.layers.dense", "Dense"),
    "layers.Embedding": ("neuromem.layers.embedding", "Embedding"),
    "layers.LSTM": ("neuromem.layers.lstm", "LSTM"),
    "layers.LayerNorm": ("neuromem.layers.norm", "LayerNorm"),
    "layers.MLP": ("neuromem.layers.mlp", "MLP"),
    "layers.MultiHeadAttention": ("neuromem.layers.attention", "MultiHeadAttention"),
}


def class_of_name(name: Any) -> type[Estimator]:
    """The class that a file may name; FormatError for any other."""
    if not isinstance(name, str) or name not in CLASSES:
        raise FormatError(f"class {name!r} is not one that a file may hold")
    module, attribute = CLASSES[name]
    found: type[Estimator] = getattr(importlib.import_module(module), attribute)
    return found


def name_of_class(cls: type) -> str:
    """The name under which a class is written; InputTypeError for a class that cannot be saved."""
    for name, (module, attribute) in CLASSES.items():
        if cls.__module__ == module and cls.__name__ == attribute:
            return name
    raise InputTypeError(f"{cls.__name__} cannot be saved: it is not in the table of neuromem.io")


# ---------------------------------------------------------------- parameters as JSON


def plain_parameter(value: Any, name: str = "parameter") -> Any:
    """A constructor argument as JSON values; tuples and nested estimators are marked, generators become None."""
    if isinstance(value, Estimator):
        params = {inner: plain_parameter(v, inner) for inner, v in value.get_params(deep=False).items()}
        return {"estimator": name_of_class(type(value)), "params": params}
    if isinstance(value, tuple):
        return {"tuple": [plain_parameter(v, name) for v in value]}
    if isinstance(value, list):
        return [plain_parameter(v, name) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (np.random.Generator, np.random.SeedSequence)):
        return None
    raise InputTypeError(f"{name} is a {type(value).__name__}, which a file cannot hold")


def rebuilt_parameter(value: Any) -> Any:
    """Undo :func:`plain_parameter`."""
    if isinstance(value, list):
        return [rebuilt_parameter(v) for v in value]
    if isinstance(value, Mapping):
        if set(value) == {"tuple"} and isinstance(value["tuple"], list):
            return tuple(rebuilt_parameter(v) for v in value["tuple"])
        if set(value) == {"estimator", "params"} and isinstance(value["params"], Mapping):
            cls = class_of_name(value["estimator"])
            return cls(**{name: rebuilt_parameter(v) for name, v in value["params"].items()})
        raise FormatError("a parameter is neither a plain value, a tuple nor an estimator")
    return value


# ---------------------------------------------------------------- writing


def save(memory: Estimator, path: str | Path) -> None:
    """Write an object to a ``.nmem`` file.

    The file appears whole or not at all: it is written beside its place, flushed to the disk and then renamed.

    Parameters
    ----------
    memory : Estimator
    path : str or Path

    Raises
    ------
    InputTypeError
        If the object's class is not in the file format's table.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile, neuromem
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     neuromem.save(neuromem.SparseyMac(8, random_state=0).fit([[0, 1, 0, 0, 1, 0, 0, 0]]), f"{folder}/m.nmem")
    ...     len(neuromem.load(f"{folder}/m.nmem"))
    1
    """
    import neuromem

    arrays: dict[str, np.ndarray] = {}
    header = {"format": FORMAT, "version": VERSION, "library": neuromem.__version__}
    header |= header_node(memory.get_state(), "", arrays)
    text = json.dumps(header, allow_nan=False).encode()
    if len(text) > HEADER_LIMIT:
        raise InputError(f"the header takes {len(text)} bytes, at most {HEADER_LIMIT} are allowed: too many parameters")
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                archive.writestr(zipfile.ZipInfo(HEADER), text)
                for name, array in arrays.items():
                    write_member(archive, file, name, array)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def header_node(state: Mapping[str, Any], prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The JSON form of a state; its arrays are put into ``arrays`` under their members' names."""
    described = {}
    for name, array in state["arrays"].items():
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        arrays[f"{prefix}{name}"] = array
        digest = hashlib.sha256(array.data).hexdigest()
        described[name] = {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": digest}
    children = {
        name: [header_node(c, f"{prefix}{name}.{i}.", arrays) for i, c in enumerate(child)]
        if isinstance(child, list)
        else header_node(child, f"{prefix}{name}.", arrays)
        for name, child in state["children"].items()
    }
    return {
        "class": state["class"],
        "params": state["params"],
        "scalars": state["scalars"],
        "arrays": described,
        "children": children,
    }


def npy_header(array: np.ndarray) -> bytes:
    """The header that an array's ``.npy`` form begins with."""
    buffer = stdio.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape})
    return buffer.getvalue()


def write_member(archive: zipfile.ZipFile, file: Any, name: str, array: np.ndarray) -> None:
    """Store one array so that its data starts on a 64-byte boundary of the file."""
    head = npy_header(array)
    info = zipfile.ZipInfo(f"{name}.npy")
    info.file_size = len(head) + array.nbytes
    zip64 = info.file_size * 1.05 > zipfile.ZIP64_LIMIT
    start = file.tell() + LOCAL_HEADER + len(info.filename.encode()) + (ZIP64_EXTRA if zip64 else 0)
    padding = -(start + 4) % ALIGNMENT
    info.extra = struct.pack("<HH", PADDING_ID, padding) + bytes(padding)
    with archive.open(info, "w", force_zip64=zip64) as member:
        member.write(head)
        member.write(array.data.cast("B") if array.size else b"")


# ---------------------------------------------------------------- reading


def load(path: str | Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> Any:
    """Read an object from a ``.nmem`` file, which need not be trusted.

    Parameters
    ----------
    path : str or Path
    max_bytes : int, default 16 GiB
        Refuse a file whose arrays are larger in all.

    Returns
    -------
    Estimator
        Equal to the one saved; it continues exactly as that one would have.

    Raises
    ------
    FormatError
        If anything about the file is not as it must be; the message has the file's name and the reason.
    FileNotFoundError
        If there is no such file.
    """
    with opened(path) as (archive, header, members):
        total = sum(info.file_size for info in members.values())
        if total > max_bytes:
            raise FormatError(f"its arrays take {total} bytes, max_bytes={max_bytes}")
        check_tree(header)
        for _, name, description in described_arrays(header):
            check_member(archive, members[f"{name}.npy"], description)
        state = state_node(header, "", archive, members)
        return class_of_name(header["class"])._from_state(state)


def read_header(path: str | Path) -> dict[str, Any]:
    """The header of a ``.nmem`` file, without loading its arrays.

    Raises
    ------
    FormatError
        If the file is not a sound ``.nmem`` file as far as the header tells.
    """
    with opened(path) as (_, header, _):
        return header


class opened:
    """Open and check the outside of a file: zip structure, members' names, header; errors name the file."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __enter__(self) -> tuple[zipfile.ZipFile, dict[str, Any], dict[str, zipfile.ZipInfo]]:
        self.file = self.path.open("rb")
        try:
            archive = zipfile.ZipFile(self.file)
            header, members = self.read(archive)
        except BaseException as error:
            self.file.close()
            self.__exit__(type(error), error, None)
            raise
        return archive, header, members

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        self.file.close()
        if isinstance(error, FormatError):
            raise FormatError(f"{self.path.name}: {error}") from None
        damaged = (zipfile.BadZipFile, EOFError, NotImplementedError, struct.error, UnicodeDecodeError, RecursionError)
        if isinstance(error, (*damaged, ValueError, KeyError, IndexError, OverflowError, RuntimeError)):
            raise FormatError(f"{self.path.name}: damaged or not a neuromem file: {error}") from None
        if isinstance(error, OSError):
            raise FormatError(f"{self.path.name}: cannot be read as a zip: {error}") from None

    def read(self, archive: zipfile.ZipFile) -> tuple[dict[str, Any], dict[str, zipfile.ZipInfo]]:
        """The checked header, and the members that it lists."""
        entries = archive.infolist()
        members = {entry.filename: entry for entry in entries}
        if len(members) != len(entries):
            raise FormatError("two members have the same name")
        if HEADER not in members:
            raise FormatError(f"no member {HEADER}")
        size = self.path.stat().st_size
        for entry in entries:
            if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size or entry.flag_bits & 1:
                raise FormatError(f"member {entry.filename!r} is compressed or encrypted")
        if sum(entry.file_size for entry in entries) > size:
            raise FormatError("members are larger than the file")
        if members[HEADER].file_size > HEADER_LIMIT:
            raise FormatError(f"{HEADER} is larger than {HEADER_LIMIT} bytes")
        header = json.loads(archive.read(HEADER), object_pairs_hook=unique_keys, parse_constant=refuse_constant)
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise FormatError("not a neuromem file")
        if header.get("version") != VERSION:
            raise FormatError(f"version {header.get('version')!r}, this library reads version {VERSION}")
        if set(header) != {"format", "version", "library", "class", "params", "scalars", "arrays", "children"}:
            raise FormatError("the header has missing or unknown parts")
        names = [f"{name}.npy" for _, name, _ in described_arrays(header)]
        if len(set(names)) != len(names) or {*names, HEADER} != set(members):
            raise FormatError("members are not exactly those that the header lists")
        del members[HEADER]
        return header, members


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys all differ."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise FormatError("the header has a key twice")
    return made


def refuse_constant(text: str) -> None:
    """NaN and infinity are not JSON."""
    raise FormatError(f"the header has {text}, which is not JSON")


def nodes(node: Any, prefix: str = "") -> Iterator[tuple[dict[str, Any], str]]:
    """A header node and all below it, with the prefix of their members' names."""
    if not isinstance(node, dict) or not isinstance(node.get("arrays"), dict) or not isinstance(node.get("children"), dict):
        raise FormatError("the header's tree is malformed")
    yield node, prefix
    for name, child in node["children"].items():
        if isinstance(child, list):
            for i, inner in enumerate(child):
                yield from nodes(inner, f"{prefix}{name}.{i}.")
        else:
            yield from nodes(child, f"{prefix}{name}.")


def described_arrays(header: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """Every array of the tree: its node, its member's name without ending, its description."""
    for node, prefix in nodes(header):
        for name, description in node["arrays"].items():
            yield node, f"{prefix}{name}", description


def check_tree(header: dict[str, Any]) -> None:
    """Classes are known and parameters pass their own validation, before any array is looked at."""
    for node, _ in nodes(header):
        cls = class_of_name(node.get("class"))
        params = node.get("params")
        if not isinstance(params, dict) or set(params) != set(cls._parameter_names()):
            raise FormatError(f"parameters are not those of {cls.__name__}")
        if not isinstance(node.get("scalars"), dict):
            raise FormatError("scalars are missing")
        try:
            cls(**{name: rebuilt_parameter(value) for name, value in params.items()})._validate_params()
        except FormatError:
            raise
        except (InputError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise FormatError(f"parameters of {cls.__name__} are out of range: {error}") from None


def check_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, description: Any) -> None:
    """The header, the member's own header and its size agree, and its type is allowed."""
    name = info.filename
    if not isinstance(description, dict) or set(description) != {"dtype", "shape", "sha256"}:
        raise FormatError(f"{name} is not described by dtype, shape and sha256")
    dtype, shape = description["dtype"], description["shape"]
    if dtype not in ALLOWED_DTYPES:
        raise FormatError(f"{name} has dtype {dtype!r}, which a file may not hold")
    if not isinstance(shape, list) or len(shape) > 8 or not all(type(n) is int and 0 <= n < 2**48 for n in shape):
        raise FormatError(f"{name} has shape {shape!r}")
    with archive.open(info) as member:
        start = member.read(10)
        if start[:8] != b"\x93NUMPY\x01\x00" or len(start) < 10:
            raise FormatError(f"{name} is not a version 1 .npy member")
        length = struct.unpack("<H", start[8:])[0]
        if length > NPY_HEADER_LIMIT:
            raise FormatError(f"{name} has an oversized .npy header")
        head = start + member.read(length)
    expected = npy_header(np.lib.stride_tricks.as_strided(np.zeros((), dtype), tuple(shape), (0,) * len(shape)))
    if head != expected:
        raise FormatError(f"{name} is not the {dtype} array of shape {shape} that the header describes")
    if math.prod(shape) * np.dtype(dtype).itemsize + len(head) != info.file_size:
        raise FormatError(f"{name} takes {info.file_size} bytes, which does not fit its shape {shape}")


def state_node(
    node: dict[str, Any], prefix: str, archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]
) -> dict[str, Any]:
    """Read a node's arrays, and its children's, into the form that ``set_state`` takes."""
    arrays = {}
    for name, description in node["arrays"].items():
        body = archive.read(members[f"{prefix}{name}.npy"])
        data = memoryview(body)[len(body) - math.prod(description["shape"]) * np.dtype(description["dtype"]).itemsize :]
        if hashlib.sha256(data).hexdigest() != description["sha256"]:
            raise FormatError(f"{prefix}{name} does not have the digest in the header")
        arrays[name] = np.frombuffer(data, description["dtype"]).reshape(description["shape"])
    children = {
        name: [state_node(c, f"{prefix}{name}.{i}.", archive, members) for i, c in enumerate(child)]
        if isinstance(child, list)
        else state_node(child, f"{prefix}{name}.", archive, members)
        for name, child in node["children"].items()
    }
    parts = {name: node[name] for name in ("class", "params", "scalars")}
    return {**parts, "arrays": arrays, "children": children}
