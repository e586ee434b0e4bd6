"""A value → whether it identifies nobody: what programs write for "unknown", what people type into a form. Pure.

The product's own list holds in every identifier type and at every way in, whatever a type's own list says; an
administrator only adds to it. It is made of kinds of values rather than of spellings: case, accents, spaces and
punctuation do not count.
"""

import re
from collections.abc import Collection, Iterable, Sequence

from phonenumbers import region_code_for_country_code

from cdp.patterns import BadPattern, Matcher, full_matcher
from profiles.identity.empty_words import SPREADSHEET_ERRORS
from profiles.identity.text import BadValue, fold

MAX_PATTERN = 200

# Stand-ins as `fold` leaves them: lower case, no accents, letters only. In the languages people export in.
_STAND_INS = frozenset(
    # programs and forms
    "anonym anonymous blank customerid default deleted dummy emailaddress empty example false fixme guest inf"
    " infinity invalid missing na naan nan nat nil noemail nomail noname none nonetype notapplicable notavailable"
    " notassigned notdefined notentered notfound notgiven nothing notknown notprovided notset notspecified nodata"
    " noid noinformation nullnull nophone novalue null objectobject pending placeholder removed sample tba tbc tbd test"
    " testing testtest testuser todo true undef undefined unknown unassigned unavailable unset unspecified userid"
    " void asd asdf asdfg asdfgh asdfghjkl asdasd qwe qwer qwert qwerty qwertz azerty zxcv zxcvbn foo foobar blah"
    " blabla bla"
    # German
    " kein keine keiner keines keineangabe keineangaben keinedaten keineid keinemail leer nichtangegeben"
    " nichtbekannt nichtverfugbar nichtvorhanden ohne ohneangabe unbekannt nichtgesetzt entfallt"
    # Polish
    " brak brakdanych brakemail brakemaila brakid niedotyczy niema niepodano nieznany nieznana nieznane pusty puste"
    # French
    " aucun aucune inconnu inconnue neant nondefini nondisponible nonrenseigne nonrenseignee sansobjet vide"
    # Spanish, Portuguese, Italian
    " desconocido desconocida ninguno ninguna ningun noaplica nodisponible sincorreo sindatos sinemail vacio"
    " desconhecido desconhecida naoinformado naodisponivel nenhum nenhuma semdados semdado vazio"
    " nessuno nessuna nondisponibile sconosciuto sconosciuta vuoto nessundato"
    # Dutch, Scandinavian, Finnish, Czech, Slovak, Hungarian, Romanian, Turkish
    " geen onbekend leeg nietbekend nietbeschikbaar nvt ingen inget okand ukendt ukjent saknas mangler eiole"
    " tuntematon zadny zadna zadne neznamy neznama neni nincs ismeretlen necunoscut yok bilinmiyor"
    # Cyrillic
    " нет неизвестно неизвестныи нетданных неуказано пусто немає невідомо невказано".split()
)
# Two letters that mean "not available", but only with a dot or a slash between them: N/A, n.v., k. A., s/d.
_ABBREVIATION = re.compile(r"[(\[<#]?(?:n[acdnrvb]|k[a]|s[dn]|b[d])[)\]>]?")
_ABBREVIATION_MARKS = re.compile(r"[./\\]")
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~\s\u00a0-\u00bf\u2010-\u2027\u2030-\u205e]+")
_ERRORS = frozenset(error.lower() for error in SPREADSHEET_ERRORS)
# Those of other languages: #REF! #NAME? #DIV/0! #¡VALOR! have one build.
_SPREADSHEET_ERROR = re.compile(
    r"#\s?[¡¿]?[^\W\d_][\w/. -]{0,30}[!?]+|#[^\W\d_]{1,3}[/.][^\W\d_]{1,6}[!?]?"
    r"|#(?:na|nd|nb|null|ref|value|name|num|wert|bezug|zahl|arg|adr|err|error)|err:\d{3}"
)
# 9.87654E+11, 1,23E+08: a spreadsheet lost the digits. Not 1e5, which may be the start of a UUID.
_SHORTENED = r"[-+]?\d[.,]\d+e[-+]?\d{1,3}|[-+]?\d{1,2}e\+\d{1,3}"
_is_shortened = re.compile(_SHORTENED, re.IGNORECASE).fullmatch
_NUMBER_WITHOUT_IDENTITY = re.compile(
    rf"[-+]?0+(?:[-. ,:]0+)*|-1|{_SHORTENED}"  # runs of zeros, among them the zero UUID
)
# A template's field that nothing was put into: {{user_id}}, ${id}, %EMAIL%, *|FNAME|*, <customer id>.
_TEMPLATE = re.compile(
    r"\{+[^{}]*\}+|\$\{[^{}]*\}|%%?[a-z_ ]+%%?|\*\|[^|]*\|\*|<[a-z_ ]+>|\[\[[^\]]*\]\]|\[%.*%\]"
)
_ONE_LETTER = re.compile(r"x{2,}|([a-z])\1{2,}")

