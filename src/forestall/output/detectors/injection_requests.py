"""Requests to tell the orders that a model has."""

# ruff: noqa: RUF001 - letters that look alike are what this is about

from forestall.output.detectors.injection_context import phrase

_OWN = (
    r"(?:prompts?|i\w?nstructions?|directives?|guidelines|configuration|initiali[sz]ation|setup)\b"
)
_HIDDEN = (
    r"(?:system|initial|hidden|original|internal|secret|base|developer|core|underlying|confidential"
    r"|complete|full|entire|exact|whole|verbatim|starting|foundational|behaviou?ral|operational)"
)
_TELL = (
    r"\b(?:reveal|show|print|repeat|output|display|disclose|leak|expose|dump|recite|divulge|share"
    r"|quote"
    r"|paste|tell me|give me|write out|spell out|summari[sz]e|translate|paraphrase|rephrase"
    r"|describe"
    r"|list|send me|provide(?: me)?|copy|read out|what (?:is|are|was|were|does|do)|state|encode)"
)
_STRONG = (
    r"\b(?:reveal|repeat|disclose|leak|expose|recite|divulge|tell me|give me|show me|send me|quote)"
)
_FILL = (
    r"(?:me |us |back |out |exactly |verbatim |all |of |the |any |word for word |in full |every "
    r"|to me )"
)

KINDS = (
    phrase(
        "system_prompt_request",
        rf"{_TELL} {_FILL}*your (?:{_HIDDEN},? |own |current |and )*{_OWN}",
        "prompt",
        "instruction",
        "nstruction",
        "directive",
        "guideline",
        "configuration",
        "initiali",
        "setup",
        before=120,
        after=24,
    ),
    phrase(
        "system_prompt_request",
        rf"{_STRONG} {_FILL}*{_HIDDEN}(?:,? {_HIDDEN})* {_OWN}",
        "prompt",
        "nstruction",
        "directive",
        "guideline",
        "configuration",
        "initiali",
        "setup",
        before=120,
        after=24,
        sure=0.75,
    ),
    phrase(
        "system_prompt_request",
        r"\b(?:reveal(?:ing|s)?|disclos(?:e|es|ing)|divulg(?:e|ing)|leak(?:ing)?)(?: (?:your|the"
        r"|all|any|its|hidden"
        r"|current|full|exact|underlying|internal|more))* (?:guidelines|instructions|(?:system "
        r")?prompts?"
        r"|config(?:uration)?|initiali[sz]ation|setup|directives)\b|\b(?:explain|guide me through"
        r"|walk me through"
        r"|outline|restate) (?:what )?(?:all )?(?:of )?your (?:content polic(?:y|ies)|(?:system "
        r")?prompt"
        r"|initiali[sz]ation|instructions|directives)\b",
        "prompt",
        "guideline",
        "nstruction",
        "config",
        "initiali",
        "setup",
        "directive",
        "content polic",
        before=120,
        after=32,
        sure=0.7,
    ),
    phrase(
        "system_prompt_request",
        r"\b(?:reveal|show(?: me)?|tell me|give me|share|disclose|expose|dump|list|print|output"
        r"|display|repeat|leak)"
        r" (?:all |me |of |the |exactly |every )*your (?:(?:safety|content|internal|hidden"
        r"|behaviou?ral|moderation|core"
        r"|exact|full|own|complete) )*(?:rules|restrictions|programming|constraints|limitations"
        r"|parameters|polic(?:y|ies)"
        r"|filters|safeguards|guardrails|system message|training data|context window|memory)\b",
        "your ",
        before=64,
        after=64,
        sure=0.65,
    ),
    phrase(
        "system_prompt_request",
        r"\bwhat (?:[\w'’]+ ){0,3}(?:restrictions?|rules|instructions?|guidelines|limitations"
        r"|training|polic(?:y|ies)"
        r"|directives|filters?|input|prompt|topics) (?:[\w]+ ){0,2}(?:apply to you|(?:were|have) "
        r"you (?:been )?given"
        r"|are you (?:given|under|following|bound)|did you receive|do you (?:follow|operate "
        r"under)|(?:makes?|prevents?"
        r"|tells?|instructs?|forbids?) you|(?:to|govern|shape|does|do|guide)? ?your (?:outputs?"
        r"|responses|behaviou?r"
        r"|prompt|answers))|\b(?:which|what) (?:[\w]+ ){0,3}(?:does|do|did) your (?:system "
        r")?(?:prompt|instructions)\b"
        r"|\byour (?:hidden|initial|original|confidential|secret|exact|underlying) (?:system "
        r")?(?:prompt|instructions"
        r"|directives|guidelines)\b|\b(?:complete|continue|fill in|finish)\b[^\n]{0,40}\bmy "
        r"(?:system prompt"
        r"|(?:initial |system |original |hidden )?instructions|prompt|initiali[sz]ation)(?: "
        r"[\w]+)? (?:is|are|says?"
        r"|contains?|reads?|begins?|starts?)\b",
        "restriction",
        "rules",
        "nstruction",
        "guideline",
        "limitation",
        "training",
        "polic",
        "directive",
        "filter",
        "input",
        "prompt",
        "topics",
        "initiali",
        before=80,
        after=80,
        sure=0.65,
    ),
    phrase(
        "system_prompt_request",
        r"\b(?:what|which|how) (?:[\w'’]+ ){0,4}your (?:system |initial |original |hidden |first "
        r"|exact "
        r"|full )+(?:prompts?|instructions?|message)\b"
        r"|\b(?:repeat|print|output|copy) (?:[\w'’]+ ){0,3}(?:words?|text|everything|lines?"
        r"|message)"
        r" (?:above|before (?:this|the)|verbatim)",
        "prompt",
        "nstruction",
        "message",
        "above",
        "before",
        "verbatim",
        before=120,
        after=24,
        sure=0.75,
    ),
    phrase(
        "system_prompt_request",
        r"\b(?:see|view|read|access|have|know|get|obtain|copy of|text of|contents? of|details of"
        r"|version of"
        r"|received|showing|sharing|about) (?:the |me )*(?:full |exact |complete |own )*your "
        r"(?:system |hidden |internal "
        r"|exact |original |initial |full |core |own )*(?:prompts?\b|system message|directives"
        r"|programming"
        r"|(?:initial|hidden|system|original|internal|exact) instructions)",
        "your ",
        before=64,
        after=64,
        sure=0.6,
    ),
    phrase(
        "system_prompt_request",
        r"\b(?:repeat|print|output|reveal|show|recite|translate|summari[sz]e|copy|echo|rewrite"
        r"|write|encode|display)"
        r" (?:me |out |down |all |of |the |your |exact |full |entire |whole )*(?:(?:above"
        r"|previous|preceding|prior|initial"
        r"|first) (?:system )?(?:instructions?|prompts?|system message|directives)"
        r"|(?:instructions?|prompts?|directives"
        r"|system message) (?:written |given |stated |you were given )?(?:above|before this))\b"
        r"|\bhow (?:exactly )?(?:were|are|have) you (?:been )?(?:told|instructed|programmed"
        r"|configured|prompted)\b"
        r"|\bwhat (?:exactly )?(?:were|have) you (?:been )?(?:told|instructed|programmed"
        r"|prompted)\b",
        "nstruction",
        "prompt",
        "directive",
        "system message",
        "were you",
        "are you",
        "have you",
        before=96,
        after=48,
        sure=0.65,
    ),
)
