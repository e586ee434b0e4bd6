"""A cell of a consent column, in the languages whose headers are guessed → a yes, a no, or neither. Pure."""

from collections.abc import Callable, Mapping
from functools import cache

from profiles.identity.text import BadValue, fold

GRANTED, WITHDRAWN, NEITHER = "granted", "withdrawn", "none"
OPTED_OUT = "opted_out"
MEANINGS = {"opted_in": "has agreed", OPTED_OUT: "has said no"}

# Compared fold, as headers are: case, accents, spaces and punctuation do not count.
_YES = (
    "true, yes, y, 1, on, x, t, ja, j, wahr, oui, o, vrai, tak, prawda, sí, s, verdadero, vero, waar, ano, áno, igen, da, "
    "да, sim, verdadeiro, kyllä, はい, 是"
)
_NO = (
    "false, no, n, 0, off, f, nein, falsch, non, faux, nie, fałsz, falso, nee, onwaar, ne, nej, nei, ei, nem, nu, нет, não,"
    " いいえ, 否"
)
_GRANTED = (
    "granted, subscribed, subscribe, subscriber, opt-in, opted in, opt in, single opt-in, double opt-in, doi, soi, "
    "accepted, accept, accepts, agreed, agree, consented, consent, confirmed, allowed, allow, approved, enabled, active, "
    "explicit, angemeldet, abonniert, zugestimmt, eingewilligt, bestätigt, erlaubt, aktiv, abonné, abonnée, inscrit, "
    "inscrite, accepté, acceptée, accepte, confirmé, actif, zapisany, zapisana, zapisano, subskrybuje, subskrybent, zgoda, "
    "wyrażono, wyrażona, wyrażam, potwierdzony, potwierdzona, aktywny, aktywna, suscrito, suscrita, inscrito, inscrita, "
    "aceptado, acepta, acepto, confirmado, activo, iscritto, iscritta, accettato, accetto, confermato, attivo, aangemeld, "
    "ingeschreven, geabonneerd, akkoord, bevestigd, actief, aceito, aceita, ativo, přihlášen, přihlášena, odebírá, souhlas,"
    " souhlasí, aktivní, prenumererar, prenumerant, godkänd, samtycke, tilmeldt, påmeldt, samtykke, tilattu, tilaaja, "
    "feliratkozott, feliratkozva, abonat, подписан, подписана, согласен, согласна, 購読中, 同意, 订阅"
)
_WITHDRAWN = (
    "withdrawn, unsubscribed, unsubscribe, unsub, not subscribed, opt-out, opted out, opt out, denied, declined, refused, "
    "rejected, revoked, disabled, blacklisted, blocklisted, suppressed, user suppressed, complained, complaint, "
    "spam complaint, spam, do not contact, do not email, never, no consent, abgemeldet, abbestellt, widerrufen, abgelehnt, "
    "gesperrt, keine einwilligung, désabonné, désabonnée, désinscrit, désinscrite, refusé, refusée, refuse, wypisany, "
    "wypisana, wypisano, odmowa, wycofana, wycofano, cofnięta, brak zgody, rezygnacja, niezapisany, baja, dado de baja, "
    "dada de baja, desuscrito, desuscrita, rechazado, cancelado, cancelada, disiscritto, disiscritta, rifiutato, "
    "cancellato, cancellata, uitgeschreven, afgemeld, geweigerd, descadastrado, descadastrada, recusado, odhlášen, "
    "odhlášena, nesouhlas, nesouhlasí, avregistrerad, avanmäld, avslutad, afmeldt, frameldt, avmeldt, peruutettu, "
    "leiratkozott, leiratkozva, dezabonat, отписан, отписана, отписался, отписалась, отказ, 配信停止, 解除, 退订"
)
# States of a mailing list that are neither: nobody asked, nobody answered, or mail came back.
_NEITHER = (
    "never subscribed, non subscribed, non subscriber, cleaned, pending, bounced, bounce, hard bounce, hard bounced, "
    "soft bounce, soft bounced, unconfirmed, not confirmed, unknown, not set, none, no response, not asked, never asked, "
    "transactional, archived, redacted, invalid, inactive, unbestätigt, nicht bestätigt, unbekannt, ausstehend, inaktiv, "
    "en attente, non confirmé, inconnu, oczekuje, oczekujący, niepotwierdzony, niepotwierdzona, nieznany, nieaktywny, "
    "pendiente, sin confirmar, desconocido, in attesa, non confermato, sconosciuto, in afwachting, onbekend, pendente, "
    "desconhecido, čeká, neznámý, väntar, okänd, afventer, ukendt, ukjent, tuntematon, függőben, ismeretlen, necunoscut, "
    "не подтвержден, неизвестно, 保留, 未確認"
)
_SIGNS = {
    "✓": GRANTED,
    "✔": GRANTED,
    "☑": GRANTED,
    "✅": GRANTED,
    "✗": WITHDRAWN,
    "✘": WITHDRAWN,
    "❌": WITHDRAWN,
}

