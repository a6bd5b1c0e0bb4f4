/*
 * cmd/edge.h - The edge as the configuration asks for it: keys of struct config to the options of
 * net/ and http/.
 */
#pragma once

#include "base/status.h"
#include "http/http.h"

struct arena;
struct config;

/* The policy for all and one for each item of `routes`. EXHAUSTED. */
enum status edge_policies(const struct config *config, struct arena *arena,
                          struct http_options *options);
