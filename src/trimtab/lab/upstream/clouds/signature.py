"""Does an AWS signature fit the request as it was received? Worked out again from the bytes on the wire, and on purpose apart from the
code that signs.

Source: IAM user guide, "Elements of an AWS API request signature" and "Create a signed AWS API request".
"""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import quote

from trimtab.lab.upstream.loopback import Received

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<day>\d{8})/(?P<region>[a-z0-9-]+)/(?P<service>[a-z]+)/aws4_request, "
    r"SignedHeaders=(?P<names>[a-z0-9;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)


def fault_in_signature(received: Received, secret: str) -> str:
    """``""`` where the signature fits, else what does not."""
    told = _AUTHORIZATION.fullmatch(received.headers.get("authorization", ""))
    if told is None:
        return "there is no Authorization header that can be read"
    names = told["names"].split(";")
    needed = {"host", *(name for name in received.headers if name.startswith("x-amz-"))}
    if missing := needed - set(names):
        return f"{', '.join(sorted(missing))} must be signed"
    moment = received.headers.get("x-amz-date", "")
    if moment[:8] != told["day"]:
        return "the credential is of another day"
    path, _, query = received.path.partition("?")
    request = [
        received.method,
        "/".join(quote(segment, safe="~") for segment in path.split("/")),
        "&".join(sorted(query.split("&"))) if query else "",
        *(f"{name}:{re.sub(' +', ' ', received.headers.get(name, '').strip())}" for name in sorted(names)),
        "",
        told["names"],
        hashlib.sha256(received.body).hexdigest(),
    ]
    scope = (told["day"], told["region"], told["service"], "aws4_request")
    digest = hashlib.sha256("\n".join(request).encode()).hexdigest()
    key = ("AWS4" + secret).encode()
    for part in (*scope, "\n".join(("AWS4-HMAC-SHA256", moment, "/".join(scope), digest))):
        key = hmac.digest(key, part.encode(), "sha256")
    return "" if hmac.compare_digest(key.hex(), told["signature"]) else "the signature is another"
