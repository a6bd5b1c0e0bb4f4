/*
 * identity/agent.h - What a User-Agent says in words: "Firefox on Windows". Private to the room.
 *
 * A hint for people who look for what is theirs in a list, nothing more: whoever sends the header
 * writes it. No database, so a browser that is not one of the few goes by its own first word.
 */
#pragma once

#include "base/slice.h"

struct arena;

#define IDENTITY_AGENT_WORDS_MAX 64u /* bytes */

/* Never empty: "An unknown device" when it says nothing. Memory   constant, or in the arena. */
struct slice identity_agent_words(struct arena *arena, struct slice agent);
