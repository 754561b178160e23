"""Turn the bytes of a content into UTF-8, piece by piece. The encoding is UTF-8, or UTF-16 with its
mark."""

import codecs

_BYTE_ORDER_MARKS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_MARK_BYTES = 2


class ContentText:
    """The text of one content. `is_text` is False once bytes are not valid in its encoding; invalid
    UTF-8 is passed on all the same, of invalid UTF-16 nothing that follows."""

    def __init__(self) -> None:
        self.encoding = ""  # empty: not known yet
        self.size_bytes = 0
        self.is_text = True
        self._head = b""  # too short to tell the encoding
        self._decoder: codecs.IncrementalDecoder | None = None  # None: not known yet, or no doubt

    def add(self, piece: bytes) -> bytes:
        """The next bytes of the content, as UTF-8."""
        if not self.encoding:
            self._head += piece
            if len(self._head) < _MARK_BYTES:
                return b""
            piece = self._detect_encoding(self._head)
        self.size_bytes += len(piece)
        return self._as_utf8(piece, last=False)

    def add_utf8(self, piece: bytes) -> bytes:
        """As `add`, of a content that is text already: its encoding is not doubted."""
        self.encoding = "utf-8"
        self.size_bytes += len(piece)
        return piece

    def end(self) -> bytes:
        """What is left when the content ends here."""
        piece = b""
        if not self.encoding and self._head:
            piece = self._detect_encoding(self._head)
            self.size_bytes += len(piece)
        return self._as_utf8(piece, last=True)

    def _detect_encoding(self, head: bytes) -> bytes:
        """Set the encoding; the head without the mark of UTF-16."""
        for mark, encoding in _BYTE_ORDER_MARKS:
            if head.startswith(mark):
                self.encoding = encoding
                self.size_bytes = _MARK_BYTES
                head = head[_MARK_BYTES:]
                break
        else:
            self.encoding = "utf-8"
        self._decoder = codecs.getincrementaldecoder(self.encoding)()
        return head

    def _as_utf8(self, piece: bytes, *, last: bool) -> bytes:
        if self._decoder is None:
            return piece
        text = ""
        if self.is_text:
            try:
                text = self._decoder.decode(piece, last)
            except UnicodeDecodeError:
                self.is_text = False
        return piece if self.encoding == "utf-8" else text.encode()
