"""A person → the cells of their row in the exports of shops, customer relations and support tools."""

from tests.imports.layouts.filling import Cells, Filling, birth, moment, money, other_e164, spaced
from tests.imports.layouts.people import NEVER, NO, YES, Person

_YES_NO = {YES: "yes", NO: "no", NEVER: "no"}
_ONE_ZERO = {YES: "0", NO: "1", NEVER: "0"}  # an opt-out


def _escaped(phone: str) -> str:
    """With the apostrophe that keeps a spreadsheet from counting."""
    return f"'{phone}" if phone else ""


def shopify(person: Person) -> Cells:
    return {
        "Customer ID": f"'{7_210_448_300_000 + person.number * 977}",
        "First Name": person.first,
        "Last Name": person.last,
        "Email": person.email,
        "Accepts Email Marketing": _YES_NO[person.newsletter],
        "Default Address Company": person.company,
        "Default Address Address1": person.address,
        "Default Address City": person.city,
        "Default Address Province Code": person.state_code,
        "Default Address Country Code": person.country_code,
        "Default Address Zip": person.postcode,
        "Default Address Phone": _escaped(other_e164(person)) if person.city else "",
        "Phone": _escaped(person.e164),
        "Accepts SMS Marketing": _YES_NO[person.sms],
        "Total Spent": money(person.spent),
        "Total Orders": str(person.orders),
        "Note": person.note,
        "Tax Exempt": "no",
        "Tags": ", ".join(person.tags),
    }


def shopify_old(person: Person) -> Cells:
    return {
        "First Name": person.first,
        "Last Name": person.last,
        "Email": person.email,
        "Company": person.company,
        "Address1": person.address,
        "City": person.city,
        "Province": person.state,
        "Province Code": person.state_code,
        "Country": person.country_name,
        "Country Code": person.country_code,
        "Zip": person.postcode,
        "Phone": _escaped(person.e164),
        "Accepts Marketing": _YES_NO[person.newsletter],
        "Total Spent": money(person.spent),
        "Total Orders": str(person.orders),
        "Tags": ", ".join(person.tags),
        "Note": person.note,
        "Tax Exempt": "no",
    }


def woocommerce(person: Person) -> Cells:
    is_guest = person.number % 3 == 0
    return {
        "Name": person.name,
        "Username": "" if is_guest else person.email.partition("@")[0],
        "Last Active": moment(person.seen),
        "Sign Up": "" if is_guest else moment(person.joined),
        "Email": person.email,
        "Orders": str(person.orders),
        "Total Spend": money(person.spent),
        "AOV": money(person.spent / person.orders) if person.orders else "0",
        "Country / Region": person.country_code,
        "City": person.city,
        "Region": person.state_code,
        "Postal Code": person.postcode,
        "Billing Phone": _escaped(person.e164),
        "Shipping Phone": _escaped(other_e164(person)),
        "Role": "" if is_guest else "customer",
    }


def woocommerce_users(person: Person) -> Cells:
    login = person.email.partition("@")[0]
    number = str(person.number + 3)
    address = {
        "address_1": person.address,
        "postcode": person.postcode,
        "city": person.city,
        "country": person.country_code,
    }
    cells = {
        "ID": number,
        "customer_id": number,
        "user_login": login,
        "user_nicename": login.replace(".", "-").replace("_", "-"),
        "user_email": person.email,
        "user_registered": moment(person.joined),
        "display_name": person.name,
        "first_name": person.first,
        "last_name": person.last,
        "user_status": "0",
        "roles": "customer",
        "nickname": login,
        "rich_editing": "true",
        "syntax_highlighting": "true",
        "admin_color": "fresh",
        "use_ssl": "0",
        "show_admin_bar_front": "true",
        "locale": f"{person.language}_{person.country}" if person.number % 2 else "",
        "wp_user_level": "0",
        "show_welcome_panel": "",
        "last_update": str(1_700_000_000 + person.number * 86_413),
    }
    if person.city:
        cells |= {f"billing_{part}": cell for part, cell in address.items()}
        cells |= {
            "billing_first_name": person.first,
            "billing_last_name": person.last,
            "billing_company": person.company,
            "billing_email": person.other_email or person.email,
            "billing_phone": person.local_phone,
        }
    if person.city and person.number % 4 == 0:
        cells |= {f"shipping_{part}": cell for part, cell in address.items()}
        cells |= {"shipping_first_name": person.first, "shipping_last_name": person.last}
    return cells


