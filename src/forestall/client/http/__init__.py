"""One HTTP/1.1 client (ADR 0020): `pool` decides, `blocking` and `asynchronous` are its faces."""
