"""An e-mail address as typed → its normal form; whether it is a person's or a function's. Pure."""

import re
import unicodedata

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from profiles.identity.text import BadValue, without_hidden

# Nearly every address in a file looks like this, and the library takes 30 times as long to say so.
# No "--" in the domain: it may be Punycode, which the library checks.
_PLAIN = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?",
    re.ASCII | re.IGNORECASE,
)
_MAX_ADDRESS, _MAX_LOCAL = 254, 64
_NOT = "Not an e-mail address: "
# Mailboxes of a function of a company, which several people read.
ROLES = frozenset(
    "abuse accounting accounts accueil admin administracion administration administrator amministrazione atencion"
    " bestellung billing biuro boutique booking bookings buchhaltung careers comercial commande compras comptabilite"
    " contabilidad contact contact-us contacto contato contatti customer-service customer.service customercare"
    " customerservice datenschutz einkauf empfang enquiries export faktury finance front.desk frontdesk handel hello"
    " help helpdesk hr info infos information inquiries invoice invoices jobs kadry kancelaria kasa kontakt ksiegowosc"
    " legal mail marketing newsletter no-reply noreply obsluga office order orders ordini pedidos personal poczta"
    " postmaster praca presse press privacy purchasing recepcja reception rechnung rechnungen reservation reservations"
    " rezerwacja root sales secretary segreteria sekretariat serwis service services shop sklep sprzedaz store support"
    " team ventas verkauf vertrieb verwaltung webmaster webshop zamowienia zamowienie zentrale".split()
)


def email(raw: str) -> str:
    """The address in lower case, full-width forms made plain, the domain in ASCII (`xn--…`); never looked up.

    Lower case also before the “@”: no mailbox provider in use tells `Ann@` from `ann@`, people type both.
    Reserved domains such as `.test` and `.example` are addresses here. Quoted local parts
    (`"ann b"@…`) and addresses of machines (`ann@[192.0.2.1]`) are not.
    """
    if (
        _PLAIN.fullmatch(raw)
        and len(raw) <= _MAX_ADDRESS
        and "--" not in raw
        and raw.index("@") <= _MAX_LOCAL
    ):
        return raw.lower()
    value = _unify(raw)
    _check_syntax(value)
    return _check_by_library(value)


def is_role(value: object) -> bool:
    """Whether an address belongs to a function of a company ("sales@") rather than to a person."""
    return bool(value) and str(value).strip().lower().partition("@")[0].partition("+")[0] in ROLES


def _unify(raw: str) -> str:
    """NFKC turns `＠` into `@`. Lower case can leave characters that NFKC changes again, hence the loop."""
    value = raw
    for _ in range(4):
        before = value
        value = unicodedata.normalize("NFKC", without_hidden(value)).lower().strip()
        if value == before:
            break
    return value


def _check_syntax(value: str) -> None:
    """Name the common mistakes in plain words; the library's sentences speak to programmers."""
    if not value:
        raise BadValue(_NOT + "it is empty.")
    if "@" not in value:
        raise BadValue(_NOT + "“@” is missing.")
    if "<" in value or ">" in value:
        raise BadValue(_NOT + "write the address alone, without a name and “<>”.")
    if value.count("@") > 1:
        raise BadValue(_NOT + "there is more than one “@”.")
    if any(char.isspace() for char in value):
        raise BadValue(_NOT + "there is a space in it.")
    local, domain = value.split("@")
    if not local or not domain:
        raise BadValue(_NOT + f"nothing is {'after' if local else 'before'} the “@”.")
    if local.startswith(".") or local.endswith(".") or ".." in value:
        raise BadValue(_NOT + "a dot is out of place.")
    if len(local.encode(errors="replace")) > _MAX_LOCAL:
        raise BadValue(_NOT + f"more than {_MAX_LOCAL} characters are before the “@”.")
    if len(value) > _MAX_ADDRESS:
        raise BadValue(_NOT + f"it is longer than {_MAX_ADDRESS} characters.")
    if domain.startswith("["):
        raise BadValue(_NOT + "the domain must be a name, not the number of a machine.")


def _check_by_library(value: str) -> str:
    local, _, domain = value.partition("@")
    # The library refuses reserved names (.test, .local, …), but people try things out with them and
    # company networks use them. Below .com the same name passes the same checks.
    suffix = ".com" if domain.rpartition(".")[2] in SPECIAL_USE_DOMAIN_NAMES else ""
    try:
        result = validate_email(
            f"{local}@{domain}{suffix}", check_deliverability=False, globally_deliverable=False, strict=False
        )
    except EmailNotValidError as error:
        raise BadValue(_NOT + _plain_reason(local, domain)) from error
    name = result.ascii_domain.removesuffix(suffix).lower()
    if "." not in name:
        raise BadValue(_NOT + f"the domain “{name}” has no dot.")
    if name.rpartition(".")[2].isdigit():
        raise BadValue(_NOT + "the domain must be a name, not the number of a machine.")
    address = f"{result.local_part}@{name}"
    if len(address) > _MAX_ADDRESS:
        raise BadValue(_NOT + f"it is longer than {_MAX_ADDRESS} characters.")
    return address


def _plain_reason(local: str, domain: str) -> str:
    """The first character of the local part that may not stand there, else the blame is on the domain."""
    for char in local:
        if char.isascii() and not (char.isalnum() or char in "!#$%&'*+/=?^_`{|}~-."):
            char_text = f"“{char}”" if char.isprintable() else f"a control character (U+{ord(char):04X})"
            return f"{char_text} cannot stand before the “@”."
        if not char.isascii() and not char.isprintable():
            return f"a character that cannot be shown (U+{ord(char):04X}) stands before the “@”."
    if domain.isprintable() and len(domain) <= 80:
        return f"“{domain}” is not a valid domain."
    return "the domain after the “@” is not valid."
