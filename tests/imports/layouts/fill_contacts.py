"""A person → the cells of their row in address books and in lists somebody keeps in a spreadsheet."""

from tests.imports.layouts.fill_outlook import FILLINGS as OUTLOOK
from tests.imports.layouts.filling import Cells, Filling, birth, local_money, money, spaced
from tests.imports.layouts.people import NEVER, NO, YES, Person


def _google(person: Person) -> Cells:
    """What both layouts of Google have; two values of one kind share a cell."""
    emails = [person.email, person.other_email] if person.number % 2 else [person.email]
    formatted = (person.address, f"{person.postcode} {person.city}".strip(), person.country_code)
    # The year of a birthday can be left out.
    birthday = birth(person, " --%m-%d" if person.number % 7 == 0 else "%Y-%m-%d")
    return {
        "Birthday": birthday,
        "Notes": person.note,
        "E-mail 1 - Value": " ::: ".join(filter(None, emails)),
        "E-mail 2 - Value": "" if person.number % 2 else person.other_email,
        "Phone 1 - Value": spaced(person),
        "Phone 2 - Value": person.other_phone.spaced if person.other_phone else "",
        "Address 1 - Formatted": "\n".join(filter(None, formatted)),
        "Address 1 - Street": person.address,
        "Address 1 - City": person.city,
        "Address 1 - Region": person.state,
        "Address 1 - Postal Code": person.postcode,
        "Address 1 - Country": person.country_code,
    }


def google(person: Person) -> Cells:
    cells = {
        **_google(person),
        "First Name": person.first,
        "Last Name": person.last,
        "Organization Name": person.company,
        "Organization Title": person.job,
        "Labels": " ::: ".join((*person.tags, "* myContacts")),
        "Event 1 - Label": "Anniversary" if person.number == 19 else "",
        "Event 1 - Value": "2011-06-18" if person.number == 19 else "",
        "Custom Field 1 - Label": "Shoe size" if person.number == 23 else "",
        "Custom Field 1 - Value": "42" if person.number == 23 else "",
    }
    return cells | _kinds(cells, "Label")


def google_old(person: Person) -> Cells:
    cells = {
        **_google(person),
        "Name": person.name,
        "Given Name": person.first,
        "Family Name": person.last,
        "Group Membership": " ::: ".join((*person.tags, "* myContacts")),
        "Organization 1 - Name": person.company,
        "Organization 1 - Title": person.job,
    }
    return cells | _kinds(cells, "Type")


def _kinds(cells: Cells, word: str) -> Cells:
    """The kind of each e-mail address, number and address there is; the first one is starred."""
    kinds = {"E-mail 1": "* Home", "E-mail 2": "Work", "Phone 1": "Mobile", "Phone 2": "Home"}
    found = {f"{name} - {word}": kind for name, kind in kinds.items() if cells[f"{name} - Value"]}
    return found | ({f"Address 1 - {word}": "Home"} if cells["Address 1 - Formatted"] else {})


def excel_en(person: Person) -> Cells:
    return {
        "Name": person.name,
        "Email": person.email,
        "Phone": person.local_phone,
        "Address": person.address,
        "City": person.city,
        "Postcode": person.postcode,
        "Country": person.own_country_name,
        "Date of birth": birth(person, "%d/%m/%Y"),
        "Newsletter": {YES: "Yes", NO: "No", NEVER: ""}[person.newsletter],
        "Tags": ", ".join(person.tags),
        "Spend": f"{person.spent:,.2f}",
    }


def excel_de(person: Person) -> Cells:
    return {
        "Anrede": {"F": "Frau", "M": "Herr"}.get(person.gender, ""),
        "Vorname": person.first,
        "Nachname": person.last,
        "E-Mail": person.email,
        "Telefon": person.local_phone,
        "Straße": person.address,
        "PLZ": person.postcode,
        "Ort": person.city,
        "Land": person.own_country_name,
        "Geburtsdatum": birth(person, "%d.%m.%Y"),
        "Newsletter": {YES: "ja", NO: "nein", NEVER: ""}[person.newsletter],
        "Kundennummer": f"K-{1000 + person.number}",
        "Umsatz": local_money(person.spent),
        "Bemerkung": person.note,
    }


def excel_fr(person: Person) -> Cells:
    return {
        "Civilité": {"F": "Mme", "M": "M."}.get(person.gender, ""),
        "Nom": person.last.upper(),
        "Prénom": person.first,
        "Courriel": person.email,
        "Téléphone": person.local_phone,
        "Adresse": person.address,
        "Code postal": person.postcode,
        "Ville": person.city,
        "Pays": person.own_country_name,
        "Date de naissance": birth(person, "%d/%m/%Y"),
        "Inscrit à la newsletter": {YES: "oui", NO: "non", NEVER: ""}[person.newsletter],
        "Chiffre d'affaires": f"{money(person.spent).replace('.', ',')} €",
    }


def excel_pl(person: Person) -> Cells:
    return {
        "Lp.": str(person.number),
        "Imię i nazwisko": person.name,
        "Adres e-mail": person.email,
        "Telefon": person.local_phone,
        "Ulica": person.address,
        "Kod pocztowy": person.postcode,
        "Miejscowość": person.city,
        "Data urodzenia": birth(person, "%d.%m.%Y"),
        "Zgoda na newsletter": {YES: "tak", NO: "nie", NEVER: ""}[person.newsletter],
        "Wartość zamówień": money(person.spent).replace(".", ","),
        "Uwagi": person.note,
    }


def excel_es(person: Person) -> Cells:
    return {
        "Nombre": person.first,
        "Apellidos": person.last,
        "Correo electrónico": person.email,
        "Móvil": person.local_phone,
        "Dirección": person.address,
        "C.P.": person.postcode,
        "Población": person.city,
        "Provincia": person.state,
        "País": person.own_country_name,
        "Fecha de nacimiento": birth(person, "%d/%m/%Y"),
        "Acepta boletín": {YES: "sí", NO: "no", NEVER: ""}[person.newsletter],
        "Importe": local_money(person.spent),
    }


FILLINGS = {
    "google": Filling(google, "DE US FR", without_email=(4, 22), twice=True),
    "google_old": Filling(google_old, "DE US FR", without_email=(6,)),
    **OUTLOOK,
    "excel_en": Filling(excel_en, "GB", without_email=(16,), twice=True),
    "excel_de": Filling(excel_de, "DE DE DE AT"),
    "excel_fr": Filling(excel_fr, "FR FR FR BE", twice=True),
    "excel_pl": Filling(excel_pl, "PL", without_email=(25,)),
    "excel_es": Filling(excel_es, "ES"),
}
