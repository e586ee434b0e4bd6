"""Country → first names, last names, cities, streets and phone numbers that people are made of.

The numbers are kept free for stories and films where a country does so (United States, United Kingdom, Germany,
France). Belgium, Poland and Spain have no such range: theirs are prefixes nobody has been given.
"""

FEMALE = {
    "US": "Ashley Brianna Carla Dana Emily Grace Hannah Keisha Lauren Megan Naomi Paige Rosa Sierra",
    "GB": "Abigail Bethan Charlotte Eilidh Freya Georgina Imogen Niamh Orla Poppy Saoirse Tamsin Una Zara",
    "DE": "Änne Bärbel Carina Doris Elke Friederike Grit Heike Jördis Käthe Lena Mareike Özlem Uschi",
    "AT": "Annemarie Burgi Christl Edeltraud Franziska Gerti Hermine Resi Sieglinde Vroni",
    "FR": "Agnès Béatrice Chloé Clémence Élodie Françoise Hélène Inès Léa Maëlle Noémie Océane Solène Zoé",
    "BE": "Anaïs Delphine Fien Griet Liesbeth Margaux Roos Veerle",
    "PL": "Agnieszka Bożena Celina Danuta Elżbieta Gabriela Halina Iwona Jadwiga Łucja Małgorzata Oliwia Róża Żaneta",
    "ES": "Ángela Begoña Concepción Débora Elena Inés Lucía María Nuria Pilar Rocío Sofía Verónica Ximena",
}
MALE = {
    "US": "Aaron Brandon Calvin Derek Ethan Gavin Hector Jamal Logan Marcus Noah Owen Trevor Wyatt",
    "GB": "Alasdair Callum Dylan Euan Finlay Gareth Hamish Iain Kieran Lewis Oliver Rhys Siôn Toby",
    "DE": "Arne Björn Claus Dirk Emre Falk Götz Hauke Jörg Karl-Heinz Lüder Matthias Sören Uwe",
    "AT": "Alois Ferdl Gottfried Hannes Korbinian Leopold Michl Pius Sepp Xaver",
    "FR": "Adrien Benoît Cédric Étienne François Gaël Hugo Jean-Luc Jérôme Loïc Mathéo Noël Rémi Théo",
    "BE": "Arnaud Bram Gilles Joris Maarten Pieter Thibault Wout",
    "PL": "Bartłomiej Cezary Dawid Feliks Grzegorz Hubert Jędrzej Kamil Łukasz Michał Paweł Sławomir Wiesław Zbigniew",
    "ES": "Álvaro Borja César Darío Emilio Félix Gonzalo Íñigo Jesús Martín Óscar Raúl Tomás Víctor",
}
LAST = {
    "US": "Abbott Barnes Castillo Delgado Ellison Franklin Greer Holloway Ingram Jefferson Kim Lindqvist McCall "
    "Nguyen O'Brien Pruitt Ramsey Stokes Tran Underwood",
    "GB": "Ashworth Blythe Cadwallader Drummond Entwistle Fairbairn Gallagher Hargreaves Ibbotson Jenkins Kilpatrick "
    "Llewellyn MacKenzie Norcross O'Connor Pritchard Rafferty Smythe-Jones Thackeray Wainwright",
    "DE": "Ahrens Böhme Clüver Dörfler Eßer Fößel Grünwald Häusler Jäckel Köster Lütjohann Möller Nüßlein Oßwald "
    "Pfützner Rößler Schäfer Töpfer Üblacker von-Zabern",
    "AT": "Auböck Dürnberger Edelbauer Griesmayr Höllwarth Katzenbeißer Moosbrugger Österreicher Strasser Zwölfer",
    "FR": "Aubépin Bérard Chênevert Delacroix Évrard Fontaine-Leroy Gauthier Hébert Jégou Lefèvre Mercœur Noblet "
    "Ollivier Péricard Quémener Rousseau Sénéchal Thévenot Vannier Yvert",
    "BE": "Aerts Claeys D'Hondt Goossens Janssens Mertens Peeters Vandenbroucke",
    "PL": "Borkowski Ciszewski Dąbrowski Głowacki Jabłoński Krzemiński Łęcki Mroczkowski Nowicki Ostrowski Piątkowski "
    "Rzeszowski Sęczkowski Świątecki Tomczycki Wróblewski Zaręcki Żółtowski Gródecki Śliwiński",
    "ES": "Álvarez Benítez Cordón Domínguez Echeverría Fernández Gálvez Hernán Ibáñez Jiménez Lázaro Muñoz Núñez Ordóñez "
    "Peña Quiñones Ramírez Sáez Tejón Zúñiga",
}
# Postcode, city, state, the state's code.
CITIES = {
    "US": (
        ("78701", "Austin", "Texas", "TX"),
        ("02108", "Boston", "Massachusetts", "MA"),
        ("97204", "Portland", "Oregon", "OR"),
        ("60601", "Chicago", "Illinois", "IL"),
        ("07102", "Newark", "New Jersey", "NJ"),
        ("98101", "Seattle", "Washington", "WA"),
    ),
    "GB": (
        ("M1 1AE", "Manchester", "England", "ENG"),
        ("EH1 1YZ", "Edinburgh", "Scotland", "SCT"),
        ("CF10 1EP", "Cardiff", "Wales", "WLS"),
        ("BS1 4DJ", "Bristol", "England", "ENG"),
        ("LS1 3AB", "Leeds", "England", "ENG"),
        ("BT1 5GS", "Belfast", "Northern Ireland", "NIR"),
    ),
    "DE": (
        ("10115", "Berlin", "Berlin", "BE"),
        ("01067", "Dresden", "Sachsen", "SN"),
        ("80331", "München", "Bayern", "BY"),
        ("50667", "Köln", "Nordrhein-Westfalen", "NW"),
        ("24103", "Kiel", "Schleswig-Holstein", "SH"),
        ("06108", "Halle (Saale)", "Sachsen-Anhalt", "ST"),
    ),
    "AT": (
        ("1010", "Wien", "Wien", "9"),
        ("8010", "Graz", "Steiermark", "6"),
        ("3100", "St. Pölten", "Niederösterreich", "3"),
    ),
    "FR": (
        ("75011", "Paris", "Île-de-France", "IDF"),
        ("69003", "Lyon", "Auvergne-Rhône-Alpes", "ARA"),
        ("01000", "Bourg-en-Bresse", "Auvergne-Rhône-Alpes", "ARA"),
        ("44000", "Nantes", "Pays de la Loire", "PDL"),
        ("42000", "Saint-Étienne", "Auvergne-Rhône-Alpes", "ARA"),
        ("06000", "Nice", "Provence-Alpes-Côte d'Azur", "PAC"),
    ),
    "BE": (
        ("9000", "Gent", "Oost-Vlaanderen", "VOV"),
        ("2000", "Antwerpen", "Antwerpen", "VAN"),
        ("4000", "Liège", "Liège", "WLG"),
    ),
    "PL": (
        ("00-001", "Warszawa", "mazowieckie", "MZ"),
        ("30-002", "Kraków", "małopolskie", "MA"),
        ("90-001", "Łódź", "łódzkie", "LD"),
        ("50-001", "Wrocław", "dolnośląskie", "DS"),
        ("85-001", "Bydgoszcz", "kujawsko-pomorskie", "KP"),
        ("65-001", "Zielona Góra", "lubuskie", "LB"),
    ),
    "ES": (
        ("28001", "Madrid", "Madrid", "M"),
        ("08002", "Barcelona", "Barcelona", "B"),
        ("29001", "Málaga", "Málaga", "MA"),
        ("15001", "A Coruña", "A Coruña", "C"),
        ("24001", "León", "León", "LE"),
        ("48001", "Bilbao", "Vizcaya", "BI"),
    ),
}
# "{}" is the number of the house.
STREETS = {
    "US": ("{} Maple Ave", "{} Old Mill Rd, Apt 4", "{} W Birch St", "{} Harbor Blvd", "{} Sunset Ln"),
    "GB": (
        "{} Orchard Lane",
        "Flat 2, {} Station Road",
        "{} St Mary's Close",
        "{} Mill Street",
        "{} The Green",
    ),
    "DE": (
        "Lindenstraße {}",
        "Am Mühlbach {}",
        "Goetheweg {}",
        "Große Gasse {}",
        "Bürgermeister-Öhler-Platz {}",
    ),
    "AT": ("Schlossgasse {}", "Mühlweg {}/2", "Kirchenplatz {}"),
    "FR": ("{} rue des Lilas", "{} bis avenue du Général", "{}, allée des Chênes", "{} place de l'Église"),
    "BE": ("Molenstraat {}", "Rue du Moulin {}", "Kerkplein {} bus 3"),
    "PL": (
        "ul. Kwiatowa {}",
        "ul. Źródlana {}/7",
        "al. Dębowa {}",
        "os. Słoneczne {} m. 12",
        "ul. 3 Maja {}",
    ),
    "ES": ("Calle de los Olivos {}", "Avda. del Peñón, {}, 3º B", "Plaza de España {}", "C/ Ñuñoa {}"),
}
# Calling code, area, the digits every number of the range begins with, how many digits follow.
PHONES = {
    "US": (("+1", "512", "55501", 2), ("+1", "617", "55501", 2), ("+1", "503", "55501", 2)),
    "GB": (("+44", "7700", "900", 3), ("+44", "1632", "960", 3), ("+44", "20", "79460", 3)),
    "DE": (("+49", "176", "040690", 2), ("+49", "30", "23125", 3), ("+49", "89", "99998", 3)),
    "AT": (),
    "FR": (("+33", "6", "3998", 4), ("+33", "1", "9900", 4)),
    "BE": (("+32", "440", "00", 4),),
    "PL": (("+48", "400", "100", 3),),
    "ES": (("+34", "400", "000", 3),),
}
LANGUAGES = {"US": "en", "GB": "en", "DE": "de", "AT": "de", "FR": "fr", "BE": "nl", "PL": "pl", "ES": "es"}
COUNTRY_NAMES = {
    "US": "United States",
    "GB": "United Kingdom",
    "DE": "Germany",
    "AT": "Austria",
    "FR": "France",
    "BE": "Belgium",
    "PL": "Poland",
    "ES": "Spain",
}
# As the people of that country write it.
OWN_COUNTRY_NAMES = {
    **COUNTRY_NAMES,
    "DE": "Deutschland",
    "AT": "Österreich",
    "BE": "Belgique",
    "PL": "Polska",
    "ES": "España",
}
COMPANIES = (
    "Kranich & Sons",
    "Blue Door Ltd",
    'Studio "Nord"',
    "Atelier Prisme",
    "Zielony Most",
    "Casa Olivo, S.L.",
)
JOBS = ("Head of Sales", "Buyer", "Designer", "Office Manager", "Teacher", "Software Engineer")
NOTES = (
    "Prefers calls in the morning",
    'Asked for the "large" catalogue, twice',
    "Met at the fair; wants a visit",
    "Allergic to nuts\nNo deliveries on Mondays",
    "Paid by invoice",
)
TAGS = ("VIP", "Wholesale", "Berlin 2024", "Trade fair", "Newsletter-2019", "Räder & Teile", "Loyalty")
DOMAINS = ("example.com", "example.org", "example.net", "mail.example", "post.example", "kranich.example")
