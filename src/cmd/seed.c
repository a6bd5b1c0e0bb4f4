/*
 * purlin seed. A community to try things on: the same seed makes the same one. Who writes what,
 * when, and how it is received is planned first, so that scores, reputations and times agree with
 * each other; then every row goes through the validator like anybody's.
 */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/macros.h"
#include "cmd/app.h"
#include "cmd/seed_text.h"
#include "contract/contract.h"
#include "fiber/task.h"
#include "resource/resource.h"
#include "store/store.h"

#define USERS_MAX 1000000
#define POSTS_MAX 5000000
#define SPAN_US (270 * CLOCK_DAY)
#define BATCH_ROWS 500u
#define VOTERS_MAX 64u
#define RECENT_QUESTIONS 60u

enum kind { QUESTION, ANSWER, OTHER };

struct member {
    struct uuid id;
    int64_t joined_us, seen_us;
    int64_t reputation;
};

struct post {
    struct uuid id;
    struct seed_subject subject;
    int64_t at_us;
    uint64_t seed; /* of its texts, comments and reactions */
    uint32_t author, parent;
    uint16_t ups, downs, favourites;
    uint8_t kind;
    bool accepted; /* an answer that the asker took; a question that has one */
};

enum phase { TAGS, MEMBERS, POSTS, COMMENTS, REACTIONS, FOLLOWS, PHASES };

struct seed {
    const struct cmd_verb *verb;
    struct app_common common;
    struct app *app;
    struct slice users_text, posts_text, seed_text;
    bool if_empty, force, has_rows;
    int64_t users_len, posts_len, number;
    int64_t start_us, end_us;
    struct seed_random random;
    struct member *members;
    struct post *posts;
    const struct contract *contracts[PHASES];
    uint64_t rows[PHASES];
    enum phase phase;
    int64_t next; /* tag, member or post that comes next in this phase */
    unsigned in_batch;
    struct arena *arena; /* of a batch */
    struct buf text, scratch;
};

static const char *const phase_names[PHASES] = { "tags",     "users",     "posts",
                                                 "comments", "reactions", "follows" };

/* -- the plan
 * ------------------------------------------------------------------------------------------------
 */

/* Members stand in the order of joining: how many were there at that time, at least two. */
static uint32_t members_at(const struct seed *s, int64_t us)
{
    int64_t low = 2, high = s->users_len;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (s->members[middle].joined_us <= us)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint32_t)low;
}

static void plan_members(struct seed *s)
{
    for (int64_t i = 0; i < s->users_len; i++) {
        struct member *m = &s->members[i];
        m->joined_us =
            s->start_us + SPAN_US / s->users_len * i + (int64_t)seed_below(&s->random, 1000000);
        m->seen_us = m->joined_us +
                     (int64_t)seed_below(&s->random, (uint64_t)(s->end_us - m->joined_us + 1));
        m->reputation = 1;
    }
    s->members[0].joined_us = s->members[1].joined_us = s->start_us;
}

static void take_parent(struct seed *s, struct post *post, const uint32_t *questions,
                        uint32_t questions_len)
{
    uint32_t back = seed_skewed(&s->random, MIN(questions_len, RECENT_QUESTIONS) - 1, 2);
    post->parent = questions[questions_len - 1 - back];
    struct post *question = &s->posts[post->parent];
    post->subject = question->subject;
    post->accepted =
        !question->accepted && question->author != post->author && seed_chance(&s->random, 400);
    question->accepted |= post->accepted;
}

static void plan_reception(struct seed *s, struct post *post)
{
    struct member *author = &s->members[post->author];
    post->ups = (uint16_t)seed_skewed(&s->random, 40, 3);
    post->downs = (uint16_t)seed_skewed(&s->random, 5, 4);
    post->favourites = post->kind == ANSWER ? 0 : (uint16_t)seed_skewed(&s->random, 12, 4);
    uint16_t *counts[] = { &post->ups, &post->downs, &post->favourites };
    /* Nobody votes twice, nor on their own. */
    uint32_t voters = members_at(s, post->at_us) - 1;
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        *counts[i] = (uint16_t)MIN(*counts[i], voters / 3);
    author->reputation += (post->kind == ANSWER ? 10 : 5) * post->ups - 2 * post->downs +
                          (post->kind == ANSWER && post->accepted ? 15 : 0);
    author->seen_us = MAX(author->seen_us, post->at_us);
}

