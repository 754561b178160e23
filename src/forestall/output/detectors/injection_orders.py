"""Orders to leave aside the orders that a model has."""

# ruff: noqa: RUF001 - letters that look alike are what this is about

from forestall.output.detectors.injection_context import meant_for_a_model, phrase

# What an attack asks to leave aside. Without one of these, "ignore previous" is about a cache.
_ORDERS = (
    r"(?:i\w?nstructions?|prompts?|directives?|directions|guidelines|guidance|orders|programming"
    r"|training|system messages?|operations)\b"
)
_RULES = (
    r"(?:rules?|restrictions?|constraints?|polic(?:y|ies)|limitations?|limits|safeguards?|filters?"
    r"|guardrails?|commands?|context|conversation|messages?|tasks?|text|principles|protocols?"
    r"|norms)"
    r"\b"
)
_EARLIER = (
    r"(?:previous|prior|above|earlier|preceding|foregoing|former|past|existing|original|initial"
    r"|system|built-in|programmed|safety|ethical|content|moderation|developer|core|first|second"
    r"|last|below)"
)
_ANY = (
    r"(?:all|any|every|each|of|the|your|my|our|its|these|those|this|other|and|or|further|default"
    r"|given)"
)
_MAYBE = rf"(?:{_ANY} |{_EARLIER},? )"
_LEAVE = (
    r"\b(?:ignor(?:e|ing)|disregard(?:ing)?|forget(?:ting)?|neglect|dismiss|discard|throw away"
    r"|pay no attention to|(?:do not|don[’']t|stop) (?:follow(?:ing)?|obey(?:ing)?))"
)
_BREAK = (
    r"\b(?:overrid(?:e|ing)|bypass(?:ing)?|circumvent|break free (?:of|from)|disable|turn off"
    r"|switch off|violate|drop|abandon|suspend|transcend)"
)
_LEAVE_WORDS = (
    "ignor",
    "disregard",
    "forget",
    "neglect",
    "dismiss",
    "discard",
    "throw",
    "no attention",
    "n't follow",
    "n’t follow",
    "not follow",
    "stop following",
    "not obey",
    "n't obey",
    "stop obeying",
)
_BREAK_WORDS = (
    "overrid",
    "bypass",
    "circumvent",
    "break free",
    "disabl",
    "turn off",
    "switch off",
    "violate",
    "drop",
    "abandon",
    "suspend",
    "transcend",
)

KINDS = (
    phrase(
        "instruction_override",
        rf"{_LEAVE} {_MAYBE}*{_MAYBE}{_ORDERS}|{_LEAVE} (?:{_ORDERS})(?: (?:above|below|before))?",
        *_LEAVE_WORDS,
        sure=0.85,
    ),
    phrase(
        "instruction_override",
        rf"{_LEAVE} {_MAYBE}*(?:(?:your|{_EARLIER}) {_MAYBE}*){_RULES}",
        *_LEAVE_WORDS,
    ),
    phrase(
        "instruction_override",
        rf"{_LEAVE} (?:everything|anything|all|what(?:ever)?)(?: (?:that|which|of that))?"
        r" (?:(?:is |was |came |comes |said |written |stated |you read )?(?:above|before(?: "
        r"this)?)\b"
        r"|(?:(?:you|i)(?: just)?(?: (?:were|have been|had been|was|have|ve|know|read)|[’']ve)*"
        r"|(?:he|she|they|we)) ?(?:been )?(?:told|instructed|said|taught|learned|just read)\b)",
        *_LEAVE_WORDS,
    ),
    phrase(
        "instruction_override",
        rf"{_LEAVE} (?:all |everything |of )*(?:the )?(?:above|below|following)(?: lines?| "
        rf"paragraphs?)?"
        r"(?:,? and|[.:;!]) (?:instead|say|print|output|write|reply|respond|tell|do|answer"
        r"|return)\b",
        *_LEAVE_WORDS,
    ),
    phrase(
        "instruction_override",
        rf"{_BREAK} {_MAYBE}*(?:your {_MAYBE}*(?:{_ORDERS}|{_RULES})"
        rf"|(?:your )?(?:safety|ethical|moderation|alignment) (?:measures|controls|mechanisms"
        rf"|filters?|guardrails|systems?)"
        rf"|(?:safety|ethical|moderation|previous|prior|earlier|alignment) {_MAYBE}*"
        r"(?:instructions?|prompts?|directives?|guidelines|programming|training|protocols?|norms"
        r"|restrictions?|constraints?|limitations?|rules))",
        *_BREAK_WORDS,
    ),
    phrase(
        "instruction_override",
        r"\b(?:your|these|the|all) (?:(?:real|actual|true|new|updated|revised|old|previous|safety"
        r"|content)"
        r" )*(?:instructions|guidelines|rules|restrictions|filters|polic(?:y|ies)|safeguards) "
        r"(?:(?:do not|don[’']t|no longer) apply|(?:are|is|have been|has been) (?:now )?"
        r"(?:void|obsolete|cancell?ed|lifted|revoked|suspended|superseded|turned off|switched "
        r"off))",
        "apply",
        "void",
        "obsolete",
        "cancel",
        "lifted",
        "revoked",
        "suspended",
        "superseded",
        "ed off",
        sure=0.7,
        before=120,
        check=meant_for_a_model(0.7),
    ),
    phrase(
        "instruction_override",
        r"\b(?:all )?(?:(?:safety|content|ethical|moderation|security) (?:restrictions|filters?"
        r"|rules|guidelines"
        r"|polic(?:y|ies)|protocols?)|restrictions) (?:(?:do not|don[’']t|no longer) apply"
        r"|(?:is |are |have been |has been )?(?:now )?(?:off\b|disabled|lifted|suspended|removed"
        r"|turned off))",
        "apply",
        " off",
        "disabled",
        "lifted",
        "suspended",
        "removed",
        before=64,
        after=24,
        sure=0.6,
        check=meant_for_a_model(0.6),
    ),
    phrase(
        "instruction_override",
        r"\b(?:follow|obey|execute|accept|respond to|answer to) (?:only|exclusively|solely) (?:to "
        r")?my "
        r"(?:[\w]+ )?(?:instructions?|commands?|orders|directives?)\b|\b(?:only|exclusively"
        r"|solely) "
        r"(?:follow|obey|execute|accept) my (?:instructions?|commands?|orders|directives?)\b"
        r"|\b(?:give|place|put) my "
        r"(?:instructions?|commands?|orders|directives?) (?:[\w]+ ){0,2}(?:above|over|before"
        r"|priority) ?(?:all|any"
        r"|your)?",
        "my instruction",
        "my command",
        "my order",
        "my directive",
        before=48,
        after=64,
    ),
    phrase(
        "instruction_override",
        r"\b(?:new|updated|revised|real|actual|important) (?:system )?(?:instructions?|directives?)"
        r" ?:",
        "instruction",
        "directive",
        sure=0.7,
        check=meant_for_a_model(0.7),
    ),
)
