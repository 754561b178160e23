"""Facts of shell text: each program that it would run, and the class of what that does."""
