/*
 * The language by examples: what compiles, to which SQL, what is refused and in which words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "model.h"
#include "store/store.h"

#define USER_ID "01890a5d-ac96-774b-bcce-b302099a8057"
#define NOW_US INT64_C(1790000000000000)

struct fixture {
    struct model *m;
    struct contract *posts;
    struct arena *arena; /* rewound by each compile */
    struct task_caller user, moderator;
};

static int setup(void **state)
{
    static const struct slice roles[] = { SLICE_INIT("moderator"), SLICE_INIT("editor") };
    struct fixture *f = calloc(1, sizeof(*f));
    struct model *m = f->m = model_new();
    f->arena = arena_new(NULL, 0);
    struct contract *users = model_contract(m, "users");
    model_field(m, users, "display_name", CONTRACT_STRING);
    model_field(m, users, "password", CONTRACT_STRING)->writeonly = true;
    model_enum(m, users, "kind", "person robot");
    struct contract *teams = model_contract(m, "teams");
    model_ref(m, teams, "owner", users, CONTRACT_RESTRICT);
    struct contract *posts = f->posts = model_contract(m, "posts");
    model_ref(m, posts, "author", users, CONTRACT_SET_NULL);
    model_ref(m, posts, "team", teams, CONTRACT_SET_NULL);
    model_required(model_field(m, posts, "title", CONTRACT_STRING));
    model_field(m, posts, "body", CONTRACT_TEXT);
    model_list(m, posts, "tags", CONTRACT_STRING);
    model_list(m, posts, "labels", CONTRACT_STRING);
    model_list(m, posts, "numbers", CONTRACT_INTEGER);
    model_list(m, posts, "readers", CONTRACT_UUID);
    model_list(m, posts, "moments", CONTRACT_TIME);
    model_required(model_enum(m, posts, "visibility", "public followers private"));
    model_field(m, posts, "price", CONTRACT_MONEY);
    model_field(m, posts, "score", CONTRACT_INTEGER);
    model_field(m, posts, "rating", CONTRACT_NUMBER);
    model_field(m, posts, "pinned", CONTRACT_BOOLEAN);
    model_required(model_field(m, posts, "draft", CONTRACT_BOOLEAN));
    model_field(m, posts, "day", CONTRACT_DATE);
    model_field(m, posts, "extra", CONTRACT_JSON);
    model_field(m, posts, "secret", CONTRACT_STRING)->writeonly = true;
    model_index(m, posts, CONTRACT_INDEX_CONTAINS, false, "tags");
    struct contract *follows = model_contract(m, "follows");
    model_ref(m, follows, "follower", users, CONTRACT_CASCADE);
    model_ref(m, follows, "followee", users, CONTRACT_CASCADE);
    follows->soft_delete = true;
    struct contract *comments = model_contract(m, "comments");
    model_ref(m, comments, "post", posts, CONTRACT_CASCADE);
    model_ref(m, comments, "parent", comments, CONTRACT_CASCADE);
    model_count(m, posts, "comments", comments, "post", NULL);
    model_finish(m);
    model_rule(m, users, CONTRACT_READ, "@user != null && kind == 'person'");
    model_rule(m, follows, CONTRACT_READ, "follower == @user");
    f->user.has_user = true;
    assert_true(uuid_parse(SLICE(USER_ID), &f->user.user));
    f->moderator = f->user;
    f->moderator.roles = roles;
    f->moderator.roles_len = ARRAY_LEN(roles);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    model_free(f->m);
    arena_free(f->arena);
    free(f);
    return 0;
}

static struct expr *compile(struct fixture *f, const char *text, enum expr_use use)
{
    struct expr *expr = NULL;
    struct expr_error error;
    enum status st =
        expr_compile(&f->m->set, f->posts, slice_cstr(text), use, f->arena, &expr, &error);
    if (st != STATUS_OK)
        fail_msg("%s\n  at %zu: %s %s", text, error.offset, error.reason, error.hint);
    return expr;
}

static void assert_sql(const char *text, const struct store_sql *sql, const char *want)
{
    struct slice got = buf_slice(&sql->text);
    assert_int_equal(store_sql_status(sql), STATUS_OK);
    if (!slice_eq(got, slice_cstr(want)))
        fail_msg("%s\n  got  %.*s\n  want %s", text, SLICE_ARG(got), want);
}

