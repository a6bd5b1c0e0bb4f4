/*
 * cmd/seed_text.h - Private to seed: words for a community of people who make and mend things. A
 * post is bound to a subject once, so that its title, its answers and the comments speak of the
 * same; the sentences around it vary.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

/* A generator of its own, so that the same seed gives the same community on every machine and
 * version (splitmix64). */
struct seed_random {
    uint64_t state;
};
uint64_t seed_next(struct seed_random *r);
/* 0 <= answer < n; n > 0. */
uint64_t seed_below(struct seed_random *r, uint64_t n);
/* True p times in a thousand. */
bool seed_chance(struct seed_random *r, unsigned per_thousand);
/* Few large, many small: 0 .. max, half of them 0 or 1 when `steep` is 2. */
unsigned seed_skewed(struct seed_random *r, unsigned max, unsigned steep);

struct seed_subject {
    unsigned topic, thing, problem, cause, remedy;
};
#define SEED_TOPICS 6u
#define SEED_TOPIC_TAGS 5u

struct seed_subject seed_subject(struct seed_random *r);

void seed_put_name(struct seed_random *r, unsigned index, struct buf *out);
void seed_put_location(struct seed_random *r, struct buf *out);
void seed_put_about(struct seed_random *r, struct buf *out); /* HTML */
void seed_put_question_title(struct seed_random *r, const struct seed_subject *s, struct buf *out);
void seed_put_question(struct seed_random *r, const struct seed_subject *s,
                       struct buf *out); /* HTML */
void seed_put_answer(struct seed_random *r, const struct seed_subject *s,
                     struct buf *out); /* HTML */
void seed_put_story_title(struct seed_random *r, const struct seed_subject *s, struct buf *out);
void seed_put_story(struct seed_random *r, const struct seed_subject *s,
                    struct buf *out); /* HTML */
void seed_put_comment(struct seed_random *r, const struct seed_subject *s, struct buf *out);
struct slice seed_tag(unsigned topic, unsigned index);
struct slice seed_tag_summary(unsigned topic, unsigned index);
