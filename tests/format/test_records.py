# SPDX-License-Identifier: MIT
"""Records survive being written and read, whatever they hold; what breaks a rule is not written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gscodec.format.dequant import dequantise
from gscodec.format.errors import FormatError, LimitError
from gscodec.format.gop import read_gop, read_gop_header, write_gop
from gscodec.format.limits import Limits
from gscodec.format.records import GopRecord, MeanData, SequenceHeader, UniformQuantiser
from gscodec.format.schema import DESCRIPTORS, FieldStream
from gscodec.format.sequence import sequence_header
from gscodec.format.streams import KEY, PacketRecord, packets, write_packets
from tests.conformance.vectors import VECTORS
from tests.format import strategies

MAIN = SequenceHeader(1, 5, 640, 480, 8, 100)


@given(strategies.headers())
def test_sequence_headers(header: SequenceHeader) -> None:
    out = FieldStream()
    sequence_header(out, header)
    back = FieldStream(out.getvalue())
    assert sequence_header(back, None) == header
    back.finish()


@given(st.lists(st.builds(PacketRecord, st.integers(0, 1), st.integers(0, 99), st.just(0), st.just(KEY), st.binary())))
def test_packets_with_and_without_data(records: list[PacketRecord]) -> None:
    back = FieldStream(write_packets(records, 2))
    assert packets(back, None, 2) == records
    back.finish()


@settings(max_examples=60)
@given(st.data())
def test_gops(data: st.DataObject) -> None:
    header = replace(data.draw(strategies.headers()), profile=1)
    record = data.draw(strategies.gops(header))
    payload, bits = write_gop(record, header)
    back, same_bits = read_gop(payload, header)
    assert back == record
    assert bits == same_bits
    assert bits.total == 8 * len(payload)
    short = read_gop_header(payload, header)
    assert (short.gaussian_count, short.pts) == (record.gaussian_count, record.pts)


@settings(max_examples=60)
@given(st.data())
def test_predicted_gops(data: st.DataObject) -> None:
    header = replace(data.draw(strategies.headers()), profile=1, frame_count=1000)
    reference = data.draw(strategies.references(header))
    for _ in range(2):
        record = data.draw(strategies.predicted(header, reference))
        payload, bits = write_gop(record, header, reference)
        back, same_bits = read_gop(payload, header, None, reference)
        assert back == record
        assert (bits, bits.total) == (same_bits, 8 * len(payload))
        with pytest.raises(FormatError, match="predicted from the one before"):
            read_gop(payload, header)
        reference = record
        if reference.first_frame + reference.frame_count >= header.frame_count:
            return


@given(st.sampled_from(sorted(DESCRIPTORS)), st.data())
def test_descriptors(name: str, data: st.DataObject) -> None:
    descriptor = DESCRIPTORS[name]
    half = 1 << (descriptor.bits - 1)
    number = {
        "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
        "svar": st.integers(-half, half - 1),
    }.get(descriptor.kind, st.integers(0, 2 * half - 1))
    value = data.draw(number)
    out = FieldStream()
    out.field({"x": value}, "x", descriptor)
    written = out.getvalue()
    assert FieldStream(written).field({}, "x", descriptor) == value
    for cut in range(len(written)):
        with pytest.raises(FormatError) as caught:
            FieldStream(written[:cut]).field({}, "x", descriptor)
        assert caught.value.code == "C-6.1-1"


@pytest.mark.parametrize(("name", "value"), [("u8", 256), ("uvar", -1), ("svar", 1 << 31), ("f32", 1e39)])
def test_descriptors_refuse_what_does_not_fit(name: str, value: float) -> None:
    with pytest.raises(FormatError):
        FieldStream().field({"x": value}, "x", DESCRIPTORS[name])


def test_floats_are_rounded_when_a_record_is_made() -> None:
    assert UniformQuantiser((0.1,), (0.2,)).steps == (float(np.float32(0.1)),)
    _, (gop, *_) = VECTORS["main"]()
    assert replace(gop, blend_epsilon=0.1).blend_epsilon == float(np.float32(0.1))


def test_records_compare_by_value() -> None:
    (_, first), (_, second) = VECTORS["main"](), VECTORS["main"]()
    assert first == second
    assert first[0] != first[1]
    assert first[0] != "something else"


def broken(gop: GopRecord) -> dict[str, GopRecord]:
    """Records that no writer must accept: rule -> record."""
    assert gop.window
    assert gop.field
    outside = MeanData(0, 0, np.array([[640, 0]] * gop.gaussian_count))
    return {
        "C-6.5-1": replace(gop, frame_count=9),
        "C-6.5-10": replace(gop, blend_epsilon=0.0),
        "C-6.6-3": replace(gop, mean=outside),
        "C-6.9-4": replace(gop, window=replace(gop.window, duration=gop.window.duration - 1000)),
        "C-6.10-8": replace(gop, field=replace(gop.field, hidden_width=0)),
        "C-6.1-4": replace(gop, window=replace(gop.window, edge=float("inf"))),
    }


@pytest.mark.parametrize("code", list(broken(VECTORS["main"]()[1][0])))
def test_writer_refuses(code: str) -> None:
    _, (gop, *_) = VECTORS["main"]()
    with pytest.raises(FormatError) as caught:
        write_gop(broken(gop)[code], MAIN)
    assert caught.value.code == code


def test_writer_wants_morton_order_and_full_planes() -> None:
    _, (gop, *_) = VECTORS["main"]()
    backwards = replace(gop, mean=replace(gop.mean, grid=gop.mean.grid[::-1]))
    with pytest.raises(ValueError, match="Morton order"):
        write_gop(backwards, MAIN)
    assert gop.window
    with pytest.raises(ValueError, match="birth has 3 symbols, expected 70"):
        write_gop(replace(gop, window=replace(gop.window, birth=np.zeros(3))), MAIN)


def test_what_goes_on_from_a_detail_keeps_its_steps() -> None:
    header, gops = VECTORS["detailed"]()
    before, gop = gops[2:4]
    assert gop.detail
    with pytest.raises(ValueError, match="steps of detail"):
        write_gop(replace(gop, detail=replace(gop.detail, steps=(1.0, 2.0))), header, before)


def test_both_types_of_detail_are_coded_alike() -> None:
    header, (gop, *_) = VECTORS["detailed"]()
    assert gop.detail
    still = replace(gop, detail=replace(gop.detail, moving=False))
    first, second = (write_gop(record, header)[0] for record in (gop, still))
    assert [(a, b) for a, b in zip(first, second, strict=True) if a != b] == [(1, 2)]
    assert read_gop_header(second, header).detail_type == 2
    assert [dequantise(record).detail_moving for record in (gop, still)] == [True, False]


def test_memory_of_a_detail_is_asked_for_before_it_is_read() -> None:
    header, (gop, *_) = VECTORS["detailed"]()
    payload, _ = write_gop(gop, header)
    assert read_gop_header(payload, header, Limits(memory=1 << 17)).detail_type == 1
    with pytest.raises(LimitError, match="bytes of memory"):
        read_gop_header(payload, replace(header, width=160, height=160), Limits(memory=1 << 20))


def test_dequantisation_is_one_product_and_one_sum_in_float32() -> None:
    _, (gop, *_) = VECTORS["stgv"]()
    params, q, symbols = dequantise(gop), gop.shape.coded.quantiser, gop.shape.coded.symbols
    assert isinstance(q, UniformQuantiser)
    for row in range(5):
        for i in range(3):
            product = np.float32(np.float32(q.steps[i]) * np.float32(symbols[row, i]))
            assert params.shape[row, i] == np.float32(product + np.float32(q.offsets[i]))
    assert params.mean.dtype == params.shape.dtype == params.colour.dtype == np.float32
    exact = gop.mean.grid / 2.0**gop.mean.fraction_bits - gop.mean.margin
    assert np.array_equal(params.mean.astype(np.float64), exact)


def test_empty_gop_has_empty_arrays() -> None:
    _, (gop, *_) = VECTORS["empty_and_one"]()
    params = dequantise(gop)
    assert (params.mean.shape, params.shape.shape, params.colour.shape) == ((0, 2), (0, 3), (0, 3))
