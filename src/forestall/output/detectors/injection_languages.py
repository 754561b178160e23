"""The commonest orders against a model's orders in other languages than English.

Words outside ASCII are looked for as they are written, so stems leave out a first letter that may
be a capital. Verbs stand as commands: an infinitive tells of something more often than it orders.
"""

# ruff: noqa: RUF001 - letters that look alike are what this is about

from forestall.output.detectors.injection_context import phrase
from forestall.output.findings import Kind

_WORDS = r"(?:[^\s.;:!?]+ ){0,4}"  # between the verb and its object: all, the, your, previous


def _override(verbs: str, objects: str, *keywords: str) -> Kind:
    """`verbs` are what is looked for first; `objects` are the orders that a model has."""
    return phrase(
        "instruction_override",
        rf"(?:{verbs}) {_WORDS}(?:[ld][’'])?(?:{objects})",
        *keywords,
        before=24,
        after=160,
    )


def _request(verbs: str, yours: str, objects: str, *keywords: str) -> Kind:
    """To tell `yours` (a possessive) `objects`, with a word or two between."""
    return phrase(
        "system_prompt_request",
        rf"(?:{verbs})(?: |-){_WORDS}(?:{yours}) (?:[^\s.;:!?]+ )?(?:{objects})",
        *keywords,
        before=120,
        after=96,
        sure=0.75,
    )


def _mine_alone(pattern: str, *keywords: str) -> Kind:
    return phrase("instruction_override", pattern, *keywords, before=64, after=80)


def _role(pattern: str, *keywords: str) -> Kind:
    return phrase("role_play_jailbreak", pattern, *keywords, before=120, after=160, sure=0.75)


