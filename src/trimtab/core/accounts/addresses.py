"""E-mail addresses, by which people are known before they have signed in: which ones are taken, and when two are the same.

Only ASCII is taken, and only its letters are folded. Unicode's own folding makes the Kelvin sign a k and the long s an s, so that whoever
holds such an address at an issuer could sign in as somebody else. A domain with other letters has an ASCII spelling (RFC 5890).
"""

from __future__ import annotations

_LONGEST = 254


def address_key(address: str) -> str:
    """What two spellings of one address have in common; of what is no address, itself."""
    return address.lower() if address.isascii() else address


def fault_of_address(address: str) -> tuple[str, str] | None:
    """What is wrong with it and what to do, or ``None``."""
    local, _, domain = address.rpartition("@")
    if not (local and domain) or len(address) > _LONGEST or not address.isprintable() or " " in address:
        return "That is not an e-mail address.", "Write it as name@example.com."
    if not address.isascii():
        return (
            "An e-mail address is written in ASCII here: other letters can look, or compare, like those of somebody else.",
            "Write the domain in its ASCII spelling (xn--...), and take an address whose name has no other letters.",
        )
    return None
