"""Profiles that changed, or all of them → candidate pairs with scores, and the cases they form, in the
database.

Changed profiles come from the table ``profiles_matchqueue``. Triggers fill it, whichever code writes a
profile or an identifier: migration ``profiles/0002_match_queue``. ``match_queue`` empties it.
"""
