"""What is known about a request, and who says so."""
