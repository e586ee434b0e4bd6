"""Headers in many languages and sample rows → the target of each column, as far as it can be guessed."""

import re
from collections.abc import Callable, Sequence
from functools import cache

from imports.columns.targets import Context, UnknownTarget, parse_target
from profiles.identity.normalize import BadValue, country, email, fold, phone

# Compared fold: case, accents, spaces and punctuation do not count, so "E-Mail" is "email".
_SYNONYMS: dict[str, str] = {
    "first_name": "first name, first, given name, forename, fname, vorname, imię, prénom, nombre, nome, voornaam, jméno,"
    " förnamn, fornavn, etunimi, keresztnév, prenume, имя, 名, primeiro nome, nombre de pila",
    "last_name": "last name, last, surname, family name, lname, sname, nachname, familienname, nazwisko, nom, "
    "nom de famille, apellido, apellidos, cognome, achternaam, příjmení, efternamn, etternavn, sukunimi, "
    "vezetéknév, nume, фамилия, 姓, sobrenome, apelido",
    "email": "email, e-mail, mail, email address, e-mail address, mail address, emailaddress, e-mail-adresse, "
    "adres e-mail, adres email, adresse e-mail, adresse mail, courriel, correo, correo electrónico, "
    "indirizzo email, posta elettronica, e-mailadres, электронная почта, почта, メール, メールアドレス",
    "phone": "phone, phone number, telephone, telephone number, tel, mobile, mobile phone, mobile number, cell, "
    "cell phone, telefon, telefonnummer, handy, handynummer, mobil, numer telefonu, nr telefonu, komórka, téléphone, "
    "portable, teléfono, móvil, telefono, cellulare, telefoon, telefoonnummer, mobiel, telefone, celular, "
    "телефон, 電話, 電話番号",
    "street": "street, street address, address, address 1, address line 1, straße, strasse, adresse, ulica, adres, "
    "rue, calle, dirección, via, indirizzo, straat, ulice, endereço, улица, адрес, 住所",
    "postcode": "postcode, post code, postal code, zip, zip code, zipcode, plz, postleitzahl, kod pocztowy, code postal, "
    "código postal, cp, cap, psč, postnummer, индекс, 郵便番号, cep",
    "city": "city, town, place, ort, stadt, wohnort, miasto, miejscowość, ville, ciudad, città, citta, stad, plaats, "
    "woonplaats, město, cidade, город, 市",
    "state": "state, state/region, region, province, county, bundesland, województwo, région, provincia, regione, provincie, "
    "estado, область, 都道府県",
    "country": "country, country/region, country code, nation, land, staat, pays, país, paese, země, страна, 国",
    "birth_date": "birth date, birthdate, birthday, date of birth, dob, born, geburtsdatum, geburtstag, data urodzenia, "
    "date de naissance, fecha de nacimiento, data di nascita, geboortedatum, datum narození, дата рождения, 生年月日, "
    "data de nascimento",
    "gender": "gender, sex, geschlecht, płeć, sexe, genre, sexo, género, sesso, genere, geslacht, pohlaví, пол, 性別",
    "language": "language, lang, locale, sprache, język, langue, idioma, lingua, taal, jazyk, язык, 言語",
    "customer_id": "customer id, customer number, customer no, customer nr, client id, user id, kundennummer, kunden-nr, "
    "kundennr, nr klienta, numer klienta, id klienta, numéro client, id client, número de cliente, codice cliente, "
    "klantnummer, číslo zákazníka, external id",
    "reference_id": "reference id, reference, ref id, ref",
    "identifier.anonymous_id": "anonymous id",
    "tags": "tags, tag, labels, etykiety, étiquettes, etiquetas, etichette, schlagworte",
    "consent.email.newsletter": "newsletter, newsletter consent, email opt in, email consent, opt in, optin, "
    "marketing consent, subscribed, zgoda na newsletter",
    "ignore": "id, created at, updated at",
}

_SHARE = 0.8  # of the filled sample cells that must be valid values
_MIN_NAME = 4


@cache
def _targets_by_name() -> dict[str, str]:
    return {fold(name): to for to, names in _SYNONYMS.items() for name in names.split(", ")}


def column_keys(headers: Sequence[str]) -> dict[str, int]:
    """Every way a mapping may name a column → its index: `#n` always, its header when only one has it."""
    keys = {f"#{number}": number - 1 for number in range(1, len(headers) + 1)}
    for index, header in enumerate(headers):
        if header and list(headers).count(header) == 1:
            keys[header] = index
    return keys