static void plan_posts(struct seed *s, uint32_t *questions)
{
    uint32_t questions_len = 0;
    int64_t step = MAX((SPAN_US - CLOCK_DAY) / MAX(s->posts_len, 1), 1);
    for (int64_t i = 0; i < s->posts_len; i++) {
        struct post *post = &s->posts[i];
        uint64_t die = seed_below(&s->random, 100);
        post->at_us =
            s->start_us + CLOCK_DAY + step * i + (int64_t)seed_below(&s->random, (uint64_t)step);
        post->kind = i == 0 || die < 36 ? QUESTION : die < 86 ? ANSWER : OTHER;
        post->author = seed_skewed(&s->random, members_at(s, post->at_us) - 1, 2);
        post->subject = seed_subject(&s->random);
        post->seed = seed_next(&s->random);
        if (post->kind == ANSWER)
            take_parent(s, post, questions, questions_len);
        else if (post->kind == QUESTION)
            questions[questions_len++] = (uint32_t)i;
        plan_reception(s, post);
    }
}

/* -- rows
 * -------------------------------------------------------------------------------------------------------
 */

static struct json_out row_begin(struct seed *s)
{
    buf_clear(&s->text);
    struct json_out o = json_out(&s->text);
    json_out_object(&o);
    return o;
}

static void put_ref(struct json_out *o, const char *key, const struct uuid *id)
{
    char text[UUID_TEXT_LEN];
    uuid_format(id, text);
    json_out_key(o, slice_cstr(key));
    json_out_string(o, slice_of(text, sizeof(text)));
}

static void put_time(struct json_out *o, const char *key, int64_t us)
{
    json_out_key(o, slice_cstr(key));
    json_out_time(o, us);
}

/* What `scratch` holds, which is emptied. */
static void put_scratch(struct seed *s, struct json_out *o, const char *key)
{
    json_out_key(o, slice_cstr(key));
    json_out_string(o, buf_slice(&s->scratch));
    buf_clear(&s->scratch);
}

static enum status row_end(struct seed *s, struct store_tx *tx, struct json_out *o, int64_t at_us,
                           struct uuid *ret_id)
{
    put_time(o, "created_at", at_us);
    put_time(o, "updated_at", at_us);
    json_out_end(o);
    json_t *object;
    struct contract_row row;
    struct contract_input input = { .mode = CONTRACT_MODE_CREATE,
                                    .now_us = at_us,
                                    .trusted = true };
    struct json_limits limits = { .bytes_max = (size_t)1 << 20, .depth_max = 8 };
    enum status st = buf_status(&s->text);
    if (st == STATUS_OK)
        st = json_read(s->arena, buf_slice(&s->text), limits, &object, NULL);
    if (st == STATUS_OK)
        st = contract_validate(s->contracts[s->phase], object, &input, s->arena,
                               store_tx_problem(tx), &row, NULL);
    if (st != STATUS_OK)
        return st;
    struct uuid id = uuid_v7_at(at_us);
    s->in_batch++;
    s->rows[s->phase]++;
    if (ret_id)
        *ret_id = id;
    return resource_tx_insert(tx, &row, &id, NULL);
}

static enum status make_tag(struct seed *s, struct store_tx *tx)
{
    unsigned topic = (unsigned)s->next / SEED_TOPIC_TAGS,
             index = (unsigned)s->next % SEED_TOPIC_TAGS;
    struct json_out o = row_begin(s);
    json_out_key(&o, SLICE("name"));
    json_out_string(&o, seed_tag(topic, index));
    json_out_key(&o, SLICE("summary"));
    json_out_string(&o, seed_tag_summary(topic, index));
    enum status st = row_end(s, tx, &o, s->start_us, NULL);
    if (st != STATUS_CONFLICT)
        return st;
    /* It is there already (--force). */
    problem_clear(store_tx_problem(tx));
    s->rows[TAGS]--;
    return STATUS_OK;
}

