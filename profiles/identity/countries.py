"""Names and codes people write → ISO codes of countries and languages. Pure.

The tables are built at first use: pycountry reads its files then, about 30 ms that no command line needs.
"""

import gettext
import re
from collections import defaultdict
from functools import cache, lru_cache

import pycountry

from profiles.identity.text import BadValue, fold

_NOT_A_COUNTRY = "Not a country. Write its English name or ISO code, for example Poland or PL."
_NOT_A_LANGUAGE = "Not a language. Write a two-letter code, for example pl or en-GB."

# Names in use that ISO 3166 does not list. One name per country that people really write.
_ALIASES = {
    "AE": "UAE, Emirates",
    "BA": "Bosnia, Bosnia-Herzegovina",
    "BN": "Brunei",
    "CD": "DR Congo, DRC, Congo-Kinshasa, Democratic Republic of the Congo",
    "CG": "Congo-Brazzaville, Republic of the Congo",
    "CI": "Ivory Coast",
    "CN": "PRC, Mainland China, People's Republic of China",
    "CV": "Cape Verde",
    "CZ": "Czech Republic",
    "DE": "Deutschland",
    "DK": "Danmark",
    "ES": "España",
    "FK": "Falkland Islands",
    "FM": "Micronesia",
    "GB": "UK, U.K., Great Britain, Britain, England, Scotland, Wales, Northern Ireland",
    "IR": "Iran",
    "KP": "North Korea",
    "KR": "South Korea, Republic of Korea",
    "LA": "Laos",
    "MD": "Moldova",
    "MK": "Macedonia, Republic of Macedonia",
    "MM": "Burma",
    "NL": "Holland, The Netherlands",
    "PL": "Polska",
    "PS": "Palestine",
    "RU": "Russia",
    "SY": "Syria",
    "SZ": "Swaziland",
    "TL": "East Timor",
    "TR": "Turkey",
    "TW": "Taiwan",
    "TZ": "Tanzania",
    "US": "USA, U.S., U.S.A., United States of America, America",
    "VA": "Vatican, Vatican City",
    "VE": "Venezuela",
    "VG": "British Virgin Islands",
    "VI": "US Virgin Islands",
    "VN": "Vietnam",
    "XK": "Kosovo, XKX",
}

# Languages whose names of countries are read: those of the headers that an import guesses, and their neighbours.
_LANGUAGES = (
    "bg ca cs da de el es et fi fr hr hu it ja lt lv nb nl pl pt ro ru sk sl sr sv tr uk zh_CN".split()
)

# What people write in those languages and pycountry's translations lack.
_ALIASES_ABROAD = {
    "CI": "Elfenbeinküste, Wybrzeże Kości Słoniowej, Costa de Marfil, Costa d'Avorio, Ivoorkust",
    "IE": "Éire",
    "MD": "Moldawien, Moldavie, Moldavia, Moldova, Mołdawia, Moldavië",
    "BY": "Weißrussland, Biélorussie, Wit-Rusland",
    "CH": "Confédération suisse",
    "CN": "Chine populaire, Volksrepublik China",
    "CZ": "Tschechien, Tschechische Republik, Czechy, Republika Czeska, Tchéquie, République tchèque, Chequia, "
    "República Checa, Cechia, Repubblica Ceca, Tsjechië, Česká republika, Česko",
    "GB": "Großbritannien, England, Schottland, Vereinigtes Königreich, Wielka Brytania, Anglia, Szkocja, "
    "Royaume-Uni, Grande-Bretagne, Angleterre, Écosse, Reino Unido, Gran Bretaña, Inglaterra, Escocia, Regno Unito, "
    "Gran Bretagna, Inghilterra, Verenigd Koninkrijk, Groot-Brittannië, Engeland, Grã-Bretanha, Velká Británie, "
    "Великобритания, Англия, イギリス, 英国",
    "KR": "Südkorea, Korea Południowa, Corée du Sud, Corea del Sur, Corea del Sud, Zuid-Korea",
    "NL": "Holandia, Hollande, Holanda, Olanda, Pays-Bas, Paesi Bassi, Niederlande",
    "RU": "Россия, Russland, Rosja, Russie, Rusia, Russia, Rusland",
    "TR": "Türkei, Turcja, Turquie, Turquía, Turchia, Turkije, Turquia",
    "US": "Vereinigte Staaten, Vereinigte Staaten von Amerika, Stany Zjednoczone, États-Unis, Estados Unidos, "
    "EE. UU., EEUU, EUA, Stati Uniti, Verenigde Staten, Spojené státy, США, アメリカ, 美国",
}