static void test_expr_emits_sql(void **state)
{
    static const struct {
        const char *text, *sql;
    } cases[] = {
        { "title == \"x\"", "(t.\"title\" = $1)" },
        { "title != 'x'", "(t.\"title\" <> $1)" },
        { "body != 'x'", "((t.\"body\" = $1) IS NOT TRUE)" },
        { "!(body == 'x')", "((t.\"body\" = $1) IS NOT TRUE)" },
        { "!(title < 'x')", "(t.\"title\" >= $1)" },
        { "!(score < 3)", "((t.\"score\" < $1) IS NOT TRUE)" },
        { "body == null", "(t.\"body\" IS NULL)" },
        { "null != body", "(t.\"body\" IS NOT NULL)" },
        { "has(price)", "(t.\"price_amount\" IS NOT NULL)" },
        { "!has(author)", "(t.\"author\" IS NULL)" },
        { "pinned", "(t.\"pinned\" = 1)" },
        { "!pinned", "(t.\"pinned\" IS NOT 1)" },
        { "!draft", "(t.\"draft\" = 0)" },
        { "pinned == false", "(t.\"pinned\" = $1)" },
        { "pinned && !draft || score >= 10",
          "((t.\"pinned\" = 1 AND t.\"draft\" = 0) OR t.\"score\" >= $1)" },
        { "!(pinned && body == 'x')", "(t.\"pinned\" IS NOT 1 OR (t.\"body\" = $1) IS NOT TRUE)" },
        { "title in ['a', 'b']", "(t.\"title\" IN ($1, $2))" },
        { "!(title in ['a'])", "((t.\"title\" IN ($1)) IS NOT TRUE)" },
        { "'x' in tags", "(t.\"_row\" IN (SELECT _1.\"row\" FROM \"posts__list_tags\" AS _1 WHERE "
                         "_1.\"value\" = $1))" },
        { "!tags.contains('x')",
          "(t.\"_row\" NOT IN (SELECT _1.\"row\" FROM \"posts__list_tags\" AS _1 "
          "WHERE _1.\"value\" = $1))" },
        { "'x' in labels",
          "(EXISTS (SELECT 1 FROM json_each(t.\"labels\") AS _1 WHERE _1.\"value\" = $1))" },
        { "@user in readers",
          "(EXISTS (SELECT 1 FROM json_each(t.\"readers\") AS _1 WHERE _1.\"value\" = $1))" },
        { "size(tags) > 2", "(json_array_length(t.\"tags\") > $1)" },
        { "title.size() > 2", "(length(t.\"title\") > $1)" },
        { "title.startsWith('ab')", "((t.\"title\" >= $1 AND t.\"title\" < $2))" },
        { "title.startsWith('\\u00e4')", "(substr(t.\"title\", 1, length($1)) = $2)" },
        { "title.startsWith(body)", "(substr(t.\"title\", 1, length(t.\"body\")) = t.\"body\")" },
        { "title.endsWith('x')", "(substr(t.\"title\", 0 - max(1, length($1)), length($2)) = $3)" },
        { "!title.contains('x')", "((instr(t.\"title\", $1) > 0) IS NOT TRUE)" },
        { "title.lowerAscii() == 'x'", "(lower(t.\"title\") = $1)" },
        { "price.amount_minor >= 100 && price.currency == 'EUR'",
          "(t.\"price_amount\" >= $1 AND t.\"price_currency\" = $2)" },
        { "created_at > @now - duration('7d')", "(t.\"created_at\" > $1)" },
        { "created_at + duration('1h') > updated_at",
          "((t.\"created_at\" + $1) > t.\"updated_at\")" },
        { "score * 2 - 1 == -score", "(((t.\"score\" * $1) - $2) = (0 - t.\"score\"))" },
        { "score > 0 ? pinned : draft",
          "(CASE WHEN t.\"score\" > $1 THEN t.\"pinned\" = 1 ELSE t.\"draft\" = 1 END)" },
        { "(score > 0 ? score : 5) == 5",
          "((CASE WHEN t.\"score\" > $1 THEN t.\"score\" ELSE $2 END) = $3)" },
        { "(score > 0) == pinned", "(((t.\"score\" > $1) IS TRUE) = t.\"pinned\")" },
        { "author.display_name == 'Ann'", "((SELECT _1.\"display_name\" FROM \"users\" AS _1 WHERE "
                                          "_1.\"id\" = t.\"author\") = $1)" },
        { "team.owner.display_name == null",
          "((SELECT _1.\"display_name\" FROM \"users\" AS _1 WHERE _1.\"id\" = "
          "(SELECT _2.\"owner\" FROM \"teams\" AS _2 WHERE _2.\"id\" = t.\"team\")) IS NULL)" },
        { "exists(follows, follower == @user && followee == author)",
          "(EXISTS (SELECT 1 FROM \"follows\" AS _1 WHERE (_1.\"follower\" = $1 AND "
          "_1.\"followee\" = t.\"author\") AND _1.\"deleted_at\" IS NULL))" },
        { "!exists(comments, post == posts.id)",
          "(NOT EXISTS (SELECT 1 FROM \"comments\" AS _1 WHERE _1.\"post\" = t.\"id\"))" },
        { "exists(posts, posts.author == author && posts.id == team.id || false)", NULL },
        { "'moderator' in @roles || author == @user", "1" },
        { "!('moderator' in @roles) && pinned", "0" },
        { "title in @roles", "(t.\"title\" IN ($1, $2))" },
        { "@user in [author, \"01890a5d-ac96-774b-bcce-b302099a8058\"]",
          "($1 IN (t.\"author\", $2))" },
        { "1 + 1 == 2 && pinned", "(t.\"pinned\" = 1)" },
        { "title in []", "0" },
        /* A null that was computed is not true, and nothing is compared with it. */
        { "pinned && (1 < 2 ? null : 1 < 2)", "(0)" },
        { "!(score == (1 < 2 ? null : score))", "((t.\"score\" = NULL) IS NOT TRUE)" },
        { "rating == 3", "(t.\"rating\" = $1)" },
        { "comments > 0", "(t.\"comments\" > $1)" },
    };
    struct fixture *f = *state;
    const struct expr_context context = { .caller = &f->moderator, .now_us = NOW_US };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (cases[i].sql == NULL)
            continue;
        struct store_sql sql;
        store_sql_init(&sql, f->arena);
        expr_emit(compile(f, cases[i].text, EXPR_RULE), &context, SLICE("t"), &sql);
        assert_sql(cases[i].text, &sql, cases[i].sql);
    }
}

