/*
 * Older versions of the API. The contracts of the folder are the newest version; a folder v1, v2,
 * ... in it holds what was different in that version: names that fields had, fields and resources
 * that were not there. Each older version is the same contracts read once more, so it has the same
 * tables and the same rules, and only the names that clients see are its own: columns and rules
 * were tied together before a field is renamed.
 */
#include <dirent.h>
#include <stdlib.h>

#include "base/macros.h"
#include "contract/load.h"
#include "contract/validate.h"

static const struct slice overlay_keys[] = { SLICE_INIT("resource"), SLICE_INIT("absent"),
                                             SLICE_INIT("rename"), SLICE_INIT("hide") };

/* A field that the overlay names, or NULL after reporting. */
static struct contract_field *named_field(struct contract__loader *ld,
                                          const struct contract__draft *d,
                                          const struct yaml_node *node, struct slice key,
                                          struct slice name)
{
    struct contract *c = d->contract;
    struct slice names[CONTRACT_FIELDS_MAX];
    unsigned len = 0;
    for (unsigned i = 0; i < c->fields_len; i++) {
        struct contract_field *f = c->fields[i];
        if (f->system)
            continue;
        /* As the newest version calls it, whatever was renamed before. */
        struct slice current = c->columns[f->column].name;
        if (f->type == CONTRACT_MONEY)
            current = slice_head(current, current.len - (sizeof("_amount") - 1));
        if (slice_eq(current, name))
            return f;
        names[len++] = current;
    }
    contract__fail_unknown(ld, d, node, key, "field", name, names, len);
    return NULL;
}

static void rename_field(struct contract__loader *ld, const struct contract__draft *d,
                         const struct yaml_node *node)
{
    struct slice key = contract__path(ld, SLICE("rename"), node->key->text), name;
    struct contract_field *f = named_field(ld, d, node->key, SLICE("rename"), node->key->text);
    if (!f || !contract__read_text(ld, d, node, key, &name) ||
        !contract__field_name_check(ld, d, node, key, name))
        return;
    for (unsigned i = 0; i < d->contract->fields_len; i++) {
        const struct contract_field *other = d->contract->fields[i];
        if (other == f || other->hidden || !slice_eq(other->name, name))
            continue;
        contract__fail(ld, d, node, key, SLICE_NULL, "another field has this name");
        return;
    }
    for (unsigned i = 0; i < d->contract->referrers_len; i++) {
        if (!slice_eq(d->contract->referrers[i].name, name))
            continue;
        contract__fail(ld, d, node, key, SLICE_NULL, "rows that refer to this one have this name");
        return;
    }
    f->name = name;
}

static void hide_field(struct contract__loader *ld, const struct contract__draft *d,
                       const struct yaml_node *node)
{
    struct slice key = SLICE("hide"), name;
    if (!contract__read_text(ld, d, node, key, &name))
        return;
    struct contract_field *f = named_field(ld, d, node, key, name);
    if (!f)
        return;
    bool is_needed = !f->nullable && !f->readonly && f->type != CONTRACT_COUNT &&
                     f->default_kind == CONTRACT_DEFAULT_NONE;
    if (is_needed)
        contract__fail(ld, d, node, key, SLICE("Give it a default in the contract."),
                       "`%.*s` is required: nobody could create a row in this version",
                       SLICE_ARG(name));
    else
        contract__field_hide(d->contract, f);
}

static bool is_kind(struct contract__loader *ld, const struct contract__draft *d,
                    const struct yaml_node *node, struct slice key, enum yaml_kind kind,
                    const char *wanted)
{
    if (!node)
        return false;
    if (node->kind != kind)
        contract__fail(ld, d, node, key, SLICE_NULL, "must be %s", wanted);
    return node->kind == kind;
}

/* Hidden fields first: their names are free for others. */
static void apply(struct contract__loader *ld, const struct contract__draft *d)
{
    const struct yaml_node *absent = yaml_get(d->root, SLICE("absent"));
    const struct yaml_node *hide = yaml_get(d->root, SLICE("hide"));
    const struct yaml_node *rename = yaml_get(d->root, SLICE("rename"));
    if (absent)
        (void)contract__read_bool(ld, d, absent, SLICE("absent"), &d->contract->absent);
    if (is_kind(ld, d, hide, SLICE("hide"), YAML_LIST, "a list of fields")) {
        for (const struct yaml_node *node = hide->first; node; node = node->next)
            hide_field(ld, d, node);
    }
    if (is_kind(ld, d, rename, SLICE("rename"), YAML_MAP, "a map of fields to their names then")) {
        for (const struct yaml_node *node = rename->first; node; node = node->next)
            rename_field(ld, d, node);
    }
    if (!contract__lookup_build(d->contract, ld->arena))
        ld->exhausted = true;
}