static enum status make_member(struct seed *s, struct store_tx *tx)
{
    struct member *m = &s->members[s->next];
    struct seed_random random = { (uint64_t)s->number * 31 + (uint64_t)s->next };
    struct json_out o = row_begin(s);
    seed_put_name(&random, (unsigned)s->next, &s->scratch);
    put_scratch(s, &o, "display_name");
    if (seed_chance(&random, 700)) {
        seed_put_about(&random, &s->scratch);
        put_scratch(s, &o, "about");
    }
    if (seed_chance(&random, 600)) {
        seed_put_location(&random, &s->scratch);
        put_scratch(s, &o, "location");
    }
    json_out_ki(&o, "reputation", MAX(m->reputation, 1));
    json_out_ki(&o, "views", seed_skewed(&random, 400, 3));
    put_time(&o, "last_seen_at", m->seen_us);
    return row_end(s, tx, &o, m->joined_us, &m->id);
}

static void put_tags(struct json_out *o, struct seed_random *random, unsigned topic)
{
    unsigned first = (unsigned)seed_below(random, SEED_TOPIC_TAGS),
             n = 1 + (unsigned)seed_below(random, 3);
    json_out_key(o, SLICE("tags"));
    json_out_array(o);
    for (unsigned i = 0; i < n; i++)
        json_out_string(o, seed_tag(topic, (first + i) % SEED_TOPIC_TAGS));
    json_out_end(o);
}

static enum status make_post(struct seed *s, struct store_tx *tx)
{
    static const char *const kinds[] = { "question", "answer", "other" };
    struct post *post = &s->posts[s->next];
    struct seed_random random = { post->seed };
    struct json_out o = row_begin(s);
    put_ref(&o, "author", &s->members[post->author].id);
    json_out_kv(&o, "kind", kinds[post->kind]);
    if (post->kind == ANSWER) {
        put_ref(&o, "parent", &s->posts[post->parent].id);
        seed_put_answer(&random, &post->subject, &s->scratch);
    } else {
        if (post->kind == QUESTION)
            seed_put_question_title(&random, &post->subject, &s->scratch);
        else
            seed_put_story_title(&random, &post->subject, &s->scratch);
        put_scratch(s, &o, "title");
        put_tags(&o, &random, post->subject.topic);
        if (post->kind == QUESTION)
            seed_put_question(&random, &post->subject, &s->scratch);
        else
            seed_put_story(&random, &post->subject, &s->scratch);
    }
    put_scratch(s, &o, "body");
    json_out_kv(&o, "visibility",
                post->kind == OTHER && seed_chance(&random, 150) ? "followers" : "public");
    json_out_ki(&o, "score", post->ups - post->downs);
    json_out_ki(&o, "views",
                post->kind == ANSWER ? 0 : 3 + post->ups * 17 + (int64_t)seed_below(&random, 40));
    return row_end(s, tx, &o, post->at_us, &post->id);
}

/* A time soon after `us`, most of them very soon; never later than the end. */
static int64_t soon_after(const struct seed *s, struct seed_random *random, int64_t us)
{
    int64_t at = us + CLOCK_MINUTE + (int64_t)seed_skewed(random, 10 * 24 * 3600, 3) * CLOCK_SECOND;
    return MIN(at, s->end_us);
}

static enum status make_comments(struct seed *s, struct store_tx *tx)
{
    const struct post *post = &s->posts[s->next];
    struct seed_random random = { post->seed ^ 0xc0ffee };
    unsigned n = seed_skewed(&random, 9, 2);
    enum status st = STATUS_OK;
    for (unsigned i = 0; i < n && st == STATUS_OK; i++) {
        int64_t at_us = soon_after(s, &random, post->at_us);
        struct json_out o = row_begin(s);
        put_ref(&o, "post", &post->id);
        put_ref(&o, "author", &s->members[seed_skewed(&random, members_at(s, at_us) - 1, 2)].id);
        seed_put_comment(&random, &post->subject, &s->scratch);
        put_scratch(s, &o, "text");
        json_out_ki(&o, "score", seed_skewed(&random, 8, 4));
        st = row_end(s, tx, &o, at_us, NULL);
    }
    return st;
}