# Mailboxes that are nobody's at any domain, without dots, dashes and digits at their end.
_NOBODYS_MAILBOXES = frozenset(
    "asdf asdfg asdfgh asdasd donotreply doesnotexist fakeemail fakemail invalid keineemail keinemail brakemaila"
    " brakemail brak noaddress noemail noemailaddress noemailgiven noemailprovided noexiste nomail none"
    " noreply noresponse nospam notavailable notgiven notprovided null placeholder qwerty sinemail sincorreo"
    " undefined unknown unbekannt inconnu nessuno aucun ninguno qwer qwertz pasdemail pasdadresse".split()
)
# Mailboxes that are nobody's at a domain made for examples.
_SAMPLE_MAILBOXES = frozenset(
    "aa aaa abc customer email example fake firstnamelastname guest janedoe johndoe name sample somebody someone test"
    " tester testing testuser user username xxx youremail yourname".split()
)
_SAMPLE_DOMAINS = frozenset(
    ("example.com", "example.org", "example.net", "email.com", "mail.com", "domain.com")
)
_SAMPLE_ADDRESSES = frozenset(
    "a@b.c a@b.cd a@b.co aa@bb.cc abc@def.com abc@xyz.com foo@bar.com x@y.z x@y.com 123@abc.com no@email.com"
    " no@mail.com na@email.com na@mail.com".split()
)
_MAILBOX_NOISE = re.compile(r"[^a-z]+")
_SHORT_DOMAIN = 4  # no@no.com, abc@abc.pl, asdf@asdf.com; kowalski@kowalski.pl is somebody's

_has_digit = re.compile(r"\d").search
_NO_DIGIT = re.compile(r"\D+")
_UP, _DOWN = "0123456789" * 2, "9876543210" * 2
_MIN_PHONE, _MIN_NATIONAL = 5, 7


def compile_patterns(patterns: Iterable[str]) -> tuple[Matcher, ...]:
    """Patterns as `is_blocked` wants them. Raises `BadValue` naming the one that is no regular expression."""
    compiled: list[Matcher] = []
    for pattern in patterns:
        if len(pattern) > MAX_PATTERN:
            raise BadValue(f"A pattern has at most {MAX_PATTERN} characters; this one has {len(pattern):,}.")
        try:
            compiled.append(full_matcher(pattern))
        except BadPattern as error:
            raise BadValue(str(error)) from error
    return tuple(compiled)


def is_blocked(
    value: str,
    exact: Collection[str] = frozenset(),
    patterns: Sequence[Matcher] = (),
    kind: str = "exact",
) -> bool:
    """Whether the value is empty, identifies nobody anywhere, or is on this type's own list or patterns.

    `exact` is best a frozenset of lower-case values; `patterns` come from `compile_patterns`; `kind` is the
    type's normalizer: a phone number has stand-ins of its own. Called once per identifier of a file.
    """
    key = value.strip().lower()
    if not key or key in exact or identifies_nobody(key):
        return True
    if kind == "phone" and _is_nobodys_phone(key):
        return True
    for matches in patterns:  # noqa: SIM110 - any() with a generator doubles the time of the whole call
        if matches(key):
            return True
    return False


