"""Names and codes people write → ISO codes of countries and languages. Pure.

The tables are built at first use: pycountry reads its files then, about 30 ms that no command line needs.
"""

import re
from functools import cache

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


def country(raw: str) -> str:
    """ISO 3166 alpha-2 of an English name, an alpha-2 or alpha-3 code, or a common other name."""
    names = _country_names()
    if raw in names:
        return raw
    try:
        return _country_codes()[fold(raw)]
    except KeyError:
        raise BadValue(_NOT_A_COUNTRY) from None


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