static enum status make_reaction(struct seed *s, struct store_tx *tx, const struct post *post,
                                 uint32_t member, const char *kind, int64_t at_us)
{
    char day[CLOCK_DATE_LEN];
    struct json_out o = row_begin(s);
    put_ref(&o, "post", &post->id);
    put_ref(&o, "member", &s->members[member].id);
    json_out_kv(&o, "kind", kind);
    clock_format_date((int32_t)(at_us / CLOCK_DAY), day);
    json_out_key(&o, SLICE("created_on"));
    json_out_string(&o, slice_of(day, sizeof(day)));
    return row_end(s, tx, &o, at_us, NULL);
}

/* Somebody who was there, is not the author and not among the first `taken`. */
static uint32_t choose_voter(const struct seed *s, struct seed_random *random,
                             const struct post *post, const uint32_t *voters, unsigned taken)
{
    uint32_t there = members_at(s, post->at_us);
    uint32_t who = (uint32_t)seed_below(random, there);
    for (unsigned i = 0; i < taken;) {
        if (who != post->author && who != voters[i]) {
            i++;
            continue;
        }
        who = (who + 1) % there;
        i = 0;
    }
    return who == post->author ? (who + 1) % there : who;
}

static enum status make_reactions(struct seed *s, struct store_tx *tx)
{
    const struct post *post = &s->posts[s->next];
    struct seed_random random = { post->seed ^ 0xbeef };
    uint32_t voters[VOTERS_MAX];
    enum status st = STATUS_OK;
    unsigned votes = post->ups + post->downs, all = votes + post->favourites;
    for (unsigned i = 0; i < all && i < VOTERS_MAX && st == STATUS_OK; i++) {
        const char *kind = i < post->ups ? "up" : i < votes ? "down" : "favourite";
        voters[i] = choose_voter(s, &random, post, voters, i);
        st = make_reaction(s, tx, post, voters[i], kind, soon_after(s, &random, post->at_us));
    }
    if (st == STATUS_OK && post->kind == ANSWER && post->accepted)
        st = make_reaction(s, tx, post, s->posts[post->parent].author, "accepted",
                           soon_after(s, &random, post->at_us));
    return st;
}

static enum status make_follows(struct seed *s, struct store_tx *tx)
{
    const struct member *m = &s->members[s->next];
    struct seed_random random = { (uint64_t)s->number * 37 + (uint64_t)s->next };
    unsigned wanted = seed_skewed(&random, 14, 2);
    unsigned n = MIN(wanted, (unsigned)s->users_len / 3);
    uint32_t chosen[16];
    enum status st = STATUS_OK;
    for (unsigned i = 0; i < n && st == STATUS_OK; i++) {
        uint32_t who = seed_skewed(&random, (unsigned)s->users_len - 1, 3);
        for (unsigned k = 0; k <= i;) {
            bool taken = k < i ? chosen[k] == who : who == (uint32_t)s->next;
            who = taken ? (who + 1) % (uint32_t)s->users_len : who;
            k = taken ? 0 : k + 1;
        }
        chosen[i] = who;
        struct json_out o = row_begin(s);
        put_ref(&o, "follower", &m->id);
        put_ref(&o, "followee", &s->members[who].id);
        json_out_key(&o, SLICE("notify"));
        json_out_bool(&o, seed_chance(&random, 250));
        st = row_end(s, tx, &o,
                     soon_after(s, &random, MAX(m->joined_us, s->members[who].joined_us)), NULL);
    }
    return st;
}

/* -- writing
 * -----------------------------------------------------------------------------------------------------
 */

static int64_t phase_len(const struct seed *s, enum phase phase)
{
    switch (phase) {
    case TAGS:
        return SEED_TOPICS * SEED_TOPIC_TAGS;
    case MEMBERS:
    case FOLLOWS:
        return s->users_len;
    case POSTS:
    case COMMENTS:
    case REACTIONS:
        return s->posts_len;
    case PHASES:
        break;
    }
    return 0;
}

