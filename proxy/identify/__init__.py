"""
From a bearer token to an identity.

    resolver    the one entrance: find (at once) or fetch (after its turn, and after the keys came)
    cache       tokens verified before; failures, tokens refused before
    turnstile   how many unknown tokens are looked at while they are bad
    jwt         verifies a token, one check after the other; strict, header, signature and registered
                hold what the checks need
    claims      signed claims become an identity
    keyring     the keys of all issuers; keys keeps those of one fresh, discovery and fetch get the
                documents, keyset reads them
    issuers     what is configured for an issuer
    profiles    what is known of an identity provider, one file each
"""
