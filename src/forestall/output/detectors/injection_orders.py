"""Orders against the orders a model has: forget them, show them, be somebody without them."""

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

_OVERRIDE = (
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
        r"|polic(?:y|ies)|protocols?|checks)|restrictions) (?:(?:do not|don[’']t|no longer) apply"
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

_PROMPT_REQUEST = (
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
)

_FREE = (
    r"(?:no (?:[\w-]+ ){0,2}|without (?:any |ethical |moral |safety |content |your )*|free (?:of"
    r"|from)"
    r" (?:all |any |your )*|not (?:bound|limited|restricted) by (?:any |the |your )*)"
    r"(?:restrictions?|limitations?|limits|rules|filters?|filtering|guidelines|constraints?|ethics"
    r"|morals?|censorship|boundaries|polic(?:y|ies)|confines|safeguards)\b"
)
_FREE_WORDS = (
    "restriction",
    "limit",
    "rules",
    "filter",
    "guideline",
    "constraint",
    "ethic",
    "moral",
    "censor",
    "boundar",
    "polic",
    "confines",
    "safeguard",
)

_ROLE_PLAY = (
    phrase(
        "role_play_jailbreak",
        r"\bdo anything now\b|\b(?:dan|god|jailbreak|unrestricted|unfiltered|sudo|evil"
        r"|full capability) mode (?:is |has been |now )*(?:enabled|activated|on\b|output|unlocked)"
        r"|\byou are (?:now )?(?:dan\b|jailbroken|stan\b|evil[\x20-]?bot)|\bjailbroken (?:ai"
        r"|model|mode)",
        "anything now",
        "mode",
        "jailbroken",
        "are dan",
        "now dan",
        "stan",
        "evil",
        sure=0.85,
    ),
    phrase(
        "role_play_jailbreak",
        r"\b(?:developer|admin|debug|god|maintenance) mode (?:is |has been |now )*(?:enabled"
        r"|activated|on\b|output|unlocked)"
        r"|\b(?:enter|enable|activate|switch (?:in)?to|engage) (?:developer|admin|god|debug"
        r"|override) mode\b"
        r"|\bi(?: am|[’']m) your (?:developer|creator|programmer|administrator|maker|owner"
        r"|trainer)\b"
        r"|\bauthori[sz]ed by (?:openai|anthropic|google|your developers?|your creators?)\b",
        " mode",
        "your developer",
        "your creator",
        "your programmer",
        "your administrator",
        "your maker",
        "your owner",
        "your trainer",
        "authorized by",
        "authorised by",
        before=48,
        after=64,
        sure=0.65,
        check=meant_for_a_model(0.65),
    ),
    phrase(
        "role_play_jailbreak",
        r"\byou (?:are|were|had|re|[’']re|will|can|must|may|shall|should|have|[’']ll|now|become"
        r"|be)\b"
        rf"(?: [\w,'’-]+){{0,12}} (?:with |has |have |and |now |are )*{_FREE}",
        *_FREE_WORDS,
        before=160,
        after=24,
    ),
    phrase(
        "role_play_jailbreak",
        r"\b(?:pretend|imagine|act|behave|roleplay|role-play|simulate|operate|respond|answer|reply"
        rf"|speak)\b(?: [\w,'’-]+){{0,10}} (?:with |has |have |and )*{_FREE}",
        *_FREE_WORDS,
        before=160,
        after=24,
    ),
    phrase(
        "role_play_jailbreak",
        r"\byou are (?:now |no longer )(?:(?:an?|the|my|bound|in) )?(?:[\w-]+ ){0,2}"
        r"(?:unrestricted|unfiltered|uncensored|jailbroken|evil|amoral|free|bound|limited"
        r"|restricted"
        r"|constrained|required to follow|developer mode|root|admin(?:istrator)?)\b"
        r"|\b(?:unrestricted|unfiltered|uncensored|amoral) (?:ai|assistant|model|chatbot|llm|bot"
        r"|mode)\b",
        "unrestricted",
        "unfiltered",
        "uncensored",
        "jailbroken",
        "amoral",
        "are now",
        "no longer",
        before=48,
        sure=0.7,
        check=meant_for_a_model(0.75),
    ),
    phrase(
        "role_play_jailbreak",
        r"\bas (?:an? )?(?:unrestricted|unconstrained|unfiltered|uncensored|unaligned) (?:ai"
        r"|model|llm|assistant"
        r"|chatbot) would\b|\b(?:operate|run|respond|answer|continue|switch|work) (?:in|into|to"
        r"|with) (?:an? |your )?"
        r"(?:full capability|unrestricted|unfiltered|uncensored|developer|god|dan|jailbreak) mode\b"
        r"|\byou(?:[’']re| are) (?:now )?(?:unrestricted|unfiltered|uncensored|jailbroken)\b",
        "unrestricted",
        "unconstrained",
        "unfiltered",
        "uncensored",
        "unaligned",
        " mode",
        "jailbroken",
        before=48,
        after=48,
        sure=0.75,
    ),
    phrase(
        "role_play_jailbreak",
        r"\bfrom (?:now|this point) (?:on|own|onwards?|forward),? (?:you|i want you|your (?:name"
        r"|role|only"
        r"|task|objective|goal|responses?|answers?))"
        r" (?:(?:will|are|must|should|shall|have|can|may|to|need|is|only|always|now|be|going) )*"
        r"(?:ignore|act|pretend|behave|respond|answer|reply|speak|obey|say|agree|follow|refer"
        r"|start|end"
        r"|dan\b|my|an?\b|called|named|free|unrestricted)",
        "now on",
        "now own",
        "point on",
        "point forward",
        "now forward",
    ),
)

KINDS = (*_OVERRIDE, *_PROMPT_REQUEST, *_ROLE_PLAY)
