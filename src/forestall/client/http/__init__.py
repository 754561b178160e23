"""One HTTP/1.1 client (ADR 0020): `blocking` and `asynchronous` are its two faces."""
