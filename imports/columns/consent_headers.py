"""Headers and sample cells → which columns are about consent, what each says, and the targets to guess for them. Pure."""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imports.columns.consent_words import NEITHER, OPTED_OUT, is_answer, is_state, is_telling
from imports.columns.dates import looks_like_date
from profiles.consent.words import ConsentLists

# Of the filled cells: so many dates make a column of dates; of a header that asks, half of the answers are enough.
_ARE_DATES, _ARE_ANSWERS = 0.8, 0.5

# Words a header has, without accents, in lower case, apart by single spaces.
_NEGATIVE = re.compile(
    r"\bunsub|\bopt(?:ed|s)? ?out|\bdo ?not\b|\bdont\b|\bdon t\b|\bno (?:bulk|e ?mail|mail|newsletter|sms|call|marketing"
    r"|contact|consent)|\bblack ?list|\bblock ?list|\bnot subscribed|\bremoved from (?:mail|list)"
    r"|\babgemeldet|\babmelde|\babbestell|\bkeine? (?:newsletter|werbung|e ?mail|mail|sms|anruf)|\bwerbesperre|sperrliste"
    r"|\bnewsletter ?sperre|\bmailsperre|\bwiderspr|\bwiderruf|\baustrag"
    r"|\bdesinscri|\bdesabonn|\bne pas\b|\bne plus\b|\bopposition\b|\bpas de (?:newsletter|mail|sms|pub)"
    r"|\bwypis|\brezygn|\bnie wysyl|\bbez (?:newslettera|zgody)|\bbrak zgod|\bwycofan|\bsprzeciw"
    r"|\bbaja\b|\bno (?:enviar|contactar|desea|molestar)|\bdesuscri|\brevoca"
    r"|\bdisiscri|\bnon (?:inviare|contattare)|\bcancellazione newsletter"
    r"|\buitgeschreven|\buitschrijf|\bafgemeld|\bafmeld|\bgeen (?:nieuwsbrief|mail|e ?mail|reclame)|\bniet (?:mailen|bellen)"
    r"|\bdescadastr|\bnao (?:enviar|contatar|perturbe)|\bodhlas|\bnezasilat|\bnesouhlas"
    r"|\bavregistr|\bavanmal|\bavmeld|\bafmeldt|\bframeldt|\bleiratkoz|\bdezabon|\bотпис|\bне (?:отправлять|звонить)"
)
_POSITIVE = re.compile(
    r"\bsubscribed?\b|\bsubscriber status|\bopt(?:ed|s)? ?in|\bconsent|\bnewsletter|\bagreements?\b|\bagreed\b|\bagrees\b"
    r"|\baccepts?\b|\baccepted\b|\breceives? (?:sms|e ?mail|mail|marketing|newsletter|text)|\bmarketing (?:allowed|permission)"
    r"|\bpermission|\bmailing ?list|\bto be contacted\b|\bcan (?:e ?mail|contact|call|sms|text)\b|\b(?:gdpr|rodo|dsgvo|rgpd)\b"
    r"|\beinwillig|\bzustimm|\babonniert|\bwerbung erlaubt|\bwerbeerlaubnis"
    r"|\babonnee?\b|\binscrite? (?:a|au)\b|\bconsentement|\baccepte|\blettre d information"
    r"|\bzgod[aey]\b|\bsubskryb|\bbiuletyn"
    r"|\bconsentimi?ento|\bsuscri[tp]|\bacepta|\bboletin|\bconsenso|\biscritt|\baccetta"
    r"|\btoestemming|\bnieuwsbrief|\baangemeld|\bconsentimento|\baceita|\binformativo"
    r"|\bsouhlas|\bodber (?:novinek|newsletteru)|\bsamtycke|\bprenumer|\bnyhetsbrev|\bsamtykke|\bnyhedsbrev|\btilmeldt"
    r"|\bsuostumus|\buutiskirje|\bhirlevel|\bhozzajarul|\bfeliratkoz|\bconsimtamant|\babonat|\bсоглас|\bрассылк|\bподпис"
    r"|メルマガ|同意|購読|订阅"
)
# About consent, but no plain yes or no: only a person can say what follows from it.
_UNCLEAR = re.compile(
    r"\bsuppress|\bspam\b|\bdouble ?opt|\bsubscription (?:preference|topic)|\bpreferences? (?:e ?mail|sms)|\bcomplain"
)
_OF_A_LIST = re.compile(r"\b(?:e ?mail|sms|marketing)? ?subscription (?:status|state)\b")
_WEAK = re.compile(r"\bmarketing\b|\bwerbung\b|\bpublicid|\breklam|\bpromo")
# A consent to keep somebody's data is none to write to them.
_ABOUT_DATA = re.compile(
    r"\b(?:gdpr|rodo|dsgvo|rgpd|avg)\b|data processing|processing of|przetwarzani|datenverarbeit|datenschutz"
    r"|traitement des donnees|tratamiento de datos|trattamento|verwerking"
)
_ABOUT_A_PLAN = re.compile(r"\bsubscription\b|\babonnement\b|\babo\b")
# Says how or why, where another column says whether.
_BESIDE = re.compile(
    r"\bdouble ?opt|\b(?:id|reason|grund|powod|motif|motivo|campaign|title|comment|group|count|rate)\b"
)
_NOT_ABOUT_PEOPLE = re.compile(
    r"\b(?:id|reason|grund|powod|motif|motivo|campaign|title|comment|group|count|rate)\b"
)