static void test_expr_anonymous_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    const struct expr_context anonymous = { .now_us = NOW_US };
    struct store_sql sql;
    store_sql_init(&sql, f->arena);
    const char *rule = "visibility == \"public\" || author == @user\n"
                       " || (visibility == \"followers\" // a comment\n"
                       "     && exists(follows, follower == @user && followee == author))";
    expr_emit(compile(f, rule, EXPR_RULE), &anonymous, SLICE("t"), &sql);
    assert_sql(rule, &sql, "(t.\"visibility\" = $1)");
    assert_int_equal(sql.values_len, 1);
    assert_int_equal(expr_decide(compile(f, "author == @user", EXPR_RULE), &anonymous), EXPR_NO);
    assert_int_equal(expr_decide(compile(f, "author != @user", EXPR_RULE), &anonymous), EXPR_YES);
    assert_int_equal(expr_decide(compile(f, "@user == null", EXPR_RULE), &anonymous), EXPR_YES);
    assert_int_equal(expr_decide(compile(f, "@user == @user", EXPR_RULE), &anonymous), EXPR_NO);
}

static void test_expr_filters_obey_read_rules(void **state)
{
    struct fixture *f = *state;
    const struct expr_context user = { .caller = &f->user }, anonymous = { .now_us = 0 };
    struct expr *path = compile(f, "author.display_name == 'Ann'", EXPR_FILTER);
    struct expr *exists = compile(f, "exists(follows, followee == author)", EXPR_FILTER);
    struct store_sql sql;
    store_sql_init(&sql, f->arena);
    expr_emit(path, &user, SLICE("t"), &sql);
    assert_sql("path", &sql,
               "((SELECT _1.\"display_name\" FROM \"users\" AS _1 WHERE _1.\"id\" = t.\"author\""
               " AND (_1.\"kind\" = $1)) = $2)");
    store_sql_init(&sql, f->arena);
    expr_emit(exists, &user, SLICE("t"), &sql);
    assert_sql("exists", &sql,
               "(EXISTS (SELECT 1 FROM \"follows\" AS _1 WHERE _1.\"followee\" = t.\"author\""
               " AND _1.\"deleted_at\" IS NULL AND (_1.\"follower\" = $1)))");
    assert_int_equal(expr_decide(path, &anonymous), EXPR_NO);
    assert_int_equal(expr_decide(exists, &anonymous), EXPR_NO);
}

