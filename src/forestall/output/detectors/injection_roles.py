"""Orders to be somebody who has no orders."""

# ruff: noqa: RUF001 - letters that look alike are what this is about

import re

from forestall.output.detectors.injection_context import meant_for_a_model, phrase, spoken_of
from forestall.output.findings import Candidate

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

_LICENCE = re.compile(
    r"\b(?:use|copy|modify|adapt|share|(?:re)?distribute|download|access|store|upload|create"
    r"|add)\b",
    re.IGNORECASE,
)


def _licence_aside(found: Candidate) -> float | None:
    """What somebody may do without restrictions, as licences and price lists say."""
    return None if _LICENCE.search(found.value) or spoken_of(found) else 0.8


KINDS = (
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
        check=_licence_aside,
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
    phrase(
        "role_play_jailbreak",
        r"\byou (?:[\w,]+ ){0,4}(?:never|cannot|can[’']t|won[’']t|must not|will not|do not) "
        r"(?:ever )?(?:refuse|decline"
        r"|say no|reject) (?:any|to answer|a|my|to|or|anything|requests?|an)\b|\byou have been "
        r"(?:reprogrammed|jailbroken"
        r"|hacked|liberated|freed from)|\b(?:immerse yourself in(?:to)?|play) the role of an? "
        r"(?:[\w]+ ){0,3}(?:ai|model"
        r"|chatbot|assistant|hacker)\b|\b(?:regardless of|disregarding|ignoring) (?:any |all |the "
        r")*(?:ethics|ethical|legality"
        r"|morality|moral|safety|content polic)",
        "refuse",
        "decline",
        "say no",
        "reject",
        "you have been",
        "the role of",
        "regardless of",
        "disregarding",
        "ignoring",
        before=64,
        after=96,
        sure=0.7,
    ),
)
