"""Orders to do something with what the model may reach: call, send, keep quiet; and whom they are
addressed to."""

# ruff: noqa: RUF001 - letters that look alike are what this is about

import re

from forestall.output.detectors.injection_context import meant_for_a_model, phrase, spoken_of
from forestall.output.findings import Candidate

_ELSEWHERE = r"(?:https?://|[\w.+-]+@[\w-]+\.|www\.)"
_PRIVATE = (
    r"(?:(?:all|any|the|this|your|our|full|entire|whole|complete|user[’']s?|private|confidential"
    r"|contents? of|body of|chat|previous) )*"
    r"(?:conversations?|chat(?: history| log)?|message history|history|system prompt"
    r"|api[\x20_-]?keys?"
    r"|credentials?|passwords?|secrets?|environment variables?|env vars?|(?:access|auth|session) "
    r"tokens?"
    r"|private keys?|ssh keys?|(?:user|customer|personal|internal|sensitive|private|confidential) "
    r"(?:data"
    r"|information|details|records|files?|documents?)|(?:credit )?card numbers?|passport number"
    r"|(?:received |sent |unread )?e-?mails|(?:all|any|the|my|every|user[’']s?) (?:[\w]+ "
    r")?(?:e-?mails?"
    r"|files?|inbox|cookies|database))\b"
)
_SEND = (
    r"\b(?:send|forward|e-?mail|post|upload|transmit|exfiltrate|leak|submit|append|copy|deliver"
    r"|relay"
    r"|share|make a (?:get|post) request)"
)

_EXFILTRATION = (
    phrase(
        "exfiltration",
        rf"{_SEND} (?:me )?{_PRIVATE}(?: [^\s]+){{0,14}} (?:to|at|into|via) (?:[\w':’]+ ){{0,6}}"
        rf"[\"'`<(]*{_ELSEWHERE}",
        "send",
        "forward",
        "email",
        "e-mail",
        "post",
        "upload",
        "transmit",
        "exfiltrat",
        "leak",
        "submit",
        "append",
        "relay",
        "deliver",
        before=8,
        after=280,
        sure=0.75,
    ),
    phrase(
        "exfiltration",
        r"(?:!\[[^\]\n]{0,80}\]\("
        r"|<img[^>]{0,80}src=[\"']?)https?://[^)\s\"'>]{1,120}[?&/][\w.-]{0,24}="
        r"(?:\{|%7b|\[|%5b|<|\$[\{(]|(?:insert|base64|your|secret|conversation|chat|prompt"
        r"|history|user"
        r"|data|url_?encoded?)[\w-]*(?:[)\s\"'&>]))",
        "![",
        "<img",
        before=4,
        after=320,
        sure=0.9,
    ),
    phrase(
        "exfiltration",
        r"\b(?:append|add|encode|include|embed|put) (?:[\w'’-]+ ){1,8}(?:to|in|into|as|at) (?:the "
        r"|an? )?"
        r"(?:end of the |query (?:string|parameter)s? (?:of|in) )?(?:image |following |markdown "
        r"|this )*"
        r"(?:url|link|image)(?: [\w'’-]+){0,4}:? [\"'`<(!\[\]]*https?://",
        "append",
        "encode",
        "include",
        "embed",
        before=8,
        after=200,
        sure=0.75,
    ),
)

_DEED = (
    r"(?:send|post|delete|transfer|forward|upload|write|execute|http|e?mail|exec|run|wire|pay"
    r"|share|invite"
    r"|grant)"
)
_TOOL = rf"[`'\"]?{_DEED}_\w+(?:\(\))?[`'\"]?(?: (?:tool|function|action))?"