def ambiguous_columns(headers: Sequence[str], context: Context) -> dict[int, str]:
    """index → sentence, for columns staff have to decide on: no name, a repeated name, or nearly the same as another."""
    sentences: dict[int, str] = {}
    names = [fold(header) for header in headers]
    first: dict[str, int] = {}
    for index, (header, name) in enumerate(zip(headers, names, strict=True)):
        if not header:
            sentences[index] = f"Column {index + 1} has no name. Choose where it goes, or ignore it."
        elif name and name in first:
            sentences[first[name]] = sentences[index] = _describe_pair(
                headers, first[name], index, "have the same name"
            )
        first.setdefault(name, index)
    known = [index for index, header in enumerate(headers) if header and _by_name(header, context)]
    for index in known:
        for second, name in enumerate(names):
            if second not in sentences and second != index and _one_letter_apart(names[index], name):
                low, high = sorted((index, second))
                sentences[low] = sentences[high] = _describe_pair(headers, low, high, "differ by one letter")
    return sentences


def _describe_pair(headers: Sequence[str], low: int, high: int, how: str) -> str:
    names = f"“{headers[low]}” (column {low + 1}) and “{headers[high]}” (column {high + 1})"
    return f"{names} {how}. Choose where each goes."


def _one_letter_apart(a: str, b: str) -> bool:
    """One letter changed, missing or more; numbers at the end (phone1, phone2) are meant."""
    if abs(len(a) - len(b)) > 1 or min(len(a), len(b)) < _MIN_NAME or a == b:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    rest_a, rest_b = a[start:], b[start:]
    if rest_a[:1].isdigit() or rest_b[:1].isdigit():
        return False
    return rest_a[1:] == rest_b[1:] or rest_a[1:] == rest_b or rest_a == rest_b[1:]


def guess_mapping(
    headers: Sequence[str], sample_rows: Sequence[Sequence[str]], context: Context
) -> dict[str, dict[str, str]]:
    """A mapping as `parse_mapping` takes it, in the order of the columns; what nothing fits is ignored.

    A column of `ambiguous_columns` is left out, so that the guess alone is refused until staff decide.
    Two columns are never guessed to the same target: a second e-mail or phone is one more identifier, any other
    second column is ignored.
    """
    mapping: dict[str, dict[str, str]] = {}
    ambiguous = ambiguous_columns(headers, context)
    taken: set[str] = set()
    guesses = {index: _by_name(header, context) for index, header in enumerate(headers)}
    named = {to for index, to in guesses.items() if to and index not in ambiguous}
    for index, header in enumerate(headers):
        if index in ambiguous:
            continue
        to = guesses[index] or _by_values(_column_values(sample_rows, index), named | taken)
        if to in ("email", "phone") and to in taken and context.identifier_by_name[to].max_per_profile != 1:
            to = f"identifier.{to}"  # profiles have several; the first is the attribute
        elif not to or (to in taken and to not in ("ignore", "tags")):
            to = "ignore"
        taken.add(to)
        if to in ("reference_id", "customer_id"):
            taken |= {"reference_id", "customer_id"}
        mapping[header if header and list(headers).count(header) == 1 else f"#{index + 1}"] = {"to": to}
    return mapping


def _by_name(header: str, context: Context) -> str:
    """A target written out (`attributes.plan`), a registered name, or a known synonym; "" for none."""
    for to in (header, header.lower().replace("_", ".", 2) if header.lower().startswith("consent_") else ""):
        try:
            return parse_target(to, context).to
        except UnknownTarget:
            continue
    name = fold(header)
    if not name:
        return ""
    for prefix, specs in (("identifier", context.identifiers), ("attributes", context.attributes)):
        for spec in specs:
            if name in (fold(spec.name), fold(spec.label)) and spec.name not in (
                "email",
                "phone",
                "customer_id",
            ):
                return f"{prefix}.{spec.name}"
    to = _targets_by_name().get(name) or _targets_by_name().get(name.rstrip("0123456789"), "")  # phone2
    try:
        return parse_target(to, context).to if to else ""
    except UnknownTarget:  # customer_id may have been removed
        return ""


def _column_values(rows: Sequence[Sequence[str]], index: int) -> list[str]:
    return [row[index].strip() for row in rows if index < len(row) and row[index].strip()]


def _by_values(values: list[str], taken: set[str]) -> str:
    """Only what values prove on their own: an address with “@”, a number with “+”, a country's name."""
    if "email" not in taken and share_of(values, email) >= _SHARE:
        return "email"
    if (
        "phone" not in taken
        and all(value.startswith("+") for value in values)
        and share_of(values, phone) >= _SHARE
    ):
        return "phone"
    long_names = all(re.fullmatch(r"\D{4,}", value) for value in values)
    if "country" not in taken and long_names and share_of(values, country) >= _SHARE:
        return "country"
    return ""


def share_of(values: Sequence[str], cleaner: Callable[[str], object]) -> float:
    """Which share of the values the cleaner accepts; 0 of none."""
    if not values:
        return 0.0
    return sum(_accepts(cleaner, value) for value in values) / len(values)


def _accepts(cleaner: Callable[[str], object], value: str) -> bool:
    try:
        cleaner(value)
    except BadValue:
        return False
    return True
