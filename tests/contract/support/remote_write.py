"""Readers of remote write 1.0 and 2.0 that share no code with the gateway. They know snappy's block format, the protobuf of both
messages, and the rules for senders. Doubles are kept as their 64 bits, so that tests can compare every one exactly."""
import re
import struct
from collections import namedtuple

Series = namedtuple("Series", "labels samples exemplars histograms")  # labels: [(name, value)], samples: [(ts, bits)]
WriteRequest = namedtuple("WriteRequest", "series metadata unknown")
#: Here `metadata` has (type, help, unit) or None for each series, and `exemplars` are [(labels, bits, timestamp)]. `wrong` has sentences
#: about symbols and references.
RequestV2 = namedtuple("RequestV2", "series metadata unknown wrong")

CANONICAL_NAN = 0x7FF8000000000001
COMPRESSED_LIMIT = 900_000
DECODED_LIMIT = 3_000_000

_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def bits(value):
    """Returns the 64 bits of a double."""
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def double(raw):
    """Returns the double of 64 bits."""
    return struct.unpack("<d", struct.pack("<Q", raw))[0]


class Malformed(Exception):
    """Bytes that break their format."""


def snappy_block_decode(data):
    """Decompresses snappy's block format. Raises `Malformed` for the framed format and anything else."""
    try:
        length, at = _varint(data, 0)
        out = bytearray()
        while at < len(data):
            tag = data[at]
            at += 1
            kind = tag & 3
            if kind == 0:
                size = tag >> 2
                if size >= 60:
                    width = size - 59
                    size = int.from_bytes(data[at:at + width], "little")
                    at += width
                size += 1
                chunk = data[at:at + size]
                if len(chunk) != size:
                    raise Malformed("snappy: a literal runs past the end")
                out += chunk
                at += size
                continue
            if kind == 1:
                size, offset = ((tag >> 2) & 7) + 4, ((tag >> 5) << 8) | data[at]
                at += 1
            else:
                width = 2 if kind == 2 else 4
                size, offset = (tag >> 2) + 1, int.from_bytes(data[at:at + width], "little")
                at += width
            start = len(out) - offset
            if offset == 0 or start < 0:
                raise Malformed("snappy: a copy from before the beginning")
            if offset >= size:
                out += out[start:start + size]
            else:
                out += (bytes(out[start:]) * (size // offset + 1))[:size]
    except IndexError:
        raise Malformed("snappy: cut short") from None
    if len(out) != length:
        raise Malformed(f"snappy: {len(out)} bytes, {length} announced")
    return bytes(out)


def snappy_block_encode(data):
    """Encodes the block format in its simplest form, literals only. For tests of the readers themselves."""
    out = bytearray(_as_varint(len(data)))
    for start in range(0, len(data), 60):
        chunk = data[start:start + 60]
        out.append((len(chunk) - 1) << 2)
        out += chunk
    return bytes(out)


def decode(raw):
    """Reads a WriteRequest."""
    series, metadata, unknown = [], [], []
    for number, kind, value in _fields(raw):
        if number == 1 and kind == 2:
            series.append(_series(value))
        elif number == 3 and kind == 2:
            metadata.append(value)
        else:
            unknown.append((number, kind))
    return WriteRequest(series, metadata, unknown)


def decode_v2(raw):
    """Reads an `io.prometheus.write.v2.Request`."""
    fields = list(_fields(raw))
    symbols = [value.decode() for number, _, value in fields if number == 4]
    wrong, series, metadata, used = [], [], [], {0}
    if symbols[:1] != [""]:
        wrong.append(f"the first symbol of {symbols[:3]} is not empty")
    if len(set(symbols)) != len(symbols):
        wrong.append("a symbol twice")

    def symbol(ref):
        used.add(ref)
        if ref >= len(symbols):
            wrong.append(f"a reference to symbol {ref} of {len(symbols)}")
            return ""
        return symbols[ref]

    def pairs(packed):
        refs, at = [], 0
        while at < len(packed):
            ref, at = _varint(packed, at)
            refs.append(ref)
        if len(refs) % 2:
            wrong.append(f"{len(refs)} references to labels")
        return [(symbol(name), symbol(value)) for name, value in zip(refs[::2], refs[1::2])]

    for message in (value for number, _, value in fields if number == 5):
        labels, exemplars, rest, described = [], [], b"", None
        for number, kind, value in _fields(message):
            if number == 1 and kind == 2:
                labels = pairs(value)
            elif number == 4:
                found = {number: part for number, _, part in _fields(value)}
                exemplars.append((pairs(found.get(1, b"")), int.from_bytes(found.get(2, b""), "little"), found.get(3, 0)))
            elif number in (2, 3):
                # In 1.0 the histograms are field 4.
                number = {2: 2, 3: 4}[number]
                rest += _as_varint(number << 3 | 2) + _as_varint(len(value)) + value
            elif number == 5:
                found = {number: part for number, _, part in _fields(value)}
                described = found.get(1, 0), symbol(found.get(3, 0)), symbol(found.get(4, 0))
            else:
                wrong.append(f"field {number} in a series")
        series.append(_series(rest)._replace(labels=labels, exemplars=exemplars))
        metadata.append(described)
    if used != set(range(len(symbols))):
        wrong.append("a symbol that nothing refers to")
    return RequestV2(series, metadata, [(number, kind) for number, kind, _ in fields if number not in (4, 5)], wrong)


def encode(series):
    """Encodes a WriteRequest, for tests of the readers themselves, and to fill a receiver before a test. `series` is a list of
    ([(name, value)], [(timestamp, bits)])."""
    out = bytearray()
    for labels, samples in series:
        inner = bytearray()
        for name, value in labels:
            inner += _field(1, _field(1, name.encode()) + _field(2, value.encode()))
        for time, raw in samples:
            inner += _field(2, b"\x09" + raw.to_bytes(8, "little") + b"\x10" + _as_varint(time % (1 << 64)))
        out += _field(1, bytes(inner))
    return bytes(out)


def encode_v2(samples):
    """Encodes an `io.prometheus.write.v2.Request`, a series for each of [(labels, timestamp in ms, value, exemplar, metadata)]. An exemplar is
    (labels, value, timestamp), and metadata (type, help, unit); both may be None."""
    numbers = {"": 0}

    def refs(pairs):
        found = b"".join(_as_varint(numbers.setdefault(text, len(numbers))) for pair in pairs for text in pair)
        return _field(1, found)

    out = bytearray()
    for labels, time, value, exemplar, metadata in samples:
        one = refs(labels) + _field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + _as_varint(time % (1 << 64)))
        if exemplar:
            pairs, value, time = exemplar
            one += _field(4, refs(pairs) + b"\x11" + struct.pack("<d", value) + b"\x18" + _as_varint(time % (1 << 64)))
        if metadata:
            kind, *texts = metadata
            help_ref, unit_ref = (_as_varint(numbers.setdefault(text, len(numbers))) for text in texts)
            one += _field(5, b"\x08" + _as_varint(kind) + b"\x18" + help_ref + b"\x20" + unit_ref)
        out += _field(5, one)
    return b"".join(_field(4, symbol.encode()) for symbol in numbers) + bytes(out)


def _field(number, data):
    return _as_varint(number << 3 | 2) + _as_varint(len(data)) + data


def _as_varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def faults(request, raw_size=None, compressed_size=None, takes_metadata=False):
    """Returns a sentence for each rule of the specification and of the contract that a decoded request breaks. In 1.0 metadata has a
    request of its own."""
    found = []
    if compressed_size is not None and compressed_size > COMPRESSED_LIMIT:
        found.append(f"{compressed_size} bytes compressed, over {COMPRESSED_LIMIT}")
    if raw_size is not None and raw_size > DECODED_LIMIT:
        found.append(f"{raw_size} bytes decoded, over {DECODED_LIMIT}")
    if request.unknown:
        found.append(f"unknown fields {request.unknown[:5]}")
    if isinstance(request, RequestV2):
        return found + request.wrong + _faults_of_v2(request) + _faults_of_series(request)
    if request.metadata and not takes_metadata:
        found.append("metadata in the request")
    if request.metadata and request.series:
        found.append("metadata beside series")
    if not request.series and not request.metadata:
        found.append("a request without series")
    for one in request.series:
        if not one.samples:
            found.append(f"series {one.labels}: no sample")
        if one.histograms:
            found.append(f"series {one.labels}: histograms")
    return found + _faults_of_series(request)


def _faults_of_v2(request):
    found = []
    if not request.series:
        found.append("a request without series")
    newest = {}
    for one, described in zip(request.series, request.metadata):
        if bool(one.samples) == bool(one.histograms):
            found.append(f"series {one.labels}: {len(one.samples)} samples and {one.histograms} histograms")
        if described == (0, "", ""):
            found.append(f"series {one.labels}: metadata that says nothing")
        # A relay has a message for each sample of a series.
        key = tuple(one.labels)
        for time, _ in one.samples:
            if newest.get(key, time - 1) >= time:
                found.append(f"series {one.labels}: {time} after {newest[key]}")
            newest[key] = time
    return found


def _faults_of_series(request):
    found = []
    seen = set()
    for one in request.series:
        key = tuple(one.labels)
        name = dict(one.labels).get("__name__")
        where = f"series {name}{dict(one.labels)}"[:300]
        if key in seen and not isinstance(request, RequestV2):
            found.append(f"{where}: twice in one request")
        seen.add(key)
        names = [label.encode() for label, _ in one.labels]
        if names != sorted(names):
            found.append(f"{where}: labels not sorted bytewise")
        if len(set(names)) != len(names):
            found.append(f"{where}: a label name twice")
        if name is None or not _METRIC_NAME.fullmatch(name):
            found.append(f"{where}: the metric name {name!r} is not classic")
        for label, value in one.labels:
            if not _LABEL_NAME.fullmatch(label):
                found.append(f"{where}: the label name {label!r} is not classic")
            if label != "__name__" and label.startswith("__"):
                found.append(f"{where}: the reserved label name {label!r}")
            if not value:
                found.append(f"{where}: an empty value for {label!r}")
        times = [time for time, _ in one.samples]
        if any(later <= earlier for earlier, later in zip(times, times[1:])):
            found.append(f"{where}: samples not in time order, or a time twice")
        for _, raw in one.samples:
            if raw & 0x7FF0000000000000 == 0x7FF0000000000000 and raw & 0xFFFFFFFFFFFFF and raw != CANONICAL_NAN:
                found.append(f"{where}: NaN as {raw:#x}")
        if one.exemplars and not isinstance(request, RequestV2):
            found.append(f"{where}: exemplars")
    return found


def _series(raw):
    labels, samples, exemplars, histograms = [], [], 0, 0
    for number, kind, value in _fields(raw):
        if number == 1 and kind == 2:
            pair = {1: b"", 2: b""}
            for inner, _, text in _fields(value):
                pair[inner] = text
            try:
                labels.append((pair[1].decode(), pair[2].decode()))
            except UnicodeDecodeError:
                raise Malformed("protobuf: a label that is not UTF-8") from None
        elif number == 2 and kind == 2:
            raw_bits, time = 0, 0
            for inner, inner_kind, part in _fields(value):
                if inner == 1 and inner_kind == 1:
                    raw_bits = int.from_bytes(part, "little")
                elif inner == 2 and inner_kind == 0:
                    time = part - (1 << 64) if part >> 63 else part
            samples.append((time, raw_bits))
        elif number == 3:
            exemplars += 1
        elif number == 4:
            histograms += 1
        else:
            raise Malformed(f"protobuf: field {number} of kind {kind} in a series")
    return Series(labels, samples, exemplars, histograms)


def _varint(data, at):
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7
        if shift > 63:
            raise Malformed("a varint that is too long")


def _fields(data):
    at, end = 0, len(data)
    while at < end:
        try:
            key, at = _varint(data, at)
            number, kind = key >> 3, key & 7
            if kind == 2:
                size, at = _varint(data, at)
            elif kind == 1:
                size = 8
            elif kind == 5:
                size = 4
            elif kind == 0:
                value, at = _varint(data, at)
                yield number, kind, value
                continue
            else:
                raise Malformed(f"protobuf: wire type {kind}")
        except IndexError:
            raise Malformed("protobuf: cut short") from None
        value = data[at:at + size]
        if len(value) != size:
            raise Malformed("protobuf: cut short")
        at += size
        yield number, kind, value