def hubspot(person: Person) -> Cells:
    # A switch nobody ever touched is empty.
    opted_out = {YES: "false" if person.number % 2 else "", NO: "true", NEVER: ""}[person.newsletter]
    return {
        "Record ID": str(2_151_000 + person.number * 50),
        "First Name": person.first,
        "Last Name": person.last,
        "Email": person.email,
        "Phone Number": spaced(person),
        "Mobile Phone Number": other_e164(person),
        "Contact owner": "Robin Sample" if person.number % 3 else "",
        "Last Activity Date": person.seen.strftime("%Y-%m-%d %H:%M"),
        "Lead Status": "Open deal" if person.number % 4 == 0 else "",
        "Marketing contact status": "Marketing contact" if person.number % 3 else "Non-marketing contact",
        "Create Date": person.joined.strftime("%Y-%m-%d %H:%M"),
        "Company Name": person.company,
        "Street Address": person.address,
        "City": person.city,
        "State/Region": person.state,
        "Postal Code": person.postcode,
        "Country/Region": person.country_name,
        "Job Title": person.job,
        "Lifecycle Stage": "Customer" if person.orders else "Lead",
        "Preferred language": person.language if person.number % 2 else "",
        "Date of birth": birth(person),
        "Legal basis for processing contact's data": "Freely given consent from contact"
        if person.newsletter == YES
        else "",
        "Unsubscribed from all email": opted_out,
        "Opted out of email: Marketing Information": opted_out if person.number % 3 else "",
        "Associated Company": person.company,
    }


def _salesforce(person: Person, prefix: str) -> Cells:
    return {
        "Id": f"{prefix}5e00000A{person.number:04}AAA",
        "IsDeleted": "0",
        "Salutation": {"F": "Ms.", "M": "Mr."}.get(person.gender, ""),
        "FirstName": person.first,
        "LastName": person.last or "[not provided]",  # it cannot be empty there
        "Phone": spaced(person),
        "MobilePhone": other_e164(person),
        "Email": person.email,
        "Title": person.job,
        "Description": person.note,
        "LeadSource": ("Web", "Trade Show", "")[person.number % 3],
        "CurrencyIsoCode": "EUR",
        "OwnerId": "0055e000001XyZ1AAK",
        "HasOptedOutOfEmail": _ONE_ZERO[person.newsletter],
        "HasOptedOutOfFax": "0",
        "DoNotCall": "1" if person.sms == NO else "0",
        "CreatedDate": moment(person.joined),
        "CreatedById": "0055e000001XyZ1AAK",
        "LastModifiedDate": moment(person.seen),
        "LastModifiedById": "0055e000001XyZ1AAK",
        "SystemModstamp": moment(person.seen),
        "LastActivityDate": f"{person.seen:%Y-%m-%d} 00:00:00" if person.number % 2 else "",
        "EmailBouncedReason": "550 5.1.1 unknown user" if person.number == 33 else "",
        "EmailBouncedDate": moment(person.seen) if person.number == 33 else "",
        "GenderIdentity": {"F": "Female", "M": "Male"}.get(person.gender, ""),
    }


def salesforce_contacts(person: Person) -> Cells:
    return {
        **_salesforce(person, "003"),
        "AccountId": f"0015e00000B{person.number // 3:04}AAQ",
        "MailingStreet": person.address,
        "MailingCity": person.city,
        "MailingState": person.state,
        "MailingPostalCode": person.postcode,
        "MailingCountry": person.country_name,
        "MailingStateCode": person.state_code,
        "MailingCountryCode": person.country_code,
        "Birthdate": f"{birth(person)} 00:00:00" if person.birth else "",
    }


def salesforce_leads(person: Person) -> Cells:
    return {
        **_salesforce(person, "00Q"),
        "Company": person.company or "[not provided]",
        "Street": person.address,
        "City": person.city,
        "State": person.state,
        "PostalCode": person.postcode,
        "Country": person.country_name,
        "StateCode": person.state_code,
        "CountryCode": person.country_code,
        "Status": "Open - Not Contacted",
        "IsConverted": "0",
        "IsUnreadByOwner": "1" if person.number % 4 == 0 else "0",
        "LastTransferDate": f"{person.joined:%Y-%m-%d} 00:00:00",
    }


def intercom(person: Person) -> Cells:
    return {
        "First name": person.first,
        "Last name": person.last,
        "Name": person.name,
        "Email": person.email,
        "Phone": person.e164,
        "User ID": f"{5000 + person.number}",
        "First Seen (UTC)": moment(person.joined),
        "Signed up (UTC)": moment(person.joined),
        "Last seen (UTC)": moment(person.seen),
        "Last contacted (UTC)": moment(person.seen) if person.number % 2 else "",
        "Web sessions": str(person.orders + 1),
        # Where the last request came from, not where the person lives.
        "Country": "Ireland" if person.number % 9 == 0 else person.country_name,
        "Region": person.state,
        "City": person.city,
        "Timezone": "Europe/Dublin" if person.number % 9 == 0 else "Europe/London",
        "Browser Language": person.language,
        "Browser": "chrome",
        "Browser Version": "128.0.0.0",
        "OS": "OS X 10.15.7",
        "Job Title": person.job,
        "Segment": "Active,New" if person.number % 5 == 0 else "Active",
        "Tag": ",".join(person.tags),
        "Unsubscribed from Emails": "true" if person.newsletter == NO else "false",
        "Marked email as spam": "false",
        "Has hard bounced": "true" if person.number == 21 else "false",
    }