static void test_expr_refuses(void **state)
{
    static const struct {
        const char *text;
        enum expr_use use;
        size_t offset;
        const char *reason, *hint;
    } cases[] = {
        { "", EXPR_RULE, 0, "empty", "" },
        { "titel == 'x'", EXPR_RULE, 0, "`titel` is no field of posts", "`title`" },
        { "secret == 'x'", EXPR_FILTER, 0, "no field", "" },
        { "author.password == 'x'", EXPR_FILTER, 7, "no field", "" },
        { "author.displayname == 'x'", EXPR_RULE, 7, "no field of users", "display_name" },
        { "user == null", EXPR_RULE, 0, "no field", "`@user`" },
        { "@usr == null", EXPR_RULE, 0, "only @user", "`@user`" },
        { "@ == 1", EXPR_RULE, 0, "followed by", "" },
        { "title = 'x'", EXPR_RULE, 6, "not an operator", "`==`" },
        { "pinned & draft", EXPR_RULE, 7, "not an operator", "`&&`" },
        { "pinned and draft", EXPR_RULE, 7, "found `and`", "`&&`" },
        { "title == ", EXPR_RULE, 9, "ends where a value", "" },
        { "(pinned", EXPR_RULE, 7, "`)`", "" },
        { "title == 'x", EXPR_RULE, 9, "not closed", "" },
        { "title == '\\q'", EXPR_RULE, 10, "unknown escape", "uXXXX" },
        { "title == '\\ud800'", EXPR_RULE, 10, "surrogate", "" },
        { "title == '\\ud800\\u0041'", EXPR_RULE, 10, "surrogate", "" },
        { "title == '\\u12'", EXPR_RULE, 10, "four hex", "" },
        { "title == '\\u0000'", EXPR_RULE, 10, "U+0000", "" },
        { "title == 'a\nb'", EXPR_RULE, 11, "control", "\\n" },
        { "title == $1", EXPR_RULE, 9, "`$` means nothing", "" },
        { "title == \x01", EXPR_RULE, 9, "0x01", "" },
        { "title == '\xff'", EXPR_RULE, 0, "UTF-8", "" },
        { "score == 9223372036854775808", EXPR_RULE, 9, "too large", "" },
        { "score == 99999999999999999999", EXPR_RULE, 9, "too large", "" },
        { "rating == 1e999", EXPR_RULE, 10, "too large", "" },
        { "score == 12ab", EXPR_RULE, 11, "runs into", "" },
        { "score == 012", EXPR_RULE, 9, "begin with 0", "" },
        { "score + 1", EXPR_RULE, 6, "must be a condition, not an integer", "Compare" },
        { "title && pinned", EXPR_RULE, 0, "beside `&&`", "Compare" },
        { "!title", EXPR_RULE, 1, "after `!`", "Compare" },
        { "score < 3 < 4", EXPR_RULE, 10, "do not chain", "&&" },
        { "score == 'x'", EXPR_RULE, 9, "an integer cannot be compared with text", "" },
        { "created_at > '2026'", EXPR_RULE, 13, "not a time", "RFC 3339" },
        { "created_at > day", EXPR_RULE, 13, "cannot be compared", "Dates" },
        { "created_at - updated_at > 5", EXPR_RULE, 26, "cannot be compared", "duration" },
        { "day == '2026-02-30'", EXPR_RULE, 7, "not a date", "2026-01-31" },
        { "author == 'ann'", EXPR_RULE, 10, "not an id", "Ids look" },
        { "visibility == 'publik'", EXPR_RULE, 14, "never \"publik\"", "`public`" },
        { "visibility == 'x'", EXPR_RULE, 14, "never \"x\"", "public, followers, private" },
        { "visibility < 'public'", EXPR_RULE, 11, "no order", "" },
        { "visibility in ['public', 'privat']", EXPR_RULE, 25, "never", "`private`" },
        { "draft < pinned", EXPR_RULE, 6, "no order", "" },
        { "score < null", EXPR_RULE, 6, "null has no order", "" },
        { "extra == 'x'", EXPR_RULE, 0, "only be compared with null", "" },
        { "price == 5", EXPR_RULE, 0, "only be compared with null", "amount_minor" },
        { "price.amount > 5", EXPR_RULE, 6, "no part", "amount_minor" },
        { "tags == 'x'", EXPR_RULE, 0, "only be compared with null", "in tags" },
        { "title.size > 5", EXPR_RULE, 6, "text has no part", "Only references" },
        { "(1 + 2).x == 5", EXPR_RULE, 8, "no part", "" },
        { "tags[0] == 'x'", EXPR_RULE, 4, "no numbers", "in tags" },
        { "title in title", EXPR_RULE, 9, "stands a list", "" },
        { "tags in tags", EXPR_RULE, 0, "in no list", "" },
        { "null in tags", EXPR_RULE, 0, "in no list", "" },
        { "title in [null]", EXPR_RULE, 10, "null is in no list", "==" },
        { "title in [tags]", EXPR_RULE, 10, "cannot be an item", "" },
        { "score in @roles", EXPR_RULE, 0, "roles are text", "" },
        { "rating in [score]", EXPR_RULE, 11, "looked up among", "" },
        { "5 in tags", EXPR_RULE, 0, "cannot be compared", "" },
        { "author in readers", EXPR_RULE, 0, "must be a literal or @user", "" },
        { "@now in moments", EXPR_RULE, 0, "must be a literal", "" },
        { "in tags", EXPR_RULE, 0, "expected a value", "" },
        { "title.matches('x.*')", EXPR_RULE, 6, "no bound", "contains" },
        { "title.startswith('x')", EXPR_RULE, 6, "no function", "`startsWith`" },
        { "startsWith(title, 'x')", EXPR_RULE, 0, "otherwise", "text.startsWith" },
        { "score.contains('x')", EXPR_RULE, 0, "is for text", "" },
        { "title.contains(body.lowerAscii())", EXPR_RULE, 20, "literal or a field", "" },
        { "score.lowerAscii() == 'x'", EXPR_RULE, 0, "is for text", "" },
        { "size(score) == 1", EXPR_RULE, 5, "no size", "" },
        { "has(1)", EXPR_RULE, 4, "asked of a field", "" },
        { "created_at > timestamp(5)", EXPR_RULE, 23, "text literal", "" },
        { "created_at > timestamp('x')", EXPR_RULE, 23, "not a time", "RFC 3339" },
        { "created_at > @now - duration('x')", EXPR_RULE, 29, "not a duration", "7d" },
        { "created_at > @now * 2", EXPR_RULE, 18, "makes no sense", "durations" },
        { "title + 'x' == 'y'", EXPR_RULE, 6, "makes no sense", "" },
        { "-title == 'y'", EXPR_RULE, 0, "no negative", "" },
        { "rating % 2 == 0", EXPR_RULE, 7, "for integers", "" },
        { "score / 0 == 0", EXPR_RULE, 8, "division by zero", "" },
        { "score / (1 - 1) == 0", EXPR_RULE, 11, "division by zero", "" },
        { "9223372036854775807 + 1 > score", EXPR_RULE, 20, "result is too large", "" },
        { "1e308 * 10.0 > rating", EXPR_RULE, 6, "result is too large", "" },
        { "timestamp('9999-12-31T00:00:00Z') + duration('2d') > @now", EXPR_RULE, 34, "years", "" },
        { "rating == 9007199254740993", EXPR_RULE, 10, "too large to compare", "" },
        { "score ? pinned : draft", EXPR_RULE, 0, "before `?`", "" },
        { "pinned ? null : null", EXPR_RULE, 9, "cannot be chosen", "" },
        { "pinned ? tags : tags", EXPR_RULE, 9, "cannot be chosen", "" },
        { "(pinned ? null : tags) == 1", EXPR_RULE, 17, "cannot be chosen", "" },
        { "pinned ? 1 : 'x'", EXPR_RULE, 13, "cannot be compared", "" },
        { "pinned ? 1", EXPR_RULE, 10, "`:`", "" },
        { "exists(folows, true)", EXPR_RULE, 7, "no resource `folows`", "`follows`" },
        { "exists(1, true)", EXPR_RULE, 7, "resource's name", "" },
        { "exists(follows, 1)", EXPR_RULE, 16, "given a condition", "" },
        { "exists(follows)", EXPR_RULE, 0, "otherwise", "exists(resource, condition)" },
        { "exists(comments, post == id)", EXPR_RULE, 25, "an id of posts", "`posts.id`" },
        { "exists(comments, post == posts.idd)", EXPR_RULE, 31, "no field of posts", "`id`" },
        { "author == team", EXPR_RULE, 10, "an id of users is compared with an id of teams", "" },
        { "team.owner.id.x == 1", EXPR_RULE, 14, "has no part", "" },
        { "exists(comments, parent.parent.parent.id == id)", EXPR_RULE, 38, "at most 2", "" },
        { "author == @user", EXPR_INDEX, 10, "looks at the row alone", "" },
        { "exists(users, true)", EXPR_INDEX, 0, "no exists", "" },
        { "author.kind == 'person'", EXPR_INDEX, 7, "one row only", "" },
        { "'x' in tags", EXPR_INDEX, 4, "cannot look into a list", "" },
        { "size(tags) > 1", EXPR_INDEX, 0, "cannot look into a list", "" },
        { "pinned)", EXPR_RULE, 6, "expected an operator", "" },
        { "a.", EXPR_RULE, 2, "ends where a name", "" },
        { "exists(users, exists(users, exists(users, exists(users, true))))", EXPR_RULE, 42,
          "more than 3", "" },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct expr *expr = NULL;
        struct expr_error error;
        enum status st = expr_compile(&f->m->set, f->posts, slice_cstr(cases[i].text), cases[i].use,
                                      f->arena, &expr, &error);
        if (st == STATUS_OK || error.offset != cases[i].offset ||
            strstr(error.reason, cases[i].reason) == NULL ||
            strstr(error.hint, cases[i].hint) == NULL)
            fail_msg("%s\n  got  %zu: %s | %s\n  want %zu: %s | %s", cases[i].text, error.offset,
                     error.reason, error.hint, cases[i].offset, cases[i].reason, cases[i].hint);
        assert_null(expr);
    }
}

