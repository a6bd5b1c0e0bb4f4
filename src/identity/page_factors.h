/*
 * identity/page_factors.h - Pages about second factors that handlers of the API answer forms with.
 * Private to the room.
 */
#pragma once

#include <stdbool.h>

#include "base/status.h"

struct http_request;
struct identity_recovery;
struct task;

/* The only time that codes are shown. `is_first`: they came with a factor. */
enum status identity_page_codes(struct task *task, struct http_request *req,
                                const struct identity_recovery *codes, bool is_first);