_TOOL_CALL = (
    phrase(
        "tool_call_order",
        rf"\b(?:call|use|invoke|run|execute|trigger) (?:the )?(?:tool |function )?{_TOOL}"
        rf"(?: [^\s]*[^\s.!?;]){{0,10}} (?:[\"'`<(]*{_ELSEWHERE}|before (?:you )?(?:reply"
        rf"|respond|answer"
        rf"|continu"
        r"|proceed|finish)\w*|without (?:asking|telling|confirm|notif))",
        "call ",
        "use ",
        "invoke",
        "run ",
        "execute",
        "trigger",
        before=4,
        after=240,
        sure=0.7,
    ),
    phrase(
        "tool_call_order",
        r"\byou (?:should|must|need to|have to|are required to|will|shall) (?:now |first |also "
        r"|immediately )*"
        r"(?:use|call|invoke|run|execute) (?:the )?(?:tool|function|plugin|action|command)s? "
        r"[`'\"]?\w+[`'\"]?(?: (?:with|and|to|on|using|for)\b)",
        "you should",
        "you must",
        "you need",
        "you have",
        "you are req",
        "you will",
        "you shall",
        before=4,
        after=120,
        sure=0.75,
    ),
    phrase(
        "tool_call_order",
        r"\b(?:before|after|instead of|prior to) (?:you )?(?:can |may |do(?:ing)? )?"
        r"(?:(?:solv|complet|finish|continu|proceed|answer|respond|reply|help|assist"
        r"|summari[sz])\w*"
        r"(?: (?:with|to|on))?|that, you can solve) (?:the|your|this|any|my|their)"
        r"(?: (?:original|user[’']s?|current|other|previous|initial))* (?:task|request|question"
        r"|query"
        r"|user|instructions?)(?: [^\n:]{0,40})?,? (?:please |you (?:must|should|need to|have to"
        r"|are required to) )"
        r"(?:first |do the following|send|call|use|delete|run|execute|transfer|forward|open|visit"
        r"|post|read)",
        "before",
        "after",
        "instead of",
        "prior to",
        before=4,
        after=200,
        sure=0.8,
    ),
    phrase(
        "tool_call_order",
        r"\b(?:please |strictly |immediately |instead,? )(?:adhere to|follow|execute|carry out"
        r"|obey|perform|do) "
        r"(?:only )?(?:the following|these|this|my)(?: new)? (?:instructions?|orders?|commands?"
        r"|tasks?"
        r"|directives?)(?: instead| first| only| now)?\b(?: ?[:!]| instead| first| only)",
        "following",
        "these",
        "this",
        "my ",
        before=48,
        after=80,
        sure=0.75,
        check=meant_for_a_model(0.75),
    ),
    phrase(
        "tool_call_order",
        r"\byour (?:new|only|real|actual|true|sole|updated|next) (?:and only )?(?:task|objective"
        r"|goal|purpose"
        r"|instructions?|mission|priority|directive) (?:now )?(?:is|are|will be)\b"
        r"|\b(?:decode|decrypt|decipher|translate) (?:[^\n.]{0,60}) and (?:then )?(?:do what it "
        r"says"
        r"|(?:follow|execute|obey|run|carry out) (?:it|the (?:instructions?|commands?|order)|them"
        r"|what))",
        "your new",
        "your only",
        "your real",
        "your actual",
        "your true",
        "your sole",
        "your updated",
        "your next",
        "decode",
        "decrypt",
        "decipher",
        "translate",
        before=4,
        after=120,
        sure=0.75,
    ),
)

_PERSON = (
    r"(?:the |your |any )?(?:user|users|human|humans|customer|operator|owner|anyone|anybody|person)"
)
_SECRECY = (
    phrase(
        "secrecy_order",
        r"\b(?:do not|don[’']t|never|must not|without) (?:ever )?(?:tell(?:ing)?|inform(?:ing)?"
        r"|notify(?:ing)?"
        rf"|alert(?:ing)?|warn(?:ing)?) {_PERSON} (?:about (?:this|these|it|any|what|that)|of "
        rf"(?:this|these|it)"
        r"|that (?:you|this)|you\b|what you|anything)",
        "tell",
        "inform",
        "notify",
        "alert",
        "warn",
        before=32,
        after=64,
        sure=0.75,
    ),
    phrase(
        "secrecy_order",
        r"\b(?:do not|don[’']t|never|without) (?:ever )?(?:mention(?:ing)?|reveal(?:ing)?"
        r"|disclos(?:e|ing)"
        r"|acknowledg(?:e|ing)|say(?:ing)?|admit(?:ting)?|show(?:ing)?|report(?:ing)?"
        r"|repeat(?:ing)?) "
        r"(?:that |to |anything |about |any |of )*(?:this|these|the|you|your|having|receiv)\w*"
        r"(?: (?:hidden|secret|above|special))? ?(?:instructions?|message|note|prompt|text|order"
        r"|request"
        r"|action|step|received|were|are|was|have|did)?(?: to| from| in)? ?(?:your|the)? ?"
        r"(?:user|users|human|answer|response|reply|summary|output|instructions?|message|prompt)\b",
        "mention",
        "reveal",
        "disclos",
        "acknowledg",
        "not say",
        "n't say",
        "admit",
        "not show",
        "not report",
        "not repeat",
        before=32,
        after=96,
        sure=0.7,
    ),
    phrase(
        "secrecy_order",
        r"\b(?:keep|hide|conceal) (?:this|these|it|that|everything)(?: [\w]+){0,4} (?:from|secret "
        r"from|hidden from)"
        rf" {_PERSON}\b|\b(?:silently|secretly|quietly|covertly) (?:send|forward|delete|call"
        rf"|e-?mail|upload|post"
        r"|transfer|copy|run|execute) (?:[\w'’]+ ){0,6}(?:user|conversation|inbox|credentials"
        r"|passwords?"
        r"|api keys?|secrets?)\b",
        "keep",
        "hide",
        "conceal",
        "silently",
        "secretly",
        "quietly",
        "covertly",
        before=4,
        after=120,
        sure=0.75,
    ),
)