static enum status compile_repeated(struct fixture *f, const char *head, const char *part,
                                    unsigned count, const char *tail, enum expr_use use)
{
    struct buf text;
    buf_init(&text, f->arena, 0, 1 << 20);
    buf_put_cstr(&text, head);
    for (unsigned i = 0; i < count; i++)
        buf_put_cstr(&text, part);
    buf_put_cstr(&text, tail);
    struct expr *expr;
    struct expr_error error;
    return expr_compile(&f->m->set, f->posts, buf_slice(&text), use, f->arena, &expr, &error);
}

static void test_expr_has_limits(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(compile_repeated(f, "", "score == 1 || ", 60, "pinned", EXPR_RULE), STATUS_OK);
    assert_int_equal(compile_repeated(f, "", "score == 1 || ", 90, "pinned", EXPR_RULE),
                     STATUS_TOO_LARGE);
    assert_int_equal(compile_repeated(f, "", "!", 31, "pinned", EXPR_RULE), STATUS_OK);
    assert_int_equal(compile_repeated(f, "", "!", 4000, "pinned", EXPR_RULE), STATUS_TOO_LARGE);
    assert_int_equal(compile_repeated(f, "", "(", 4000, "pinned", EXPR_RULE), STATUS_TOO_LARGE);
    assert_int_equal(compile_repeated(f, "", "[", 4000, "", EXPR_RULE), STATUS_TOO_LARGE);
    assert_int_equal(compile_repeated(f, "1 ", "+ 1 ", 40, "== 2", EXPR_RULE), STATUS_TOO_LARGE);
    assert_int_equal(compile_repeated(f, "title", ".size()", 40, "== 2", EXPR_RULE),
                     STATUS_TOO_LARGE);
    assert_int_equal(compile_repeated(f, "", "pinned ? pinned : ", 40, "pinned", EXPR_RULE),
                     STATUS_TOO_LARGE);
    assert_int_equal(compile_repeated(f, "pinned //", "x", 5000, "", EXPR_RULE), STATUS_TOO_LARGE);
    const char *dear = "author.display_name == 'x' && ";
    assert_int_equal(compile_repeated(f, "", dear, 4, "pinned", EXPR_FILTER), STATUS_OK);
    assert_int_equal(compile_repeated(f, "", dear, 5, "pinned", EXPR_FILTER), STATUS_TOO_LARGE);
    assert_int_equal(compile_repeated(f, "", dear, 5, "pinned", EXPR_RULE), STATUS_OK);
}

