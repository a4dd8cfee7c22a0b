"""JSON Web Tokens, as far as the shop needs them (RFC 7515, RFC 7519): HS256 and, for the weak twin, `none`."""
import base64
import hashlib
import hmac
import json
import time

ISSUER, AUDIENCE = "https://login.shop.example", "shop"


class BadToken(Exception):
    """Not a token, or not to be trusted."""


def encode(claims, secret):
    head = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    signed = f"{head}.{part(json.dumps(claims).encode())}"
    return f"{signed}.{signature(signed, secret)}"


def decode(token, secret, allow_none):
    """The claims of a token whose signature holds. Says nothing about its time."""
    try:
        head, claims, given = token.split(".")
        algorithm = json.loads(bytes_of(head))["alg"]
        found = json.loads(bytes_of(claims))
    except (ValueError, KeyError, TypeError) as error:
        raise BadToken("not a token") from error
    if algorithm.lower() == "none" and allow_none:
        return found
    if algorithm != "HS256" or not hmac.compare_digest(given, signature(f"{head}.{claims}", secret)):
        raise BadToken("bad signature")
    return found


def signature(signed, secret):
    return part(hmac.new(secret, signed.encode(), hashlib.sha256).digest())


def part(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def bytes_of(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def claims_of(user, use, lifetime, issued=None):
    """Claims of a token for `use`; without `exp` when `lifetime` is None."""
    issued = int(time.time() if issued is None else issued)
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": str(user["id"]), "tenant": user["tenant"], "role": user["role"],
              "use": use, "iat": issued}
    if lifetime is not None:
        claims["exp"] = issued + lifetime
    return claims