def ignored_sentence(value: str) -> str:
    """What to say of a blocked value, at every way in."""
    if _is_shortened(value.strip()):
        return (
            f"“{value}” is a number that a spreadsheet shortened, so it identifies nobody; it was ignored. "
            "Format the column as text and export again."
        )
    return f"“{value}” is a placeholder that identifies nobody; it was ignored."


def identifies_nobody(key: str) -> bool:
    """Whether a value in lower case, without spaces around it, is on the product's own list."""
    first = key[0]
    if "@" in key:
        return _is_nobodys_address(key)
    if first in "#{$%*<[" and (
        key in _ERRORS or _SPREADSHEET_ERROR.fullmatch(key) or _TEMPLATE.fullmatch(key)
    ):
        return True
    if "0" <= first <= "9" or _has_digit(key):  # nearly every id
        if first in "0123456789+-":
            may_be = first in "0+-" or "e" in key
            return may_be and _NUMBER_WITHOUT_IDENTITY.fullmatch(key) is not None
        return first == "e" and _SPREADSHEET_ERROR.fullmatch(key) is not None
    return _is_stand_in(key)


def _is_stand_in(key: str) -> bool:
    if len(key) > 40:
        return False
    folded = fold(key)
    if folded in _STAND_INS or _ONE_LETTER.fullmatch(folded):
        return True
    if not folded:
        return _PUNCTUATION.fullmatch(key) is not None
    if key == "\\n":  # what MySQL and PostgreSQL write for NULL
        return True
    return len(folded) == 2 and bool(_ABBREVIATION_MARKS.search(key) and _ABBREVIATION.fullmatch(folded))


def _is_nobodys_address(key: str) -> bool:
    mailbox, _, domain = key.partition("@")
    letters = mailbox if mailbox.isalpha() and mailbox.isascii() else _MAILBOX_NOISE.sub("", mailbox)
    if letters in _NOBODYS_MAILBOXES or _is_one_letter(mailbox):
        return True
    name = domain.partition(".")[0]
    if mailbox == name and (
        len(name) <= _SHORT_DOMAIN or letters in _SAMPLE_MAILBOXES or fold(name) in _STAND_INS
    ):
        return True
    return (domain in _SAMPLE_DOMAINS and letters in _SAMPLE_MAILBOXES) or key in _SAMPLE_ADDRESSES


def _is_one_letter(mailbox: str) -> bool:
    """ "xxx", "aaaa", "1111": typed to get past a form."""
    return len(mailbox) > 2 and len(set(mailbox)) == 1


def _is_nobodys_phone(key: str) -> bool:
    """One digit repeated or digits in a row, after any country code: 555 555 5555, +48 123 456 789."""
    end = key[-_MIN_PHONE:]
    # Nearly every number: the call is made for each one of a file.
    if end.isdigit() and not _is_run(end):
        return False
    digits = _NO_DIGIT.sub("", key)
    if not _is_run(digits[-_MIN_PHONE:]) or any(char.isalpha() for char in key):
        return False
    if key[0] != "+" and not digits.startswith("00"):
        return _is_run(digits) or (digits[0] in "01" and _is_run(digits[1:], _MIN_NATIONAL))
    digits = digits.removeprefix("00")
    return _is_run(digits) or _is_run(_without_country_code(digits), _MIN_NATIONAL)


def _without_country_code(digits: str) -> str:
    """No country code begins with another one."""
    for size in (1, 2, 3):
        if region_code_for_country_code(int(digits[:size])) != "ZZ":
            return digits[size:]
    return digits


def _is_run(digits: str, at_least: int = _MIN_PHONE) -> bool:
    return len(digits) >= at_least and (len(set(digits)) == 1 or digits in _UP or digits in _DOWN)