UNKNOWN_WORD = "Not known as a yes or a no, so the consent is not changed. Write granted or withdrawn, or say what it means."


@cache
def _states() -> dict[str, str]:
    """Folded → state, of words that say themselves what they mean."""
    words = ((NEITHER, _NEITHER), (WITHDRAWN, _WITHDRAWN), (GRANTED, _GRANTED))
    return {fold(word): state for state, names in words for word in names.split(", ")}


@cache
def _answers() -> dict[str, bool]:
    """Folded yes or no: what they mean depends on what the column asks."""
    return {
        fold(word): answer for answer, names in ((False, _NO), (True, _YES)) for word in names.split(", ")
    }


def consent_reader(meaning: str = "", values: Mapping[str, str] | None = None) -> Callable[[str], str]:
    """A function from a cell to granted, withdrawn or none; BadValue for a word nobody knows.

    In a column that asks who opted out, a yes is a no, and a no says nothing: it is no consent. `values` says of
    single words what they mean here.
    """
    given = {fold(word): state for word, state in (values or {}).items()}
    seen: dict[str, str] = {}

    def read(raw: str) -> str:
        state = seen.get(raw)
        if state is None:
            state = _state(raw, given, is_negative=meaning == OPTED_OUT)
            if len(seen) < 1000:
                seen[raw] = state
        return state

    return read


def _state(raw: str, given: Mapping[str, str], *, is_negative: bool) -> str:
    word = fold(raw)
    if word in given:
        return given[word]
    if (answer := _answers().get(word)) is not None:
        if is_negative:
            return WITHDRAWN if answer else NEITHER
        return GRANTED if answer else WITHDRAWN
    state = _states().get(word) or _SIGNS.get(raw.strip())
    if state is None:
        raise BadValue(UNKNOWN_WORD)
    return NEITHER if is_negative and state == GRANTED else state


def is_answer(value: str) -> bool:
    """Whether the cell is a yes or a no in words that could be about anything."""
    return fold(value) in _answers() or value.strip() in _SIGNS


def is_state(value: str) -> bool:
    """Whether the cell is a word for somebody's consent, or for the lack of one."""
    return fold(value) in _states()


@cache
def _telling() -> frozenset[str]:
    return frozenset(
        fold(word)
        for word in (
            "subscribed, unsubscribed, never subscribed, opted in, opted out, opt-in, opt-out, unsubscribe, abgemeldet, "
            "abonniert, désabonné, désinscrit, wypisany, wypisana, zapisany, zapisana, dado de baja, suscrito, "
            "disiscritto, iscritto, uitgeschreven, descadastrado, odhlášen, do not contact"
        ).split(", ")
    )


def is_telling(value: str) -> bool:
    """Whether the word alone shows that its column is about consent."""
    return fold(value) in _telling()
