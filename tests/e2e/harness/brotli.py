"""Brotli from the system's library, through ctypes."""
import ctypes

_DECODER = ctypes.CDLL("libbrotlidec.so.1")
_ENCODER = ctypes.CDLL("libbrotlienc.so.1")
_SIZE = ctypes.c_size_t


def compress(data, quality=5, window=22):
    length = _SIZE(len(data) + 1024)
    out = ctypes.create_string_buffer(length.value)
    assert _ENCODER.BrotliEncoderCompress(quality, window, 0, _SIZE(len(data)), data, ctypes.byref(length), out)
    return out.raw[:length.value]


def decompress(data):
    for limit in (1 << 18, 1 << 26): # the larger buffer takes longer to make
        length = _SIZE(limit)
        out = ctypes.create_string_buffer(limit)
        if _DECODER.BrotliDecoderDecompress(_SIZE(len(data)), bytes(data), ctypes.byref(length), out) == 1:
            return ctypes.string_at(out, length.value)
    raise AssertionError("no brotli")
