"""The keys with which we sign who we are (SMART App Launch 2.2, client-confidential-asymmetric).

JOSE is `joserfc`: typed, kept by the author of Authlib, and without any network of its own.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, RSAKey

ALGORITHMS = ("RS384", "ES384")
_SHORTEST_RSA_BITS = 2048
_EC_BITS = 384
_LIFETIME_S = 150
"""Of an assertion; SMART allows 300, and clocks that differ by so much are borne without being learnt."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key; it is never shown.

    Parameters
    ----------
    algorithm
        ``RS384`` or ``ES384``.
    key_id
        Its thumbprint (RFC 7638): a new key has a new one by itself.
    """

    algorithm: str
    key_id: str
    _key: RSAKey | ECKey = field(repr=False)

    def public(self) -> Mapping[str, Any]:
        """Give the public half as a JWK (RFC 7517)."""
        half = self._key.as_dict(private=False)
        return {**half, "kid": self.key_id, "alg": self.algorithm, "use": "sig"}

    def assertion(self, client_id: str, token_url: str, now: float) -> str:
        """Sign that we are a client (RFC 7523); every assertion is another one.

        Parameters
        ----------
        now
            Seconds since 1970, as the token endpoint's clock has them.
        """
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": token_url,
            "exp": int(now) + _LIFETIME_S,
            "jti": str(uuid.uuid4()),
        }
        header = {"alg": self.algorithm, "kid": self.key_id, "typ": "JWT"}
        return jwt.encode(header, claims, self._key, algorithms=list(ALGORITHMS))


def read_key(pem: str) -> SigningKey:
    """Read a private key in PEM: RSA of at least 2048 bits, or EC P-384.

    Raises
    ------
    ValueError
        It is neither. The text is not part of the error.
    """
    for algorithm, kind in (("RS384", RSAKey), ("ES384", ECKey)):
        try:
            key = kind.import_key(pem)
        except (JoseError, SecurityWarning, ValueError, TypeError):
            continue
        if not key.is_private or not _is_strong(key):
            break
        return SigningKey(algorithm, key.thumbprint(), key)
    raise ValueError("no private key in PEM, RSA of at least 2048 bits or EC P-384") from None


def key_set(keys: Sequence[SigningKey]) -> dict[str, Any]:
    """Give the JWK Set that is registered with an authorization server (RFC 7517)."""
    return {"keys": [dict(key.public()) for key in keys]}


def _is_strong(key: RSAKey | ECKey) -> bool:
    if isinstance(key, ECKey):
        return key.raw_value.curve.key_size == _EC_BITS
    return key.raw_value.key_size >= _SHORTEST_RSA_BITS
