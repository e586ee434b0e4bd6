"""What programs write where there is no value: the words of databases and languages, the errors of spreadsheets. Pure data."""

# As Excel, LibreOffice and Google Sheets write them, in the languages they speak.
SPREADSHEET_ERRORS = frozenset(
    "#N/A #REF! #VALUE! #NAME? #DIV/0! #NULL! #NUM! #SPILL! #CALC! #ERROR! #GETTING_DATA #FIELD! #BLOCKED! #CONNECT!"
    " #BUSY! #UNKNOWN! #PYTHON! Err:501 Err:502 Err:504 Err:508 Err:509 Err:511 Err:519 Err:520 Err:522 Err:529"
    " #NV #BEZUG! #WERT! #ZAHL! #ÜBERLAUF! #KALK!"  # German
    " #N/D #N/D! #ADR! #ARG! #LICZBA! #NAZWA? #DZIEL/0! #ZERO! #ROZLANIE!"  # Polish
    " #VALEUR! #NOM? #NOMBRE! #NUL! #PROPAGATION! #CALCUL!"  # French
    " #VALOR! #¡VALOR! #NOMBRE? #¿NOMBRE? #¡REF! #¡DIV/0! #¡NUM! #¡NULO! #¡DESBORDAMIENTO! #¡CALC!"  # Spanish
    " #VALORE! #RIF! #NOME? #NULLO! #NÚM! #NULO!"  # Italian, Portuguese
    " #N/B #WAARDE! #VERW! #NAAM? #DEEL/0! #GETAL! #LEEG!"  # Dutch
    " #SAKNAS! #VÄRDEFEL! #REFERENS! #NAMN? #DIVISION/0! #OGILTIGT! #SKÄRNING! #I/T #VÆRDI! #VERDI! #NAVN? #REFERENCE!"
    " #PUUTTUU! #ARVO! #NIMI? #VIITTAUS! #JAKO/0! #LUKU! #TYHJÄ!"  # Scandinavian, Finnish
    " #NENÍ_K_DISPOZICI #HODNOTA! #NÁZEV? #ODKAZ! #DĚLENÍ_NULOU! #ČÍSLO! #NEDOSTUPNÝ #NÁZOV?"  # Czech, Slovak
    " #HIÁNYZIK #ÉRTÉK! #NÉV? #HIV! #ZÉRÓOSZTÓ! #SZÁM! #NULLA! #YOK #DEĞER! #AD? #BAŞV! #SAYI/0! #SAYI! #BOŞ!"
    " #Н/Д #ЗНАЧ! #ИМЯ? #ССЫЛКА! #ДЕЛ/0! #ЧИСЛО! #ПУСТО!".split()  # Hungarian, Turkish, Russian
)

# Only spellings of programs: “Null” and “Nan” are names, “none” may be a choice.
_WORDS = (
    "NULL null <null> <NULL> (null) (NULL) [NULL] [null] \\N NaN nan NaT None <NA> <nil> nil undefined"
    " [object\u00a0Object] N/A n/a N/a n.a. N.A. n.a N.A #n/a #NA (blank) (empty) (none) (not\u00a0set)"
    " (not\u00a0provided) (leer) (Leer) (puste) (vide) (vacío) (vuoto)".split(" ")
)
EMPTY_WORDS = frozenset(word.replace("\u00a0", " ") for word in _WORDS) | SPREADSHEET_ERRORS
