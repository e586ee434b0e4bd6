"""A person → the cells of their row in Outlook's export, in the language Outlook is set to."""

from dataclasses import dataclass

from tests.imports.layouts.filling import Cells, Filling
from tests.imports.layouts.people import Person


@dataclass(frozen=True)
class _Language:
    """Outlook's words in one language. `no_date` is what it writes for a date nobody entered."""

    titles: tuple[str, str]  # of women, of men
    genders: tuple[str, str, str]  # women, men, not said
    title: str
    first: str
    last: str
    company: str
    job: str
    home: tuple[str, str, str, str, str]  # street, city, state, postcode, country
    mobile: str
    home_phone: str
    email: tuple[str, str, str]  # address, type, displayed name
    other_email: tuple[str, str, str]
    birthday: str
    anniversary: str
    gender: str
    notes: str
    categories: str
    kept: dict[str, str]  # header → word it has for everybody
    date: str
    no_date: str = ""


_ENGLISH = _Language(
    titles=("Ms.", "Mr."),
    genders=("Female", "Male", "Unspecified"),
    title="Title",
    first="First Name",
    last="Last Name",
    company="Company",
    job="Job Title",
    home=("Home Street", "Home City", "Home State", "Home Postal Code", "Home Country/Region"),
    mobile="Mobile Phone",
    home_phone="Home Phone",
    email=("E-mail Address", "E-mail Type", "E-mail Display Name"),
    other_email=("E-mail 2 Address", "E-mail 2 Type", "E-mail 2 Display Name"),
    birthday="Birthday",
    anniversary="Anniversary",
    gender="Gender",
    notes="Notes",
    categories="Categories",
    kept={"Priority": "Normal", "Private": "False", "Sensitivity": "Normal"},
    date="{0.month}/{0.day}/{0.year}",
    no_date="0/0/00",
)
_GERMAN = _Language(
    titles=("Frau", "Herr"),
    genders=("Weiblich", "Männlich", "Keine Angabe"),
    title="Anrede",
    first="Vorname",
    last="Nachname",
    company="Firma",
    job="Position",
    home=(
        "Straße privat",
        "Ort privat",
        "Bundesland/Kanton privat",
        "Postleitzahl privat",
        "Land/Region privat",
    ),
    mobile="Mobiltelefon",
    home_phone="Telefon privat",
    email=("E-Mail-Adresse", "E-Mail-Typ", "E-Mail: Angezeigter Name"),
    other_email=("E-Mail 2: Adresse", "E-Mail 2: Typ", "E-Mail 2: Angezeigter Name"),
    birthday="Geburtstag",
    anniversary="Jahrestag",
    gender="Geschlecht",
    notes="Notizen",
    categories="Kategorien",
    kept={"Priorität": "Normal", "Privat": "Aus", "Vertraulichkeit": "Normal"},
    date="{0.day}.{0.month}.{0.year}",
    no_date="0.0.00",
)
_FRENCH = _Language(
    titles=("Mme", "M."),
    genders=("Féminin", "Masculin", "Non spécifié"),
    title="#1",  # “Titre” is there twice: how one is addressed, and the job
    first="Prénom",
    last="Nom",
    company="Société",
    job="#8",
    home=(
        "Rue (domicile)",
        "Ville (domicile)",
        "Dép/Région (domicile)",
        "Code postal (domicile)",
        "Pays/Région (domicile)",
    ),
    mobile="Tél. mobile",
    home_phone="Téléphone (domicile)",
    email=("Adresse de messagerie", "Type de messagerie", "Nom complet de l'adresse de messagerie"),
    other_email=(
        "Adresse de messagerie 2",
        "Type de messagerie 2",
        "Nom complet de l'adresse de messagerie 2",
    ),
    birthday="Anniversaire",
    anniversary="Anniversaire de mariage ou fête",
    gender="Sexe",
    notes="Notes",
    categories="Catégories",
    kept={"Priorité": "Normale", "Privé": "Faux", "Critère de diffusion": "Normal"},
    date="{0.day:02}/{0.month:02}/{0.year}",
)
_POLISH = _Language(
    titles=("Pani", "Pan"),
    genders=("Kobieta", "Mężczyzna", "Nieokreślona"),
    title="Tytuł",
    first="Imię",
    last="Nazwisko",
    company="Firma",
    job="Stanowisko",
    home=(
        "Adres domowy - ulica",
        "Adres domowy - miejscowość",
        "Adres domowy - województwo",
        "Adres domowy - kod pocztowy",
        "Adres domowy - kraj",
    ),
    mobile="Telefon komórkowy",
    home_phone="Telefon domowy",
    email=("Adres e-mail", "Typ e-mail", "Wyświetlana nazwa e-mail"),
    other_email=("Adres e-mail 2", "Rodzaj e-mail 2", "Wyświetlana nazwa e-mail 2"),
    birthday="Urodziny",
    anniversary="Rocznica",
    gender="Płeć",
    notes="Notatki",
    categories="Kategorie",
    kept={"Priorytet": "Normalny", "Prywatne": "Fałsz", "Charakter": "Normalne"},
    date="{0.year}-{0.month:02}-{0.day:02}",
)


def _cells(person: Person, words: _Language) -> Cells:
    women, men, not_said = words.genders
    address = (person.address, person.city, person.state, person.postcode, person.own_country_name)
    return {
        words.title: dict(zip("FM", words.titles, strict=True)).get(person.gender, ""),
        words.first: person.first,
        words.last: person.last,
        words.company: person.company,
        words.job: person.job,
        **dict(zip(words.home, address, strict=True)),
        words.mobile: person.local_phone,
        words.home_phone: person.other_phone.local if person.other_phone else "",
        **_email(words.email, person.name, person.email),
        **_email(words.other_email, person.name, person.other_email),
        words.birthday: words.date.format(person.birth) if person.birth else words.no_date,
        words.anniversary: words.no_date,
        words.gender: {"F": women, "M": men}.get(person.gender, not_said),
        words.notes: person.note,
        words.categories: ";".join(person.tags),
        **words.kept,
    }


def _email(headers: tuple[str, str, str], name: str, email: str) -> Cells:
    return dict(zip(headers, (email, "SMTP", f"{name} ({email})"), strict=True)) if email else {}


def outlook_en(person: Person) -> Cells:
    return _cells(person, _ENGLISH)


def outlook_de(person: Person) -> Cells:
    return _cells(person, _GERMAN)


def outlook_fr(person: Person) -> Cells:
    return _cells(person, _FRENCH)


def outlook_pl(person: Person) -> Cells:
    return _cells(person, _POLISH)


def outlook_web(person: Person) -> Cells:
    return {
        "First Name": person.first,
        "Last Name": person.last,
        "E-mail Address": person.email,
        "E-mail 2 Address": person.other_email,
        "Mobile Phone": person.local_phone,
        "Home Phone": person.other_phone.local if person.other_phone else "",
        "Job Title": person.job,
        "Company": person.company,
        "Home Street": person.address,
        "Home City": person.city,
        "Home State": person.state,
        "Home Postal Code": person.postcode,
        "Home Country/Region": person.own_country_name,
        "Notes": person.note,
    }


FILLINGS = {
    "outlook_en": Filling(outlook_en, "US", without_email=(9,), twice=True),
    "outlook_de": Filling(outlook_de, "DE DE AT", without_email=(9,)),
    "outlook_fr": Filling(outlook_fr, "FR", without_email=(9,)),
    "outlook_pl": Filling(outlook_pl, "PL", twice=True),
    "outlook_web": Filling(outlook_web, "US"),
}