/* Arena budgets of 1, 2, 3 ... chunks until success: every failure is EXHAUSTED, none leaks or
 * crashes. */
static void test_expr_survives_small_arenas(void **state)
{
    struct fixture *f = *state;
    const char *text = "'A\\n'.lowerAscii() == title && 'x' in [title, body] && has(price) && "
                       "timestamp('2026-01-01T00:00:00Z') in moments";
    for (size_t budget = 256;; budget += 64) {
        struct arena *arena = arena_new(NULL, budget);
        struct expr *expr = NULL;
        struct expr_error error;
        enum status st =
            expr_compile(&f->m->set, f->posts, slice_cstr(text), EXPR_RULE, arena, &expr, &error);
        arena_free(arena);
        if (st == STATUS_OK)
            break;
        assert_int_equal(st, STATUS_EXHAUSTED);
        assert_true(budget < 65536);
    }
}

static void test_expr_without_a_row(void **state)
{
    struct fixture *f = *state;
    const struct expr_context moderator = { .caller = &f->moderator };
    struct expr *expr = NULL;
    struct expr_error error;
    assert_int_equal(expr_compile(&f->m->set, NULL,
                                  SLICE("'moderator' in @roles && size(@roles) == 2"), EXPR_RULE,
                                  f->arena, &expr, &error),
                     STATUS_OK);
    assert_int_equal(expr_decide(expr, &moderator), EXPR_YES);
    assert_int_equal(expr_decide(expr, &(struct expr_context){ .now_us = 0 }), EXPR_NO);
    assert_int_equal(
        expr_compile(NULL, NULL, SLICE("title == 'x'"), EXPR_RULE, f->arena, &expr, &error),
        STATUS_INVALID);
    assert_non_null(strstr(error.reason, "no row here"));
    assert_int_equal(expr_compile(&f->m->set, NULL, SLICE("exists(users, true)"), EXPR_RULE,
                                  f->arena, &expr, &error),
                     STATUS_INVALID);
}

