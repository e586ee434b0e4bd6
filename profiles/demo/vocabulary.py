"""Word lists for made-up people: common names, real towns, invented streets, numbers nobody has.

Addresses are at domains reserved for examples (RFC 2606). Phone numbers come from ranges that regulators set
aside for fiction; a country without such a range has no numbers here.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Country:
    """One country: its share of the customers, names, towns with the start of their postcodes, phone ranges.

    A phone range is a prefix and how many digits follow it.
    """

    country: str
    language: str
    share: int
    women: tuple[str, ...]
    men: tuple[str, ...]
    last: tuple[str, ...]
    towns: tuple[tuple[str, str, str], ...]
    streets: tuple[str, ...]
    postcode: str
    phones: tuple[tuple[str, int], ...] = ()


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


COUNTRIES = (
    Country(
        "GB",
        "en",
        26,
        _names(
            "Amelia Olivia Emily Charlotte Grace Sophie Lucy Hannah Katherine Elizabeth Margaret Alice Ruby Freya Ella"
        ),
        _names(
            "Oliver George Harry Jack William James Thomas Robert Michael Edward Daniel Samuel Joseph Henry Alexander"
        ),
        _names(
            "Smith Jones Taylor Brown Wilson Davies Evans Walker Wright Thompson Robinson White Hughes Green Hall"
            " Clarke Harris Cooper Ward Turner"
        ),
        (
            ("Manchester", "M", "Greater Manchester"),
            ("Leeds", "LS", "West Yorkshire"),
            ("Bristol", "BS", "Bristol"),
            ("London", "SE", "Greater London"),
            ("Glasgow", "G", "Scotland"),
        ),
        _names("Orchard Mill Station Church Victoria Park Meadow"),
        "{area}{d} {d}AB",
        (("+447700900", 3),),
    ),
    Country(
        "US",
        "en",
        20,
        _names(
            "Emma Ava Sophia Isabella Mia Abigail Madison Elizabeth Jennifer Jessica Katherine Margaret Susan Rebecca"
        ),
        _names(
            "Liam Noah Mason Ethan Jacob Michael William Robert Christopher Andrew Joshua Matthew Anthony David"
        ),
        _names(
            "Johnson Williams Miller Davis Garcia Rodriguez Martinez Anderson Thomas Moore Jackson Lee Perez Lewis"
            " Young Allen King Scott Nguyen Hill"
        ),
        (
            ("Portland", "972", "OR"),
            ("Austin", "787", "TX"),
            ("Denver", "802", "CO"),
            ("Chicago", "606", "IL"),
            ("Boston", "021", "MA"),
        ),
        _names("Maple Oak Cedar Washington Lake Hill Pine"),
        "{area}{d}{d}",
        (("+150355501", 2), ("+151255501", 2), ("+130355501", 2), ("+131255501", 2), ("+161755501", 2)),
    ),
    Country(
        "DE",
        "de",
        18,
        _names(
            "Anna Lena Marie Sophie Johanna Katharina Laura Julia Sarah Lea Hanna Clara Elisabeth Franziska"
        ),
        _names(
            "Lukas Leon Paul Jonas Felix Maximilian Jan Tobias Sebastian Alexander Thomas Andreas Stefan Jürgen"
        ),
        _names(
            "Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Koch Bauer Richter Klein Wolf"
            " Schröder Neumann Schwarz Krüger Braun"
        ),
        (
            ("Berlin", "10", "Berlin"),
            ("Hamburg", "20", "Hamburg"),
            ("München", "80", "Bayern"),
            ("Köln", "50", "Nordrhein-Westfalen"),
            ("Leipzig", "04", "Sachsen"),
        ),
        _names("Gartenstraße Bahnhofstraße Lindenallee Schulstraße Bergweg Rosenweg"),
        "{area}{d}{d}{d}",
        (("+4917139200", 2), ("+49176040690", 2)),
    ),
    Country(
        "FR",
        "fr",
        14,
        _names("Camille Léa Manon Chloé Emma Inès Sarah Louise Élodie Juliette Aurélie Claire Hélène Anaïs"),
        _names(
            "Lucas Hugo Louis Gabriel Arthur Jules Nathan Théo Antoine Maxime Nicolas François Étienne Mathieu"
        ),
        _names(
            "Martin Bernard Dubois Thomas Robert Richard Petit Durand Leroy Moreau Simon Laurent Lefèvre Michel Garnier"
            " Roux Fournier Girard Bonnet Mercier"
        ),
        (
            ("Lyon", "690", "Auvergne-Rhône-Alpes"),
            ("Nantes", "440", "Pays de la Loire"),
            ("Lille", "590", "Hauts-de-France"),
            ("Paris", "750", "Île-de-France"),
            ("Toulouse", "310", "Occitanie"),
        ),
        ("rue des Lilas", "rue du Moulin", "avenue Foch", "place du Marché", "rue de la Gare"),
        "{area}{d}{d}",
        (("+3363998", 4),),
    ),
    Country(
        "PL",
        "pl",
        13,
        _names(
            "Anna Katarzyna Małgorzata Agnieszka Zofia Julia Zuzanna Maja Magdalena Joanna Ewa Elżbieta Aleksandra"
        ),
        _names(
            "Piotr Krzysztof Andrzej Tomasz Jan Paweł Michał Marcin Jakub Adam Łukasz Kacper Mateusz Filip"
        ),
        _names(
            "Nowak Wójcik Kowalczyk Woźniak Mazur Krawczyk Kaczmarek Zając Król Wieczorek Jabłoński Wróbel Stępień"
            " Pawlak Michalak Dudek Sikora Baran Szewczyk Pietrzak"
        ),
        (
            ("Warszawa", "00", "mazowieckie"),
            ("Kraków", "30", "małopolskie"),
            ("Gdańsk", "80", "pomorskie"),
            ("Wrocław", "50", "dolnośląskie"),
            ("Poznań", "60", "wielkopolskie"),
        ),
        ("ul. Ogrodowa", "ul. Polna", "ul. Lipowa", "ul. Słoneczna", "ul. Szkolna"),
        "{area}-{d}{d}{d}",
    ),
    Country(
        "SE",
        "sv",
        9,
        _names("Elsa Alma Astrid Linnéa Maja Ebba Sara Johanna Karin Kristina Ingrid Åsa Emelie"),
        _names("Erik Lars Karl Anders Johan Nils Oscar Gustav Mikael Björn Axel Viktor Hugo"),
        _names(
            "Andersson Johansson Karlsson Nilsson Eriksson Larsson Olsson Persson Svensson Gustafsson Lindberg"
            " Lindström Bergström Sandberg Forsberg"
        ),
        (
            ("Stockholm", "11", "Stockholm"),
            ("Göteborg", "41", "Västra Götaland"),
            ("Malmö", "21", "Skåne"),
            ("Uppsala", "75", "Uppsala"),
        ),
        _names("Storgatan Kungsgatan Skolgatan Björkvägen Parkvägen"),
        "{area}{d} {d}{d}",
        tuple((f"+467017406{digit}", 1) for digit in range(1, 10)),
    ),
)

# What people call themselves on the phone, and what the web form has instead.
NICKNAMES = {
    "Elizabeth": "Liz",
    "Katherine": "Kate",
    "Margaret": "Maggie",
    "Robert": "Bob",
    "Michael": "Mike",
    "William": "Bill",
    "Thomas": "Tom",
    "Alexander": "Alex",
    "Daniel": "Dan",
    "Samuel": "Sam",
    "Joseph": "Joe",
    "James": "Jim",
    "Edward": "Ed",
    "Christopher": "Chris",
    "Andrew": "Andy",
    "Matthew": "Matt",
    "Anthony": "Tony",
    "Joshua": "Josh",
    "Jennifer": "Jen",
    "Jessica": "Jess",
    "Rebecca": "Becky",
    "Susan": "Sue",
    "Katharina": "Kathi",
    "Maximilian": "Max",
    "Sebastian": "Basti",
    "Johanna": "Hanna",
    "Katarzyna": "Kasia",
    "Małgorzata": "Gosia",
    "Agnieszka": "Aga",
    "Zuzanna": "Zuza",
    "Magdalena": "Magda",
    "Elżbieta": "Ela",
    "Aleksandra": "Ola",
    "Krzysztof": "Krzysiek",
    "Tomasz": "Tomek",
    "Michał": "Misiek",
    "Jakub": "Kuba",
}

MAIL_DOMAINS = ("example.com", "example.org", "example.net", "mail.example", "post.example", "inbox.example")

# sku, name, category, price, variants
PRODUCTS = (
    ("TEE-01", "Linen T-shirt", "Clothes", 29.0, ("S", "M", "L", "XL")),
    ("TEE-02", "Striped T-shirt", "Clothes", 24.0, ("S", "M", "L")),
    ("JKT-01", "Rain jacket", "Clothes", 119.0, ("S", "M", "L", "XL")),
    ("SWT-01", "Wool sweater", "Clothes", 89.0, ("S", "M", "L")),
    ("SHO-01", "Canvas sneakers", "Shoes", 64.0, ("38", "40", "42", "44")),
    ("SHO-02", "Hiking boots", "Shoes", 149.0, ("38", "40", "42", "44")),
    ("SHO-03", "House slippers", "Shoes", 34.0, ("38", "40", "42")),
    ("BAG-01", "Weekend bag", "Bags", 98.0, ("sand", "navy")),
    ("BAG-02", "City backpack", "Bags", 79.0, ("black", "olive")),
    ("MUG-01", "Stoneware mug", "Home", 14.0, ("white", "blue")),
    ("LMP-01", "Desk lamp", "Home", 59.0, ("brass", "black")),
    ("BLK-01", "Cotton blanket", "Home", 49.0, ("gray", "rust")),
    ("CND-01", "Soy candle", "Home", 18.0, ("fig", "cedar")),
    ("BTL-01", "Steel bottle", "Outdoor", 26.0, ("500 ml", "750 ml")),
    ("TNT-01", "Two-person tent", "Outdoor", 189.0, ("green",)),
    ("MAT-01", "Sleeping mat", "Outdoor", 54.0, ("regular", "long")),
)
CATEGORIES = ("Clothes", "Shoes", "Bags", "Home", "Outdoor")

USER_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5"
    " Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148"
    " Safari/604.1",
)

PAGES = (
    ("/", "Home"),
    ("/new", "New in"),
    ("/sale", "Sale"),
    ("/stores", "Our stores"),
    ("/help/returns", "Returns"),
)

# name, color, what it is for
TAGS = (
    ("VIP", "amber", "Spent more than 500 in the last 120 days."),
    ("newsletter", "blue", "Signed up for the newsletter."),
    ("wholesale", "violet", "Buys for a shop of their own."),
    ("churn risk", "red", "No order for two months after buying often."),
    ("beta tester", "green", "Agreed to try new things first."),
    ("called support", "gray", "Talked to us on the phone."),
)

# Saved views of the team: name, query, columns.
VIEWS = (
    (
        "VIP, not seen in 14 days",
        "tag=VIP&last_seen_at_before=14d&sort=seen",
        ("country", "phone", "attributes.loyalty_points", "mail", "seen"),
    ),
    ("Added this week", "created_at_after=7d&type=recognized", ()),
    (
        "Newsletter, PL and DE",
        "country=PL&country=DE&consent=email%2Fnewsletter",
        ("city", "country", "mail", "seen"),
    ),
)

NOTES = (
    "Called about a late parcel. Sent a voucher, happy with it.",
    "Asked for an invoice with the company name on it.",
    "Prefers to be called after 5 pm.",
    "Returned boots, wrong size. Exchange sent the same day.",
    "Wants to hear when the tent is back in stock.",
    "Moved house in spring, address updated on the phone.",
    "Says two accounts exist since the web form was used without logging in.",
    "Very friendly. Wrote a review for the rain jacket.",
)
