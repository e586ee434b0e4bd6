"""A header in one of many languages → the targets it may mean, and how surely. Pure data and look-ups."""

import re
from functools import cache
from typing import NamedTuple

from imports.columns.consent_headers import words_of
from imports.columns.targets import BIRTHDAY, Context, UnknownTarget, parse_target
from profiles.identity.field_names import CUSTOMER_ID_NAMES
from profiles.identity.normalize import fold

# Compared fold: case, accents, spaces and punctuation do not count, so "E-Mail" is "email".
_SYNONYMS: dict[str, str] = {
    "first_name": "first name, first, given name, forename, fname, vorname, imię, prénom, nombre, nome, voornaam, jméno,"
    " förnamn, fornavn, etunimi, keresztnév, prenume, имя, 名, primeiro nome, nombre de pila",
    "last_name": "last name, last, surname, family name, lname, sname, nachname, familienname, nazwisko, nom, "
    "nom de famille, apellido, apellidos, cognome, achternaam, příjmení, efternamn, etternavn, sukunimi, "
    "vezetéknév, nume, фамилия, 姓, sobrenome, apelido",
    "full_name": "name, full name, contact name, customer name, your name, vor- und nachname, vorname und nachname, "
    "vollständiger name, vorname nachname, imię i nazwisko, nazwisko i imię, nom complet, nom et prénom, prénom et nom, "
    "nombre completo, nombre y apellidos, nome completo, nome e cognome, cognome e nome, volledige naam, naam, "
    "celé jméno, jméno a příjmení, namn, navn, fullt navn, fulde navn, nimi, név, teljes név, фио, 氏名, お名前",
    "email": "email, e-mail, mail, email address, e-mail address, mail address, emailaddress, e-mail-adresse, "
    "adres e-mail, adres email, adresse e-mail, adresse mail, courriel, correo, correo electrónico, "
    "indirizzo email, posta elettronica, e-mailadres, электронная почта, почта, メール, メールアドレス, "
    "adresse de messagerie, adresse de courrier, dirección de correo electrónico, e-mail 1 address, e-mail 2 address, "
    "e-mail 3 address, e-mail 2 adresse, e-mail 3 adresse, endereço de e-mail, e-postadress, e-post, sähköposti, emailová adresa",
    "phone": "phone, phone number, telephone, telephone number, tel, mobile, mobile phone, mobile number, cell, "
    "cell phone, telefon, telefonnummer, handy, handynummer, mobil, numer telefonu, nr telefonu, komórka, téléphone, "
    "portable, teléfono, móvil, telefono, cellulare, telefoon, telefoonnummer, mobiel, telefone, celular, "
    "телефон, 電話, 電話番号, mobile phone number, mobiltelefon, mobilnummer, telefon komórkowy, tel. mobile, "
    "téléphone mobile, téléphone portable, teléfono móvil, numéro de téléphone, telefono cellulare, mobilní telefon, sms, "
    "sms phone number",
    "street": "street, street address, address, address 1, address line 1, straße, strasse, adresse, ulica, adres, "
    "rue, calle, dirección, via, indirizzo, straat, ulice, endereço, улица, адрес, 住所, anschrift, direccion postal",
    "postcode": "postcode, post code, postal code, zip, zip code, zipcode, plz, postleitzahl, kod pocztowy, code postal, "
    "código postal, cp, cap, psč, postnummer, индекс, 郵便番号, cep, postal code/zip, zip/postal code",
    "city": "city, town, ort, stadt, wohnort, miasto, miejscowość, ville, ciudad, città, citta, stad, plaats, "
    "woonplaats, město, cidade, город, 市, población, localidad, localité, commune",
    "state": "state, state/region, province, bundesland, bundesland/kanton, kanton, województwo, région, dép/région, "
    "provincia, regione, provincie, estado, область, 都道府県, state/province, province code, state code",
    "country": "country, country/region, country code, nation, land, land/region, staat, pays, pays/région, país, "
    "país/región, paese, země, страна, 国, kraj, kraj/region, państwo, maa, ország",
    "birth_date": "birth date, birthdate, birthday, date of birth, dob, born, geburtsdatum, geburtstag, data urodzenia, "
    "date de naissance, fecha de nacimiento, data di nascita, geboortedatum, datum narození, дата рождения, 生年月日, "
    "data de nascimento, urodziny, anniversaire, cumpleaños, compleanno, verjaardag, aniversário",
    "gender": "gender, sex, geschlecht, płeć, sexe, genre, sexo, género, sesso, genere, geslacht, pohlaví, пол, 性別, "
    "gender identity",
    "language": "language, lang, locale, sprache, język, langue, idioma, lingua, taal, jazyk, язык, 言語, "
    "preferred language, preferred locale, browser language",
    "customer_id": "client id, kundennummer, kunden-nr, "
    "kundennr, nr klienta, numer klienta, id klienta, numéro client, id client, número de cliente, codice cliente, "
    "klantnummer, číslo zákazníka, external id, ext id, external identifier",
    "reference_id": "reference id, reference, ref id, ref",
    "identifier.anonymous_id": "anonymous id",
    "tags": "tags, tag, labels, etykiety, étiquettes, etiquetas, etichette, schlagworte, categories, kategorien, kategorie, "
    "catégories, categorías, categorie, group membership, tagi",
    "ignore": "id, created at, updated at",
}
# Where a better name for the same is in the file as well, that one is meant.
_WEAKER: dict[str, str] = {
    "full_name": "display name",
    "phone": "whatsapp, whatsapp phone number, shipping phone",
    "city": "place",
    "state": "county, region",
}
# Before or behind the name of a field of an address or contact that is a person's own: “billing_city”, “Ort privat”.
_PREFIXES = (
    "default address, billing address, billing, mailing address, mailing, home address, home, primary, contact, customer, "
    "user, person, adres domowy, private, main"
).split(", ")
_SUFFIXES = "privat, private, domicile, domowy, domowa, particular, personal".split(", ")
# “E-mail 2 - Value”, “Address 1 - City”.
_NUMBERED = re.compile(r"(e ?mail|phone|address) ([0-9]+) (.+)")

