"""An audit entry's action → what people read: “merged”, “looked at”. Apps add the words for theirs."""

from __future__ import annotations

from cdp.registry import Registry

# Action → the words between who did it and what it was done to.
action_words: Registry[str] = Registry("The words of the audit action")


def words_of(action: str) -> str:
    """The words of an action; of an unknown one its own name, readable: ``import.plan`` → “import plan”."""
    return action_words[action] if action in action_words else action.replace(".", " ").replace("_", " ")


def register(words: dict[str, str]) -> None:
    for action, text in words.items():
        action_words.register(action, text)


register(
    {
        "login": "signed in as",
        "logout": "signed out as",
        "login.failed": "failed to sign in as",
        "login.locked_out": "was locked out after wrong passwords for",
        "login.unlock": "unlocked the login",
        "login.unlock_address": "unlocked an address",
        "login.confirm": "confirmed the password of",
        "login.link_asked": "asked for a new password of",
        "key.create": "created",
        "key.revoke": "revoked",
        "key.hand_over": "handed over",
        "user.add": "created the login",
        "user.change": "changed the login",
        "user.delete": "deleted the login",
        "user.activate": "activated the login",
        "user.deactivate": "deactivated the login",
        "user.email": "changed the e-mail address of the login",
        "user.end_sessions": "ended sessions of the login",
        "user.invite": "sent a link to choose a password to the login",
        "user.password": "set the password of the login",
        "user.roles": "changed the roles of the login",
        "user.status": "changed the status of the login",
        "group.add": "created the role",
        "group.change": "changed the role",
        "group.delete": "deleted the role",
        "group.rights": "changed the rights of the role",
        "user.rights": "changed the single rights of the login",
        "webhook.add": "created",
        "webhook.change": "changed",
        "webhook.delete": "deleted",
        "webhook.replay": "resent the messages of",
        "webhook.secret": "renewed the secret of",
        "webhook.test": "sent a test to",
        "job.forbidden": "was no longer allowed to continue",
        "job.pause": "paused",
        "job.resume": "resumed",
        "job.cancel": "canceled",
    }
)