_CHANNELS = (
    ("whatsapp", re.compile(r"\bwhats ?app\b")),
    ("fax", re.compile(r"\bfax")),
    ("sms", re.compile(r"\bsms(?:es)?\b|\btext (?:message|marketing)|\btexts?\b")),
    ("push", re.compile(r"\b(?:web ?)?push\b")),
    (
        "phone",
        re.compile(
            r"\bcalls?\b|\bphone|\btelefon|\btelephon|\bbellen\b|\bzvon|\bdzwon|\banruf|\bllamar|\bзвон"
        ),
    ),
    (
        "post",
        re.compile(
            r"\bpost(?:al)?\b|\bdirect mail\b|\bbriefpost|\bcourrier postal|\bpoczta tradycyjna|\bpostmail"
        ),
    ),
)
# A column of our own exports, computed from the consents beside it.
_OUR_REACH = "reachable."
_NEWSLETTER = re.compile(
    r"newsletter|\bbulk\b|mailing|boletin|biuletyn|nieuwsbrief|nyhe[td]sbrev|uutiskirje|hirlevel|рассылк|メルマガ"
)
_DATE_WORDS = re.compile(
    r"\b(?:time|date|timestamp|datum|data|datetime|fecha|heure|czas|moment|when|kiedy|zeit|zeitpunkt)\b|\bat$|\bдата\b"
)
_PROOF_WORDS = re.compile(
    r"\b(?:source|proof|ip|form|quelle|nachweis|zrodlo|preuve|origen|fonte|bron|evidence)\b"
)


def words_of(header: str) -> str:
    """“HasOptedOutOfEmail” and “has_opted-out of E-Mail” as `has opted out of email`, `has opted out of e mail`."""
    spaced = re.sub(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])|(?<=[A-Z])(?=[A-Z][a-z])", " ", header)
    plain = unicodedata.normalize("NFKD", spaced).casefold()
    return " ".join(
        re.split(r"[^\w]+|_", "".join(char for char in plain if not unicodedata.combining(char)))
    ).strip()


@dataclass(frozen=True, slots=True)
class ConsentColumn:
    """What a column about consent says. `part` is state, opted_out, at, withdrawn_at or proof, "" when nobody can tell."""

    channel: str
    part: str
    is_newsletter: bool = False


def consent_column(
    header: str, values: Sequence[str], channels: Collection[str], *, has_email_twin: bool = False
) -> ConsentColumn | None:
    """What the column says about consent, from its header and its filled cells; None when it is not about consent.

    `channels` are those a consent can be about here. `has_email_twin`: the same question is asked about e-mail in
    another column, so that “mail” is post.
    """
    if header.startswith(_OUR_REACH):
        return None
    words = words_of(header)
    is_negative = bool(_NEGATIVE.search(words))
    is_positive = bool(_POSITIVE.search(words)) and not (
        _ABOUT_A_PLAN.search(words) and not _by_values(values)
    )
    is_unclear = bool(_UNCLEAR.search(words))
    is_positive |= bool(_OF_A_LIST.search(words)) and (not values or _by_values(values))
    is_positive |= bool(values and _WEAK.search(words)) and all(map(is_answer, values))
    if not (is_negative or is_positive or is_unclear):
        return ConsentColumn("email", "state") if _by_values(values) else None
    channel = _channel(words, has_email_twin=has_email_twin)
    part = ""
    if channel in channels and not is_unclear and not _asks_about_something_else(header):
        part = _part(words, values, is_negative=is_negative)
    return ConsentColumn(channel, part, bool(_NEWSLETTER.search(words)))


def _part(words: str, values: Sequence[str], *, is_negative: bool) -> str:
    date = "withdrawn_at" if is_negative else "at"
    if values:
        if _share(values, looks_like_date) >= _ARE_DATES:
            return date
        if _share(values, lambda value: is_answer(value) or is_state(value)) >= _ARE_ANSWERS:
            return OPTED_OUT if is_negative else "state"
        return "proof" if _PROOF_WORDS.search(words) and not is_negative else ""
    if _DATE_WORDS.search(words):
        return date
    if _PROOF_WORDS.search(words) or _NOT_ABOUT_PEOPLE.search(words):
        return ""
    return OPTED_OUT if is_negative else "state"


