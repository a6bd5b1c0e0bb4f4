/*
 * cmd/edge.h - The edge as the configuration asks for it: keys of struct config to the options of
 * net/ and http/.
 */
#pragma once

#include "base/status.h"
#include "http/http.h"

struct arena;
struct config;
struct diag;

/* The keys marked per_route, as http/ wants them. */
struct http_policy edge_policy(const struct config *config, struct slice match);
/* The policy for all and one for each item of `routes`. EXHAUSTED. */
enum status edge_policies(const struct config *config, struct arena *arena,
                          struct http_options *options);

/*
 * Make the keys of `signature.keys`, which http_app_new takes over.
 *
 * Errors   INVALID, with every key that is none in `diag`.
 */
enum status edge_signature_keys(const struct config *config, struct arena *arena, struct diag *diag,
                                struct http_options *options);
/* Who is trusted to speak for whom, and the names that are answered to. `config` outlives the app.
 * EXHAUSTED. */
enum status edge_clients(const struct config *config, struct arena *arena,
                         struct http_options *options);
