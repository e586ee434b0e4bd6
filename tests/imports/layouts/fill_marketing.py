"""A person → the cells of their row in the exports of tools that send newsletters and campaigns."""

import json
from datetime import UTC

from tests.imports.layouts.filling import (
    Cells,
    Filling,
    birth,
    ip,
    iso_moment,
    moment,
    money,
    other_e164,
    spaced,
)
from tests.imports.layouts.people import NEVER, NO, YES, Person

_TIME_ZONES = {
    "US": "America/Chicago",
    "GB": "Europe/London",
    "DE": "Europe/Berlin",
    "FR": "Europe/Paris",
    "ES": "Europe/Madrid",
}


def _mailchimp(person: Person) -> Cells:
    # The whole address is one cell, its parts two spaces apart.
    parts = (person.address, person.city, person.state_code, person.postcode, person.country_code)
    was_asked = person.number % 3 == 0
    return {
        "Email Address": person.email,
        "First Name": person.first,
        "Last Name": person.last,
        "Address": "  ".join(filter(None, parts)),
        "Phone Number": spaced(person),
        "Birthday": birth(person, "%m/%d"),
        "MEMBER_RATING": str(1 + person.number % 5),
        "OPTIN_TIME": moment(person.joined) if was_asked else "",
        "OPTIN_IP": ip(person) if was_asked else "",
        "CONFIRM_TIME": moment(person.joined),
        "CONFIRM_IP": ip(person),
        "GMTOFF": "1" if person.country == "DE" else "",
        "DSTOFF": "2" if person.country == "DE" else "",
        "TIMEZONE": _TIME_ZONES[person.country] if person.country == "DE" else "",
        "CC": person.country.lower() if was_asked else "",
        "REGION": person.state_code.lower() if was_asked else "",
        "LEID": str(480_112_000 + person.number * 37),
        "EUID": f"{person.number * 271_828_183_7 % 16**10:010x}",
        "NOTES": person.note,
        "TAGS": ",".join(f'"{tag}"' for tag in person.tags),
    }


def mailchimp_subscribed(person: Person) -> Cells:
    return {**_mailchimp(person), "LAST_CHANGED": moment(person.seen)}


def mailchimp_unsubscribed(person: Person) -> Cells:
    return {
        **_mailchimp(person),
        "UNSUB_TIME": moment(person.seen),
        "UNSUB_CAMPAIGN_TITLE": "Spring news, second try" if person.number % 2 else "",
        "UNSUB_CAMPAIGN_ID": "a1b2c3d4e5" if person.number % 2 else "",
        "UNSUB_REASON": "not_interested" if person.number % 3 else "",
    }


def mailchimp_cleaned(person: Person) -> Cells:
    return {
        **_mailchimp(person),
        "CLEAN_TIME": moment(person.seen),
        "CLEAN_CAMPAIGN_TITLE": "Summer sale",
        "CLEAN_CAMPAIGN_ID": "f6a7b8c9d0",
    }


def klaviyo(person: Person) -> Cells:
    suppression = {
        NO: "UNSUBSCRIBED",
        YES: {7: "HARD_BOUNCE", 11: "USER_SUPPRESSED"}.get(person.number % 17, ""),
    }
    since = {YES: person.joined, NO: person.left, NEVER: None}[person.newsletter]
    return {
        "Email": person.email,
        "Klaviyo ID": f"01HX{person.number * 7_919_993:022X}",
        "First Name": person.first,
        "Last Name": person.last,
        "Organization": person.company,
        "Title": person.job,
        "Phone Number": person.e164,
        "Address": person.address,
        "City": person.city,
        "State / Region": person.state,
        "Country": person.country_name,
        "Zip Code": person.postcode,
        "Source": "Footer form" if person.newsletter == YES else "",
        "IP Address": ip(person) if person.newsletter == YES else "",
        "Email Marketing Consent": {YES: "SUBSCRIBED", NO: "UNSUBSCRIBED", NEVER: "NEVER_SUBSCRIBED"}[
            person.newsletter
        ],
        "Email Marketing Consent Timestamp": iso_moment(since),
        "Historic Customer Lifetime Value": money(person.spent),
        "Total Customer Lifetime Value": money(person.spent * 1.2),
        "Predicted Customer Lifetime Value": money(person.spent * 0.2),
        "Average Order Value": money(person.spent / person.orders) if person.orders else "",
        "Historic Number Of Orders": str(person.orders),
        "First Active": iso_moment(person.joined),
        "Last Active": iso_moment(person.seen),
        "Profile Created On": iso_moment(person.joined),
        "Date Added": iso_moment(person.joined),
        "Last Open": iso_moment(person.seen) if person.newsletter == YES else "",
        "Average Days Between Orders": "41" if person.orders > 1 else "",
        "Email Suppressions": suppression.get(person.newsletter, ""),
    }


def brevo(person: Person) -> Cells:
    return {
        "CONTACT ID": str(person.number + 12),
        "EMAIL": person.email,
        "LASTNAME": person.last,
        "FIRSTNAME": person.first,
        "WHATSAPP": other_e164(person).lstrip("+"),
        "SMS": person.e164.lstrip("+"),
        "DOUBLE_OPT-IN": {YES: "Yes", NO: "Yes", NEVER: ""}[person.newsletter],
        "OPT_IN": {YES: "Yes", NO: "No", NEVER: ""}[person.newsletter],
        "EXT_ID": f"C-{20_000 + person.number * 3}" if person.number % 4 else "",
        "CONTACT_TIMEZONE": _TIME_ZONES[person.country] if person.number % 5 == 0 else "",
        "JOB_TITLE": person.job,
        "ADDED_TIME": person.joined.strftime("%d-%m-%Y"),
        "MODIFIED_TIME": person.seen.strftime("%d-%m-%Y"),
    }