static void read_overlay(struct contract__loader *ld, struct contract__draft *d)
{
    struct yaml_node *root = NULL;
    struct slice name;
    if (yaml_read(d->text, d->file, (struct yaml_limits){ 0 }, ld->arena, ld->diag, &root) !=
        STATUS_OK)
        return;
    d->root = root;
    const struct yaml_node *resource =
        root->kind == YAML_MAP ? yaml_get(root, SLICE("resource")) : NULL;
    if (!resource) {
        contract__fail(ld, d, root, SLICE("resource"), SLICE_NULL,
                       "missing: the resource that was different in this version");
        return;
    }
    for (const struct yaml_node *value = root->first; value; value = value->next) {
        size_t i = 0;
        while (i < ARRAY_LEN(overlay_keys) && !slice_eq(value->key->text, overlay_keys[i]))
            i++;
        if (i == ARRAY_LEN(overlay_keys))
            contract__fail_unknown(ld, d, value->key, SLICE_NULL, "key", value->key->text,
                                   overlay_keys, ARRAY_LEN(overlay_keys));
    }
    if (!contract__read_text(ld, d, resource, SLICE("resource"), &name))
        return;
    d->contract = contract_find(&ld->owned->set, name);
    if (!d->contract)
        contract__fail(ld, d, resource, SLICE("resource"), SLICE_NULL,
                       "there is no contract of `%.*s`", SLICE_ARG(name));
    else
        apply(ld, d);
}

enum status contract_set_version_add(struct contract_set *set, unsigned number,
                                     const struct contract_source *sources, unsigned sources_len,
                                     const struct contract_source *overlays, unsigned overlays_len,
                                     struct diag *diag)
{
    struct contract_set *older;
    enum status st = contract_set_parse(sources, sources_len, diag, &older);
    if (st != STATUS_OK)
        return st;
    unsigned before = diag->len + diag->dropped;
    struct contract__loader ld = {
        .arena = older->arena,
        .diag = diag,
        .owned = CONTAINER_OF(older, struct contract__owned, set),
        .drafts_len = overlays_len,
    };
    ld.drafts = contract__calloc(&ld, overlays_len, sizeof(*ld.drafts));
    older->version_number = number;
    older->version = arena_printf(older->arena, "v%u", number);
    for (unsigned i = 0; i < overlays_len && !ld.exhausted; i++) {
        struct contract__draft *d = &ld.drafts[i];
        if (arena_copy(ld.arena, overlays[i].file, &d->file) != STATUS_OK ||
            arena_copy(ld.arena, overlays[i].text, &d->text) != STATUS_OK)
            ld.exhausted = true;
        else
            read_overlay(&ld, d);
        for (unsigned k = 0; k < i && d->contract; k++)
            if (ld.drafts[k].contract == d->contract)
                contract__fail(&ld, d, d->root, SLICE("resource"), SLICE_NULL,
                               "%.*s is about the same resource", SLICE_ARG(ld.drafts[k].file));
        older->fingerprint = hash64(overlays[i].text, older->fingerprint);
    }
    if (ld.exhausted)
        st = STATUS_EXHAUSTED;
    else if (diag->len + diag->dropped != before)
        st = STATUS_INVALID;
    if (st != STATUS_OK) {
        contract_set_free(older);
        return st;
    }
    /* The newest of them first. */
    struct contract_set **at = &set->older;
    while (*at && (*at)->version_number > number)
        at = &(*at)->older;
    older->older = *at;
    *at = older;
    set->fingerprint = hash64(older->version, set->fingerprint ^ older->fingerprint);
    set->version_number = MAX(set->version_number, number + 1);
    set->version = arena_printf(set->arena, "v%u", set->version_number);
    return STATUS_OK;
}

const struct contract_set *contract_set_version(const struct contract_set *set, unsigned number)
{
    while (set && set->version_number != number)
        set = set->older;
    return set;
}

bool contract_set_same_versions(const struct contract_set *a, const struct contract_set *b)
{
    for (; a && b && a->version_number == b->version_number; a = a->older)
        b = b->older;
    return !a && !b;
}

unsigned contract__version_of(struct slice folder)
{
    int64_t number;
    bool is_one = folder.len >= 2 && folder.len <= 4 && folder.data[0] == 'v' &&
                  folder.data[1] >= '1' && folder.data[1] <= '9' &&
                  slice_to_i64(slice_from(folder, 1), &number);
    return is_one ? (unsigned)number : 0;
}
