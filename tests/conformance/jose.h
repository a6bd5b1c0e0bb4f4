/*
 * tests/conformance/jose.h - Signed tokens for public vectors and for other implementations:
 *
 *   /verify  POST: {"jwk", "jws"} -> {"valid"}: does the key's signature hold? A key that is not
 *            usable holds for nothing. With "jwks" instead of "jwk", and perhaps "issuer",
 *            "audience" and "typ", all of an access token is checked -> {"valid", "refusal"}
 *   /sign    POST: {"alg", "typ", "claims"} -> {"jwks", "jws"}: by a new key
 */
#pragma once

#include <stdbool.h>

struct http_app;

bool jose_routes_add(struct http_app *app);