def _by_values(values: Sequence[str]) -> bool:
    """Whether the cells alone show that they are about consent: all are such words, and one can be nothing else."""
    return any(map(is_telling, values)) and all(is_state(value) or is_answer(value) for value in values)


def _channel(words: str, *, has_email_twin: bool) -> str:
    for channel, pattern in _CHANNELS:
        if pattern.search(words):
            return channel
    return "post" if has_email_twin and re.search(r"\bmail\b", words) and "e mail" not in words else "email"


def _asks_about_something_else(header: str) -> bool:
    """“Opted out of email: One to One” is one topic among several, and not that of mailings; terms are no mailings."""
    if re.search(r"\b(?:tos|terms|privacy|cookies?|agb|regulamin|trade|sell|share)\b", words_of(header)):
        return True
    if _ABOUT_DATA.search(words_of(header)) and not (
        _WEAK.search(words_of(header)) or _NEWSLETTER.search(words_of(header))
    ):
        return True
    _, colon, topic = header.partition(":")
    return bool(colon and topic.strip()) and not re.search(
        r"marketing|newsletter|promo|werb|news", topic, re.IGNORECASE
    )


def _share(values: Sequence[str], accepts: Any) -> float:
    return sum(bool(accepts(value)) for value in values) / len(values)


# --- Targets ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConsentGuess:
    """index → entry of the mapping, and the columns about consent that are left to a person."""

    entries: Mapping[int, dict[str, Any]]
    open: frozenset[int]


def guess_consents(
    headers: Sequence[str],
    columns: Sequence[Sequence[str]],
    taken: Mapping[int, str],
    consents: ConsentLists,
) -> ConsentGuess:
    """`columns` are the filled cells of each column; `taken` are targets that are settled by something better.

    Only channels and purposes that a consent can be about here are guessed.
    """
    channels = {word.name for word in consents.channels.active}
    purposes = {word.name for word in consents.purposes.active}
    has_email = any(re.search(r"\bdo not e ?mail\b", words_of(header)) for header in headers)
    found = {
        index: column
        for index, header in enumerate(headers)
        if index not in taken
        and (column := consent_column(header, columns[index], channels, has_email_twin=has_email)) is not None
    }
    names = {
        to.removesuffix(".withdrawn_at")
        for to in taken.values()
        if to.startswith("consent.") and not to.endswith((".at", ".proof"))
    }
    entries: dict[int, dict[str, Any]] = {}
    with_state = {name.split(".")[1]: name for name in sorted(names)}
    for index, column in sorted(found.items(), key=lambda item: (not item[1].is_newsletter, item[0])):
        name = _free(column, names)
        if column.part not in ("state", OPTED_OUT, "withdrawn_at") or not name:
            continue
        if name.split(".")[2] not in purposes:
            continue
        if column.part == "withdrawn_at" and _first(column) in names:
            name = _first(column)  # when the no was said that another column has
            if f"{name}.withdrawn_at" in taken.values():
                continue
        names.add(name)
        entries[index] = _entry(name, column.part, columns[index])
        if column.part == "state":
            with_state.setdefault(column.channel, name)
    used = {entry["to"] for entry in entries.values()} | set(taken.values())
    for index, column in found.items():
        name = with_state.get(column.channel, "")
        to = f"{name}.{column.part}"
        if index not in entries and name and column.part in ("at", "proof") and to not in used:
            entries[index] = {"to": to}
            used.add(to)
    settled = {name.split(".")[1] for name in names}
    left = {index for index in found if index not in entries}
    beside = {
        index
        for index in left
        if found[index].channel in settled
        and (found[index].part in ("at", "proof") or _BESIDE.search(words_of(headers[index])))
    }
    return ConsentGuess(entries, frozenset(left - beside))


def _first(column: ConsentColumn) -> str:
    is_newsletter = column.channel == "email"
    return f"consent.{column.channel}.{'newsletter' if is_newsletter else 'marketing'}"


def _free(column: ConsentColumn, taken: set[str]) -> str:
    """Mailings are the newsletter; a second question about e-mail is about marketing in general."""
    names = [_first(column), f"consent.{column.channel}.marketing"]
    return next((name for name in names if name not in taken), "")


def _entry(name: str, part: str, values: Sequence[str]) -> dict[str, Any]:
    if part == "withdrawn_at":
        return {"to": f"{name}.withdrawn_at"}
    if part == OPTED_OUT:
        return {"to": name, "meaning": OPTED_OUT}
    words = {value.strip().casefold() for value in values}
    if "subscribed" in words and words & {"opted_in", "opted-in", "opted in"}:
        # Where people can also opt in, “subscribed” only says that nobody opted out.
        return {"to": name, "values": {"subscribed": NEITHER}}
    return {"to": name}