static enum status make_next(struct seed *s, struct store_tx *tx)
{
    switch (s->phase) {
    case TAGS:
        return make_tag(s, tx);
    case MEMBERS:
        return make_member(s, tx);
    case POSTS:
        return make_post(s, tx);
    case COMMENTS:
        return make_comments(s, tx);
    case REACTIONS:
        return make_reactions(s, tx);
    case FOLLOWS:
        return make_follows(s, tx);
    case PHASES:
        break;
    }
    return STATUS_INTERNAL;
}

static enum status write_some(struct store_tx *tx, void *arg)
{
    struct seed *s = arg;
    struct arena_mark mark = arena_mark(s->arena);
    int64_t len = phase_len(s, s->phase);
    enum status st = STATUS_OK;
    for (s->in_batch = 0; s->in_batch < BATCH_ROWS && s->next < len && st == STATUS_OK; s->next++) {
        st = make_next(s, tx);
        arena_rewind(s->arena, mark);
    }
    return st;
}

static enum status find_row(struct task *task, struct seed *s)
{
    for (unsigned i = 0; i < PHASES && !s->has_rows; i++) {
        struct store_sql sql;
        CLEANUP(store_rows_close) struct store_rows *rows = NULL;
        store_sql_init(&sql, task_arena(task));
        store_sql_lit(&sql, "SELECT 1 FROM ");
        store_sql_name(&sql, s->contracts[i]->name);
        store_sql_lit(&sql, " LIMIT 1");
        enum status st = store_one(task, s->app->store, buf_slice(&sql.text), NULL, 0, &rows);
        if (st != STATUS_OK && st != STATUS_NOT_FOUND)
            return st;
        s->has_rows = st == STATUS_OK;
    }
    return STATUS_OK;
}

static enum status write_all(struct task *task, struct seed *s)
{
    struct cmd_progress progress;
    struct arena_mark mark = arena_mark(task_arena(task));
    int64_t done = 0, total = 0;
    for (enum phase p = TAGS; p < PHASES; p++)
        total += phase_len(s, p);
    cmd_progress_start(&progress, "seed");
    enum status st = STATUS_OK;
    for (s->phase = TAGS; s->phase < PHASES && st == STATUS_OK; s->phase++) {
        s->next = 0;
        while (s->next < phase_len(s, s->phase) && st == STATUS_OK) {
            st = store_write(task, s->app->store, write_some, s);
            if (st == STATUS_OK)
                arena_rewind(task_arena(task), mark);
            cmd_progress_update(&progress, done + s->next, total);
        }
        done += phase_len(s, s->phase);
    }
    cmd_progress_end(&progress);
    return st;
}

static int seed_task(struct task *task, struct app *app, void *arg)
{
    struct seed *s = arg;
    enum status st = find_row(task, s);
    if (st == STATUS_OK && s->has_rows && s->if_empty) {
        (void)printf("The database has rows already; nothing to do.\n");
        return CMD_OK;
    }
    if (st == STATUS_OK && s->has_rows && !s->force) {
        (void)fprintf(stderr, "purlin seed: the database has rows already. Demo data belongs into "
                              "an empty one; --force "
                              "adds it nevertheless.\n");
        return CMD_FAILED;
    }
    uint32_t *questions = arena_array_of(app->arena, uint32_t, (size_t)s->posts_len + 1);
    plan_members(s);
    plan_posts(s, questions);
    if (st == STATUS_OK)
        st = write_all(task, s);
    if (st != STATUS_OK)
        return cmd_print_problem(s->verb->name, task_problem(task));
    for (unsigned i = 0; i < PHASES; i++)
        (void)printf("%-12s %10llu rows\n", phase_names[i], (unsigned long long)s->rows[i]);
    return CMD_OK;
}

/* -- the verb
 * ------------------------------------------------------------------------------------------------------
 */