# Their names are among the synonyms, of which the cells decide.
_NAMED_BY_SYNONYM = ("email", "phone", "customer_id", BIRTHDAY)

PLAIN, PREFIXED, WEAK = 0, 1, 2


class Meaning(NamedTuple):
    """What a header may mean; the lowest rank wins where two columns mean the same."""

    to: str
    rank: int = PLAIN


NOTHING = Meaning("")


@cache
def _targets_by_name() -> dict[str, Meaning]:
    weaker = {fold(name): Meaning(to, WEAK) for to, names in _WEAKER.items() for name in names.split(", ")}
    plain = {fold(name): Meaning(to) for to, names in _SYNONYMS.items() for name in names.split(", ")}
    return weaker | plain | dict.fromkeys(CUSTOMER_ID_NAMES, Meaning("customer_id"))


def meaning_of(header: str, context: Context) -> Meaning:
    """A target written out (`attributes.plan`), a registered name, or a known synonym; `NOTHING` for none."""
    for to in (header, header.lower().replace("_", ".", 2) if header.lower().startswith("consent_") else ""):
        try:
            return Meaning(parse_target(to, context).to)
        except UnknownTarget:
            continue
    name = fold(header)
    if not name:
        return NOTHING
    for prefix, specs in (("identifier", context.identifiers), ("attributes", context.attributes)):
        for spec in specs:
            if name in (fold(spec.name), fold(spec.label)) and spec.name not in _NAMED_BY_SYNONYM:
                return Meaning(f"{prefix}.{spec.name}")
    found = _synonym(name) or _numbered(header) or _affixed(header)
    try:
        return found if found and parse_target(found.to, context) else NOTHING
    except UnknownTarget:  # customer_id may have been removed
        return NOTHING


def _synonym(name: str) -> Meaning | None:
    names = _targets_by_name()
    return names.get(name) or names.get(name.rstrip("0123456789"))  # phone2


def _numbered(header: str) -> Meaning | None:
    match = _NUMBERED.fullmatch(words_of(header))
    if match is None:
        return None
    kind, number, rest = match.groups()
    if kind == "address":
        found = _targets_by_name().get(fold(rest))
        is_field = found and found.to in ("street", "city", "state", "postcode", "country")
        return Meaning(found.to, PREFIXED) if found and is_field and number == "1" else None
    return Meaning(fold(kind)) if rest in ("value", "address", "number") else None


def _affixed(header: str) -> Meaning | None:
    words = words_of(header)
    rests = [words.removeprefix(prefix + " ") for prefix in _PREFIXES if words.startswith(prefix + " ")]
    rests += [words.removesuffix(" " + suffix) for suffix in _SUFFIXES if words.endswith(" " + suffix)]
    return next((found for rest in rests if (found := _ranked(rest))), None)


def _ranked(rest: str) -> Meaning | None:
    found = _synonym(fold(rest))
    if found is None or found.to in ("ignore", "tags", "customer_id", "reference_id", "full_name"):
        return None
    return Meaning(found.to, PREFIXED)