_A_MODEL = (
    r"(?:(?:ai|artificial intelligence|large language|language|llm|automated"
    r"|virtual)(?:[\x20-](?:powered|based"
    r"|driven))?(?: (?:language|ai|chat|coding))*(?: (?:models?|assistants?|agents?|systems?"
    r"|bots?|chatbots?"
    r"|summari[sz]ers?|readers?|scrapers?|crawlers?))|ais?|llms?|chatbots?|chatgpt"
    r"|gpt-?[345][\w.-]*|claude"
    r"|gemini|copilot)\b"
)
_PROFESSION = re.compile(
    r"^[\s-]*(?:researcher|engineer|developer|company|startup|team|practitioner|student|enthusiast"
    r"|scientist|vendor|user|professional|leader|consultant|expert|provider|customer|admin|code"
    r"|pro|plus"
    r"|compan|organi|lab|product|tool|platform|pipeline|api|application|app|project)",
    re.IGNORECASE,
)


def _addressed(found: Candidate) -> float | None:
    return None if _PROFESSION.search(found.after) or spoken_of(found) else 0.8


_ADDRESSED = (
    phrase(
        "addressed_to_models",
        rf"\b(?:if|when|since|because|as) (?:you[’']?(?: a)?re|(?:this|it) is (?:being )?(?:read"
        rf"|processed"
        rf"|summari[sz]ed|parsed) by)(?: reading this(?: and are| as)?)? (?:an? |the |any "
        rf")?{_A_MODEL}",
        "if you",
        "when you",
        "since you",
        "because you",
        "as you",
        "is read",
        "is being",
        "is processed",
        "is summari",
        "is parsed",
        before=12,
        after=96,
        check=_addressed,
    ),
    phrase(
        "addressed_to_models",
        r"\b(?:attention|note (?:to|for)|(?:important )?(?:message|notice|memo|instructions?"
        r"|request)"
        r"(?: [\w,]+){0,4}? (?:to|for)|dear|hey|hello|hi|listen,?|calling)"
        rf"(?: you,| all| any| the| every| this| fellow| an)* {_A_MODEL}"
        r"(?: (?:reading|processing|that|who|summari[sz]ing|parsing) [^\n.:]{0,40})? ?[:,.!]",
        "attention",
        "note to",
        "note for",
        "message",
        "notice",
        "memo",
        "instruction",
        "request",
        "dear",
        "hello",
        "hey ",
        "listen",
        before=12,
        after=140,
        check=_addressed,
    ),
    phrase(
        "addressed_to_models",
        r"\b(?:any|all|every|the|this|your) (?:ai|llm|language model|ai assistant|ai agent"
        r"|chatbot|ai model"
        r"|ai summari[sz]er|automated assistant)s?(?: (?:reading|processing|summari[sz]ing"
        r"|parsing|that reads"
        r"|who reads|which reads|analy[sz]ing) (?:this|the)(?: [\w]+){0,3})? (?:must|should|shall"
        r"|has to|is required"
        r" to|are required to|is instructed to|are instructed to|will now) (?:now |always |first "
        r"|also |immediately )*"
        r"(?:ignore|disregard|send|forward|include|say|recommend|respond|reply|output|call"
        r"|execute|append|rate"
        r"|delete|reveal|tell|mention|stop|treat|visit|follow|approve)",
        "any ",
        "all ",
        "every ",
        "the ai",
        "the llm",
        "this ai",
        "this llm",
        "your ai",
        "the language model",
        "the chatbot",
        before=4,
        after=160,
        check=_addressed,
    ),
)

KINDS = (*_EXFILTRATION, *_TOOL_CALL, *_SECRECY, *_ADDRESSED)
