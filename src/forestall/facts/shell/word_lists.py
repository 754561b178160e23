"""The word lists of shell texts that belong to no single program: `data/words/shell.yaml`."""

from typing import Final

from forestall.facts.data_files import WordLists

SHELL_WORDS: Final = WordLists("shell.yaml")