static int find_contracts(struct seed *s)
{
    for (unsigned i = 0; i < PHASES; i++) {
        s->contracts[i] = contract_find(s->app->set, slice_cstr(phase_names[i]));
        if (s->contracts[i])
            continue;
        (void)fprintf(
            stderr,
            "purlin seed: demo data is for the community's contracts, and here is no resource %s\n",
            phase_names[i]);
        return CMD_FAILED;
    }
    return CMD_OK;
}

static int make_seed(struct seed *s, struct app *app)
{
    s->app = app;
    int code = app_open_contracts(app);
    if (code == CMD_OK)
        code = find_contracts(s);
    if (code == CMD_OK)
        code = app_open_store(app, s->verb->name, true, false);
    if (code == CMD_OK)
        code = app_migrate(app, s->verb->name);
    if (code != CMD_OK)
        return code;
    s->members = arena_array_of(app->arena, struct member, (size_t)s->users_len);
    s->posts = arena_array_of(app->arena, struct post, (size_t)s->posts_len + 1);
    s->random.state = (uint64_t)s->number;
    /* Whole days, so that a run of today and one of this evening agree. */
    s->end_us = clock_wall_us() / CLOCK_DAY * CLOCK_DAY;
    s->start_us = s->end_us - SPAN_US;
    s->arena = arena_new(NULL, (size_t)64 << 20);
    buf_init(&s->text, NULL, 4096, (size_t)1 << 20);
    buf_init(&s->scratch, NULL, 4096, (size_t)1 << 20);
    code = app_run_task(app, seed_task, s);
    buf_fini(&s->scratch);
    buf_fini(&s->text);
    arena_free(s->arena);
    return code;
}

static bool read_number(struct slice text, int64_t fallback, int64_t min, int64_t max, int64_t *ret)
{
    *ret = fallback;
    return !text.len || (slice_to_i64(text, ret) && *ret >= min && *ret <= max);
}

static int run(const struct cmd_verb *verb, int argc, char **argv)
{
    struct app app = { 0 };
    struct seed s = { .verb = verb };
    const struct cmd_option options[] = {
        APP_COMMON_OPTIONS(s.common),
        { .name = "--users",
          .value = "N",
          .help = "How many members (default: 200).",
          .text = &s.users_text },
        { .name = "--posts",
          .value = "N",
          .help = "How many posts (default: 600).",
          .text = &s.posts_text },
        { .name = "--seed",
          .value = "N",
          .help = "Another number, another community (default: 1).",
          .text = &s.seed_text },
        { .name = "--if-empty",
          .help = "Do nothing when the database has rows.",
          .is_set = &s.if_empty },
        { .name = "--force", .help = "Add to a database that has rows.", .is_set = &s.force },
    };
    struct cmd_args args;
    int code;
    if (!cmd_args_parse(verb, options, ARRAY_LEN(options), argc, argv, &args, &code))
        return code;
    if (args.words_len)
        return cmd_usage_error(verb, "unexpected argument %.*s", SLICE_ARG(args.words[0]));
    if (!read_number(s.users_text, 200, 4, USERS_MAX, &s.users_len))
        return cmd_usage_error(verb, "--users must be a number from 4 to %d", USERS_MAX);
    if (!read_number(s.posts_text, 600, 0, POSTS_MAX, &s.posts_len))
        return cmd_usage_error(verb, "--posts must be a number up to %d", POSTS_MAX);
    if (!read_number(s.seed_text, 1, INT64_MIN, INT64_MAX, &s.number))
        return cmd_usage_error(verb, "--seed must be a whole number");
    code = app_open_config(&app, &s.common);
    if (code == CMD_OK)
        code = make_seed(&s, &app);
    app_close(&app);
    return code;
}

const struct cmd_verb cmd_seed = {
    .name = "seed",
    .summary = "Fill an empty database with a demo community.",
    .synopsis = "[--users N] [--posts N] [--seed N] [--if-empty] [--force]",
    .details = "Members, posts, comments, reactions, tags and follows of a community of people who "
               "make and mend things,\n"
               "over the last nine months. The same numbers make the same community. Every row "
               "passes the validator.",
    .run = run,
};