# Where the ISO name is not what people call the country.
_SHORT_NAMES = {
    "BN": "Brunei",
    "CD": "DR Congo",
    "CI": "Ivory Coast",
    "CV": "Cape Verde",
    "FK": "Falkland Islands",
    "FM": "Micronesia",
    "GB": "United Kingdom",
    "LA": "Laos",
    "PS": "Palestine",
    "RU": "Russia",
    "TR": "Turkey",
    "VA": "Vatican City",
    "VG": "British Virgin Islands",
    "VI": "US Virgin Islands",
    "XK": "Kosovo",
}


@cache
def _country_names() -> dict[str, str]:
    """alpha-2 → English name, the list a form offers. XK is Kosovo, in use though not in ISO 3166."""
    names = {
        entry.alpha_2: _SHORT_NAMES.get(entry.alpha_2) or getattr(entry, "common_name", entry.name)
        for entry in pycountry.countries
    }
    return names | {"XK": _SHORT_NAMES["XK"]}


@cache
def _country_codes() -> dict[str, str]:
    """Every accepted spelling, folded → alpha-2. Codes are looked up before names, none is both."""
    codes: dict[str, str] = {}
    for entry in pycountry.countries:
        spellings = (
            entry.alpha_2,
            entry.alpha_3,
            entry.name,
            getattr(entry, "common_name", ""),
            getattr(entry, "official_name", ""),
        )
        codes.update((fold(spelling), entry.alpha_2) for spelling in spellings if spelling)
    for code, names in _ALIASES.items():
        codes.update((fold(name), code) for name in [code, *names.split(", ")])
    return codes


@cache
def _country_codes_abroad() -> dict[str, str]:
    """Names in other languages, folded → alpha-2; a name that two languages give to different countries is none."""
    found: dict[str, set[str]] = defaultdict(set)
    for language_code in _LANGUAGES:
        catalog = gettext.translation("iso3166-1", pycountry.LOCALES_DIR, [language_code], fallback=True)
        for entry in pycountry.countries:
            for name in (entry.name, getattr(entry, "common_name", ""), getattr(entry, "official_name", "")):
                if name and (translated := catalog.gettext(name)) != name:
                    found[fold(translated)].add(entry.alpha_2)
                    found[fold(re.split(r"[,(]", translated)[0])].add(entry.alpha_2)  # “Iran, Islamische …”
    codes = {name: next(iter(found[name])) for name in found if len(found[name]) == 1}
    for code, names in _ALIASES_ABROAD.items():
        codes.update((fold(name), code) for name in names.split(", "))
    return codes


def country(raw: str) -> str:
    """ISO 3166 alpha-2 of a code or of a name, in English or another language of Europe, Japanese or Chinese."""
    names = _country_names()
    if raw in names:
        return raw
    return _country_by_name(raw)


@lru_cache(maxsize=4096)
def _country_by_name(raw: str) -> str:
    name = fold(raw)
    code = _country_codes().get(name) or (_country_codes_abroad().get(name) if len(name) > 1 else None)
    if code is None:
        raise BadValue(_NOT_A_COUNTRY)
    return code


def country_name(alpha2: str) -> str:
    """The English name to show for a code; an unknown code shows as itself."""
    return _country_names().get(alpha2, alpha2)


def country_choices() -> list[tuple[str, str]]:
    """(alpha-2, English name), by name."""
    return sorted(_country_names().items(), key=lambda pair: fold(pair[1]))


_LANGUAGE = re.compile(
    r"([a-z]{2,3})(?:[-_]([a-z]{4}))?(?:[-_]([a-z]{2}|[0-9]{3}))?", re.ASCII | re.IGNORECASE
)


@cache
def _language_codes() -> dict[str, str]:
    """Two- and three-letter codes and English names, folded → the two-letter code."""
    codes: dict[str, str] = {}
    for entry in pycountry.languages:
        if code := getattr(entry, "alpha_2", None):
            codes[fold(entry.name)] = codes[entry.alpha_3] = codes[code] = code
    return codes


def language(raw: str) -> str:
    """`pl`, `en-GB`, `zh-Hant`: language in lower case, script in title case, region in capitals."""
    value = raw.strip()
    codes = _language_codes()
    if value in codes and len(value) == 2:
        return value
    match = _LANGUAGE.fullmatch(value)
    if match and (code := codes.get(match[1].lower())):
        return "-".join(filter(None, (code, (match[2] or "").title(), (match[3] or "").upper())))
    if code := codes.get(fold(value)):
        return code
    raise BadValue(_NOT_A_LANGUAGE)
