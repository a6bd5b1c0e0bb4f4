/* tests/cmd/community.h - Contracts that the tests of mappings feed: every type once, references in
 * both directions. */
#pragma once

#include "check.h"

static const char users_text[] = "resource: users\n"
                                 "fields:\n"
                                 "  name:   { type: string, max: 20, required: true }\n"
                                 "  bio:    { type: text }\n"
                                 "  mail:   { type: email, unique: true }\n"
                                 "  home:   { type: url }\n"
                                 "  age:    { type: integer, min: 0 }\n"
                                 "  height: { type: number }\n"
                                 "  active: { type: boolean, default: true }\n"
                                 "  seen:   { type: time, readonly: true }\n"
                                 "  born:   { type: date }\n"
                                 "  token:  { type: uuid }\n"
                                 "  extra:  { type: json }\n"
                                 "  marks:  { type: list, of: string, default: [] }\n"
                                 "  points: { type: list, of: integer, optional: true }\n"
                                 "  level:  { enum: [low, high], default: low }\n"
                                 "  fee:    { type: money, optional: true }\n"
                                 "  face:   { type: media }\n"
                                 "  best:   { ref: posts, on_delete: set_null }\n"
                                 "  post_count: { count: posts.author }\n";
static const char posts_text[] = "resource: posts\n"
                                 "fields:\n"
                                 "  author: { ref: users, on_delete: set_null }\n"
                                 "  parent: { ref: posts, on_delete: cascade }\n"
                                 "  body:   { type: text, required: true }\n";
static const char likes_text[] = "resource: likes\n"
                                 "fields:\n"
                                 "  user: { ref: users, required: true, on_delete: cascade }\n"
                                 "  post: { ref: posts, required: true, on_delete: cascade }\n";

static inline struct contract_set *community(struct arena *arena)
{
    const struct contract_source sources[] = {
        { SLICE("users.yaml"), SLICE(users_text) },
        { SLICE("posts.yaml"), SLICE(posts_text) },
        { SLICE("likes.yaml"), SLICE(likes_text) },
    };
    return set_of(arena, sources, ARRAY_LEN(sources));
}