def activecampaign(person: Person) -> Cells:
    was_asked = "Unconfirmed" if person.number % 2 else "Bounced"
    return {
        "Email": person.email,
        "First Name": person.first,
        "Last Name": person.last,
        "Phone": spaced(person),
        "Tags": ", ".join(person.tags),
        "Date Created": moment(person.joined),
        "IP": ip(person),
        "Status": {YES: "Active", NO: "Unsubscribed", NEVER: was_asked}[person.newsletter],
    }


def customerio(person: Person) -> Cells:
    topics = {"topics": {"topic_1": person.newsletter == YES, "topic_2": False}}
    return {
        "cio_id": f"d9cc0300{person.number:04x}",
        "id": f"user-{3100 + person.number}",
        "email": person.email,
        "created_at": str(int(person.joined.replace(tzinfo=UTC).timestamp())),
        "first_name": person.first,
        "last_name": person.last,
        "phone": person.e164,
        "unsubscribed": {YES: "false", NO: "true", NEVER: ""}[person.newsletter],
        "cio_subscription_preferences": json.dumps(topics) if person.number % 6 == 0 else "",
        "city": person.city,
        "country": person.country_code,
        "plan": ("free", "basic", "premium")[person.number % 3],
    }


def braze(person: Person) -> Cells:
    return {
        "external_id": f"ext{70_000 + person.number}",
        "first_name": person.first,
        "last_name": person.last,
        "email": person.email,
        "country": person.country_code,
        "dob": birth(person),
        "gender": person.gender or ("N" if person.number % 2 else ""),
        "home_city": person.city,
        "language": person.language,
        "phone": person.e164,
        "email_open_tracking_disabled": "false",
        "email_click_tracking_disabled": "false",
        "email_subscribe": {YES: "opted_in", NO: "unsubscribed", NEVER: "subscribed"}[person.newsletter],
        "push_subscribe": {YES: "opted_in", NO: "unsubscribed", NEVER: "subscribed"}[person.sms],
        "time_zone": _TIME_ZONES[person.country],
        "date_of_first_session": iso_moment(person.joined),
        "date_of_last_session": iso_moment(person.seen),
        "subscription_group_id": "6f4c2a1e-0000-4000-8000-00000000a001" if person.number % 4 == 0 else "",
        "subscription_state": ("unsubscribed" if person.newsletter == NO else "subscribed")
        if person.number % 4 == 0
        else "",
    }


def synerise(person: Person) -> Cells:
    words = {YES: "enabled", NO: "disabled", NEVER: ""}
    return {
        "email": person.email,
        "firstname": person.first,
        "lastname": person.last,
        "displayname": person.name if person.number % 3 == 0 else "",
        "phone": person.e164,
        "birthdate": birth(person),
        "sex": {"F": "FEMALE", "M": "MALE"}.get(person.gender, "NOT_SPECIFIED"),
        "company": person.company,
        "address": person.address,
        "city": person.city,
        "zipCode": person.postcode,
        "province": person.state,
        "countryCode": person.country_code,
        "newsletter_agreement": words[person.newsletter],
        "receive_smses": words[person.sms],
        "tags": ",".join(person.tags),
        "custom_identify": f"CRM{400_000 + person.number * 11}",
    }


def prepr(person: Person) -> Cells:
    street, _, behind = person.street.partition("{}")
    is_member = person.newsletter == YES
    return {
        "first_name": person.first,
        "last_name": person.last,
        "email": person.email,
        "phone_number": person.e164.lstrip("+"),
        "gender": person.gender or ("O" if person.number % 2 else ""),
        "date_of_birth": birth(person, "%d-%m-%Y"),
        "street": street.strip(),
        "house_number": f"{person.house}{behind}",
        "zip_code": person.postcode,
        "city": person.city,
        "country": person.country_name,
        "job_title": person.job,
        "organization": person.company,
        "tags": ",".join(person.tags),
        "reference_id": f"ref{person.number:05}" if person.number % 5 else "",
        "terms": f"{person.joined:%d-%m-%Y}:a1b2c3" if is_member else "",
    }


def mautic(person: Person) -> Cells:
    return {
        "id": str(person.number + 5),
        "title": {"F": "Ms", "M": "Mr"}.get(person.gender, ""),
        "firstname": person.first,
        "lastname": person.last,
        "company": person.company,
        "position": person.job,
        "email": person.email,
        "mobile": person.e164,
        "phone": other_e164(person),
        "points": str(person.orders * 5),
        "address1": person.address,
        "city": person.city,
        "state": person.state,
        "zipcode": person.postcode,
        "country": person.country_name,
        "preferred_locale": person.language if person.number % 2 else "",
        "timezone": _TIME_ZONES[person.country],
        "last_active": moment(person.seen),
        "attribution": "0",
    }


FILLINGS = {
    "mailchimp_subscribed": Filling(mailchimp_subscribed, "US GB DE"),
    "mailchimp_unsubscribed": Filling(mailchimp_unsubscribed, "US GB DE"),
    "mailchimp_cleaned": Filling(mailchimp_cleaned, "US GB DE"),
    "klaviyo": Filling(klaviyo, "US GB FR"),
    "brevo": Filling(brevo, "FR DE ES"),
    "activecampaign": Filling(activecampaign, "US GB"),
    "customerio": Filling(customerio, "US DE FR"),
    "braze": Filling(braze, "US GB DE ES"),
    "synerise": Filling(synerise, "PL"),
    "prepr": Filling(prepr, "BE"),
    "mautic": Filling(mautic, "US FR DE"),
}
