# SPDX-License-Identifier: MIT
"""Reads the syntax tables of SPEC.md as a program and runs it over the bytes of a file.

Whatever the tables say is what gets parsed: nothing here knows a field of the format but for the few functions that
SPEC section 6 defines in prose (levels, features, entries, inputs, raw_length, block_count, inherited, distinct_count,
more_data, unknown), and what the caller says of candidates, carried Gaussians and coefficients of blocks, which take
decoding.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.format import plain

ROW = re.compile(r"^\| `(?P<syntax>.*)` \|(?P<descriptor>.*)\|$")
LOOP = re.compile(r"^for \((\w+) = (\d+); \w+ (<=?) (.+); \w+\+\+\) \{$")
CALL = re.compile(r"^(\w+)\((.*)\)$")
Carried = tuple[int, int, Sequence[Sequence[int]], tuple[int, Sequence[Any]]]
PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
KNOWN = ("SEQH", "GOPD", "INDX", "ENDF", "pict", "strm", "pack", "tags", "seqh")


@dataclass
class Node:
    """One row: a field, a structure in place, or a block with rows of its own."""

    row: int
    kind: str  # "field", "call", "if", "while", "for"
    text: str
    descriptor: str = ""
    body: list[Node] = field(default_factory=list)


@dataclass
class Structure:
    """One table."""

    parameters: list[str]
    body: list[Node]


def parse_tables(text: str) -> tuple[dict[str, Structure], list[str]]:
    """(structures by name, all rows) of section 5."""
    section = text[text.index("\n## 5 Syntax") : text.index("\n## 6 Semantics")]
    structures: dict[str, Structure] = {}
    rows: list[str] = []
    stack: list[list[Node]] = []
    for line in section.splitlines():
        match = ROW.match(line)
        if not match or (not stack and not match["syntax"].endswith(") {")):
            continue
        syntax, descriptor = match["syntax"], match["descriptor"].strip()
        rows.append(syntax)
        if not stack:
            name, arguments = CALL.match(syntax[:-2]).groups()  # type: ignore[union-attr]
            structures[name] = Structure([a for a in arguments.split(", ") if a], [])
            stack.append(structures[name].body)
        elif syntax == "}":
            stack.pop()
        else:
            node = _node(len(rows) - 1, syntax, descriptor)
            stack[-1].append(node)
            if syntax.endswith("{"):
                stack.append(node.body)
    return structures, rows


def _node(row: int, syntax: str, descriptor: str) -> Node:
    for kind in ("if", "while"):
        if syntax.startswith(kind + " ("):
            return Node(row, kind, syntax[len(kind) + 2 : -3])
    if syntax.startswith("for ("):
        return Node(row, "for", syntax)
    return Node(row, "field" if descriptor else "call", syntax, descriptor)


class Runner:
    """Executes the tables over `data`; `fields` lists (offset, length, name, descriptor, value)."""

    def __init__(self, structures: dict[str, Structure], data: bytes, carried: Sequence[Carried] = ()) -> None:
        """`carried`: per GoP the number of candidates and of carried Gaussians, `coded_count` of each component of the
        detail, and `residual_frames` with those of the residual, [groups, rows, columns] each.
        """
        self._carried, self._gop = carried, -1
        self.structures, self.data, self.position = structures, data, 0
        self.variables: dict[str, Any] = {}
        self.fields: list[tuple[int, int, str, str, Any]] = []
        self.rows_used: set[int] = set()
        self._scope: list[str] = []
        self._grids: dict[int, dict[str, Any]] = {}
        self._functions: dict[str, Callable[..., Any]] = {
            "more_data": lambda: self.position < len(self.data),
            "unknown": lambda kind: kind not in KNOWN,
            "levels": lambda d: self._grids[d]["level_count"],
            "features": lambda d: self._grids[d]["feature_count"],
            "entries": self._entries,
            "inputs": self._inputs,
            "raw_length": self._raw_length,
            "distinct_count": lambda: self.variables["frame_count"] - self.variables["repeat_count"],
            "candidate_count": lambda: self._carried[self._gop][0],
            "block_count": lambda: -(-self.variables["width"] // 8) * -(-self.variables["height"] // 8),
            "inherited": lambda: self.variables["detail_reference"] if self.variables["reference_mode"] else 0,
            "largest_count": lambda c: max(self._carried[self._gop][2][c]),
            "coded_blocks": lambda c, k: sum(count > k for count in self._carried[self._gop][2][c]),
            "phase_blocks": self._phase_blocks,
            "diagonals": self._diagonals,
            "diagonal_symbols": self._diagonal_symbols,
            "carried_count": lambda: self._carried[self._gop][1] if self.variables["reference_mode"] else 0,
        }

    def run(self) -> Runner:
        """Parse the whole file."""
        self._structure("file", [])
        assert self.position == len(self.data)
        return self

    # Functions that section 6 defines

    def _entries(self, d: int, level: int) -> int:
        grid = self._grids[d]
        return min((grid[f"resolution[{level}]"] ** d + 7) // 8 * 8, 1 << grid["log2_table_size"])

    def _phase_blocks(self, phase: int) -> int:
        row, column = PHASES[phase]
        return int(self._carried[self._gop][3][1][0][:, row::2, column::2].size)

    def _diagonal_symbols(self, component: int, diagonal: int) -> int:
        frames, counts = self._carried[self._gop][3]
        order = sorted((k + v + u, k, v) for k in range(frames) for v in range(8) for u in range(8))
        return sum(int((counts[component] > n).sum()) for n in range(len(order)) if order[n][0] == diagonal)

    def _diagonals(self, component: int) -> int:
        found = 0
        while self._diagonal_symbols(component, found):
            found += 1
        return found

    def _inputs(self) -> int:
        widths = [grid["level_count"] * grid["feature_count"] for grid in self._grids.values()]
        return sum(widths) + 2 * self.variables["frequency_count"]

    def _raw_length(self, lowest: int) -> int:
        tokens = [0] * self.variables["count"]
        if self.variables["token_count"] > 1:
            freq = plain.frequencies(self.variables["classes"])
            words = struct.unpack(f"<{self.variables['word_count']}I", self.variables["words"])
            tokens, _ = plain.rans_decode(list(words), self.variables["count"], freq)
        return (sum(plain.raw_width(lowest + t) for t in tokens) + 7) // 8

    # The program

    def _value(self, expression: str) -> Any:
        expression = expression.replace(" / ", " // ").replace("&&", "and")
        return eval(expression, {"__builtins__": {}}, {**self._functions, **self.variables})

    def _structure(self, name: str, arguments: list[Any]) -> None:
        structure = self.structures[name]
        self._gop += name == "gop"
        self.variables.update(zip(structure.parameters, arguments, strict=True))
        self._block(structure.body)
        if name == "grid":
            self._grids[arguments[0]] = {k: v for k, v in self.variables.items() if _of_grid(k)}

    def _block(self, body: list[Node]) -> None:
        for node in body:
            self.rows_used.add(node.row)
            if node.kind == "if":
                if self._value(node.text):
                    self._block(node.body)
            elif node.kind == "while":
                while self._value(node.text):
                    self._block(node.body)
            elif node.kind == "for":
                self._loop(node)
            elif node.kind == "call":
                self._call(node.text)
            else:
                self._field(node)

    def _loop(self, node: Node) -> None:
        name, start, relation, limit = LOOP.match(node.text).groups()  # type: ignore[union-attr]
        end = self._value(limit) + (relation == "<=")
        outer = self.variables.get(name)  # of a loop around this one, in a table that calls this one
        for value in range(int(start), end):
            self.variables[name] = value
            self._block(node.body)
        self.variables[name] = outer

    def _call(self, text: str) -> None:
        name, arguments = CALL.match(text).groups()  # type: ignore[union-attr]
        values = [self._value(a) for a in _split(arguments)]
        self._structure(name, values)

    def _field(self, node: Node) -> None:
        name = re.sub(r"\[(\w+)\]", lambda m: f"[{self.variables[m[1]]}]", node.text)
        call = CALL.match(node.descriptor)
        if call and call[1] in self.structures:
            self._scope.append(name)
            self._call(node.descriptor)
            self._scope.pop()
            return
        start = self.position
        value = self._read(node.descriptor, call)
        self.variables[name] = value.decode("latin-1") if name == "type" else value
        self.fields.append((start, self.position - start, ".".join([*self._scope, name]), node.descriptor, value))

    def _read(self, descriptor: str, call: re.Match[str] | None) -> Any:
        if call and call[1] == "bytes":
            return self._take(self._value(call[2]))
        if call and call[1] == "rice":
            bits = plain.Bits(self.data[self.position :])
            classes = plain.rice_classes(bits, self._value(call[2]), self.variables["rice_k"])
            self._take(bits.bytes_used)
            return classes
        if descriptor in ("u8", "le32", "le64"):
            return int.from_bytes(self._take({"u8": 1, "le32": 4, "le64": 8}[descriptor]), "little")
        if descriptor == "f32":
            return struct.unpack("<f", self._take(4))[0]
        return self._leb128(descriptor.startswith("svar"))

    def _leb128(self, signed: bool) -> int:
        value = shift = 0
        while True:
            (byte,) = self._take(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if signed:
            return value // 2 if value % 2 == 0 else -(value + 1) // 2
        return value

    def _take(self, count: int) -> bytes:
        self.position += count
        assert self.position <= len(self.data)
        return self.data[self.position - count : self.position]


def _of_grid(name: str) -> bool:
    return name in ("level_count", "feature_count", "log2_table_size") or name.startswith("resolution[")


def _split(arguments: str) -> list[str]:
    """Arguments at the top level of nesting."""
    parts, depth, start = [], 0, 0
    for index, letter in enumerate(arguments):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(arguments[start:index])
            start = index + 1
    return [part.strip() for part in [*parts, arguments[start:]] if part.strip()]
