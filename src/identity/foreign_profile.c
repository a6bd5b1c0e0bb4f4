/*
 * identity/foreign_profile.c - Names of fields that most applications use for what people are
 * called. Only what the contract asks for is filled in: nobody needs more of what a provider tells.
 */
#include "identity/foreign_profile.h"

#include "base/arena.h"
#include "base/id.h"
#include "base/json.h"
#include "base/macros.h"
#include "contract/contract.h"
#include "fiber/task.h"
#include "identity/foreign.h"
#include "identity/room.h"

#define HANDLE_BYTES_MAX 20u

static const char *const name_fields[] = { "display_name", "name", "full_name" };
static const char *const handle_fields[] = { "username", "handle", "login", "nickname" };

static bool is_one_of(struct slice name, const char *const *names, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (slice_eq(name, slice_cstr(names[i])))
            return true;
    return false;
}

static struct slice before_at(struct slice email)
{
    size_t at = slice_find(email, '@');
    return at == SIZE_MAX ? email : slice_head(email, at);
}

struct slice identity_foreign_handle(struct arena *arena, const struct identity_foreign_person *p,
                                     unsigned number)
{
    struct slice from = p->handle.len ? p->handle : p->name.len ? p->name : before_at(p->email);
    char text[HANDLE_BYTES_MAX];
    size_t len = 0;
    from = before_at(from); /* Microsoft's preferred_username is an address */
    for (size_t i = 0; i < from.len && len < sizeof(text); i++) {
        char c = from.data[i];
        c = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
        if ((c >= 'a' && c <= 'z') || (len && c >= '0' && c <= '9'))
            text[len++] = c;
        else if (len && text[len - 1] != '_')
            text[len++] = '_';
    }
    while (len && text[len - 1] == '_')
        len--;
    return arena_printf(arena, "%.*s%04u", len ? (int)len : 6, len ? text : "person",
                        number % 10000);
}

static unsigned random_number(void)
{
    unsigned number;
    random_bytes(&number, sizeof(number));
    return number;
}

static bool fill(struct task *task, json_t *profile, const struct contract_field *field,
                 const struct identity_foreign_person *p)
{
    struct slice value = SLICE_NULL;
    char *name = arena_cstr(task_arena(task), field->name);
    if (!field->required || field->system || field->readonly || field->type != CONTRACT_STRING)
        return true;
    if (is_one_of(field->name, name_fields, ARRAY_LEN(name_fields)))
        value = p->name.len ? p->name : p->handle;
    else if (is_one_of(field->name, handle_fields, ARRAY_LEN(handle_fields)))
        value = identity_foreign_handle(task_arena(task), p, random_number());
    if (!value.len)
        return true;
    return name && json_object_set_new(profile, name, json_stringn(value.data, value.len)) == 0;
}

const json_t *identity_foreign_profile(struct task *task, const struct identity *identity,
                                       const struct identity_foreign_person *person,
                                       const json_t *given)
{
    const struct identity_people *people = &identity->options.people;
    struct contract_set *set = people->hold(people->arg);
    const struct contract *contract = contract_find(set, SLICE(IDENTITY_PEOPLE));
    struct arena *before = json_arena_set(task_arena(task));
    json_t *profile = json_object();
    for (unsigned i = 0; profile && contract && i < contract->fields_len; i++)
        if (!fill(task, profile, contract->fields[i], person))
            profile = NULL;
    if (profile && given && json_object_update(profile, (json_t *)(uintptr_t)given) != 0)
        profile = NULL;
    (void)json_arena_set(before);
    people->release(people->arg, set);
    return profile;
}
