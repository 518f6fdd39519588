"""HTTP digest access (RFC 7616), as FDSN's ``queryauth`` asks for it: passwords never travel.

Nonces are signed instants, so nothing is kept between requests.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from urllib.request import parse_http_list, parse_keqv_list

REALM = "FDSN"
_NONCE_LIFE_S = 300
_SECRET = secrets.token_bytes(32)
_NONCE = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{64})")


def password_hash(user: str, password: str) -> str:
    """Return what the file of users holds of a password: MD5 over user, realm and password."""
    return _md5(f"{user}:{REALM}:{password}")


def challenge(*, is_stale: bool = False) -> str:
    """Return the ``WWW-Authenticate`` header that asks for user and password."""
    stale = ", stale=true" if is_stale else ""
    return (
        f'Digest realm="{REALM}", qop="auth", algorithm=MD5, nonce="{_nonce(time.time())}"{stale}'
    )


def digest_user(
    header: str, method: str, target: str, hashes: Mapping[str, str]
) -> tuple[str | None, bool]:
    """Check the ``Authorization`` header of a request.

    Parameters
    ----------
    header : str
        The header.
    method, target : str
        Of the request; the target is path and query as they were sent.
    hashes : mapping
        `password_hash` by user.

    Returns
    -------
    user : str or None
        Who asks; None if that is not proven.
    is_stale : bool
        Whether the proof is good but for its age: the client may try again without asking.
    """
    kind, _, rest = header.partition(" ")
    if kind.lower() != "digest":
        return None, False
    try:
        given = parse_keqv_list(parse_http_list(rest))
    except (ValueError, IndexError):
        return None, False
    user, nonce = given.get("username", ""), given.get("nonce", "")
    known = hashes.get(user)
    is_ours, is_fresh = _checked(nonce)
    if known is None or not is_ours or given.get("uri") != target:
        return None, False
    if given.get("realm") != REALM or given.get("algorithm", "MD5").upper() != "MD5":
        return None, False
    middle = nonce
    if "qop" in given:
        parts = (nonce, given.get("nc", ""), given.get("cnonce", ""), given["qop"])
        middle = ":".join(parts)
    expected = _md5(f"{known}:{middle}:{_md5(f'{method}:{target}')}")
    if not hmac.compare_digest(expected.encode(), given.get("response", "").lower().encode()):
        return None, False
    return (user, False) if is_fresh else (None, True)


def _nonce(at: float) -> str:
    instant = f"{int(at):x}"
    return f"{instant}-{hmac.new(_SECRET, instant.encode(), hashlib.sha256).hexdigest()}"


def _checked(nonce: str) -> tuple[bool, bool]:
    """Tell whether a nonce is one of ours, and whether it is young enough."""
    match = _NONCE.fullmatch(nonce)
    if match is None or not hmac.compare_digest(_nonce(int(match[1], 16)), nonce):
        return False, False
    return True, 0 <= time.time() - int(match[1], 16) <= _NONCE_LIFE_S


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