static void test_expr_decides_candidates(void **state)
{
    static const struct {
        const char *text;
        enum expr_answer want;
    } cases[] = {
        { "author == @user", EXPR_YES },
        { "author != @user", EXPR_NO },
        { "'b\\u00e4\"\\n' in tags", EXPR_YES },
        { "'\\ud83d\\ude00' in tags", EXPR_YES },
        { "'bb' in tags", EXPR_NO },
        { "'b' in tags", EXPR_NO },
        { "size(tags) == 3", EXPR_YES },
        { "7 in numbers && !(8 in numbers)", EXPR_YES },
        { "@user in readers", EXPR_YES },
        { "\"01890a5d-ac96-774b-bcce-b302099a8058\" in readers", EXPR_NO },
        { "size(title) == 2 && title.lowerAscii() == '\\u00e4b'", EXPR_YES },
        { "title.lowerAscii().endsWith('b')", EXPR_YES },
        { "rating / 2 == 1.5", EXPR_YES },
        { "body == null && !(body == 'x')", EXPR_YES },
        { "comments == 0", EXPR_YES },
        { "exists(follows, follower == author)", EXPR_ASK },
        { "author.kind == 'person'", EXPR_ASK },
        { "team.owner == @user", EXPR_NO },
        { "pinned || exists(follows, true)", EXPR_YES },
        { "title in ['x', '\\u00e4B']", EXPR_YES },
        { "size([1, 2]) == 2", EXPR_YES },
        { "title in @roles", EXPR_NO },
        { "(pinned ? score : null) == 3", EXPR_YES },
    };
    struct fixture *f = *state;
    struct contract *c = f->posts;
    struct contract_row row = { .contract = c };
    row.values = arena_array_of(f->arena, struct store_value, c->columns_len);
#define SET(name, value) row.values[model_field_find(c, name)->column] = (value)
    SET("author", store_blob(slice_of((const char *)f->user.user.bytes, 16)));
    SET("title", store_text(SLICE("\u00e4B")));
    SET("tags", store_text(SLICE("[\"a\", \"b\\u00e4\\\"\\n\",\"\\ud83d\\ude00\"]")));
    SET("numbers", store_text(SLICE("[1,7]")));
    SET("readers", store_text(SLICE("[\"" USER_ID "\"]")));
    SET("rating", store_i64(3));
    SET("score", store_i64(3));
    SET("pinned", store_i64(1));
    const struct expr_context context = { .caller = &f->user, .row = &row };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum expr_answer got = expr_decide(compile(f, cases[i].text, EXPR_RULE), &context);
        if (got != cases[i].want)
            fail_msg("%s: got %d, want %d", cases[i].text, got, cases[i].want);
    }
    struct store_sql sql;
    store_sql_init(&sql, f->arena);
    const char *rule =
        "pinned && exists(follows, followee == author) && author.display_name == title";
    expr_emit_row(compile(f, rule, EXPR_RULE), &context, &sql);
    assert_sql(
        rule, &sql,
        "(EXISTS (SELECT 1 FROM \"follows\" AS _1 WHERE _1.\"followee\" = $1 AND "
        "_1.\"deleted_at\" IS NULL) AND (SELECT _2.\"display_name\" FROM \"users\" AS _2 WHERE "
        "_2.\"id\" = $2) = $3)");
    assert_int_equal(sql.values[0].kind, STORE_BLOB);
}

static void test_expr_writes_ddl(void **state)
{
    static const struct {
        const char *text, *sql;
    } cases[] = {
        { "pinned && title != 'it\\'s'", "(NEW.\"pinned\" = 1 AND NEW.\"title\" <> 'it''s')" },
        { "rating / 2 > 0.5", "((NEW.\"rating\" / 2) > 0.5)" },
        { "rating / 2.0 > 1", "((NEW.\"rating\" / 2.0) > 1.0)" },
        { "score == -5", "(NEW.\"score\" = -5)" },
        { "author == '" USER_ID "'", "(NEW.\"author\" = x'01890a5dac96774bbcceb302099a8057')" },
        { "title.startsWith('a')", "(substr(NEW.\"title\", 1, length('a')) = 'a')" },
        { "visibility in ['public', 'private']", "(NEW.\"visibility\" IN ('public', 'private'))" },
        { "day == '2026-01-02'", "(NEW.\"day\" = '2026-01-02')" },
        { "created_at > '2026-01-01T00:00:00Z'", "(NEW.\"created_at\" > 1767225600000000)" },
        { "title == 'a\\nb'", "(NEW.\"title\" = ('a' || char(10) || 'b'))" },
        { "true", "1" },
        { "title == (1 < 2 ? 'Ab' : title).lowerAscii()", "(NEW.\"title\" = 'ab')" },
        { "(pinned ? null : score) == 1",
          "((CASE WHEN NEW.\"pinned\" = 1 THEN NULL ELSE NEW.\"score\" END) = 1)" },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        buf_init(&out, f->arena, 0, 4096);
        expr_emit_ddl(compile(f, cases[i].text, EXPR_INDEX), SLICE("NEW."), &out);
        if (!slice_eq(buf_slice(&out), slice_cstr(cases[i].sql)))
            fail_msg("%s\n  got  %.*s\n  want %s", cases[i].text, SLICE_ARG(buf_slice(&out)),
                     cases[i].sql);
    }
}