def zendesk(person: Person) -> Cells:
    return {
        "name": person.name or person.email.partition("@")[0],
        "email": person.email,
        "external_id": f"acc_{900 + person.number}" if person.number % 4 else "",
        "details": person.job,
        "notes": person.note,
        "phone": person.e164,
        "role": "end-user",
        "organization": person.company,
        "tags": " ".join(tag.lower().replace(" ", "_").replace("_&_", "_") for tag in person.tags),
    }


def stripe(person: Person) -> Cells:
    is_customer = person.orders > 0
    return {
        "id": f"cus_Q{person.number * 982_451_653 % 36**6:010}xZ{person.number:02}",
        "Description": person.note,
        "Email": person.email,
        "Name": person.name,
        "Created (UTC)": person.joined.strftime("%Y-%m-%d %H:%M"),
        "Delinquent": "true" if person.number == 17 else "false",
        "Plan": "price_monthly" if is_customer else "",
        "Status": "active" if is_customer else "",
        "Total Spend": money(person.spent),
        "Payment Count": str(person.orders),
        "Refunded Volume": "0.00",
        "Dispute Losses": "0.00",
        "tag (metadata)": person.tags[0] if person.tags else "",
    }


def civicrm(person: Person) -> Cells:
    greeting = f"Dear {person.first or person.last}"
    return {
        "Contact ID": str(200 + person.number),
        "Contact Type": "Individual",
        "Do Not Email": "1" if person.newsletter == NO and person.number % 3 == 0 else "",
        "Do Not Phone": "1" if person.number == 14 else "",
        "Do Not Mail": "1" if person.number == 27 else "",
        "Do Not Sms": "1" if person.sms == NO else "",
        "No Bulk Emails (User Opt Out)": "1" if person.newsletter == NO else "",
        "External Identifier": f"M{person.number:04}" if person.number % 3 else "",
        "Sort Name": ", ".join(filter(None, (person.last, person.first))),
        "Display Name": person.name,
        "Preferred Mail Format": "Both",
        "Contact Hash": f"{person.number * 2_654_435_761:032x}",
        "Contact Source": "Membership form" if person.number % 2 else "",
        "First Name": person.first,
        "Last Name": person.last,
        "Individual Prefix": {"F": "Ms.", "M": "Mr."}.get(person.gender, ""),
        "Email Greeting ID": "1",
        "Postal Greeting ID": "1",
        "Addressee ID": "1",
        "Job Title": person.job,
        "Gender": {"F": "Female", "M": "Male"}.get(person.gender, ""),
        "Birth Date": birth(person),
        "Created Date": moment(person.joined),
        "Modified Date": moment(person.seen),
        "Addressee": person.name,
        "Email Greeting": greeting,
        "Postal Greeting": greeting,
        "Current Employer": person.company,
        "Location Type": "Home" if person.city else "",
        "Street Address": person.address,
        "City": person.city,
        "Postal Code": person.postcode,
        "State": person.state,
        "Country": person.country_name,
        "Phone": spaced(person),
        "Phone Type": "Phone" if person.phone else "",
        "Email": person.email,
        "Group(s)": "Members" if person.number % 4 else "Members,Board",
        "Tag(s)": ",".join(person.tags),
        "Note(s)": person.note,
        "Website": f"https://{person.email.partition('@')[2]}" if person.number % 10 == 0 else "",
    }


FILLINGS = {
    "shopify": Filling(shopify, "US GB ES", without_email=(8, 29)),
    "shopify_old": Filling(shopify_old, "US GB ES"),
    "woocommerce": Filling(woocommerce, "PL DE ES", twice=True),
    "woocommerce_users": Filling(woocommerce_users, "DE DE DE AT"),
    "hubspot": Filling(hubspot, "US GB DE"),
    "salesforce_contacts": Filling(salesforce_contacts, "US FR DE", twice=True),
    "salesforce_leads": Filling(salesforce_leads, "US GB PL", twice=True),
    "intercom": Filling(intercom, "GB US"),
    "zendesk": Filling(zendesk, "US GB DE"),
    "stripe": Filling(stripe, "US GB FR", twice=True),
    "civicrm": Filling(civicrm, "DE FR PL", twice=True),
}
