"""Sign-in for people, to the admin side: OpenID Connect by the authorization code flow, and sessions in cookies.

It knows nothing of rights: who signs in is a user of the accounts, and what a user may do is asked there.
"""

from trimtab.server.signin.flow import SignIn
from trimtab.server.signin.provider import IdentityProvider

__all__ = ["IdentityProvider", "SignIn"]
