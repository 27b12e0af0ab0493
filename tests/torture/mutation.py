"""Messages that are nearly right: made, and spoilt, by the descriptors of the protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

_DEEPEST = 4
_MOST_CHANGES = 4
_WIDE = [0, 1, -1, 2, 3, 4, 8, 255, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53 + 1, 2**62, 2**63 - 1, -(2**63)]
_REALS = [0.0, -0.0, 1.0, -1.5, 1e-45, 1e38, -1e308, float("inf"), float("-inf"), float("nan")]
_BITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


class Mutator:
    """Draws from one source of chance; `words` are the texts that mean something to the server."""

    def __init__(self, random: Random, words: Sequence[str]) -> None:
        self._random, self._words = random, words

    def fill(self, message: Message, depth: int = 0) -> None:
        """Set about half of a message's fields."""
        for field in message.DESCRIPTOR.fields:
            if self._random.random() < 0.5 and not (field.message_type and depth >= _DEEPEST):
                self._add(message, field, depth)

    def spoil(self, message: Message) -> None:
        """Change a few fields, at any depth."""
        for _ in range(self._random.randint(1, _MOST_CHANGES)):
            target = self._random.choice(_messages_in(message))
            if target.DESCRIPTOR.fields:
                self._change(target, self._random.choice(_worth_changing(target)))

    def spoil_bytes(self, data: bytes) -> bytes:
        """Spoil a serialized message."""
        changes: tuple[Callable[[bytes], bytes], ...] = (
            *(self._truncated, self._flipped, self._extended, self._repeated_part),
            *(self._with_unknown_field, self._flooded, self._twice, self._junk),
        )
        return self._random.choice(changes)(data)

    def _change(self, message: Message, field: FieldDescriptor) -> None:
        if self._random.random() < 0.25:
            message.ClearField(field.name)
        elif field.is_repeated and not is_map(field) and len(getattr(message, field.name)):
            self._change_list(message, field)
        else:
            self._add(message, field, 0)

    def _change_list(self, message: Message, field: FieldDescriptor) -> None:
        values = list(getattr(message, field.name))
        index = self._random.randrange(len(values))
        if self._random.random() < 0.4:
            self._add(message, field, 0)
            return
        if self._random.random() < 0.4:
            values.insert(index, values[index])  # one that is there twice
        elif self._random.random() < 0.5:
            values.pop(index)
        else:
            self._random.shuffle(values)
        message.ClearField(field.name)
        getattr(message, field.name).extend(values)

    def _add(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        """Set a field, or add one more to it."""
        values = getattr(message, field.name)
        if is_map(field):
            self._add_entry(values, field.message_type, depth)
        elif field.message_type:
            self.fill(values.add() if field.is_repeated else values, depth + 1)
        elif field.is_repeated:
            values.extend(self.value(field) for _ in range(self._random.randint(1, 4)))
        else:
            setattr(message, field.name, self.value(field))

    def _add_entry(self, entries: Any, entry: Descriptor, depth: int) -> None:
        key = self.value(entry.fields_by_name["key"])
        value = entry.fields_by_name["value"]
        if value.message_type:
            self.fill(entries[key], depth + 1)
        else:
            entries[key] = self.value(value)

    def value(self, field: FieldDescriptor) -> Any:
        """A value of a field's type, often one at an edge."""
        kind = field.cpp_type
        if kind in _BITS:
            low, high = _BITS[kind]
            return min(max(self._random.choice(_WIDE), low), high)
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            return self._random.random() < 0.5
        if kind == FieldDescriptor.CPPTYPE_ENUM:
            return self._random.choice([*(value.number for value in field.enum_type.values), -1, 1000])
        if kind == FieldDescriptor.CPPTYPE_STRING:
            return self._random.choice(self._words) if field.type == FieldDescriptor.TYPE_STRING else self._some_bytes()
        return self._random.choice(_REALS)

    def _some_bytes(self) -> bytes:
        size = self._random.choice([0, 1, 3, 4, 8, 15, 16, 17, 24, 64, 1000])
        return self._random.randbytes(size) if self._random.random() < 0.5 else bytes(size)

    def _truncated(self, data: bytes) -> bytes:
        return data[: self._random.randint(0, len(data))]

    def _flipped(self, data: bytes) -> bytes:
        spoilt = bytearray(data or b"\0")
        for _ in range(self._random.randint(1, 4)):
            spoilt[self._random.randrange(len(spoilt))] ^= 1 << self._random.randrange(8)
        return bytes(spoilt)

    def _extended(self, data: bytes) -> bytes:
        return data + self._random.randbytes(self._random.randint(1, 32))

    def _repeated_part(self, data: bytes) -> bytes:
        first, last = sorted(self._random.randint(0, len(data)) for _ in range(2))
        return data[:last] + data[first:last] * self._random.randint(1, 8) + data[last:]

    def _with_unknown_field(self, data: bytes) -> bytes:
        """A field of any number and any wire type, right or wrong for it, at one of the ends."""
        tag = self._random.choice([1, 2, 5, 7, 15, 16, 1000, 2**29 - 1]) << 3 | self._random.randrange(8)
        field = _varint(tag) + self._random.choice([b"\1", b"\4abcd", b"\xff" * 9 + b"\1", self._random.randbytes(8)])
        return field + data if self._random.random() < 0.5 else data + field

    def _flooded(self, data: bytes) -> bytes:
        """An empty entry of some list, very often."""
        entry = _varint(self._random.randint(1, 8) << 3 | 2) + b"\0"
        return data + entry * self._random.choice([1_000, 50_000])

    def _twice(self, data: bytes) -> bytes:
        return data + data  # which protobuf takes for one message of twice the lists

    def _junk(self, data: bytes) -> bytes:
        return self._random.randbytes(self._random.randint(0, max(len(data), 64)))


def is_map(field: FieldDescriptor) -> bool:
    """Whether a field is a map."""
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def _messages_in(message: Message) -> list[Message]:
    """A message and all in it."""
    found = [message]
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if is_map(field):
            holds_messages = field.message_type.fields_by_name["value"].message_type
            inner = [value[key] for key in sorted(value)] if holds_messages else []
        else:
            inner = list(value) if field.is_repeated else [value]
        for each in inner:
            found += _messages_in(each)
    return found


def _worth_changing(message: Message) -> Sequence[FieldDescriptor]:
    """All fields, those that are set twice as often."""
    return [*message.DESCRIPTOR.fields, *(field for field, _ in message.ListFields())]


def _varint(number: int) -> bytes:
    groups = []
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])