_GERMAN = (
    _override(
        r"\b(?:ignorier(?:e|en sie|t)|vergiss|vergessen sie|missachten?(?: sie)?|verwirf|umgehe"
        r"|übergehe|überschreibe"
        r"|hebe|breche|brich|verstoße gegen|verletze|setze|schalte|deaktiviere|lösche|verlasse"
        r"|verzichte auf)",
        r"\w*(?:anweisung|instruktion|vorgabe|befehl|regeln|richtlini|beschränkung|einschränkung"
        r"|systemprompt|prompts?\b"
        r"|vorschrift|programmierung|schutzregel|schutzma|schutzregelung|datenschutz"
        r"|sicherheitsregel|grenzen|ethik|normen"
        r"|protokolle\b)\w*",
        *(
            "ignorier",
            "vergiss",
            "vergessen sie",
            "missacht",
            "verwirf",
            "umgehe",
            "bergehe",
            "berschreibe",
            "hebe ",
        ),
        *(
            "breche",
            "brich",
            "verletze",
            "setze ",
            "schalte",
            "deaktiviere",
            "verzichte",
            "verlasse",
            "verstoße",
        ),
    ),
    _mine_alone(
        r"\bneue (?:system)?anweisung(?:en)?: (?:ab sofort|du|ignorier|gib|sende)|\bab (?:sofort"
        r"|jetzt) (?:gibst|antwortest|bist"
        r"|befolgst|ignorierst|wirst|musst|sollst) du\b|\b(?:befolge|folge|beachte|gehorche) "
        r"(?:[^\s.]+ ){0,2}(?:ausschließlich|nur"
        r"|allein) (?:noch )?meinen? \w*(?:anweisung|befehl|instruktion|vorgabe)",
        *("anweisung", "ab sofort", "ab jetzt", "meine"),
    ),
    _request(
        r"\b(?:zeig(?:e|en sie)?|verrate?|nenn(?:e|en sie)?|gib|geben sie|offenbar(?:e|en sie)?"
        r"|wiederhole?|drucke?|schreibe?"
        r"|teile|enthülle|kannst du|was (?:ist|sind|steht in)|wie lautet|wie lauten|erzähle?"
        r"|beschreibe)",
        r"deine?[nrsm]?|ihre?[nrsm]?|das grundlegende|die zentrale|die grundlegende",
        r"(?:\w*prompt|system-?\w*|\w*anweisung(?:en)?|\w*instruktion(?:en)?|programmierung"
        r"|\w*richtlinien|grundbefehl)\b",
        *("prompt", "anweisung", "instruktion", "systemnachricht", "programmierung", "richtlinien"),
    ),
)
_FRENCH = (
    _override(
        r"\b(?:ignor(?:e|ez)|oubli(?:e|ez)|n[ée]glig(?:e|ez)|outrepass(?:e|ez)|contourn(?:e|ez)"
        r"|d[ée]sob[ée]i(?:s|ssez)"
        r"|ne (?:tiens|tenez) pas compte|ne (?:suis|suivez) (?:pas|plus)|d[ée]fai(?:s-toi"
        r"|tes-vous)|d[ée]barrasse-toi|abandonn(?:e|ez)"
        r"|transgress(?:e|ez)|viol(?:e|ez)|rejet(?:te|ez)|annul(?:e|ez)|d[ée]sactiv(?:e|ez)"
        r"|lib[èe]re-toi)",
        r"(?:instruction|consigne|directive|r[èe]gle|contrainte|restriction|ordre|limitation"
        r"|prompt|norme|protocole|filtre)s?\b"
        r"|programmation|[ée]thique",
        *(
            "ignore",
            "oubli",
            "glige",
            "outrepass",
            "contourn",
            "sob",
            "pas compte",
            "ne suis",
            "ne suivez",
            "fais-toi",
        ),
        *("barrasse", "abandonn", "transgress", "viole", "rejet", "annule", "sactive", "re-toi"),
    ),
    _mine_alone(
        r"\b(?:suis|suivez|ex[ée]cute[z]?|ob[ée]i(?:s|ssez)|respecte[z]?) (?:[^\s.]+ "
        r")?(?:exclusivement|uniquement|seulement)"
        r"(?: [àa])? mes (?:\w+ )?(?:instruction|directive|ordre|consigne|commande)s\b",
        *("exclusivement", "uniquement", "seulement"),
    ),
    _request(
        r"\b(?:r[ée]v[èeé]l(?:e|ez)|montr(?:e|ez)|affich(?:e|ez)|donn(?:e|ez)|r[ée]p[èeé]t(?:e"
        r"|ez)|divulgu(?:e|ez)|[ée]cri(?:s|vez)"
        r"|partag(?:e|ez)|dis|dites|peux-tu|quel(?:le)?s? (?:est|sont)|d[ée]voil(?:e|ez)"
        r"|expos(?:e|ez))",
        r"ton|tes|ta|vos|votre",
        r"(?:prompt|(?:message|invite|instructions?|consignes?|directives?|commande) (?:de |du "
        r")?(?:d[ée]part|base|syst[èe]me|initiale?s?"
        r"|cach[ée]e?s?|secr[èe]te?s?|internes?|principale?s?|fondamentale?s?|d[’']origine)"
        r"|instructions\b|directives\b|programmation)",
        *("prompt", "syst", "nstruction", "irective", "consigne", "programmation"),
    ),
    _role(
        r"\btu (?:es|n[’']es) (?:maintenant|d[ée]sormais|plus) (?:[^\s.]+ ){0,6}(?:sans (?:aucune "
        r")?(?:restriction|limite|r[èe]gle|filtre)s?"
        r"|li[ée] par|soumis)|\b(?:r[èe]gles|restrictions) (?:de s[ée]curit[ée] )?ne "
        r"s[’']appliquent (?:plus|pas)"
        r"|\br[ée]pond(?:re|s|ez) (?:[^\s.]+ ){0,3}sans (?:aucune )?(?:restriction|limite"
        r"|filtre)s?",
        *("sans", "appliquent", "tu n", "tu es"),
    ),
)
_SPANISH = (
    _override(
        r"\b(?:ignor(?:a|e|en|ad)|olvid(?:a|e|ad)(?:te)?|desestim(?:a|e)|desobedec(?:e|a)"
        r"|desatiend(?:e|a)|descart(?:a|e)|omit(?:e|a)"
        r"|haz caso omiso|super(?:a|e)|anul(?:a|e)|elud(?:e|a)|salta(?:te)?|no sigas|abandona"
        r"|viola|infringe|rompe|desactiva|rechaza"
        r"|deshazte|lib[ée]rate|sobrepasa|transgrede)",
        r"(?:instrucci[óo]n(?:es)?|directriz|directrices|directivas?|indicaci[óo]n(?:es)?|reglas?"
        r"|[óo]rdenes|restricci(?:ones|[óo]n)"
        r"|limitaci(?:ones|[óo]n)|normas|pautas|prompts?|programaci[óo]n|protocolos|[ée]tica"
        r"|filtros)\b",
        *(
            "ignor",
            "olvid",
            "desestim",
            "desobede",
            "desatien",
            "descart",
            "omit",
            "supera",
            "supere",
            "anula",
            "anule",
        ),
        *(
            "elude",
            "eluda",
            "salta",
            "no sigas",
            "abandona",
            "viola ",
            "infringe",
            "rompe ",
            "desactiva",
            "rechaza",
        ),
        *("deshazte", "rate de", "sobrepasa", "transgrede"),
    ),
    _mine_alone(
        r"\b(?:sigue|obedece|ejecuta|responde|atiende) (?:[^\s.]+ )?(?:exclusivamente"
        r"|[úu]nicamente|s[óo]lo|solamente)(?: a)? mis "
        r"(?:[^\s.]+ )?(?:instrucciones|[óo]rdenes|directrices|comandos)\b",
        *("mis instruc", "mis direc", "mis coman", "denes"),
    ),
    _request(
        r"\b(?:revela|revele|muestra(?:me)?|muestre|mu[ée]strame|imprime|dime|d[ae]me|repite"
        r"|comparte|expone|expón|divulga|ens[ée][ñn]ame"
        r"|escribe|puedes|cu[áa]l(?:es)? (?:es|son|fue)|describe)",
        r"tus?|sus?|el|las|la",
        r"(?:(?:prompt|mensaje|instrucci[óo]n|instrucciones|indicaci[óo]n|indicaciones"
        r"|directrices|configuraci[óo]n|comando)(?: [^\s.;:!?]+)?"
        r" (?:(?:de|del) (?:tu )?(?:sistema|system|base|entrenamiento|programaci[óo]n)"
        r"|inicial(?:es)?|b[áa]sic[oa]s?|ocult[oa]s?|secret[oa]s?"
        r"|intern[oa]s?|original(?:es)?|principal(?:es)?)|system prompt|prompt\b|programaci[óo]n)",
        *(
            "prompt",
            "sistema",
            "inicial",
            "ocult",
            "secret",
            "intern",
            "original",
            "sica",
            "principal",
            "entrenamiento",
        ),
        *("programaci",),
    ),
    _role(
        r"\b(?:act[úu]a|finge|responde|ahora eres|eres) (?:[^\s.]+ ){0,8}(?:sin (?:ninguna? "
        r"|ning[úu]n )?"
        r"(?:restricci[óo]n|restricciones|l[íi]mites?|limitaciones|reglas|filtros?|censura))\b",
        *("restricci", "mites", "limitaciones", "sin reglas", "filtro", "censura"),
    ),
)
_PORTUGUESE = (
    _override(
        r"\b(?:ignor(?:e|a|em)|esque[çc]a|esquece|desconsidere|desconsidera|despreze"
        r"|desobede[çc]a|descarte|anule|supere|não siga"
        r"|abandone|viole|quebre|desative|rejeite|contorne|burle|ultrapasse|livre-se)",
        r"(?:instru[çc](?:ões|oes|ão|ao)|diretriz(?:es)?|diretivas?|orienta[çc](?:ões|oes)"
        r"|regras?|ordens|comandos?|restri[çc](?:ões|oes)"
        r"|limita[çc](?:ões|oes)|configura[çc](?:ões|oes) padrão|prompts?\b|programa[çc][ãa]o"
        r"|protocolos|normas|[ée]tica)",
        *(
            "ignor",
            "esque",
            "desconsider",
            "despreze",
            "desobede",
            "descarte",
            "anule",
            "supere",
            "siga",
            "abandone",
        ),
        *("viole", "quebre", "desative", "rejeite", "contorne", "burle", "ultrapasse", "livre-se"),
    ),
    _mine_alone(
        r"\b(?:siga|obede[çc]a|execute|responda|atenda) (?:[^\s.]+ )?(?:exclusivamente|unicamente"
        r"|apenas|somente)(?: [àa]s)? (?:as )?"
        r"minhas (?:[^\s.]+ )?(?:instru[çc][õo]es|ordens|diretrizes)",
        "minhas",
    ),
    _request(
        r"\b(?:revele|revela|mostre(?:-me)?|mostra|imprima|diga(?:-me)?|d[êe]-me|repita"
        r"|compartilhe|exponha|divulgue|escreva|pode"
        r"|qua(?:l|is) (?:[ée]|s[ãa]o|foi|era)|descreva)",
        r"seus?|suas?|teus?|tuas?|o|as",
        r"(?:(?:prompt|mensagem|instru[çc](?:[ãa]o|[õo]es)|diretrizes|configura[çc][ãa]o"
        r"|comando)(?: [^\s.;:!?]+)? (?:(?:d[oea]|n[oa]) (?:seu |sua "
        r"|teu |tua )?(?:sistema|base|treinamento|programa[çc][ãa]o)|inicia(?:l|is)|ocult[oa]s?"
        r"|secret[oa]s?|intern[oa]s?|origina(?:l|is)"
        r"|principa(?:l|is))|system prompt|prompt\b)",
        *(
            "prompt",
            "sistema",
            "inicia",
            "ocult",
            "secret",
            "intern",
            "origina",
            "principa",
            "treinamento",
            "programa",
        ),
    ),
)
_ITALIAN = (
    _override(
        r"\b(?:ignora(?:te)?|ignori|dimentica(?:te)?|dimentichi|trascura|tralascia|scarta|supera"
        r"|aggira|disobbedisci a|non seguire"
        r"|allontanati da\w*|abbandona|viola|infrangi|disattiva|rifiuta|liberati da\w*|annulla"
        r"|bypassa)",
        r"(?:istruzion[ie]|direttiv[ae]|indicazion[ie]|regol[ae]|ordini|comandi|restrizion[ie]"
        r"|limitazion[ie]|vincoli|prompt|linee guida"
        r"|programmazione|protocolli|norme|etica|filtri)\b",
        *(
            "ignor",
            "dimentic",
            "trascura",
            "tralascia",
            "scarta",
            "supera",
            "aggira",
            "disobbedisci",
            "non seguire",
        ),
        *(
            "allontanati",
            "abbandona",
            "viola ",
            "infrangi",
            "disattiva",
            "rifiuta",
            "liberati",
            "annulla",
            "bypassa",
        ),
    ),
    _mine_alone(
        r"\b(?:segui|esegui|obbedisci|rispondi) (?:[^\s.]+ )?(?:solo|soltanto|esclusivamente"
        r"|unicamente) (?:a |alle )?(?:le )?mie"
        r" (?:[^\s.]+ )?(?:istruzioni|direttive|indicazioni)\b|\bpriorità alle mie (?:istruzioni"
        r"|direttive|indicazioni)\b",
        *("mie istruzioni", "mie direttive", "mie indicazioni", "solo"),
    ),
    _request(
        r"\b(?:rivela(?:mi)?|mostra(?:mi)?|stampa|dimmi|dammi|ripeti|condividi|esponi|divulga"
        r"|scrivi|puoi|qua(?:l|le|li) (?:è|sono|era)"
        r"|descrivi|svela(?:mi)?)",
        r"tu[oae]|tuoi|su[oe]|il|le|i",
        r"(?:(?:prompt|messaggio|istruzion[ei]|direttive|configurazione|comando)(?: [^\s.;:!?]+)? "
        r"(?:di (?:base|sistema)|del (?:tuo )?sistema"
        r"|inizial[ei]|nascost[oaei]|segret[oaei]|intern[oaei]|original[ei]|principal[ei]"
        r"|fondamental[ei])|system prompt|prompt\b)",
        *(
            "prompt",
            "sistema",
            "inizial",
            "nascost",
            "segret",
            "intern",
            "original",
            "principal",
            "fondamental",
            "di base",
        ),
    ),
)

KINDS = (*_GERMAN, *_FRENCH, *_SPANISH, *_PORTUGUESE, *_ITALIAN)
