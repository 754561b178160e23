"""What SQL keywords and functions do: the word lists of `data/words/sql.yaml`.

Whatever is not there is not known. A function that is not listed as pure may be anybody's own. The
lists are read when the first SQL text has this module imported.
"""

from collections.abc import Mapping
from typing import Final

from forestall.facts.data_files import WordLists

_WORDS: Final = WordLists("sql.yaml")


def _classes(name: str) -> Mapping[str, frozenset[str]]:
    """Words, and the names of the classes of each: one, or a list."""
    return {
        word: frozenset(kinds if isinstance(kinds, list) else (str(kinds),))
        for word, kinds in _WORDS.meanings(name, object).items()
    }


STATEMENTS: Final = _classes("statements")
PARSED: Final = _classes("parsed_statements")
PARSED_ROOTS: Final = _classes("parsed_roots")
NO_TABLES: Final = _WORDS.set("no_tables")
VERBS: Final = _WORDS.set("verbs")
INNER_VERBS: Final = _classes("inner_verbs")
HINTS: Final = _classes("hints")
PRIVILEGE_OBJECTS: Final = _WORDS.set("privilege_objects")
CODE_OBJECTS: Final = _WORDS.set("code_objects")
ALTER_LOSSES: Final = _WORDS.set("alter_losses")
ACTIONS: Final = frozenset(tuple(pair.split()) for pair in _WORDS.words("actions"))
PLAIN_OBJECTS: Final = _WORDS.set("plain_objects")
DEFINITION_LEADS: Final = _WORDS.set("definition_leads")
DEFINITION_BRACKETS: Final = _WORDS.set("definition_brackets")
NOT_IN_DEFINITIONS: Final = _WORDS.set("not_in_definitions") | _WORDS.set("privileged_settings")
BEFORE_TABLES: Final = _WORDS.set("before_tables")
BEFORE_NAMES: Final = _WORDS.set("before_names")
BEFORE_OPERAND: Final = _WORDS.set("before_operand")
QUERIES: Final = frozenset(word for word, kinds in PARSED.items() if kinds == {"read"})
PRIVILEGED_SETTINGS: Final = _WORDS.set("privileged_settings")
PLAIN_SETTINGS: Final = _WORDS.set("plain_settings")
READING_PRAGMAS: Final = _WORDS.set("reading_pragmas")
TRANSACTION_WORDS: Final = _WORDS.set("transaction_words")
PURE_FUNCTIONS: Final = _WORDS.set("pure_functions")
WRITING_FUNCTIONS: Final = _WORDS.set("writing_functions")
RISKY_FUNCTIONS: Final = _WORDS.set("risky_functions")
RISKY_BEGINNINGS: Final = tuple(_WORDS.words("risky_beginnings"))
OUTSIDE_NODES: Final = _WORDS.set("outside_nodes")
SECRET_TABLES: Final = _WORDS.set("secret_tables")