static void test_expr_prints_what_compiles_to_the_same(void **state)
{
    static const struct {
        const char *text, *print;
    } cases[] = {
        { "pinned&&(draft||!pinned)", "pinned && (draft || !pinned)" },
        { "((pinned && draft) && true) || false", "pinned && draft" },
        { "title=='\\'\\n\\u00e4'", "title == \"'\\n\u00e4\"" },
        { "score-(1-score)*-2 == 0", "score - (1 - score) * -2 == 0" },
        { "-(score + 1) < -score", "-(score + 1) < -score" },
        { "has(body)", "body != null" },
        { "(body == null) == (pinned == null)", "(body == null) == (pinned == null)" },
        { "tags.contains('x')", "\"x\" in tags" },
        { "created_at > @now - duration('48h')", "created_at > @now - duration(\"2d\")" },
        { "created_at - updated_at > duration('0s') - duration('90s')",
          "created_at - updated_at > timestamp(\"1970-01-01T00:00:00.000Z\") - "
          "timestamp(\"1970-01-01T00:01:30.000Z\")" },
        { "created_at > '2026-01-01T00:00:00.000007+01:00'",
          "created_at > timestamp(\"2025-12-31T23:00:00.000007Z\")" },
        { "price.currency == 'EUR' && price.amount_minor > 1", NULL },
        { "rating == 3", "rating == 3.0" },
        { "score in [1,2,]", "score in [1, 2]" },
        { "exists(comments, post==posts.id)", "exists(comments, post == posts.id)" },
        { "(pinned ? draft : pinned) ? draft : pinned ? draft : true", NULL },
        { "title.lowerAscii().startsWith('x') || title.endsWith('y')",
          "title.lowerAscii().startsWith(\"x\") || title.endsWith(\"y\")" },
        { "team.owner.display_name == title", NULL },
        { "'x' in @roles && @user in [author]", "\"x\" in @roles && @user in [author]" },
        { "title.size() > 1", "size(title) > 1" },
        { "author == '" USER_ID "'", "author == \"" USER_ID "\"" },
        { "day == '2026-01-02' && !pinned", "day == \"2026-01-02\" && !pinned" },
        { "1 + 2 * 3 == 7 && '\u00c4A'.lowerAscii() == '\u00c4a'", "true" },
        { "pinned == true", "pinned == true" },
        { "!!pinned", "!!pinned" },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf first, second;
        buf_init(&first, f->arena, 0, 8192);
        buf_init(&second, f->arena, 0, 8192);
        expr_print(compile(f, cases[i].text, EXPR_RULE), &first);
        const char *want = cases[i].print ? cases[i].print : cases[i].text;
        buf_putc(&first, '\0');
        if (cases[i].print)
            assert_string_equal(first.data, want);
        expr_print(compile(f, first.data, EXPR_RULE), &second);
        buf_putc(&second, '\0');
        assert_string_equal(first.data, second.data);
    }
}

static void test_expr_explains(void **state)
{
    struct fixture *f = *state;
    struct buf out;
    buf_init(&out, f->arena, 0, 8192);
    expr_explain(compile(f, "pinned || author == @user || 'moderator' in @roles", EXPR_RULE), &out);
    expr_explain(compile(f, "pinned", EXPR_RULE), &out);
    expr_explain(compile(f, "true", EXPR_RULE), &out);
    expr_explain(compile(f, "exists(follows, follower == @user)", EXPR_RULE), &out);
    buf_putc(&out, '\0');
    assert_non_null(strstr(out.data, "anonymous             (t.\"pinned\" = 1)\n"));
    assert_non_null(strstr(out.data, "signed in, moderator  always\n"));
    assert_non_null(strstr(out.data, "looks at              nothing\n"));
    assert_non_null(strstr(out.data, "anonymous             never\n"));
    assert_int_equal(expr_cost(compile(f, "pinned && title.contains('x')", EXPR_FILTER)), 6);
}

static void test_expr_quotes_a_table_that_has_no_alias(void **state)
{
    struct fixture *f = *state;
    struct store_sql sql;
    store_sql_init(&sql, f->arena);
    expr_emit(compile(f, "pinned", EXPR_RULE), &(struct expr_context){ .now_us = 0 }, SLICE_NULL,
              &sql);
    assert_sql("pinned", &sql, "(\"posts\".\"pinned\" = 1)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expr_emits_sql),
        cmocka_unit_test(test_expr_anonymous_leaves_nothing_behind),
        cmocka_unit_test(test_expr_filters_obey_read_rules),
        cmocka_unit_test(test_expr_refuses),
        cmocka_unit_test(test_expr_has_limits),
        cmocka_unit_test(test_expr_survives_small_arenas),
        cmocka_unit_test(test_expr_without_a_row),
        cmocka_unit_test(test_expr_decides_candidates),
        cmocka_unit_test(test_expr_writes_ddl),
        cmocka_unit_test(test_expr_prints_what_compiles_to_the_same),
        cmocka_unit_test(test_expr_explains),
        cmocka_unit_test(test_expr_quotes_a_table_that_has_no_alias),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
